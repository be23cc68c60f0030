"""Rows ↔ values: every SQL statement of the library stands here.

Functions take an open connection; transactions belong to the caller (:mod:`knowledge.library`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from knowledge import tables as t
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    DocumentLink,
    LinkKind,
    Organ,
    OrganRelation,
    Passage,
    PolicyDocument,
    ResponsibleUnit,
    SourceRank,
    Stage,
    UnitRole,
    Validity,
)

OPEN_ATTRIBUTES = tuple(a.value for a in DisclosureAttribute if a.open_to_citizens)

OPEN_TO_CITIZENS = and_(t.documents.c.stage == Stage.PUBLISHED.value, t.documents.c.attribute.in_(OPEN_ATTRIBUTES))
"""The second check of design rule 3, used by every statement that serves citizens."""


def utc_now() -> str:
    """The present instant as ISO text in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def validity_on(row: RowMapping | Mapping[str, Any], today: date) -> Validity:
    """效力 of a document on a day: what was laid down first, then what the dates say."""
    ruled = row["ruling"]
    if ruled in (Validity.REPEALED.value, Validity.EXPIRED.value):
        return Validity(ruled)
    if row["expires_on"] and row["expires_on"] < today:
        return Validity.EXPIRED
    if row["effective_on"] and row["effective_on"] > today:
        return Validity.NOT_YET
    return Validity(ruled) if ruled else Validity.IN_FORCE


def document_of(row: RowMapping | Mapping[str, Any], today: date) -> PolicyDocument:
    """The value of one row of ``documents``."""
    return PolicyDocument(
        id=row["id"],
        kind=DocumentKind(row["kind"]),
        title=row["title"],
        number=row["number"],
        issuer=row["issuer"],
        written_on=row["written_on"],
        printed_on=row["printed_on"],
        published_on=row["published_on"],
        effective_on=row["effective_on"],
        expires_on=row["expires_on"],
        attribute=DisclosureAttribute(row["attribute"]),
        validity=validity_on(row, today),
        stage=Stage(row["stage"]),
        held=row["held"],
        source_rank=SourceRank(row["source_rank"]),
        source_url=row["source_url"],
        index_number=row["index_number"],
        topic=row["topic"],
        audience=row["audience"],
        addressees=row["addressees"],
        copies_to=row["copies_to"],
        contacts=tuple(json.loads(row["contacts"])),
        keywords=tuple(json.loads(row["keywords"])),
        path=row["path"],
        content_hash=row["content_hash"],
        version=row["version"],
        passages=row["passages"],
    )


def row_of(document: PolicyDocument) -> dict[str, Any]:
    """The columns of one document, without ``ruling`` and ``dirty``."""
    return {
        "id": document.id,
        "kind": document.kind.value,
        "title": document.title,
        "number": document.number,
        "issuer": document.issuer,
        "written_on": document.written_on,
        "printed_on": document.printed_on,
        "published_on": document.published_on,
        "effective_on": document.effective_on,
        "expires_on": document.expires_on,
        "attribute": document.attribute.value,
        "validity": document.validity.value,
        "stage": document.stage.value,
        "held": document.held,
        "source_rank": document.source_rank.value,
        "source_url": document.source_url,
        "index_number": document.index_number,
        "topic": document.topic,
        "audience": document.audience,
        "addressees": document.addressees,
        "copies_to": document.copies_to,
        "contacts": _json(document.contacts),
        "keywords": _json(document.keywords),
        "path": document.path,
        "content_hash": document.content_hash,
        "version": document.version,
        "passages": document.passages,
        "changed_at": utc_now(),
    }


def passage_of(row: RowMapping | Mapping[str, Any]) -> Passage:
    """The value of one row of ``passages``."""
    return Passage(
        id=row["id"],
        document=row["document"],
        ordinal=row["ordinal"],
        locator=row["locator"],
        path=tuple(json.loads(row["path"])),
        text=row["text"],
        anchor=row["anchor"],
        part=row["part"],
        lead=row["lead"],
        units=tuple(ResponsibleUnit(name, UnitRole(role)) for name, role in json.loads(row["units"])),
    )


def _passage_row(passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "document": passage.document,
        "ordinal": passage.ordinal,
        "locator": passage.locator,
        "path": _json(passage.path),
        "text": passage.text,
        "anchor": passage.anchor,
        "part": passage.part,
        "lead": passage.lead,
        "units": _json([[unit.name, unit.role.value] for unit in passage.units]),
    }


def _json(value: Iterable[Any]) -> str:
    return json.dumps(list(value), ensure_ascii=False)


# --- documents ---------------------------------------------------------------------------------------------------


def find_document(connection: Connection, document: str) -> RowMapping | None:
    """The row of ``document``, None when there is none."""
    return connection.execute(select(t.documents).where(t.documents.c.id == document)).mappings().first()


def find_by(connection: Connection, **columns: str) -> RowMapping | None:
    """The first row whose columns have these values."""
    where = and_(*(t.documents.c[name] == value for name, value in columns.items()))
    return connection.execute(select(t.documents).where(where).order_by(t.documents.c.id)).mappings().first()


def all_documents(connection: Connection, *, staff: bool) -> list[RowMapping]:
    """Every document that may be seen, newest 成文日期 first."""
    query = select(t.documents).order_by(t.documents.c.written_on.desc(), t.documents.c.title)
    if not staff:
        query = query.where(OPEN_TO_CITIZENS)
    return list(connection.execute(query).mappings())


def write_document(
    connection: Connection, document: PolicyDocument, passages: Sequence[Passage], *, ruling: str = ""
) -> None:
    """Insert or replace a document and its passages; the former state is kept as a version."""
    before = find_document(connection, document.id)
    values = row_of(document) | {"dirty": True}
    if before is None:
        connection.execute(insert(t.documents).values(values | {"ruling": ruling}))
    else:
        keep_version(connection, before)
        if ruling:
            values["ruling"] = ruling
        connection.execute(update(t.documents).where(t.documents.c.id == document.id).values(values))
        connection.execute(delete(t.passages).where(t.passages.c.document == document.id))
        connection.execute(delete(t.citations).where(t.citations.c.document == document.id))
    if passages:
        connection.execute(insert(t.passages), [_passage_row(p) for p in passages])


def keep_version(connection: Connection, row: RowMapping) -> None:
    """Keep a document's row and passages as they are before they change."""
    snapshot = {
        "document": {k: v.isoformat() if isinstance(v, date) else v for k, v in row.items()},
        "passages": [dict(p) for p in passage_rows(connection, row["id"])],
    }
    connection.execute(
        insert(t.versions).values(
            document=row["id"],
            version=row["version"],
            replaced_at=utc_now(),
            snapshot=json.dumps(snapshot, ensure_ascii=False),
        )
    )


def version_snapshot(connection: Connection, document: str, version: int) -> dict[str, Any] | None:
    """A former version as kept, None when there is none."""
    query = select(t.versions.c.snapshot).where(t.versions.c.document == document, t.versions.c.version == version)
    text = connection.execute(query).scalar()
    return None if text is None else dict(json.loads(text))


def change_document(connection: Connection, document: str, **values: Any) -> None:
    """Set columns of one document and mark it for the index."""
    values |= {"dirty": True, "changed_at": utc_now()}
    connection.execute(update(t.documents).where(t.documents.c.id == document).values(values))


def passage_rows(connection: Connection, document: str) -> list[RowMapping]:
    """All passages of a document in order."""
    query = select(t.passages).where(t.passages.c.document == document).order_by(t.passages.c.ordinal)
    return list(connection.execute(query).mappings())


def open_passages(connection: Connection, ids: Sequence[str]) -> list[RowMapping]:
    """Those of the passages ``ids`` whose document is open to citizens."""
    query = (
        select(t.passages)
        .join(t.documents, t.documents.c.id == t.passages.c.document)
        .where(t.passages.c.id.in_(ids), OPEN_TO_CITIZENS)
    )
    return list(connection.execute(query).mappings())


def totals(connection: Connection) -> tuple[int, int, date | None]:
    """(documents, passages, newest day) of what is open to citizens."""
    query = select(func.count(), func.coalesce(func.sum(t.documents.c.passages), 0)).where(OPEN_TO_CITIZENS)
    documents, passages = connection.execute(query).one()
    newest = connection.execute(select(func.max(t.documents.c.changed_at)).where(OPEN_TO_CITIZENS)).scalar()
    as_of = datetime.fromisoformat(newest) if newest else None
    return int(documents), int(passages), beijing_day(as_of) if as_of else None


def drafts(connection: Connection) -> int:
    """How many documents wait for a person."""
    query = select(func.count()).where(t.documents.c.stage == Stage.DRAFT.value)
    return int(connection.execute(query).scalar_one())


def beijing_day(instant: datetime) -> date:
    """The Beijing date of an instant."""
    from zoneinfo import ZoneInfo

    return instant.astimezone(ZoneInfo("Asia/Shanghai")).date()


# --- the index's to-do list --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pending:
    """待索引: a document whose index entries are older than its row."""

    row: RowMapping
    changed_at: str


def dirty_documents(connection: Connection, limit: int) -> list[Pending]:
    """Documents that the index must catch up with, oldest change first."""
    query = select(t.documents).where(t.documents.c.dirty).order_by(t.documents.c.changed_at).limit(limit)
    return [Pending(row, row["changed_at"]) for row in connection.execute(query).mappings()]


def mark_clean(connection: Connection, done: Sequence[Pending]) -> None:
    """Clear the mark of those that have not changed again meanwhile."""
    for pending in done:
        connection.execute(
            update(t.documents)
            .where(t.documents.c.id == pending.row["id"], t.documents.c.changed_at == pending.changed_at)
            .values(dirty=False)
        )


def mark_all_dirty(connection: Connection) -> None:
    """Ask for a rebuild of the whole index."""
    connection.execute(update(t.documents).values(dirty=True))


# --- version of the library --------------------------------------------------------------------------------------


def library_version(connection: Connection) -> tuple[int, str]:
    """(version, instant of the last change); (0, "") for a new library."""
    row = connection.execute(select(t.state.c.version, t.state.c.changed_at).where(t.state.c.id == 1)).first()
    return (int(row[0]), str(row[1])) if row else (0, "")


_VERSION = "SELECT version FROM library_state WHERE id = 1"


def version_number(connection: Connection) -> int:
    """The version alone."""
    row = connection.exec_driver_sql(_VERSION).first()
    return int(row[0]) if row else 0


def version_now(engine: Engine) -> int:
    """The version alone, as cheaply as can be: asked before every answer, past SQLAlchemy's execution of statements."""
    driver = engine.dialect.loaded_dbapi
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(_VERSION)
        row = cursor.fetchone()
        cursor.close()
    except driver.Error as error:
        raise DBAPIError.instance(_VERSION, None, error, driver.Error, dialect=engine.dialect) from error
    finally:
        connection.close()
    return int(row[0]) if row else 0


def bump_version(connection: Connection) -> int:
    """Count a change that readers must notice."""
    changed = connection.execute(
        update(t.state).where(t.state.c.id == 1).values(version=t.state.c.version + 1, changed_at=utc_now())
    )
    if changed.rowcount == 0:
        connection.execute(insert(t.state).values(id=1, version=1, changed_at=utc_now()))
    return library_version(connection)[0]


def note_event(connection: Connection, document: str, kind: str, detail: str = "") -> None:
    """Append to a document's history."""
    connection.execute(insert(t.events).values(document=document, at=utc_now(), kind=kind, detail=detail))


def events_of(connection: Connection, document: str) -> list[tuple[str, str, str]]:
    """(instant, kind, detail) of a document's history, oldest first."""
    query = select(t.events.c.at, t.events.c.kind, t.events.c.detail).where(t.events.c.document == document)
    return [(a, k, d) for a, k, d in connection.execute(query.order_by(t.events.c.id))]


def first_days(connection: Connection) -> dict[str, date]:
    """Document → Beijing day of its first event."""
    query = select(t.events.c.document, func.min(t.events.c.at)).group_by(t.events.c.document)
    return {document: beijing_day(datetime.fromisoformat(at)) for document, at in connection.execute(query)}


def version_list(connection: Connection, document: str) -> list[tuple[int, str, str]]:
    """(version, instant of its replacement, title) of former versions, oldest first."""
    query = select(t.versions.c.version, t.versions.c.replaced_at, t.versions.c.snapshot)
    rows = connection.execute(query.where(t.versions.c.document == document).order_by(t.versions.c.version))
    return [(n, at, str(json.loads(snapshot)["document"]["title"])) for n, at, snapshot in rows]


# --- citations and links -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredCitation:
    """引文: what a document says it does to another."""

    document: str
    kind: LinkKind
    number: str
    title: str
    evidence: str


def write_citations(connection: Connection, found: Sequence[StoredCitation]) -> None:
    """Keep what a document cites, so that a document that arrives later can be linked."""
    if found:
        connection.execute(
            insert(t.citations),
            [
                {
                    "document": c.document,
                    "kind": c.kind.value,
                    "number": c.number,
                    "title": c.title,
                    "evidence": c.evidence,
                }
                for c in found
            ],
        )


def citations_by(connection: Connection, document: str) -> list[StoredCitation]:
    """What ``document`` itself cites."""
    query = select(t.citations).where(t.citations.c.document == document)
    return [_citation(r) for r in connection.execute(query).mappings()]


def citations_waiting_for(connection: Connection, document: str, number: str) -> list[StoredCitation]:
    """Citations by others that may mean ``document``: its 文号, or a title and no 文号 at all."""
    by_title = and_(t.citations.c.number == "", t.citations.c.title != "")
    wanted = or_(t.citations.c.number == number, by_title) if number else by_title
    query = select(t.citations).where(t.citations.c.document != document, wanted)
    return [_citation(r) for r in connection.execute(query).mappings()]


def _citation(row: RowMapping) -> StoredCitation:
    return StoredCitation(row["document"], LinkKind(row["kind"]), row["number"], row["title"], row["evidence"])


def titles(connection: Connection, number: str = "") -> list[tuple[str, str, str, str]]:
    """(id, title, number, kind) of every document, or of those that bear ``number``."""
    query = select(t.documents.c.id, t.documents.c.title, t.documents.c.number, t.documents.c.kind)
    if number:
        query = query.where(t.documents.c.number == number)
    return [(a, b, c, d) for a, b, c, d in connection.execute(query)]


def write_link(connection: Connection, link: DocumentLink, *, overrule: bool = False) -> bool:
    """Add a link; an existing one is only changed when ``overrule`` says so. True when something changed."""
    key = and_(t.links.c.source == link.source, t.links.c.target == link.target, t.links.c.kind == link.kind.value)
    state = "confirmed" if link.confirmed else "proposed"
    before = connection.execute(select(t.links.c.state).where(key)).scalar()
    if before is None:
        connection.execute(
            insert(t.links).values(
                source=link.source, target=link.target, kind=link.kind.value, state=state, evidence=link.evidence
            )
        )
        return True
    if overrule and before != state:
        connection.execute(update(t.links).where(key).values(state=state, evidence=link.evidence))
        return True
    return False


def refuse_link(connection: Connection, source: str, target: str, kind: LinkKind) -> bool:
    """Staff say that this link is wrong; it is kept as refused so that it is not proposed again."""
    key = and_(t.links.c.source == source, t.links.c.target == target, t.links.c.kind == kind.value)
    return connection.execute(update(t.links).where(key).values(state="refused")).rowcount > 0


def links_of(connection: Connection, document: str) -> list[DocumentLink]:
    """Links from and to a document that have not been refused."""
    query = select(t.links).where(
        or_(t.links.c.source == document, t.links.c.target == document), t.links.c.state != "refused"
    )
    return [
        DocumentLink(r["source"], r["target"], LinkKind(r["kind"]), r["state"] == "confirmed", r["evidence"])
        for r in connection.execute(query).mappings()
    ]


def all_links(connection: Connection, state: str) -> list[DocumentLink]:
    """All links in a state, for the staff's list."""
    query = select(t.links).where(t.links.c.state == state)
    return [
        DocumentLink(r["source"], r["target"], LinkKind(r["kind"]), r["state"] == "confirmed", r["evidence"])
        for r in connection.execute(query).mappings()
    ]


# --- organs ------------------------------------------------------------------------------------------------------


def write_organs(connection: Connection, organs: Sequence[Organ]) -> None:
    """Replace the whole directory."""
    connection.execute(delete(t.organs))
    if organs:
        connection.execute(
            insert(t.organs),
            [
                {
                    "name": o.name,
                    "ordinal": n,
                    "short_name": o.short_name,
                    "aliases": _json(o.aliases),
                    "relation": o.relation.value,
                    "functions": _json(o.functions),
                    "keywords": _json(o.keywords),
                    "phone": o.phone,
                    "address": o.address,
                    "hours": o.hours,
                    "website": o.website,
                }
                for n, o in enumerate(organs)
            ],
        )


def read_organs(connection: Connection) -> tuple[Organ, ...]:
    """The directory in its own order."""
    return tuple(
        Organ(
            name=r["name"],
            short_name=r["short_name"],
            aliases=tuple(json.loads(r["aliases"])),
            relation=OrganRelation(r["relation"]),
            functions=tuple(json.loads(r["functions"])),
            keywords=tuple(json.loads(r["keywords"])),
            phone=r["phone"],
            address=r["address"],
            hours=r["hours"],
            website=r["website"],
        )
        for r in connection.execute(select(t.organs).order_by(t.organs.c.ordinal)).mappings()
    )
