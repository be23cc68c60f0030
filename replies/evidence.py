"""证据: how far what was found may be trusted, beyond the library's own confidence. Pure.

What speaks for or against the first hit: the words and the year of the question, the organ that handles the matter,
the validity of the text, and equally good rivals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.model import (
    DocumentKind,
    Finding,
    Hit,
    Organ,
    OrganMatch,
    OrganRelation,
    Validity,
)
from replies import dialogue, family
from replies.family import Family
from replies.labels import MOST_CHOICES, NEAREST, bare, core_title
from replies.model import Context, Missing, Turn, Vagueness
from replies.text import letters

# Documents whose scores differ by less than this share of the first are equally likely; the second for a bare word.
SAME_SCORE, SAME_SCORE_BARE = 0.03, 0.15
SAME_SAYING = 1.5  # how far below the first hit an interpretation may score that is quoted beside it
_ASKED_YEAR = re.compile(r"((?:19|20)\d\d)\s*年?")
_COUNTY = re.compile(
    r"(?<![一-鿿])(?!我们?|咱们?|你们?|他们?|哪|各|全|本|外|邻|隔壁|别|其他|在|到|去)[一-鿿]{2,3}?(?:县|州|市|区|旗)(?![里上城内级区委长外人])"
)
_BOUND_YEAR = re.compile(r"((?:19|20)\d\d)\s*年(?!\s*\d{1,2}\s*月)")


def sure(turn: Turn, finding: Finding) -> float:
    """How sure we may be of the first hit: the library's confidence, unless the hit holds nothing of the matter."""
    return finding.confidence if finding.hits and speaks_of(turn, finding, finding.hits[0]) else 0.0


def vouched(finding: Finding, context: Context) -> bool:
    """Whether the directory gives the matter to the organ that issued the first hit: two witnesses that agree."""
    match = holder(finding.organs, context, context.organ_at)
    return match is not None and issued(match.organ, finding.hits[:1])


def elsewhere(finding: Finding, leading: Family, context: Context) -> OrganMatch | None:
    """The organ of which the directory says that it handles the matter, where the leading documents are about another.

    They are about another where none of the directory's reasons stands in their titles and heads and they are not the
    organ's own. A township that is merely named says where, not what; a match without a reason is only a leaning.
    """
    match = holder(finding.organs, context, context.organ_at)
    reasons = named_by(match) if match is not None else ()
    if match is None or not reasons or issued(match.organ, finding.hits[:NEAREST]):
        return None
    names = {match.organ.name, match.organ.short_name, *match.organ.aliases}
    if match.organ.relation is OrganRelation.TOWNSHIP and names & set(match.because):
        return None
    return None if any(family.holds(reason, leading) for reason in reasons) else match


def named_by(match: OrganMatch) -> tuple[str, ...]:
    """The directory's reasons, and those words of the question that name the matter to it."""
    return (*match.because, *(word for word in match.words if family.rare(word)))


def at_work(finding: Finding, context: Context) -> OrganMatch | None:
    """The organ that handles the matter by the directory, where the first hits are its own work too."""
    handles = holder(finding.organs, context, context.organ_at)
    return handles if handles is not None and concerns(handles.organ, finding.hits[:NEAREST]) else None


def concerns(organ: Organ, hits: Sequence[Hit]) -> bool:
    """Whether one of the hits was issued by the organ or names it."""
    names = {organ.name, organ.short_name, *organ.aliases} - {""}
    return any(name in hit.document.issuer or name in all_text(hit) for hit in hits for name in names)


def issued(organ: Organ, hits: Sequence[Hit]) -> bool:
    """Whether one of the hits is the organ's own: it issued the document or the title names it."""
    names = {organ.name, organ.short_name, *organ.aliases} - {""}
    return any(name in hit.document.issuer or name in hit.document.title for hit in hits for name in names)


def all_text(hit: Hit) -> str:
    """Everything by which a hit shows what it is about: its document's title, the heads above it, its words."""
    return f"{hit.document.title} {' '.join(hit.passage.path)} {hit.passage.text}"


def speaks_of(turn: Turn, finding: Finding, hit: Hit) -> bool:
    """Whether a hit holds any of what names the matter, in the asker's words or the official ones.

    A question whose own words are all unknown to the library can still score on its general words.
    """
    if len(turn.core) < 2:
        return True
    text = all_text(hit)
    pairs = {turn.core[index : index + 2] for index in range(len(turn.core) - 1)}
    if any(pair in text for pair in pairs) or any(family.mostly(word, text) for word in finding.record.expanded):
        return True
    corrected = letters(finding.corrected)
    return any(corrected[index : index + 2] in text for index in range(len(corrected) - 1))


def of_that_kind(turn: Turn, finding: Finding) -> bool:
    """Whether one of the first hits is of the kind of information that the question names, if it names one.

    「信息公开年度报告」 shares its words with every document about disclosure; only an annual report answers.
    """
    wanted = dialogue.shipped().publication(turn.question)
    return wanted is None or any(
        wanted.search(hit.document.title) or any(wanted.search(line) for line in hit.passage.path)
        for hit in finding.hits[:_FIRST]
    )


_FIRST = 3  # hits


def placed(turn: Turn, hits: Sequence[Hit], home: str) -> bool | None:
    """Whether the first document is of the place that the question names; None where it names none or only our own."""
    places = {match.group() for match in _COUNTY.finditer(turn.question)} - {home}
    if not places or not hits:
        return None
    first = hits[0]
    return any(place in f"{first.document.title} {first.document.issuer} {first.passage.text}" for place in places)


def titled(turn: Turn, finding: Finding, hit: Hit) -> bool:
    """Whether the words of a bare topic stand in the title or head of a hit."""
    own = Family((hit,), 1.0)
    words = (*family.telling(turn.core), *(word for word in finding.record.expanded if len(word) > 1))
    return any(family.holds(word, own) for word in words)


def relevant(turn: Turn, finding: Finding, hit: Hit) -> bool:
    """Whether a hit may be offered for a question: its head names the matter, or it holds most of the question's words."""
    asked = family.content(turn.core)
    if not asked or titled(turn, finding, hit):
        return True
    text = all_text(hit)
    official = any(family.mostly(word, text) for word in finding.record.expanded)
    return official or sum(word in text for word in asked) > 0.5 * len(asked)


def missing_year(turn: Turn, hit: Hit) -> str:
    """The year that was asked for, where the first hit is bound to other years and to this one it is not."""
    asked = {match.group(1) for match in _ASKED_YEAR.finditer(turn.question)} if not turn.number_only else set()
    if not asked or turn.filters.number:
        return ""
    text = all_text(hit)
    bound = {match.group(1) for match in _BOUND_YEAR.finditer(text)}
    written = str(hit.document.written_on.year) if hit.document.written_on else ""
    return min(asked) if bound and not (bound | {written}) & asked else ""


def holder(organs: Sequence[OrganMatch], context: Context, at: float) -> OrganMatch | None:
    """The organ that handles the matter, if it is another one than ours and the match is good enough."""
    if not organs or organs[0].score < at:
        return None
    return None if own(organs[0].organ, context) else organs[0]


def own(organ: Organ, context: Context) -> bool:
    """Whether an organ of the directory is the office that answers."""
    if organ.relation is OrganRelation.OWN:
        return True
    names = {organ.name, organ.short_name, *organ.aliases} - {""}
    return bool(names & {context.own_organ, context.office.name})


def validity(hit: Hit, context: Context) -> str:
    """What to warn of before quoting, as a value of the library's ``Validity``; empty where the text binds today."""
    document = hit.document
    if document.validity is Validity.IN_FORCE or document.validity is Validity.AMENDED:
        if document.expires_on is not None and document.expires_on < context.today:
            return Validity.EXPIRED.value
        if document.effective_on is not None and document.effective_on > context.today:
            return Validity.NOT_YET.value
    return "" if document.validity is Validity.IN_FORCE else document.validity.value


def in_force_first(hits: Sequence[Hit]) -> tuple[tuple[Hit, ...], bool]:
    """Where a lapsed text leads, an equally fitting text in force is put before it."""
    first = hits[0]
    if not first.document.validity.lapsed:
        return tuple(hits), False
    words = set(first.matched)
    for hit in hits[1:]:
        alive = hit.document.validity in (Validity.IN_FORCE, Validity.AMENDED)
        same_kind = hit.document.kind is first.document.kind
        same_words = not words or len(words & set(hit.matched)) >= 0.8 * len(words)
        alike = bare(hit.document.title) == bare(first.document.title)
        if alive and same_kind and (alike or (same_words and hit.score >= first.score - 0.25 * abs(first.score))):
            return (hit, *(other for other in hits if other is not hit)), True
    return tuple(hits), False


def rivals(hits: Sequence[Hit], turn: Turn) -> list[Hit]:
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


def plain(hits: Sequence[Hit]) -> Hit | None:
    """An interpretation or FAQ among the hits that says what the first hit says: of its document, and nearly as likely."""
    first = hits[0].document
    if first.kind not in (DocumentKind.POLICY, DocumentKind.LAW):
        return None
    core = core_title(first.title)
    for hit in hits[1:]:
        about = hit.document.kind in (DocumentKind.INTERPRETATION, DocumentKind.FAQ)
        near = hit.score >= hits[0].score - SAME_SAYING
        if about and near and len(core) >= 4 and core in core_title(hit.document.title):
            return hit
    return None


def differs(hits: Sequence[Hit]) -> Missing | None:
    """In what the likely documents differ, where one question settles it: the year, the place, the person."""
    documents = list({hit.document.id: hit.document for hit in hits}.values())
    if len(documents) < 2:
        return None
    if len({bare(document.title) for document in documents}) == 1:
        if len({document.written_on.year for document in documents if document.written_on}) > 1:
            return Missing.YEAR
        if len({document.issuer for document in documents if document.issuer}) > 1:
            return Missing.PLACE
    audiences = {document.audience for document in documents if document.audience}
    return Missing.WHO if len(audiences) == len(documents) else None
