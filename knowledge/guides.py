"""办事指南: cutting a service guide into its labelled sections (【办理条件】, 办理条件：, 一、受理条件, rows of two cells)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.headings import Style, Token, match_token
from knowledge.labels import SECTION_NAMES
from knowledge.lines import Line
from knowledge.passages import Draft, draft, joined, named, pieces, plain, tables
from knowledge.units import Directory

_BRACKET_LABEL = re.compile(r"^[【\[]\s*([^】\]\n]{2,16}?)\s*[】\]]\s*[：:]?\s*")
_COLON_LABEL = re.compile(r"^([\u4e00-\u9fff（）()、/]{2,14})\s*[：:]\s*")


def section_label(text: str) -> tuple[str, int]:
    """(section name, offset of its content) of a line that opens a section of a service guide."""
    bracket = _BRACKET_LABEL.match(text)
    if bracket and len(bracket[1]) <= 12:
        return bracket[1].strip("：: "), bracket.end()
    token = match_token(text)
    start = token.end if token else 0
    rest = text[start:].lstrip(" \t\u3000")
    start = len(text) - len(rest)
    colon = _COLON_LABEL.match(rest)
    if colon and re.sub(r"[（(].*", "", colon[1]) in SECTION_NAMES:
        return colon[1], start + colon.end()
    plain = rest.strip("：:。 ")
    if len(plain) <= 14 and re.sub(r"[（(].*", "", plain) in SECTION_NAMES and "，" not in plain:
        return plain, len(text)
    return "", 0


def count_labels(lines: Sequence[Line]) -> int:
    """How many different section names of service guides open lines (or rows of two cells)."""
    names = set()
    for line in lines:
        name = _row_label(line) if line.is_row else section_label(line.text)[0]
        if name in SECTION_NAMES:
            names.add(name)
    return len(names)


def labels_rule(lines: Sequence[Line]) -> bool:
    """False for a guide written like a 公文 (政府信息公开指南), where 「电话：」 is a line of an item."""
    items = sum(
        1 for line in lines if not line.is_row and (t := match_token(line.text)) and t.style is Style.HAN_BRACKET
    )
    return count_labels(lines) * 2 >= items


def _row_label(line: Line) -> str:
    cells = [cell for cell in line.cells if cell]
    if len(cells) == 2:
        name = re.sub(r"[\s：:]", "", cells[0])
        return name if name in SECTION_NAMES else ""
    return ""


def cut_guide(lines: Sequence[Line], directory: Directory, preface: str) -> list[Draft]:
    """One passage a section; without sections the whole guide is one text."""
    if count_labels(lines) < 2 and not any(_section_head(line) for line in lines):
        if sum(len(line.text) for line in lines) <= 800 and not any(line.is_row for line in lines):
            return [draft("正文", (), joined(lines), directory)]
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
                drafts.extend(plain(section, preface if not drafts else "正文", steps, directory))
        section = []

    flat_sections = _flat_section_rank(lines)
    for number, line in enumerate(lines):
        if line.is_row:
            label = _row_label(line)
            if label:
                finish()
                name = label
                cells = [cell for cell in line.cells if cell]
                section = [Line(named(cells[0], cells[1]))]
                finish()
                name = ""
                continue
            section.append(line)
            continue
        token = match_token(line.text)
        label, _ = section_label(line.text)
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
    labelled = [line for line in tops if section_label(line.text)[0] in SECTION_NAMES]
    inner = [
        line for line in lines if not line.is_row and line not in tops and section_label(line.text)[0] in SECTION_NAMES
    ]
    return Style.HAN if tops and (labelled or not inner) else None


def _opens_group(line: Line, following: Sequence[Line]) -> bool:
    """A top heading right above a labelled section is a group (一、低保申请 / 办理条件：…)."""
    if section_label(line.text)[0] in SECTION_NAMES or not following or following[0].is_row:
        return False
    return section_label(following[0].text)[0] in SECTION_NAMES


def _section(lines: list[Line], name: str, path: tuple[str, ...], directory: Directory) -> list[Draft]:
    words = [line for line in lines if not line.is_row]
    rows = [line for line in lines if line.is_row]
    drafts = [draft(name, path, piece, directory, name) for piece in pieces(joined(words))]
    if rows:
        drafts.extend(tables(rows, name, (*path, name), directory))
    return drafts
