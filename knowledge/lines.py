"""Lines of a document as a person reads them: page furniture dropped, broken lines joined.

Dropped, and listed among the lines set aside: page numbers (「- 1 -」, 「第1页 共3页」), rules, running heads that a PDF
repeats on most pages, and what a copied web page shows around its text (当前位置, 分享到, 【打印】). Removed inside a line: Markdown ``**`` and bookmarks (``[bookmark: _GoBack]``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.dates import find_dates, only_date
from knowledge.headings import Token, match_article, match_token
from knowledge.numbers import only_number
from knowledge.readers.raw import Block, BlockKind, RawDocument

_BOOKMARK = re.compile(r"\[bookmark:[^\]\n]{0,80}\]|\*\*|__(?=\S)|[\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_PAGE_NUMBER = re.compile(
    r"^[\s\u3000]*(?:[-—–－─·•]{1,3}\s*\d{1,4}\s*[-—–－─·•]{1,3}|第\s*\d{1,4}\s*页(?:\s*[,，/]?\s*共\s*\d{1,4}\s*页)?"
    r"|\d{1,4}\s*/\s*\d{1,4})[\s\u3000]*$"
)
# Lines of a web page that came along when its text was copied.
_PAGE_WORDS = re.compile(
    r"^(?:(?:首\s*页|当前位置|您(?:当前|现在)?(?:所在)?的?(?:所在)?位置(?:是)?)\s*[：:>＞»›/].{0,80}|分享(?:到|至)?\s*[：:].{0,40}"
    r"|(?:[【\[]\s*(?:打印|关闭|返回|收藏|字体|大中小|纠错|我要纠错|打印本页|关闭窗口|关闭本页|返回顶部|打印页面)\s*[】\]]\s*)+"
    r"|扫一扫在手机(?:上)?打开当前页面?|(?:浏览|点击|阅读)(?:次数|量|数)?\s*[：:]\s*\d*\s*次?|字体(?:大小)?\s*[：:].{0,16})$"
)
_BARE_NUMBER = re.compile(r"^\s*\d{1,4}\s*$")
_MARKS = re.compile(r"[（(《〔）)》〕]")
_ENDS_SENTENCE = "。！？；：!?;:…"
_BODY = re.compile(r"[，。；]")
_BLOCK_FORMATS = {"docx", "doc", "wps", "html", "rtf"}  # their paragraphs are whole
_STANDS_ALONE = re.compile(
    r"^(?:抄\s*送|抄\s*报|主\s*送|分\s*送|附\s*件|附\s*[：:]|联\s*系|电\s*话|地\s*址|邮\s*编|电子邮箱|主题词|签发人|公开属性|公开方式"
    r"|信息公开|问\s*[：:]|答\s*[：:]|[（(]?此件|共印|[（(](?:牵头|责任|实施)(?:单位|部门)|【)"
)

_HISTORY = re.compile(r"^(?:19|20)\d\d年\d{1,2}月\d{1,2}日[ \u3000]")  # a line of the history under a law's title


@dataclass(frozen=True, slots=True)
class Line:
    """行: one paragraph, heading line or table row after joining."""

    text: str
    level: int = 0  # heading level that the container states, 0 for none
    cells: tuple[str, ...] = ()
    header: bool = False
    centred: bool = False
    opens_table: bool = False

    @property
    def is_row(self) -> bool:
        """Whether this is a table row."""
        return bool(self.cells)


@dataclass(frozen=True, slots=True)
class Tidied:
    """整理后的行: joined lines and what was dropped, as printed."""

    lines: tuple[Line, ...]
    dropped: tuple[str, ...]


@dataclass(slots=True)
class _Open:
    """A paragraph that may still grow; ``pieces`` are joined once, at its end."""

    line: Line
    pieces: list[str]
    last: str
    opened: bool  # by a number
    unclosed: int = 0
    since_open: int = 0


def tidy(raw: RawDocument) -> Tidied:
    """Drop page furniture and join what the page or the screen has broken."""
    blocks, dropped = _without_furniture(raw.blocks)
    wrap = _wrap_width(blocks)
    indents = sum(1 for block in blocks if block.text.startswith(("\u3000\u3000", "    "))) * 10 > len(blocks)
    whole = raw.format in _BLOCK_FORMATS
    lines: list[Line] = []
    current: _Open | None = None
    numbers = _Numbering()
    previous_row = False
    for block in blocks:
        text = _BOOKMARK.sub("", block.text).strip()
        if block.kind is BlockKind.ROW or block.cells:
            _close(current, lines)
            current = None
            cells = tuple(_BOOKMARK.sub("", cell).strip() for cell in block.cells)
            lines.append(Line(text, 0, cells, block.header, opens_table=not previous_row or block.level == 1))
            previous_row = True
            continue
        previous_row = False
        if not text:
            continue
        token = match_token(text) or match_article(text)
        indented = block.text[:1] in "\u3000 \t" and block.text[:2].strip() == ""
        level = block.level if block.kind is BlockKind.HEADING else 0
        join = (
            current is not None
            and not level
            and _continues(current, text, token, numbers, wrap, whole=whole, indented=indented, indents=indents)
        )
        if join and current is not None:
            current.pieces.append(_glue(current.last, text) + text)
            _grow(current, text)
        else:
            _close(current, lines)
            current = _Open(Line(text, level, centred=block.centred), [text], text, token is not None)
            _grow(current, text)
            numbers.take(token)
    _close(current, lines)
    return Tidied(tuple(lines), tuple(dropped))


def _close(current: _Open | None, lines: list[Line]) -> None:
    if current is not None:
        line = current.line
        lines.append(
            line if len(current.pieces) == 1 else Line("".join(current.pieces), line.level, centred=line.centred)
        )


def _grow(current: _Open, text: str) -> None:
    current.last = text
    current.since_open += len(text)
    for match in _MARKS.finditer(text):
        if match[0] in "（(《〔":
            current.unclosed += 1
            current.since_open = len(text) - match.start()
        elif current.unclosed:
            current.unclosed -= 1


class _Numbering:
    """Which numbers are due, so that a line that merely begins with 「二、三产业」 is not taken for a heading."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def take(self, token: Token | None) -> None:
        if token is not None:
            self._last[token.style.name] = token.number

    def due(self, token: Token) -> bool:
        return token.number == self._last.get(token.style.name, 0) + 1

    def first(self, token: Token) -> bool:
        return token.number == 1


def _continues(
    current: _Open,
    text: str,
    token: Token | None,
    numbers: _Numbering,
    wrap: float,
    *,
    whole: bool,
    indented: bool,
    indents: bool,
) -> bool:
    """Whether ``text`` is the rest of the sentence that ``current`` began."""
    last = current.last
    if current.line.level:
        return False
    width = _width(last)
    # The first line of a paragraph is two characters short of the measure: its indent is gone.
    full = bool(wrap) and width >= wrap - (4 if len(current.pieces) == 1 else 3)
    comma = last[-1] in "，、,（(《〈“‘〔" or (current.unclosed > 0 and current.since_open < 400)
    if token is not None:
        if not (comma or full) or last[-1] in _ENDS_SENTENCE:
            return False
        return not (numbers.due(token) or (numbers.first(token) and not comma))
    if _STANDS_ALONE.match(text) and not (comma and current.unclosed):
        return False
    if only_date(text) or only_number(text) or (len(text) < 60 and text.endswith("印发") and find_dates(text)):
        return False
    if only_date(last) or only_number(last) or _HISTORY.match(text):
        return False
    if current.unclosed and current.since_open < 400 and last[-1] in "：:；;":
        return True
    if last[-1] in _ENDS_SENTENCE or (last[-1] in "）)”’》" and last[-2:-1] in _ENDS_SENTENCE):
        return full and last[-1] in "。；" and width >= wrap - 0.5 and not indented and not _short(text)
    if indented and indents and not current.unclosed:
        return False
    if comma:
        return not whole or bool(wrap) or current.unclosed > 0
    if last[-1] in "）)" and current.unclosed == 0:
        return full and width >= wrap - 0.5
    if full:
        return True
    # A page break within a sentence: body text has a comma or a stop, a heading that is due no full stop.
    heading = current.opened and "。" not in last
    return not whole and not wrap and len(last) >= 20 and not heading and bool(_BODY.search(last))


def _short(text: str) -> bool:
    return len(text) < 12


def _glue(last: str, text: str) -> str:
    """A space only between two Latin words."""
    return " " if last[-1:].isascii() and last[-1:].isalnum() and text[:1].isascii() and text[:1].isalpha() else ""


def _width(text: str) -> float:
    """Width in full-width characters: three bytes of UTF-8 are one, one byte is half."""
    return (len(text) + len(text.encode("utf-8", "replace"))) / 4


def _wrap_width(blocks: Sequence[Block]) -> float:
    """The width at which lines were broken by hand, 0 where they were not.

    Broken text has a right edge: hardly a line is wider, many come near it, and most of those end within a sentence.
    """
    texts = [_BOOKMARK.sub("", block.text[:300]).strip() for block in blocks if block.kind is BlockKind.PARAGRAPH]
    texts = [text for text in texts if text]
    if len(texts) < 8 or len(texts) * 10 < len(blocks) * 8:
        return 0.0
    widths = sorted(_width(text[:200]) for text in texts)
    edge = widths[-1 - len(widths) // 20]
    if not 16 <= edge <= 60:
        return 0.0
    near = [text for text in texts if edge - 3 <= _width(text[:200]) <= edge + 2]
    broken = sum(1 for text in near if text[-1] not in _ENDS_SENTENCE and text[-1] not in "）)")
    return edge if len(near) >= 4 and len(near) * 5 >= len(texts) and broken * 5 >= len(near) * 3 else 0.0


def _without_furniture(blocks: Sequence[Block]) -> tuple[list[Block], list[str]]:
    repeated = _running_heads(blocks)
    kept: list[Block] = []
    dropped: list[str] = []
    paged = any(block.page for block in blocks)
    for block in blocks:
        text = block.text.strip()
        bare = paged and bool(_BARE_NUMBER.match(text)) and block.kind is not BlockKind.ROW
        furniture = _PAGE_NUMBER.match(text) or (len(text) < 120 and _PAGE_WORDS.match(text))
        if block.kind is BlockKind.RULE or furniture or bare or (block.page > 1 and text in repeated):
            if text:
                dropped.append(text)
            continue
        kept.append(block)
    return kept, dropped


def _running_heads(blocks: Sequence[Block]) -> set[str]:
    """Texts that open or close most pages of a paged document."""
    edges: Counter[str] = Counter()
    pages = {block.page for block in blocks if block.page}
    if len(pages) < 3:
        return set()
    previous: Block | None = None
    for block in blocks:
        if previous is None or block.page != previous.page:
            edges[block.text.strip()] += 1
            if previous is not None:
                edges[previous.text.strip()] += 1
        previous = block
    return {text for text, count in edges.items() if text and len(text) < 60 and count * 2 > len(pages) and count >= 3}
