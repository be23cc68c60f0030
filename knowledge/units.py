"""责任单位: who does what, read from the brackets at the end of an item.

The wordings in use: （责任单位：A，B）, （牵头单位：A；实施单位：B）, （A牵头，B、C负责）, a line 责任单位：A、B, and the
columns of a table of tasks. Names are brought to those of the organ directory when one is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowledge.model import Organ, ResponsibleUnit, UnitRole

_LABEL = re.compile(
    r"(?:省级|市级|州级|县级|区级|乡级|主要|具体|第一)?(牵头|主办|承办|责任|落实|负责|实施|配合|协办|参与|协同|参加)"
    r"(?:责任)?(?:单位|部门|机关|科室|处室|领导小组成员单位|主体)(?:及(?:责任|配合|实施)?(?:单位|部门))?\s*[：:]"
)
_VERB = re.compile(
    r"(?:分别)?(?:共同)?(牵头|主办|负责|配合|落实|参与|实施|承办|协办)(?:负责|落实|实施|配合)?(?=[，,；;。\s]|$)"
)
_ROLES = {
    **dict.fromkeys(("牵头", "主办", "承办"), UnitRole.LEAD),
    **dict.fromkeys(("责任", "落实", "负责"), UnitRole.RESPONSIBLE),
    **dict.fromkeys(("实施", "配合", "协办", "参与", "协同", "参加"), UnitRole.IMPLEMENT),
}
_CLOSERS = {"（": "）", "(": ")", "〔": "〕", "[": "]", "【": "】", "<": ">", "〈": "〉"}
_LONGEST_BRACKET = 1500
_UNIT_WORD = re.compile(
    "局|办|委|部门|政府|中心|乡镇|镇乡|街道|单位|公司|院|厅|支行|银行|队|站|所|社|会|处|组|机关|机构|企业|学校|馆|园区|管委"
)
_GENERIC = {"部门", "有关部门", "相关部门", "单位", "有关单位", "相关单位", "等", "各级", "按职责分工", "按照职责分工"}
_DISTRIBUTED = re.compile(
    r"按(?:照)?(?:各自)?职责(?:分工)?|按(?:照)?(?:各自)?(?:任务)?分工|依(?:据|照|法)?职责(?:分工)?|分别|共同"
)


@dataclass(frozen=True, slots=True)
class UnitGroup:
    """责任单位组: one bracket or line that names units, ``text[start:end]``."""

    units: tuple[ResponsibleUnit, ...]
    start: int
    end: int

    def named(self, role: UnitRole) -> bool:
        """Whether any unit of the group has this role."""
        return any(unit.role is role for unit in self.units)


class Directory:
    """机构名录: brings printed names of organs to those of the directory."""

    def __init__(self, organs: Iterable[Organ] = ()) -> None:
        self._exact: dict[str, str] = {}
        self._short: list[tuple[str, str]] = []
        for organ in organs:
            for name in (organ.name, organ.short_name, *organ.aliases):
                if name:
                    self._exact.setdefault(_plain(name), organ.name)
                    self._exact.setdefault(_core(name), organ.name)
                    self._short.append((_core(name), organ.name))

    def name_of(self, printed: str) -> str:
        """Name in the directory: by name, alias, or as an abbreviation that fits exactly one organ (县卫健局)."""
        known = self._exact.get(_plain(printed)) or self._exact.get(_core(printed))
        if known or not self._short:
            return known or printed
        core = _core(printed)
        if len(core) < 2 or core[-1] not in "局办委院中心队所站处部":
            return printed
        fitting = {name for full, name in self._short if _abbreviates(core, full)}
        return fitting.pop() if len(fitting) == 1 else printed


def _plain(name: str) -> str:
    return re.sub(r"\s", "", name).replace("(", "（").replace(")", "）")


def _core(name: str) -> str:
    """The name without the county before it: 青禾县卫生健康局, 县卫生健康局 and 卫生健康局 are one."""
    name = _plain(name)
    short = re.sub(r"^(?:[\u4e00-\u9fff]{2,6}?(?:省|市|州|县|区|旗)|[省市州县区旗])(?=[\u4e00-\u9fff]{3})", "", name)
    if name.startswith(("市场", "区域", "县域")):
        short = name
    elif short.startswith("场监"):
        short = "市" + short
    return short.replace("人民政府", "政府").replace("办公室", "办")


def _abbreviates(short: str, full: str) -> bool:
    """``short`` keeps some letters of ``full`` in order, the first and the last among them."""
    if len(short) >= len(full) or short[0] != full[0] or short[-1] != full[-1]:
        return False
    rest = iter(full)
    return all(letter in rest for letter in short)


def find_unit_groups(text: str, directory: Directory | None = None) -> tuple[UnitGroup, ...]:
    """Every group of responsible units in ``text``, in reading order. Linear in the length of ``text``."""
    directory = directory or Directory()
    groups = []
    for start, end in _brackets(text):
        units = _units_of(text[start + 1 : end - 1], directory, bracketed=True)
        if units:
            groups.append(UnitGroup(units, start, end))
    place = 0
    for line in text.split("\n"):
        stripped = line.strip()
        if len(stripped) < _LONGEST_BRACKET and _LABEL.match(stripped):
            units = _units_of(stripped, directory, bracketed=False)
            if units:
                groups.append(UnitGroup(units, place, place + len(line)))
        place += len(line) + 1
    return tuple(sorted(groups, key=lambda group: group.start))


def units_of_cell(role: UnitRole, cell: str, directory: Directory) -> tuple[ResponsibleUnit, ...]:
    """The units of a table cell under a column head of this role."""
    return tuple(ResponsibleUnit(name, role) for name in _names(cell, directory))


def role_of_head(head: str) -> UnitRole | None:
    """The role that a column head of a table of tasks stands for (牵头单位, 配合单位 …)."""
    match = _LABEL.fullmatch(re.sub(r"\s", "", head) + "：") if len(head) < 20 else None
    return _ROLES[match[1]] if match else None


def _brackets(text: str) -> list[tuple[int, int]]:
    """Spans of the outermost round brackets; one that stays open ends nowhere and is left out."""
    spans: list[tuple[int, int]] = []
    stack: list[int] = []
    for place, character in enumerate(text):
        if character in "（(":
            if stack and place - stack[0] > _LONGEST_BRACKET:
                stack.clear()
            stack.append(place)
        elif character in "）)" and stack:
            start = stack.pop()
            if not stack:
                spans.append((start, place + 1))
    return spans


def _units_of(content: str, directory: Directory, *, bracketed: bool) -> tuple[ResponsibleUnit, ...]:
    content = re.sub(r"\s", "", content)
    labels = list(_LABEL.finditer(content))
    found: list[ResponsibleUnit] = []
    if labels and labels[0].start() <= 6:
        for number, label in enumerate(labels):
            end = labels[number + 1].start() if number + 1 < len(labels) else len(content)
            found += [ResponsibleUnit(n, _ROLES[label[1]]) for n in _names(content[label.end() : end], directory)]
    elif bracketed and len(content) <= 600:
        found = _by_verbs(content, directory)
    return tuple(dict.fromkeys(found))


def _by_verbs(content: str, directory: Directory) -> list[ResponsibleUnit]:
    """（A、B牵头，C负责）: units stand before the verb that gives their role."""
    content = content.rstrip("。；;")
    verbs = list(_VERB.finditer(content))
    if not verbs or verbs[-1].end() != len(content):
        return []
    found: list[ResponsibleUnit] = []
    start = 0
    for verb in verbs:
        names = _names(_DISTRIBUTED.sub("", content[start : verb.start()]), directory)
        if not names or any(not _UNIT_WORD.search(name) or len(name) > 40 for name in names):
            return []
        found += [ResponsibleUnit(name, _ROLES[verb[1]]) for name in names]
        start = verb.end()
    return found


def _names(text: str, directory: Directory) -> list[str]:
    names: list[str] = []
    for piece in _split(text):
        piece = _DISTRIBUTED.sub("", piece).strip("。.；;，,、：: \n")
        listed = re.match(r"^(.{2,20}?(?:局|办|委|院|中心|厅|部|公司|队))等(.*)$", piece)
        for name in (listed[1], listed[2]) if listed else (piece,):
            name = name.strip()
            if len(name) > 1 and name not in _GENERIC and name != "/":
                names.append(directory.name_of(name.replace("<", "（").replace(">", "）")))
    return names


def _split(text: str) -> list[str]:
    """Cut at 、，；; and line ends outside brackets (各乡镇（街道） stays whole)."""
    pieces: list[str] = []
    current: list[str] = []
    closing: list[str] = []
    for character in text:
        if character in _CLOSERS and len(closing) < 8:
            closing.append(_CLOSERS[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif not closing and character in "、，,；;。\n　":
            pieces.append("".join(current))
            current = []
            continue
        current.append(character)
    pieces.append("".join(current))
    return pieces


def flat(groups: Sequence[UnitGroup]) -> tuple[ResponsibleUnit, ...]:
    """The units of all groups, each once, in reading order."""
    return tuple(dict.fromkeys(unit for group in groups for unit in group.units))
