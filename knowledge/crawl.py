"""网站采集: takes the columns of a county portal into the library, politely, and notices what was changed or taken down.

A run asks for the start pages, follows what the patterns allow, saves every article as an original and hands it to the
library. Everything it knows stands in the database (:mod:`knowledge.crawl_store`): a run that is killed or has used up
its pages goes on with the next call. Polite: robots.txt, a pause before every request, conditional requests, the
allowed host only, also over redirects.

An article that the site no longer has is held for staff and proposed for withdrawal, never deleted. When many vanish at
once the site has rather moved, and nothing is held.

Log lines hold paths without queries: queries may carry people's names.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import httpx
from sqlalchemy import Engine

from knowledge import crawl_store as book
from knowledge.addresses import host_of, is_page, links_in, meta, open_page, suffix_of, tidy_url
from knowledge.crawl_store import CrawledPage, PageKind, PageState
from knowledge.errors import CrawlRefused, KnowledgeError
from knowledge.library import Library
from knowledge.lists import Stated
from knowledge.model import DisclosureAttribute, IngestOutcome, IngestStatus
from knowledge.readers import read, supported_suffixes
from knowledge.readers.text import decode

log = logging.getLogger(__name__)

AGENT = "bianmin"
VANISHED_NOTE = "原网页已撤下"
MAX_BYTES = 20 * 1024 * 1024
_MAX_REDIRECTS = 5
_MAX_BARREN = 3  # columns in a row that lead to nothing new: the rest is a calendar or an endless pager
_MAX_DEPTH = 2000
_TRIES = 3
_MOST_FAILURES = 10  # in a row: the site is down, not the page
_BATCH = 20
_LONGEST_WAIT = 60.0
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]+)", re.I)
_MISSING_TITLE = re.compile(
    r"404|页面不存在|页面未找到|找不到页面|您访问的页面|信息不存在|文章不存在|已删除|Not Found", re.I
)
_DOCUMENTS = tuple(s for s in supported_suffixes() if s not in (".html", ".htm", ".csv", ".xlsx", ".txt", ".md"))


@dataclass(frozen=True, slots=True)
class CrawlPlan:
    """采集方案. Patterns are searched in the whole address.

    ``article_pattern`` empty: a page with the standard meta tag ``ArticleTitle`` is an article. ``link_pattern`` empty:
    columns are followed below the folders of the start pages. ``attribute`` is the 公开属性 of these columns, for texts
    that state none (法定主动公开内容). ``recheck_days``: known articles are asked again when they were last asked longer ago.
    """

    start_urls: tuple[str, ...]
    link_pattern: str = ""
    article_pattern: str = ""
    allowed_host: str = ""
    delay_seconds: float = 1.0
    max_pages: int = 2000
    recheck_days: int = 7
    attribute: DisclosureAttribute | None = None
    contact: str = ""

    @property
    def host(self) -> str:
        """The only host that is asked."""
        return (self.allowed_host or host_of(self.start_urls[0])).lower()


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """采集结果: counts of one call, what was refused, and why it stopped (empty: everything was asked)."""

    run: int
    resumed: bool
    requests: int
    columns: int
    articles: int
    not_modified: int
    added: int
    updated: int
    unchanged: int
    rejected: int
    broken: int
    vanished: tuple[str, ...]  # documents now held for staff
    returned: tuple[str, ...]  # documents whose page is there again
    waiting: int
    stopped: str
    problems: tuple[tuple[str, str], ...]  # (address, what was wrong), for staff


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    columns: int = 0
    articles: int = 0
    not_modified: int = 0
    broken: int = 0
    ingested: dict[IngestStatus, int] = field(default_factory=lambda: dict.fromkeys(IngestStatus, 0))
    problems: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a request brought: ``status`` 0 stands for no answer at all."""

    url: str
    status: int
    body: bytes = b""
    etag: str = ""
    last_modified: str = ""
    kind: str = ""
    charset: str = ""
    note: str = ""


class _Stop(Exception):
    """The run must stop here; it can be taken up again."""


class Crawler:
    """One portal, one plan. ``client`` must not follow redirects by itself (they are checked one by one)."""

    def __init__(
        self,
        engine: Engine,
        library: Library,
        plan: CrawlPlan,
        folder: Path,
        client: httpx.Client,
        *,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        seen: Callable[[int, int], None] = lambda done, waiting: None,
    ) -> None:
        """``seen`` is told (requests made, pages waiting) after every page. Raises ``CrawlRefused`` for a bad plan."""
        starts = [tidy_url(url) for url in plan.start_urls]
        if not starts or not all(starts):
            raise CrawlRefused("crawl.start_urls must name http or https addresses; set them in [crawl] of config.toml")
        if any(host_of(url) != plan.host for url in starts):
            raise CrawlRefused(f"every one of crawl.start_urls must lie on the allowed host {plan.host}")
        try:
            self._article = re.compile(plan.article_pattern) if plan.article_pattern else None
            self._link = re.compile(plan.link_pattern or "|".join(f"^{re.escape(_folder(url))}" for url in starts))
        except re.error as error:
            raise CrawlRefused(f"a pattern in [crawl] is no regular expression: {error}") from error
        self._engine = engine
        self._writer = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._library = library
        self._plan = plan
        self._starts = starts
        self._folder = folder
        self._client = client
        self._pause = pause
        self._now = now
        self._seen = seen
        self._robots = RobotFileParser()
        self._delay = plan.delay_seconds
        self._tally = _Tally()
        self._failures = 0
        self._run = 0

    # --- the run -------------------------------------------------------------------------------------------------

    def crawl(self) -> CrawlReport:
        """Ask until nothing waits or ``max_pages`` requests are made.

        Raises ``CrawlRefused`` when robots.txt cannot be had or another crawl of this site is at work.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with _alone(self._folder / "crawl.lock"):
            self._tally = _Tally()
            self._read_robots()
            with self._writer.begin() as connection:
                self._run, resumed = book.open_run(connection, self._plan.host)
                kinds = [(url, PageKind.COLUMN) for url in self._starts]
                book.queue(connection, self._plan.host, self._run, kinds, depth=0, barren=0, on="")
            self._ingest_saved()
            vanished: tuple[str, ...] = ()
            returned: tuple[str, ...] = ()
            stopped = ""
            try:
                self._ask_all()
                self._queue_known()
                self._ask_all()
            except _Stop as stop:
                stopped = str(stop)
            returned = self._ingest_saved()
            vanished, doubt = self._settle_vanished()
            with self._writer.begin() as connection:
                waiting = book.count(connection, self._plan.host, self._run, PageState.WAITING)
                if not stopped:
                    book.close_run(connection, self._run)
        t = self._tally
        return CrawlReport(
            run=self._run,
            resumed=resumed,
            requests=t.requests,
            columns=t.columns,
            articles=t.articles,
            not_modified=t.not_modified,
            added=t.ingested[IngestStatus.ADDED],
            updated=t.ingested[IngestStatus.UPDATED],
            unchanged=t.ingested[IngestStatus.UNCHANGED],
            rejected=t.ingested[IngestStatus.REJECTED],
            broken=t.broken,
            vanished=vanished,
            returned=returned,
            waiting=waiting,
            stopped=stopped or doubt,
            problems=tuple(t.problems),
        )

    def _ask_all(self) -> None:
        saved = 0
        while True:
            with self._engine.connect() as connection:
                page = book.next_waiting(connection, self._plan.host, self._run)
                waiting = book.count(connection, self._plan.host, self._run, PageState.WAITING)
            if page is None:
                return
            if self._tally.requests >= self._plan.max_pages:
                raise _Stop(f"{self._plan.max_pages} pages were asked for; the next crawl goes on from here")
            saved += self._visit(page)
            self._seen(self._tally.requests, waiting - 1)
            if saved >= _BATCH:
                self._ingest_saved()
                saved = 0

    def _queue_known(self) -> None:
        """Articles that no column names any more, or not in this run: are they still there?"""
        before = (self._now() - timedelta(days=self._plan.recheck_days)).isoformat(timespec="milliseconds")
        with self._writer.begin() as connection:
            known = book.pages(connection, self._plan.host, kind=PageKind.ARTICLE.value)
            old = [p for p in known if p.run != self._run and p.document and p.fetched_at <= before]
            urls = [(p.url, p.kind) for p in old]
            book.queue(connection, self._plan.host, self._run, urls, depth=_MAX_DEPTH, barren=0, on="")

    # --- one page ------------------------------------------------------------------------------------------------

    def _visit(self, page: CrawledPage) -> int:
        """Ask for one page and write down what came; 1 when an article was saved."""
        if not self._robots.can_fetch(AGENT, page.url):
            self._settle(page, PageState.FAILED, "robots.txt asks not to")
            return 0
        if page.kind is PageKind.ARTICLE and self._recent(page):
            self._settle(page, PageState.DONE, page.note)
            return 0
        answer = self._fetch(page)
        if answer.status == 304:
            self._tally.not_modified += 1
            return self._not_modified(page)
        if answer.status in (404, 410):
            return self._missing(page, str(answer.status))
        if answer.status != 200:
            self._tally.broken += 1
            self._settle(page, PageState.FAILED, answer.note or f"HTTP {answer.status}", problem=True)
            return 0
        return self._arrived(page, answer)

    def _recent(self, page: CrawledPage) -> bool:
        """A known article asked for not long ago; one that only stood on a column again is not asked twice a week."""
        if not page.document or not page.fetched_at:
            return False
        return datetime.fromisoformat(page.fetched_at) > self._now() - timedelta(days=self._plan.recheck_days)

    def _arrived(self, page: CrawledPage, answer: _Answer) -> int:
        suffix = suffix_of(answer.url)
        if suffix in _DOCUMENTS and "html" not in answer.kind:
            return self._save(page, answer, suffix)
        root = open_page(_text(answer))
        if root is None:
            self._tally.broken += 1
            self._settle(page, PageState.FAILED, "the page is empty", problem=True)
            return 0
        title = meta(root, "ArticleTitle")
        kind = self._kind(answer.url, titled=bool(title))
        if page.document and (kind is not PageKind.ARTICLE or self._is_apology(root)):
            return self._missing(page, f"leads to {urlsplit(answer.url).path}")
        if answer.url != page.url and not page.document:
            return self._moved(page, answer.url, kind)
        rules = meta(root, "robots").lower()
        if kind is PageKind.ARTICLE:
            if self._is_apology(root):
                return self._missing(page, "says that it is not there")
            self._tally.articles += 1
            if "noindex" in rules or "none" in rules:
                self._settle(page, PageState.FAILED, "the page asks not to be kept")
                return 0
            saved = self._save(page, answer, ".html")
            self._follow(page, [] if "nofollow" in rules else self._attachments(root, answer.url))
            return saved
        self._tally.columns += 1
        links = [] if "nofollow" in rules or "none" in rules else list(links_in(root, answer.url))
        self._column(page, answer, links)
        return 0

    def _kind(self, url: str, *, titled: bool) -> PageKind:
        if self._article is not None:
            return PageKind.ARTICLE if self._article.search(url) else PageKind.COLUMN
        return PageKind.ARTICLE if titled else PageKind.COLUMN

    def _is_apology(self, root: Any) -> bool:
        """A page that says 200 and means 404."""
        titles = [meta(root, "ArticleTitle"), *("".join(e.itertext()) for e in root.iter("title", "h1"))]
        short = len("".join((root.find("body") if root.find("body") is not None else root).itertext()).strip()) < 600
        return short and any(_MISSING_TITLE.search(t) for t in titles if len(t) < 40)

    def _moved(self, page: CrawledPage, url: str, kind: PageKind) -> int:
        target = tidy_url(url)
        self._settle(page, PageState.DONE, "moved")
        if target and target != page.url and (kind is PageKind.ARTICLE or self._link.search(target)):
            with self._writer.begin() as connection:
                book.queue(
                    connection,
                    self._plan.host,
                    self._run,
                    [(target, kind)],
                    depth=page.depth + 1,
                    barren=page.barren,
                    on=page.url,
                )
        return 0

    def _column(self, page: CrawledPage, answer: _Answer, links: Sequence[str]) -> None:
        """Queue what a column leads to. One that led to nothing new makes its own successors suspect."""
        articles, columns = [], []
        for url in links:
            if host_of(url) != self._plan.host or not self._robots.can_fetch(AGENT, url):
                continue
            if self._article is not None and self._article.search(url):
                articles.append((url, PageKind.ARTICLE))
            elif is_page(url) and self._link.search(url):
                columns.append((url, PageKind.COLUMN))
        with self._writer.begin() as connection:
            site, run, depth = self._plan.host, self._run, page.depth + 1
            new = len(book.queue(connection, site, run, articles, depth=depth, barren=0, on=page.url))
            if self._article is None:
                # What is an article shows only later; one link onward is what calendars and endless pagers offer.
                unseen = sum(not book.met(connection, run, url) for url, _ in columns)
                new = unseen if unseen > 1 else 0
            barren = 0 if new or not page.depth else page.barren + 1
            if barren < _MAX_BARREN and depth < _MAX_DEPTH:
                book.queue(connection, site, run, columns, depth=depth, barren=barren, on=page.url)
            book.change(
                connection,
                page.url,
                kind=PageKind.COLUMN.value,
                state=PageState.DONE.value,
                etag=answer.etag,
                last_modified=answer.last_modified,
                fetched_at=self._instant(),
                note="" if barren < _MAX_BARREN else "leads to nothing new; not followed further",
            )

    def _attachments(self, root: Any, url: str) -> list[str]:
        return [
            link
            for link in links_in(root, url)
            if suffix_of(link) in _DOCUMENTS and self._article is not None and self._article.search(link)
        ]

    def _follow(self, page: CrawledPage, links: Sequence[str]) -> None:
        urls = [(url, PageKind.ARTICLE) for url in links if host_of(url) == self._plan.host]
        if urls:
            with self._writer.begin() as connection:
                book.queue(connection, self._plan.host, self._run, urls, depth=page.depth + 1, barren=0, on=page.url)

    def _not_modified(self, page: CrawledPage) -> int:
        with self._writer.begin() as connection:
            if page.kind is PageKind.COLUMN:
                children = [p for p in book.pages(connection, self._plan.host, found_on=page.url) if p.run != self._run]
                for kind in PageKind:
                    urls = [(p.url, kind) for p in children if p.kind is kind]
                    depth = page.depth + 1
                    book.queue(connection, self._plan.host, self._run, urls, depth=depth, barren=0, on=page.url)
            book.change(connection, page.url, state=PageState.DONE.value, fetched_at=self._instant())
        if page.kind is PageKind.ARTICLE:
            self._tally.articles += 1
        return 0

    def _missing(self, page: CrawledPage, why: str) -> int:
        """Not there: a vanished article when it stands in the library, else a broken link."""
        if page.document:
            # The note of one that staff have been told of stays: what they then decided is not undone by the next run.
            self._settle(page, PageState.VANISHED, page.note if page.note.startswith(VANISHED_NOTE) else why)
        else:
            self._tally.broken += 1
            self._settle(page, PageState.FAILED, f"not there ({why}); linked on {page.found_on}", problem=True)
        return 0

    def _settle(self, page: CrawledPage, state: PageState, note: str, *, problem: bool = False) -> None:
        if problem:
            self._tally.problems.append((page.url, note))
            log.info("%s: %s", urlsplit(page.url).path, state.value)
        with self._writer.begin() as connection:
            book.change(connection, page.url, state=state.value, note=note)

    def _save(self, page: CrawledPage, answer: _Answer, suffix: str) -> int:
        """Write an article down; nothing is written when its text is what the library has already."""
        name = page.file or f"{hashlib.sha256(page.url.encode()).hexdigest()[:24]}{suffix}"
        target = self._folder / name
        fresh = target.with_name(f"new-{name}")
        fresh.write_bytes(answer.body)
        text_hash = _text_hash(fresh, answer.body)
        values: dict[str, Any] = {
            "kind": PageKind.ARTICLE.value,
            "etag": answer.etag,
            "last_modified": answer.last_modified,
            "fetched_at": self._instant(),
            "text_hash": text_hash,
            "note": "",
        }
        with self._writer.begin() as connection:
            twin = "" if page.document else book.same_text(connection, self._plan.host, page.url, text_hash)
            known = page.document and page.text_hash == text_hash
            if twin or (known and not page.note.startswith(VANISHED_NOTE)):
                note = f"same text as {twin}" if twin else ""
                book.change(connection, page.url, **values | {"state": PageState.DONE.value, "note": note})
                fresh.unlink()
                return 0
            fresh.replace(target)
            note = page.note if page.note.startswith(VANISHED_NOTE) else ""
            saved = {"state": PageState.SAVED.value, "file": name, "note": note}
            book.change(connection, page.url, **values | saved)
        return 1

    # --- into the library ----------------------------------------------------------------------------------------

    def _ingest_saved(self) -> tuple[str, ...]:
        """Hand saved articles to the library; gives documents whose vanished page is there again."""
        with self._engine.connect() as connection:
            saved = book.pages(connection, self._plan.host, state=PageState.SAVED.value)
        pages = {self._folder / p.file: p for p in saved}
        if not pages:
            return ()
        returned: list[str] = []
        for outcome in self._library.ingest(
            pages, attribute=self._plan.attribute, stated=lambda path: Stated(source_url=pages[path].url)
        ):
            page = pages[Path(outcome.path)]
            self._tally.ingested[outcome.status] += 1
            if page.note.startswith(VANISHED_NOTE) and outcome.document is not None:
                returned += self._back(outcome)
            own = outcome.document is not None and outcome.document.path == str((self._folder / page.file).resolve())
            state = PageState.FAILED if outcome.status is IngestStatus.REJECTED else PageState.DONE
            document = outcome.document.id if own and outcome.document else page.document
            if outcome.error:
                self._tally.problems.append((page.url, f"{outcome.error}: {outcome.reason}"))
            with self._writer.begin() as connection:
                note = outcome.reason if outcome.error or not own else ""
                book.change(connection, page.url, state=state.value, document=document, note=note)
        return tuple(returned)

    def _back(self, outcome: IngestOutcome) -> list[str]:
        """A page that had vanished is there again with the same text: what it was held for is over."""
        document = outcome.document
        if document is None or outcome.status is not IngestStatus.UNCHANGED:
            return [document.id] if document is not None else []
        if not document.held.startswith(VANISHED_NOTE):
            return []
        return [self._library.publish(document.id).id]

    def _settle_vanished(self) -> tuple[tuple[str, ...], str]:
        """Hold what has vanished. (documents held, the doubt when too many are gone at once)"""
        with self._engine.connect() as connection:
            gone = book.pages(connection, self._plan.host, state=PageState.VANISHED.value)
            known = [p for p in book.pages(connection, self._plan.host, kind=PageKind.ARTICLE.value) if p.document]
        new = [p for p in gone if not p.note.startswith(VANISHED_NOTE)]
        if len(new) > max(5, len(known) // 5):
            for page in new:
                self._settle(page, PageState.DONE, "")
            return (), (
                f"{len(new)} of {len(known)} known articles are not where they were: has the site moved? Nothing was held; "
                "check crawl.start_urls, and withdraw by hand what is really gone"
            )
        held: list[str] = []
        for page in new:
            heir = self._heir(page)
            if heir is not None:
                self._library.describe(page.document, Stated(source_url=heir.url))
                with self._writer.begin() as connection:
                    book.change(connection, heir.url, document=page.document, file=page.file, note="")
                    book.change(connection, page.url, document="", state=PageState.DONE.value, note=f"now {heir.url}")
                continue
            reason = f"{VANISHED_NOTE}（{page.note}），建议撤下：核对后请撤下，或确认仍有效后重新发布"
            if self._library.hold(page.document, reason, sync=False):
                held.append(page.document)
            with self._writer.begin() as connection:
                book.change(connection, page.url, note=f"{VANISHED_NOTE}: {page.note}", etag="", last_modified="")
        self._library.sync()
        return tuple(held), ""

    def _heir(self, page: CrawledPage) -> CrawledPage | None:
        """Another address of this run under which the same text stands."""
        with self._engine.connect() as connection:
            same = book.pages(connection, self._plan.host, text_hash=page.text_hash, run=self._run)
        return next((p for p in same if p.url != page.url and not p.document and p.state is PageState.DONE), None)

    # --- requests ------------------------------------------------------------------------------------------------

    def _read_robots(self) -> None:
        """robots.txt (RFC 9309): absent means everything is allowed, unreachable means nothing is."""
        scheme = urlsplit(self._starts[0]).scheme
        answer = self._get(f"{scheme}://{self._plan.host}/robots.txt", {})
        if answer.status == 200:
            self._robots.parse(answer.body[:500_000].decode("utf-8-sig", "replace").splitlines())
        elif 400 <= answer.status < 500:
            self._robots.parse([])
        else:
            raise CrawlRefused(
                f"robots.txt of {self._plan.host} cannot be had ({answer.note or answer.status}); try again later"
            )
        asked = self._robots.crawl_delay(AGENT)
        self._delay = max(self._plan.delay_seconds, min(float(asked or 0), _LONGEST_WAIT))

    def _fetch(self, page: CrawledPage) -> _Answer:
        headers = {}
        if page.etag:
            headers["If-None-Match"] = page.etag
        if page.last_modified:
            headers["If-Modified-Since"] = page.last_modified
        answer = self._get(page.url, headers)
        for attempt in range(1, _TRIES):
            if answer.status not in (0, 429, 500, 502, 503, 504) or self._failures >= _MOST_FAILURES:
                break
            wait = float(answer.note) if answer.note.isdigit() else self._delay * 2**attempt
            self._pause(min(wait, _LONGEST_WAIT))
            answer = self._get(page.url, headers)
        self._failures = self._failures + 1 if answer.status == 0 or answer.status >= 500 else 0
        if self._failures >= _MOST_FAILURES:
            raise _Stop(f"{_MOST_FAILURES} requests in a row failed; the next crawl goes on from here")
        return answer

    def _get(self, url: str, headers: dict[str, str]) -> _Answer:
        """One answer, redirects followed by hand on the allowed host."""
        agent = f"{AGENT} (+{self._plan.contact})" if self._plan.contact else AGENT
        for hop in range(_MAX_REDIRECTS + 1):
            self._pause(self._delay)
            self._tally.requests += 1
            try:
                with self._client.stream(
                    "GET", url, headers={"User-Agent": agent, **(headers if not hop else {})}
                ) as got:
                    if got.has_redirect_location:
                        target = tidy_url(got.headers.get("location", ""), url)
                        if host_of(target) != self._plan.host:
                            return _Answer(url, 403, note="redirected to another host")
                        if not self._robots_allow(target):
                            return _Answer(url, 403, note="redirected to where robots.txt asks not to go")
                        url = target
                        continue
                    return _answered(url, got)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                return _Answer(url, 0, note=type(error).__name__)
        return _Answer(url, 508, note=f"more than {_MAX_REDIRECTS} redirects")

    def _robots_allow(self, url: str) -> bool:
        return self._robots.mtime() == 0 or self._robots.can_fetch(AGENT, url)

    def _instant(self) -> str:
        return self._now().isoformat(timespec="milliseconds")


# --- pure helpers ----------------------------------------------------------------------------------------------------


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two crawls of one site at a time would only double the load on it; the lock falls with the process."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CrawlRefused("another crawl of this site is at work; wait until it has finished") from error
        yield


def _answered(url: str, got: httpx.Response) -> _Answer:
    if got.status_code != 200:
        return _Answer(url, got.status_code, note=got.headers.get("retry-after", ""))
    stated = got.headers.get("content-length", "")
    body = bytearray()
    if not (stated.isdigit() and int(stated) > MAX_BYTES):
        for chunk in got.iter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                break
    if len(body) > MAX_BYTES or (stated.isdigit() and int(stated) > MAX_BYTES):
        return _Answer(url, 413, note=f"more than {MAX_BYTES} bytes")
    return _Answer(
        url,
        200,
        bytes(body),
        got.headers.get("etag", ""),
        got.headers.get("last-modified", ""),
        got.headers.get("content-type", "").lower(),
        got.charset_encoding or "",
    )


def _text(answer: _Answer) -> str:
    """The page as text: what the server or the page states, else what the bytes look like."""
    match = _CHARSET.search(answer.body[:4096])
    for stated in (answer.charset, match[1].decode("ascii") if match else ""):
        name = "gb18030" if stated.lower().startswith(("gb", "x-gb")) else stated
        try:
            if name:
                return answer.body.decode(name)
        except (LookupError, UnicodeDecodeError):
            continue
    try:
        return decode(answer.body, "page")[0]
    except KnowledgeError:
        return ""


def _text_hash(path: Path, body: bytes) -> str:
    """Of what a reader sees, so that counters of visits and new menus are no change; of the bytes where none can read."""
    try:
        raw = read(path)
    except KnowledgeError:
        return hashlib.sha256(body).hexdigest()
    told = "\n".join([*(block.text for block in raw.blocks), *(f"{k}={v}" for k, v in sorted(raw.metadata.items()))])
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()


def _folder(url: str) -> str:
    return url[: url.rindex("/") + 1] if urlsplit(url).path != "/" else url
