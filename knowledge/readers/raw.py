"""What every reader returns: the text of a file in reading order, before anything is understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class BlockKind(StrEnum):
    """段落种类: what the container says about a block (never what the numbering says)."""

    PARAGRAPH = "paragraph"
    HEADING = "heading"  # the container marks it as a heading (style, <h1>…); level in ``level``
    ROW = "row"  # one table row; cells in ``cells``
    RULE = "rule"  # a line, a page break


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, heading or table row. ``hard_wrapped`` lines are joined by the parser.

    ``level`` is 1 to 6 for a heading; 1 on a row says that this row opens a new table.
    """

    text: str
    kind: BlockKind = BlockKind.PARAGRAPH
    level: int = 0
    cells: tuple[str, ...] = ()
    header: bool = False  # a table's head row
    page: int = 0  # 1-based, 0 when the format has no pages
    centred: bool = False


@dataclass(frozen=True, slots=True)
class RawDocument:
    """原始文本: blocks in reading order plus whatever metadata the container states.

    ``metadata`` maps the field's Chinese standard name (标题, 文号, 发布机构, 发文机关, 成文日期,
    发布日期, 索引号, 主题分类, 有效性, 实施日期, 失效日期, 关键词, 来源, 栏目, 网址) to its text as found.
    ``ocr`` marks text that was read from pictures and must be checked by a person; ``unread_pages`` are pages of which
    nothing was read: what stands there, a secrecy mark or a closed attribute perhaps, nobody knows.
    """

    blocks: tuple[Block, ...]
    format: str
    metadata: dict[str, str] = field(default_factory=dict)
    pages: int = 0
    ocr: bool = False
    unread_pages: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()  # names of embedded files that were not read


class Reader(Protocol):
    """Turns one file into a :class:`RawDocument` or raises an ``UnreadableDocument``."""

    def __call__(self, path: Path) -> RawDocument: ...
