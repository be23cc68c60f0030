"""Whatever comes in by the website, the interface and the portal's mailbox: an answer or a named refusal, never a crash.

The other doors have the same: XML in test_bot_wechat_wire.py, MIME in test_bot_mailbox_parse.py, updates in
test_bot_telegram.py.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import web_house
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bot_mailbox_api import AUTHORISED, demo, guarded, portal  # noqa: F401  # fixtures
from web_house import visit

SURROGATES = st.text(st.characters(), max_size=20) | st.sampled_from(["\ud800", "\0", "\u202e低保", "😀" * 9])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SURROGATES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SURROGATES, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["text", "conversation", "id", "subject", "name", "contact", "key", "talk", "entry", "useful"])
BODIES = st.one_of(
    st.dictionaries(FIELDS, VALUES, max_size=5).map(lambda value: json.dumps(value).encode()),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.sampled_from(
        [b"[" * 60_000, b'{"text": 1e999}', b'{"text": "\\ud800"}', b"\xff\xfe{}", b'{"text": "a", "text": 1}']
    ),
)
NAMED = {200, 400, 404, 405, 413, 415, 422, 429, 503}
ROOM = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def visitor() -> Any:
    return visit(web_house.build(asks_per_minute=1_000_000), raise_errors=False)


@ROOM
@given(BODIES, st.sampled_from(["application/json", "application/json; charset=utf-8", "text/plain", ""]))
def test_any_body_at_the_interface_is_answered_or_refused_by_name(visitor: Any, body: bytes, kind: str) -> None:
    answer = visitor.post("/api/ask", content=body, headers={"content-type": kind})
    assert answer.status_code in NAMED
    assert answer.status_code == 200 or answer.json()["error"]["message"]


@ROOM
@given(
    st.dictionaries(
        st.sampled_from(["q", "limit", "year", "organ", "topic", "kind", "validity", "number", "audience", "facets"]),
        SURROGATES | st.integers().map(str),
    )
)
def test_any_search_is_answered_or_refused_by_name(visitor: Any, query: dict[str, str]) -> None:
    sent = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    answer = visitor.get("/api/search", params=sent)
    assert answer.status_code in NAMED
    assert answer.status_code == 200 or answer.json()["error"]["message"]


@ROOM
@given(
    st.sampled_from(["/chat", "/kiosk", "/kiosk/judge"]),
    st.one_of(
        st.binary(max_size=80),
        st.dictionaries(FIELDS, st.text(max_size=20) | st.integers().map(str)).map(
            lambda fields: str(
                httpx.QueryParams({k: v.encode("utf-8", "replace").decode() for k, v in fields.items()})
            ).encode()
        ),
        st.sampled_from([b"text=%ED%A0%80", b"text=%00", b"text=" + b"%E5" * 30_000, b"&" * 500, b"text=a&text=b"]),
    ),
)
def test_any_form_gets_a_page(visitor: Any, path: str, body: bytes) -> None:
    answer = visitor.post(path, content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code in NAMED | {204, 303}
    assert answer.status_code in (204, 303) or "<html" in answer.text


def test_any_letter_of_a_portal_is_answered_or_refused_by_name(portal: Any) -> None:  # noqa: F811
    async def tell() -> None:
        loop = asyncio.get_running_loop()
        transport = httpx.ASGITransport(app=portal)
        headers = {**AUTHORISED, "Content-Type": "application/json"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as http:

            @ROOM
            @given(BODIES)
            def post(body: bytes) -> None:
                sent = http.post("/api/mailbox", content=body, headers=headers)
                answer = asyncio.run_coroutine_threadsafe(sent, loop).result(60)
                assert answer.status_code in NAMED
                assert answer.status_code == 200 or answer.json()["error"]["message"]

            await asyncio.to_thread(post)

    asyncio.run(tell())
