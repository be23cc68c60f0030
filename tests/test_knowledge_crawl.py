"""The crawler against a real site on loopback: several hundred pages, with everything that is wrong with real sites."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from bot.app import House
from bot.cli import main
from bot.config import Settings
from knowledge.addresses import links_in, open_page, tidy_url
from knowledge.crawl import VANISHED_NOTE, Crawler, CrawlPlan, CrawlReport
from knowledge.errors import CrawlRefused
from knowledge.model import DisclosureAttribute, Stage

ROOT = Path(__file__).parent.parent


@dataclass
class Page:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A county portal in memory; ``asked`` counts requests by path with query."""

    pages: dict[str, Page] = field(default_factory=dict)
    endless: dict[str, Callable[[str], bytes]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    host: str = ""

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def answer(self, path: str, headers: dict[str, str]) -> Page:
        self.asked[path] += 1
        self.agents.add(headers.get("User-Agent", ""))
        for prefix, made in self.endless.items():
            if path.startswith(prefix):
                return Page(made(path))
        page = self.pages.get(path, Page(b"<html><title>404</title></html>", 404))
        if page.status == 200:
            etag = f'"{hashlib.sha1(page.body).hexdigest()}"'
            if headers.get("If-None-Match") == etag:
                return Page(b"", 304, {"ETag": etag})
            return replace(page, headers={"ETag": etag, **page.headers})
        return page


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # head and body leave in one piece; in two, the loopback waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            page = served.answer(self.path, dict(self.headers))
            served.statuses[page.status] += 1
            self.send_response(page.status)
            for name, value in {"Content-Type": "text/html", **page.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.host = f"127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()


def article(number: int, *, amount: int = 100, encoding: str = "utf-8", extra: str = "") -> bytes:
    title = f"青禾县人民政府办公室关于第{number}号桥管护的通知"
    return (
        f"<html><head><meta charset='{'gb2312' if encoding != 'utf-8' else encoding}'><title>{title}</title>"
        f"<meta name='ArticleTitle' content='{title}'><meta name='PubDate' content='2026-03-05'>{extra}</head><body>"
        f"<div class='nav'><a href='/zwgk/index.html'>首页</a></div><div class='TRS_Editor'><p>青政办发〔2026〕{number}号</p>"
        f"<p>各乡镇人民政府：</p><p>一、第{number}号桥每年补助管护经费{amount + number}元，由县交通运输局按季度拨付到乡镇，专款专用。</p>"
        f"<p>青禾县人民政府办公室</p><p>2026年3月2日</p><p>（此件公开发布）</p></div></body></html>"
    ).encode(encoding)


def column(*links: str, extra: str = "") -> bytes:
    items = "".join(f"<li><a href='{link}'>通知</a></li>" for link in links)
    return f"<html><head><title>政策文件</title></head><body><ul>{items}</ul>{extra}</body></html>".encode()


def portal(site: Site, articles: int = 300, per_page: int = 20) -> None:
    """A portal in the TRS manner: a script draws the pager; every tenth article is GBK."""
    paths = [f"/zwgk/202603/t{n}.html" for n in range(articles)]
    for n, path in enumerate(paths):
        site.pages[path] = Page(article(n, encoding="gb18030" if n % 10 == 0 else "utf-8"))
    sheets = [paths[i : i + per_page] for i in range(0, articles, per_page)]
    pager = f"<script>createPageHTML({len(sheets)}, 0, 'index', 'html');</script>"
    for n, sheet in enumerate(sheets):
        name = "/zwgk/index.html" if not n else f"/zwgk/index_{n}.html"
        site.pages[name] = Page(column(*sheet, extra=pager))
    site.pages["/robots.txt"] = Page(b"User-agent: *\nDisallow: /zwgk/private/\n")


def plan(site: Site, **changes: object) -> CrawlPlan:
    usual = CrawlPlan(
        start_urls=(site.url("/zwgk/index.html"),),
        article_pattern=r"/t\d+\.html|/doc/",
        delay_seconds=0.0,
        recheck_days=0,
        contact="zwgk@qinghe.example",
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def crawl(house: House, settings: Settings, wanted: CrawlPlan, **options: object) -> CrawlReport:
    with httpx.Client(timeout=5.0) as client:
        folder = settings.data.folder / "pages"
        crawler = Crawler(house.engine, house.library, wanted, folder, client, **options)  # type: ignore[arg-type]
        return crawler.crawl()


def test_a_portal_of_several_hundred_pages_with_its_traps_comes_in_whole_and_once(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 200)
    traps = [
        "/zwgk/202603/t1.html;jsessionid=AB12CD34",  # the same article under a session number
        "/zwgk/202603/t2.html?sid=99&_=17",
        "/zwgk/202603/t3.html#top",
        "/zwgk/202603/t9001.html",  # a broken link
        "/zwgk/202603/t9002.html",  # an article that moved
        "/zwgk/202603/t9003.html",  # a redirect to another host
        "/zwgk/202603/t9004.html",  # a redirect in a circle
        "/zwgk/202603/t9005.html",  # 200, and says that it is not there
        "/zwgk/private/t9006.html",  # robots.txt asks not to
        "http://elsewhere.example/zwgk/t1.html",
        "javascript:void(0)",
        "mailto:zwgk@qinghe.example",
        "/zwgk/photo.jpg",
        "/zwgk/calendar?month=2026-01",
        "/zwgk/list?page=1",
        "a/b/c/",  # a relative link that leads ever deeper
    ]
    site.pages["/zwgk/index.html"] = Page(
        site.pages["/zwgk/index.html"].body.replace(
            b"</ul>", column(*traps).split(b"<ul>")[1].split(b"</ul>")[0] + b"</ul>"
        )
    )
    site.pages["/zwgk/202603/t9002.html"] = Page(b"", 301, {"Location": "/zwgk/202603/t5.html"})
    site.pages["/zwgk/202603/t9003.html"] = Page(b"", 302, {"Location": "http://elsewhere.example/"})
    site.pages["/zwgk/202603/t9004.html"] = Page(b"", 302, {"Location": "/zwgk/202603/t9004.html"})
    site.pages["/zwgk/202603/t9005.html"] = Page("<html><title>页面不存在</title><body>抱歉</body></html>".encode())

    def calendar(path: str) -> bytes:
        year, month = (int(x) for x in path.rpartition("=")[2].split("-"))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return column(f"/zwgk/calendar?month={year}-{month:02}")

    def endless(path: str) -> bytes:
        return column("/zwgk/202603/t1.html", f"/zwgk/list?page={int(path.rpartition('=')[2]) + 1}")

    site.endless = {
        "/zwgk/calendar": calendar,
        "/zwgk/list": endless,
        "/zwgk/a/": lambda path: column("a/b/c/"),
    }
    report = crawl(house, settings, plan(site))
    assert report.stopped == "" and report.waiting == 0
    assert (report.added, report.rejected) == (200, 0)
    assert house.library.state().documents == 200
    shown = {d.source_url: d for d in house.library.documents()}
    assert set(shown) == {site.url(f"/zwgk/202603/t{n}.html") for n in range(200)}
    assert shown[site.url("/zwgk/202603/t10.html")].title == "青禾县人民政府办公室关于第10号桥管护的通知", "GBK is read"
    wrong = dict(report.problems)
    assert "404" in wrong[site.url("/zwgk/202603/t9001.html")]
    assert "another host" in wrong[site.url("/zwgk/202603/t9003.html")]
    assert "redirects" in wrong[site.url("/zwgk/202603/t9004.html")]
    assert "says that it is not there" in wrong[site.url("/zwgk/202603/t9005.html")]
    assert not any("private" in path for path in site.asked), "robots.txt is obeyed"
    assert site.asked["/zwgk/photo.jpg"] == 0
    for trap in ("/zwgk/calendar", "/zwgk/list", "/zwgk/a/"):
        assert sum(n for path, n in site.asked.items() if path.startswith(trap)) <= 6, trap
    del site.asked["/zwgk/202603/t5.html"]  # also asked for as the goal of a redirect
    assert all(n == 1 for path, n in site.asked.items() if path.startswith("/zwgk/202603/t") and "900" not in path)
    assert site.agents == {"bianmin (+zwgk@qinghe.example)"}
    again = crawl(house, settings, plan(site))
    assert (again.added, again.updated, again.rejected, again.vanished) == (0, 0, 0, ())
    assert again.not_modified >= 200, "known pages are asked for conditionally"


def test_a_changed_article_is_a_new_version_and_a_new_one_is_added(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 30)
    crawl(house, settings, plan(site))
    site.pages["/zwgk/202603/t3.html"] = Page(article(3, amount=500))
    site.pages["/zwgk/202603/t30.html"] = Page(article(30))
    site.pages["/zwgk/index.html"] = Page(column("/zwgk/202603/t30.html", "/zwgk/202603/t1.html", "/zwgk/index_1.html"))
    counter = site.pages["/zwgk/202603/t4.html"].body.replace(b"</body>", b"<script>hits=4711</script></body>")
    site.pages["/zwgk/202603/t4.html"] = Page(counter)
    report = crawl(house, settings, plan(site))
    assert (report.added, report.updated) == (1, 1), "a counter of visits is no change of the text"
    shown = {d.source_url.rpartition("/")[2]: d for d in house.library.documents()}
    assert shown["t3.html"].version == 2 and shown["t4.html"].version == 1 and "t30.html" in shown


def test_a_vanished_article_is_held_once_and_comes_back_with_its_page(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 30)
    crawl(house, settings, plan(site))
    gone = site.pages.pop("/zwgk/202603/t7.html")
    site.pages["/zwgk/202603/t8.html"] = Page(b"", 302, {"Location": "/zwgk/index.html"})
    report = crawl(house, settings, plan(site))
    assert len(report.vanished) == 2
    held = {d.source_url.rpartition("/")[2]: d for d in house.library.documents(staff=True) if d.held}
    assert set(held) == {"t7.html", "t8.html"}
    assert held["t7.html"].stage is Stage.DRAFT and held["t7.html"].held.startswith(VANISHED_NOTE)
    assert "建议撤下" in held["t7.html"].held
    assert house.library.state().documents == 28
    house.library.publish(held["t8.html"].id)
    assert crawl(house, settings, plan(site)).vanished == (), "what staff decided is not undone"
    assert house.library.open_document(held["t8.html"].id)[0].stage is Stage.PUBLISHED
    site.pages["/zwgk/202603/t7.html"] = gone
    assert crawl(house, settings, plan(site)).returned == (held["t7.html"].id,)
    assert house.library.open_document(held["t7.html"].id)[0].held == ""
    house.library.withdraw(held["t7.html"].id, "有误")
    del site.pages["/zwgk/202603/t7.html"]
    crawl(house, settings, plan(site))
    site.pages["/zwgk/202603/t7.html"] = gone
    crawl(house, settings, plan(site))
    assert house.library.open_document(held["t7.html"].id, staff=True)[0].stage is Stage.WITHDRAWN


def test_when_most_articles_are_gone_the_site_has_moved_and_nothing_is_held(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 30)
    crawl(house, settings, plan(site))
    for n in range(20):
        del site.pages[f"/zwgk/202603/t{n}.html"]
    report = crawl(house, settings, plan(site))
    assert report.vanished == () and "has the site moved" in report.stopped
    assert house.library.state().documents == 30


def test_an_article_that_moved_keeps_its_document(house: House, settings: Settings, site: Site) -> None:
    portal(site, 12)
    crawl(house, settings, plan(site))
    site.pages["/zwgk/202604/t70.html"] = site.pages.pop("/zwgk/202603/t7.html")
    links = [f"/zwgk/202603/t{n}.html" for n in range(12) if n != 7]
    site.pages["/zwgk/index.html"] = Page(column(*links, "/zwgk/202604/t70.html"))
    report = crawl(house, settings, plan(site))
    assert (report.added, report.vanished) == (0, ())
    assert house.library.state().documents == 12
    assert site.url("/zwgk/202604/t70.html") in {d.source_url for d in house.library.documents()}


def test_a_run_goes_on_where_its_pages_were_used_up(house: House, settings: Settings, site: Site) -> None:
    portal(site, 50)
    calls = [crawl(house, settings, plan(site, max_pages=20)) for _ in range(3)]
    assert [c.resumed for c in calls] == [False, True, True]
    assert "goes on from here" in calls[0].stopped and calls[2].stopped == ""
    assert len({c.run for c in calls}) == 1
    assert house.library.state().documents == 50
    assert all(n == 1 for path, n in site.asked.items() if "/t" in path), "nothing is asked for twice"


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import httpx
from bot.app import build
from bot.config import DataSettings, Settings
from knowledge.crawl import Crawler, CrawlPlan
folder = Path(sys.argv[1])
house = build(replace(Settings(), data=DataSettings(folder=folder)))
plan = CrawlPlan((sys.argv[2],), article_pattern=r"/t\\d+\\.html", delay_seconds=0.0, recheck_days=0)
def seen(done, waiting):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
Crawler(house.engine, house.library, plan, folder / "pages", httpx.Client(), seen=seen).crawl()
"""


def test_a_killed_run_loses_nothing_and_doubles_nothing(house: House, settings: Settings, site: Site) -> None:
    portal(site, 60)
    command = [sys.executable, "-c", KILLED, str(settings.data.folder), site.url("/zwgk/index.html"), "47"]
    killed = subprocess.run(command, cwd=ROOT, env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    report = crawl(house, settings, plan(site))
    assert report.resumed and report.stopped == ""
    documents = house.library.documents(staff=True)
    assert len(documents) == len({d.source_url for d in documents}) == 60
    assert house.library._index.count() == house.library.state().passages
    assert house.library.ensure_index() == ""


def test_pages_with_the_standard_meta_tag_need_no_pattern(house: House, settings: Settings, site: Site) -> None:
    portal(site, 25, per_page=10)
    report = crawl(house, settings, plan(site, article_pattern=""))
    assert report.added == 25 and report.columns == 3


def test_columns_of_statutory_disclosure_open_texts_that_state_no_attribute(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 4)
    silent = site.pages["/zwgk/202603/t1.html"].body.replace("（此件公开发布）".encode(), b"")
    closed = site.pages["/zwgk/202603/t2.html"].body.replace("此件公开发布".encode(), "此件依申请公开".encode())
    site.pages["/zwgk/202603/t1.html"], site.pages["/zwgk/202603/t2.html"] = Page(silent), Page(closed)
    crawl(house, settings, plan(site, attribute=DisclosureAttribute.PUBLIC))
    stages = {d.source_url.rpartition("/")[2]: d.stage for d in house.library.documents(staff=True)}
    assert stages["t1.html"] is Stage.PUBLISHED
    assert stages["t2.html"] is Stage.DRAFT


def test_a_known_article_is_left_alone_until_it_is_due(house: House, settings: Settings, site: Site) -> None:
    portal(site, 10)
    start = datetime(2026, 11, 21, 8, tzinfo=UTC)
    weekly = plan(site, recheck_days=7)
    crawl(house, settings, weekly, now=lambda: start)
    crawl(house, settings, weekly, now=lambda: start + timedelta(days=1))
    assert site.asked["/zwgk/202603/t5.html"] == 1
    crawl(house, settings, weekly, now=lambda: start + timedelta(days=8))
    assert site.asked["/zwgk/202603/t5.html"] == 2


def test_the_pause_follows_the_longer_of_plan_and_robots(house: House, settings: Settings, site: Site) -> None:
    portal(site, 3)
    site.pages["/robots.txt"] = Page(b"User-agent: *\nCrawl-delay: 5\n")
    pauses: list[float] = []
    crawl(house, settings, plan(site, delay_seconds=2.0), pause=pauses.append)
    assert pauses[0] == 2.0 and set(pauses[1:]) == {5.0}


def test_a_site_that_breaks_down_stops_the_run_which_goes_on_later(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 30)
    whole = {path: page for path, page in site.pages.items() if "/t" in path}
    for path in whole:
        site.pages[path] = Page(b"", 503, {"Retry-After": "3"})
    pauses: list[float] = []
    report = crawl(house, settings, plan(site), pause=pauses.append)
    assert "in a row failed" in report.stopped and 3.0 in pauses
    site.pages |= whole
    crawl(house, settings, plan(site))
    crawl(house, settings, plan(site))
    assert house.library.state().documents == 30


def test_without_robots_everything_is_allowed_and_with_a_broken_one_nothing(
    house: House, settings: Settings, site: Site
) -> None:
    portal(site, 3)
    del site.pages["/robots.txt"]
    assert crawl(house, settings, plan(site)).added == 3
    site.pages["/robots.txt"] = Page(b"", 500)
    with pytest.raises(CrawlRefused, match=r"robots\.txt"):
        crawl(house, settings, plan(site))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start_urls": ("ftp://x.example/",)}, "start_urls"),
        ({"allowed_host": "other.example"}, "allowed host"),
        ({"link_pattern": "("}, "regular expression"),
    ],
)
def test_a_bad_plan_is_refused_in_words(
    house: House, settings: Settings, site: Site, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(CrawlRefused, match=says):
        crawl(house, settings, plan(site, **changes))


def test_the_command_reads_its_section_and_tells_what_came(
    settings: Settings, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portal(site, 5)
    config = tmp_path / "config.toml"
    config.write_text(
        f'[data]\nfolder = "{settings.data.folder}"\n[crawl]\nstart_urls = ["{site.url("/zwgk/index.html")}"]\n'
        "delay_seconds = 0\n",
        "utf-8",
    )
    assert main(["--config", str(config), "crawl", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["added"] == 5 and value["problems"] == []
    config.write_text(f'[data]\nfolder = "{settings.data.folder}"\n', "utf-8")
    assert main(["--config", str(config), "crawl"]) == 2


@pytest.mark.parametrize(
    ("link", "tidy"),
    [
        ("t1.html#a", "http://a.example/x/t1.html"),
        ("../y//t1.html;jsessionid=1A2B?b=2&a=1&sid=9", "http://a.example/y/t1.html?a=1&b=2"),
        ("HTTP://A.example:80/通知.html", "http://a.example/%E9%80%9A%E7%9F%A5.html"),
        ("/%E9%80%9A.html", "http://a.example/%E9%80%9A.html"),
        ("javascript:go(1)", ""),
        ("http://user:pw@a.example/", ""),
        ("http://a.example:99999/", ""),
        ("/a/a/a/t.html", ""),
        ("/" + "long" * 120, ""),
    ],
)
def test_one_page_has_one_address(link: str, tidy: str) -> None:
    assert tidy_url(link, "http://a.example/x/index.html") == tidy


def test_links_are_found_where_sites_hide_them() -> None:
    root = open_page(
        "<html><base href='/zw/'><meta http-equiv='refresh' content='0;url=next.html'>"
        "<a href='a.html'>1</a><a rel=nofollow href='b.html'>2</a>"
        '<script>createPageHTML(3, 0, "list", "htm");</script></html>'
    )
    assert list(links_in(root, "http://a.example/x.html")) == [
        "http://a.example/zw/a.html",
        "http://a.example/zw/next.html",
        "http://a.example/zw/list_1.htm",
        "http://a.example/zw/list_2.htm",
    ]
