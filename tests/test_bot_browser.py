"""The citizen's pages in a real browser: with and without JavaScript, by keyboard, on a small phone, offline."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import chromium
import pytest
import uvicorn
import web_house

from bot.config import WebSettings

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed (apt-get install chromium)")

CARDS = "document.querySelectorAll('article.card[id]').length"


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser]:
    with chromium.running() as running:
        yield running


@contextlib.contextmanager
def serving(house: web_house.WebHouse, listener: socket.socket | None = None) -> Iterator[str]:
    """The house behind a real server on a free port; gives its address."""
    if listener is None:
        listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(house.app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the test server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, web_house.WebHouse]]:
    house = web_house.build()
    with serving(house) as base:
        yield base, house


@pytest.fixture
def page(browser: chromium.Browser) -> chromium.Page:
    page = browser.page()
    page.size(390)
    return page


def ask(page: chromium.Page, text: str) -> None:
    before = page.value(CARDS)
    page.press("#text")
    page.type(text)
    page.key("Enter", 13, "\r")
    page.wait(f"{CARDS} > {before}")


def test_a_question_a_choice_and_a_judgement_without_leaving_the_page(
    page: chromium.Page, served: tuple[str, web_house.WebHouse]
) -> None:
    base, house = served
    page.open(base + "/chat")
    page.value("window.stayed = true")
    ask(page, "补贴有哪些")
    page.press(".options button")
    page.wait(f"{CARDS} === 2")
    assert "每人每月60元" in page.value("document.querySelector('.talk').innerText")
    said = page.value("[...document.querySelectorAll('.said')].pop().lastChild.textContent")
    assert said == "高龄津贴：80岁以上老人每月领的", "the label is shown, not what is sent"
    page.press("article:last-of-type .judge [value='1']")
    page.wait("document.querySelector('.thanks')")
    assert house.book.judged[max(house.reception.entries)] is True
    assert page.value("window.stayed"), "no reload"
    assert page.errors() == []
    assert all(url.startswith((base, "about:", "data:")) for url in page.requests()), "nobody else is asked"
    page.open(base + "/chat")
    assert page.value(CARDS) == 2, "the conversation is drawn again"


def test_everything_works_with_javascript_off(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    base, house = served
    page.scripts(on=False)
    page.open(base + "/")
    page.press("#text")
    page.type("补贴有哪些")
    page.press_and_load(".composer .main")
    assert page.value("location.pathname") == "/chat"
    page.press_and_load(".options button")
    assert page.value(CARDS) == 2
    assert page.value("location.hash") == page.value("'#' + document.querySelector('article:last-of-type').id")
    page.press_and_load("article:last-of-type .judge [value='0']")
    assert "已经记下" in page.value("document.querySelector('article:last-of-type').innerText")
    assert house.book.judged[max(house.reception.entries)] is False
    page.press_and_load("[data-size]")
    assert page.value("document.documentElement.className") == "large"
    page.press_and_load("article:last-of-type a.act.strong")
    assert page.value("document.querySelector(':target').id") == "p-2"


def test_the_quoted_passage_is_marked_and_in_sight_with_its_heads(
    page: chromium.Page, served: tuple[str, web_house.WebHouse]
) -> None:
    page.open(served[0] + "/p/gaoling#p-6")
    seen = page.value(
        "(() => { const e = document.querySelector(':target'); const b = e.getBoundingClientRect();"
        " return [b.top >= 0 && b.top < innerHeight, getComputedStyle(e.querySelector('.cited')).display, e.innerText]; })()"
    )
    assert seen[0], "scrolled into sight"
    assert seen[1] == "block"
    assert "第三章　监督" in seen[2]


def test_a_lost_connection_keeps_the_question_and_asks_it_only_once(
    page: chromium.Page, served: tuple[str, web_house.WebHouse]
) -> None:
    base, house = served
    page.open(base + "/chat")
    before = len(house.reception.entries)
    page.offline(True)
    page.press("#text")
    page.type("高龄津贴有多少")
    page.key("Enter", 13, "\r")
    page.wait("document.querySelector('.card.failed .act')")
    assert page.value("!document.querySelector('[data-offline]').hidden")
    assert len(house.reception.entries) == before
    page.offline(False)
    page.press(".card.failed .act")
    page.wait(f"{CARDS} === 1")
    assert len(house.reception.entries) == before + 1


def test_enter_while_an_input_method_is_composing_does_not_send(
    page: chromium.Page, served: tuple[str, web_house.WebHouse]
) -> None:
    base, house = served
    page.open(base + "/chat")
    before = len(house.reception.entries)
    page.press("#text")
    page.call("Input.imeSetComposition", text="di bao", selectionStart=6, selectionEnd=6)
    page.value(
        "document.querySelector('#text').dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    page.call("Input.insertText", text="低保")
    assert page.value("document.querySelector('#text').value") == "低保"
    assert len(house.reception.entries) == before


def test_by_keyboard_alone(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    page.open(served[0] + "/chat")
    page.key("Tab", 9)
    assert page.value("document.activeElement.className") == "skip", "the skip link comes first"
    assert page.value("document.activeElement.getBoundingClientRect().top >= 0"), "and shows when it has the focus"
    seen = []
    for _ in range(40):
        page.key("Tab", 9)
        outline, name = page.value(
            "(() => { const e = document.activeElement; return [getComputedStyle(e).outlineStyle !== 'none'"
            " || e.closest('.composer') !== null, e.id || e.innerText]; })()"
        )
        assert outline, f"focus cannot be seen on {name}"
        seen.append(name)
        if name == "text":
            break
    assert "text" in seen, "the question box is reached"
    page.type("高龄津贴有多少")
    page.key("Enter", 13, "\r")
    page.wait(f"{CARDS} > 0")
    assert page.value("document.querySelector('[role=log]').getAttribute('aria-live')") == "polite"


PATHS = ("/", "/chat", "/p/gaoling", "/p/gaoling-2023#p-3", "/browse", "/browse?q=津贴", "/p/nichts", "/api")


@pytest.mark.parametrize("large", [False, True], ids=["normal", "large"])
def test_nothing_is_cut_off_or_too_small_to_touch_on_a_320_px_phone(
    page: chromium.Page, served: tuple[str, web_house.WebHouse], large: bool
) -> None:
    page.size(320, 640, touch=True)
    page.open(served[0] + "/chat")
    if large:
        page.press("[data-size]")
        page.wait("document.documentElement.className === 'large'")
        # The switch is told to the server in the background; a new page must come large of itself.
        page.wait(f"fetch('{served[0]}/').then((r) => r.text()).then((t) => t.includes('class=\"large\"'))")
    for word in web_house.REPLIES:
        ask(page, word)
    for path in ("", *PATHS):
        if path:
            page.open(served[0] + path)
        assert page.value("document.documentElement.scrollWidth") <= 320, path
        body = float(page.value("getComputedStyle(document.body).fontSize").removesuffix("px"))
        assert 22 <= body <= 26 if large else 16 <= body <= 18
        # Links inside a sentence may be as low as their line (WCAG 2.5.8); everything that stands alone may not.
        small = page.value(
            "[...document.querySelectorAll('button, summary, textarea, input:not([type=hidden]), a.act, a.button,"
            " nav a, .topics a, .organ a, .brand, .hit a, .nearest a')]"
            ".filter((e) => e.checkVisibility() && e.getBoundingClientRect().height > 0)"
            ".filter((e) => { const b = e.getBoundingClientRect(); return b.height < 43.5 || b.width < 43.5; })"
            ".map((e) => e.outerHTML.slice(0, 120) + e.getBoundingClientRect().height)"
        )
        assert small == [], path


def test_lines_hold_at_most_34_characters_of_running_text(
    page: chromium.Page, served: tuple[str, web_house.WebHouse]
) -> None:
    page.size(1280, 900)
    page.open(served[0] + "/chat")
    ask(page, "高龄津贴")
    page.open(served[0] + "/chat")
    for path, selector in (("/chat", ".quote blockquote"), ("/p/gaoling", ".item p:not(.cited)")):
        page.open(served[0] + path)
        characters = page.value(
            f"(() => {{ const e = document.querySelector('{selector}'); return e.getBoundingClientRect().width"
            " / parseFloat(getComputedStyle(e).fontSize); })()"
        )
        assert 20 < characters <= 34.05


def test_dark_and_print_have_their_own_clothes(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    page.open(served[0] + "/p/gaoling")
    light = page.value("getComputedStyle(document.body).backgroundColor")
    page.media(dark=True)
    dark = page.value("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.media(kind="print", dark=True)
    hidden = page.value("[...document.querySelectorAll('nav, .actions, .askback')].every((e) => !e.checkVisibility())")
    assert hidden
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value("getComputedStyle(document.querySelector('.item p:not(.cited)')).color") == "rgb(0, 0, 0)"


def test_large_print_switches_at_once_and_stays(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    page.open(served[0] + "/chat")
    page.press("#text")
    page.type("还没写完")
    page.press("[data-size]")
    page.wait("document.querySelector('[data-size]').getAttribute('aria-pressed') === 'true'")
    assert page.value("document.querySelector('#text').value") == "还没写完", "what was typed is kept"
    page.wait("fetch('/browse').then((r) => r.text()).then((t) => t.includes('class=\"large\"'))")


def test_every_control_has_a_name_and_every_page_one_heading(
    page: chromium.Page, served: tuple[str, web_house.WebHouse]
) -> None:
    for path in PATHS:
        page.open(served[0] + path)
        assert page.value("document.querySelectorAll('h1').length") == 1, path
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        controls = ("button", "link", "textbox", "searchbox")
        nameless = [
            node
            for node in tree
            if node.get("role", {}).get("value") in controls
            and not node.get("ignored")
            and not node.get("name", {}).get("value", "").strip()
        ]
        assert nameless == [], path
        assert {"banner", "navigation", "main", "contentinfo"} <= {node.get("role", {}).get("value") for node in tree}


# ---- WCAG 2.2 AA, measured on what is really drawn ----

# Every text that can be seen, with the contrast of its colour to the colours behind it (1.4.3), where it is too low.
PALE = """(() => {
  const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const over = (a, b) => { const o = a[3] + b[3] * (1 - a[3]); if (!o) return [0, 0, 0, 0];
    return [0, 1, 2].map((i) => (a[i] * a[3] + b[i] * b[3] * (1 - a[3])) / o).concat(o); };
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { let c = [0, 0, 0, 0]; for (; e && c[3] < 1; e = e.parentElement) c = over(c, parse(getComputedStyle(e).backgroundColor));
    return over(c, [255, 255, 255, 1]); };
  const judge = (e, style, words) => {
    const ground = behind(e), ink = over(parse(style.color), ground);
    const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize), bold = parseInt(style.fontWeight) >= 700;
    return { ratio, ok: ratio >= (size >= 24 || (bold && size >= 18.66) ? 3 : 4.5), words };
  };
  const seen = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, words = walk.currentNode.data.trim();
    if (words && e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && e.getClientRects().length)
      seen.push(judge(e, getComputedStyle(e), words));
  }
  for (const box of document.querySelectorAll('[placeholder]')) seen.push(judge(box, getComputedStyle(box, '::placeholder'), box.placeholder));
  return { count: seen.length, least: Math.min(...seen.map((s) => s.ratio)), pale: seen.filter((s) => !s.ok) };
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_that_is_drawn_stands_out_from_what_is_behind_it(
    page: chromium.Page, served: tuple[str, web_house.WebHouse], dark: bool
) -> None:
    base, _ = served
    page.media(dark=dark)
    page.size(390, 844)
    page.open(base + "/chat")
    for word in web_house.REPLIES:
        ask(page, word)
    share = page.value("document.querySelector('[data-share]').getAttribute('href')")
    page.value("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for path in ("", *PATHS, share, "/kiosk", "/kiosk?topic=养老服务", "/kiosk/p/gaoling-2023"):
        if path:
            page.open(base + path)
        measured = page.value(PALE)
        assert measured["count"] > 5, path
        assert measured["pale"] == [], path
    page.value("document.querySelector('main').insertAdjacentHTML('beforeend', '<p id=pale>看不清</p>')")
    page.value("document.querySelector('#pale').style.color = getComputedStyle(document.body).backgroundColor")
    assert [seen["words"] for seen in page.value(PALE)["pale"]] == ["看不清"], "the measure finds what is too pale"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_focus_goes_the_way_the_eye_goes(
    page: chromium.Page, served: tuple[str, web_house.WebHouse], width: int
) -> None:
    page.size(width, 3000)
    for path in ("/", "/browse", "/p/gaoling", "/chat"):
        page.open(served[0] + path)
        last, steps = (-1.0, -1.0), 0
        for _ in range(60):
            page.key("Tab", 9)
            box = page.value(
                "(() => { const e = document.activeElement; if (e === document.body || e.className === 'skip') return null;"
                " const b = e.getBoundingClientRect(); return [b.top + scrollY, b.left, b.bottom + scrollY]; })()"
            )
            if box is None:
                if steps:
                    break
                continue
            top, left, bottom = box
            below, beside = bottom > last[0] + 8, left > last[1] or top > last[0]
            # The columns of the list: from the end of the filters up to the results.
            assert (below and (beside or top >= last[0] - 8)) or (path == "/browse" and left > last[1]), (
                path,
                box,
                last,
            )
            last, steps = (top, left), steps + 1
        assert steps > 4, path


def tree(page: chromium.Page) -> list[dict[str, Any]]:
    """What a screen reader is told: role, name and properties of every node that is not ignored."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    return [
        {
            "role": node.get("role", {}).get("value"),
            "name": node.get("name", {}).get("value", ""),
            **{p["name"]: p["value"].get("value") for p in node.get("properties", ())},
        }
        for node in nodes
        if not node.get("ignored")
    ]


def test_a_screen_reader_hears_the_conversation(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    page.open(served[0] + "/chat")
    ask(page, "补贴有哪些")
    ask(page, "高龄津贴有多少")
    heard = tree(page)
    (log,) = [node for node in heard if node["role"] == "log"]
    assert (log["name"], log["live"]) == ("对话", "polite"), "new replies are read out"
    names = [node["name"] for node in heard]
    assert names.index("您的问题") > names.index("对话"), "the box stands after what was said"
    (box,) = [node for node in heard if node["role"] == "textbox"]
    assert (box["name"], box.get("required")) == ("您的问题", True)
    assert {"banner", "navigation", "main", "contentinfo"} <= {node["role"] for node in heard}
    (large,) = [node for node in heard if node["name"] == "大字版" and node["role"] == "button"]
    assert large["pressed"] == "false"
    assert ("button", "高龄津贴：80岁以上老人每月领的") in {(node["role"], node["name"]) for node in heard}
    levels = [node["level"] for node in heard if node["role"] == "heading"]
    assert levels[0] == 1
    assert "alert" not in {node["role"] for node in heard}, "nothing interrupts"


# ---- a shared answer ----


def test_an_answer_is_shared_by_its_address(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    base, _ = served
    page.open(base + "/chat")
    ask(page, "我家老人的津贴有多少")
    page.value("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }; 0")
    page.press("[data-share]")
    page.wait("document.querySelector('[data-share]').textContent === '网址已复制'")
    address = page.value("window.copied")
    assert address.startswith(base + "/a/")
    page.open(address)
    words = page.value("document.querySelector('main').innerText")
    assert "每人每月60元" in words
    assert "我家老人" not in words
    page.scripts(on=False)
    page.open(base + "/chat")
    page.press_and_load("[data-share]")
    assert page.value("location.href") == address, "without scripts the link leads to what is shared"
    page.media(kind="print")
    assert page.value("document.querySelector('.address').checkVisibility()"), "on paper the address is printed"
    assert not page.value("document.querySelector('.actions').checkVisibility()")


# ---- in a frame of a county's own page ----


@contextlib.contextmanager
def county_page(widget: str) -> Iterator[str]:
    """A page of another site that names the widget and has a strict policy of its own; gives its origin."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", f"default-src 'none'; script-src {widget}; frame-src {widget}")
            self.end_headers()
            script = f'<script src="{widget}/static/widget.js" defer data-label="有事问我"></script>'
            self.wfile.write(
                f"<!doctype html><html lang=zh><title>县政府</title><h1>县政府</h1>{script}</html>".encode()
            )

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Another site than 127.0.0.1, so the browser keeps the frame apart as it would on the net.
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()


def frame_of(browser: chromium.Browser, page: chromium.Page, since: int) -> chromium.Page:
    """The frame of another site that the page has opened since."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for event in browser.events(page.session, since):
            if event["method"] == "Target.attachedToTarget":
                return chromium.Page(browser, event["params"]["sessionId"])
        time.sleep(0.05)
    raise AssertionError("no frame was opened")


WIDGET = "document.querySelector('[data-bianmin-widget]').shadowRoot"


def test_one_script_tag_puts_the_chat_into_a_countys_page(page: chromium.Page, browser: chromium.Browser) -> None:
    # Each of the two sites names the other: the port of ours is taken first, the house is built and served last.
    listener = socket.create_server(("127.0.0.1", 0))
    with county_page(f"http://127.0.0.1:{listener.getsockname()[1]}") as county:
        house = web_house.build(web=WebSettings(embed_origins=(county,)))
        with serving(house, listener):
            page.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
            frame = open_widget(browser, page, county)
            frame.value("document.querySelector('#text').value = '高龄津贴有多少'")
            frame.value("document.querySelector('[data-composer]').requestSubmit()")
            frame.wait(f"{CARDS} === 1")
            frame.value("document.querySelector(\"article .judge button[value='1']\").click()")
            frame.wait("document.querySelector('.thanks')")
            assert house.book.judged == {1: True}
            assert page.value(f"{WIDGET}.querySelector('iframe').sandbox.contains('allow-top-navigation')") is False
            frame = open_widget(browser, page, county)
            frame.wait(f"{CARDS} === 1")  # drawn again although no cookie tells who it is
            assert frame.value("document.querySelector('.said').innerText").endswith("高龄津贴有多少")
            assert frame.value("document.cookie") == ""
            assert page.call("Network.getAllCookies")["cookies"] == []
            frame.value("dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))")
            page.wait(f"{WIDGET}.querySelector('iframe').hidden")
            assert page.value(f"{WIDGET}.activeElement.tagName") == "BUTTON", "the focus comes back to the button"


def open_widget(browser: chromium.Browser, page: chromium.Page, county: str) -> chromium.Page:
    """Load the county's page, press the widget's button, give the frame."""
    since = browser.mark()
    page.open(county + "/")
    page.wait(f"{WIDGET}.querySelector('button').textContent === '有事问我'")
    page.value(f"{WIDGET}.querySelector('button').click()")
    frame = frame_of(browser, page, since)
    frame.wait("document.readyState === 'complete' && location.pathname === '/chat'")
    return frame


def test_a_site_that_is_not_listed_shows_nothing(page: chromium.Page, served: tuple[str, web_house.WebHouse]) -> None:
    with county_page(served[0]) as stranger:
        page.open(stranger + "/")
        page.value(f"{WIDGET}.querySelector('button').click()")
        deadline = time.monotonic() + 20
        while not any("frame-ancestors" in fault for fault in page.errors()):
            assert time.monotonic() < deadline, "the browser did not refuse the frame"
            time.sleep(0.05)


# ---- the kiosk ----


@pytest.fixture(scope="module")
def kiosk() -> Iterator[tuple[str, web_house.WebHouse]]:
    house = web_house.build(web=WebSettings(kiosk_reset_seconds=4))
    with serving(house) as base:
        yield base, house


def test_the_kiosk_works_by_touch_and_forgets_when_nobody_touches_it(
    page: chromium.Page, kiosk: tuple[str, web_house.WebHouse]
) -> None:
    base, house = kiosk
    page.size(1080, 1920, touch=True)
    page.open(base + "/kiosk")
    page.value("window.first = true")
    assert page.value("document.querySelector('[data-countdown]').hidden"), "nothing to forget yet, so no clock runs"
    small = page.value(
        "[...document.querySelectorAll('button, a, input:not([type=hidden])')].filter((e) => e.checkVisibility({visibilityProperty: true}))"
        ".filter((e) => e.getBoundingClientRect().height < 60).map((e) => e.outerHTML)"
    )
    assert small == [], "fingers need room"
    assert float(page.value("getComputedStyle(document.body).fontSize").removesuffix("px")) >= 30
    page.press(".tiles a")
    page.wait("document.querySelector('.matters button')")
    page.press(".matters button")
    page.wait("document.querySelector('article.card')")
    assert "每人每月60元" in page.value("document.querySelector('main').innerText")
    assert page.value("!document.querySelector('[data-countdown]').hidden"), "the clock can be seen"
    page.press("article a.act.strong")
    page.wait("document.querySelector('.item.target .cited')")
    page.press("[data-back]")
    page.wait("document.querySelector('article.card .quote')")
    assert page.value("window.first"), "never left the first page"
    page.wait("document.querySelector('[data-countdown]').classList.contains('soon')")
    page.wait("!window.first && document.querySelector('.tiles')")  # nobody touched it: it began anew
    assert page.value("document.body.innerText.includes('每人每月60元')") is False
    assert page.call("Network.getAllCookies")["cookies"] == []
    assert page.value("[localStorage.length, sessionStorage.length]") == [0, 0]
    visited = [entry["url"] for entry in page.call("Page.getNavigationHistory")["entries"]]
    assert visited == ["about:blank", base + "/kiosk"]
    assert len({e.conversation for e in house.reception.entries.values()}) == 1


def test_a_screen_without_a_keyboard_has_one_and_it_forgets(
    page: chromium.Page, kiosk: tuple[str, web_house.WebHouse]
) -> None:
    base, house = kiosk
    page.size(1080, 1920, touch=True)
    page.open(base + "/kiosk")
    page.press("h1 + p [data-keys-open]")
    page.wait("document.querySelector('[data-keys] .key')")

    def type_keys(signs: str) -> None:
        for sign in signs:
            page.press(f".key[value='{sign}']")

    small = page.value(
        "[...document.querySelectorAll('.key')].map((e) => e.getBoundingClientRect())"
        ".filter((r) => r.height < 60 || r.width < 60 || r.left < 0 || r.right > innerWidth).length"
    )
    assert small == 0, "fingers need room"
    type_keys("jintiex")
    page.press(".keys div:last-child .key:last-child")  # 删除
    page.press(".keys div:last-child .key:nth-child(2)")  # 空格
    type_keys("80")
    assert page.value("document.querySelector('#text').value") == "jintie 80"
    asked = len(house.reception.asked)
    page.press(".composer .main")
    page.wait("document.querySelector('article.card')")
    assert [i.text for i in house.reception.asked[asked:]] == ["jintie 80"]
    assert page.value("document.querySelector('[data-keys]').hidden"), "the answer has the screen to itself"
    page.press("#text")  # here it opens by itself
    page.wait("document.querySelector('[data-keys] .key')")
    type_keys("ab")
    page.press(".keys div:last-child .key:first-child")  # 清空
    assert page.value("document.querySelector('#text').value") == ""
    type_keys("sfz")
    page.wait("document.querySelector('h1 + p [data-keys-open]') && document.querySelector('#text')?.value === ''")
    page.press("h1 + p [data-keys-open]")
    page.wait("!document.querySelector('[data-countdown]').hidden")  # an open keyboard goes away as well


def test_a_touch_keeps_the_kiosk_awake_and_a_dead_network_still_wipes_it(
    page: chromium.Page, kiosk: tuple[str, web_house.WebHouse]
) -> None:
    page.size(1080, 1920)
    page.open(kiosk[0] + "/kiosk")
    page.press("#text")
    page.type("高龄津贴")
    page.key("Enter", 13, "\r")
    page.wait("document.querySelector('article.card')")
    for _ in range(3):  # together longer than the kiosk waits
        time.sleep(1.6)
        page.press(".said")
        assert page.value("!!document.querySelector('article.card')")
    page.offline(True)
    page.wait("!document.querySelector('article.card')")
    page.wait("document.querySelector('main').innerText.includes('网络断开了')")
    page.offline(False)
    page.wait("document.querySelector('.tiles')")
    assert page.value("document.querySelector('#text').value") == ""


def test_the_kiosk_tells_a_screen_reader_where_one_is(
    page: chromium.Page, kiosk: tuple[str, web_house.WebHouse]
) -> None:
    for path in ("/kiosk", "/kiosk?organ=青禾县民政局", "/kiosk/p/gaoling"):
        page.open(kiosk[0] + path)
        heard = tree(page)
        assert {"banner", "main", "contentinfo"} <= {node["role"] for node in heard}
        assert len([n for n in heard if n["role"] == "heading" and n.get("level") == 1]) == 1, path
        assert [n for n in heard if n["role"] in ("button", "link", "textbox") and not n["name"].strip()] == []
