"""网页: what the citizen's pages show, prepared as plain values for the templates.

Pure functions turn documents and replies into what a page draws; the templates hold words and marks only.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

import templates
from bot.config import Settings
from knowledge import facets
from knowledge.model import DocumentKind, Filters, Hit, LinkKind, Passage, PolicyDocument, Validity
from register.inquiry import Reply

FOLDER = Path(next(iter(templates.__path__))) / "web"
BEIJING = ZoneInfo("Asia/Shanghai")

KIND_LABELS = {
    DocumentKind.POLICY: "政策文件",
    DocumentKind.LAW: "法律法规",
    DocumentKind.INTERPRETATION: "政策解读",
    DocumentKind.SERVICE_GUIDE: "办事指南",
    DocumentKind.FUNCTION: "机构职能",
    DocumentKind.FAQ: "常见问题",
    DocumentKind.CATALOGUE: "公开目录",
    DocumentKind.GAZETTE: "政府公报",
}

# (kind, whether the other document acts on this one) → what the other document is to this one.
LINK_LABELS = {
    (LinkKind.REPEALS, True): "废止本文件的文件",
    (LinkKind.AMENDS, True): "修改本文件的文件",
    (LinkKind.INTERPRETS, True): "政策解读",
    (LinkKind.GUIDES, True): "怎么办：办事指南",
    (LinkKind.INTERPRETS, False): "解读的是哪份文件",
    (LinkKind.GUIDES, False): "办事依据",
    (LinkKind.FORWARDS, False): "落实的上级文件",
    (LinkKind.FORWARDS, True): "落实本文件的文件",
    (LinkKind.REPEALS, False): "本文件废止的文件",
    (LinkKind.AMENDS, False): "本文件修改的文件",
    (LinkKind.CITES, False): "文中引用的文件",
    (LinkKind.CITES, True): "引用本文件的文件",
}


# ---- where a page is shown ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """场所: where a page is shown, where its forms go, and what they carry instead of a cookie."""

    name: str = "site"  # site, embed (a frame in another site), kiosk
    ask: str = "/chat"
    judge: str = "/feedback"
    clear: str = "/chat/clear"
    talk: str = ""  # random id of the conversation; empty where a cookie holds it
    entries: tuple[int, ...] = ()  # its entries, oldest first


SITE = Place()
EMBED = Place("embed", "/chat?embed=1", "/feedback?embed=1", "/chat/clear?embed=1")
KIOSK = Place("kiosk", "/kiosk", "/kiosk/judge")


# ---- static files and the template environment -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StaticFile:
    """静态文件: one file of ours under an address that changes with its content."""

    name: str
    content: bytes
    media_type: str
    url: str


def static_files(folder: Path = FOLDER / "static") -> dict[str, StaticFile]:
    """Name → file, read once. The address bears a hash, so browsers may keep the file for ever."""
    found = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        stamp = hashlib.sha256(content).hexdigest()[:12]
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found[path.name] = StaticFile(path.name, content, media_type, f"/static/{stamp}/{path.name}")
    return found


def environment(settings: Settings, static: Mapping[str, StaticFile], *, kiosk: bool = False) -> Environment:
    """The Jinja2 environment of the pages: escaping on, an unknown name is an error.

    For the kiosk no link leaves it: there is no telephone behind ``tel:`` and no way back from another site.
    """
    env = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(("html", "j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        day=day, safe_link=safe_link, phones=phones, blocks=blocks, paragraphs=paragraphs, kind_label=kind_label
    )
    env.globals.update(
        office=settings.office,
        base_url=settings.server.base_url.rstrip("/"),
        static={name: file.url for name, file in static.items()},
        frame="base.html.j2",
    )
    if kiosk:
        env.filters.update(safe_link=kiosk_link, phones=lambda text: [(text, "")])
        env.globals.update(frame="kiosk_base.html.j2", reset_seconds=settings.web.kiosk_reset_seconds)
    return env


# ---- small words ------------------------------------------------------------------------------------------


def day(value: date | str | None) -> str:
    """2026年3月5日; an ISO string is read, anything else is shown as it is."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return value if isinstance(value, str) else ""
    return f"{value.year}年{value.month}月{value.day}日" if value else ""


def clock(value: datetime) -> str:
    """Beijing time of the day, 14:05."""
    return value.astimezone(BEIJING).strftime("%H:%M")


def kind_label(kind: str) -> str:
    """The Chinese word for a document kind; empty for an unknown one."""
    return KIND_LABELS[DocumentKind(kind)] if kind in set(DocumentKind) else ""


def safe_link(address: str) -> str:
    """``address`` if a page may link it (a path here, http, tel, mailto), else empty."""
    if address.startswith(("https://", "http://", "tel:", "mailto:", "#")):
        return address
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else ""


def kiosk_link(address: str) -> str:
    """The kiosk's own address of a document or an anchor; empty for everything else."""
    if address.startswith("#"):
        return address
    return f"/kiosk{address}" if address.startswith("/p/") else ""


_PHONE = re.compile(r"(?:\d{3,4}[-—–])?\d{3,8}")


def phones(text: str) -> list[tuple[str, str]]:
    """Printed phone line → (piece, tel: link or empty), pieces in order, nothing lost."""
    pieces: list[tuple[str, str]] = []
    end = 0
    for match in _PHONE.finditer(text):
        if match.start() > end:
            pieces.append((text[end : match.start()], ""))
        pieces.append((match.group(), "tel:" + re.sub(r"\D", "", match.group())))
        end = match.end()
    if end < len(text):
        pieces.append((text[end:], ""))
    return pieces


def paragraphs(text: str) -> list[str]:
    """The non-empty lines of a text."""
    return [line.strip() for line in text.splitlines() if line.strip()]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """段落或表格: a paragraph (``text``) or a run of table rows (``rows``, the first one perhaps a head)."""

    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def blocks(text: str) -> list[TextBlock]:
    """A passage's text as paragraphs and tables; a line with cells parted by 「 | 」 or tabs is a row."""
    found: list[TextBlock] = []
    rows: list[tuple[str, ...]] = []

    def close() -> None:
        if rows:
            found.append(TextBlock(rows=tuple(rows)))
            rows.clear()

    for line in paragraphs(text):
        cells = [cell.strip() for cell in re.split(r"\t|\s*[|｜]\s*", line.strip("|｜ "))]
        if len(cells) > 1:
            rows.append(tuple(cells))
        else:
            close()
            found.append(TextBlock(text=line))
    close()
    return found


# ---- example questions ------------------------------------------------------------------------------------

_GUIDE_SUFFIX = re.compile(r"(?:办事|服务|办理)?(?:指南|须知|流程)$")
_VERBS = re.compile(r"(?:申请|申报|申领|办理|登记|备案|报名|认定|参保|缴费|迁移|补办|换领|领取|审批|注销)+$")


def example_questions(documents: Iterable[PolicyDocument], most: int = 6) -> list[tuple[str, str]]:
    """(topic, question) taken from published service guides, newest first, from different fields while they last."""
    guides = [d for d in documents if d.kind is DocumentKind.SERVICE_GUIDE and not d.validity.lapsed]
    guides.sort(key=lambda d: (d.written_on or d.published_on or date.min, d.id), reverse=True)
    first_of_field: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    seen: set[str] = set()
    for guide in guides:
        matter = _GUIDE_SUFFIX.sub("", guide.title.strip("《》 ").partition("（")[0])
        # The 政府信息公开指南 is a guide to the office, not to a matter.
        if not 2 <= len(matter) <= 20 or matter.endswith("信息公开"):
            continue
        field_of_work = guide.topic or guide.issuer
        (others if field_of_work in seen else first_of_field).append((guide.topic, _asked(matter)))
        seen.add(field_of_work)
    return (first_of_field + others)[:most]


def _asked(matter: str) -> str:
    """高龄津贴申报 → 高龄津贴怎么申报？ The way people ask."""
    verbs = _VERBS.search(matter)
    noun = matter[: verbs.start()] if verbs else matter
    return f"{noun}怎么{verbs.group()}？" if verbs and noun else f"{matter}怎么办？"


# ---- an answer card ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """答复卡片: a reply as the page draws it. ``explained`` are (title, url) of interpretations."""

    entry: int
    question: str
    reply: Reply
    key: str  # hidden message key for the buttons of this card
    explained: tuple[tuple[str, str], ...] = ()
    at: str = ""
    judged: bool = False
    share: str = ""  # signed address of the answer alone; empty where it says nothing to others

    @property
    def lines(self) -> list[str]:
        """The lead, or the whole text of a reply that has no parts (menu, small talk)."""
        reply = self.reply
        drawn = reply.sources or reply.nearest or reply.steps or reply.facts or reply.choices or reply.organ
        return paragraphs(reply.lead if reply.lead and drawn else reply.text or reply.lead)


# ---- a document -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """小标题: a heading of the document, ``level`` 0 for the outermost."""

    text: str
    level: int
    id: str


@dataclass(frozen=True, slots=True)
class Item:
    """条目: a passage with the heads that begin right before it and the trail of those above it."""

    passage: Passage
    heads: tuple[Head, ...] = ()
    trail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Related:
    """关联文件 under one label."""

    label: str
    documents: tuple[PolicyDocument, ...]


@dataclass(frozen=True, slots=True)
class DocumentView:
    """文件页面: everything that ``/p/{document}`` draws."""

    document: PolicyDocument
    items: tuple[Item, ...]
    outline: tuple[Head, ...]
    elements: tuple[tuple[str, str], ...]
    related: tuple[Related, ...]
    red_head: tuple[str, ...] = ()
    changed_by: tuple[PolicyDocument, ...] = ()  # documents that repeal or amend this one
    explained: tuple[PolicyDocument, ...] = ()


def document_view(
    document: PolicyDocument,
    passages: Sequence[Passage],
    links: Iterable[tuple[LinkKind, PolicyDocument, bool]],
) -> DocumentView:
    """Lay out one document with its heads, outline, metadata and neighbours."""
    items: list[Item] = []
    outline: list[Head] = []
    open_heads: tuple[str, ...] = ()
    part = ""
    for passage in passages:
        # After the notice comes what it hands on, under its own title.
        part = passage.part or (_own_title(document) if items and items[-1].passage.part else part)
        path = ((part,) if part else ()) + passage.path
        same = 0
        while same < min(len(path), len(open_heads)) and path[same] == open_heads[same]:
            same += 1
        heads = tuple(
            Head(text, level, f"h-{len(outline) + i + 1}")
            for i, (level, text) in enumerate(list(enumerate(path))[same:])
        )
        outline.extend(heads)
        open_heads = path
        items.append(Item(passage, heads, path))
    by_label: dict[str, list[PolicyDocument]] = {}
    changed: list[PolicyDocument] = []
    explained: list[PolicyDocument] = []
    known = list(links)
    for (kind, incoming), label in LINK_LABELS.items():
        others = [other for k, other, i in known if (k, i) == (kind, incoming)]
        if others:
            by_label.setdefault(label, []).extend(others)
        if incoming and kind in (LinkKind.REPEALS, LinkKind.AMENDS):
            changed.extend(others)
        if incoming and kind is LinkKind.INTERPRETS:
            explained.extend(others)
    return DocumentView(
        document=document,
        items=tuple(items),
        outline=tuple(outline),
        elements=tuple(_elements(document)),
        related=tuple(Related(label, tuple(others)) for label, others in by_label.items()),
        red_head=_red_head(document),
        changed_by=tuple(changed),
        explained=tuple(explained),
    )


def _elements(document: PolicyDocument) -> list[tuple[str, str]]:
    pairs = [
        ("索引号", document.index_number),
        ("发文机关", document.issuer),
        ("文号", document.number),
        ("成文日期", day(document.written_on)),
        ("发布日期", day(document.published_on)),
        ("施行日期", day(document.effective_on)),
        ("有效期至", day(document.expires_on)),
        ("领域", document.topic),
        ("面向对象", document.audience),
        ("种类", KIND_LABELS[document.kind]),
        ("效力", document.validity.label),
    ]
    return [(name, text) for name, text in pairs if text]


def _red_head(document: PolicyDocument) -> tuple[str, ...]:
    """发文机关标志, a line for each issuer; only an official document with a 文号 has one (GB/T 9704 7.2.4)."""
    if document.kind is not DocumentKind.POLICY or "〔" not in document.number:
        return ()
    return facets.issuers(document)


def _own_title(document: PolicyDocument) -> str:
    """What a notice prints and hands on: 《…》 of 关于印发《…》的通知, else empty."""
    found = re.search(r"(?:印发|发布|公布)《(.+)》", document.title)
    return found.group(1) if found else ""


# ---- the library's list, by element -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """要素的一个值: how many documents carry it under the other conditions, and the address that picks it."""

    label: str
    count: int
    url: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Group:
    """要素: one filter with its values."""

    name: str
    field: str
    options: tuple[Option, ...]
    chosen: str = ""
    clear_url: str = ""


@dataclass(frozen=True, slots=True)
class Browse:
    """文件目录: the list page with its filters."""

    query: str
    groups: tuple[Group, ...]
    documents: tuple[PolicyDocument, ...]
    total: int
    page: int
    pages: int
    page_urls: tuple[str, str] = ("", "")  # previous, next
    found: tuple[tuple[PolicyDocument, tuple[Hit, ...]], ...] = ()
    corrected: str = ""
    hidden: tuple[tuple[str, str], ...] = field(default=())  # filters that the search box keeps


PER_PAGE = 30
_FIELDS = ("topic", "organ", "year", "kind", "validity")
_NAMES = {"topic": "领域", "organ": "发文机关", "year": "年份", "kind": "种类", "validity": "效力"}


def browse(documents: Sequence[PolicyDocument], filters: Filters, query: str, page: int) -> Browse:
    """The list under ``filters``, newest first, and the counts of every value under the other filters."""
    chosen = {name: value for name, value in filters.described().items() if name in _FIELDS}
    counted = facets.count(documents, replace(filters, number="", audience="", documents=()))
    groups = []
    for name in _FIELDS:
        others = {k: v for k, v in chosen.items() if k != name}
        counts = {facet.value: facet.count for facet in counted if facet.name == name}
        values = sorted(counts, key=lambda v: (v if name == "year" else "", counts[v], v), reverse=True)
        if chosen.get(name) and chosen[name] not in counts:
            values.append(chosen[name])
        options = tuple(
            Option(_value_label(name, v), counts.get(v, 0), _address(query, {**others, name: v}), v == chosen.get(name))
            for v in values
        )
        if options:
            label = _value_label(name, chosen[name]) if name in chosen else ""
            groups.append(Group(_NAMES[name], name, options, label, _address(query, others)))
    fitting = [d for d in documents if _fits(d, chosen)]
    fitting.sort(key=lambda d: (d.written_on or d.published_on or date.min, d.title), reverse=True)
    pages = max(1, -(-len(fitting) // PER_PAGE))
    page = min(max(1, page), pages)
    return Browse(
        query=query,
        groups=tuple(groups),
        documents=tuple(fitting[(page - 1) * PER_PAGE : page * PER_PAGE]),
        total=len(fitting),
        page=page,
        pages=pages,
        page_urls=(
            _address(query, chosen, page - 1) if page > 1 else "",
            _address(query, chosen, page + 1) if page < pages else "",
        ),
        hidden=tuple(chosen.items()),
    )


def shelf(listing: Browse) -> Group | None:
    """What the front page offers to look around by: fields, or organs where few documents name their field."""
    groups = {group.field: group for group in listing.groups}
    topics = groups.get("topic")
    named = sum(option.count for option in topics.options) if topics else 0
    return topics if named * 2 >= listing.total else groups.get("organ", topics)


@dataclass(frozen=True, slots=True)
class KioskItem:
    """一个按钮: a question to ask, or a document to open."""

    label: str
    ask: str = ""
    link: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class KioskMenu:
    """自助机的一屏: the matters of one field or one organ."""

    title: str
    entries: tuple[KioskItem, ...]
    page: int
    pages: int
    page_urls: tuple[str, str]  # previous, next


KIOSK_PER_PAGE = 8


def kiosk_menu(documents: Sequence[PolicyDocument], filters: Filters, page: int) -> KioskMenu:
    """Questions from the service guides of a field or an organ, then its other documents, newest first."""
    chosen = {name: value for name, value in filters.described().items() if name in ("topic", "organ")}
    fitting = [d for d in documents if _fits(d, chosen) and not d.validity.lapsed]
    items = [KioskItem(question, ask=question) for _, question in example_questions(fitting, len(fitting))]
    others = [d for d in fitting if not example_questions([d])]
    others.sort(key=lambda d: (d.written_on or d.published_on or date.min, d.title), reverse=True)
    items += [
        KioskItem(d.title, link=d.url, note=" · ".join(filter(None, (KIND_LABELS[d.kind], d.number)))) for d in others
    ]
    pages = max(1, -(-len(items) // KIOSK_PER_PAGE))
    page = min(max(1, page), pages)

    def address(number: int) -> str:
        return "/kiosk?" + urlencode({**chosen, "page": number}) if 0 < number <= pages else ""

    return KioskMenu(
        title=" · ".join(chosen.values()),
        entries=tuple(items[(page - 1) * KIOSK_PER_PAGE : page * KIOSK_PER_PAGE]),
        page=page,
        pages=pages,
        page_urls=(address(page - 1), address(page + 1)),
    )


def search_filters(documents: Sequence[PolicyDocument], filters: Filters) -> Filters:
    """The same conditions for the library's search, which knows joint issuers only as one name."""
    if not filters.organ:
        return filters
    fitting = tuple(d.id for d in documents if filters.organ in facets.issuers(d))
    return replace(filters, organ="", documents=fitting or ("-",))


def with_hits(listing: Browse, hits: Iterable[Hit], corrected: str) -> Browse:
    """The same page with search results, grouped by document in order of the best hit, three passages each."""
    grouped: dict[str, list[Hit]] = {}
    for hit in hits:
        grouped.setdefault(hit.document.id, []).append(hit)
    found = tuple((group[0].document, tuple(group[:3])) for group in grouped.values())
    return replace(listing, found=found, corrected=corrected)


def _fits(document: PolicyDocument, chosen: Mapping[str, str]) -> bool:
    return all(value in facets.values(document, name) for name, value in chosen.items())


def _value_label(name: str, value: str) -> str:
    if name == "kind":
        return KIND_LABELS[DocumentKind(value)]
    if name == "validity":
        return Validity(value).label
    return f"{value}年" if name == "year" else value


def _address(query: str, chosen: Mapping[str, str], page: int = 1) -> str:
    pairs = {"q": query, **chosen, "page": str(page) if page > 1 else ""}
    text = urlencode({name: value for name, value in pairs.items() if value})
    return f"/browse?{text}" if text else "/browse"


def snippet(text: str, words: Sequence[str], length: int = 110) -> list[tuple[str, bool]]:
    """A stretch of ``text`` around the first matched word, in pieces (text, whether it is a matched word)."""
    flat = " ".join(text.split())
    usable = sorted({w for w in words if len(w) > 1}, key=len, reverse=True) or [w for w in words if w]
    first = min((at for at in (flat.find(w) for w in usable) if at >= 0), default=0)
    start = max(0, first - length // 4)
    cut = flat[start : start + length]
    pieces: list[tuple[str, bool]] = [("…", False)] if start else []
    if usable:
        for piece in re.split("(" + "|".join(map(re.escape, usable)) + ")", cut):
            if piece:
                pieces.append((piece, piece in usable))
    else:
        pieces.append((cut, False))
    if start + length < len(flat):
        pieces.append(("…", False))
    return pieces
