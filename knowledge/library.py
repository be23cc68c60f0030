"""文库: the only way in and out of what has been published.

The database is the truth; the index is a copy that catches up (``dirty`` rows), so a process killed at any point
loses nothing: the next ``sync`` finishes the work. Only published documents under an open attribute are ever
indexed, and everything that serves citizens is checked a second time in the database.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from rapidfuzz import fuzz
from sqlalchemy import Connection, Engine, RowMapping

from knowledge import analysis, answered, store, topics
from knowledge import organs as organ_matching
from knowledge.answered import SURE, ApprovedAnswer, Bank, NoSuchAnswer, holding, item_of
from knowledge.catalogue import passages_of, read_catalogues
from knowledge.errors import ClassifiedDocument, IndexUnavailable, KnowledgeError, UnknownDocument
from knowledge.facets import issuers
from knowledge.index import IndexedPassage, PassageIndex
from knowledge.lexicon import Lexicon
from knowledge.lexicon import shipped as shipped_lexicon
from knowledge.lists import BadRow, Stated, with_stated
from knowledge.matters import Matters
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    DocumentLink,
    Filters,
    Finding,
    Hit,
    IngestOutcome,
    IngestStatus,
    LibraryState,
    LinkKind,
    Organ,
    OrganRelation,
    Passage,
    PersonalDataFinder,
    PolicyDocument,
    Question,
    Stage,
    Validity,
)
from knowledge.readers import read
from knowledge.readers.raw import RawDocument
from knowledge.search import Searcher, ShelvedPassage, item_first
from knowledge.semantic import SemanticIndex
from knowledge.structure import Citation, ParsedDocument, parse
from knowledge.understanding import MOST_EXPANDED, understand
from knowledge.vocabulary import Vocabulary, library_vocabulary

log = logging.getLogger(__name__)

_SLUG = re.compile(r"[a-z][a-z0-9-]{2,39}")
_BATCH = 50
_NO_DOCUMENT = "-"  # an id that no document has
_MATTERS = 2  # names that the directory has for a matter which are searched for too
Links = tuple[tuple[LinkKind, PolicyDocument, bool], ...]
_RULINGS = {LinkKind.REPEALS: Validity.REPEALED, LinkKind.AMENDS: Validity.AMENDED}
MAX_BYTES = 50 * 1024 * 1024


class Shelf:
    """书架: published passages as the searcher needs them, kept in memory until the library's version changes.

    ``refresh`` asks the database once for that version; everything else answers from what it found. So one question
    sees one state of the library, and a withdrawal is seen by the next question in every process.
    """

    def __init__(self, engine: Engine, today: Callable[[], date], capacity: int = 50_000) -> None:
        self._engine = engine
        self._today = today
        self._capacity = capacity
        self._lock = threading.Lock()
        self._version = -1
        self._day: date | None = None
        self._passages: dict[str, ShelvedPassage] = {}
        self._documents: dict[str, PolicyDocument] = {}
        self._totals: tuple[int, int, date | None] = (0, 0, None)
        self._titles: tuple[tuple[str, str, str], ...] = ()
        self._organs: tuple[Organ, ...] = ()
        self._links: dict[str, Links] = {}
        self._guides: dict[str, tuple[Passage, ...]] = {}
        self._vocabulary: Vocabulary | None = None
        self._bank = Bank(())

    def refresh(self) -> None:
        """Notice what other processes have changed; cheap when nothing has."""
        today = self._today()
        if store.version_now(self._engine) == self._version and today == self._day:
            return
        with self._engine.connect() as connection:
            version = store.version_number(connection)
            with self._lock:
                documents = {r["id"]: store.document_of(r, today) for r in store.all_documents(connection, staff=False)}
                self._documents = documents
                self._titles = tuple((d.id, d.title, d.number) for d in documents.values())
                self._totals = store.totals(connection)
                self._organs = store.read_organs(connection)
                self._passages, self._links, self._guides = {}, {}, {}
                self._vocabulary = None
                self._bank = Bank(holding(answered.everything(connection), documents))
                self._version, self._day = version, today

    def fetch(self, ids: Sequence[str]) -> dict[str, ShelvedPassage]:
        """Those of ``ids`` that citizens may see."""
        cached = self._passages
        missing = [i for i in ids if i not in cached]
        if missing:
            with self._lock, self._engine.connect() as connection:
                if len(cached) + len(missing) > self._capacity:
                    cached.clear()
                    missing = list(ids)
                for start in range(0, len(missing), 500):
                    for row in store.open_passages(connection, missing[start : start + 500]):
                        document = self._documents.get(row["document"])
                        if document is not None:
                            cached[row["id"]] = ShelvedPassage(store.passage_of(row), document)
        return {i: cached[i] for i in ids if i in cached}

    def totals(self) -> tuple[int, int]:
        """(documents, passages) open to citizens."""
        return self._totals[0], self._totals[1]

    def as_of(self) -> date | None:
        """The day up to which the library was published."""
        return self._totals[2]

    def titles(self) -> Sequence[tuple[str, str, str]]:
        """(id, title, 文号) of every open document."""
        return self._titles

    def documents(self) -> list[PolicyDocument]:
        """Every open document, newest first."""
        return list(self._documents.values())

    def organs(self) -> tuple[Organ, ...]:
        """The organ directory."""
        return self._organs

    def vocabulary(self, lexicon: Lexicon, index: PassageIndex) -> Vocabulary:
        """The words that a question may have been meant to hold."""
        known = self._vocabulary
        if known is None:
            titles = [title for _, title, _ in self._titles]
            known = self._vocabulary = library_vocabulary(lexicon, titles, self._organs, index.frequencies)
        return known

    def approved(self, question: str) -> tuple[ApprovedAnswer, ShelvedPassage] | None:
        """What staff have approved as the answer to nearly the same question."""
        answer = self._bank.nearest(question)
        shelved = self.fetch([answer.passage]).get(answer.passage) if answer is not None else None
        return (answer, shelved) if answer is not None and shelved is not None else None

    def guide(self, document: str) -> tuple[Passage, ...]:
        """All passages of an open document in order, empty for one that citizens may not see."""
        guides = self._guides
        if document not in guides:
            with self._engine.connect() as connection:
                rows = store.passage_rows(connection, document) if document in self._documents else []
            guides[document] = tuple(store.passage_of(row) for row in rows)
        return guides[document]

    def links(self, document: str) -> Links:
        """Confirmed links between a document and other open ones."""
        links = self._links
        if document not in links:
            with self._engine.connect() as connection:
                found = store.links_of(connection, document)
            others = [(x.kind, x.source if x.target == document else x.target, x) for x in found if x.confirmed]
            links[document] = tuple(
                (kind, self._documents[other], x.target == document)
                for kind, other, x in others
                if other in self._documents
            )
        return links[document]


class Library:
    """``ingest / publish / withdraw / link / ask``: the only way in and out of the library."""

    def __init__(
        self,
        engine: Engine,
        open_index: Callable[[], PassageIndex],
        *,
        originals: Path | None = None,
        personal_data: PersonalDataFinder | None = None,
        semantic: SemanticIndex | None = None,
        lexicon: Lexicon | None = None,
        matters: Matters | None = None,
        today: Callable[[], date],
    ) -> None:
        self._engine = engine
        # A transaction that reads before it writes must hold the write lock from its start (SQLite).
        self._writer = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._originals = originals
        self._personal_data = personal_data
        self._today = today
        self._shelf = Shelf(engine, today)
        self._index = open_index()
        self._semantic = semantic
        self._lexicon = lexicon or shipped_lexicon()
        self._matters = matters
        self._searcher = Searcher(self._index, self._shelf, semantic=semantic, today=today)

    # --- in ------------------------------------------------------------------------------------------------------

    def ingest(
        self,
        files: Iterable[Path],
        *,
        attribute: DisclosureAttribute | None = None,
        publish: bool = False,
        stated: Callable[[Path], Stated | None] | None = None,
    ) -> Iterator[IngestOutcome]:
        """Take files in, one outcome each, in order; a bad file is rejected by name and the run goes on.

        ``attribute`` is what staff say of texts that state none; a text that states a stricter one keeps its own.
        ``publish`` says that staff have checked what would otherwise be held (personal data, OCR, double 文号); it
        never opens a text whose attribute is unknown or closed. ``stated`` tells what staff say of one file (a manifest);
        it wins over the text except where the text states a stricter attribute. The index is brought up to date every
        50 files.
        """
        self.refresh_validity()
        waiting = 0
        with self._engine.connect() as connection:
            organs = store.read_organs(connection)  # once a run: asking the shelf would reload it after every file
        for path in files:
            outcome = self._take(path, _Orders(attribute, publish, stated(path) if stated else None, organs))
            yield outcome
            waiting += outcome.status in (IngestStatus.ADDED, IngestStatus.UPDATED)
            if waiting >= _BATCH:
                self.sync()
                waiting = 0
        self.sync()

    def take_catalogues(
        self, path: Path, *, attribute: DisclosureAttribute | None = None, publish: bool = False
    ) -> tuple[list[IngestOutcome], tuple[BadRow, ...]]:
        """Take in a 公开事项标准目录, one document a field; the rows that could not be read come second.

        Raises ``UnreadableDocument`` when the file is no catalogue at all.
        """
        found = read_catalogues(path)
        where = path.resolve()
        outcomes: list[IngestOutcome] = []
        with self._engine.connect() as connection:
            organs = store.read_organs(connection)
        for catalogue in found.catalogues:
            passages = passages_of(catalogue, "")
            text = "\n".join(p.text for p in passages)
            document = PolicyDocument(
                id="",
                kind=DocumentKind.CATALOGUE,
                title=catalogue.title,
                issuer=next((o.name for o in organs if o.relation is OrganRelation.OWN), ""),
                topic=catalogue.field,
            )
            digest = hashlib.sha256(f"{catalogue.title}\n{text}".encode()).hexdigest()
            place = f"{where}#{catalogue.field}"
            with self._engine.connect() as connection:
                twin = store.find_by(connection, content_hash=digest)
            orders = _Orders(attribute, publish, None, organs)
            if twin is not None:
                outcomes.append(self._take_again(path, place, twin, orders))
                continue
            with self._writer.begin() as connection:
                parsed = ParsedDocument(document, passages)
                outcomes.append(self._shelve(connection, path, place, digest, parsed, orders))
        if self._originals is not None and outcomes:
            self._keep_original(path, _digest(path))
        self.sync()
        return outcomes, found.bad

    def _take(self, path: Path, orders: _Orders) -> IngestOutcome:
        try:
            return self._take_file(path, orders)
        except KnowledgeError as error:
            return IngestOutcome(str(path), IngestStatus.REJECTED, reason=str(error), error=type(error).__name__)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            return IngestOutcome(str(path), IngestStatus.REJECTED, reason=reason, error="UnreadableDocument")

    def _take_file(self, path: Path, orders: _Orders) -> IngestOutcome:
        size = path.stat().st_size
        digest = _digest(path) if size <= MAX_BYTES else ""
        where = str(path.resolve())
        with self._engine.connect() as connection:
            twin = store.find_by(connection, content_hash=digest) if digest else None
        if twin is not None:
            return self._take_again(path, where, twin, orders)
        raw = read(path, max_bytes=MAX_BYTES)
        parsed = parse(raw, path=where, document_id="", organs=orders.organs)
        if parsed.classified:
            raise ClassifiedDocument(
                f"{path.name} bears the secrecy mark '{parsed.classified}'; it must not be kept here (保密法): remove it"
            )
        with self._writer.begin() as connection:
            outcome = self._shelve(connection, path, where, digest, parsed, orders, _checks_of(raw))
        if self._originals is not None and outcome.document is not None:
            self._keep_original(path, digest)
        return outcome

    def _take_again(self, path: Path, where: str, twin: RowMapping, orders: _Orders) -> IngestOutcome:
        """The same bytes again: nothing to read, but staff may now have said what the text did not."""
        document = store.document_of(twin, self._today())
        attribute, publish = orders.said, orders.publish
        same_file = document.path == where
        reason = "" if same_file else f"same text as {document.path}"
        amended = bool(same_file and orders.stated and self.describe(document.id, orders.stated, sync=False))
        if amended:
            with self._engine.connect() as connection:
                row = store.find_document(connection, document.id)
                assert row is not None
                document = store.document_of(row, self._today())
        waiting = document.stage is Stage.DRAFT
        if waiting and attribute is not None and document.attribute is DisclosureAttribute.UNKNOWN:
            document = self.publish(document.id, attribute=attribute, force=publish, sync=False)
        elif waiting and publish and document.attribute.open_to_citizens:
            document = self.publish(document.id, force=True, sync=False)
        changed = amended or (waiting and document.stage is Stage.PUBLISHED)
        status = IngestStatus.UPDATED if changed else IngestStatus.UNCHANGED
        return IngestOutcome(str(path), status, document, reason or document.held)

    def describe(self, document: str, stated: Stated, *, sync: bool = True) -> bool:
        """Write what staff say of a known text; the former state is kept as a version. False: nothing new.

        Raises ``UnknownDocument``.
        """
        with self._writer.begin() as connection:
            row = store.find_document(connection, document)
            if row is None:
                raise UnknownDocument(f"no document '{document}'; see: bianmin documents --all")
            before = store.document_of(row, self._today())
            new = with_stated(before, stated)
            if new == before:
                return False
            if not new.attribute.open_to_citizens and new.attribute is not before.attribute:
                new = replace(new, stage=Stage.DRAFT, held="公开属性不是主动公开，只供工作人员查阅")
            store.keep_version(connection, row)
            values = store.row_of(replace(new, version=before.version + 1))
            ruling = _ruling(stated, row["ruling"])
            store.change_document(connection, document, **{k: v for k, v in values.items() if k != "id"}, ruling=ruling)
            store.note_event(connection, document, "updated", "described anew")
            self._link(connection, document)
            store.bump_version(connection)
        if sync:
            self.sync()
        return True

    def _shelve(
        self,
        connection: Connection,
        path: Path,
        where: str,
        digest: str,
        parsed: ParsedDocument,
        orders: _Orders,
        unread: Sequence[str] = (),
    ) -> IngestOutcome:
        """``unread`` says what a person has to compare with the original before the text is published."""
        today = self._today()
        if orders.stated is not None:
            parsed = replace(parsed, document=with_stated(parsed.document, orders.stated))
        publish = orders.publish
        former = store.find_by(connection, path=where)
        rival = store.find_by(connection, number=parsed.document.number) if parsed.document.number else None
        same_number = rival is not None and (former is None or rival["id"] != former["id"])
        identity = former["id"] if former else _new_id(connection, path, parsed)
        passages = _renamed(parsed.passages, identity)
        document = replace(
            parsed.document,
            id=identity,
            path=where,
            content_hash=digest,
            passages=len(passages),
            version=(former["version"] + 1) if former else 1,
        )
        topic, audience = topics.filled(document, (p.text for p in passages))
        document = _with_attribute(replace(document, topic=topic, audience=audience), orders.said, today)
        held = document.held
        checks = list(unread)
        if same_number and rival is not None and rival["title"] != document.title:
            checks.append(f"文号与《{rival['title']}》相同而正文不同，请核对")
        elif same_number and rival is not None:
            checks.append(f"与已入库的《{rival['title']}》文号、标题相同而正文不同，请核对哪一份有效")
        checks.extend(self._personal_data_in(passages))
        if not held and checks and not publish:
            held = "；".join(checks)
        stage = Stage.PUBLISHED if document.attribute.open_to_citizens and not held else Stage.DRAFT
        if former and former["stage"] == Stage.WITHDRAWN.value:
            stage, held = Stage.DRAFT, held or "曾撤下，重新发布前请核对"
        document = replace(document, held=held, stage=stage, published_on=_first_day(document, stage, today))
        store.write_document(connection, document, passages, ruling=_ruling(orders.stated, ""))
        store.write_citations(connection, _citations(identity, parsed))
        store.note_event(connection, identity, "updated" if former else "added", held)
        self._link(connection, identity)
        store.bump_version(connection)
        status = IngestStatus.UPDATED if former else IngestStatus.ADDED
        return IngestOutcome(str(path), status, document, held)

    def _personal_data_in(self, passages: Sequence[Passage]) -> list[str]:
        if self._personal_data is None:
            return []
        places: list[str] = []
        for passage in passages:
            for kind, start, _end in self._personal_data(passage.text):
                places.append(f"{passage.locator or '正文'}第{start + 1}字起（{kind}）")
        return [f"疑似个人信息：{'、'.join(places[:8])}{'等' if len(places) > 8 else ''}，请先处理"] if places else []

    def _keep_original(self, path: Path, digest: str) -> None:
        assert self._originals is not None
        target = self._originals / digest[:2] / f"{digest}{path.suffix.lower()}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(target.suffix + ".part")
            shutil.copyfile(path, partial)
            partial.replace(target)

    # --- the life of a document ----------------------------------------------------------------------------------

    def publish(
        self,
        document: str,
        *,
        attribute: DisclosureAttribute | None = None,
        force: bool = False,
        sync: bool = True,
    ) -> PolicyDocument:
        """Open a waiting document to citizens; staff say the attribute where the text does not.

        A document whose attribute is closed, or that is held for personal data, stays a draft unless ``force`` says
        that staff have dealt with the hold (``force`` never opens a closed attribute). Raises ``UnknownDocument``.
        """
        with self._writer.begin() as connection:
            row = store.find_document(connection, document)
            if row is None:
                raise UnknownDocument(f"no document '{document}'; see: bianmin documents --all")
            current = store.document_of(row, self._today())
            new = _with_attribute(replace(current, held=""), attribute, self._today())
            held = new.held
            if not held and not force:
                held = "；".join(
                    self._personal_data_in([store.passage_of(p) for p in store.passage_rows(connection, document)])
                )
            stage = Stage.DRAFT if held or not new.attribute.open_to_citizens else Stage.PUBLISHED
            new = replace(new, held=held, stage=stage, published_on=_first_day(new, stage, self._today()))
            store.change_document(
                connection,
                document,
                attribute=new.attribute.value,
                held=new.held,
                stage=new.stage.value,
                published_on=new.published_on,
            )
            store.note_event(connection, document, "published" if stage is Stage.PUBLISHED else "held", held)
            store.bump_version(connection)
        if sync:
            self.sync()
        return new

    def withdraw(self, document: str, reason: str) -> None:
        """Take a document out of the citizens' sight at once, in every process. Raises ``UnknownDocument``."""
        with self._writer.begin() as connection:
            if store.find_document(connection, document) is None:
                raise UnknownDocument(f"no document '{document}'; see: bianmin documents --all")
            store.change_document(connection, document, stage=Stage.WITHDRAWN.value, held=f"已撤下：{reason}")
            store.note_event(connection, document, "withdrawn", reason)
            store.bump_version(connection)
        self.sync()

    def hold(self, document: str, reason: str, *, sync: bool = True) -> bool:
        """Take a published document back to the staff's desk with a note; False when it was not published.

        Citizens lose sight of it at once; staff decide whether it is withdrawn or published again. Raises
        ``UnknownDocument``.
        """
        with self._writer.begin() as connection:
            row = store.find_document(connection, document)
            if row is None:
                raise UnknownDocument(f"no document '{document}'; see: bianmin documents --all")
            if row["stage"] != Stage.PUBLISHED.value:
                return False
            store.change_document(connection, document, stage=Stage.DRAFT.value, held=reason)
            store.note_event(connection, document, "held", reason)
            store.bump_version(connection)
        if sync:
            self.sync()
        return True

    def rule(self, document: str, validity: Validity, reason: str) -> None:
        """Staff lay down a document's validity (立改废)."""
        with self._writer.begin() as connection:
            if store.find_document(connection, document) is None:
                raise UnknownDocument(f"no document '{document}'; see: bianmin documents --all")
            ruling = "" if validity is Validity.IN_FORCE else validity.value
            store.change_document(connection, document, ruling=ruling, validity=validity.value)
            store.note_event(connection, document, "ruled", f"{validity.value}: {reason}")
            store.bump_version(connection)
        self.sync()

    def link(self, source: str, target: str, kind: LinkKind, evidence: str) -> None:
        """Staff confirm or add a link; a repeal or an amendment takes effect at once."""
        with self._writer.begin() as connection:
            for document in (source, target):
                if store.find_document(connection, document) is None:
                    raise UnknownDocument(f"no document '{document}'; see: bianmin documents --all")
            store.write_link(connection, DocumentLink(source, target, kind, True, evidence), overrule=True)
            self._apply_ruling(connection, source, target, kind)
            store.note_event(connection, source, "linked", f"{kind.value} {target}: {evidence}")
            store.bump_version(connection)
        self.sync()

    def unlink(self, source: str, target: str, kind: LinkKind) -> None:
        """Staff refuse a link; what it had laid down is taken back and it is not proposed again."""
        with self._writer.begin() as connection:
            if store.refuse_link(connection, source, target, kind) and kind in _RULINGS:
                store.change_document(connection, target, ruling="")
            store.bump_version(connection)
        self.sync()

    def _link(self, connection: Connection, document: str) -> None:
        """Resolve what ``document`` cites, and what earlier documents cited that may be this one.

        An exact 文号 confirms a link; a title that is nearly the same proposes it.
        """
        row = store.find_document(connection, document)
        assert row is not None
        own = store.citations_by(connection, document)
        known = store.titles(connection) if any(not c.number for c in own) else []
        for citation in own:
            target, confirmed = self._target(connection, citation, known)
            if target is not None:
                self._join(connection, citation, target, confirmed)
        if row["kind"] == DocumentKind.INTERPRETATION.value:
            return
        for citation in store.citations_waiting_for(connection, document, row["number"]):
            alike = 100.0 if citation.number else title_likeness(citation.title, row["title"])
            if alike >= LIKELY:
                self._join(connection, citation, document, bool(citation.number) or _sure(citation.kind, alike))

    def _target(
        self, connection: Connection, citation: store.StoredCitation, known: Sequence[tuple[str, str, str, str]]
    ) -> tuple[str | None, bool]:
        if citation.number:
            bearing = store.titles(connection, citation.number)
            return next((i for i, _t, _n, k in bearing if k != DocumentKind.INTERPRETATION.value), None), True
        best, alike = None, 0.0
        for identity, title, _number, kind in known:
            if identity != citation.document and kind != DocumentKind.INTERPRETATION.value:
                this = title_likeness(citation.title, title)
                if this > alike:
                    best, alike = identity, this
        return (best, _sure(citation.kind, alike)) if alike >= LIKELY else (None, False)

    def _join(self, connection: Connection, citation: store.StoredCitation, target: str, confirmed: bool) -> None:
        if target == citation.document:
            return
        link = DocumentLink(citation.document, target, citation.kind, confirmed, citation.evidence)
        if store.write_link(connection, link) and confirmed:
            self._apply_ruling(connection, citation.document, target, citation.kind)

    def _apply_ruling(self, connection: Connection, source: str, target: str, kind: LinkKind) -> None:
        ruling = _RULINGS.get(kind)
        if ruling is None:
            return
        row = store.find_document(connection, source)
        before = store.find_document(connection, target)
        if row is None or before is None or row["attribute"] not in store.OPEN_ATTRIBUTES:
            return
        if ruling is Validity.AMENDED and before["ruling"] == Validity.REPEALED.value:
            return
        store.change_document(connection, target, ruling=ruling.value, validity=ruling.value)
        store.note_event(connection, target, "ruled", f"{ruling.value} by {source}")

    def refresh_validity(self) -> int:
        """Let documents lapse or come into force with the calendar; returns how many changed."""
        changed = 0
        today = self._today()
        with self._writer.begin() as connection:
            for row in store.all_documents(connection, staff=True):
                validity = store.validity_on(row, today)
                if validity.value != row["validity"]:
                    store.change_document(connection, row["id"], validity=validity.value)
                    changed += 1
            if changed:
                store.bump_version(connection)
        return changed

    # --- the index -----------------------------------------------------------------------------------------------

    def sync(self) -> int:
        """Bring the index up to date with the database; returns how many documents were taken over."""
        done = 0
        while True:
            with self._engine.connect() as connection:
                pending = store.dirty_documents(connection, 500)
                version, _ = store.library_version(connection)
                if not pending:
                    break
                entries: list[IndexedPassage] = []
                gone: list[str] = []
                for item in pending:
                    document = store.document_of(item.row, self._today())
                    if document.stage is Stage.PUBLISHED and document.attribute.open_to_citizens:
                        rows = store.passage_rows(connection, document.id)
                        entries.extend(_indexed(document, store.passage_of(r)) for r in rows)
                        if not rows:
                            gone.append(document.id)
                    else:
                        gone.append(document.id)
            self._index.replace(entries if self._semantic is None else self._semantic.along(entries))
            if gone:
                self._index.remove(gone)
            self._index.commit(str(version))
            if self._semantic is not None:
                self._semantic.remove(gone)
                self._semantic.commit(str(version))
            with self._writer.begin() as connection:
                store.mark_clean(connection, pending)
            done += len(pending)
        return done

    def ensure_index(self) -> str:
        """Rebuild the index when it is missing, damaged or has lost passages; says what was done, empty for nothing."""
        with self._engine.connect() as connection:
            documents, expected, _ = store.totals(connection)
            todo = bool(store.dirty_documents(connection, 1))
        try:
            present = self._index.count()
        except IndexUnavailable as error:
            log.warning("index unavailable, rebuilding: %s", error)
            present = -1
        if todo:
            self.sync()
            present = self._index.count()
        if present == expected:
            return self._fill_semantic(expected)
        with self._writer.begin() as connection:
            store.mark_all_dirty(connection)
        self._index.clear()
        self.sync()
        self._fill_semantic(expected)
        return f"index rebuilt: {documents} documents, {expected} passages"

    def _fill_semantic(self, expected: int) -> str:
        """Make the vectors again where the file is missing, damaged or of a former model; the engine is not touched."""
        if self._semantic is None or self._semantic.count() == expected:
            return ""
        while True:
            with self._engine.connect() as connection:
                version, _ = store.library_version(connection)
                self._semantic.clear()
                for row in store.all_documents(connection, staff=False):
                    document = store.document_of(row, self._today())
                    passages = map(store.passage_of, store.passage_rows(connection, document.id))
                    entries = (_indexed(document, p) for p in passages)
                    self._semantic.replace((e.id, e.document, e.body) for e in entries)
            self._semantic.commit(str(version))
            with self._engine.connect() as connection:
                if store.library_version(connection)[0] == version:
                    return f"semantic vectors made again: {self._semantic.count()} passages"

    # --- out -----------------------------------------------------------------------------------------------------

    def ask(self, question: Question, *, facets: bool = False) -> Finding:
        """What has been published on a question: ranked passages, how sure we are, the record, who handles it.

        ``facets`` adds how many of the documents found carry each value of the elements.
        """
        self._shelf.refresh()
        organs = self._shelf.organs()
        vocabulary = self._shelf.vocabulary(self._lexicon, self._index)
        understood = understand(question.text, self._lexicon, vocabulary, organs, question.filters)
        text, wanted = understood.text, understood.filters
        handlers = organ_matching.match(text, organs, known=self._matters)
        # What the directory calls the matter is searched for too: 「田租给大户」 is 土地流转纠纷 there.
        known = (name for match in handlers[:1] for name in match.matters[:_MATTERS] if name not in text)
        expanded = tuple(dict.fromkeys((*understood.expanded, *known)))[:MOST_EXPANDED]
        finding = self._find(question, text, wanted, expanded, facets)
        if understood.stated and not finding.hits:
            wanted = question.filters
            finding = self._find(question, text, wanted, expanded, facets)
        finding = replace(finding, hits=item_first(finding.hits))
        if not question.filters.described():
            finding = self._with_approved(finding, text, question.limit)
        return replace(
            finding,
            query=question.text,
            record=replace(finding.record, query=question.text, filters=wanted.described()),
            corrected=understood.corrected,
            organs=handlers,
        )

    def _find(self, question: Question, text: str, filters: Filters, expanded: Sequence[str], facets: bool) -> Finding:
        """The search itself. An organ's documents are named one by one, for some have several issuers."""
        if filters.organ:
            own = [d.id for d in self._shelf.documents() if filters.organ in issuers(d)]
            ids = tuple(i for i in own if not filters.documents or i in filters.documents)
            filters = replace(filters, organ="", documents=ids or (_NO_DOCUMENT,))
        return self._searcher.find(replace(question, text=text, filters=filters), expanded=expanded, facets=facets)

    def _with_approved(self, finding: Finding, text: str, limit: int) -> Finding:
        """The item that staff have approved for this very question stands first."""
        found = self._shelf.approved(text)
        if found is None:
            return finding
        answer, shelved = found
        own = next((hit for hit in finding.hits if hit.passage.id == answer.passage), None)
        if own is None:
            best = finding.hits[0].score if finding.hits else 0.0
            own = Hit(shelved.passage, shelved.document, best)
        others = (hit for hit in finding.hits if hit.passage.id != answer.passage)
        return replace(
            finding,
            hits=(own, *others)[: max(limit, 1)],
            confidence=max(finding.confidence, SURE),
            suggestions=(),
            approved_answer=str(answer.id),
        )

    def approve_answer(self, question: str, document: str, locator: str = "", *, by: str = "") -> ApprovedAnswer:
        """Staff say that this item answers this question (and nearly the same ones) from now on.

        Raises ``UnknownDocument`` for what citizens may not see, ``NoSuchAnswer`` where no single item is named.
        """
        text = " ".join(question.split())
        if not analysis.question_terms(text):
            raise NoSuchAnswer("the question holds no words to recognise it by; write it as a citizen would")
        found, passages = self.open_document(document)
        with self._writer.begin() as connection:
            kept = answered.add(connection, text, found, item_of(passages, locator), by)
            store.bump_version(connection)
        return kept

    def approved_answers(self) -> list[tuple[ApprovedAnswer, bool]]:
        """Every approved answer, and whether it holds at present (False: its document has changed or is not open)."""
        self._shelf.refresh()
        documents = {d.id: d for d in self._shelf.documents()}
        with self._engine.connect() as connection:
            known = answered.everything(connection)
        holds = {answer.id for answer in holding(known, documents)}
        return [(answer, answer.id in holds) for answer in known]

    def forget_answer(self, answer: int) -> None:
        """Take an approved answer back. Raises ``NoSuchAnswer``."""
        with self._writer.begin() as connection:
            if not answered.remove(connection, answer):
                raise NoSuchAnswer(f"no approved answer {answer}; see: bianmin answered list")
            store.bump_version(connection)

    def documents(self, *, staff: bool = False) -> list[PolicyDocument]:
        """Published documents, or all of them for staff, newest first."""
        if not staff:
            self._shelf.refresh()
            return self._shelf.documents()
        with self._engine.connect() as connection:
            return [store.document_of(row, self._today()) for row in store.all_documents(connection, staff=True)]

    def open_document(self, document: str, *, staff: bool = False) -> tuple[PolicyDocument, tuple[Passage, ...]]:
        """A document and its passages. Raises ``UnknownDocument`` also for what this reader may not see."""
        with self._engine.connect() as connection:
            row = store.find_document(connection, document)
            found = store.document_of(row, self._today()) if row is not None else None
            visible = found is not None and (
                staff or (found.stage is Stage.PUBLISHED and found.attribute.open_to_citizens)
            )
            if found is None or not visible:
                raise UnknownDocument(f"no document '{document}' is open to this reader")
            return found, tuple(store.passage_of(p) for p in store.passage_rows(connection, document))

    def links_of(self, document: str, *, staff: bool = False) -> tuple[tuple[LinkKind, PolicyDocument, bool], ...]:
        """(kind, the other document, whether the other one acts on this one); citizens see confirmed, open ones."""
        if not staff:
            self._shelf.refresh()
            return self._shelf.links(document)
        result: list[tuple[LinkKind, PolicyDocument, bool]] = []
        with self._engine.connect() as connection:
            for link in store.links_of(connection, document):
                incoming = link.target == document
                row = store.find_document(connection, link.source if incoming else link.target)
                if row is not None:
                    result.append((link.kind, store.document_of(row, self._today()), incoming))
        return tuple(result)

    def proposed_links(self) -> list[DocumentLink]:
        """Links that wait for a person."""
        with self._engine.connect() as connection:
            return store.all_links(connection, "proposed")

    def links_between(self, kind: LinkKind) -> list[DocumentLink]:
        """Every confirmed link of one kind."""
        with self._engine.connect() as connection:
            return [link for link in store.all_links(connection, "confirmed") if link.kind is kind]

    def entered_on(self) -> dict[str, date]:
        """Document → the Beijing day on which it first came into the library."""
        with self._engine.connect() as connection:
            return store.first_days(connection)

    def former_versions(self, document: str) -> list[tuple[int, str, str]]:
        """(version, instant UTC at which it was replaced, its title) of every former version, oldest first."""
        with self._engine.connect() as connection:
            return store.version_list(connection, document)

    def history(self, document: str) -> list[tuple[str, str, str]]:
        """(instant UTC, kind, detail) of what happened to a document."""
        with self._engine.connect() as connection:
            return store.events_of(connection, document)

    def former_version(self, document: str, version: int) -> dict[str, object] | None:
        """A former version as it was kept, None when there is none."""
        with self._engine.connect() as connection:
            return store.version_snapshot(connection, document, version)

    def organs(self) -> tuple[Organ, ...]:
        """The organ directory."""
        self._shelf.refresh()
        return self._shelf.organs()

    def answer_context(self, document: str, *, guide: bool) -> tuple[tuple[Passage, ...], Links]:
        """What belongs to an answer just found: the passages of a guide (when wanted), the document's links.

        Answers from the state of the library that the last ``ask`` saw, without asking the database again.
        """
        return (self._shelf.guide(document) if guide else ()), self._shelf.links(document)

    def directory(self) -> tuple[Organ, ...]:
        """The organ directory as the last ``ask`` saw it."""
        return self._shelf.organs()

    def replace_organs(self, organs: Sequence[Organ]) -> None:
        """Replace the organ directory."""
        with self._writer.begin() as connection:
            store.write_organs(connection, organs)
            store.bump_version(connection)

    def state(self) -> LibraryState:
        """What page footers and the health check say."""
        with self._engine.connect() as connection:
            documents, passages, as_of = store.totals(connection)
            version, changed = store.library_version(connection)
            waiting = store.drafts(connection)
        return LibraryState(
            documents=documents,
            passages=passages,
            waiting=waiting,
            as_of=as_of,
            version=version,
            index_version=self._index.stamp(),
            updated_at=datetime.fromisoformat(changed) if changed else None,
        )

    def close(self) -> None:
        """Release the index."""
        self._index.close()
        if self._semantic is not None:
            self._semantic.close()


# --- pure helpers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Orders:
    """What staff say of a file that is taken in."""

    attribute: DisclosureAttribute | None
    publish: bool
    stated: Stated | None
    organs: tuple[Organ, ...]

    @property
    def said(self) -> DisclosureAttribute | None:
        """The attribute said of this file, else of all files of the run."""
        return self.stated.attribute if self.stated and self.stated.attribute else self.attribute


def _ruling(stated: Stated | None, before: str) -> str:
    """效力 as staff lay it down in a manifest; what follows from dates is not laid down."""
    if stated is None or stated.validity is None:
        return before
    return stated.validity.value if stated.validity.lapsed or stated.validity is Validity.AMENDED else ""


def _with_attribute(document: PolicyDocument, said: DisclosureAttribute | None, today: date) -> PolicyDocument:
    """Settle the attribute: what the text states wins over what staff say, unless the text states nothing."""
    stated = document.attribute
    if stated is DisclosureAttribute.UNKNOWN:
        attribute = said or DisclosureAttribute.UNKNOWN
    elif stated is DisclosureAttribute.REDACTED and said is not DisclosureAttribute.REDACTED:
        return replace(document, held="公开属性为“删减后公开”：请确认这是删减后的文本（--attribute redacted）")
    else:
        attribute = stated
    held = ""
    if attribute is DisclosureAttribute.UNKNOWN:
        held = "没有写明公开属性，请确定后再发布（--attribute public）"
    elif not attribute.open_to_citizens:
        held = "公开属性不是主动公开，只供工作人员查阅"
    return replace(document, attribute=attribute, held=held)


def _first_day(document: PolicyDocument, stage: Stage, today: date) -> date | None:
    if document.published_on is not None or stage is not Stage.PUBLISHED:
        return document.published_on
    return today


def _checks_of(raw: RawDocument) -> list[str]:
    """What a person has to compare with the original before the text is published."""
    checks = []
    if raw.ocr:
        checks.append("OCR，待核：文字由图片识别而来，请对照原件核对")
    if raw.unread_pages:
        pages = "、".join(map(str, raw.unread_pages[:20])) + ("等" if len(raw.unread_pages) > 20 else "")
        checks.append(f"第{pages}页是图片，没有读出文字：请安装文字识别后重新入库，或者对照原件核对后发布")
    return checks


def _renamed(passages: Sequence[Passage], identity: str) -> tuple[Passage, ...]:
    return tuple(replace(p, document=identity, id=f"{identity}-{p.ordinal}") for p in passages)


def _new_id(connection: Connection, path: Path, parsed: ParsedDocument) -> str:
    """A short id for the URL: the file's own name where it is one, else derived from 文号 or title."""
    stem = path.stem.lower()
    if _SLUG.fullmatch(stem) and store.find_document(connection, stem) is None:
        return stem
    seed = f"{parsed.document.number}|{parsed.document.title}" if parsed.document.title else str(path)
    for salt in ("", str(path.resolve()), json.dumps([str(path.resolve()), parsed.document.title])):
        identity = "d" + hashlib.sha256(f"{seed}{salt}".encode()).hexdigest()[:9]
        if store.find_document(connection, identity) is None:
            return identity
    raise AssertionError("three hashes collided")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _citations(document: str, parsed: ParsedDocument) -> list[store.StoredCitation]:
    def stored(kind: LinkKind, citation: Citation) -> store.StoredCitation:
        return store.StoredCitation(document, kind, citation.number, citation.title, citation.evidence)

    found = [stored(LinkKind.REPEALS, c) for c in parsed.repeals]
    found += [stored(LinkKind.AMENDS, c) for c in parsed.amends]
    if parsed.interprets is not None:
        found.append(stored(LinkKind.INTERPRETS, parsed.interprets))
    settled = {c.number for c in found if c.number}
    kind = LinkKind.GUIDES if parsed.document.kind is DocumentKind.SERVICE_GUIDE else LinkKind.CITES
    for number in parsed.cited_numbers:
        if number != parsed.document.number and number not in settled:
            found.append(store.StoredCitation(document, kind, number, "", number))
    if kind is LinkKind.GUIDES:
        found += [store.StoredCitation(document, kind, "", title, title) for title in parsed.cited_titles]
    return found


LIKELY = 88.0
"""Likeness of titles (0..100) from which a link is proposed."""


def title_likeness(cited: str, title: str) -> float:
    """How alike a cited title and a document's title are, 0..100, apart from 「关于印发…的通知」 around them."""
    wanted, bare = _bare(cited), _bare(title)
    if not wanted or not bare:
        return 0.0
    if wanted == bare:
        return 100.0
    if len(wanted) >= 6 and (wanted in bare or bare in wanted):
        return max(95.0, fuzz.ratio(wanted, bare))
    return fuzz.ratio(wanted, bare)


def _sure(kind: LinkKind, alike: float) -> bool:
    """A title alone never repeals anything; it may confirm a pointer."""
    return alike >= 99.5 and kind not in _RULINGS


@lru_cache(maxsize=100_000)
def _bare(title: str) -> str:
    return re.sub(r"[《》\s]|的?通知$|^.{2,20}?关于(印发|发布|公布)?", "", title)


def _indexed(document: PolicyDocument, passage: Passage) -> IndexedPassage:
    return IndexedPassage(
        id=passage.id,
        document=document.id,
        body="\n".join([document.title, *passage.path, passage.text]),
        attribute=document.attribute.value,
        validity=document.validity.value,
        kind=document.kind.value,
        issuer=document.issuer,
        topic=document.topic,
        audience=document.audience,
        year=document.written_on.year if document.written_on else 0,
        number=document.number,
    )
