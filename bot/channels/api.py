"""公开接口: ``POST /api/ask`` and ``GET /api/search`` for programs, described by ``GET /api/openapi.json``.

Anybody may ask, so many times a minute; a partner who shows the token may ask without limit. Which sites' scripts may
read the answers in a browser is a setting (CORS); cookies play no part here.

``reply_json`` and ``finding_json`` are the one place where a reply and a search result become JSON; the command
line uses the same. Fields may be added, never changed (the contract of the interface).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial, wraps
from typing import TypeVar

import anyio.to_thread
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.channels import pages
from bot.channels.http import (
    Library,
    RateLimiter,
    Reception,
    SecurityHeaders,
    WebError,
    answered,
    clean_text,
    client_address,
    is_partner,
    pseudonym,
    read_json,
)
from bot.config import Settings
from knowledge.model import DocumentKind, Filters, Finding, Question, Validity
from register.inquiry import Channel, Inquiry, Reply, SearchFacts, Source

MAX_HITS = 50
_Kind = TypeVar("_Kind", bound=StrEnum)
NOTHING_SEARCHED = SearchFacts("", (), (), {}, 0, 0, "", "", 0, 0.0)


def reply_json(entry: int, reply: Reply) -> dict[str, object]:
    """The contract's **reply**. ``search_record`` is always an object; zeros where nothing had to be searched."""
    return {
        "entry": entry,
        "kind": reply.kind.value,
        "text": reply.text,
        "confidence": reply.confidence,
        "sources": [_source(source) for source in reply.sources],
        "choices": [{"label": choice.label, "send": choice.send} for choice in reply.choices],
        "organ": asdict(reply.organ) if reply.organ else None,
        "search_record": _listed(asdict(reply.search_record or NOTHING_SEARCHED)),
        # Additions to the contract: the same reply in parts, for clients that draw cards.
        "lead": reply.lead,
        "notice": reply.notice,
        "nearest": [_source(source) for source in reply.nearest],
        "steps": [{"text": step.text, "link": step.link} for step in reply.steps],
        "facts": [{"name": name, "text": text} for name, text in reply.facts],
        "basis": list(reply.basis),
        "disclaimer": reply.disclaimer,
        "more": reply.more,
    }


def finding_json(finding: Finding, *, facets: bool = False) -> dict[str, object]:
    """The contract's search result: hits best first, whole passages as ``quote``, and the search record.

    ``facets`` adds the counts by 要素.
    """
    record = finding.record
    return {
        "query": finding.query,
        "hits": [
            {
                "document": hit.document.id,
                "title": hit.document.title,
                "number": hit.document.number,
                "locator": hit.passage.locator,
                "quote": hit.passage.text,
                "score": hit.score,
                "validity": hit.document.validity.value,
                "url": hit.url,
            }
            for hit in finding.hits
        ],
        "record": _listed({**asdict(record), "as_of": record.as_of.isoformat() if record.as_of else ""}),
        "confidence": finding.confidence,
        "corrected": finding.corrected,
        "suggestions": list(finding.suggestions),
        "approved_answer": finding.approved_answer,
        **({"facets": [asdict(facet) for facet in finding.facets]} if facets else {}),
    }


def filters_from(fields: Mapping[str, str]) -> Filters:
    """按要素搜索: filters from query parameters; a 422 names the parameter that cannot be read."""
    year = fields.get("year", "").strip()
    if year and not (year.isascii() and year.isdigit() and len(year) == 4):
        raise WebError(422, "bad_year", "year 应是四位数的年份，例如 2026。")
    return Filters(
        organ=clean_text(fields.get("organ", "")),
        year=int(year) if year else None,
        number=clean_text(fields.get("number", "")),
        topic=clean_text(fields.get("topic", "")),
        audience=clean_text(fields.get("audience", "")),
        kind=_member(DocumentKind, fields.get("kind", ""), "kind"),
        validity=_member(Validity, fields.get("validity", ""), "validity"),
    )


def api_routes(settings: Settings, reception: Reception, library: Library, limiter: RateLimiter) -> list[Route]:
    """The routes of the public interface."""

    description = {**openapi(), "servers": [{"url": settings.server.base_url.rstrip("/")}]}

    def limit(request: Request) -> None:
        try:
            if is_partner(request, settings.api.token):
                return
        except WebError:  # a wrong token counts, so that nobody tries them out
            limiter.check(client_address(request, settings.server.trusted_proxies))
            raise
        limiter.check(client_address(request, settings.server.trusted_proxies))

    @_errors_as_json
    async def ask(request: Request) -> Response:
        limit(request)
        body = await read_json(request, settings.server.body_limit)
        text, conversation = body.get("text"), body.get("conversation", "")
        if not isinstance(text, str) or not clean_text(text):
            raise WebError(422, "text_missing", "请在 text 里写上问题，例如“低保怎么申请”。")
        if not isinstance(conversation, str) or len(conversation) > 200:
            raise WebError(422, "bad_conversation", "conversation 应是不超过 200 个字符的文字。")
        conversation = clean_text(conversation) or secrets.token_urlsafe(16)
        inquiry = Inquiry(
            channel=Channel.API,
            message_key=secrets.token_hex(16),
            conversation=pseudonym("api", conversation),
            text=clean_text(text),
            received_at=datetime.now(UTC),
        )
        entry, reply = await answered(reception, inquiry)
        return JSONResponse({**reply_json(entry, reply), "conversation": conversation}, headers=_PRIVATE)

    @_errors_as_json
    async def search(request: Request) -> Response:
        limit(request)
        query = clean_text(request.query_params.get("q", ""))
        if not query:
            raise WebError(422, "q_missing", "请在 q 里写上要找的内容，例如 /api/search?q=低保。")
        wanted = request.query_params.get("limit", "10")
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:6]) <= MAX_HITS):
            raise WebError(422, "bad_limit", f"limit 应是 1 到 {MAX_HITS} 之间的整数。")
        question = Question(query, filters_from(request.query_params), int(wanted))
        facets = request.query_params.get("facets", "") in ("1", "true")
        ask_library = partial(library.ask, facets=True) if facets else library.ask
        finding = await anyio.to_thread.run_sync(ask_library, question)
        return JSONResponse(finding_json(finding, facets=facets))

    @_errors_as_json
    async def describe(request: Request) -> Response:
        return JSONResponse(description, headers={"Cache-Control": "no-cache"})

    guarded = [Middleware(SecurityHeaders)]
    preflight: list[str] = []
    if settings.web.cors_origins:
        preflight = ["OPTIONS"]  # answered by the middleware; without the method no request would reach it
        guarded.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.web.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
                expose_headers=["Retry-After"],
                max_age=3600,
            )
        )
    return [
        Route("/api/ask", ask, methods=["POST", *preflight], middleware=guarded),
        Route("/api/search", search, methods=["GET", *preflight], middleware=guarded),
        Route("/api/openapi.json", describe, methods=["GET", *preflight], middleware=guarded),
    ]


def openapi() -> dict[str, object]:
    """The description of the interface (OpenAPI 3.1) as it ships, without the address of this server."""
    described: dict[str, object] = json.loads((pages.FOLDER / "openapi.json").read_text("utf-8"))
    return described


_PRIVATE = {"Cache-Control": "no-store"}


def _errors_as_json(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":  # a preflight has been answered already; this is none
            return WebError(405, "method_not_allowed", "这个地址不接受这种请求。").as_json()
        try:
            return await endpoint(request)
        except WebError as error:
            return error.as_json()

    return answer


def _source(source: Source) -> dict[str, object]:
    return asdict(source)


def _listed(record: dict[str, object]) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}


def _member(kinds: type[_Kind], value: str, name: str) -> _Kind | None:
    if not value:
        return None
    try:
        return kinds(value)
    except ValueError as error:
        known = "、".join(member.value for member in kinds)
        raise WebError(422, f"bad_{name}", f"{name} 应是其中之一：{known}。") from error
