"""whoosh: the pure-Python engine, for machines for which tantivy has no wheel (龙芯 servers) and for small libraries.

Ranked by the same second stage, so answers agree with tantivy's; slower, hence meant for about 20,000 passages. Its files
hold pickles: open only an index that this program wrote. Changes are kept in memory until ``commit``, which takes the
lock, writes one segment and a new table of contents; a process killed before that leaves the former index as it was.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import whoosh.fields
import whoosh.index
import whoosh.query
import whoosh.writing
from whoosh.scoring import BM25F

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
        self._index: Any = None
        self._searcher: Any = None
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
            return self._again_if_merged(lambda searcher: self._search(searcher, terms, where, limit))

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

    def _search(self, searcher: Any, terms: analysis.Terms, where: IndexFilter, limit: int) -> list[Candidate]:
        found = wanted_terms(terms, where, searcher.doc_frequency)
        if not found:
            return []
        wanted = whoosh.query.Or([whoosh.query.Term(field, token) for field, token in found])
        wanted.matcher_type = whoosh.query.Or.ARRAY_MATCHER  # 6 to 14 times faster than the default tree of unions
        limits = [
            whoosh.query.Or([whoosh.query.Term(field, value) for value in values])
            for field, values in conditions(where)
        ]
        if where.year:
            limits.append(whoosh.query.Term("year", str(where.year)))
        results = searcher.search(wanted, limit=limit, filter=whoosh.query.And(limits) if limits else None)
        hits = [Candidate(self._id(searcher, number), float(score)) for score, number in results.top_n]
        hits.sort(key=lambda c: (-c.score, c.id))
        return hits

    def _id(self, searcher: Any, number: int) -> str:
        known = self._ids.get(number)
        if known is None:
            known = self._ids[number] = str(searcher.stored_fields(number)["id"])
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
        self._index, self._searcher, self._stamp = index, searcher, stamp

    def _checked(self, index: Any) -> tuple[Any, str]:
        searcher = index.searcher(weighting=BM25F(B=0.75, K1=1.2))
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
        self._index = self._searcher = self._seen = None
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


def _entry(passage: IndexedPassage) -> dict[str, Any]:
    entry: dict[str, Any] = {name: getattr(passage, name) for name in EXACT_FIELDS}
    entry.update(tokens_of(passage))
    entry["id"] = passage.id
    entry["year"] = str(passage.year)
    return {name: value for name, value in entry.items() if value}
