"""信箱接口: for portals whose 县长信箱 is a web form. ``POST /api/mailbox`` enters a letter, ``GET`` says how it stands.

The portal proves itself with ``Authorization: Bearer`` and the token of ``BIANMIN_API__TOKEN``; without one configured
the door does not exist. The portal's own id of a letter is the register's key: the same id is the same entry and reply,
however often it is sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Protocol

import anyio.to_thread
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.channels.api import reply_json
from bot.channels.http import (
    SECURITY_HEADERS,
    Reception,
    SecurityHeaders,
    WebError,
    answered,
    clean_text,
    read_json,
)
from bot.channels.mailbox_words import question_of
from bot.config import Settings
from register.clock import now_beijing
from register.inquiry import Channel, Entry, Inquiry, Reply
from register.seal import Seal
from replies.letters import LetterWriter, addressed

_LONGEST = {"id": 200, "subject": 500, "name": 100, "contact": 200}
_PRIVATE = {"Cache-Control": "no-store"}


class Book(Protocol):
    """登记册 (see :class:`register.book.RegisterBook`)."""

    def entry_of(self, channel: Channel, message_key: str, /) -> int | None:
        """The entry of a message."""

    def find(self, entry: int, /) -> Entry:
        """The entry, masked, with its deliveries."""

    def shown(self, entry: int, /) -> Reply | None:
        """The reply as shown."""

    def deliver(self, entry: int, outcome: str, detail: str = "", /) -> None:
        """Log one attempt."""


def mailbox_routes(
    settings: Settings, reception: Reception, book: Book, seal: Seal, writer: LetterWriter
) -> list[Route]:
    """The two routes; both answer 404 while no token is configured."""

    @_courteous
    async def post(request: Request) -> Response:
        _authorise(request, settings.api.token)
        body = await read_json(request, settings.server.body_limit)
        fields = {name: _text(body, name) for name in ("id", "subject", "text", "name", "contact")}
        if not fields["id"]:
            raise WebError(422, "id_missing", "请在 id 里写上这封来信在贵平台的编号，同一封信每次都用同一个编号。")
        if not fields["text"] and not fields["subject"]:
            raise WebError(422, "text_missing", "请在 text 里写上来信正文。")
        inquiry = Inquiry(
            channel=Channel.MAILBOX,
            message_key=_key(fields["id"]),
            conversation=seal.pseudonym(f"portal:{fields['id']}"),  # each letter is a matter of its own
            text=question_of(fields["subject"], fields["text"]) or fields["text"],
            received_at=now_beijing(),
            sender=fields["contact"],
            subject=fields["subject"],
        )
        entry, reply = await answered(reception, inquiry)
        found = await anyio.to_thread.run_sync(book.find, entry)
        if not found.deliveries:  # a repeated request is not a second delivery
            await anyio.to_thread.run_sync(book.deliver, entry, "passive", "handed to the portal")
        letter = writer.write(
            reply,
            entry,
            name=addressed(fields["name"]),
            subject=fields["subject"],
            day=(found.settled_at or now_beijing()).date(),
            received=found.received_at,
        )
        shown = {
            **reply_json(entry, reply),
            "id": fields["id"],
            # What the office would have a person look at first, the portal should not publish by itself either.
            "mode": "auto" if reply.kind.value in settings.mailbox.auto_kinds else "draft",
            "letter": {"text": writer.text(letter), "html": writer.html(letter)},
        }
        return JSONResponse(shown, headers=_PRIVATE)

    @_courteous
    async def status(request: Request) -> Response:
        _authorise(request, settings.api.token)
        identifier = clean_text(request.path_params["id"])
        number = await anyio.to_thread.run_sync(book.entry_of, Channel.MAILBOX, _key(identifier))
        if number is None:
            raise WebError(404, "unknown_id", "没有收到过这个编号的来信，请核对编号，或者重新提交。")
        found = await anyio.to_thread.run_sync(book.find, number)
        reply = await anyio.to_thread.run_sync(book.shown, number)
        value: dict[str, object] = {
            "id": identifier,
            "entry": number,
            "status": found.status.value,
            "received_at": found.received_at.isoformat(),
            "settled_at": found.settled_at.isoformat() if found.settled_at else None,
            "kind": reply.kind.value if reply else None,
            "reply": reply_json(number, reply) if reply else None,
        }
        return JSONResponse(value, headers=_PRIVATE)

    guarded = [Middleware(SecurityHeaders)]
    return [
        Route("/api/mailbox", post, methods=["POST"], middleware=guarded),
        Route("/api/mailbox/{id:path}", status, methods=["GET"], middleware=guarded),
    ]


def _authorise(request: Request, token: str) -> None:
    if not token:
        raise WebError(404, "not_found", "本站没有开通信箱接口。")
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not given.strip():
        raise WebError(401, "token_missing", "请带上 Authorization: Bearer 令牌。", {"WWW-Authenticate": "Bearer"})
    if not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode()):
        raise WebError(403, "token_refused", "令牌不对，请向本单位索取。")


def _key(identifier: str) -> str:
    return f"portal:{identifier}"


def _text(body: dict[str, object], name: str) -> str:
    value = body.get(name, "")
    if isinstance(value, int) and not isinstance(value, bool) and name == "id":
        value = str(value)  # many portals number their letters
    if not isinstance(value, str):
        raise WebError(422, f"bad_{name}", f"{name} 应是文字。")
    cleaned = clean_text(value)
    most = _LONGEST.get(name)
    if most is not None and len(cleaned) > most:
        raise WebError(422, f"bad_{name}", f"{name} 最多 {most} 个字。")
    return cleaned


def _courteous(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except WebError as error:
            response = error.as_json()
            response.headers.update(SECURITY_HEADERS)
            return response

    return answer
