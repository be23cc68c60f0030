"""文库 knowledge: what has been published, and finding it.

A ground-floor room: it imports nothing of ours. Its errors::

    KnowledgeError
    ├── UnreadableDocument      a file that cannot be turned into text
    │   ├── UnknownFormat       no reader for this suffix, or the content is not what the suffix says
    │   ├── EmptyDocument       a file without a single character of text
    │   ├── ScannedDocument     pictures of pages, no text layer, and no OCR installed
    │   ├── EncryptedDocument   needs a password
    │   ├── DocumentTooLarge    beyond the size, page or expansion cap
    │   └── MissingConverter    needs a program that is not installed (LibreOffice for .doc and .wps)
    ├── ClassifiedDocument      bears a 密级 mark: refused at import
    ├── CrawlRefused            the county's site cannot be crawled
    ├── UnknownDocument         no such document (or none that this reader may see)
    └── IndexUnavailable        the index is missing, damaged or older than this program can read

"Nothing found" is a ``Finding`` without hits, not an error.
"""
