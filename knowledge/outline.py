"""条目: cutting the body of a document into its smallest numbered items.

Chinese numerals decide the nesting, never the container's heading levels. ``cut`` chooses between articles (第X条) and
numbered items here, labelled sections (:mod:`knowledge.guides`) and questions with answers (:mod:`knowledge.dialogue`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from knowledge.dates import numeral
from knowledge.dialogue import cut_dialogue, is_dialogue
from knowledge.guides import cut_guide, labels_rule
from knowledge.headings import Style, Token, begins_article, match_article, match_token
from knowledge.lines import Line
from knowledge.passages import LONGEST, Draft, draft, joined, pieces, plain, tables
from knowledge.units import Directory, find_unit_groups

_LONGEST_LEAD = 40
_CLOSING = re.compile(
    r"^(?:特此|请(?:各|认真|遵照|结合)|以上|此前|原有?|本(?:通知|决定|预案|规则|制度|方案|意见|办法|细则|规定|措施|政策|通告|公告|计划|标准|要点|实施)"
    r"|各(?:地|乡|县|市|镇|区|单位|部门|级)[^。]{0,40}(?:要|应|请)将?|上述|《|[（(]?联系|[（(]?咨询|附件|附\s*[：:]|执行中|实施中|未尽事宜|自\d{4}年|此通知)"
)
_BRACKET_END = re.compile(r"[）)]\s*。?$")


@dataclass(slots=True)
class _Node:
    """An item with the lines of its own; children are nodes that follow at a deeper rank."""

    rank: float
    label: str
    heading: str = ""  # first line, with its number
    token: Token | None = None
    body: list[Line] = field(default_factory=list)
    children: list[_Node] = field(default_factory=list)


def cut(lines: Sequence[Line], directory: Directory, *, guide: bool, preface: str) -> list[Draft]:
    """Passages of one part. ``guide``: the document is a service guide; ``preface``: locator of text before item one."""
    if not lines:
        return []
    if _has_articles(lines):
        return _articles(lines, directory, preface)
    if is_dialogue(lines):
        return cut_dialogue(lines, directory, preface)
    if guide and labels_rule(lines):
        drafts = cut_guide(lines, directory, preface)
        if drafts:
            return drafts
    return _items(lines, directory, preface)


# ---------------------------------------------------------------- articles


def _has_articles(lines: Sequence[Line]) -> bool:
    last = (0, 0)
    count = 0
    for line in lines:
        token = match_article(line.text)
        if token and begins_article(line.text, token, last):
            last = (token.number, token.suffix)
            count += 1
            if count >= 2:
                return True
    return count == 1 and len(lines) <= 3


def _articles(lines: Sequence[Line], directory: Directory, preface: str) -> list[Draft]:
    drafts: list[Draft] = []
    path: list[tuple[float, str]] = []
    pending: list[Line] = []  # before the first article, or headings that open nothing
    article: list[Line] = []
    label = ""
    last = (0, 0)

    def finish() -> None:
        nonlocal article
        if article:
            drafts.extend(_article(article, label, tuple(text for _, text in path), directory))
            article = []

    for number, line in enumerate(lines):
        token = match_article(line.text)
        if token and begins_article(line.text, token, last):
            finish()
            if pending:
                drafts.extend(plain(pending, preface if not last[0] else "正文", (), directory))
                pending = []
            last, label, article = (token.number, token.suffix), token.label, [line]
            continue
        rank = _law_heading(line, lines[number + 1] if number + 1 < len(lines) else None)
        if rank is not None:
            finish()
            path = [step for step in path if step[0] < rank]
            path.append((rank, line.text))
        elif article:
            article.append(line)
        else:
            pending.append(line)
    finish()
    if pending:
        drafts.extend(plain(pending, preface, (), directory))
    return drafts


def _law_heading(line: Line, following: Line | None) -> float | None:
    """Rank of a heading between articles: 编, 章, 节, or a short 一、 that an article follows."""
    if line.is_row or len(line.text) > 60:
        return None
    token = match_token(line.text)
    if token and token.style in (Style.BOOK, Style.CHAPTER, Style.SECTION) and line.text[-1] not in "。；，：":
        return token.rank
    if line.text[-1] in "。；，：、":
        return None
    opens = following is not None and match_article(following.text) is not None
    if token and token.style in (Style.HAN, Style.HAN_BRACKET) and opens:
        return token.rank
    if token is None and line.level and match_article(line.text) is None:
        return -1.0
    return None


def _article(lines: list[Line], label: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    text = joined(lines)
    if len(text) <= LONGEST:
        return [draft(label, path, text, directory)]
    clauses: list[list[Line]] = []
    for line in lines:
        token = match_token(line.text)
        if clauses and (line.is_row or token is not None):
            clauses[-1].append(line)  # an item belongs to the clause that announces it
        else:
            clauses.append([line])
    if len(clauses) == 1:
        return [draft(label, path, piece, directory) for piece in pieces(text)]
    drafts = []
    for number, clause in enumerate(clauses, 1):
        for piece in pieces(joined(clause)):
            drafts.append(draft(f"{label}第{_han(number)}款", path, piece, directory))
    return drafts


def _han(number: int) -> str:
    digits = "零一二三四五六七八九"
    if number < 10:
        return digits[number]
    if number < 20:
        return "十" + (digits[number % 10] if number % 10 else "")
    if number < 100:
        return digits[number // 10] + "十" + (digits[number % 10] if number % 10 else "")
    return str(number)


# ---------------------------------------------------------------- numbered items


def _items(lines: Sequence[Line], directory: Directory, preface: str) -> list[Draft]:
    root = _tree(lines)
    _take_closing(root)
    drafts: list[Draft] = []
    if not root.children:
        return plain(root.body, "正文", (), directory)
    drafts.extend(plain(root.body, preface, (), directory))
    closing = root.children.pop() if root.children[-1].label == "文末" else None
    for child in root.children:
        _emit(child, "", (), drafts, directory)
    if closing is not None:
        drafts.extend(plain(closing.body, "文末", (), directory))
    return drafts


def _tree(lines: Sequence[Line]) -> _Node:
    root = _Node(-10.0, "")
    stack = [root]
    numbered = any(match_token(line.text) for line in lines if not line.is_row)
    han = any((t := match_token(line.text)) and t.style is Style.HAN for line in lines if not line.is_row)
    dotted = any((t := match_token(line.text)) and t.style is Style.DOTTED for line in lines if not line.is_row)
    last: dict[Style, int] = {}
    for line in lines:
        token = None if line.is_row else match_token(line.text)
        if token is None and dotted and not line.is_row:
            token = _bare_number(line, last.get(Style.DIGIT, 0))
        if token is not None and not _believable(token, line, last):
            token = None
        if token is None and not line.is_row:
            token = _due_number(line, stack)
        if token is not None:
            last[token.style] = token.number
            node = _Node(token.rank, token.label, line.text, token)
        elif line.level and not line.is_row and (not numbered or not han) and _heads(line, numbered):
            node = _Node(-5.0 + line.level / 10, "", line.text)
        else:
            stack[-1].body.append(line)
            continue
        while stack[-1].rank >= node.rank:
            stack.pop()
        stack[-1].children.append(node)
        stack.append(node)
    return root


def _heads(line: Line, numbered: bool) -> bool:
    return len(line.text) <= 40 and line.text[-1] not in "。；，"


def _bare_number(line: Line, last: int) -> Token | None:
    """「1 总则」 in plans that number 1, 1.1, 1.1.1."""
    match = re.match(r"(\d{1,2})[\s\u3000]+(?=[\u4e00-\u9fff])", line.text)
    if match and int(match[1]) == last + 1 and len(line.text) <= 24 and line.text[-1] not in "。；，：":
        return Token(Style.DIGIT, int(match[1]), match[1], match.end())
    return None


def _due_number(line: Line, stack: list[_Node]) -> Token | None:
    """「2.100马力以上拖拉机」 behind item 1: a number and not a decimal, because it is due."""
    match = re.match(r"(\d{1,2})[.．](?=\d)", line.text)
    if match:
        for node in stack:
            if node.token is not None and node.token.style is Style.DIGIT and node.token.number + 1 == int(match[1]):
                return Token(Style.DIGIT, int(match[1]), match[1], match.end())
    return None


def _believable(token: Token, line: Line, last: dict[Style, int]) -> bool:
    """Whether the number opens an item; a mention (「二、三产业」, 「（二）项」) is out of sequence and reads on."""
    rest = line.text[token.end :].lstrip()
    if not rest and token.style in (Style.DIGIT, Style.DIGIT_BRACKET, Style.HAN):
        return False
    if token.style in (Style.HAN_BRACKET, Style.DIGIT_BRACKET) and re.match(r"(?:项|款|至|和|、|或)", rest):
        return False
    follows = numeral(rest[:1]) if rest[:1] and not rest[:1].isdecimal() else None
    reads_on = len(line.text) > 30 or line.text[-1] in "。；，"
    if token.style is Style.HAN and reads_on and follows == token.number + 1 and rest[1:2] in tuple("、级类等产档季"):
        return False  # 「二、三产业」; a short 「一、二级标题」 is a heading
    return token.style is not Style.DOTTED or token.number == 1 or token.number == last.get(Style.DOTTED, 0) + 1


def _take_closing(root: _Node) -> None:
    """Text behind the last item that belongs to the whole document becomes a node 「文末」 of its own."""
    if not root.children:
        return
    node = root.children[-1]
    while node.children:
        node = node.children[-1]
    body = node.body
    rows = any(line.is_row for line in body)
    start = None
    if not rows and body:
        closed = bool(_BRACKET_END.search(node.heading)) and bool(find_unit_groups(node.heading))
        for place, line in enumerate(body):
            groups = bool(_BRACKET_END.search(line.text)) and bool(find_unit_groups(line.text))
            if closed and not groups and not any(find_unit_groups(later.text) for later in body[place:]):
                start = place
                break
            closed = closed or groups
            if _CLOSING.match(line.text) and (place > 0 or _run_in(node)) and not groups:
                start = place
                break
    if start is not None:
        closing = _Node(100.0, "文末")
        closing.body = body[start:]
        node.body = body[:start]
        root.children.append(closing)


def _run_in(node: _Node) -> bool:
    """Whether the item says something in its own line, beyond a bare heading."""
    return node.heading.rstrip()[-1:] in "。）)；！？" and len(node.heading) > 8


def _locator(before: str, label: str, token: Token | None) -> str:
    if token is None:
        return before
    if token.style in (Style.BOOK, Style.CHAPTER, Style.SECTION):
        return f"{before} {label}".strip() if before else label
    if token.style is Style.DOTTED:
        return label  # 3.2.1 names its parents itself
    if before and before[-1] in "编章节分篇":
        return f"{before} {label}"
    return before + label


def _emit(node: _Node, before: str, path: tuple[str, ...], drafts: list[Draft], directory: Directory) -> None:
    locator = _locator(before, node.label, node.token)
    shown = locator or node.heading
    if not node.children or _is_enumeration(node):
        lines = [Line(node.heading), *_flat_lines(node)]
        drafts.extend(_leaf(node, lines, shown, path, directory))
        return
    if node.body or _announces(node):
        drafts.extend(_leaf(node, [Line(node.heading), *node.body], shown, path, directory))
    below = (*path, _heading_text(node))
    for child in node.children:
        _emit(child, locator, below, drafts, directory)


def _announces(node: _Node) -> bool:
    """Whether the item's own line holds more than its heading (「（一）对象。包括下列人员：」)."""
    return len(node.heading) > 60 or "。" in node.heading.rstrip("。")


def _is_enumeration(node: _Node) -> bool:
    """A sentence cut into （1）…；（2）…。 is read as one: its parts say nothing alone."""
    if node.rank < Style.HAN or node.children[0].rank < Style.HAN_BRACKET:
        return False
    opening = (node.body[-1].text if node.body else node.heading).rstrip()
    if opening[-1:] not in "：:" or any(child.children for child in node.children):
        return False
    *firsts, _ = node.children
    if not all(_end_of(child).rstrip()[-1:] in "；;，、" for child in firsts):
        return False
    return sum(len(line.text) for child in node.children for line in (Line(child.heading), *child.body)) <= LONGEST


def _end_of(node: _Node) -> str:
    return node.body[-1].text if node.body else node.heading


def _flat_lines(node: _Node) -> list[Line]:
    lines = list(node.body)
    for child in node.children:
        lines.append(Line(child.heading))
        lines.extend(_flat_lines(child))
    return lines


def _heading_text(node: _Node) -> str:
    """The heading without its body: the whole line, or number and first sentence of a run-in item."""
    text = node.heading
    end = text.find("。") + 1
    return text[:end] if 0 < end <= 60 or (end and len(text) > 60) else text


def _lead(node: _Node) -> str:
    """The item's own title sentence, without its number; empty when the first sentence is already the matter."""
    start = node.token.end if node.token else 0
    text = node.heading[start:].lstrip(" \t\u3000")
    end = text.find("。")
    if end < 0 or end == len(text) - 1:
        alone = bool(node.body or node.children) and len(text) <= 60 and text[-1:] not in "，；："
        return text if alone else ""
    sentence = text[: end + 1]
    if len(sentence) <= _LONGEST_LEAD and not re.search(r"[，,；：:]", sentence):
        return sentence
    return ""


def _leaf(node: _Node, lines: list[Line], locator: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    words = [line for line in lines if not line.is_row]
    rows = [line for line in lines if line.is_row]
    drafts: list[Draft] = []
    text = joined(words)
    if len(text) <= LONGEST:
        drafts.append(draft(locator, path, text, directory, _lead(node)))
    else:
        drafts.extend(plain(words, locator, path, directory, _lead(node)))
    if rows:
        drafts.extend(tables(rows, locator, (*path, _heading_text(node)), directory))
    return drafts
