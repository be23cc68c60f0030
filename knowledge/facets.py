"""按要素搜索: how many documents carry each value of organ, field, year, kind, validity and audience.

The values of one element are counted under the conditions on the *other* elements, so that a reader sees what choosing
another value would give. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from knowledge.model import Facet, Filters, PolicyDocument

ELEMENTS = ("organ", "topic", "year", "kind", "validity", "audience")
"""The elements in the order in which they are shown."""

_APART = re.compile(r"[、，,\s]+")


def issuers(document: PolicyDocument) -> tuple[str, ...]:
    """发文机关, one each; joint issuers stand side by side in a document."""
    return tuple(dict.fromkeys(name for name in _APART.split(document.issuer) if name))


def values(document: PolicyDocument, element: str) -> tuple[str, ...]:
    """The values of one element; none when unknown, several for joint issuers."""
    if element == "organ":
        return issuers(document)
    if element == "year":
        return (str(document.written_on.year),) if document.written_on else ()
    plain = {
        "topic": document.topic,
        "kind": document.kind.value,
        "validity": document.validity.value,
        "audience": document.audience,
    }[element]
    return (plain,) if plain else ()


def fits(document: PolicyDocument, filters: Filters, *, but: str = "") -> bool:
    """Whether a document meets the conditions, one of which may be left out (``but``)."""
    chosen = filters.described()
    if filters.documents and document.id not in filters.documents:
        return False
    if filters.number and document.number != filters.number:
        return False
    return all(
        chosen[element] in values(document, element) for element in ELEMENTS if element in chosen and element != but
    )


def count(documents: Iterable[PolicyDocument], filters: Filters | None = None) -> tuple[Facet, ...]:
    """Every value with its count: elements in their order, the commonest value first, years newest first."""
    chosen = filters or Filters()
    among = list(documents)
    found: list[Facet] = []
    for element in ELEMENTS:
        counts = Counter(value for d in among if fits(d, chosen, but=element) for value in values(d, element))
        ordered = sorted(counts.items(), key=lambda item: (-int(item[0]) if element == "year" else -item[1], item[0]))
        found += [Facet(element, value, number) for value, number in ordered]
    return tuple(found)
