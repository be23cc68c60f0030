"""网址: links as a crawler may follow them: one spelling for one page, no session numbers, no traps.

Pure functions of text. What is refused here is never asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from lxml import etree
from lxml import html as lxml_html

MAX_URL = 400
_MAX_SEGMENTS = 12
_VOLATILE = re.compile(
    r"^(?:j?sessionid|phpsessid|aspsessionid.*|session_?(?:id)?|sess|sid|token|_|_t|ts|timestamp|rnd|rand|random|r|nocache"
    r"|utm_.*|spm|from|isappinstalled|winzoom)$",
    re.I,
)
_PATH_SESSION = re.compile(r";jsessionid=[^/?#]*|/\(S\([^/)]+\)\)", re.I)
_FOREIGN = re.compile(r"^\s*(?:javascript|mailto|tel|data|ftp|file|about|weixin|blob)\s*:", re.I)
_PAGE_SUFFIXES = ("", ".html", ".htm", ".shtml", ".jhtml", ".jsp", ".jspx", ".asp", ".aspx", ".php", ".do", ".action")
_PAGER = re.compile(
    r"createPageHTML\s*\(\s*['\"]?(\d{1,5})['\"]?\s*,\s*['\"]?\d{1,5}['\"]?\s*,\s*['\"]([\w-]{1,40})['\"]\s*,\s*['\"](\w{2,6})['\"]"
)


def host_of(url: str) -> str:
    """``host`` or ``host:port`` of an address, lower case; empty when it is no http address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        return ""
    usual = {"http": 80, "https": 443}[parts.scheme.lower()]
    return parts.hostname.lower() if port in (None, usual) else f"{parts.hostname.lower()}:{port}"


def tidy_url(url: str, base: str = "") -> str:
    """The one spelling of a link: absolute, no fragment, no session number, query in order; empty when it is no page.

    Refused: other schemes, longer than ``MAX_URL``, more than 12 folders, a folder that comes three times (a relative
    link that leads ever deeper).
    """
    if _FOREIGN.match(url):
        return ""
    try:
        parts = urlsplit(urljoin(base, url.strip().replace("\\", "/")))
        host = host_of(urlunsplit(parts))
    except ValueError:
        return ""
    if not host or parts.username or parts.password:
        return ""
    path = _PATH_SESSION.sub("", parts.path) or "/"
    path = quote(
        unquote(re.sub(r"/{2,}", "/", path), errors="surrogateescape"),
        safe="/:@!$&'()*+,;=~-._",
        errors="surrogateescape",
    )
    segments = [s for s in path.split("/") if s]
    if len(segments) > _MAX_SEGMENTS or any(n > 2 for n in Counter(segments).values()):
        return ""
    pairs = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _VOLATILE.match(k)]
    tidy = urlunsplit((parts.scheme.lower(), host, path, urlencode(sorted(pairs)), ""))
    return tidy if len(tidy) <= MAX_URL else ""


def suffix_of(url: str) -> str:
    """The suffix of the path in lower case, empty for a folder."""
    return PurePosixPath(urlsplit(url).path).suffix.lower()


def is_page(url: str) -> bool:
    """Whether an address looks like a web page, not like a picture or a program."""
    suffix = suffix_of(url)
    return suffix in _PAGE_SUFFIXES or suffix[1:].isdigit() or len(suffix) > 6


def open_page(text: str) -> Any | None:
    """The tree of a page, None when there is nothing in it that can be read."""
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        return lxml_html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def links_in(root: Any, url: str) -> Iterator[str]:
    """Tidy addresses a page leads to, in its order, each once: links, a refresh, and the pager that many columns draw
    by script (``createPageHTML(20, 0, "index", "html")`` means index_1.html to index_19.html)."""
    base = urljoin(url, next((e.get("href") for e in root.iter("base") if e.get("href")), ""))
    seen: set[str] = set()
    for found in _raw_links(root):
        tidy = tidy_url(found, base)
        if tidy and tidy not in seen:
            seen.add(tidy)
            yield tidy


def _raw_links(root: Any) -> Iterator[str]:
    for element in root.iter("a", "area", "frame", "iframe"):
        href = element.get("href") or element.get("src") or ""
        if href and "nofollow" not in (element.get("rel") or "").lower():
            yield href
    for element in root.iter("meta"):
        if (element.get("http-equiv") or "").strip().lower() == "refresh":
            match = re.search(r"url\s*=\s*['\"]?([^'\"\s]+)", element.get("content") or "", re.I)
            if match:
                yield match[1]
    for element in root.iter("script"):
        match = _PAGER.search(element.text or "")
        if match:
            yield from (f"{match[2]}_{number}.{match[3]}" for number in range(1, min(int(match[1]), 2000)))


def meta(root: Any, name: str) -> str:
    """The content of a ``<meta name=…>``, empty when there is none."""
    for element in root.iter("meta"):
        if (element.get("name") or "").strip().lower() == name.lower():
            return (element.get("content") or "").strip()
    return ""
