"""``/api/mailbox``: a portal's letters, entered once, answered once, and asked after."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from test_bot_api import DESCRIBED, check, faults

from bot.app import House, asgi, build
from bot.config import ApiSettings, DataSettings, Settings
from register.inquiry import Channel

TOKEN = "a-long-token-of-a-portal"
LETTER = {
    "id": "2026-0001",
    "subject": "农机补贴",
    "text": "农机购置补贴怎么申请？",
    "name": "李青禾",
    "contact": "0999-5550000",
}
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The demo county for all tests of this file: each of them uses ids of its own."""
    folder = tmp_path_factory.mktemp("api") / "data"
    shutil.copytree(demo_folder, folder)
    built = build(replace(Settings(), data=DataSettings(folder=folder)))
    yield built
    built.close()


@pytest.fixture(scope="module")
def guarded(demo: House) -> House:
    return replace(demo, settings=replace(demo.settings, api=ApiSettings(token=TOKEN)))


@pytest.fixture(scope="module")
def portal(guarded: House) -> Starlette:
    return asgi(guarded)


def call(app: Starlette, method: str, path: str, **more: object) -> httpx.Response:
    async def talk() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    return asyncio.run(talk())


def test_the_same_id_is_the_same_entry_and_reply(portal: Starlette, guarded: House) -> None:
    first = call(portal, "POST", "/api/mailbox", json=LETTER, headers=AUTHORISED)
    again = call(portal, "POST", "/api/mailbox", json=LETTER, headers=AUTHORISED)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    value = first.json()
    assert value["id"] == LETTER["id"]
    assert value["mode"] == ("auto" if value["kind"] in guarded.settings.mailbox.auto_kinds else "draft")
    assert "李青禾：您好" in value["letter"]["text"]
    assert "李青禾：您好" in value["letter"]["html"]
    assert {"kind", "text", "confidence", "sources", "choices", "organ", "search_record"} <= set(value)
    entry = guarded.book.find(value["entry"])
    assert entry.channel is Channel.MAILBOX
    assert len(guarded.book.log()) == 1
    assert [d.outcome for d in entry.deliveries] == ["passive"]
    assert LETTER["contact"] not in str(entry)


def test_the_portal_can_ask_how_a_letter_stands(portal: Starlette) -> None:
    letter = {**LETTER, "id": "2026-0002"}
    posted = call(portal, "POST", "/api/mailbox", json=letter, headers=AUTHORISED).json()
    asked = call(portal, "GET", "/api/mailbox/2026-0002", headers=AUTHORISED)
    assert asked.status_code == 200
    assert asked.json()["status"] == "settled"
    assert asked.json()["entry"] == posted["entry"]
    assert asked.json()["reply"]["text"] == posted["text"]
    unknown = call(portal, "GET", "/api/mailbox/2026-9999", headers=AUTHORISED)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_id")


def test_the_door_is_as_it_is_described(portal: Starlette, demo: House) -> None:
    routes = {r.path.replace("{id:path}", "{id}") for r in portal.routes if "/api/mailbox" in getattr(r, "path", "")}
    assert routes == {path for path in DESCRIBED["paths"] if path.startswith("/api/mailbox")}
    post = DESCRIBED["paths"]["/api/mailbox"]["post"]
    examples = post["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert faults(example["value"], {"$ref": "#/components/schemas/Letter"}) == []
        answer = call(portal, "POST", "/api/mailbox", json=example["value"], headers=AUTHORISED)
        assert answer.status_code == 200
        check(answer, "/api/mailbox", "post")
    odd = [
        {"content": b"{", "headers": {**AUTHORISED, "Content-Type": "application/json"}},
        {"content": b"{}", "headers": AUTHORISED},
        {"json": {"id": "1"}, "headers": AUTHORISED},
        {"json": {"id": "1", "text": "长" * 30_000}, "headers": AUTHORISED},
        {"json": LETTER},
        {"json": LETTER, "headers": {"Authorization": "Bearer wrong"}},
    ]
    for request in odd:
        answer = call(portal, "POST", "/api/mailbox", **request)
        assert answer.status_code >= 400
        check(answer, "/api/mailbox", "post")
    check(call(asgi(demo), "POST", "/api/mailbox", json=LETTER), "/api/mailbox", "post")
    for headers in (AUTHORISED, {}, {"Authorization": "Bearer wrong"}):
        check(call(portal, "GET", "/api/mailbox/7", headers=headers), "/api/mailbox/{id}", "get")
    check(call(portal, "GET", "/api/mailbox/unknown", headers=AUTHORISED), "/api/mailbox/{id}", "get")


def test_without_a_token_of_ours_the_door_does_not_exist(demo: House) -> None:
    closed = asgi(demo)
    for method, path in (("POST", "/api/mailbox"), ("GET", "/api/mailbox/1")):
        assert call(closed, method, path, headers=AUTHORISED).status_code == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("Basic abc", 401),
        ("Bearer", 401),
        ("Bearer  ", 401),
        ("Bearer wrong", 403),
        (f"Bearer {TOKEN}x", 403),
    ],
)
def test_the_portal_has_to_prove_itself(portal: Starlette, guarded: House, given: str | None, status: int) -> None:
    before = len(guarded.book.log())
    headers = {} if given is None else {"Authorization": given}
    answer = call(portal, "POST", "/api/mailbox", json=LETTER, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(guarded.book.log()) == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_json"),
        (b"[]", 400, "bad_json"),
        (b"\xff", 400, "bad_json"),
        (b'{"text": "x"}', 422, "id_missing"),
        (b'{"id": "1"}', 422, "text_missing"),
        (b'{"id": "1", "text": 5}', 422, "bad_text"),
        (b'{"id": ["1"], "text": "x"}', 422, "bad_id"),
        (b'{"id": true, "text": "x"}', 422, "bad_id"),
        (b'{"id": "' + b"1" * 300 + b'", "text": "x"}', 422, "bad_id"),
        (b'{"id": "1", "text": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
    ],
)
def test_bad_letters_are_refused_by_name(portal: Starlette, body: bytes, status: int, code: str) -> None:
    answer = call(
        portal, "POST", "/api/mailbox", content=body, headers={**AUTHORISED, "Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_numbered_letters_and_odd_text_are_taken(portal: Starlette) -> None:
    body = json.dumps({"id": 7, "text": "低保\x00怎么申请\ud800", "name": "\u202e"}).encode()
    headers = {**AUTHORISED, "Content-Type": "application/json"}
    answer = call(portal, "POST", "/api/mailbox", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["id"] == "7"


def test_the_state_of_the_mailbox_shows_in_healthz(demo: House) -> None:
    mailbox = replace(
        demo.settings.mailbox, address="a@b.cn", imap_host="127.0.0.1", smtp_host="127.0.0.1", imap_password="x"
    )
    house = replace(demo, settings=replace(demo.settings, mailbox=mailbox))
    answer = call(asgi(house), "GET", "/healthz")
    assert answer.status_code == 503
    assert any(problem.startswith("mailbox main:") for problem in answer.json()["problems"])
