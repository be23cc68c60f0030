"""What the engines have in common: the fields of an entry and the terms of a query.

What citizens may read and what they may not stand in different text fields: a citizen's query cannot touch the words
of a closed passage, and needs no condition on the attribute (which would halve the speed).
"""

from __future__ import annotations

from collections.abc import Callable

from knowledge import analysis
from knowledge.index import IndexedPassage, IndexFilter

OPEN = frozenset(("public", "redacted"))
OPEN_FIELDS = ("words", "bigrams")
CLOSED_FIELDS = ("closed_words", "closed_bigrams")
EXACT_FIELDS = ("document", "attribute", "validity", "kind", "issuer", "topic", "audience", "number")
STAMP_ID = "\x00stamp"
"""Id of the entry that bears the stamp, so that it becomes visible with the very commit that it describes."""

MOST_TERMS = 64
"""Beyond this many terms a question is a letter: only its rarest terms are searched."""


def tokens_of(passage: IndexedPassage) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    """The two text fields of a passage and their tokens."""
    _, found_words, found_bigrams = analysis.passage_tokens(passage.body)
    words, bigrams = OPEN_FIELDS if passage.attribute in OPEN else CLOSED_FIELDS
    return (words, found_words), (bigrams, found_bigrams)


def wanted_terms(
    terms: analysis.Terms, where: IndexFilter, frequency: Callable[[str, str], int]
) -> list[tuple[str, str]]:
    """(field, token) of every term that occurs at all, the rarest ``MOST_TERMS`` of them."""
    wanted = frozenset(where.attributes)
    fields = OPEN_FIELDS if wanted and wanted <= OPEN else OPEN_FIELDS + CLOSED_FIELDS
    found = [
        (count, field, token)
        for field in fields
        for token in (terms.words if field.endswith("words") else terms.bigrams)
        if (count := frequency(field, token))
    ]
    if len(found) > MOST_TERMS:
        found = sorted(found)[:MOST_TERMS]
    return [(field, token) for _, field, token in found]


def conditions(where: IndexFilter) -> list[tuple[str, tuple[str, ...]]]:
    """(field, allowed values) of every condition that the choice of text fields does not already hold."""
    wanted = (
        ("attribute", () if frozenset(where.attributes) == OPEN else where.attributes),
        ("validity", where.validities),
        ("kind", where.kinds),
        ("issuer", where.issuers),
        ("topic", where.topics),
        ("audience", where.audiences),
        ("document", where.documents),
        ("number", (where.number,) if where.number else ()),
    )
    return [(field, values) for field, values in wanted if values]
