"""办事指南卡片: the facts of a service guide, taken word for word from its sections."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.model import Passage

# What the card shows, in this order, and what guides call it.
LABELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "条件",
        ("办理条件", "申请条件", "受理条件", "申办条件", "享受条件", "适用对象", "服务对象", "办理对象", "申请对象"),
    ),
    ("材料", ("申请材料", "办理材料", "所需材料", "提交材料", "申报材料", "需要材料", "材料清单", "需带材料")),
    ("地点", ("办理地点", "办理地址", "受理地点", "办理窗口", "办事地点", "办公地址")),
    ("时间", ("办理时间", "办公时间", "受理时间", "工作时间")),
    ("时限", ("办理时限", "办结时限", "承诺时限", "法定时限", "办理期限")),
    ("流程", ("办理流程", "申请流程", "办理程序", "办事流程", "申报流程")),
    ("收费", ("收费标准", "收费依据", "收费情况", "是否收费", "办理费用", "收费")),
    ("电话", ("咨询电话", "联系电话", "咨询方式", "联系方式", "办理电话", "咨询渠道")),
)
# Which section answers which aspect of a question (codes of ``replies/dialogue.toml``).
SECTIONS = {
    "materials": ("材料",),
    "conditions": ("条件",),
    "how": ("流程",),
    "place": ("地点",),
    "time": ("时限", "时间"),
    "fee": ("收费",),
    "phone": ("电话",),
    "who": ("电话", "地点"),
}
_NUMBERING = re.compile(r"^(?:[一二三四五六七八九十]+[、.．]|[（(][一二三四五六七八九十\d]+[）)]|\d+[、.．])\s*")


_OPENINGS = {
    names: re.compile(
        r"(?:[一二三四五六七八九十]+[、.．]|[（(][一二三四五六七八九十\d]+[）)]|\d+[、.．])?\s*"
        rf"(?:{'|'.join(names)})(?:和|及)?[^：:。\n]{{0,8}}(?:[：:。]|\n)\s*"
    )
    for _, names in LABELS
}


def facts(passages: Sequence[Passage]) -> tuple[tuple[str, str], ...]:
    """(label, text) of every section that the guide has, the text as the guide prints it.

    A section is found by its heading (``path``, ``lead``) or by the words its text opens with.
    """
    found: list[tuple[str, str]] = []
    for label, names in LABELS:
        pieces = [text for passage in passages if (text := _section(passage, names))]
        if pieces:
            found.append((label, "\n".join(dict.fromkeys(pieces))))
    return tuple(found)


def answering(passages: Sequence[Passage], aspect: str) -> Passage | None:
    """The section of a guide that answers an aspect of a question, None where it has none."""
    names = dict(LABELS)
    for label in SECTIONS.get(aspect, ()):
        for passage in passages:
            if _section(passage, names[label]):
                return passage
    return None


def _section(passage: Passage, names: tuple[str, ...]) -> str:
    text = passage.text.strip()
    opening = _OPENINGS[names].match(text)
    if opening and opening.end() < len(text):
        return text[opening.end() :]
    headings = (*passage.path, passage.lead)
    if any(_NUMBERING.sub("", heading.strip()).startswith(names) for heading in headings if heading):
        return text
    return ""
