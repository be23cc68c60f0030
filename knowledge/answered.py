"""已答问题库: questions to which staff have approved an answer: a document and the item that answers.

A question that is nearly the same as an approved one is answered by that item first. Nearly the same means: the same content
words, the same kind of question (how much, where, whether …, not …), and almost the same letters. An answer holds for
the version of the document that staff have seen: once it is updated, withdrawn or no longer in force, the entry sleeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import rjieba
from rapidfuzz import fuzz
from sqlalchemy import Connection, delete, insert, select

from knowledge import analysis
from knowledge import tables as t
from knowledge.errors import KnowledgeError
from knowledge.model import Passage, PolicyDocument
from knowledge.store import utc_now

ALIKE = 92.0
"""Likeness of the words (0..100) from which two questions with the same content words are the same question."""
SURE = 0.97
"""Confidence of an answer that staff have approved."""

_KINDS = tuple(
    re.compile(pattern)
    for pattern in (
        r"多少|几[个元块岁周天年月]|多大|标准|金额",
        r"哪里|哪儿|在哪|去哪|到哪|地址|地点",
        r"时候|多久|几天|多长|哪天|几号|期限|截止",
        r"谁|哪个部门|哪个单位|哪些人",
        r"为什么|为啥|原因",
        r"怎么|如何|怎样|咋",
        r"[吗么]$|能不能|可不可以|是不是|是否|能否|要不要|有没有|能|可以",
        r"不(?!能不|可以|是不|要不)|没(?!有没)|未|无(?!障碍)",
    )
)


class NoSuchAnswer(KnowledgeError):
    """No approved answer under this number, or no item that could be approved."""


@dataclass(frozen=True, slots=True)
class ApprovedAnswer:
    """已答问题: ``question`` is answered by one passage of one version of a document."""

    id: int
    question: str
    document: str
    version: int
    passage: str
    locator: str
    approved_at: str  # instant UTC
    approved_by: str


@dataclass(frozen=True, slots=True)
class _Form:
    content: frozenset[str]
    kinds: tuple[bool, ...]
    words: str


def _form(question: str) -> _Form:
    text = analysis.normalise(question[: analysis.MOST_CHARACTERS])
    bare = analysis.bare_question(text)
    cut: list[str] = [w for w in rjieba.cut(text, True) if w[0].isalnum()]
    asked = text.rstrip("?!。, ")
    return _Form(frozenset(analysis.words(bare)), tuple(k.search(asked) is not None for k in _KINDS), " ".join(cut))


class Bank:
    """已答问题库 in memory: those answers that hold at present. Immutable."""

    def __init__(self, answers: Iterable[ApprovedAnswer]) -> None:
        self._by_content: dict[frozenset[str], list[tuple[_Form, ApprovedAnswer]]] = {}
        for answer in answers:
            form = _form(answer.question)
            if form.content:
                self._by_content.setdefault(form.content, []).append((form, answer))

    def nearest(self, question: str) -> ApprovedAnswer | None:
        """The approved answer to nearly the same question, the most alike and latest first."""
        if not self._by_content:
            return None
        form = _form(question)
        same = [
            (fuzz.token_set_ratio(form.words, other.words), answer.id, answer)
            for other, answer in self._by_content.get(form.content, ())
            if other.kinds == form.kinds
        ]
        best = max(same, default=None, key=lambda found: found[:2])
        return best[2] if best is not None and best[0] >= ALIKE else None


def holding(answers: Iterable[ApprovedAnswer], documents: Mapping[str, PolicyDocument]) -> list[ApprovedAnswer]:
    """Those answers whose document is open, in force and of the version that staff have seen."""
    found = []
    for answer in answers:
        document = documents.get(answer.document)
        if document is not None and document.version == answer.version and not document.validity.lapsed:
            found.append(answer)
    return found


def item_of(passages: Sequence[Passage], locator: str) -> Passage:
    """The passage at ``locator``, as citizens read it (「第九条」, 「二、（一）」); the only one where none is named.

    Raises :class:`NoSuchAnswer`.
    """
    wanted = analysis.normalise(locator).replace(" ", "")
    fitting = [p for p in passages if not wanted or analysis.normalise(p.locator).replace(" ", "") == wanted]
    if len({p.locator for p in fitting}) == 1:
        return fitting[0]
    known = "、".join(list(dict.fromkeys(p.locator for p in passages))[:30])
    raise NoSuchAnswer(f"name one item with --locator; '{locator}' is not one of: {known}")


# --- rows ------------------------------------------------------------------------------------------------------------


def add(connection: Connection, question: str, document: PolicyDocument, passage: Passage, by: str) -> ApprovedAnswer:
    """Keep an approved answer; the same question asked again replaces the former answer."""
    connection.execute(delete(t.answered).where(t.answered.c.question == question))
    values = {
        "question": question,
        "document": document.id,
        "version": document.version,
        "passage": passage.id,
        "locator": passage.locator,
        "approved_at": utc_now(),
        "approved_by": by,
    }
    key = connection.execute(insert(t.answered).values(values)).inserted_primary_key
    assert key is not None
    row = connection.execute(select(t.answered).where(t.answered.c.id == key[0])).mappings().one()
    return ApprovedAnswer(**row)


def everything(connection: Connection) -> list[ApprovedAnswer]:
    """Every approved answer, also those that sleep, oldest first."""
    return [
        ApprovedAnswer(**row) for row in connection.execute(select(t.answered).order_by(t.answered.c.id)).mappings()
    ]


def remove(connection: Connection, answer: int) -> bool:
    """Forget an approved answer; False where there is none."""
    return connection.execute(delete(t.answered).where(t.answered.c.id == answer)).rowcount > 0
