"""百姓说法词典: what people say → what documents say, from ``lexicon.toml`` and from a file of the office's own.

One line an entry, in any section or in none: ``"official words" = ["what people say", …]``. In the office's own file the
same official words replace the shipped line, and an empty list takes it away.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from knowledge.analysis import normalise
from knowledge.errors import KnowledgeError

SHIPPED = Path(__file__).with_name("lexicon.toml")
LONGEST = 20
"""Characters of the longest entry that is allowed."""


_TEXT = r'"([^"\\\x00-\x1f\x7f]+)"'
_QUOTED = re.compile(_TEXT)
_HEADER = re.compile(rf"\[{_TEXT}\]")
_ENTRY = re.compile(rf"{_TEXT} = \[({_TEXT}(?:, {_TEXT})*)\]")
_COMMENT = re.compile(r"#[^\x00-\x08\x0a-\x1f\x7f]*")


class BadLexicon(KnowledgeError):
    """A dictionary that cannot be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """说法: a stretch ``text[start:end]`` that the dictionary knows, and the official words for it."""

    start: int
    end: int
    official: tuple[str, ...]


class Lexicon:
    """百姓说法词典, turned round for look-ups. Immutable."""

    def __init__(self, entries: Mapping[str, tuple[str, ...]]) -> None:
        self.entries = dict(entries)
        official: dict[str, tuple[str, ...]] = {}
        self._words: list[str] = []
        for words, *sayings in _normalised((words, *sayings) for words, sayings in entries.items()):
            self._words.append(words)
            for saying in sayings:
                known = official.get(saying, ())
                if words not in known:
                    official[saying] = (*known, words)
        self._official = official
        # How long the sayings are that begin with these two characters: nearly every place of a question begins none.
        self._lengths: dict[str, list[int]] = {}
        for beginning, length in sorted({(saying[:2], -len(saying)) for saying in official}):
            self._lengths.setdefault(beginning, []).append(-length)

    @property
    def sayings(self) -> int:
        """How many ways of saying something are known."""
        return len(self._official)

    def phrases(self) -> Iterator[str]:
        """Every official word and every saying in normal form."""
        yield from dict.fromkeys((*self._words, *self._official))

    def spoken(self, text: str) -> list[Spoken]:
        """The sayings in a normalised text in reading order: the longest at each place, none inside another."""
        found: list[Spoken] = []
        covered = 0
        for start in range(len(text)):
            for length in self._lengths.get(text[start : start + 2], ()):
                end = start + length
                if end <= covered:
                    break
                official = self._official.get(text[start:end]) if end <= len(text) else None
                if official is not None:
                    found.append(Spoken(start, end, official))
                    covered = end
                    break
        return found


@lru_cache(maxsize=1)
def shipped() -> Lexicon:
    """The dictionary that ships."""
    return Lexicon(read_entries(SHIPPED))


def load(own: Path | None) -> Lexicon:
    """The shipped dictionary with the office's own laid over it. Raises :class:`BadLexicon`."""
    if own is None:
        return shipped()
    entries = shipped().entries | read_entries(own)
    return Lexicon({words: sayings for words, sayings in entries.items() if sayings})


def read_entries(path: Path) -> dict[str, tuple[str, ...]]:
    """Official words → sayings, in the order of the file. Raises :class:`BadLexicon` naming the line."""
    try:
        text = path.read_text("utf-8")
        raw = _plain(text) or tomllib.loads(text)
    except OSError as error:
        raise BadLexicon(f"{path} cannot be read ({error.strerror or error}); see [answers] lexicon") from error
    except UnicodeDecodeError as error:
        raise BadLexicon(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise BadLexicon(f'{path}: {error}; write one entry a line: "official words" = ["what people say"]') from error
    entries: dict[str, tuple[str, ...]] = {}
    for key, value in raw.items():
        for words, sayings in value.items() if isinstance(value, dict) else ((key, value),):
            problem = _problem(words, sayings)
            if problem:
                raise BadLexicon(f"{path} line {_line_of(text, words)}: '{words}' {problem}")
            entries[words] = tuple(dict.fromkeys((*entries.get(words, ()), *sayings)))
    normal = _normalised((words, *sayings) for words, sayings in entries.items())
    for words, (same, *others) in zip(entries, normal, strict=True):
        if same in others:
            itself = entries[words][others.index(same)]
            line = _line_of(text, words)
            raise BadLexicon(f"{path} line {line}: '{words}' holds itself: take '{itself}' out of the list")
    return entries


def _normalised(lines: Iterable[tuple[str, ...]]) -> Iterator[list[str]]:
    """The lines in normal form, normalised in one go: word for word, thousands of them would hold up the start."""
    given = ["\t".join(line) for line in lines]
    yield from (line.split("\t") for line in normalise("\n".join(given)).split("\n") if line)


def _plain(text: str) -> dict[str, Any] | None:
    """What ``tomllib`` reads in a file of plain lines, as the shipped one is, in a fifth of its time; None for any other."""
    sections: dict[str, Any] = {}
    entries: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if entry := _ENTRY.fullmatch(line):
            if entry[1] in entries or not sections:
                return None
            entries[entry[1]] = _QUOTED.findall(entry[2])
        elif header := _HEADER.fullmatch(line):
            if header[1] in sections:
                return None
            entries = {}
            sections[header[1]] = entries
        elif line and not _COMMENT.fullmatch(line):
            return None
    return sections


def _problem(words: str, sayings: object) -> str:
    if not isinstance(sayings, list) or not all(isinstance(saying, str) for saying in sayings):
        return 'needs a list of words in quotes: ["…", "…"]'
    if not 2 <= len(words.strip()) <= LONGEST:
        return f"must have 2 to {LONGEST} characters"
    if not words.isprintable():
        return "must stand on one line, without tabs"
    for saying in sayings:
        if not 2 <= len(saying.strip()) <= LONGEST:
            return f"holds '{saying}', which must have 2 to {LONGEST} characters: a shorter word hits everywhere"
        if not saying.isprintable():
            return f"holds {saying!r}: write it on one line, without tabs"
    return ""


def _line_of(text: str, words: str) -> int:
    pattern = re.compile(rf"^\s*[\"']?{re.escape(words)}[\"']?\s*=")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0)
