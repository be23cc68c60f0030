"""Rows of the library. Dates are ISO Beijing dates, instants ISO UTC; ``dirty`` says that the index must catch up."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("title", Text, nullable=False),
    Column("number", String(120), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("written_on", Date),
    Column("printed_on", Date),
    Column("published_on", Date),
    Column("effective_on", Date),
    Column("expires_on", Date),
    Column("attribute", String(20), nullable=False),
    Column("validity", String(20), nullable=False),
    Column("ruling", String(20), nullable=False),  # validity laid down by a link or by staff; empty: follows the dates
    Column("stage", String(20), nullable=False),
    Column("held", Text, nullable=False),
    Column("source_rank", String(20), nullable=False),
    Column("source_url", Text, nullable=False),
    Column("index_number", String(80), nullable=False),
    Column("topic", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("addressees", Text, nullable=False),
    Column("copies_to", Text, nullable=False),
    Column("contacts", Text, nullable=False),  # JSON list
    Column("keywords", Text, nullable=False),  # JSON list
    Column("path", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("passages", Integer, nullable=False),
    Column("dirty", Boolean, nullable=False),
    Column("changed_at", String(40), nullable=False),
    Index("ix_documents_path", "path"),
    Index("ix_documents_number", "number"),
    Index("ix_documents_content_hash", "content_hash"),
    Index("ix_documents_stage", "stage"),
    Index("ix_documents_dirty", "dirty"),
)

passages = Table(
    "passages",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("document", String(48), ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("locator", Text, nullable=False),
    Column("path", Text, nullable=False),  # JSON list of headings
    Column("text", Text, nullable=False),
    Column("anchor", String(40), nullable=False),
    Column("part", Text, nullable=False),
    Column("lead", Text, nullable=False),
    Column("units", Text, nullable=False),  # JSON list of [name, role]
    Index("ix_passages_document", "document"),
)

versions = Table(
    "document_versions",
    metadata,
    Column("document", String(48), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("replaced_at", String(40), nullable=False),
    Column("snapshot", Text, nullable=False),  # JSON of the document's row and passages as they were
)

citations = Table(
    "citations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("document", String(48), ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("number", String(120), nullable=False),
    Column("title", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Index("ix_citations_document", "document"),
    Index("ix_citations_number", "number"),
)

links = Table(
    "document_links",
    metadata,
    Column("source", String(48), ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("target", String(48), ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("state", String(20), nullable=False),  # proposed | confirmed | refused
    Column("evidence", Text, nullable=False),
    Index("ix_document_links_target", "target"),
)

organs = Table(
    "organs",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("short_name", String(120), nullable=False),
    Column("aliases", Text, nullable=False),  # JSON list
    Column("relation", String(20), nullable=False),
    Column("functions", Text, nullable=False),  # JSON list
    Column("keywords", Text, nullable=False),  # JSON list
    Column("phone", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("hours", Text, nullable=False),
    Column("website", Text, nullable=False),
)

state = Table(
    "library_state",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("version", Integer, nullable=False),
    Column("changed_at", String(40), nullable=False),
)

events = Table(
    "library_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("document", String(48), nullable=False),
    Column("at", String(40), nullable=False),
    Column("kind", String(20), nullable=False),  # added | updated | published | withdrawn | held | ruled | linked
    Column("detail", Text, nullable=False),
    Index("ix_library_events_document", "document"),
)

answered = Table(
    "answered_questions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("question", Text, nullable=False),
    Column("document", String(48), nullable=False),
    Column("version", Integer, nullable=False),  # of the document, as staff have seen it
    Column("passage", String(60), nullable=False),
    Column("locator", Text, nullable=False),
    Column("approved_at", String(40), nullable=False),
    Column("approved_by", Text, nullable=False),
    Index("ix_answered_questions_document", "document"),
)

crawl_runs = Table(
    "crawl_runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("site", String(200), nullable=False),
    Column("started_at", String(40), nullable=False),
    Column("finished_at", String(40), nullable=False),  # empty: goes on with the next call
)

crawl_pages = Table(
    "crawl_pages",
    metadata,
    Column("url", String(500), primary_key=True),
    Column("site", String(200), nullable=False),
    Column("kind", String(10), nullable=False),  # column | article
    Column("state", String(10), nullable=False),  # waiting | saved | done | failed | vanished
    Column("run", Integer, nullable=False),  # the last run that came across it
    Column("depth", Integer, nullable=False),
    Column("barren", Integer, nullable=False),
    Column("found_on", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("last_modified", Text, nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("file", Text, nullable=False),
    Column("document", String(48), nullable=False),
    Column("fetched_at", String(40), nullable=False),
    Column("note", Text, nullable=False),
    Index("ix_crawl_pages_site", "site", "run", "state"),
    Index("ix_crawl_pages_text_hash", "text_hash"),
)
