"""Saved web pages of government sites: the metadata table, the meta tags, and the body without navigation.

Meta tags follow 《政府网站发展指引》 附件3 (ArticleTitle, PubDate, ContentSource, ColumnName, Url); the metadata table is
that of 政府信息公开 pages (索引号, 发布机构, 成文日期, 文号 …) whatever tags a site builds it from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from knowledge.errors import EmptyDocument, UnknownFormat, UnreadableDocument
from knowledge.readers.fields import field_of, holds_label, labelled, tidy_value
from knowledge.readers.raw import Block, BlockKind, RawDocument
from knowledge.readers.text import decode

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_-]{3,20})""", re.I)
_XML_CHARSET = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9_-]{3,20})""", re.I)
_META = {
    "articletitle": "标题",
    "pubdate": "发布日期",
    "contentsource": "来源",
    "columnname": "栏目",
    "url": "网址",
}
_JUNK = (
    "script",
    "style",
    "noscript",
    "template",
    "iframe",
    "object",
    "svg",
    "canvas",
    "select",
    "button",
    "input",
    "form",
)
# Containers of the article on the sites in use, most telling first.
_BODIES = (
    "//*[@id='UCAP-CONTENT']",
    "//ucapcontent",
    "//*[@id='js_content']",
    "//*[contains(concat(' ', normalize-space(@class), ' '), ' article-content ')]",
    "//*[@id='info_cont']",
    "//*[@id='zoomcon']",
    "//*[@id='zoom']",
    "//*[@id='Zoom']",
    "//*[contains(@class, 'TRS_Editor')]",
    "//*[contains(@class, 'trs_editor_view')]",
    "//*[contains(concat(' ', normalize-space(@class), ' '), ' pages_content ')]",
    "//*[contains(concat(' ', normalize-space(@class), ' '), ' newsMain ')]",
    "//*[contains(concat(' ', normalize-space(@class), ' '), ' info_cont ')]",
    "//article",
)
_BLOCKS = {
    *(
        "p",
        "div",
        "section",
        "article",
        "li",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
        "td",
        "th",
        "tr",
        "table",
        "tbody",
        "thead",
    ),
    *("blockquote", "center", "pre", "body", "html", "form", "header", "footer", "nav", "aside", "main", "tfoot"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "fieldset", "figure", "figcaption", "caption", "hr", "br", "address"),
}
_FURNITURE = re.compile(
    r"nav|menu|foot|header|share|crumb|location|sidebar|search|login|toolbar|print|copyright|qrcode", re.I
)
_HIDDEN = re.compile(r"display\s*:\s*none", re.I)
_DEEPEST = 400


def read_html(path: Path) -> RawDocument:
    """Read a saved page. Raises ``UnknownFormat`` and ``EmptyDocument``."""
    return read_markup(path.read_bytes(), path.name)


def read_markup(data: bytes, name: str) -> RawDocument:
    """Blocks and metadata of the page ``data``; ``name`` serves in messages."""
    text, warnings = _decode(data, name)
    if "<" not in text:
        raise UnknownFormat(f"{name} holds no HTML; rename it to .txt if it is plain text")
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = lxml_html.document_fromstring(_without_nulls(text).encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise EmptyDocument(f"{name} holds no readable page ({error}); save the page again") from error
    if any("depth" in entry.message.lower() for entry in parser.error_log):
        raise UnreadableDocument(f"{name} is nested too deeply to be read whole; save the text itself")
    metadata = _meta_tags(root)
    etree.strip_elements(root, *_JUNK, with_tail=False)
    body = _body(root)
    for key, value in _metadata_table(root, body).items():
        if key == "发布日期" and metadata.get(key):
            continue  # the meta tag is the publication system's own
        metadata[key] = value
    if not metadata.get("标题"):
        metadata.update(_heading_title(root))
    blocks = [block for block in _flatten(body) if block.text.strip() or any(cell for cell in block.cells)]
    if not any(block.text.strip() for block in blocks):
        raise EmptyDocument(f"{name} shows no text; the page probably loads it by script: save the text itself")
    return RawDocument(
        blocks=tuple(blocks),
        format="html",
        metadata={key: value for key, value in metadata.items() if value},
        warnings=warnings,
        attachments=tuple(_attachments(root)),
    )


def _decode(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    stated = _XML_CHARSET.search(data[:200]) or _CHARSET.search(data[:4096])
    if stated and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        charset = stated[1].decode("ascii").lower()
        charset = "gb18030" if charset.startswith(("gb", "x-gb", "cp936")) else charset
        try:
            return data.decode(charset), ()
        except (LookupError, UnicodeDecodeError):
            pass  # many pages state one charset and are saved in another: look at the bytes instead
    return decode(data, name)


def _without_nulls(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "", text)


def _meta_tags(root: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in root.iter("meta"):
        name = _META.get((element.get("name") or "").strip().lower())
        value = tidy_value(element.get("content") or "")
        if name and value and name not in found:
            found[name] = value
    return found


def _heading_title(root: Any) -> dict[str, str]:
    for element in root.iter("h1", "ucaptitle"):
        text = tidy_value(_text(element))
        if 4 <= len(text) <= 200:
            return {"标题": text}
    for element in root.iter("title"):
        text = tidy_value(_text(element))
        pieces = re.split(r"\s*[-_—|]{1,2}\s*(?=[^-_—|]{2,40}$)", text)
        if len(pieces[0]) >= 4:
            return {"标题": pieces[0]}
    return {}


def _text(element: Any) -> str:
    return "".join(element.itertext())


def _hidden(element: Any) -> bool:
    return bool(_HIDDEN.search(element.get("style") or "")) or element.get("hidden") is not None


def _body(root: Any) -> Any:
    for path in _BODIES:
        candidates = [element for element in root.xpath(path) if len(_text(element).strip()) >= 30]
        if candidates:
            return max(candidates, key=lambda element: len(_text(element)))
    return _densest(root)


def _densest(root: Any) -> Any:
    """The element that holds most paragraph text outside links: what readability tools look for."""
    scores: dict[Any, float] = {}
    for element in root.iter("p", "td", "div", "li", "section", "pre", "h2", "h3", "h4"):
        own = len("".join(_own_text(element)).strip())
        if own < 8 or _in_furniture(element):
            continue
        parent, share = element, 0.6 if element.tag in ("td", "div", "section") else 0.3
        for weight in (share, 1.0, 0.5):
            scores[parent] = scores.get(parent, 0.0) + own * weight
            parent = parent.getparent()
            if parent is None:
                break
    scores = {element: score for element, score in scores.items() if element.tag not in ("html",)}
    if not scores:
        body = root.find("body")
        return root if body is None else body
    best = max(scores, key=lambda element: scores[element])
    while best.tag in ("p", "li", "tr", "tbody", "thead", "td", "th") and best.getparent() is not None:
        if best.tag == "td" and len(_text(best)) > 200:
            break
        best = best.getparent()
    return best


def _own_text(element: Any) -> Iterator[str]:
    """Text directly in ``element`` or in its inline children, links left out."""
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _BLOCKS and child.tag != "a":
            yield from (piece for piece in child.itertext())
        yield child.tail or ""


def _in_furniture(element: Any) -> bool:
    for _ in range(12):
        if element is None or element.tag in ("body", "html"):
            return False
        if element.tag in ("nav", "footer", "header", "a") or _hidden(element):
            return True
        if _FURNITURE.search(f"{element.get('class') or ''} {element.get('id') or ''}"):
            return True
        element = element.getparent()
    return False


def _metadata_table(root: Any, body: Any) -> dict[str, str]:
    """Fields printed outside the article, whether in table cells, lists, or ``label：value`` spans."""
    found: dict[str, str] = {}
    inside = set(body.iter()) if body.tag not in ("body", "html") else set()
    for element in root.iter("td", "th", "li", "span", "b", "strong", "dt", "p", "div", "label", "em"):
        if element in inside:
            continue
        children = len(element)
        text = _text(element) if children <= 6 else ""
        if not text or len(text) > 600:
            continue
        name = field_of(text)
        if name and element.tag not in ("td", "th", "dt") and not text.rstrip().endswith(("：", ":")):
            continue  # a word of a search form or a menu
        value = _value_beside(element) if name else ""
        if not name and children <= 3:
            name, value = labelled(text)
            if holds_label(value):
                continue  # a whole row, not one field: its cells are looked at one by one
        if name == "发布日期" and value:
            value = re.split(r"(?<=\d)\s+(?=[^\d\s])", value)[0]
        if name and value and name not in found:
            found[name] = value
    return found


def _value_beside(element: Any) -> str:
    """What stands right of a label: the tail, the next cell, or the following siblings up to the next label."""
    cell = element
    while cell.tag not in ("td", "th", "dt", "li") and cell.getparent() is not None and not (cell.tail or "").strip():
        following = cell.getnext()
        if following is not None:
            break
        cell = cell.getparent()
        if cell.tag in ("body", "html", "table", "tr"):
            return ""
    pieces = [cell.tail or ""]
    following = cell.getnext()
    if cell.tag in ("td", "th", "dt"):
        pieces = [_text(following)] if following is not None else []
    else:
        while following is not None and sum(map(len, pieces)) < 300:
            text = _text(following)
            if field_of(text) or labelled(text)[0]:
                break
            pieces += [text, following.tail or ""]
            following = following.getnext()
    value = tidy_value("".join(pieces))
    return "" if field_of(value) or len(value) > 400 else value


def _attachments(root: Any) -> Iterator[str]:
    seen = set()
    for element in root.iter("a"):
        target = (element.get("href") or "").split("?")[0].lower()
        name = tidy_value(_text(element))
        if (
            name
            and target.endswith((".doc", ".docx", ".pdf", ".xls", ".xlsx", ".wps", ".ofd", ".zip", ".rar"))
            and name not in seen
        ):
            seen.add(name)
            yield name


def _flatten(body: Any) -> Iterator[Block]:
    """Blocks of the article in reading order."""
    pieces: list[str] = []
    for event in _walk(body, 0):
        if isinstance(event, str):
            pieces.append(event)
            continue
        if isinstance(event, Block):
            yield from _line(pieces, 0, False)
            pieces = []
            yield event
            continue
        level, centred = event
        yield from _line(pieces, level, centred)
        pieces = []
    yield from _line(pieces, 0, False)


def _line(pieces: list[str], level: int, centred: bool) -> Iterator[Block]:
    text = re.sub(r"[ \t\r\n\f\v\xa0]+", " ", "".join(pieces)).strip(" ")
    if not text.strip("\u3000 \u200b"):
        return
    if level:
        yield Block(text, BlockKind.HEADING, level=level, centred=centred)
    else:
        yield Block(text, centred=centred)


def _walk(element: Any, depth: int) -> Iterator[str | Block | tuple[int, bool]]:
    """Texts, finished blocks, and (heading level, centred) where a line ends."""
    tag = element.tag
    if not isinstance(tag, str) or tag in _JUNK or _hidden(element):
        return
    if tag == "br":
        yield (0, False)
        return
    if tag == "hr":
        yield Block("", BlockKind.RULE)
        return
    if tag == "table" and _is_data_table(element):
        yield (0, False)
        yield from _rows(element)
        return
    block = tag in _BLOCKS
    level = int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() else 0
    centred = "center" in f"{element.get('align') or ''} {element.get('style') or ''}" if block else False
    if block:
        yield (0, False)
    if depth >= _DEEPEST:
        yield _text(element)
    else:
        yield element.text or ""
        for child in element:
            yield from _walk(child, depth + 1)
            yield child.tail or ""
    if block:
        yield (level, centred or tag == "center")


def _own_rows(table: Any) -> list[Any]:
    rows = []
    for child in table:
        if child.tag == "tr":
            rows.append(child)
        elif child.tag in ("tbody", "thead", "tfoot"):
            rows.extend(row for row in child if row.tag == "tr")
    return rows


def _is_data_table(table: Any) -> bool:
    """A table of data, not of layout: two columns in most rows, no table inside, no cell that is an article."""
    rows = _own_rows(table)
    if not rows or next(table.iterdescendants("table"), None) is not None:
        return False
    widths = [sum(1 for cell in row if cell.tag in ("td", "th")) for row in rows]
    if max(widths, default=0) < 2 or sum(1 for width in widths if width >= 2) * 2 < len(widths):
        return False
    return not (len(rows) == 1 and len(_text(table)) > 1500)


def _rows(table: Any) -> Iterator[Block]:
    """Rows with their cells; a cell that spans rows is repeated in each, one that spans columns is given once."""
    carried: dict[int, tuple[int, str]] = {}
    for number, row in enumerate(_own_rows(table)):
        cells: list[str] = []
        elements = [cell for cell in row if cell.tag in ("td", "th")]
        header = bool(elements) and (all(cell.tag == "th" for cell in elements) or row.getparent().tag == "thead")
        for element in elements:
            _take_carried(cells, carried)
            text = _cell_text(element)
            across, down = _span(element, "colspan"), _span(element, "rowspan")
            if down > 1:
                carried[len(cells)] = (down - 1, text)
            cells.append(text)
            cells.extend([""] * (across - 1))
        _take_carried(cells, carried)
        if any(cells):
            text = " ".join(cell for cell in cells if cell)
            yield Block(text, BlockKind.ROW, cells=tuple(cells), header=header, level=1 if number == 0 else 0)


def _take_carried(cells: list[str], carried: dict[int, tuple[int, str]]) -> None:
    while len(cells) in carried:
        left, text = carried.pop(len(cells))
        if left > 1:
            carried[len(cells)] = (left - 1, text)
        cells.append(text)


def _span(element: Any, name: str) -> int:
    value = (element.get(name) or "1").strip()
    return min(max(int(value), 1), 100) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _cell_text(element: Any) -> str:
    lines = [block.text.strip() for block in _flatten(element)]
    return "\n".join(line for line in lines if line)
