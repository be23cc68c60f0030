"""答复种类的选择: which kind of reply is due. Pure functions, the heart of the product.

What was found, how sure the library is, what the message asks for and what was said before decide; the words come
later. The order is the order of :func:`choose`, top to bottom; every decision names its rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from knowledge.model import (
    DocumentKind,
    Finding,
    Hit,
    LinkKind,
    Organ,
    OrganMatch,
    OrganRelation,
    Passage,
    PolicyDocument,
    Validity,
)
from register.inquiry import Choice, Conversation, ReplyKind
from replies import guide as guides
from replies import sensitive
from replies.model import (
    Context,
    Decision,
    Missing,
    OfficeInfo,
    Triage,
    TriageKind,
    Turn,
    TurnKind,
    Vagueness,
)
from replies.text import echo, letters, tidy

__all__ = ["Context", "Decision", "OfficeInfo", "choose", "enrich", "failed"]

MOST_CHOICES = 4
NEAREST = 3
# Where the directory and the hits point to the same organ, this share of the threshold is enough to offer choices.
AGREEING = 0.3
# Documents whose scores differ by less than this share of the first are equally likely; the second for a bare word.
SAME_SCORE, SAME_SCORE_BARE = 0.03, 0.15
_REGULATION = "《中华人民共和国政府信息公开条例》"
_BASIS = {
    ReplyKind.NOT_FOUND: (f"{_REGULATION}第五条", f"{_REGULATION}第二十九条"),
    ReplyKind.NOT_HELD: (f"{_REGULATION}第十条", f"{_REGULATION}第三十六条第（五）项"),
    ReplyKind.NEEDS_CREATION: (f"{_REGULATION}第三十八条", f"{_REGULATION}第二十九条"),
    ReplyKind.UNCLEAR: (f"{_REGULATION}第三十条", f"{_REGULATION}第二十九条"),
}
_SIMPLE = {
    TurnKind.GREETING: (ReplyKind.SMALLTALK, "greeting"),
    TurnKind.THANKS: (ReplyKind.SMALLTALK, "thanks"),
    TurnKind.BYE: (ReplyKind.SMALLTALK, "bye"),
    TurnKind.ABOUT: (ReplyKind.MENU, "about"),
    TurnKind.MENU: (ReplyKind.MENU, ""),
    TurnKind.WELCOME: (ReplyKind.MENU, "welcome"),
    TurnKind.MEDIA: (ReplyKind.CLARIFY, "media"),
    TurnKind.EMPTY: (ReplyKind.CLARIFY, "empty"),
    TurnKind.RESET: (ReplyKind.SMALLTALK, "reset"),
    TurnKind.USEFUL: (ReplyKind.SMALLTALK, "useful"),
    TurnKind.USELESS: (ReplyKind.SMALLTALK, "useless"),
    TurnKind.HUMAN: (ReplyKind.HANDOVER, ""),
}
# The covering note of a document: says that something is issued, not what it says.
_FORWARDING = re.compile(r"印发给你们|现予(?:以)?(?:公布|印发|发布)|现(?:转|下)发给你们")
_FIGURES = re.compile(
    r"(?:\d[\d,.]*|[一二三四五六七八九十百千]+)\s*(?:多|余)?(?:元|万|亿|%|％|人|户|个|名|家|亩|套|辆|所|座|公里|件|吨|起|次)"
)
_ASKED_YEAR = re.compile(r"((?:19|20)\d\d)\s*年?")
_BOUND_YEAR = re.compile(r"((?:19|20)\d\d)\s*年(?!\s*\d{1,2}\s*月)")
_YEAR = re.compile(r"(?:19|20)\d\d\s*年?(?:度)?")
_DECORATION = re.compile(
    r"^.{0,24}?关于(?:印发|公布|转发|发布|做好|进一步做好)?[《<]?|的(?:通知|公告|通告|意见)$|[》>]"
)


def choose(turn: Turn, finding: Finding | None, conversation: Conversation, context: Context) -> Decision:
    """The reply that is due for ``turn``. Pure.

    ``finding`` is None exactly where ``turn.needs_search`` is False; a question without a finding becomes ``failed``.
    """
    decision = _choose(turn, finding, conversation, context)
    if finding is not None:
        hides_hits = decision.kind in (ReplyKind.FAILED, ReplyKind.REFER)
        decision = replace(
            decision,
            finding=finding,
            confidence=0.0 if hides_hits else finding.confidence,
            corrected=echo(sensitive.shipped().screen(finding.corrected).masked) if finding.corrected else "",
        )
    return replace(
        decision,
        question=turn.shown,
        number=turn.filters.number,
        aside=turn.aside,
        shortened=turn.shortened,
        aspect=turn.aspect,
        alert=turn.screening is not None and turn.screening.alert,
        today=context.today,
    )


def failed() -> Decision:
    """The courteous reply of an inquiry whose handling broke."""
    return Decision(kind=ReplyKind.FAILED, rule="failed")


def enrich(
    decision: Decision,
    *,
    guide: Sequence[Passage] = (),
    links: Sequence[tuple[LinkKind, PolicyDocument, bool]] = (),
) -> Decision:
    """Add what the library knows about the document quoted first: the sections of a guide, its linked documents.

    ``links`` are (kind, other document, whether the other one acts on this one), confirmed and open ones only. Of a
    guide the section is quoted that answers the aspect asked for (「多少钱」 the fees, 「找谁」 the telephone).
    """
    hits = decision.hits
    section = guides.answering(guide, decision.aspect) if hits and decision.rule != "picked" else None
    if section is not None:
        hits = (replace(hits[0], passage=section), *hits[1:])
    return replace(
        decision,
        hits=hits,
        guide=tuple(guide),
        origins=tuple(
            other for kind, other, acts in links if kind in (LinkKind.INTERPRETS, LinkKind.GUIDES) and not acts
        )[:2],
        interpretations=tuple(other for kind, other, acts in links if kind is LinkKind.INTERPRETS and acts),
        amendments=tuple(other for kind, other, acts in links if kind is LinkKind.AMENDS and acts),
        replacements=tuple(
            other for kind, other, acts in links if kind is LinkKind.REPEALS and acts and not other.validity.lapsed
        ),
    )


def _choose(turn: Turn, finding: Finding | None, conversation: Conversation, context: Context) -> Decision:
    if turn.screening is not None and turn.screening.refused:
        return Decision(kind=ReplyKind.SMALLTALK, rule="sensitive.refuse", variant="refuse")
    if turn.kind in _SIMPLE:
        kind, variant = _SIMPLE[turn.kind]
        return Decision(kind=kind, rule=f"turn.{turn.kind.value}", variant=variant)
    if turn.kind is TurnKind.CONTINUE:
        return _continue(conversation)
    if turn.kind is TurnKind.PICK_MISSED:
        return Decision(
            kind=ReplyKind.CHOICES,
            rule="turn.pick_missed",
            variant="again",
            choices=conversation.choices,
            targets=tuple(conversation.slots.get(f"pick.{n}", "") for n in range(1, len(conversation.choices) + 1)),
        )
    if turn.kind is TurnKind.NONE_OF_THESE:
        if conversation.asked_back:
            return Decision(kind=ReplyKind.UNCLEAR, rule="none.again", basis=_BASIS[ReplyKind.UNCLEAR])
        return Decision(kind=ReplyKind.CLARIFY, rule="none.first", variant="none", missing=Missing.MATTER)
    if turn.triage is not None and turn.triage.at_once:
        return _refer(turn.triage, None, context)
    if finding is None:
        return Decision(kind=ReplyKind.FAILED, rule="no_finding")
    if not finding.record.scope_documents and not finding.record.filters and not finding.hits:
        return Decision(kind=ReplyKind.FAILED, rule="library.empty", variant="empty")
    return _from_library(turn, finding, conversation, context)


def _from_library(turn: Turn, finding: Finding, conversation: Conversation, context: Context) -> Decision:
    hits = finding.hits
    if turn.kind is TurnKind.PICK and hits:
        return _answer(_picked_first(hits, turn.passage), "picked", context)
    if turn.number_only or (turn.filters.number and not hits):
        return _by_number(turn, finding, context)
    sure = _sure(turn, finding, context)
    year = _missing_year(turn, hits[0]) if hits else ""
    vague = turn.vagueness is Vagueness.NO_MATTER and sure < _surer(context)
    if sure >= context.answer_at and not year and not vague and not _unmade(turn, sure, hits[0], context):
        ordered, replaced = _in_force_first(hits)
        rivals = [] if turn.followup else _rivals(ordered, turn)
        if len(rivals) > 1:
            return _choices(rivals, "answer.ambiguous")
        return _answer(ordered, "answer.replaced" if replaced else "answer", context)
    if turn.triage is not None and (sure < context.choices_at or turn.triage.kind in _GRIEVANCES):
        return _refer(turn.triage, finding, context)
    if turn.wants_creation:
        return Decision(
            kind=ReplyKind.NEEDS_CREATION,
            rule="creation",
            nearest=_nearest(hits),
            matched=turn.wants_creation,
            organ=_holder(finding.organs, context, context.organ_at),
            basis=_BASIS[ReplyKind.NEEDS_CREATION],
        )
    if vague and not conversation.asked_back:
        return _clarify(turn, finding)
    if year:
        return Decision(
            kind=ReplyKind.NOT_FOUND,
            rule="not_found.year",
            variant="year",
            nearest=_nearest(hits),
            organ=_holder(finding.organs, context, context.organ_at),
            matched=year,
            basis=_BASIS[ReplyKind.NOT_FOUND],
        )
    outside = _holder(finding.organs, context, context.organ_sure_at)
    if outside is not None and outside.organ.relation in _OUTSIDE:
        return _not_held(outside, hits, "not_held.outside")
    if sure >= context.choices_at:
        return _choices(_distinct(hits), "choices", _holder(finding.organs, context, context.organ_at))
    agreeing = _at_work(finding, context)
    if agreeing is not None and sure >= context.choices_at * AGREEING and turn.vagueness is Vagueness.CLEAR:
        return _choices(_distinct(hits), "choices.organ_agrees", agreeing)
    return _missed(turn, finding, conversation, context)


def _sure(turn: Turn, finding: Finding, context: Context) -> float:
    """How sure we may be of the first hit: the library's confidence, unless other evidence speaks against it.

    Against it speak: the hit holds nothing of the matter; or the library knows some word of the matter in none of its
    hits while the directory names an organ that none of the first hits has to do with.
    """
    if not finding.hits or not _speaks_of(turn, finding, finding.hits[0]):
        return 0.0
    handles = _holder(finding.organs, context, context.organ_at)
    if handles is None or _concerns(handles.organ, finding.hits[:NEAREST]):
        return finding.confidence
    held = "".join(_all_text(hit) for hit in finding.hits)
    unknown = [word for word in finding.record.terms if len(word) > 1 and word in turn.core and word not in held]
    return 0.0 if unknown else finding.confidence


def _at_work(finding: Finding, context: Context) -> OrganMatch | None:
    """The organ that handles the matter by the directory, where the first hits are its own work too."""
    handles = _holder(finding.organs, context, context.organ_at)
    return handles if handles is not None and _concerns(handles.organ, finding.hits[:NEAREST]) else None


def _concerns(organ: Organ, hits: Sequence[Hit]) -> bool:
    """Whether one of the hits was issued by the organ or names it."""
    names = {organ.name, organ.short_name, *organ.aliases} - {""}
    return any(name in hit.document.issuer or name in _all_text(hit) for hit in hits for name in names)


def _all_text(hit: Hit) -> str:
    return f"{hit.document.title} {' '.join(hit.passage.path)} {hit.passage.text}"


def _surer(context: Context) -> float:
    """Half way between the threshold and certainty: asked of what is easily mistaken."""
    return (1 + context.answer_at) / 2


def _unmade(turn: Turn, sure: float, hit: Hit, context: Context) -> bool:
    """Whether figures or a certificate are wanted that the first hit does not plainly hold."""
    if not turn.wants_creation:
        return False
    return sure < _surer(context) or not _FIGURES.search(hit.passage.text)


def _speaks_of(turn: Turn, finding: Finding, hit: Hit) -> bool:
    """Whether a hit holds any of what names the matter, in the asker's words or the official ones.

    A question whose own words are all unknown to the library can still score on its general words.
    """
    if len(turn.core) < 2:
        return True
    text = _all_text(hit)
    pairs = {turn.core[index : index + 2] for index in range(len(turn.core) - 1)}
    if any(pair in text for pair in pairs) or any(len(word) > 1 and word in text for word in finding.record.expanded):
        return True
    corrected = letters(finding.corrected)
    return any(corrected[index : index + 2] in text for index in range(len(corrected) - 1))


def _missing_year(turn: Turn, hit: Hit) -> str:
    """The year that was asked for, where the first hit is bound to other years and to this one it is not."""
    asked = {match.group(1) for match in _ASKED_YEAR.finditer(turn.question)} if not turn.number_only else set()
    if not asked or turn.filters.number:
        return ""
    text = _all_text(hit)
    bound = {match.group(1) for match in _BOUND_YEAR.finditer(text)}
    written = str(hit.document.written_on.year) if hit.document.written_on else ""
    return min(asked) if bound and not (bound | {written}) & asked else ""


_GRIEVANCES = (TriageKind.COMPLAINT, TriageKind.CONSUMER, TriageKind.PETITION, TriageKind.DUTY)
_OUTSIDE = (OrganRelation.VERTICAL, OrganRelation.UTILITY, OrganRelation.OTHER)


def _missed(turn: Turn, finding: Finding, conversation: Conversation, context: Context) -> Decision:
    """Nothing likely was found: ask back once, else one of the convenience replies."""
    hits = finding.hits
    if turn.vagueness is not Vagueness.CLEAR:
        if not conversation.asked_back:
            return _clarify(turn, finding)
        if turn.vagueness is Vagueness.NO_MATTER:
            return Decision(
                kind=ReplyKind.UNCLEAR,
                rule="unclear",
                nearest=_nearest(hits),
                related=finding.suggestions[:NEAREST],
                basis=_BASIS[ReplyKind.UNCLEAR],
            )
    holder = _holder(finding.organs, context, context.organ_at)
    if holder is not None:
        return _not_held(holder, hits, "not_held")
    return Decision(
        kind=ReplyKind.NOT_FOUND,
        rule="not_found",
        nearest=_nearest(hits),
        related=finding.suggestions[:NEAREST],
        basis=_BASIS[ReplyKind.NOT_FOUND],
    )


def _continue(conversation: Conversation) -> Decision:
    if not conversation.more:
        return Decision(kind=ReplyKind.SMALLTALK, rule="continue.nothing", variant="no_more")
    try:
        kind = ReplyKind(conversation.slots.get("kind", ""))
    except ValueError:
        kind = ReplyKind.ANSWER
    return Decision(kind=kind, rule="continue", rest=conversation.more)


def _refer(triage: Triage, finding: Finding | None, context: Context) -> Decision:
    organ = _named(triage.organ, finding, context)
    contacts = tuple(
        replace(contact, phone=context.office.hotline) if contact.phone == "12345" else contact
        for contact in triage.contacts
    )
    return Decision(
        kind=triage.kind.reply,
        rule=f"triage.{triage.rule}",
        variant=triage.template,
        contacts=contacts,
        organ=organ,
        basis=triage.basis,
        matched=triage.matched,
        nearest=_nearest(finding.hits) if finding and triage.kind is not TriageKind.EMERGENCY else (),
    )


def _named(name: str, finding: Finding | None, context: Context) -> OrganMatch | None:
    """The directory's organ for a referral: by name, else the best function match."""
    if not name:
        return None
    for wanted in name.split("|"):
        for organ in context.directory:
            if any(wanted in known for known in (organ.name, organ.short_name, *organ.aliases) if known):
                return OrganMatch(organ, 1.0, ())
    matches = finding.organs if finding else ()
    return next((match for match in matches if match.score >= context.organ_at), None)


def _holder(organs: Sequence[OrganMatch], context: Context, at: float) -> OrganMatch | None:
    """The organ that handles the matter, if it is another one than ours and the match is good enough."""
    if not organs or organs[0].score < at:
        return None
    return None if _own(organs[0].organ, context) else organs[0]


def _own(organ: Organ, context: Context) -> bool:
    if organ.relation is OrganRelation.OWN:
        return True
    names = {organ.name, organ.short_name, *organ.aliases} - {""}
    return bool(names & {context.own_organ, context.office.name})


def _not_held(match: OrganMatch, hits: Sequence[Hit], rule: str) -> Decision:
    names = {match.organ.name, match.organ.short_name, *match.organ.aliases} - {""}
    theirs = [hit for hit in hits if any(name in hit.document.issuer for name in names)]
    rest = [hit for hit in hits if hit not in theirs]
    return Decision(
        kind=ReplyKind.NOT_HELD,
        rule=rule,
        organ=match,
        nearest=_nearest([*theirs, *rest]),
        basis=_BASIS[ReplyKind.NOT_HELD],
    )


def _by_number(turn: Turn, finding: Finding, context: Context) -> Decision:
    """Only a 文号 was sent: the document itself, or the closest numbers."""
    number = turn.filters.number or turn.question
    exact = tuple(hit for hit in finding.hits if hit.document.number == number)
    if exact:
        ordered = sorted(exact, key=lambda hit: (bool(_FORWARDING.search(hit.passage.text)), hit.passage.ordinal))
        return replace(_answer(ordered, "number", context), variant="number")
    return Decision(
        kind=ReplyKind.NOT_FOUND,
        rule="number.missed",
        variant="number",
        nearest=_nearest(finding.hits),
        related=finding.suggestions[:NEAREST],
        basis=_BASIS[ReplyKind.NOT_FOUND],
    )


def _answer(hits: Sequence[Hit], rule: str, context: Context) -> Decision:
    first = hits[0]
    return Decision(
        kind=ReplyKind.ANSWER,
        rule=rule,
        hits=tuple(hits[:MOST_CHOICES]),
        plain=_plain(hits),
        validity_of=_validity(first, context),
        related=tuple(dict.fromkeys(_label(hit) for hit in hits[1:] if hit.document.id != first.document.id))[:2],
    )


def _plain(hits: Sequence[Hit]) -> Hit | None:
    """An interpretation or FAQ among the hits that speaks about the very document quoted first."""
    first = hits[0].document
    if first.kind not in (DocumentKind.POLICY, DocumentKind.LAW):
        return None
    core = _core_title(first.title)
    for hit in hits[1:]:
        about = hit.document.kind in (DocumentKind.INTERPRETATION, DocumentKind.FAQ)
        if about and len(core) >= 4 and (core in _core_title(hit.document.title)):
            return hit
    return None


def _validity(hit: Hit, context: Context) -> str:
    document = hit.document
    if document.validity is Validity.IN_FORCE or document.validity is Validity.AMENDED:
        if document.expires_on is not None and document.expires_on < context.today:
            return Validity.EXPIRED.value
        if document.effective_on is not None and document.effective_on > context.today:
            return Validity.NOT_YET.value
    return "" if document.validity is Validity.IN_FORCE else document.validity.value


def _in_force_first(hits: Sequence[Hit]) -> tuple[tuple[Hit, ...], bool]:
    """Where a lapsed text leads, an equally fitting text in force is put before it."""
    first = hits[0]
    if not first.document.validity.lapsed:
        return tuple(hits), False
    words = set(first.matched)
    for hit in hits[1:]:
        alive = hit.document.validity in (Validity.IN_FORCE, Validity.AMENDED)
        same_kind = hit.document.kind is first.document.kind
        same_words = not words or len(words & set(hit.matched)) >= 0.8 * len(words)
        alike = _bare(hit.document.title) == _bare(first.document.title)
        if alive and same_kind and (alike or (same_words and hit.score >= first.score - 0.25 * abs(first.score))):
            return (hit, *(other for other in hits if other is not hit)), True
    return tuple(hits), False


def _rivals(hits: Sequence[Hit], turn: Turn) -> list[Hit]:
    """Different documents of one kind that fit a short question equally well, or only the first."""
    first = hits[0]
    if len(letters(turn.question)) > 8 and turn.vagueness is Vagueness.CLEAR:
        return [first]
    near = [first]
    margin = SAME_SCORE_BARE if turn.vagueness is Vagueness.BARE_TOPIC else SAME_SCORE
    for hit in hits[1:]:
        other = hit.document.id not in {kept.document.id for kept in near}
        same_kind = hit.document.kind is first.document.kind and not hit.document.validity.lapsed
        if other and same_kind and first.score - hit.score <= margin * abs(first.score):
            near.append(hit)
    return near[:MOST_CHOICES]


def _clarify(turn: Turn, finding: Finding) -> Decision:
    likely = _distinct(finding.hits)
    if turn.vagueness is Vagueness.NO_MATTER:
        missing = Missing.MATTER
    else:
        missing = _differs(likely) or Missing.ASPECT
    choices, targets = _offers(likely)
    if not choices:
        choices = tuple(Choice(echo(text), echo(text)) for text in finding.suggestions[:MOST_CHOICES])
        targets = tuple("" for _ in choices)
    return Decision(kind=ReplyKind.CLARIFY, rule="clarify", missing=missing, choices=choices, targets=targets)


def _differs(hits: Sequence[Hit]) -> Missing | None:
    """In what the likely documents differ, where one question settles it: the year, the place, the person."""
    documents = list({hit.document.id: hit.document for hit in hits}.values())
    if len(documents) < 2:
        return None
    if len({_bare(document.title) for document in documents}) == 1:
        if len({document.written_on.year for document in documents if document.written_on}) > 1:
            return Missing.YEAR
        if len({document.issuer for document in documents if document.issuer}) > 1:
            return Missing.PLACE
    audiences = {document.audience for document in documents if document.audience}
    return Missing.WHO if len(audiences) == len(documents) else None


def _choices(hits: Sequence[Hit], rule: str, organ: OrganMatch | None = None) -> Decision:
    choices, targets = _offers(hits)
    return Decision(
        kind=ReplyKind.CHOICES,
        rule=rule,
        variant="one" if len(choices) == 1 else "",
        choices=choices,
        targets=targets,
        organ=organ,
        nearest=tuple(hits[:MOST_CHOICES]),
    )


def _offers(hits: Sequence[Hit]) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Choices with labels that tell each other apart, and what each stands for."""
    choices: list[Choice] = []
    targets: list[str] = []
    for hit in hits[:MOST_CHOICES]:
        label = _label(hit)
        if any(label == choice.label for choice in choices):
            label = f"{label} {hit.passage.locator}"
        send = f"{_core_title(hit.document.title)} {_item(hit)}".strip()
        choices.append(Choice(label=label, send=echo(send)))
        targets.append(f"{hit.document.id} {hit.passage.id}")
    return tuple(choices), tuple(targets)


def _label(hit: Hit) -> str:
    """What a citizen reads: the item's own title with its document, shortened."""
    title = echo(_core_title(hit.document.title), 28)
    mark = f"（{hit.document.validity.label}）" if hit.document.validity.lapsed else ""
    item = _item(hit)
    if not item or item in title or hit.document.kind is DocumentKind.SERVICE_GUIDE:
        return f"{title}{mark}"
    return f"{echo(item, 24)}——《{title}》{mark}"


def _item(hit: Hit) -> str:
    passage = hit.passage
    name = tidy(passage.lead) or (tidy(passage.path[-1]) if passage.path else "")
    name = re.sub(
        r"^(?:第?[一二三四五六七八九十百\d]+[、.．章节条]|[（(][一二三四五六七八九十\d]+[）)])\s*", "", name
    ).rstrip("。：:；;")
    return name if len(name) <= 40 else ""


def _core_title(title: str) -> str:
    """The matter a title names: without the issuing organ, 关于印发…的通知 and book-title marks."""
    inner = re.search(r"《([^》]{4,})》", title)
    core = inner.group(1) if inner else _DECORATION.sub("", tidy(title))
    core = re.sub(r"(?:的)?(?:政策)?(?:解读|问答|图解)$", "", core)
    return core or tidy(title)


def _bare(title: str) -> str:
    return _YEAR.sub("", _core_title(title))


def _distinct(hits: Sequence[Hit]) -> list[Hit]:
    """The best hit of every document first; further passages fill up when there are fewer than three documents."""
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.document.id, hit)
    chosen = list(best.values())[:MOST_CHOICES]
    if len(chosen) < 3:
        top = chosen[0].document.id if chosen else ""
        chosen += [hit for hit in hits if hit.document.id == top and hit not in chosen][: 3 - len(chosen)]
    return chosen


def _nearest(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.document.id, hit)
    return tuple(best.values())[:NEAREST]


def _picked_first(hits: Sequence[Hit], passage: str) -> tuple[Hit, ...]:
    chosen = [hit for hit in hits if hit.passage.id == passage]
    return (*chosen, *(hit for hit in hits if hit not in chosen))
