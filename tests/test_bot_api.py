"""The public interface: what it says of itself is true, partners' tokens, reading from other sites' scripts."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
import web_house
from web_house import visit

from bot.channels.api import openapi
from bot.config import WebSettings
from bot.errors import BotError

DESCRIBED: dict[str, Any] = openapi()
TOKEN = "partner-token-0123456789"
SITE = "https://www.qinghe.example"
JSON = {"content-type": "application/json"}


def faults(value: object, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Where ``value`` does not fit ``schema``; a field that the description does not name is a fault too."""
    if "$ref" in schema:
        return faults(value, DESCRIBED["components"]["schemas"][schema["$ref"].rpartition("/")[2]], at)
    if "allOf" in schema:
        parts = [
            DESCRIBED["components"]["schemas"][p["$ref"].rpartition("/")[2]] if "$ref" in p else p
            for p in schema["allOf"]
        ]
        whole = {"type": "object", "properties": {}, "required": []}
        for part in parts:
            whole["properties"] |= part["properties"]
            whole["required"] += part["required"]
        return faults(value, whole, at)
    if "anyOf" in schema:
        tries = [faults(value, option, at) for option in schema["anyOf"]]
        return [] if any(not found for found in tries) else tries[0]
    types = {"string": str, "integer": int, "number": int | float, "array": list, "object": dict, "null": type(None)}
    if not isinstance(value, types[schema["type"]]) or isinstance(value, bool):
        return [f"{at}: {value!r} is no {schema['type']}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is not described")
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{at}: {value} is out of bounds")
    if isinstance(value, list):
        found += [fault for i, item in enumerate(value) for fault in faults(item, schema["items"], f"{at}[{i}]")]
    if isinstance(value, dict) and "properties" in schema:
        found += [f"{at}.{name} is missing" for name in schema["required"] if name not in value]
        found += [f"{at}.{name} is not described" for name in value if name not in schema["properties"]]
        for name, inner in schema["properties"].items():
            if name in value:
                found += faults(value[name], inner, f"{at}.{name}")
    return found


def check(answer: httpx.Response, path: str, method: str) -> None:
    described = DESCRIBED["paths"][path][method]["responses"].get(str(answer.status_code))
    assert described, f"{method} {path} answers {answer.status_code}, which is not described"
    assert faults(answer.json(), described["content"]["application/json"]["schema"]) == []
    for name in described.get("headers", {}):
        assert name in answer.headers


def test_the_checker_finds_what_does_not_fit() -> None:
    error = {"$ref": "#/components/schemas/Error"}
    assert faults({"error": {"code": "a", "message": "b"}}, error) == []
    assert faults({"error": {"code": 1, "message": "b", "x": ""}}, error) == [
        "$.error.x is not described",
        "$.error.code: 1 is no string",
    ]
    assert faults({}, error) == ["$.error is missing"]


@pytest.mark.parametrize("word", list(web_house.REPLIES))
def test_every_kind_of_reply_is_as_described(word: str) -> None:
    check(visit(web_house.build()).post("/api/ask", json={"text": word}), "/api/ask", "post")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"{", JSON),
        (b'{"text": "a"}', {"content-type": "text/plain"}),
        (b'{"text": "' + b"a" * 70_000 + b'"}', JSON),
        (b"{}", JSON),
        (b'{"text": "a"}', {**JSON, "authorization": "Bearer wrong"}),
    ],
)
def test_every_refusal_is_as_described(content: bytes, headers: dict[str, str]) -> None:
    answer = visit(web_house.build(token=TOKEN)).post("/api/ask", content=content, headers=headers)
    assert answer.status_code >= 400
    check(answer, "/api/ask", "post")


def test_search_and_failures_are_as_described() -> None:
    house = web_house.build(asks_per_minute=3)
    visitor = visit(house, raise_errors=False)
    check(visitor.get("/api/search?q=津贴"), "/api/search", "get")
    check(visitor.get("/api/search?q=火箭&kind=policy&validity=in_force"), "/api/search", "get")
    check(visitor.get("/api/search"), "/api/search", "get")
    check(visitor.get("/api/search?q=津贴"), "/api/search", "get")  # the fourth: 429
    check(visitor.get("/api/ask"), "/api/ask", "post")  # 405
    house = web_house.build()
    house.reception.fails_with = BotError("entry 5 is still being worked on")
    check(visit(house).post("/api/ask", json={"text": "津贴"}), "/api/ask", "post")
    house.reception.fails_with = RuntimeError("broken")
    check(visit(house, raise_errors=False).post("/api/ask", json={"text": "津贴"}), "/api/ask", "post")


def test_the_description_names_every_route_and_this_server() -> None:
    house = web_house.build(base_url="https://zw.qinghe.example/")
    shown = visit(house).get("/api/openapi.json")
    assert shown.headers["content-type"] == "application/json"
    described = shown.json()
    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": "https://zw.qinghe.example"}]
    routes = {route.path for route in house.app.routes if getattr(route, "path", "").startswith("/api/")}
    assert {path for path in described["paths"] if not path.startswith("/api/mailbox")} == routes
    for reference in set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described))):
        assert reference in described["components"]["schemas"]


def test_the_examples_of_the_page_and_of_the_description_work() -> None:
    house = web_house.build()
    page = visit(house).get("/api")
    assert page.status_code == 200
    assert "http://127.0.0.1:8000/static/widget.js" in page.text
    examples = DESCRIBED["paths"]["/api/ask"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert faults(example["value"], {"$ref": "#/components/schemas/Question"}) == []
        check(visit(house).post("/api/ask", json=example["value"]), "/api/ask", "post")


# ---- partners ----


def test_a_partner_is_not_limited_and_everybody_else_is() -> None:
    visitor = visit(web_house.build(asks_per_minute=1, token=TOKEN))
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert [visitor.post("/api/ask", json={"text": "津贴"}, headers=bearer).status_code for _ in range(4)] == [200] * 4
    assert [visitor.post("/api/ask", json={"text": "津贴"}).status_code for _ in range(2)] == [200, 429]
    assert visitor.get("/api/search?q=津贴", headers=bearer).status_code == 200


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer ", f"Bearer {TOKEN}x", "bearer \xe9"])
def test_a_wrong_token_is_refused_and_cannot_be_tried_out(given: str) -> None:
    visitor = visit(web_house.build(asks_per_minute=2, token=TOKEN))
    headers = {"authorization": given.encode("latin-1")}
    statuses = [visitor.post("/api/ask", json={"text": "津贴"}, headers=headers).status_code for _ in range(3)]
    assert statuses == [403, 403, 429]


def test_without_a_configured_token_no_token_is_right() -> None:
    visitor = visit(web_house.build())
    for given in ("Bearer ", "Bearer x"):
        answer = visitor.post("/api/ask", json={"text": "津贴"}, headers={"authorization": given})
        assert answer.json()["error"]["code"] == "token_refused"


# ---- other sites ----

PREFLIGHT = {
    "origin": SITE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type",
}


def test_by_default_no_other_site_may_read() -> None:
    visitor = visit(web_house.build())
    assert visitor.request("OPTIONS", "/api/ask", headers=PREFLIGHT).status_code == 405
    answer = visitor.post("/api/ask", json={"text": "津贴"}, headers={"origin": SITE})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_listed_site_may_ask_and_read_and_no_other() -> None:
    visitor = visit(web_house.build(web=WebSettings(cors_origins=(SITE,))))
    allowed = visitor.request("OPTIONS", "/api/ask", headers=PREFLIGHT)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == SITE
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(
        re.split(r",\s*", allowed.headers["access-control-allow-headers"].lower())
    )
    assert "access-control-allow-credentials" not in allowed.headers, "cookies play no part"
    answer = visitor.post("/api/ask", json={"text": "津贴"}, headers={"origin": SITE})
    assert answer.headers["access-control-allow-origin"] == SITE
    assert "origin" in answer.headers["vary"].lower()
    refused = visitor.post("/api/ask", json={}, headers={"origin": SITE})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (422, SITE), (
        "errors can be read too"
    )
    foreign = visitor.request("OPTIONS", "/api/ask", headers={**PREFLIGHT, "origin": "https://evil.example"})
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers
    assert "access-control-allow-origin" not in visitor.get("/chat", headers={"origin": SITE}).headers
    assert visitor.request("OPTIONS", "/api/ask").status_code == 405, "no preflight: not a question"
