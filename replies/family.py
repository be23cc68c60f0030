"""同一事项: which of the hits belong to one matter (a policy, its 解读, its 办事指南, its line in the 常见问题). Pure.

When the first hits agree on one matter, and the question names that matter, it matters little which of its items comes
first: the best one is quoted and the others are listed beside it. Kinship is read from titles alone, so that it works
before anybody has confirmed a link between documents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, lru_cache

import rjieba

from knowledge.background import background
from knowledge.model import DocumentKind, Finding, Hit
from replies.labels import core_title
from replies.model import Turn

FIRST = 5  # hits that are asked for their opinion
_SPREAD = 0.7  # a hit whose score lies this much below the first one has 1/e of its say
_NAMED = 5.0  # how rare (idf) the letters of a question have to be together, to name a matter
_RARE = 5.5  # the same of a single word: 户口, not 补贴
_MOSTLY = 0.5  # share (by rarity) of official words that has to be there
_NAME_BONUS = 1.0  # added to a hit's score for each way in which its matter is named
_GUIDED = ("how", "materials", "place", "phone", "who")  # aspects for which a guide has a section
_GUIDE_NEAR = 3.0  # how far below the first hit the guide may score
_ALIKE, _ALIKE_SHARE = 4, 0.65  # letters in a row that two matters share, and their share of the shorter name
_FORM = re.compile(
    r"(?:办事)?指南|(?:政策)?(?:解读|问答|图解)|(?:暂行|试行|实施|管理|审批|审核确认|申领|发放)*"
    r"(?:办法|细则|规定|规则|条例|方案|意见|措施|要点|预案)|通知|通告|公告|公报|实施|工作|申请|申报|办理|认定|审批|做好|进一步"
    r"|完善|优化|规范|调整|落实|发放|关于|有关|事项|常见问题|解答|（[^）]*）|(?:19|20)\d\d(?:[—-](?:19|20)\d\d)?年?度?(?:[春秋]季)?"
)
_PLACE = re.compile(r"^[一-鿿]{2,6}?(?:自治)?(?:省|州|市|县|区|旗)(?=\d|[一-鿿]{3})")
_ORGANS = re.compile(r"[一-鿿]{0,20}?(?:人民政府办公室|人民政府|委员会|联合会|管理局|总局|[^规分格]局)")
_HAN = re.compile(r"^[一-鿿]{2,4}$")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Family:
    """同一事项: the hits of the matter that leads, best first; ``share`` (0..1) of the say of the first hits."""

    hits: tuple[Hit, ...]
    share: float


def leading(hits: Sequence[Hit]) -> Family:
    """The matter of the first hit, and how far the first hits agree on it."""
    if not hits:
        return Family((), 0.0)
    first = hits[0]
    of_it = tuple(hit for hit in hits if akin(first, hit))
    say = [(math.exp((hit.score - first.score) / _SPREAD), hit in of_it) for hit in hits[:FIRST]]
    return Family(of_it, sum(part for part, mine in say if mine) / sum(part for part, _ in say))


def guide_first(hits: Sequence[Hit], aspect: str) -> tuple[Hit, ...]:
    """The hits, a service guide of the same matter first where the question asks what only a guide says in one place."""
    first = hits[0]
    if aspect not in _GUIDED or first.document.kind in (DocumentKind.SERVICE_GUIDE, DocumentKind.FAQ):
        return tuple(hits)
    for hit in leading(hits).hits:
        near = hit.score >= first.score - _GUIDE_NEAR
        if near and hit.document.kind is DocumentKind.SERVICE_GUIDE and not hit.document.validity.lapsed:
            return (hit, *(other for other in hits if other is not hit))
    return tuple(hits)


def apart(hits: Sequence[Hit]) -> list[Hit]:
    """The best hit of every matter, in the order of the hits."""
    best: list[Hit] = []
    for hit in hits:
        if not any(akin(kept, hit) for kept in best):
            best.append(hit)
    return best


def akin(one: Hit, other: Hit) -> bool:
    """Whether two hits belong to one matter: one document, matters of one name, or a FAQ item that names the other's."""
    if one.document.id == other.document.id:
        return one.document.kind is not DocumentKind.FAQ or one.passage.id == other.passage.id
    for hit, faq in ((one, other), (other, one)):
        if faq.document.kind is DocumentKind.FAQ:
            return hit.document.kind is not DocumentKind.FAQ and _asked(faq, matter(hit.document.title))
    return _alike(matter(one.document.title), matter(other.document.title))


def named_first(turn: Turn, finding: Finding) -> tuple[Hit, ...]:
    """The hits by score, the scores of those raised whose matter the question names.

    It names a matter by an official word or a short form of it, by its whole name, or by the rarer letters of the name.
    """
    official = [word for word in finding.record.expanded if not _ORGANS.search(word)]
    asked = content(turn.core)
    said = f"{turn.question} {finding.corrected}"

    @cache
    def worth(name: str) -> float:
        known = any(mostly(word, name) for word in official) or any(_shortened(word, name) for word in asked)
        parts = [(rarity, pair in said) for pair, rarity in _weighed(name)]
        whole = sum(weight for weight, _ in parts) or 1.0
        wholly = len(name) >= _ALIKE and name in said
        return known + wholly + sum(weight for weight, given in parts if given) / whole

    raised = [replace(hit, score=hit.score + _NAME_BONUS * worth(matter(hit.document.title))) for hit in finding.hits]
    return tuple(sorted(raised, key=lambda hit: -hit.score))


def named(turn: Turn, finding: Finding, family: Family, home: str = "") -> bool:
    """Whether the question names the matter: by rare enough letters, a short form or an official word in a title or head.

    A word that stands everywhere (企业, 申请) names nothing, nor does ``home``, our own county.
    """
    heads = _above(family)
    if not heads:
        return False
    if any(_shortened(word, heads) for word in content(turn.core)):
        return True
    if any(mostly(word, heads) for word in finding.record.expanded if not _ORGANS.search(word)):
        return True
    repaired = pairs(finding.corrected)
    shared = {pair for pair in pairs(turn.subject) | pairs(turn.core) | repaired if pair in heads} - pairs(home)
    return bool(shared & (pairs(turn.core) | repaired)) and sum(map(_rarity, sorted(shared))) >= _NAMED


def titled(turn: Turn, finding: Finding, family: Family) -> bool:
    """Whether the question as typed names the matter itself, not only a head below it."""
    names = "\n".join(
        heads(hit) if hit.document.kind is DocumentKind.FAQ else matter(hit.document.title)
        for hit in family.hits[:FIRST]
    )
    typed = pairs(turn.core) | pairs(finding.corrected)
    return any(pair in names for pair in typed) or any(_shortened(word, names) for word in content(turn.core))


def holds(word: str, family: Family) -> bool:
    """Whether words, most of them, four letters of them in a row or a short form stand in the titles and heads."""
    heads = _above(family)
    row = any(word[at : at + _ALIKE] in heads for at in range(len(word) - _ALIKE + 1))
    return row or mostly(word, heads) or _shortened(word, heads)


@lru_cache(maxsize=8192)
def content(core: str) -> tuple[str, ...]:
    """The words that name a matter: of two characters and more, without figures."""
    return tuple(word for word in rjieba.cut(core) if len(word) > 1 and not _DIGIT.search(word))


@lru_cache(maxsize=1024)
def telling(core: str) -> tuple[str, ...]:
    """Those words of :func:`content` that are rare enough to name a matter on their own."""
    return tuple(word for word in content(core) if rare(word))


def rare(word: str) -> bool:
    """Whether a word is rare enough to name a matter on its own: 宅基地, not 补贴."""
    return sum(rarity for _, rarity in _weighed(word)) >= _RARE


@lru_cache(maxsize=4096)
def pairs(text: str) -> frozenset[str]:
    """Every two neighbouring ideographs of ``text``."""
    return frozenset(pair for pair in (text[at : at + 2] for at in range(len(text) - 1)) if _HAN.match(pair))


@lru_cache(maxsize=4096)
def _weighed(text: str) -> tuple[tuple[str, float], ...]:
    """The pairs of ``text`` with their rarity, in one order, so that sums come out alike in every process."""
    return tuple((pair, _rarity(pair)) for pair in sorted(pairs(text)))


def _above(family: Family) -> str:
    return "\n".join(heads(hit) for hit in family.hits[:FIRST])


def mostly(words: str, text: str) -> bool:
    """Whether most of some official words stands in a text: 企业首次升规奖励 in 首次升规企业奖励."""
    if len(words) < 2:
        return False
    if words in text:
        return True
    parts = _weighed(words)
    held = sum([rarity for pair, rarity in parts if pair in text])
    return len(parts) > 1 and held >= _MOSTLY * sum([rarity for _, rarity in parts])


@lru_cache(maxsize=8192)
def _rarity(pair: str) -> float:
    known = background()
    return math.log((known.passages + 1) / (known.bigrams.get(pair, 0) + 1))


@lru_cache(maxsize=4096)
def matter(title: str) -> str:
    """The matter's own name: a title without organ, place, year and the words of its form."""
    bare = _PLACE.sub("", core_title(title))
    return re.sub(r"[\W_]+", "", _FORM.sub(" ", _ORGANS.sub(" ", bare))).removesuffix("的")


def heads(hit: Hit) -> str:
    """What stands above the words of a hit; the question of a FAQ item, the headings of another."""
    if hit.document.kind is DocumentKind.FAQ:
        return hit.passage.lead or hit.passage.text.split("\n", 1)[0]
    return " ".join((matter(hit.document.title), *hit.passage.path[-1:], hit.passage.lead))


@lru_cache(maxsize=4096)
def _alike(one: str, other: str) -> bool:
    if len(one) < 2 or len(other) < 2:
        return False
    if one == other:
        return True
    same = SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size
    return same >= _ALIKE and same >= _ALIKE_SHARE * min(len(one), len(other))


def _asked(faq: Hit, name: str) -> bool:
    """Whether a FAQ item is about a matter: it gives its name, or its question has a short form of it."""
    return (len(name) >= 3 and name in faq.passage.text) or any(_shortened(word, name) for word in content(heads(faq)))


def _shortened(word: str, heads: str) -> bool:
    """Whether ``word`` is a short form of something in ``heads``: 公交 of 公共交通, 低保 of 最低生活保障."""
    if not _HAN.match(word) or word in heads:
        return False
    at = -1
    for character in word:  # nearly always one is missing, and no pattern has to be made
        at = heads.find(character, at + 1)
        if at < 0:
            return False
    return re.search("[一-鿿]{0,2}".join(word), heads) is not None
