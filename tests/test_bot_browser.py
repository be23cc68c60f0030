"""The citizen's pages in a real browser: with and without JavaScript, by keyboard, on a small phone, offline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import chromium
import pytest
import uvicorn
import web_house

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed (apt-get install chromium)")

CARDS = "document.querySelectorAll('article.card[id]').length"


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser]:
    with chromium.running() as running:
        yield running


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, web_house.WebHouse]]:
    house = web_house.build()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(house.app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the test server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", house
    server.should_exit = True
    thread.join(timeout=10)


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


PATHS = ("/", "/chat", "/p/gaoling", "/p/gaoling-2023#p-3", "/browse", "/browse?q=津贴", "/p/nichts")


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
