"""便民答复单: the written form of a reply, for the mailbox: plain text, HTML mail, printable page, DOCX.

It is no 公文 and bears no 文号: the number of the register's entry stands in its place. It repeats the reply as it is in
the register, names the published texts that were quoted, and annexes the search record. Words live in
``templates/letters/words.txt.j2``; the other templates and :meth:`LetterWriter.docx` only lay them out.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

import docx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from register.inquiry import Reply, ReplyKind, SearchFacts, Source
from replies.errors import TemplateMissing
from replies.model import OfficeInfo
from replies.text import echo, printable

SHIPPED = Path(__file__).parent.parent / "templates" / "letters"
_FORBIDDEN = ("不存在", "不予公开", "不予处理")  # what the assistant never says of its own accord

_URL = re.compile(r"https?://[^\s<>\"'，。；、）】」》]+")
_NO_NAME = re.compile(r"^[\d\s+._@-]*$|@|^(?:admin|user|test|root|info|mail|null|undefined)\d*$", re.IGNORECASE)
_NO_XML = re.compile("[\ufffe\uffff]")
_NAME_CHARACTERS = 20
_SUBJECT_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Paragraph:
    """段落: ``quote`` marks a passage of a published text."""

    text: str
    quote: bool = False


@dataclass(frozen=True, slots=True)
class SourceLine:
    """引用的文件: one line and its address."""

    line: str
    link: str


@dataclass(frozen=True, slots=True)
class Letter:
    """便民答复单 in words, before it is laid out."""

    title: str
    number: str
    date: str
    salutation: str
    opening: str
    body: tuple[Paragraph, ...]
    signature: str
    sources_title: str
    sources: tuple[SourceLine, ...]
    record_title: str
    record: tuple[tuple[str, str], ...]
    statement: tuple[str, ...]
    contact: tuple[str, ...]
    notice: str


class LetterWriter:
    """答复单撰写: read-only after construction, safe for many threads."""

    def __init__(self, office: OfficeInfo, base_url: str, *, folder: Path = SHIPPED) -> None:
        """Raises :class:`TemplateMissing` when a template of ``folder`` is absent or cannot be used."""
        self._office = office
        self._base = base_url.rstrip("/")
        options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True, "auto_reload": False}
        self._plain = ImmutableSandboxedEnvironment(loader=FileSystemLoader(folder), autoescape=False, **options)
        self._html = ImmutableSandboxedEnvironment(loader=FileSystemLoader(folder), autoescape=True, **options)
        self._html.filters["linked"] = _linked
        self._check(folder)

    def write(
        self,
        reply: Reply,
        entry: int,
        *,
        name: str = "",
        subject: str = "",
        day: date,
        received: datetime | None = None,
    ) -> Letter:
        """The letter that says ``reply``. ``name`` is the citizen's own, ``subject`` that of his mail."""
        words = self._words(reply, entry, name, subject, day, received)
        record = tuple(
            (label, value)
            for label, _, value in (line.partition("：") for line in words["record"].splitlines())
            if value
        )
        statement = [words["statement"]]
        if reply.disclaimer:
            statement.insert(0, _clean(reply.disclaimer))
        return Letter(
            title=words["title"],
            number=words["number"],
            date=words["date"],
            salutation=words["salutation"],
            opening=words["opening"],
            body=_body(reply),
            signature=words["signature"],
            sources_title=words["sources_title"],
            sources=tuple(self._source(source) for source in reply.sources),
            record_title=words["record_title"],
            record=record,
            statement=tuple(statement),
            contact=tuple(line for line in words["contact"].splitlines() if line.strip()),
            notice=words["notice"],
        )

    def text(self, letter: Letter) -> str:
        """The letter as plain text."""
        drawn = self._plain.get_template("letter.txt.j2").render(letter=letter)
        return re.sub(r"\n{3,}", "\n\n", drawn).strip() + "\n"

    def html(self, letter: Letter) -> str:
        """The letter as an HTML mail: styles inline, nothing loaded from anywhere."""
        return self._html.get_template("letter.html.j2").render(letter=letter)

    def page(self, letter: Letter) -> str:
        """The letter as a page for A4 paper."""
        return self._html.get_template("print.html.j2").render(letter=letter)

    def docx(self, letter: Letter) -> bytes:
        """The letter as DOCX, for offices that keep paper."""
        document = docx.Document()
        section = document.sections[0]
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.7)
        normal = document.styles["Normal"]
        normal.font.name, normal.font.size = "FangSong", Pt(14)
        normal.element.rPr.rFonts.set(qn("w:eastAsia"), "仿宋")
        document.core_properties.title = letter.title
        document.core_properties.author = letter.signature
        _line(document, letter.title, size=22, bold=True, align=WD_ALIGN_PARAGRAPH.CENTER)
        _line(document, f"{letter.number}    {letter.date}", size=12)
        _line(document, letter.salutation, bold=True)
        _line(document, letter.opening)
        for paragraph in letter.body:
            shown = _line(document, paragraph.text)
            if paragraph.quote:
                shown.paragraph_format.left_indent = Cm(0.8)
        _line(document, f"{letter.signature}\n{letter.date}", align=WD_ALIGN_PARAGRAPH.RIGHT)
        if letter.sources:
            _line(document, letter.sources_title, bold=True)
            for index, source in enumerate(letter.sources, 1):
                _line(document, f"{index}. {source.line}" + (f"\n{source.link}" if source.link else ""), size=12)
        if letter.record:
            _line(document, letter.record_title, bold=True)
            table = document.add_table(rows=0, cols=2, style="Table Grid")
            for label, value in letter.record:
                cells = table.add_row().cells
                cells[0].text, cells[1].text = label, value
        for line in (*letter.statement, *letter.contact, letter.notice):
            if line:
                _line(document, line, size=11, grey=True)
        stream = io.BytesIO()
        document.save(stream)
        return stream.getvalue()

    # ---- words -----------------------------------------------------------------------------------------------

    def _words(
        self, reply: Reply, entry: int, name: str, subject: str, day: date, received: datetime | None
    ) -> dict[str, str]:
        record = _shown(reply.search_record)
        template = self._plain.get_template("words.txt.j2")
        context = template.new_context(
            {
                "entry": str(entry),
                "date": _day(day),
                "name": addressed(name),
                "subject": echo(_clean(subject), _SUBJECT_CHARACTERS),
                "received_on": _day(received.date()) if received else "",
                "record": record,
                "as_of": _day(date.fromisoformat(record.as_of)) if record and record.as_of else "",
                "has_sources": bool(reply.sources),
                "office": self._office,
            }
        )
        return {block: _squeezed("".join(render(context))) for block, render in template.blocks.items()}

    def _source(self, source: Source) -> SourceLine:
        number = f"（{source.number}）" if source.number else ""
        title = source.title if source.title.startswith("《") else f"《{source.title}》"
        parts = [f"{title}{number}", source.locator, source.issuer]
        if source.written_on:
            parts.append(_day(date.fromisoformat(source.written_on)))
        parts.append(source.validity_label)
        link = f"{self._base}{source.url}" if source.url.startswith("/") else source.url
        return SourceLine(_clean("，".join(part for part in parts if part)), link)

    def _check(self, folder: Path) -> None:
        sample = Reply(
            kind=ReplyKind.ANSWER,
            text="一\n\n二",
            sources=(Source("d", "甲", "青政发〔2026〕1号", "乙", "2026-01-02", "一", "一", "in_force", "/p/d"),),
            search_record=SearchFacts("问", ("词",), ("说法",), {"年份": "2026"}, 1, 1, "1", "2026-01-02", 1, 0.1),
        )
        try:
            letter = self.write(sample, 1, name="李青禾", subject="问", day=date(2026, 1, 2))
            drawn = (self.text(letter), self.html(letter), self.page(letter))
        except (TemplateError, OSError, KeyError) as error:
            raise TemplateMissing(f"{folder}: the letter cannot be written: {error!r}; mend the template") from error
        for word in _FORBIDDEN:
            if any(word in text for text in drawn):
                raise TemplateMissing(f"{folder}: the assistant's own words may not say 「{word}」; reword it")
        empty = [field.name for field in fields(Letter) if field.name != "notice" and not getattr(letter, field.name)]
        if empty:
            raise TemplateMissing(f"{folder}/words.txt.j2: these blocks render to nothing: {', '.join(empty)}")


def addressed(name: str) -> str:
    """How the citizen is addressed, empty where what he gave is no name (a number, an address, a placeholder)."""
    shown = re.sub(r"[<>\"'“”\\/{}%：:，,;；!！]", "", echo(_clean(name), 60)).strip()
    return "" if _NO_NAME.search(shown) or len(shown) > _NAME_CHARACTERS else shown


def _body(reply: Reply) -> tuple[Paragraph, ...]:
    quotes = [source.quote.strip() for source in (*reply.sources, *reply.nearest) if source.quote.strip()]
    body: list[Paragraph] = []
    text, held = _clean(reply.text), {}
    # A quoted passage may have blank lines of its own: it stays one paragraph.
    for index, quote in enumerate(quotes):
        mark = f"\ue010{index}\ue011"
        cleaned = _clean(quote)
        if cleaned in text:
            text = text.replace(cleaned, mark, 1)
            held[mark] = cleaned
    disclaimer = _clean(reply.disclaimer).strip()
    for piece in re.split(r"\n\s*\n", text):
        shown = piece.strip()
        if not shown or shown == disclaimer:
            continue
        quoted = [mark for mark in held if mark in shown]
        for mark in quoted:
            shown = shown.replace(mark, held[mark])
        body.append(Paragraph(shown, bool(quoted)))
    return tuple(body)


def _shown(record: SearchFacts | None) -> SearchFacts | None:
    if record is None:
        return None
    return SearchFacts(
        query=echo(_clean(record.query), 200),
        terms=tuple(_clean(term) for term in record.terms),
        expanded=tuple(_clean(term) for term in record.expanded),
        filters={label: echo(_clean(value), 60) for label, value in record.filters.items()},
        scope_documents=record.scope_documents,
        scope_passages=record.scope_passages,
        index_version=record.index_version,
        as_of=record.as_of,
        hits=record.hits,
        seconds=record.seconds,
    )


def _linked(text: str) -> Markup:
    pieces: list[Markup] = []
    position = 0
    for match in _URL.finditer(text):
        pieces.append(escape(text[position : match.start()]))
        address = escape(match.group())
        pieces.append(Markup('<a href="{0}" style="color:#1a5490">{0}</a>').format(address))
        position = match.end()
    pieces.append(escape(text[position:]))
    return Markup("").join(pieces).replace("\n", Markup("<br>\n"))


def _line(
    document: Any, text: str, *, size: int = 14, bold: bool = False, grey: bool = False, align: object = None
) -> Any:
    paragraph = document.add_paragraph()
    run = paragraph.add_run(text)
    run.font.size, run.bold = Pt(size), bold
    if grey:
        run.font.color.rgb = RGBColor(0x44, 0x44, 0x44)
    if align is not None:
        paragraph.alignment = align
    return paragraph


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _clean(text: str) -> str:
    return _NO_XML.sub("", printable(text))


def _squeezed(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
