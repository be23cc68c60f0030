"""微信公众号: the WeChat door. Verify → decrypt → parse → :class:`Inquiry`; the reply goes back the same way.

WeChat waits five seconds and then delivers the same message again, three times in all (接收普通消息). So every delivery
of one message shares one computation, and an answer that is not ready in time is acknowledged with a bare ``success``
and sent later. The protocol itself is :mod:`bot.channels.wechat_wire`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import anyio
import anyio.to_thread
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.channels.wechat_wire import SUCCESS, Letter, Wire, fit, linked, plain, text_reply
from bot.config import Settings
from bot.errors import MalformedMessage, SignatureRejected
from register.clock import BEIJING
from register.inquiry import Channel, Inquiry, Reply

log = logging.getLogger(__name__)

PATH = "/wechat"


class Reception(Protocol):
    """前台: the one path of every question (see :mod:`bot.reception`)."""

    def answer(self, inquiry: Inquiry) -> tuple[int, Reply]:
        """The entry and its reply; idempotent."""


class Book(Protocol):
    """登记册: what this door writes itself."""

    def deliver(self, entry: int, outcome: str) -> None:
        """Record one attempt to hand a reply over."""


class Pseudonyms(Protocol):
    """封条: names that say nothing about people."""

    def pseudonym(self, text: str) -> str:
        """The same for the same text."""


def routes(
    settings: Settings,
    reception: Reception,
    book: Book,
    seal: Pseudonyms,
    *,
    limiter: anyio.CapacityLimiter | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Route]:
    """The routes of ``/wechat``; a channel without a token answers 404 and says once what to set."""
    if not settings.wechat.token:
        log.info(
            "the WeChat channel is off; set BIANMIN_WECHAT__TOKEN, and for 安全模式 also BIANMIN_WECHAT__AES_KEY "
            "and BIANMIN_WECHAT__APP_ID"
        )
        return [Route(PATH, _closed, methods=["GET", "POST"])]
    door = Door(settings, reception, book, seal, limiter=limiter, clock=clock)
    return [Route(PATH, door.handshake, methods=["GET"]), Route(PATH, door.receive, methods=["POST"])]


class Door:
    """微信门: one account's callback."""

    def __init__(
        self,
        settings: Settings,
        reception: Reception,
        book: Book,
        seal: Pseudonyms,
        *,
        limiter: anyio.CapacityLimiter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        own = settings.wechat
        self._settings = own
        self._body_limit = settings.server.body_limit
        self._wire = Wire(own.token, own.aes_key, own.app_id, own.replay_minutes * 60)
        self._reception = reception
        self._book = book
        self._seal = seal
        self._limiter = limiter or anyio.CapacityLimiter(settings.server.threads)
        self._clock = clock
        self._running: dict[str, asyncio.Task[tuple[int, Reply]]] = {}

    async def handshake(self, request: Request) -> Response:
        """``GET /wechat``: prove to WeChat that this server knows the token."""
        try:
            return PlainTextResponse(self._wire.handshake(request.query_params, self._clock()))
        except SignatureRejected as error:
            return _refused(error)

    async def receive(self, request: Request) -> Response:
        """``POST /wechat``: one delivery of one message."""
        body = await _body(request, self._body_limit)
        if body is None:
            return PlainTextResponse("too large\n", 413)
        try:
            letter = self._wire.open(request.query_params, body, self._clock())
        except (SignatureRejected, MalformedMessage) as error:
            return _refused(error)
        task = self._compute(inquiry_of(letter, self._seal, self._clock()))
        await asyncio.wait({task}, timeout=self._settings.answer_within_seconds)
        if not task.done():
            return PlainTextResponse(SUCCESS)
        entry, reply = task.result()
        if letter.silent or not reply.text:
            return PlainTextResponse(SUCCESS, background=BackgroundTask(self._book.deliver, entry, "not_due"))
        content = rendered(reply, self._settings.reply_bytes)
        xml = self._wire.seal(text_reply(letter, content, self._clock()), self._clock())
        delivered = BackgroundTask(self._book.deliver, entry, "passive")
        return Response(xml, media_type="application/xml", background=delivered)

    def _compute(self, inquiry: Inquiry) -> asyncio.Task[tuple[int, Reply]]:
        """The running computation of this message, begun if there is none; it outlives the request."""
        key = inquiry.message_key
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._answer(inquiry))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return task

    async def _answer(self, inquiry: Inquiry) -> tuple[int, Reply]:
        return await anyio.to_thread.run_sync(self._reception.answer, inquiry, limiter=self._limiter)


def inquiry_of(letter: Letter, seal: Pseudonyms, now: float) -> Inquiry:
    """The inquiry of a letter. The message key is WeChat's, made unique by the sender's pseudonym."""
    pseudonym = seal.pseudonym(f"wechat:{letter.openid}")
    return Inquiry(
        channel=Channel.WECHAT,
        message_key=f"{letter.key}-{pseudonym}",
        conversation=pseudonym,
        text=letter.text,
        received_at=datetime.fromtimestamp(now, BEIJING),
        sender=letter.openid,
        event=letter.event,
    )


def rendered(reply: Reply, limit: int) -> str:
    """A reply as WeChat shows it, in at most ``limit`` UTF-8 bytes, choices clickable where there is room."""
    return fit(linked(plain(reply.text), reply.choices, limit), limit)


async def _body(request: Request, limit: int) -> bytes | None:
    """The request's body; ``None`` when it is larger than ``limit`` bytes."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                return None
    except ClientDisconnect:
        return b""  # nobody is there to read the refusal that follows
    return bytes(body)


def _refused(error: SignatureRejected | MalformedMessage) -> Response:
    log.warning("refused a WeChat callback: %s", error)
    if isinstance(error, SignatureRejected):
        return PlainTextResponse("forbidden\n", 403)
    return PlainTextResponse("bad request\n", 400)


async def _closed(request: Request) -> Response:
    return PlainTextResponse("not found\n", 404)
