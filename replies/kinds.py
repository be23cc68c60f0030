"""答复种类的选择: which kind of reply is due. Pure functions, the heart of the product.

What was found, how sure the library is, what the message asks for and what was said before decide; the words come
later. The order is the order of :func:`choose`, top to bottom; every decision names its rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from knowledge.model import (
    Finding,
    Hit,
    LinkKind,
    OrganMatch,
    OrganRelation,
    Passage,
    PolicyDocument,
)
from register.inquiry import Choice, Conversation, ReplyKind
from replies import certainty, evidence, family, labels, sensitive
from replies import guide as guides
from replies.model import (
    HANDLED,
    Context,
    Decision,
    Missing,
    OfficeInfo,
    SensitiveAction,
    Triage,
    TriageKind,
    Turn,
    TurnKind,
    Vagueness,
)
from replies.text import echo, letters

__all__ = ["Context", "Decision", "OfficeInfo", "choose", "enrich", "failed"]

# Where the directory and the hits point to the same organ, this share of the threshold is enough to offer choices.
AGREEING = 0.5
_IMPROBABLE = 0.15  # confidence of the library below which nothing is quoted
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


def choose(turn: Turn, finding: Finding | None, conversation: Conversation, context: Context) -> Decision:
    """The reply that is due for ``turn``. Pure.

    ``finding`` is None exactly where ``turn.needs_search`` is False; a question without a finding becomes ``failed``.
    """
    if finding is not None and turn.kind is TurnKind.QUESTION and not turn.filters.number:
        finding = replace(finding, hits=family.named_first(turn, finding))
    decision = _choose(turn, finding, conversation, context)
    if finding is not None:
        finding = _unsaid(turn, finding)
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
    )


def _unsaid(turn: Turn, finding: Finding) -> Finding:
    """The finding without the searched words that are masked where the message is shown."""
    screening = turn.screening
    if screening is None or SensitiveAction.MASK not in screening.actions:
        return finding
    clean = tuple(word for word in finding.record.terms if word in screening.masked)
    return replace(finding, record=replace(finding.record, terms=clean))


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
    shown = decision.plain.document.id if decision.plain else ""
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
        interpretations=tuple(
            other for kind, other, acts in links if kind is LinkKind.INTERPRETS and acts and other.id != shown
        ),
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
        return replace(_refer(turn.triage, finding, context), nearest=())
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
    leading = family.leading(hits)
    year = evidence.missing_year(turn, hits[0]) if hits else ""
    ours = evidence.placed(turn, hits, context.office.county)
    sure = _sure(turn, finding, leading, context)
    if ours is False:
        sure = 0.0  # what is asked of one county is not answered with another's
    short = len(letters(turn.question)) <= 4
    vague = turn.vagueness is Vagueness.NO_MATTER and (short or sure < context.surer_at)
    known = ours is True or family.named(turn, finding, leading, context.office.county)
    bare = turn.vagueness is Vagueness.BARE_TOPIC
    other = None if bare else evidence.elsewhere(finding, leading, context)
    agreed = known and other is None and turn.vagueness is Vagueness.CLEAR and leading.share >= context.family_share
    if bare and not (known and sure >= context.surer_at) and turn.triage is None and not turn.followup:
        named = labels.distinct([hit for hit in hits if evidence.titled(turn, finding, hit)])
        if len({hit.document.id for hit in named}) > 1 and evidence.differs(named) is None:
            fitting = evidence.holder(finding.organs, context, context.organ_at)
            return _choices(named, "choices.topic", fitting)
    if turn.followup and agreed and family.titled(turn, finding, leading):
        sure = max(sure, context.family_at)  # the matter was found before; only another side of it is asked for
    at = context.family_at if agreed else context.answer_at
    if hits and sure >= at and not year and not vague and not _unmade(turn, sure, hits[0], context):
        ordered, replaced = evidence.in_force_first(hits)
        rivals = [] if turn.followup or agreed else evidence.rivals(ordered, turn)
        if len(rivals) > 1:
            return _choices(rivals, "answer.ambiguous")
        rule = "answer.replaced" if replaced else "answer" if sure >= context.answer_at else "answer.family"
        ordered = family.guide_first(ordered, turn.aspect)
        near = [hit for hit in ordered if evidence.titled(turn, finding, hit)]
        return _answer(ordered, rule, context, near=near, beside=sure < context.surer_at)
    if other is not None and not known:
        sure = 0.0  # the directory sees another matter, which the first hits at best mention: they are not offered
    if _only_abuse(turn) and not (known and sure >= context.choices_at):
        return Decision(kind=ReplyKind.CLARIFY, rule="clarify.calm", variant="calm", missing=Missing.MATTER)
    if turn.triage is not None and (sure < context.choices_at or turn.triage.kind in _ELSEWHERE):
        return _refer(turn.triage, finding, context)
    if not evidence.of_that_kind(turn, finding):
        return Decision(
            kind=ReplyKind.NOT_FOUND,
            rule="not_found.publication",
            nearest=labels.nearest(hits),
            organ=evidence.holder(finding.organs, context, context.organ_at),
            basis=_BASIS[ReplyKind.NOT_FOUND],
        )
    if turn.wants_creation:
        return Decision(
            kind=ReplyKind.NEEDS_CREATION,
            rule="creation",
            nearest=labels.nearest(hits),
            matched=turn.wants_creation,
            organ=evidence.holder(finding.organs, context, context.organ_at),
            basis=_BASIS[ReplyKind.NEEDS_CREATION],
        )
    if vague:
        return _unclear(turn, finding, conversation)
    if year:
        return Decision(
            kind=ReplyKind.NOT_FOUND,
            rule="not_found.year",
            variant="year",
            nearest=labels.nearest(hits),
            organ=evidence.holder(finding.organs, context, context.organ_at),
            matched=year,
            basis=_BASIS[ReplyKind.NOT_FOUND],
        )
    agreeing = evidence.at_work(finding, context)
    outside = evidence.holder(finding.organs, context, context.organ_sure_at)
    if outside is not None and outside.organ.relation in _OUTSIDE and agreeing is None and not known:
        return _not_held(outside, hits, "not_held.outside")
    likely = [hit for hit in hits if evidence.relevant(turn, finding, hit)]
    if not likely and evidence.vouched(finding, context):
        likely = [hit for hit in hits if evidence.issued(finding.organs[0].organ, (hit,))]
    if likely and sure >= context.choices_at:
        fitting = evidence.holder(finding.organs, context, context.organ_at)
        return _choices(labels.distinct(likely), "choices", fitting)
    if likely and agreeing is not None and sure >= context.choices_at * AGREEING and turn.vagueness is Vagueness.CLEAR:
        return _choices(labels.distinct(likely), "choices.organ_agrees", agreeing)
    return _missed(turn, finding, conversation, context)


def _sure(turn: Turn, finding: Finding, leading: family.Family, context: Context) -> float:
    """How sure we may be of the first hit (0..1).

    Where the words may mean something else as well (figures to be made, a utility's business, no matter or a bare one),
    the library itself has to be sure too; and what it finds improbable no other witness makes likely.
    """
    chance = certainty.chance(turn, finding, leading, context)
    clear = turn.vagueness is Vagueness.CLEAR and turn.triage is None and not turn.wants_creation
    alone = clear and finding.confidence >= _IMPROBABLE
    return chance if alone else min(chance, evidence.sure(turn, finding))


def _unmade(turn: Turn, sure: float, hit: Hit, context: Context) -> bool:
    """Whether figures or a certificate are wanted that the first hit does not plainly hold."""
    if not turn.wants_creation:
        return False
    return sure < context.surer_at or not _FIGURES.search(hit.passage.text)


def _only_abuse(turn: Turn) -> bool:
    """Whether a message holds masked words and names nothing beside them that could be looked up."""
    if turn.screening is None or SensitiveAction.MASK not in turn.screening.actions or turn.aspect:
        return False
    return len(turn.core) <= _NO_MATTER


_WORD = 2  # letters of the shortest word that could be looked up
_NO_MATTER = 3  # letters that a message may have left besides its abuse
# Where these belong is a better reply than choices.
_ELSEWHERE = (
    TriageKind.COMPLAINT,
    TriageKind.CONSUMER,
    TriageKind.PETITION,
    TriageKind.DUTY,
    TriageKind.PUBLICATION,
)
_OUTSIDE = (OrganRelation.VERTICAL, OrganRelation.UTILITY, OrganRelation.OTHER)


def _missed(turn: Turn, finding: Finding, conversation: Conversation, context: Context) -> Decision:
    """Nothing likely was found: ask back once, else one of the convenience replies."""
    hits = finding.hits
    if turn.vagueness is Vagueness.NO_MATTER or (
        turn.vagueness is Vagueness.BARE_TOPIC and not conversation.asked_back
    ):
        return _unclear(turn, finding, conversation)
    holder = evidence.holder(finding.organs, context, context.organ_at)
    if holder is not None:
        return _not_held(holder, hits, "not_held")
    return Decision(
        kind=ReplyKind.NOT_FOUND,
        rule="not_found",
        nearest=labels.nearest(hits),
        related=_suggested(finding),
        basis=_BASIS[ReplyKind.NOT_FOUND],
    )


def _unclear(turn: Turn, finding: Finding, conversation: Conversation) -> Decision:
    """One question back; whoever still names no matter then is told how to go on."""
    if not conversation.asked_back:
        return _clarify(turn, finding)
    return Decision(
        kind=ReplyKind.UNCLEAR,
        rule="unclear",
        nearest=labels.nearest(finding.hits),
        related=_suggested(finding),
        basis=_BASIS[ReplyKind.UNCLEAR],
    )


def _suggested(finding: Finding) -> tuple[str, ...]:
    """Near titles and questions that are not already among the nearest finds."""
    shown = {hit.document.title for hit in labels.nearest(finding.hits)}
    return tuple(text for text in finding.suggestions if text not in shown)[: labels.NEAREST]


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
    if organ is None and not triage.organ and finding is not None and triage.kind in HANDLED:
        organ = next((match for match in finding.organs if match.score >= context.organ_at), None)
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
        nearest=labels.nearest(finding.hits) if finding and triage.kind is not TriageKind.EMERGENCY else (),
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


def _not_held(match: OrganMatch, hits: Sequence[Hit], rule: str) -> Decision:
    names = {match.organ.name, match.organ.short_name, *match.organ.aliases} - {""}
    theirs = [hit for hit in hits if any(name in hit.document.issuer for name in names)]
    rest = [hit for hit in hits if hit not in theirs]
    return Decision(
        kind=ReplyKind.NOT_HELD,
        rule=rule,
        organ=match,
        nearest=labels.nearest([*theirs, *rest]),
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
        nearest=labels.nearest(finding.hits),
        related=_suggested(finding),
        basis=_BASIS[ReplyKind.NOT_FOUND],
    )


def _answer(
    hits: Sequence[Hit], rule: str, context: Context, *, near: Sequence[Hit] = (), beside: bool = False
) -> Decision:
    """``beside`` offers further items of the same matter, for the first one may not be the one that was meant.

    ``near`` are the hits of which other documents may be named as related.
    """
    first = hits[0]
    plain = evidence.plain(hits)
    kin = [hit for hit in family.leading(hits).hits if hit not in (first, plain)] if beside else []
    choices, targets = labels.beside(kin)
    shown = {first.document.id, plain.document.id if plain else "", *(hit.document.id for hit in kin)}
    others = [hit for hit in near if hit.document.id not in shown]
    return Decision(
        kind=ReplyKind.ANSWER,
        rule=rule,
        hits=tuple(hits[: labels.MOST_CHOICES]),
        plain=plain,
        validity_of=evidence.validity(first, context),
        choices=choices,
        targets=targets,
        related=tuple(dict.fromkeys(labels.label(hit) for hit in others))[:2],
    )


def _clarify(turn: Turn, finding: Finding) -> Decision:
    likely = labels.distinct(finding.hits)
    if turn.vagueness is Vagueness.NO_MATTER:
        missing = Missing.MATTER
        # Without any word of a matter the hits are accidental.
        spoken = len(letters(turn.subject)) >= _WORD
        choices, targets = labels.matters(family.apart(finding.hits)) if spoken else ((), ())
    else:
        spoken = True
        missing = evidence.differs(likely) or Missing.ASPECT
        choices, targets = labels.offers(likely)
    if not choices and spoken:
        choices = tuple(Choice(echo(text), echo(text)) for text in finding.suggestions[: labels.MOST_CHOICES])
        targets = tuple("" for _ in choices)
    return Decision(kind=ReplyKind.CLARIFY, rule="clarify", missing=missing, choices=choices, targets=targets)


def _choices(hits: Sequence[Hit], rule: str, organ: OrganMatch | None = None) -> Decision:
    choices, targets = labels.offers(hits)
    return Decision(
        kind=ReplyKind.CHOICES,
        rule=rule,
        variant="one" if len(choices) == 1 else "",
        choices=choices,
        targets=targets,
        organ=organ,
        nearest=tuple(hits[: labels.MOST_CHOICES]),
    )


def _picked_first(hits: Sequence[Hit], passage: str) -> tuple[Hit, ...]:
    chosen = [hit for hit in hits if hit.passage.id == passage]
    return (*chosen, *(hit for hit in hits if hit not in chosen))
