"""采集台账: rows of the crawler: which page was asked for when, what came back, what is still to be asked.

The frontier stands in the database, so that a killed run goes on where it was. Functions take an open connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from knowledge import tables as t
from knowledge.store import utc_now


class PageKind(StrEnum):
    """网页种类."""

    COLUMN = "column"  # 栏目页: a list that leads to others
    ARTICLE = "article"  # 文章页: becomes a document


class PageState(StrEnum):
    """采集状态."""

    WAITING = "waiting"  # still to be asked in this run
    SAVED = "saved"  # fetched and written down, not yet in the library
    DONE = "done"
    FAILED = "failed"  # broken, refused or unreadable; the note says why
    VANISHED = "vanished"  # the site no longer has it


@dataclass(frozen=True, slots=True)
class CrawledPage:
    """采集页: what is known of one address."""

    url: str
    kind: PageKind
    state: PageState
    run: int
    depth: int
    barren: int  # columns in a row above this one that led to nothing new
    found_on: str
    etag: str
    last_modified: str
    text_hash: str
    file: str
    document: str
    fetched_at: str
    note: str


def open_run(connection: Connection, site: str) -> tuple[int, bool]:
    """(number of the run, whether it goes on): the unfinished run of ``site``, else a new one."""
    row = connection.execute(
        select(t.crawl_runs.c.id).where(t.crawl_runs.c.site == site, t.crawl_runs.c.finished_at == "")
    ).first()
    if row:
        return int(row[0]), True
    values = {"site": site, "started_at": utc_now(), "finished_at": ""}
    key = connection.execute(insert(t.crawl_runs).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0]), False


def close_run(connection: Connection, run: int) -> None:
    """The run has nothing left to ask."""
    connection.execute(update(t.crawl_runs).where(t.crawl_runs.c.id == run).values(finished_at=utc_now()))


def page(connection: Connection, url: str) -> CrawledPage | None:
    """What is known of ``url``."""
    row = connection.execute(select(t.crawl_pages).where(t.crawl_pages.c.url == url)).mappings().first()
    return _page(row) if row is not None else None


def pages(connection: Connection, site: str, **columns: Any) -> list[CrawledPage]:
    """Pages of a site whose columns have these values, by depth and address."""
    where = [t.crawl_pages.c.site == site, *(t.crawl_pages.c[name] == value for name, value in columns.items())]
    query = select(t.crawl_pages).where(*where).order_by(t.crawl_pages.c.depth, t.crawl_pages.c.url)
    return [_page(row) for row in connection.execute(query).mappings()]


def next_waiting(connection: Connection, site: str, run: int) -> CrawledPage | None:
    """The shallowest page that this run still has to ask for."""
    query = (
        select(t.crawl_pages)
        .where(
            t.crawl_pages.c.site == site,
            t.crawl_pages.c.run == run,
            t.crawl_pages.c.state == PageState.WAITING.value,
        )
        .order_by(t.crawl_pages.c.depth, t.crawl_pages.c.url)
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return _page(row) if row is not None else None


def count(connection: Connection, site: str, run: int, state: PageState) -> int:
    """How many pages of a run are in a state."""
    query = select(func.count()).where(
        t.crawl_pages.c.site == site, t.crawl_pages.c.run == run, t.crawl_pages.c.state == state.value
    )
    return int(connection.execute(query).scalar_one())


def queue(
    connection: Connection,
    site: str,
    run: int,
    urls: Sequence[tuple[str, PageKind]],
    *,
    depth: int,
    barren: int,
    on: str,
) -> list[tuple[str, PageKind]]:
    """Put addresses on the list of this run; gives those that this run had not seen yet."""
    fresh: list[tuple[str, PageKind]] = []
    for url, kind in urls:
        known = page(connection, url)
        if known is None:
            connection.execute(
                insert(t.crawl_pages).values(
                    url=url,
                    site=site,
                    kind=kind.value,
                    state=PageState.WAITING.value,
                    run=run,
                    depth=depth,
                    barren=barren,
                    found_on=on,
                    etag="",
                    last_modified="",
                    text_hash="",
                    file="",
                    document="",
                    fetched_at="",
                    note="",
                )
            )
        elif known.run != run:
            change(connection, url, state=PageState.WAITING.value, run=run, depth=depth, barren=barren)
        else:
            continue
        fresh.append((url, kind))
    return fresh


def met(connection: Connection, run: int, url: str) -> bool:
    """Whether this run has come across ``url`` already."""
    known = page(connection, url)
    return known is not None and known.run == run


def change(connection: Connection, url: str, **values: Any) -> None:
    """Set columns of one page."""
    connection.execute(update(t.crawl_pages).where(t.crawl_pages.c.url == url).values(values))


def same_text(connection: Connection, site: str, url: str, text_hash: str) -> str:
    """Another address of the site whose text is the same and stands in the library, else empty."""
    query = select(t.crawl_pages.c.url).where(
        t.crawl_pages.c.text_hash == text_hash,
        t.crawl_pages.c.site == site,
        t.crawl_pages.c.url != url,
        (t.crawl_pages.c.document != "") | (t.crawl_pages.c.state == PageState.SAVED.value),
    )
    return str(connection.execute(query.order_by(t.crawl_pages.c.url)).scalar() or "")


def _page(row: RowMapping) -> CrawledPage:
    return CrawledPage(
        url=row["url"],
        kind=PageKind(row["kind"]),
        state=PageState(row["state"]),
        run=row["run"],
        depth=row["depth"],
        barren=row["barren"],
        found_on=row["found_on"],
        etag=row["etag"],
        last_modified=row["last_modified"],
        text_hash=row["text_hash"],
        file=row["file"],
        document=row["document"],
        fetched_at=row["fetched_at"],
        note=row["note"],
    )
