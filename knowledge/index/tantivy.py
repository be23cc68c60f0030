"""tantivy: the embedded default engine (Rust, MIT).

One directory, one writer at a time (a file lock that the kernel frees when its process dies), any number of reader
processes. Every commit replaces ``meta.json``; a reader looks at that file before a search and opens the index again
when it has changed.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import tantivy

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

log = logging.getLogger(__name__)

_FORM = f"1.{analysis.VERSION}"
_HEAP = 64_000_000
_LOCK_WAIT = 30.0
_MOST_IDS = 100_000
_MOST_COUNTS = 200_000
_MOST_CLAUSES = 20_000
_LATELY = 0.05  # seconds


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("stamp", stored=True, tokenizer_name="raw", index_option="basic")
    for name in (*OPEN_FIELDS, *CLOSED_FIELDS):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    for name in EXACT_FIELDS:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("year", indexed=True)
    return builder.build()


@dataclass(slots=True)
class _Open:
    """One commit as a reader sees it, and what was read of it."""

    searcher: Any
    stamp: str
    seen: tuple[int, int, int]
    looked: float
    ids: dict[tuple[int, int], str] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def id(self, address: Any) -> str:
        """Reading a stored document costs ten times a look at what was read before."""
        key = (address.segment_ord, address.doc)
        known = self.ids.get(key)
        if known is None:
            if len(self.ids) > _MOST_IDS:
                self.ids.clear()
            known = self.ids[key] = str(self.searcher.doc(address)["id"][0])
        return known

    def frequency(self, name: str, token: str) -> int:
        """In how many passages a token stands; one question asks several times for the same."""
        key = (name, token)
        known = self.counts.get(key)
        if known is None:
            if len(self.counts) > _MOST_COUNTS:
                self.counts.clear()
            known = self.counts[key] = int(self.searcher.doc_freq(name, token))
        return known


class TantivyIndex:
    """A :class:`knowledge.index.PassageIndex` on tantivy.

    Opening is lazy: a damaged or missing index shows itself at the first use as ``IndexUnavailable``; ``clear`` makes
    any folder usable again.
    """

    name = "tantivy"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._meta = folder / "meta.json"
        self._lock = threading.RLock()
        self._open: _Open | None = None
        self._schema = _schema()
        self._clause = lru_cache(maxsize=_MOST_CLAUSES)(self._new_clause)
        self._writer: Any = None

    # --- writing -----------------------------------------------------------------------------------------------------

    def replace(self, passages: Iterable[IndexedPassage]) -> None:
        """Stage passages; see :class:`knowledge.index.PassageIndex`."""
        with self._lock, self._mapped():
            writer = self._writing()
            seen: set[str] = set()
            for passage in passages:
                if passage.document not in seen:
                    seen.add(passage.document)
                    writer.delete_documents_by_term("document", passage.document)
                writer.add_document(_document(passage))

    def remove(self, documents: Sequence[str]) -> None:
        """Stage a removal."""
        with self._lock, self._mapped():
            writer = self._writing()
            for document in documents:
                writer.delete_documents_by_term("document", document)

    def clear(self) -> None:
        """Stage the removal of everything; a damaged index is replaced by an empty one at once."""
        with self._lock:
            try:
                with self._mapped():
                    self._writing().delete_all_documents()
            except IndexUnavailable as error:
                log.warning("replacing the damaged index in %s: %s", self._folder, error)
                self._writer = self._open = None
                shutil.rmtree(self._folder, ignore_errors=True)
                with self._mapped():
                    self._writing()

    def commit(self, stamp: str) -> None:
        """Make all staged changes visible at once; releases the writer's lock."""
        with self._lock, self._mapped():
            writer = self._writing()
            try:
                writer.delete_documents_by_term("id", STAMP_ID)
                writer.add_document(tantivy.Document(id=STAMP_ID, stamp=f"{_FORM} {stamp}"))
                writer.commit()
                writer.wait_merging_threads()
            finally:
                self._writer = None
                if self._open is not None:
                    self._open.looked = 0.0

    def close(self) -> None:
        """Drop staged changes, release files and locks."""
        with self._lock:
            self._writer = self._open = None

    def _writing(self) -> Any:
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = not (self._folder / "meta.json").exists()
            index = tantivy.Index(self._schema, str(self._folder))
            _register(index)
            if not fresh:
                _check_form(index.searcher(), self._schema, self._folder)
            deadline = time.monotonic() + _LOCK_WAIT
            while self._writer is None:
                try:
                    self._writer = index.writer(_HEAP, 1)
                except ValueError as error:
                    if "LockBusy" not in str(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
        return self._writer

    # --- reading -----------------------------------------------------------------------------------------------------

    def search(self, text: str, where: IndexFilter, limit: int) -> list[Candidate]:
        """Best candidates, best first; equal scores are ordered by id."""
        terms = analysis.question_terms(text)
        if not terms or limit < 1:
            return []
        with self._mapped():
            index = self._reading()
            query = self._query(index, terms, where)
            if query is None:
                return []
            found = index.searcher.search(query, limit, count=False).hits
            hits = sorted([(-score, index.id(address)) for score, address in found])
        return [Candidate(identity, -score) for score, identity in hits]

    def frequencies(self, words: Sequence[str], bigrams: Sequence[str]) -> Frequencies:
        """How common these tokens are among open passages."""
        with self._mapped():
            index = self._reading(lately=True)
            return Frequencies(
                max(int(index.searcher.num_docs) - 1, 0),
                tuple([index.frequency(OPEN_FIELDS[0], token) for token in words]),
                tuple([index.frequency(OPEN_FIELDS[1], token) for token in bigrams]),
            )

    def stamp(self) -> str:
        """The stamp of the last commit, empty for a new index."""
        with self._mapped():
            return self._reading().stamp.partition(" ")[2]

    def count(self) -> int:
        """How many passages are visible."""
        with self._mapped():
            index = self._reading()
            return int(index.searcher.num_docs) - bool(index.stamp)

    def _reading(self, *, lately: bool = False) -> _Open:
        """The newest commit; with ``lately`` the one that was the newest a moment ago, which spares a look at the file."""
        index = self._open
        if lately and index is not None and time.monotonic() - index.looked < _LATELY:
            return index
        with self._lock:
            try:
                status = self._meta.stat()
            except FileNotFoundError as error:
                raise IndexUnavailable(f"no index in {self._folder}; rebuild it from the library") from error
            now = (status.st_mtime_ns, status.st_ino, status.st_size)
            if self._open is None or now != self._open.seen:
                opened = tantivy.Index.open(str(self._folder))
                _register(opened)
                opened.config_reader("manual")
                opened.reload()
                searcher = opened.searcher()
                self._open = _Open(searcher, _check_form(searcher, self._schema, self._folder), now, time.monotonic())
            self._open.looked = time.monotonic()
            return self._open

    def _query(self, index: _Open, terms: analysis.Terms, where: IndexFilter) -> Any:
        found = wanted_terms(terms, where, index.frequency)
        if not found:
            return None
        schema, query = self._schema, tantivy.Query
        wanted = query.boolean_query([self._clause(field, token) for field, token in found])
        limits = [query.term_set_query(schema, field, list(values)) for field, values in conditions(where)]
        if where.year:
            limits.append(query.term_query(schema, "year", where.year, "basic"))
        if not limits:
            return wanted
        must = tantivy.Occur.Must
        return query.boolean_query([(must, wanted), *((must, query.const_score_query(q, 0.0)) for q in limits)])

    def _new_clause(self, field: str, token: str) -> tuple[Any, Any]:
        return tantivy.Occur.Should, tantivy.Query.term_query(self._schema, field, token, "freq")

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        """tantivy reports everything as ``ValueError`` or ``OSError``; the room has one name for it."""
        try:
            yield
        except (ValueError, OSError, KeyError) as error:
            raise IndexUnavailable(
                f"index in {self._folder} cannot be used ({error}); free disk space if it is full, "
                "or delete the folder to have it built again"
            ) from error


def _register(index: Any) -> None:
    index.register_tokenizer("whitespace", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())


def _document(passage: IndexedPassage) -> Any:
    document = tantivy.Document(
        id=passage.id,
        document=passage.document,
        attribute=passage.attribute,
        validity=passage.validity,
        kind=passage.kind,
        issuer=passage.issuer,
        topic=passage.topic,
        audience=passage.audience,
        number=passage.number,
    )
    for name, found in tokens_of(passage):
        document.add_text(name, " ".join(found))
    document.add_integer("year", passage.year)
    return document


def _stamp(searcher: Any, schema: Any) -> str:
    found = searcher.search(tantivy.Query.term_query(schema, "id", STAMP_ID, "basic"), 1, count=False).hits
    return str(searcher.doc(found[0][1])["stamp"][0]) if found else ""


def _check_form(searcher: Any, schema: Any, folder: Path) -> str:
    stamp = _stamp(searcher, schema)
    if stamp and stamp.partition(" ")[0] != _FORM:
        raise IndexUnavailable(f"the index in {folder} was built by another version; rebuild it from the library")
    return stamp
