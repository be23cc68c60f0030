"""条目: cutting the body of a document into its smallest numbered items.

Chinese numerals decide the nesting, never the container's heading levels. Five shapes, one function each: articles
(第X条), numbered items, labelled sections of a service guide, questions and answers, tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from knowledge.dates import numeral
from knowledge.headings import Style, Token, begins_article, match_article, match_token
from knowledge.lines import Line
from knowledge.model import ResponsibleUnit
from knowledge.units import Directory, find_unit_groups, flat, role_of_head, units_of_cell

LONGEST = 1500  # characters of a passage before it is split
_LONGEST_LEAD = 40
_TABLE_GROUP = 800

# Section names of service guides (事项要素, GB/T 39554), as offices print them.
_GUIDE_SET = frozenset(
    [
        "事项名称",
        "事项简述",
        "实施主体",
        "实施机关",
        "责任单位",
        "受理机构",
        "受理部门",
        "受理单位",
        "办理机构",
        "办理部门",
        "决定机构",
        "服务对象",
        "适用对象",
        "面向对象",
        "适用范围",
        "办理对象",
        "申请人",
        "受理条件",
        "办理条件",
        "申请条件",
        "准予批准的条件",
        "申报条件",
        "条件",
        "申请材料",
        "所需材料",
        "办理材料",
        "申报材料",
        "提交材料",
        "材料清单",
        "需要材料",
        "材料",
        "办理流程",
        "办理程序",
        "办事流程",
        "申请流程",
        "流程",
        "办理步骤",
        "办理方式",
        "办理形式",
        "申请方式",
        "受理方式",
        "办理渠道",
        "办理途径",
        "网上办理",
        "在线办理",
        "线上办理",
        "线下办理",
        "网办地址",
        "办理地点",
        "办理地址",
        "受理地点",
        "受理地址",
        "办公地址",
        "办公地点",
        "地址",
        "联系地址",
        "窗口地址",
        "办理时间",
        "办公时间",
        "受理时间",
        "工作时间",
        "服务时间",
        "时间",
        "办理时限",
        "办结时限",
        "法定时限",
        "法定办结时限",
        "承诺时限",
        "承诺办结时限",
        "办理期限",
        "时限",
        "收费标准",
        "收费依据",
        "收费情况",
        "是否收费",
        "收费",
        "费用",
        "咨询电话",
        "咨询方式",
        "联系电话",
        "电话",
        "联系方式",
        "监督电话",
        "投诉电话",
        "监督投诉",
        "监督投诉电话",
        "监督投诉方式",
        "监督方式",
        "设定依据",
        "法律依据",
        "办理依据",
        "政策依据",
        "实施依据",
        "依据",
        "结果送达",
        "送达方式",
        "办理结果",
        "审批结果",
        "结果名称",
        "结果领取",
        "领取方式",
        "补贴标准",
        "待遇标准",
        "发放标准",
        "发放方式",
        "资助标准",
        "救助标准",
        "注意事项",
        "温馨提示",
        "特别提醒",
        "特别提示",
        "提示",
        "备注",
        "常见问题",
        "办件类型",
        "事项类型",
        "办理层级",
        "表格下载",
        "中介服务",
        "权利与义务",
        "查询方式",
        "进度查询",
        "有效期限",
        "数量限制",
        "禁止性要求",
        "申请表",
        "样表",
        "网上申报",
        "申领方式",
        "申领条件",
        "申领材料",
    ]
)
_BRACKET_LABEL = re.compile(r"^[【\[]\s*([^】\]\n]{2,16}?)\s*[】\]]\s*[：:]?\s*")
_COLON_LABEL = re.compile(r"^([\u4e00-\u9fff（）()、/]{2,14})\s*[：:]\s*")
_QUESTION = re.compile(
    r"^(?:[【\[]?\s*(?:问题?|提问|Q|q)\s*(\d{0,3}|[一二三四五六七八九十]{0,3})\s*[】\]]?\s*[：:、.．]\s*|【问】\s*|\[问\]\s*|问\s(?=\S))"
)
_ANSWER = re.compile(
    r"^(?:[【\[]?\s*(?:答|回答|解答|回复|答复|A|a)\s*\d{0,3}\s*[】\]]?\s*[：:、.．]|【答】|\[答\]|答\s(?=\S))"
)
_CLOSING = re.compile(
    r"^(?:特此|请(?:各|认真|遵照|结合)|以上|此前|原有?|本(?:通知|决定|预案|规则|制度|方案|意见|办法|细则|规定|措施|政策|通告|公告|计划|标准|要点|实施)"
    r"|各(?:地|乡|县|市|镇|区|单位|部门|级)[^。]{0,40}(?:要|应|请)将?|上述|《|联系|咨询|附件|附\s*[：:]|执行中|实施中|未尽事宜|自\d{4}年|此通知)"
)
_BRACKET_END = re.compile(r"[）)]\s*。?$")


@dataclass(frozen=True, slots=True)
class Draft:
    """条目草稿: a passage before it has an id and an ordinal."""

    locator: str
    path: tuple[str, ...]
    text: str
    lead: str = ""
    units: tuple[ResponsibleUnit, ...] = ()


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
        return _dialogue(lines, directory, preface)
    if guide and _labels_rule(lines):
        drafts = _guide(lines, directory, preface)
        if drafts:
            return drafts
    return _items(lines, directory, preface)


def plain(lines: Sequence[Line], locator: str, directory: Directory) -> list[Draft]:
    """All lines under one locator."""
    return _plain(lines, locator, (), directory)


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
                drafts.extend(_plain(pending, preface if not last[0] else "正文", (), directory))
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
        drafts.extend(_plain(pending, preface, (), directory))
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
    text = _joined(lines)
    if len(text) <= LONGEST:
        return [_draft(label, path, text, directory)]
    clauses: list[list[Line]] = []
    for line in lines:
        token = match_token(line.text)
        if clauses and (line.is_row or token is not None):
            clauses[-1].append(line)  # an item belongs to the clause that announces it
        else:
            clauses.append([line])
    if len(clauses) == 1:
        return [_draft(label, path, piece, directory) for piece in _pieces(text)]
    drafts = []
    for number, clause in enumerate(clauses, 1):
        for piece in _pieces(_joined(clause)):
            drafts.append(_draft(f"{label}第{_han(number)}款", path, piece, directory))
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
        return _plain(root.body, "正文", (), directory)
    drafts.extend(_plain(root.body, preface, (), directory))
    closing = root.children.pop() if root.children[-1].label == "文末" else None
    for child in root.children:
        _emit(child, "", (), drafts, directory)
    if closing is not None:
        drafts.extend(_plain(closing.body, "文末", (), directory))
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
    if token.style is Style.HAN and follows == token.number + 1 and rest[1:2] in tuple("、级类等产档季"):
        return False  # 「二、三产业」
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
    text = _joined(words)
    if len(text) <= LONGEST:
        drafts.append(_draft(locator, path, text, directory, _lead(node)))
    else:
        drafts.extend(_plain(words, locator, path, directory, _lead(node)))
    if rows:
        drafts.extend(_tables(rows, locator, (*path, _heading_text(node)), directory))
    return drafts


# ---------------------------------------------------------------- guides


def guide_label(text: str) -> tuple[str, int]:
    """(section name, offset of its content) of a line that opens a section of a service guide."""
    bracket = _BRACKET_LABEL.match(text)
    if bracket and len(bracket[1]) <= 12:
        return bracket[1].strip("：: "), bracket.end()
    token = match_token(text)
    start = token.end if token else 0
    rest = text[start:].lstrip(" \t\u3000")
    start = len(text) - len(rest)
    colon = _COLON_LABEL.match(rest)
    if colon and re.sub(r"[（(].*", "", colon[1]) in _GUIDE_SET:
        return colon[1], start + colon.end()
    plain = rest.strip("：:。 ")
    if len(plain) <= 14 and re.sub(r"[（(].*", "", plain) in _GUIDE_SET and "，" not in plain:
        return plain, len(text)
    return "", 0


def guide_labels(lines: Sequence[Line]) -> int:
    """How many different section names of service guides open lines (or rows of two cells)."""
    names = set()
    for line in lines:
        name = _row_label(line) if line.is_row else guide_label(line.text)[0]
        if name in _GUIDE_SET:
            names.add(name)
    return len(names)


def _labels_rule(lines: Sequence[Line]) -> bool:
    """False for a guide written like a 公文 (政府信息公开指南), where 「电话：」 is a line of an item."""
    items = sum(
        1 for line in lines if not line.is_row and (t := match_token(line.text)) and t.style is Style.HAN_BRACKET
    )
    return guide_labels(lines) * 2 >= items


def _row_label(line: Line) -> str:
    cells = [cell for cell in line.cells if cell]
    if len(cells) == 2:
        name = re.sub(r"[\s：:]", "", cells[0])
        return name if name in _GUIDE_SET else ""
    return ""


def _guide(lines: Sequence[Line], directory: Directory, preface: str) -> list[Draft]:
    """One passage a section; without sections the whole guide is one text."""
    if guide_labels(lines) < 2 and not any(_section_head(line) for line in lines):
        if sum(len(line.text) for line in lines) <= 800 and not any(line.is_row for line in lines):
            return [_draft("正文", (), _joined(lines), directory)]
        return []
    drafts: list[Draft] = []
    path: list[tuple[float, str]] = []
    name = ""
    section: list[Line] = []

    def finish() -> None:
        nonlocal section
        if section:
            steps = tuple(text for _, text in path)
            if name:
                drafts.extend(_section(section, name, steps, directory))
            else:
                drafts.extend(_plain(section, preface if not drafts else "正文", steps, directory))
        section = []

    flat_sections = _flat_section_rank(lines)
    for number, line in enumerate(lines):
        if line.is_row:
            label = _row_label(line)
            if label:
                finish()
                name = label
                cells = [cell for cell in line.cells if cell]
                section = [Line(_named(cells[0], cells[1]))]
                finish()
                name = ""
                continue
            section.append(line)
            continue
        token = match_token(line.text)
        label, _ = guide_label(line.text)
        if (
            not label
            and flat_sections is not None
            and token
            and token.style is flat_sections
            and _short_heading(line, token)
        ):
            label = line.text[token.end :].strip(" \u3000：:。")
        if not label and line.level >= 2 and token is None and len(line.text) <= 20:
            label = line.text.strip("：: ")
        if label and not _opens_group(line, lines[number + 1 : number + 2]):
            finish()
            name = label
            section = [line]
            continue
        if label or (
            token is not None and token.style <= Style.HAN and _short_heading(line, token) and flat_sections is None
        ):
            finish()
            name = ""
            rank = token.rank if token else float(line.level)
            path = [step for step in path if step[0] < rank]
            path.append((rank, line.text))
            continue
        section.append(line)
    finish()
    return drafts


def _section_head(line: Line) -> bool:
    token = None if line.is_row else match_token(line.text)
    return token is not None and token.style is Style.HAN and _short_heading(line, token)


def _short_heading(line: Line, token: Token) -> bool:
    rest = line.text[token.end :].strip()
    return 2 <= len(rest) <= 20 and rest[-1] not in "。；，"


def _flat_section_rank(lines: Sequence[Line]) -> Style | None:
    """一、 where the guide's sections are numbered so; None where 一、 stands above labelled sections."""
    tops = [line for line in lines if _section_head(line)]
    labelled = [line for line in tops if guide_label(line.text)[0] in _GUIDE_SET]
    inner = [line for line in lines if not line.is_row and line not in tops and guide_label(line.text)[0] in _GUIDE_SET]
    return Style.HAN if tops and (labelled or not inner) else None


def _opens_group(line: Line, following: Sequence[Line]) -> bool:
    """A top heading right above a labelled section is a group (一、低保申请 / 办理条件：…)."""
    if guide_label(line.text)[0] in _GUIDE_SET or not following or following[0].is_row:
        return False
    return guide_label(following[0].text)[0] in _GUIDE_SET


def _section(lines: list[Line], name: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    words = [line for line in lines if not line.is_row]
    rows = [line for line in lines if line.is_row]
    drafts = [_draft(name, path, piece, directory, name) for piece in _pieces(_joined(words))]
    if rows:
        drafts.extend(_tables(rows, name, (*path, name), directory))
    return drafts


# ---------------------------------------------------------------- questions and answers


def is_dialogue(lines: Sequence[Line]) -> bool:
    asked = sum(1 for line in lines if not line.is_row and _QUESTION.match(line.text))
    answered = sum(1 for line in lines if not line.is_row and _ANSWER.match(line.text))
    if asked >= 2 and answered >= 2:
        words = sum(len(line.text) for line in lines)
        return _dialogue_words(lines) * 2 >= words
    numbered = [line for line in lines if not line.is_row and match_token(line.text)]
    asking = [line for line in numbered if _asks(line.text)]
    if answered >= 2 and len(asking) >= 2:
        return True
    return len(asking) >= 3 and len(asking) * 10 >= len(numbered) * 6


def _dialogue_words(lines: Sequence[Line]) -> int:
    started, words = False, 0
    for line in lines:
        token = match_token(line.text)
        if _QUESTION.match(line.text) or _ANSWER.match(line.text):
            started = True
        elif token is not None and token.style <= Style.HAN:
            started = False
        words += len(line.text) if started else 0
    return words


def _asks(text: str) -> bool:
    end = re.search(r"[。；]", text)
    return text[: end.start() if end else len(text)].rstrip("”’」）)").endswith(("？", "?")) or "？" in text[:80]


def _dialogue(lines: Sequence[Line], directory: Directory, preface: str) -> list[Draft]:
    drafts: list[Draft] = []
    path: list[tuple[float, str]] = []
    section: list[Line] = []
    question = ""
    locator = preface
    count = 0
    asked = any(_QUESTION.match(line.text) for line in lines)

    def finish() -> None:
        nonlocal section
        if section:
            steps = tuple(text for _, text in path)
            for number, piece in enumerate(_pieces(_joined([line for line in section if not line.is_row]))):
                drafts.append(_draft(locator, steps, piece, directory, question if number == 0 else ""))
            rows = [line for line in section if line.is_row]
            if rows:
                drafts.extend(_tables(rows, locator, steps, directory))
        section = []

    for line in lines:
        token = None if line.is_row else match_token(line.text)
        rest = line.text[token.end :].lstrip() if token else line.text
        opener = None if line.is_row else _QUESTION.match(rest)
        if (
            not line.is_row
            and not _ANSWER.match(rest)
            and (opener or (token and _asks(rest)) or (not asked and line.level and _asks(rest)))
        ):
            finish()
            count += 1
            question = rest[opener.end() :] if opener else rest
            question = question.split("答：")[0].strip()
            question = question[: question.find("？") + 1] if "？" in question else question
            above = "".join(_label_of(text) for _, text in path)
            locator = (
                (above + token.label)
                if token and token.style is not Style.HAN
                else f"{token.label}"
                if token
                else f"第{count}问"
            )
            section = [line]
            continue
        heading = token is not None and len(line.text) <= 40 and line.text[-1] not in "。；：，"
        unanswered = bool(question) and len(section) == 1
        if token is not None and heading and token.style <= Style.HAN_BRACKET and not unanswered:
            finish()
            path = [step for step in path if step[0] < token.rank]
            path.append((token.rank, line.text))
            locator, question = _locator_of(path), ""
            continue
        if token is None and line.level and not asked and len(line.text) <= 30:
            finish()
            path = [(-5.0, line.text)]
            continue
        section.append(line)
    finish()
    return drafts


def _label_of(heading: str) -> str:
    token = match_token(heading)
    return token.label if token else ""


def _locator_of(path: list[tuple[float, str]]) -> str:
    return "".join(_label_of(text) for _, text in path) or "正文"


# ---------------------------------------------------------------- tables and plain text


def _tables(rows: Sequence[Line], locator: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    tables: list[list[Line]] = []
    for row in rows:
        if row.opens_table or not tables:
            tables.append([])
        tables[-1].append(row)
    drafts: list[Draft] = []
    for number, table in enumerate(tables, 1):
        name = f"表{number}" if len(tables) > 1 else "表"
        place = f"{locator} {name}" if locator and locator not in ("正文", "前言") else name
        drafts.extend(_table(table, place, path, directory))
    return drafts


def _table(rows: list[Line], locator: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    caption: list[str] = []
    while len(rows) > 1 and sum(1 for cell in rows[0].cells if cell) == 1:
        caption.append(next(cell for cell in rows[0].cells if cell).replace("\n", " "))
        rows = rows[1:]
    heads, body = _heads_of(rows)
    roles = [role_of_head(head) for head in heads]
    groups: list[tuple[list[str], list[ResponsibleUnit]]] = []
    size = 0
    for row in body:
        text = _row_text(row.cells, heads)
        units = [
            unit
            for place, cell in enumerate(row.cells)
            if place < len(roles) and (role := roles[place]) is not None
            for unit in units_of_cell(role, cell, directory)
        ]
        if not groups or (size + len(text) > _TABLE_GROUP and size):
            groups.append(([], []))
            size = 0
        groups[-1][0].append(text)
        groups[-1][1].extend(units)
        size += len(text)
    if not body:
        groups = [([_row_text(row.cells, []) for row in rows], [])]
    unused = [
        head
        for place, head in enumerate(heads)
        if head and not any(row.cells[place : place + 1] > ("",) for row in body)
    ]
    if body and unused:
        groups[0][0].insert(0, "；".join(unused))  # columns that no row fills
    if len(groups) > 1 and sum(len(line) for texts, _ in groups for line in texts) <= _TABLE_GROUP + 200:
        groups = [([line for texts, _ in groups for line in texts], [unit for _, units in groups for unit in units])]
    steps = (*path, *(text for text in caption if text not in path))
    drafts = []
    first = 1
    for texts, units in groups:
        place = locator if len(groups) == 1 else f"{locator} 第{first}—{first + len(texts) - 1}行"
        if len(groups) > 1 and len(texts) == 1:
            place = f"{locator} 第{first}行"
        first += len(texts)
        drafts.append(
            Draft(place, steps, "\n".join(texts), caption[-1] if caption else "", tuple(dict.fromkeys(units)))
        )
    return drafts


def _heads_of(rows: Sequence[Line]) -> tuple[list[str], list[Line]]:
    marked = 0
    while marked < len(rows) and rows[marked].header:
        marked += 1
    if not marked and len(rows) >= 2:
        cells = rows[0].cells
        filled = [cell for cell in cells if cell]
        marked = 1 if len(filled) >= 2 and all(len(cell) <= 20 and not cell.endswith("。") for cell in filled) else 0
        if len(cells) == 2 and marked and _row_label(rows[0]):
            marked = 0
    if not marked:
        return [], list(rows)
    width = max(len(row.cells) for row in rows)
    heads = ["" for _ in range(width)]
    for row in rows[:marked]:
        carried = ""
        for place in range(width):
            cell = row.cells[place] if place < len(row.cells) else ""
            carried = cell or (carried if marked > 1 else "")
            if carried and not heads[place].endswith(carried):
                heads[place] += carried
    return [re.sub(r"\s", "", head) for head in heads], list(rows[marked:])


def _row_text(cells: Sequence[str], heads: Sequence[str]) -> str:
    """「列名：值；列名：值」; a row of two cells without heads reads 「名：值」."""
    filled = [cell.replace("\n", " ") for cell in cells if cell]
    if not heads and len(filled) == 2 and len(filled[0]) <= 16:
        return _named(filled[0], filled[1])
    text = ""
    for place, cell in enumerate(cells):
        if cell:
            head = heads[place] if place < len(heads) else ""
            value = _named(head, cell.replace("\n", " "))
            text += value if not text or text[-1] in "；;" else f"；{value}"
    return text


def _named(name: str, value: str) -> str:
    return f"{name}{value}" if not name or name[-1] in "：:" else f"{name}：{value}"


def _plain(
    lines: Sequence[Line], locator: str, path: tuple[str, ...], directory: Directory, lead: str = ""
) -> list[Draft]:
    """Text without numbers: one passage, or groups of paragraphs named by their place when it is long."""
    words = [line for line in lines if not line.is_row]
    rows = [line for line in lines if line.is_row]
    drafts: list[Draft] = []
    if words:
        text = _joined(words)
        if len(text) <= LONGEST:
            drafts.append(_draft(locator, path, text, directory, lead))
        else:
            drafts.extend(_paragraph_groups(words, locator, path, directory, lead))
    if rows:
        drafts.extend(_tables(rows, locator, path, directory))
    return drafts


def _paragraph_groups(
    words: Sequence[Line], locator: str, path: tuple[str, ...], directory: Directory, lead: str
) -> list[Draft]:
    drafts: list[Draft] = []
    group: list[str] = []
    first, size = 1, 0

    def finish(last: int) -> None:
        nonlocal group, size
        if group:
            place = f"{locator}第{first}段" if first == last else f"{locator}第{first}—{last}段"
            drafts.append(_draft(place, path, "\n".join(group), directory, lead if not drafts else ""))
        group, size = [], 0

    for number, line in enumerate(words, 1):
        if size and size + len(line.text) > LONGEST * 2 // 3:
            finish(number - 1)
        for place, piece in enumerate(_pieces(line.text)):
            if place:
                finish(number)
            if not group:
                first = number
            group.append(piece)
            size += len(piece)
    finish(len(words))
    return drafts


def _pieces(text: str) -> list[str]:
    """``text`` whole, or cut at line and sentence ends into pieces of at most ``LONGEST`` characters."""
    if len(text) <= LONGEST:
        return [text] if text else []
    pieces: list[str] = []
    start = 0
    while len(text) - start > LONGEST:
        window = text[start : start + LONGEST]
        end = max(window.rfind("\n"), window.rfind("。"), window.rfind("；")) + 1
        end = end if end > LONGEST // 4 else LONGEST
        pieces.append(window[:end].strip("\n"))
        start += end
    pieces.append(text[start:].strip("\n"))
    return [piece for piece in pieces if piece]


def _joined(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines if line.text)


def _draft(locator: str, path: tuple[str, ...], text: str, directory: Directory, lead: str = "") -> Draft:
    return Draft(locator, path, text, lead, flat(find_unit_groups(text, directory)))
