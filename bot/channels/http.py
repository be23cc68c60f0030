"""What every HTTP door shares: caps, limits, headers, and errors that are courteous and say what to do.

The parts of the house are named here as Protocols, so that a door can be tried with small fakes and the rooms
below need not know that there is a web at all.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import logging
import math
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.errors import BotError
from knowledge.model import Finding, LibraryState, LinkKind, Passage, PolicyDocument, Question
from register.inquiry import Channel, Entry, Inquiry, Reply

log = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

# A form writes one UTF-8 byte of Chinese as three characters (%E5): it gets three times the room of plain text.
FORM_EXPANSION = 3


class Reception(Protocol):
    """接待: the one path of every question."""

    def answer(self, inquiry: Inquiry, /) -> tuple[int, Reply]:
        """The entry's number and its reply; a redelivered message finds the first reply."""
        ...


class Library(Protocol):
    """文库, as a citizen's door may see it: published, open documents only."""

    def open_document(self, document_id: str, /) -> tuple[PolicyDocument, tuple[Passage, ...]]:
        """One published document with its passages in order; raises ``UnknownDocument``."""
        ...

    def links_of(self, document_id: str, /) -> tuple[tuple[LinkKind, PolicyDocument, bool], ...]:
        """(kind, the other document, whether the link points to this document)."""
        ...

    def documents(self) -> list[PolicyDocument]:
        """Every published document."""
        ...

    def state(self) -> LibraryState:
        """Counts and the as-of date."""
        ...

    def ask(self, question: Question, /, *, facets: bool = False) -> Finding:
        """Search the published passages."""
        ...


class Book(Protocol):
    """登记册, as far as a citizen's own conversation needs it."""

    def find(self, entry: int, /) -> Entry:
        """The entry, masked; raises ``UnknownEntry``."""
        ...

    def judge(self, entry: int, useful: bool, /) -> None:
        """Record 有用 / 没用."""
        ...


class WebError(Exception):
    """A request that is answered with a status, a short code for programs and a Chinese sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def as_json(self) -> JSONResponse:
        """The API's form of this error."""
        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, headers=self.headers)


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body, at most ``limit`` bytes; raises a 413 as soon as it is clear that there is more."""
    too_large = WebError(413, "body_too_large", f"内容太长了，最多 {limit // 1024} KB。请说得短一些，一次问一件事。")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def require_type(request: Request, expected: str) -> None:
    """Raise a 415 unless the body is declared as ``expected``."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != expected:
        raise WebError(415, "unsupported_media_type", f"请用 {expected} 格式提交。")


async def read_form(request: Request, limit: int) -> dict[str, str]:
    """Fields of a posted form, the first value of each; ``limit`` is in bytes of plain UTF-8."""
    require_type(request, FORM)
    raw = await read_body(request, limit * FORM_EXPANSION)
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:  # includes UnicodeDecodeError, raised for the body and for what it decodes to
        raise WebError(400, "bad_form", "没有收到完整的内容，请返回上一页再发一次。") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


async def read_json(request: Request, limit: int) -> dict[str, object]:
    """The JSON object of the request; 400 for anything that is not one."""
    require_type(request, JSON)
    raw = await read_body(request, limit)
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, absurd numbers, absurd nesting
        raise WebError(400, "bad_json", "请求内容不是有效的 UTF-8 JSON。") from error
    if not isinstance(value, dict):
        raise WebError(400, "bad_json", '请求内容应是一个 JSON 对象，例如 {"text": "低保怎么申请"}。')
    return value


def clean_text(text: str) -> str:
    """``text`` without what no database or page can hold: lone surrogates, NUL and other control characters."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\r\n", "\n")
    return "".join(c for c in whole if c in "\n\t" or unicodedata.category(c) != "Cc").strip()


def pseudonym(door: str, conversation: str) -> str:
    """会话化名: what the register may keep of a conversation's random id; the id cannot be had back from it."""
    return hashlib.sha256(f"{door}:{conversation}".encode()).hexdigest()[:32]


_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")


def new_token() -> str:
    """A random id of a conversation or a message."""
    return secrets.token_urlsafe(16)


def valid_token(token: str | None) -> str:
    """``token`` if it has the form of one of ours, else empty."""
    return token if token and _TOKEN.fullmatch(token) else ""


def is_number(text: str) -> bool:
    """Whether ``text`` is a positive number that a database holds."""
    return text.isascii() and text.isdigit() and 0 < len(text) < 16


def question_in(fields: dict[str, str], limit: int) -> str:
    """The question of a posted form; a 422 where there is none, a 413 where it has more than ``limit`` bytes."""
    text = clean_text(fields.get("text", ""))
    if not text:
        raise WebError(422, "text_missing", "请先写下您的问题，再点“问”。")
    if len(text.encode()) > limit:
        raise WebError(413, "body_too_large", "内容太长了。请说得短一些，一次问一件事。")
    return text


def inquiry_of(channel: Channel, talk: str, key: str, text: str) -> Inquiry:
    """The inquiry of a page's form: the same ``talk``, ``key`` and ``text`` are one message, however often sent."""
    return Inquiry(
        channel=channel,
        message_key=hashlib.sha256(f"{talk}:{key}:{text}".encode()).hexdigest(),
        conversation=pseudonym(channel.value, talk),
        text=text,
        received_at=datetime.now(UTC),
    )


def is_partner(request: Request, token: str) -> bool:
    """Whether the request bears the token of a partner; a 403 for a wrong one, in the same time whatever is wrong.

    A request without a token is no partner's and goes on by the public rules.
    """
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return False
    if not token or not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode()):
        raise WebError(403, "token_refused", "令牌不对。请核对后再试；不带令牌也可以使用，但有次数限制。")
    return True


class RateLimiter:
    """限流: a bucket of ``per_minute`` tokens an address, refilled steadily. Lives in this process only.

    It remembers the ``remember`` addresses seen last, so a flood of addresses cannot fill the memory.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic, remember: int = 20_000) -> None:
        self._capacity = float(max(1, per_minute))
        self._rate = self._capacity / 60
        self._clock = clock
        self._remember = remember
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address → (tokens, at)

    def check(self, address: str) -> None:
        """Take one token; raises a 429 that names the seconds to wait."""
        now = self._clock()
        tokens, since = self._buckets.pop(address, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._remember:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = math.ceil((1 - tokens) / self._rate)
            message = f"问得有点快，请等 {wait} 秒再试。"
            raise WebError(429, "too_many_requests", message, {"Retry-After": str(wait)})


async def answered(reception: Reception, inquiry: Inquiry) -> tuple[int, Reply]:
    """The reception's answer, from a worker thread; a 503 with a time to come back while it is still being made."""
    try:
        return await anyio.to_thread.run_sync(reception.answer, inquiry)
    except BotError as error:
        log.warning("no reply yet for a message on %s: %s", inquiry.channel.value, error)
        message = "这个问题还在查，请等几秒再发一次，不会重复登记。"
        raise WebError(503, "still_working", message, {"Retry-After": "3"}) from error


def client_address(request: Request, trusted_proxies: tuple[str, ...]) -> str:
    """Whom to count: the peer, or what trusted proxies say of it; an IPv6 household (/64) counts as one."""
    address = request.client.host if request.client else "unknown"
    if address in trusted_proxies:
        hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        # The rightmost hop that is no proxy of ours: everything left of it could be made up by the client.
        address = next((hop for hop in reversed(hops) if hop not in trusted_proxies), address)
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def require_same_origin(request: Request, base_url: str) -> None:
    """Raise a 403 for a form that another site sent (the second lock beside ``SameSite=Lax``)."""
    foreign = WebError(403, "foreign_origin", "这个请求不是从本网站发出的，没有处理。请打开本网站再试。")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise foreign
    origin = request.headers.get("origin")
    if origin is None:
        return
    try:
        sent_from = urlsplit(origin).netloc
    except ValueError as error:
        raise foreign from error
    if not sent_from or sent_from not in (request.headers.get("host"), urlsplit(base_url).netloc):
        raise foreign


SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # same-origin, not no-referrer: the latter makes browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


def framed_by(origins: tuple[str, ...]) -> dict[str, str]:
    """Headers of a page that these origins (and we ourselves) may show in a frame; none allows nobody."""
    if not origins:
        return {}
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    return {
        "Content-Security-Policy": policy.replace(
            "frame-ancestors 'none'", f"frame-ancestors 'self' {' '.join(origins)}"
        )
    }


class SecurityHeaders:
    """ASGI middleware: sets the headers above wherever a response has not set its own.

    A response with its own policy says there who may frame it; the older X-Frame-Options knows no list and stays away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                own_policy = "content-security-policy" in headers
                for name, value in SECURITY_HEADERS.items():
                    if not (own_policy and name == "X-Frame-Options"):
                        headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
