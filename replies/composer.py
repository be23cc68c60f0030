"""答复文字: from a decision to the words that a citizen reads. Words live in ``templates/replies``, nowhere else.

A template is a list of Jinja2 blocks. Every block is one part of the reply; the text is the parts in the order of the
file, with a blank line between them, and a part that renders to nothing is left out. Some blocks have a meaning of
their own: ``lead``, ``notice``, ``organ_reason``, ``disclaimer`` also fill the field of that name; every line of
``steps`` is one step, 「words => link」; ``more`` is not shown at once, it follows on 「继续」.

``templates/replies/<kind>/`` holds ``reply.txt.j2``; ``<variant>.txt.j2`` for another wording of the kind; and
``<variant or reply>.<channel>.txt.j2`` where a channel needs its own.

Quoted text and a citizen's words never pass through the templates: they stand as marks while the template renders and
are put in afterwards, so nothing in them can be taken for template syntax, and nothing can alter them.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    meta,
    nodes,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from knowledge.model import Hit, PolicyDocument, SearchRecord
from register.inquiry import (
    Channel,
    Choice,
    Conversation,
    OrganCard,
    Reply,
    ReplyKind,
    SearchFacts,
    Source,
    Step,
)
from replies import guide, preview, triage
from replies.errors import TemplateMissing
from replies.kinds import failed
from replies.labels import quotable
from replies.model import Contact, Decision, OfficeInfo
from replies.text import excerpt, printable, size, split_at

SHIPPED = Path(__file__).parent.parent / "templates" / "replies"
FORBIDDEN = ("不存在", "不予公开", "不予处理")
MORE_MARK = "_more.txt.j2"

_QUOTE_SHORT = 80  # characters of a near find
_MOST_TERMS = 8
_MARK = re.compile("\ue000(\\d+)\ue001")
_LINKS = ("tel:", "mailto:", "http://", "https://", "/")
_LINKED = re.compile(r"(?P<text>.*?)\s*=>\s*(?P<link>\S*)$")
_SHORT = (Channel.WECHAT,)
_ABSOLUTE = (Channel.WECHAT, Channel.MAILBOX, Channel.TELEGRAM)
_BLANKS = re.compile(r"[ \t]+(?=\n)")
_GAPS = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Cited:
    """引文: one quoted passage as a template sees it."""

    title: str
    number: str
    cite: str  # 《标题》（文号），二、（四）10，2024年3月1日，有效
    quote: str
    excerpt: bool  # only a part of the passage is quoted
    full: str  # the whole passage
    link: str  # absolute
    label: str  # 有效, 已废止 …


@dataclass(frozen=True, slots=True)
class Linked:
    """关联文件: a document to point to."""

    title: str  # in 《》
    number: str
    link: str


@dataclass(frozen=True, slots=True)
class Searched:
    """检索情况: what was searched, in figures and words."""

    terms: tuple[str, ...]
    expanded: tuple[str, ...]
    number: str
    documents: int
    passages: int


@dataclass(frozen=True, slots=True)
class Words:
    """模板变量: everything a template may use. A name that is not here is an error at start."""

    channel: str
    office: OfficeInfo
    question: str
    aside: str
    shortened: bool
    corrected: str
    sources: tuple[Cited, ...]
    plain: Cited | None
    nearest: tuple[Cited, ...]
    facts: tuple[tuple[str, str], ...]
    choices: tuple[Choice, ...]
    contacts: tuple[Contact, ...]
    organ: OrganCard | None
    functions: tuple[str, ...]
    interpretations: tuple[Linked, ...]
    replacements: tuple[Linked, ...]
    amendments: tuple[Linked, ...]
    origins: tuple[Linked, ...]
    related: tuple[str, ...]
    searched: Searched | None
    as_of: str
    basis: tuple[str, ...]
    missing: str
    validity: str
    expires: str
    effective: str
    apply_link: str
    number: str
    year: str


_DECLARED = tuple(field.name for field in fields(Words))


class Composer:
    """答复撰写: renders decisions. Checked at construction, read-only afterwards, safe for many threads."""

    def __init__(
        self, override: Path | None, office: OfficeInfo, base_url: str, *, quote_characters: int = 150
    ) -> None:
        """``override`` is a folder with the office's own templates; they win over the shipped ones by path.

        Raises :class:`TemplateMissing` naming file and line when any template cannot be used.
        """
        loaders: list[BaseLoader] = []
        if override is not None:
            if not override.is_dir():
                raise TemplateMissing(
                    f"{override} is not a folder; set [answers] templates to a folder or leave it empty"
                )
            loaders.append(FileSystemLoader(override))
        loaders.append(FileSystemLoader(SHIPPED))
        self._folders = tuple(folder for folder in (override, SHIPPED) if folder is not None)
        self._templates: dict[tuple[ReplyKind, str, str], Template] = {}
        # The office's own templates run fenced in; ours are part of the program.
        environment = Environment if override is None else ImmutableSandboxedEnvironment
        self._environment = environment(
            loader=ChoiceLoader(loaders),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # plain text: escaping would alter quotes; pages escape when they draw the parts
            auto_reload=False,
        )
        self._office = office
        self._base = base_url.rstrip("/")
        self._quote_characters = quote_characters
        self.check()

    # ---- the reply -------------------------------------------------------------------------------------------

    def compose(self, decision: Decision, *, channel: Channel, limit_bytes: int = 0) -> Reply:
        """The reply in words. ``limit_bytes`` is the room the channel has in UTF-8 bytes, 0 for no limit."""
        if decision.rest:
            return self._rest(decision.rest, decision.kind, limit_bytes)
        marks: list[str] = []
        words = self._words(decision, channel, marks)
        template = self._find(decision.kind, decision.variant, channel.value)
        parts, steps = self._parts(template, words)
        filled = {name: _fill(part, marks) for name, part in parts.items() if name != "more"}
        text = printable("\n\n".join(part for part in filled.values() if part))
        rest = printable(_fill(parts.get("more", ""), marks)) if channel in _SHORT else ""
        text, more = self._fit(text, rest, limit_bytes)
        finding = decision.finding
        return Reply(
            kind=decision.kind,
            text=text,
            confidence=decision.confidence,
            lead=filled.get("lead", ""),
            notice=filled.get("notice", ""),
            sources=self._sources(decision, channel),
            nearest=tuple(self._source(hit, channel, _QUOTE_SHORT) for hit in decision.nearest),
            choices=decision.choices,
            organ=words.organ,
            organ_reason=filled.get("organ_reason", ""),
            steps=tuple(replace(step, text=_fill(step.text, marks)) for step in steps),
            facts=guide.facts(decision.guide),
            search_record=_facts(finding.record) if finding is not None else None,
            basis=decision.basis,
            more=more,
            disclaimer=filled.get("disclaimer", ""),
            rule=decision.rule,
        )

    def continue_(self, conversation: Conversation, *, limit_bytes: int = 0) -> Reply:
        """What 「继续」 shows: the next piece of a long answer. Only for a conversation that has one."""
        try:
            kind = ReplyKind(conversation.slots.get("kind", ""))
        except ValueError:
            kind = ReplyKind.ANSWER
        return self._rest(conversation.more, kind, limit_bytes)

    def failed(self, channel: Channel, *, limit_bytes: int = 0) -> Reply:
        """The courteous words when handling broke; needs nothing but the templates."""
        return self.compose(failed(), channel=channel, limit_bytes=limit_bytes)

    def _rest(self, rest: str, kind: ReplyKind, limit_bytes: int) -> Reply:
        text, more = self._fit(rest, "", limit_bytes)
        return Reply(kind=kind, text=text, more=more, rule="continue")

    def _fit(self, text: str, rest: str, limit: int) -> tuple[str, str]:
        """(what is shown now, what follows on 「继续」), the first within ``limit`` bytes."""
        if (limit <= 0 or size(text) <= limit) and not rest:
            return text, ""
        mark = "\n" + self._environment.get_template(MORE_MARK).render().strip()
        whole = limit <= 0 or size(text) + size(mark) <= limit
        if limit > 0 and size(mark) >= limit:  # no room even for the mark: cut hard rather than exceed
            head, tail = split_at(text, limit)
            return head, "\n\n".join(piece for piece in (tail, rest) if piece)
        head, tail = (text, "") if whole else split_at(text, limit - size(mark))
        more = "\n\n".join(piece for piece in (tail, rest) if piece)
        return head + mark, more

    # ---- what templates see ----------------------------------------------------------------------------------

    def _words(self, decision: Decision, channel: Channel, marks: list[str]) -> Words:
        finding = decision.finding
        room = self._quote_characters if channel in _SHORT else 0
        figures = decision.aspect in ("amount", "fee", "time", "phone")
        first = decision.hits[0] if decision.hits else None
        sources = tuple(self._cited(hit, room, marks, figures) for hit in decision.hits[:1])
        quoted = first.passage.text if first else ""
        record = finding.record if finding is not None else None
        return Words(
            channel=channel.value,
            office=self._office,
            question=_mark(decision.question, marks),
            aside=_mark(decision.aside, marks),
            shortened=decision.shortened,
            corrected=_mark(decision.corrected, marks),
            sources=sources,
            plain=self._cited(decision.plain, self._quote_characters, marks, figures) if decision.plain else None,
            nearest=tuple(self._cited(hit, _QUOTE_SHORT, marks, figures) for hit in decision.nearest),
            facts=tuple((name, _mark(text, marks)) for name, text in guide.facts(decision.guide) if text not in quoted),
            choices=tuple(Choice(_mark(choice.label, marks), choice.send) for choice in decision.choices),
            contacts=decision.contacts,
            organ=_card(decision),
            functions=decision.organ.because[:3] if decision.organ else (),
            interpretations=self._linked(decision.interpretations, marks),
            replacements=self._linked(decision.replacements, marks),
            amendments=self._linked(decision.amendments, marks),
            origins=self._linked(decision.origins, marks),
            related=tuple(_mark(text, marks) for text in decision.related),
            searched=_searched(record, marks) if record else None,
            as_of=_day(record.as_of) if record else "",
            basis=decision.basis,
            missing=decision.missing.value if decision.missing else "",
            validity=decision.validity_of,
            expires=_day(first.document.expires_on) if first else "",
            effective=_day(first.document.effective_on) if first else "",
            apply_link=self._office.apply_url,
            number=_mark(decision.number, marks),
            year=decision.matched if decision.variant == "year" else "",
        )

    def _linked(self, documents: Sequence[PolicyDocument], marks: list[str]) -> tuple[Linked, ...]:
        return tuple(Linked(_mark(quotable(d.title), marks), d.number, self._link(d.url)) for d in documents)

    def _cited(self, hit: Hit, room: int, marks: list[str], figures: bool) -> Cited:
        text = hit.passage.text.strip()
        quote = excerpt(text, hit.matched, room, figures)
        return Cited(
            title=_mark(hit.document.title, marks),
            number=hit.document.number,
            cite=_mark(cite(hit), marks),
            quote=_mark(quote, marks),
            excerpt=len(quote) < len(text),
            full=_mark(text, marks),
            link=self._link(hit.url),
            label=hit.document.validity.label,
        )

    def _sources(self, decision: Decision, channel: Channel) -> tuple[Source, ...]:
        room = self._quote_characters if channel in _SHORT else 0
        figures = decision.aspect in ("amount", "fee", "time", "phone")
        shown = [self._source(hit, channel, room, figures) for hit in decision.hits[:1]]
        if decision.plain is not None:
            shown.append(self._source(decision.plain, channel, self._quote_characters, figures))
        return tuple(shown)

    def _source(self, hit: Hit, channel: Channel, room: int, figures: bool = False) -> Source:
        document = hit.document
        return Source(
            document=document.id,
            title=document.title,
            number=document.number,
            issuer=document.issuer,
            written_on=document.written_on.isoformat() if document.written_on else "",
            locator=hit.passage.locator,
            quote=excerpt(hit.passage.text.strip(), hit.matched, room, figures),
            validity=document.validity.value,
            url=self._link(hit.url) if channel in _ABSOLUTE else hit.url,
            kind=document.kind.value,
            validity_label=document.validity.label,
            heading=" › ".join(hit.passage.path),
        )

    def _link(self, url: str) -> str:
        return f"{self._base}{url}" if url.startswith("/") else url

    # ---- templates -------------------------------------------------------------------------------------------

    def _names(self, kind: ReplyKind, variant: str, channel: str) -> Iterator[str]:
        for stem in (variant, "reply") if variant else ("reply",):
            yield f"{kind.value}/{stem}.{channel}.txt.j2"
            yield f"{kind.value}/{stem}.txt.j2"

    def _find(self, kind: ReplyKind, variant: str, channel: str) -> Template:
        key = (kind, variant, channel)
        if key not in self._templates:
            self._templates[key] = self._environment.select_template(list(self._names(kind, variant, channel)))
        return self._templates[key]

    def _parts(self, template: Template, words: Words) -> tuple[dict[str, str], tuple[Step, ...]]:
        """Every block rendered, in the order of the file, and the steps taken apart."""
        context = template.new_context({name: getattr(words, name) for name in _DECLARED})
        parts: dict[str, str] = {}
        steps: tuple[Step, ...] = ()
        for name, block in template.blocks.items():
            part = "".join(block(context)).strip()
            if "\n" in part:
                part = _GAPS.sub("\n\n", _BLANKS.sub("", part)).strip()
            if name == "steps":
                steps = tuple(_step(line) for line in part.splitlines() if line.strip())
                part = "\n".join(self._numbered(index, step) for index, step in enumerate(steps, 1))
            parts[name] = part
        return parts, steps

    def _numbered(self, index: int, step: Step) -> str:
        shown = self._link(step.link)
        return f"{index}. {step.text}" + (f"\n{shown}" if shown.startswith("http") else "")

    # ---- the check at start ----------------------------------------------------------------------------------

    def check(self) -> tuple[str, ...]:
        """Verify every template and return their names. Raises :class:`TemplateMissing` naming file and line.

        Every kind has its template; every variant that a rule names exists; every variable is declared; nothing
        stands outside a block; the bot's own words hold no forbidden word; every sample renders on every channel.
        """
        names = sorted(name for name in self._environment.list_templates() if name.endswith(".j2"))
        for name in names:
            self._check_source(name)
        for kind in ReplyKind:
            self._check_exists(kind, "")
        own = {channel for channel in Channel for name in names if name.endswith(f".{channel.value}.txt.j2")}
        channels = sorted({Channel.WEB, Channel.WECHAT} | own)
        for rule in triage.shipped():
            self._check_exists(rule.kind.reply, rule.template)
        for sample in preview.samples(self._office):
            self._check_exists(sample.decision.kind, sample.decision.variant)
            for channel in channels:
                self._check_sample(sample.decision, channel)
        return tuple(names)

    def _check_exists(self, kind: ReplyKind, variant: str) -> None:
        stem = variant or "reply"
        try:
            self._environment.get_template(f"{kind.value}/{stem}.txt.j2")
        except TemplateNotFound as error:
            raise TemplateMissing(f"templates/replies/{kind.value}/{stem}.txt.j2 is missing; add it") from error

    def _check_source(self, name: str) -> None:
        source, path = self._source_of(name)
        spoken = re.sub(r"\{#.*?#\}", _blank, source, flags=re.DOTALL)
        for number, line in enumerate(spoken.splitlines(), 1):
            for word in FORBIDDEN:
                if word in line:
                    raise TemplateMissing(
                        f"{path}:{number}: the assistant's own words may not say 「{word}」; reword it"
                    )
        try:
            tree = self._environment.parse(source, name, str(path))
            self._environment.get_template(name)
        except TemplateSyntaxError as error:
            raise TemplateMissing(f"{path}:{error.lineno}: {error.message}") from error
        except TemplateError as error:
            raise TemplateMissing(f"{path}: {error}") from error
        declared = set(_DECLARED)
        for variable in sorted(meta.find_undeclared_variables(tree) - declared):
            at = next((node.lineno for node in tree.find_all(nodes.Name) if node.name == variable), 1)
            raise TemplateMissing(f"{path}:{at}: unknown variable '{variable}'; known: {', '.join(sorted(declared))}")
        if "/" in name:
            for node in tree.body:
                stray = isinstance(node, nodes.Output) and any(
                    not isinstance(part, nodes.TemplateData) or part.data.strip() for part in node.nodes
                )
                if stray or not isinstance(node, nodes.Output | nodes.Block):
                    raise TemplateMissing(f"{path}:{node.lineno}: put this into a block; text outside is never shown")

    def _check_sample(self, decision: Decision, channel: Channel) -> None:
        marks: list[str] = []
        try:
            template = self._find(decision.kind, decision.variant, channel.value)
            parts, _ = self._parts(template, self._words(decision, channel, marks))
        except Exception as error:  # a template can break in any way; whatever it is has to be named here
            raise TemplateMissing(f"{self._where(error)}: {error}") from error
        own = _MARK.sub("", "\n".join(parts.values()))
        for word in FORBIDDEN:
            if word in own:
                raise TemplateMissing(f"{template.filename}: renders the forbidden word 「{word}」; reword it")
        if not own.strip():
            raise TemplateMissing(f"{template.filename}: renders to nothing for rule '{decision.rule}'")

    def _source_of(self, name: str) -> tuple[str, Path]:
        for folder in self._folders:
            path = folder / name
            if path.is_file():
                try:
                    return path.read_text("utf-8"), path
                except UnicodeDecodeError as error:
                    raise TemplateMissing(f"{path}: not UTF-8 text; save it as UTF-8") from error
        raise TemplateMissing(f"{name} is missing; add it")

    def _where(self, error: BaseException) -> str:
        try:
            self._environment.handle_exception()  # raises the same error with the template's own line numbers
        except Exception as again:
            error = again
        named = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
        return f"{named[-1].filename}:{named[-1].lineno}" if named else "template"


def cite(hit: Hit) -> str:
    """出处: 《标题》（文号），二、（四）10，2024年3月1日，有效."""
    document = hit.document
    title = quotable(document.title)
    head = f"{title}（{document.number}）" if document.number else title
    return "，".join(
        part
        for part in (head, hit.passage.locator.rstrip("、"), _day(document.written_on), document.validity.label)
        if part
    )


def _mark(text: str, marks: list[str]) -> str:
    if not text:
        return ""
    marks.append(text)
    return f"\ue000{len(marks) - 1}\ue001"


def _fill(text: str, marks: list[str]) -> str:
    return _MARK.sub(lambda match: marks[int(match.group(1))], text)


def _step(line: str) -> Step:
    match = _LINKED.match(line.strip())
    if match and (not match["link"] or match["link"].startswith(_LINKS)):
        return Step(match["text"], match["link"])
    return Step(line.strip())


def _blank(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n")


def _day(day: date | None) -> str:
    return f"{day.year}年{day.month}月{day.day}日" if day else ""


def _card(decision: Decision) -> OrganCard | None:
    if decision.organ is None:
        return None
    organ = decision.organ.organ
    return OrganCard(name=organ.name, phone=organ.phone, address=organ.address, hours=organ.hours)


def _searched(record: SearchRecord, marks: list[str]) -> Searched:
    return Searched(
        terms=tuple(_mark(term, marks) for term in _telling(record.terms)[:_MOST_TERMS]),
        expanded=tuple(_mark(term, marks) for term in record.expanded[:_MOST_TERMS]),
        number=_mark(record.filters.get("number", ""), marks),
        documents=record.scope_documents,
        passages=record.scope_passages,
    )


def _telling(terms: Sequence[str]) -> Sequence[str]:
    """The words searched as a citizen is told them: single characters only where there is nothing longer."""
    return [term for term in terms if len(term) > 1] or terms


def _facts(record: SearchRecord) -> SearchFacts:
    filters: Mapping[str, str] = record.filters
    return SearchFacts(
        query=record.query,
        terms=record.terms,
        expanded=record.expanded,
        filters=dict(filters),
        scope_documents=record.scope_documents,
        scope_passages=record.scope_passages,
        index_version=record.index_version,
        as_of=record.as_of.isoformat() if record.as_of else "",
        hits=record.hits,
        seconds=record.seconds,
    )
