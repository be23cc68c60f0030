"""事项通用词表: which kind of county department a matter belongs to, in the words citizens use (``matters.toml``).

The division of work among the departments of a county is nearly the same everywhere, and a county's own directory is
short and official. A class (教育, 公安 …) says by which names the county's organ is known, and lists its matters:
``"official name" = ["what people say", …]``. A saying is a word, or several that must all occur in any order:
``"电动车|电瓶车 上牌|牌照"`` (blank: and, bar: or, ``@name``: a group of words from ``[words]``, ``-``: must not occur).
What two classes may own stands in ``[shared]``: ``"公安治安、农业农村" = ["打疫苗 狗"]``.

In the office's own file a matter replaces the shipped one of the same class and name, an empty list takes it away;
``organs``, ``hints`` and groups of words are replaced too, and new classes may be added.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from knowledge.analysis import normalise
from knowledge.errors import KnowledgeError

SHIPPED = Path(__file__).with_name("matters.toml")
LONGEST = 40
"""Characters of the longest name of a matter."""
_WORDS, _SHARED, _ORGANS, _HINTS = "words", "shared", "organs", "hints"


class BadMatters(KnowledgeError):
    """A list of matters that cannot be used; the message names file, class and matter."""


@dataclass(frozen=True, slots=True)
class Saying:
    """说法: ``parts`` must all occur, of each part one of its words; ``without`` must not. All in normal form."""

    parts: tuple[tuple[str, ...], ...]
    without: tuple[str, ...] = ()

    def forms(self) -> Iterator[frozenset[str]]:
        """Every combination of words that fulfils the saying."""
        return (frozenset(words) for words in itertools.product(*self.parts))


@dataclass(frozen=True, slots=True)
class Matter:
    """事项: its official name and what people say for it."""

    name: str
    sayings: tuple[Saying, ...]


@dataclass(frozen=True, slots=True)
class MatterClass:
    """部门类别: how the county's organ of this kind is called, what it does, and words that merely point to it.

    ``organs`` are parts of names, the most telling first: the first that the directory knows decides.
    """

    name: str
    organs: tuple[str, ...]
    hints: tuple[str, ...]
    matters: tuple[Matter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matters:
    """事项通用词表: all classes. Compared by identity, so that what is built from it can be kept."""

    classes: tuple[MatterClass, ...]
    shared: frozenset[frozenset[str]] = frozenset()
    """Forms of sayings that several classes own on purpose."""

    @property
    def count(self) -> int:
        """How many matters are known."""
        return sum(len(kind.matters) for kind in self.classes)

    @property
    def sayings(self) -> int:
        """How many different ways of saying something are known, every combination counted."""
        return len({form for kind in self.classes for m in kind.matters for s in m.sayings for form in s.forms()})

    def clashes(self) -> tuple[str, ...]:
        """Sayings that two classes own and that are not marked as shared, one sentence each."""
        owners: dict[frozenset[str], dict[str, None]] = {}
        for kind in self.classes:
            for matter in kind.matters:
                for saying in matter.sayings:
                    for form in saying.forms():
                        owners.setdefault(form, {})[kind.name] = None
        return tuple(
            f"{'、'.join(mine)}: {' '.join(sorted(form))}"
            for form, mine in owners.items()
            if len(mine) > 1 and form not in self.shared
        )


@lru_cache(maxsize=1)
def shipped() -> Matters:
    """The list that ships."""
    return _made(_read(SHIPPED), SHIPPED)


def load(own: Path | None) -> Matters:
    """The shipped list with the office's own laid over it. Raises :class:`BadMatters`."""
    if own is None:
        return shipped()
    table = _read(SHIPPED)
    for name, section in _read(own).items():
        table[name] = table.get(name, {}) | section
    return _made(table, own)


def _read(path: Path) -> dict[str, dict[str, list[str]]]:
    """Sections as they stand in the file, their form checked."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadMatters(f"{path} cannot be read ({error.strerror or error}); see [answers] matters") from error
    except UnicodeDecodeError as error:
        raise BadMatters(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise BadMatters(f'{path}: {error}; write one matter a line: "official name" = ["what people say"]') from error
    for name, section in raw.items():
        if not isinstance(section, dict):
            raise BadMatters(f"{path}: '{name}' stands outside a class; put a line such as [\"教育\"] above it")
        for key, value in section.items():
            where = f"{path}: [{name}] '{key}'"
            if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
                raise BadMatters(f'{where} needs a list of words in quotes: ["…", "…"]')
            if len(key) > LONGEST:
                raise BadMatters(f"{where} is longer than {LONGEST} characters")
    return raw


def _made(table: Mapping[str, Mapping[str, list[str]]], path: Path) -> Matters:
    groups = {name: tuple(words) for name, words in table.get(_WORDS, {}).items()}
    classes = []
    for name, section in table.items():
        if name in (_WORDS, _SHARED):
            continue
        if not section.get(_ORGANS):
            raise BadMatters(f'{path}: class [{name}] names no organ; add organs = ["part of the organ\'s name"]')
        matters = tuple(
            Matter(key, tuple(_saying(text, groups, f"{path}: [{name}] '{key}'") for text in value))
            for key, value in section.items()
            if key not in (_ORGANS, _HINTS) and value
        )
        hints = tuple(dict.fromkeys(normalise(hint) for hint in section.get(_HINTS, ())))
        classes.append(MatterClass(name, tuple(section[_ORGANS]), hints, matters))
    forms = (form for forms in table.get(_SHARED, {}).values() for form in forms)
    return Matters(tuple(classes), frozenset(frozenset(map(_normal, form.split())) for form in forms))


_normal = lru_cache(maxsize=20_000)(normalise)


def _saying(text: str, groups: Mapping[str, tuple[str, ...]], where: str) -> Saying:
    parts: list[tuple[str, ...]] = []
    without: list[str] = []
    for part in text.split():
        words: list[str] = []
        for word in part.removeprefix("-").split("|"):
            if word.startswith("@"):
                if word[1:] not in groups:
                    raise BadMatters(f"{where}: no group of words '{word}' in [words]; known: {'、'.join(groups)}")
                words.extend(groups[word[1:]])
            elif word:
                words.append(word)
            else:
                raise BadMatters(f"{where}: '{text}' has an empty word beside a bar")
        found = tuple(dict.fromkeys(map(_normal, words)))
        if part.startswith("-"):
            without.extend(found)
        else:
            parts.append(found)
    if not parts:
        raise BadMatters(f"{where}: '{text}' names no word that must occur")
    if len(parts) == 1 and any(len(word) < 2 for word in parts[0]):
        raise BadMatters(f"{where}: '{text}' holds a single character, which hits everywhere; add a second word")
    return Saying(tuple(parts), tuple(without))
