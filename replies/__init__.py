"""答复 replies: deciding what kind of reply is due, and writing it.

Imports knowledge and register. Its errors::

    ReplyError
    ├── TemplateMissing     a kind of reply has no template, or a template is broken (named at start)
    └── RulesBroken         a rule file cannot be used (named at start)
"""
