"""Words only: Jinja2 and DOCX templates, no logic."""
