"""The named errors of the library; the tree is drawn in :mod:`knowledge`."""

from __future__ import annotations


class KnowledgeError(Exception):
    """Any error of this room. ``str(error)`` is one English line that says what to do next."""


class UnreadableDocument(KnowledgeError):
    """A file that cannot be turned into text."""


class UnknownFormat(UnreadableDocument):
    """No reader for this suffix, or the content is not what the suffix says."""


class EmptyDocument(UnreadableDocument):
    """A file without a single character of text."""


class ScannedDocument(UnreadableDocument):
    """扫描件: pictures of pages without a text layer, and no OCR installed."""


class EncryptedDocument(UnreadableDocument):
    """The file needs a password."""


class DocumentTooLarge(UnreadableDocument):
    """Beyond the size, page or expansion cap."""


class MissingConverter(UnreadableDocument):
    """The format needs a program that is not installed."""


class ClassifiedDocument(KnowledgeError):
    """密级: the document bears a secrecy mark and is refused at import (保密法 2024, art. 35)."""


class UnknownDocument(KnowledgeError):
    """No such document, or none that this reader may see."""


class IndexUnavailable(KnowledgeError):
    """The index is missing, damaged or of a form this program cannot read."""


class CrawlRefused(KnowledgeError):
    """The county's site cannot be crawled: a bad plan, robots.txt out of reach, or another crawl at work."""
