"""选项和线索的标签: how documents and items are named to a citizen who has to tell them apart. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.model import DocumentKind, Hit
from register.inquiry import Choice
from replies.text import echo, tidy

MOST_CHOICES = 4
NEAREST = 3
BESIDE = 3  # further items of the same matter under an answer
_YEAR = re.compile(r"(?:19|20)\d\d\s*年?(?:度)?")
_DECORATION = re.compile(
    r"^(?:.{0,90}?[局室府会厅部委院队署\s])?关于(?:印发|公布|转发|发布|做好|进一步做好)?[《<]?|(?:工作)?的(?:通知|公告|通告|意见)$|[》>]"
)
_ISSUED = re.compile(r"^.{0,90}?关于(?:印发|公布|发布|转发)(《.+》)的通知$")
_SAYS_NOTHING = re.compile(r"^(?:问答|正文|前言|总则|附则|其他|其他事项|文末|概述|背景|政策背景)$")
_SORTS = {DocumentKind.INTERPRETATION: "解读", DocumentKind.SERVICE_GUIDE: "办事指南", DocumentKind.FAQ: "常见问题"}


def offers(hits: Sequence[Hit]) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Choices with labels that tell each other apart, and what each stands for."""
    choices: list[Choice] = []
    targets: list[str] = []
    for hit in hits[:MOST_CHOICES]:
        words = label(hit)
        if any(words == choice.label for choice in choices):
            words = f"{words} {hit.passage.locator}"
        send = f"{core_title(hit.document.title)} {item(hit)}".strip()
        choices.append(Choice(label=words, send=echo(send)))
        targets.append(f"{hit.document.id} {hit.passage.id}")
    return tuple(choices), tuple(targets)


def beside(hits: Sequence[Hit]) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Further items of the matter that is quoted: the matter is said, so a label says what the item is about."""
    choices: list[Choice] = []
    targets: list[str] = []
    for hit in hits:
        name, sort = echo(item(hit), 24), _SORTS.get(hit.document.kind, "")
        words = f"{name}（{sort}）" if name and sort and not _SAYS_NOTHING.match(name) else name
        if not name or _SAYS_NOTHING.match(name):
            words = echo(core_title(hit.document.title), 28) + (f"（{sort}）" if sort == "解读" else "")
        if any(words == choice.label for choice in choices):
            words = f"{words} {hit.passage.locator}".strip()
        if all(words != choice.label for choice in choices) and len(choices) < BESIDE:
            choices.append(Choice(words, echo(f"{core_title(hit.document.title)} {item(hit)}".strip())))
            targets.append(f"{hit.document.id} {hit.passage.id}")
    return tuple(choices), tuple(targets)


def matters(hits: Sequence[Hit]) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Whole documents to choose from, for a question that did not say which matter it means."""
    choices: list[Choice] = []
    targets: list[str] = []
    for hit in hits[:MOST_CHOICES]:
        title = echo(core_title(hit.document.title), 28)
        if all(title != choice.label for choice in choices):
            choices.append(Choice(title, echo(title)))
            targets.append(f"{hit.document.id} {hit.passage.id}")
    return tuple(choices), tuple(targets)


def quotable(title: str) -> str:
    """A title in 《》 as people know it: of a covering notice (关于印发《…》的通知) the title of what it issues."""
    issued = _ISSUED.match(title)
    if issued:
        return issued.group(1)
    return title if title.startswith("《") else f"《{title}》"


def label(hit: Hit) -> str:
    """What a citizen reads: the item's own title with its document, shortened."""
    title = echo(core_title(hit.document.title), 28)
    mark = f"（{hit.document.validity.label}）" if hit.document.validity.lapsed else ""
    if hit.document.kind is DocumentKind.INTERPRETATION:
        mark = f"解读{mark}"
    name = item(hit)
    if not name or name in title or _SAYS_NOTHING.match(name) or hit.document.kind is DocumentKind.SERVICE_GUIDE:
        return f"{title}{mark}"
    return f"{echo(name, 24)}——《{title}》{mark}"


def item(hit: Hit) -> str:
    """The item's own title or the heading above it, without its number; empty when too long to be one."""
    passage = hit.passage
    name = tidy(passage.lead) or (tidy(passage.path[-1]) if passage.path else "")
    name = re.sub(
        r"^(?:第?[一二三四五六七八九十百\d]+[、.．章节条]|[（(][一二三四五六七八九十\d]+[）)])\s*", "", name
    ).rstrip("。：:；;")
    return name if len(name) <= 40 else ""


def core_title(title: str) -> str:
    """The matter a title names: without the issuing organ, 关于印发…的通知 and book-title marks."""
    inner = re.search(r"《([^》]{4,})》", title)
    core = inner.group(1) if inner else _DECORATION.sub("", tidy(title))
    core = re.sub(r"(?:的)?(?:政策)?(?:解读|问答|图解)$", "", core)
    return core or tidy(title)


def bare(title: str) -> str:
    """The matter a title names, whatever the year."""
    return _YEAR.sub("", core_title(title))


def distinct(hits: Sequence[Hit]) -> list[Hit]:
    """The best hit of every document first; further passages fill up when there are fewer than three documents."""
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.document.id, hit)
    chosen = list(best.values())[:MOST_CHOICES]
    if len(chosen) < 3:
        top = chosen[0].document.id if chosen else ""
        chosen += [hit for hit in hits if hit.document.id == top and hit not in chosen][: 3 - len(chosen)]
    return chosen


def nearest(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The best hit of each of the first three documents: the pointers of a miss."""
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.document.id, hit)
    return tuple(best.values())[:NEAREST]
