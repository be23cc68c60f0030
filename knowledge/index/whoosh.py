"""whoosh: the pure-Python engine, for machines for which tantivy has no wheel (龙芯 servers) and for small libraries.

It stores and finds postings; they are scored here (see ``_Postings``) as tantivy scores them, so that both engines give
the second stage the same candidates. Slower to build and to commit, hence meant for about 20,000 passages. Its files
hold pickles: open only an index that this program wrote. Changes are kept in memory until ``commit``, which takes the
lock, writes one segment and a new table of contents; a process killed before that leaves the former index as it was.
"""

from __future__ import annotations

import contextlib
import logging
import math
import pickle
import shutil
import struct
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import whoosh.fields
import whoosh.index
import whoosh.writing
from numpy.typing import NDArray

from knowledge import analysis
from knowledge.errors import IndexUnavailable
from knowledge.index import Candidate, Frequencies, IndexedPassage, IndexFilter
from knowledge.index.fields import (
    CLOSED_FIELDS,
    EXACT_FIELDS,
    OPEN_FIELDS,
    STAMP_ID,
    conditions,
    tokens_of,
    wanted_terms,
)

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
_Result = TypeVar("_Result")

log = logging.getLogger(__name__)

COMFORTABLE = 20_000
"""Passages up to which 99 of 100 questions are answered within about 50 ms."""

_FORM = f"1.{analysis.VERSION}"
_LOCK_WAIT = 30.0
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
    whoosh.index.IndexError,
    whoosh.index.LockError,
)
"""What whoosh raises on files that are missing, cut short or overwritten."""


def _schema() -> Any:
    kinds: dict[str, Any] = {name: whoosh.fields.ID() for name in EXACT_FIELDS}
    kinds["id"] = whoosh.fields.ID(stored=True)
    kinds["stamp"] = whoosh.fields.STORED()
    kinds["year"] = whoosh.fields.ID()
    for name in (*OPEN_FIELDS, *CLOSED_FIELDS):
        kinds[name] = whoosh.fields.KEYWORD(scorable=True)
    return whoosh.fields.Schema(**kinds)


class WhooshIndex:
    """A :class:`knowledge.index.PassageIndex` on whoosh.

    Opening is lazy: a damaged or missing index shows itself at the first use as ``IndexUnavailable``; ``clear`` makes
    any folder usable again.
    """

    name = "whoosh"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()  # a whoosh reader shares file positions: one search at a time
        self._staged: dict[str, list[IndexedPassage]] = {}
        self._cleared = False
        self._seen: tuple[int, int] | None = None
        self._searcher: Any = None
        self._postings: _Postings | None = None
        self._stamp = ""
        self._ids: dict[int, str] = {}

    # --- writing -----------------------------------------------------------------------------------------------------

    def replace(self, passages: Iterable[IndexedPassage]) -> None:
        """Stage passages; see :class:`knowledge.index.PassageIndex`."""
        with self._lock:
            fresh: dict[str, list[IndexedPassage]] = {}
            for passage in passages:
                fresh.setdefault(passage.document, []).append(passage)
            self._staged.update(fresh)

    def remove(self, documents: Sequence[str]) -> None:
        """Stage a removal."""
        with self._lock:
            self._staged.update((document, []) for document in documents)

    def clear(self) -> None:
        """Stage the removal of everything; a damaged index is replaced by an empty one at once."""
        with self._lock:
            self._staged, self._cleared = {}, True
            try:
                if self._present():
                    self._reading()
            except IndexUnavailable as error:
                log.warning("replacing the damaged index in %s: %s", self._folder, error)
                self._forget()
                shutil.rmtree(self._folder, ignore_errors=True)

    def commit(self, stamp: str) -> None:
        """Make all staged changes visible at once; holds the writer's lock only meanwhile."""
        with self._lock, self._mapped():
            writer = self._writer()
            try:
                if not self._cleared:
                    writer.delete_by_term("id", STAMP_ID)
                    for document in self._staged:
                        writer.delete_by_term("document", document)
                writer.add_document(id=STAMP_ID, stamp=f"{_FORM} {stamp}")
                for passages in self._staged.values():
                    for passage in passages:
                        writer.add_document(**_entry(passage))
            except BaseException:
                writer.cancel()
                raise
            writer.commit(mergetype=whoosh.writing.CLEAR if self._cleared else None)
            self._staged, self._cleared = {}, False
            passages_now = self.count()
            if passages_now > COMFORTABLE:
                log.warning(
                    'whoosh holds %d passages; above %d its answers become slow. Use index.engine = "tantivy" if this '
                    "machine can load it.",
                    passages_now,
                    COMFORTABLE,
                )

    def close(self) -> None:
        """Drop staged changes, release files."""
        with self._lock:
            self._staged, self._cleared = {}, False
            self._forget()

    def _writer(self) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = str(self._folder)
        if self._present():
            index = whoosh.index.open_dir(folder)
            self._checked(index)[0].close()
        else:
            index = whoosh.index.create_in(folder, _schema())
        return index.writer(timeout=_LOCK_WAIT, delay=0.05, limitmb=64)

    # --- reading -----------------------------------------------------------------------------------------------------

    def search(self, text: str, where: IndexFilter, limit: int) -> list[Candidate]:
        """Best candidates, best first; equal scores are ordered by id."""
        terms = analysis.question_terms(text)
        if not terms or limit < 1:
            return []
        with self._lock:
            return self._again_if_merged(lambda _: self._search(terms, where, limit))

    def frequencies(self, words: Sequence[str], bigrams: Sequence[str]) -> Frequencies:
        """How common these tokens are among open passages."""

        def counted(searcher: Any) -> Frequencies:
            return Frequencies(
                max(int(searcher.doc_count()) - 1, 0),
                tuple(searcher.doc_frequency(OPEN_FIELDS[0], token) for token in words),
                tuple(searcher.doc_frequency(OPEN_FIELDS[1], token) for token in bigrams),
            )

        with self._lock:
            return self._again_if_merged(counted)

    def stamp(self) -> str:
        """The stamp of the last commit, empty for a new index."""
        with self._lock:
            self._reading()
            return self._stamp.partition(" ")[2]

    def count(self) -> int:
        """How many passages are visible."""
        with self._lock:
            return int(self._reading().doc_count()) - bool(self._stamp)

    def _search(self, terms: analysis.Terms, where: IndexFilter, limit: int) -> list[Candidate]:
        postings = self._postings
        assert postings is not None
        scores = postings.scores(wanted_terms(terms, where, self._searcher.doc_frequency))
        limits = [*conditions(where), *([("year", (str(where.year),))] if where.year else [])]
        for field, values in limits:
            scores = np.where(postings.holding(field, values), scores, 0.0)
        found = np.flatnonzero(scores)
        if len(found) > limit:
            # Ties at the limit are broken by id below, so all of them have to be kept until then.
            least = np.partition(scores[found], len(found) - limit)[len(found) - limit]
            found = found[scores[found] >= least]
        hits = [Candidate(self._id(number), float(scores[number])) for number in found.tolist()]
        hits.sort(key=lambda c: (-c.score, c.id))
        return hits[:limit]

    def _id(self, number: int) -> str:
        known = self._ids.get(number)
        if known is None:
            known = self._ids[number] = str(self._searcher.stored_fields(number)["id"])
        return known

    def _again_if_merged(self, ask: Callable[[Any], _Result]) -> _Result:
        """Ask; once more with a fresh reader when another process has just merged the files away."""
        try:
            return ask(self._reading())
        except IndexUnavailable:
            raise
        except _BROKEN:
            self._forget()
        with self._mapped():
            return ask(self._reading())

    def _reading(self) -> Any:
        with self._mapped():
            if not self._folder.exists():
                self._forget()
                raise IndexUnavailable(f"no index in {self._folder}; rebuild it from the library")
            # A commit puts a new table of contents into the folder. Its time stamp is coarse, so a folder that
            # changed a moment ago is looked at again.
            changed = self._folder.stat().st_mtime_ns
            settled = time.time_ns() - changed > 50_000_000
            if self._searcher is None or self._seen != (changed, 1) or not settled:
                self._refresh()
                self._seen = (changed, int(settled))
            return self._searcher

    def _refresh(self) -> None:
        folder = str(self._folder)
        if self._searcher is not None and self._searcher.up_to_date():
            return
        if not self._present():
            self._forget()
            raise IndexUnavailable(f"no index in {self._folder}; rebuild it from the library")
        for attempt in range(5):
            try:
                index = whoosh.index.open_dir(folder)
                searcher, stamp = self._checked(index)
                break
            except FileNotFoundError:
                # Between reading the table of contents and opening its files another process committed.
                if attempt == 4:
                    raise
                time.sleep(0.02)
        self._forget()
        self._searcher, self._stamp, self._postings = searcher, stamp, _Postings(searcher.reader())

    def _checked(self, index: Any) -> tuple[Any, str]:
        searcher = index.searcher()
        stored = searcher.document(id=STAMP_ID)
        stamp = str(stored["stamp"]) if stored else ""
        if stamp and stamp.partition(" ")[0] != _FORM:
            searcher.close()
            raise IndexUnavailable(
                f"the index in {self._folder} was built by another version; rebuild it from the library"
            )
        return searcher, stamp

    def _present(self) -> bool:
        return any(self._folder.glob("*.toc"))

    def _forget(self) -> None:
        if self._searcher is not None:
            with contextlib.suppress(*_BROKEN):  # closing what is broken anyway
                self._searcher.close()
        self._searcher = self._seen = self._postings = None
        self._stamp, self._ids = "", {}

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise IndexUnavailable(
                f"index in {self._folder} cannot be used ({type(error).__name__}: {error}); free disk space if it is "
                "full, or delete the folder to have it built again"
            ) from error


class _Postings:
    """The postings of one generation as arrays, each term read once.

    whoosh walks postings one by one in Python; walking the common terms anew for every question is what makes it slow
    (0.3 s at 20,000 passages). Kept as arrays and scored by BM25 (k1 1.2, b 0.75, as tantivy does) a question costs
    less than a millisecond once its terms have been read.
    """

    _MOST = 6_000_000  # postings kept, 12 bytes each

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._size = int(reader.doc_count_all())
        self._passages = max(int(reader.doc_count()), 1)
        self._kept: dict[tuple[str, str], tuple[Numbers, Floats]] = {}
        self._held = 0
        self._norms: dict[str, Floats] = {}

    def scores(self, terms: Sequence[tuple[str, str]]) -> Floats:
        """BM25 of every document number, shape ``(documents,)``."""
        total = np.zeros(self._size)
        for field, token in terms:
            numbers, weights = self._term(field, token)
            # A document occurs once in a list of postings, so plain indexing adds up correctly.
            total[numbers] += weights
        return total

    def holding(self, field: str, values: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents carry one of the values."""
        mask = np.zeros(self._size, dtype=bool)
        for value in values:
            mask[self._read(field, value)[0]] = True
        return mask

    def _term(self, field: str, token: str) -> tuple[Numbers, Floats]:
        kept = self._kept.get((field, token))
        if kept is None:
            numbers, counts = self._read(field, token)
            idf = math.log(1.0 + (self._passages - len(numbers) + 0.5) / (len(numbers) + 0.5))
            kept = numbers, idf * counts * 2.2 / (counts + self._norm(field)[numbers])
            if self._held + len(numbers) > self._MOST:
                self._kept, self._held = {}, 0
            self._kept[field, token] = kept
            self._held += len(numbers)
        return kept

    def _read(self, field: str, token: str) -> tuple[Numbers, Floats]:
        numbers, counts = array("l"), array("d")
        if (field, token) in self._reader:
            matcher = self._reader.postings(field, token)
            while matcher.is_active():
                numbers.append(matcher.id())
                counts.append(matcher.weight())
                matcher.next()
        return np.array(numbers, dtype=np.int64), np.array(counts, dtype=np.float64)

    def _norm(self, field: str) -> Floats:
        norm = self._norms.get(field)
        if norm is None:
            length = self._reader.doc_field_length
            lengths = np.array([length(number, field) or 0 for number in range(self._size)], dtype=np.float64)
            norm = self._norms[field] = 1.2 * (0.25 + 0.75 * lengths / (lengths.sum() / self._passages or 1.0))
        return norm


def _entry(passage: IndexedPassage) -> dict[str, Any]:
    entry: dict[str, Any] = {name: getattr(passage, name) for name in EXACT_FIELDS}
    entry.update(tokens_of(passage))
    entry["id"] = passage.id
    entry["year"] = str(passage.year)
    return {name: value for name, value in entry.items() if value}
