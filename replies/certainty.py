"""把握: how likely the document found first answers the question, with what the library itself cannot know. Pure.

The library says how well question and passage fit (:attr:`Finding.confidence`). Here the other witnesses are heard with
it: whether the question names the matter of the first documents, whether these agree among themselves, and whose work
the question is by the directory of organs. The weights of a logistic model stand in ``certainty.json``, made from the
question lists by ``bench/fit_certainty.py``; each :class:`Signs` names one of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from knowledge.model import DocumentKind, Finding, Hit, Organ, OrganRelation
from knowledge.organs import match
from replies import data, evidence, family
from replies.errors import RulesBroken
from replies.family import Family
from replies.model import Context, Turn

_LEAST, _MOST = 0.02, 0.99  # between these the library's confidence is told apart
_NEAR_TOP = 0.5  # share of the best score from which a further organ has the work of a document too
_ISSUER = 0.6  # score of an organ that issued a document, whatever its title says


class Signs(NamedTuple):
    """证据项: what speaks for or against the first document; 0 or 1 where no unit is named."""

    bias: float
    confidence: float  # the library's, as log odds
    named: float  # the question names the matter of the first documents, or the place they are of
    titled: float  # in its own words, in the title
    share: float  # of the first hits' say that the leading matter has, 0..1
    top: float  # how clearly the directory gives the question to an organ, 0..1
    gap: float  # how much clearer to that one than to the organ whose work the document is, 0..1
    vouched: float  # that organ issued the document
    reasons: float  # what the directory calls the matter stands above the first passages
    no_organ: float  # the directory knows nobody
    township: float  # it knows only the township, which says where and not what
    plain: float  # no official words are known for what was asked


def signs(turn: Turn, finding: Finding, leading: Family, context: Context) -> Signs:
    """The signs of a finding with hits; ``leading`` is the matter of the first."""
    first, home = finding.hits[0], context.office.county
    sure = min(max(finding.confidence, _LEAST), _MOST)
    organs = finding.organs
    top = organs[0] if organs else None
    its = handlers(first, context)
    theirs = max((other.score for other in organs if other.organ.name in its), default=0.0)
    own = top is not None and evidence.own(top.organ, context)
    words = [word for word in top.words if word in turn.core and family.rare(word)] if top is not None else []
    return Signs(
        bias=1.0,
        confidence=math.log(sure / (1.0 - sure)),
        named=evidence.placed(turn, finding.hits, home) is True or family.named(turn, finding, leading, home),
        titled=family.titled(turn, finding, leading),
        share=leading.share,
        top=top.score if top is not None else 0.0,
        gap=max(top.score - theirs, 0.0) if top is not None and not own else 0.0,
        vouched=evidence.vouched(finding, context),
        reasons=top is not None and any(family.holds(reason, leading) for reason in (*top.matters, *words)),
        no_organ=top is None,
        township=top is not None and top.organ.relation is OrganRelation.TOWNSHIP,
        plain=not any(len(word) > 1 for word in finding.record.expanded),
    )


def chance(turn: Turn, finding: Finding, leading: Family, context: Context) -> float:
    """The probability (0..1) that the first document answers.

    0 where the first passage holds nothing of the matter, or no hit is of the kind of information that was named.
    """
    if not finding.hits or not evidence.speaks_of(turn, finding, finding.hits[0]):
        return 0.0
    if not evidence.of_that_kind(turn, finding):
        return 0.0
    known = weights()
    total = sum(known[name] * value for name, value in signs(turn, finding, leading, context)._asdict().items())
    return 1.0 / (1.0 + math.exp(-total))


@cache
def weights() -> Mapping[str, float]:
    """The weight of every sign. Raises :class:`RulesBroken` where the file does not name them all."""
    path = data.HERE / "certainty.json"
    known = json.loads(path.read_text("utf-8"))["weights"]
    if set(known) != set(Signs._fields):
        raise RulesBroken(f"{path} must hold a weight for {', '.join(Signs._fields)}; run bench/fit_certainty.py")
    return {name: float(known[name]) for name in Signs._fields}


def handlers(hit: Hit, context: Context) -> Mapping[str, float]:
    """Names of the organs whose work a document is → how clearly (0..1), by its title and by who issued it."""
    document = hit.document
    question = document.kind is DocumentKind.FAQ
    text = family.heads(hit) if question else family.matter(document.title)
    known = _handlers_by(context.directory)
    found = known.get((text, document.issuer))
    if found is None:
        found = known[text, document.issuer] = _handlers(text, document.issuer, context)
        if len(known) > _KEPT:
            known.clear()
    return found


_KEPT = 20_000
_latest: tuple[tuple[Organ, ...], dict[tuple[str, str], Mapping[str, float]]] = ((), {})
"""The directory asked about last, told by identity (hashing it costs more than a look-up), and what was found for it."""


def _handlers_by(directory: tuple[Organ, ...]) -> dict[tuple[str, str], Mapping[str, float]]:
    global _latest
    if _latest[0] is not directory:
        _latest = (directory, {})
    return _latest[1]


def _handlers(text: str, issuer: str, context: Context) -> Mapping[str, float]:
    by_title = match(text, context.directory, limit=5, known=context.matters)
    best = by_title[0].score if by_title else 0.0
    found = {other.organ.name: other.score for other in by_title if other.score >= _NEAR_TOP * best}
    issuers = issuer.split()
    for organ in context.directory:
        if organ.name in issuers and not evidence.own(organ, context):
            found[organ.name] = max(found.get(organ.name, 0.0), _ISSUER)
    return found
