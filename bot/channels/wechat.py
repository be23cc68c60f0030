"""微信公众号: the WeChat door. Verify → decrypt → parse → :class:`Inquiry`; the reply goes back the same way.

WeChat waits five seconds and then delivers the same message again, three times in all (接收普通消息). So every delivery
of one message shares one computation. An answer that is not ready in time is queued, committed, and only then
acknowledged with a bare ``success``; it follows as a 客服消息. An account without AppSecret cannot send: its first two
deliveries are left unanswered, so that WeChat comes again, and what is still not ready then goes along with the citizen's
next message. The parts: :mod:`bot.channels.wechat_wire` (protocol), ``_outbox`` (sending), ``_client`` (WeChat's API),
``_topics`` (政策找人), ``_consent`` (its page), ``_menu``, ``_store`` (rows).

An answer goes one of two ways, and the database says which: "passive" is committed before a byte of the passive reply is
written, and in the same transaction the queued answer, if there is one, is closed; an answer that the queue has in hand is
refused to a redelivery, which gets ``success``. WeChat shows one reply of three, so the same reply may be written again.
Where the process can be killed:

| killed | committed | what follows | the citizen gets it |
|---|---|---|---|
| before the message is entered | nothing | WeChat delivers it again | once (a) |
| after ``success``, before it is entered | the queued answer | the outbox enters and answers it | once |
| while it is worked on | the entry | a redelivery or the sweeper takes it over; the sweeper queues it first | once |
| after the answer, before "passive" | the answer | a redelivery takes it, or the outbox after the last one is over | once |
| after "passive", before the wire | both | a redelivery gets the same reply | once (b) |
| after the wire | both | nothing: WeChat has it and does not come again | once |
| while the queue is sending it | "sending" | left to staff as "unconfirmed" (``_outbox``) | once (c) |

(a) When the killed delivery was WeChat's third, or the server stays away for all the rest, WeChat tells the citizen
itself that the service cannot answer now. (b) In the same two cases the answer stays in the register alone and WeChat says so,
too: nobody can tell this row from the next, and sending again would repeat an answer in the far longer time after the wire.
(c) Lost if the kill falls between the commit of "sending" and the request's body, which follows at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import anyio
import anyio.to_thread
from sqlalchemy import Engine
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.channels.trouble import ChannelState, Trouble
from bot.channels.wechat_client import WeChatApi
from bot.channels.wechat_consent import PATH as CONSENT_PATH
from bot.channels.wechat_consent import ConsentPage
from bot.channels.wechat_outbox import Book as OutboxBook
from bot.channels.wechat_outbox import Bundle, Outbox, Reception, late_key, rendered
from bot.channels.wechat_store import WeChatStore
from bot.channels.wechat_topics import Book as TopicsBook
from bot.channels.wechat_topics import Topics
from bot.channels.wechat_wire import SUCCESS, Letter, Wire, text_reply
from bot.config import Settings
from bot.errors import MalformedMessage, SignatureRejected
from bot.reception import StillWorking
from knowledge.model import PolicyDocument
from register.book import Queue
from register.clock import BEIJING, now_beijing
from register.inquiry import Channel, Inquiry
from register.seal import Seal

log = logging.getLogger(__name__)

PATH = "/wechat"

_DELIVERIES = 3  # WeChat delivers a message that often
_HANGS_UP_AFTER = 5.0  # seconds that WeChat waits for an answer
_AFTER_RESTART = timedelta(seconds=6)  # time for a redelivery to take the answer along
_OUTBOX_SECONDS = 2.0
_NEWS_SECONDS = 300.0
_NEWS_DAYS = 7


class Book(OutboxBook, TopicsBook, Protocol):
    """登记册: what this door writes itself."""


@dataclass(slots=True)
class _Work:
    """One message on its way: the computation that all its deliveries share."""

    task: asyncio.Task[tuple[int, Bundle]]
    deliveries: int = 0
    postponed: bool = False
    later: asyncio.Task[None] | None = None  # keeps the answer for later; a delivery got the bare ``success``
    handing: asyncio.Task[bool] | None = None  # see Door._hand_over


class Door:
    """微信门: one account's callback, and what is sent later."""

    def __init__(
        self,
        settings: Settings,
        reception: Reception,
        book: Book,
        seal: Seal,
        engine: Engine,
        *,
        documents: Callable[[], Iterable[PolicyDocument]] = tuple,
        limiter: anyio.CapacityLimiter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``documents`` lists what citizens may read, newest first. Raises :class:`bot.errors.ConfigError`."""
        own = settings.wechat
        self.on = bool(own.token)
        self._settings = own
        self._body_limit = settings.server.body_limit
        self._wire = Wire(own.token, own.aes_key, own.app_id, own.replay_minutes * 60)
        self._reception = reception
        self._book = book
        self._seal = seal
        self._documents = documents
        self._store = WeChatStore(engine, seal)
        api = None
        if own.app_id and own.app_secret:
            api = WeChatApi(own.app_id, own.app_secret, self._store, api_base=own.api_base)
        self._sends = api is not None
        self._outbox = Outbox(book, reception, self._store, api, reply_bytes=own.reply_bytes)
        self._consent: ConsentPage | None = None
        if api is not None and own.policy_template and settings.server.base_url.startswith("https://"):
            self._consent = ConsentPage(settings, seal, api)
        self.topics = Topics(
            own,
            book,
            self._store,
            base_url=settings.server.base_url,
            consent_page=self._consent.address if self._consent else str,
        )
        self._limiter = limiter or anyio.CapacityLimiter(settings.server.threads)
        self._side = anyio.CapacityLimiter(2)  # bookkeeping must not wait behind the answers
        self._clock = clock
        self._running: dict[str, _Work] = {}
        self._claims: list[tuple[int, str, asyncio.Future[bool]]] = []
        self._claiming: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def routes(self) -> list[Route]:
        """The routes of ``/wechat``; without a token they answer 404 and the log says once what to set."""
        if not self.on:
            log.info(
                "the WeChat channel is off; set BIANMIN_WECHAT__TOKEN, and for 安全模式 also BIANMIN_WECHAT__AES_KEY "
                "and BIANMIN_WECHAT__APP_ID"
            )
            return [Route(PATH, _closed, methods=["GET", "POST"])]
        if not self._sends:
            log.info("no BIANMIN_WECHAT__APP_SECRET: late answers go along with the citizen's next WeChat message")
        page = [Route(CONSENT_PATH, self._consent.show, methods=["GET"])] if self._consent else []
        return [Route(PATH, self.handshake, methods=["GET"]), Route(PATH, self.receive, methods=["POST"]), *page]

    def state(self, queue: Queue) -> ChannelState:
        """For ``/healthz``; ``queue`` is the register's.

        WeChat is asked only when something is to be sent, so what failed last is a trouble only while something waits.
        """
        problem = self._outbox.problem if queue.pending else ""
        return ChannelState(
            on=self.on,
            troubles=(Trouble(f"wechat: {problem}", self._outbox.problem_since, queue.next_due),) if problem else (),
            inbound_waiting=queue.open,
            outbound_waiting=queue.pending,
            given_up=queue.given_up,
            for_next_message=self._store.waiting_count(),
        )

    # ---- coming in -------------------------------------------------------------------------------------------

    async def handshake(self, request: Request) -> Response:
        """``GET /wechat``: prove to WeChat that this server knows the token."""
        try:
            return PlainTextResponse(self._wire.handshake(request.query_params, self._clock()))
        except SignatureRejected as error:
            return _refused(error)

    async def receive(self, request: Request) -> Response:
        """``POST /wechat``: one delivery of one message."""
        started = time.monotonic()
        body = await _body(request, self._body_limit)
        if body is None:
            return PlainTextResponse("too large\n", 413)
        try:
            letter = self._wire.open(request.query_params, body, self._clock())
        except (SignatureRejected, MalformedMessage) as error:
            return _refused(error)
        inquiry = inquiry_of(letter, self._seal, self._clock())
        work = self._join(letter, inquiry)
        await asyncio.wait({work.task}, timeout=started + self._settings.answer_within_seconds - time.monotonic())
        try:
            if not work.task.done() or isinstance(work.task.exception(), StillWorking):
                return await self._later(letter, inquiry, work, started)
            entry, bundle = work.task.result()
            if not bundle.content:
                return PlainTextResponse(SUCCESS)
            if work.later is not None:
                return await self._later(letter, inquiry, work, started)
            now = self._clock()
            xml = self._wire.seal(text_reply(letter, bundle.content, now), now)
            if not await self._hand_over(work, entry, inquiry, bundle):
                return PlainTextResponse(SUCCESS)
        except Exception:
            # The register itself could not be written: without a word from us WeChat delivers the message again.
            log.exception("a WeChat message could not be entered in the register")
            return PlainTextResponse("try again\n", 503)
        return Response(xml, media_type="application/xml")

    def _join(self, letter: Letter, inquiry: Inquiry) -> _Work:
        """The computation of this message, begun if there is none; it outlives the request."""
        key = inquiry.message_key
        work = self._running.get(key)
        if work is None:
            work = _Work(asyncio.create_task(self._answer(letter, inquiry)))
            self._running[key] = work
            work.task.add_done_callback(lambda _: self._forget(key))
        work.deliveries += 1
        return work

    def _forget(self, key: str) -> None:
        work = self._running.pop(key)
        if not work.task.cancelled():
            work.task.exception()  # read, so that asyncio does not report what a delivery has dealt with
        if work.postponed:
            self._wake.set()

    async def _answer(self, letter: Letter, inquiry: Inquiry) -> tuple[int, Bundle]:
        return await anyio.to_thread.run_sync(self._work, letter, inquiry, limiter=self._limiter)

    def _work(self, letter: Letter, inquiry: Inquiry) -> tuple[int, Bundle]:
        """In a worker thread: the entry, and what the callback is answered with."""
        if letter.consents:
            self.topics.consent(letter, inquiry.conversation)
        entry, reply = self.topics.take(inquiry) or self._reception.answer(inquiry)
        if letter.silent or not reply.text:
            return entry, Bundle("")
        return entry, self._outbox.along(inquiry, rendered(reply, self._settings.reply_bytes))

    async def _later(self, letter: Letter, inquiry: Inquiry, work: _Work, started: float) -> Response:
        """Not ready in time: see to it that the answer is delivered, then acknowledge."""
        work.postponed = True
        last = work.deliveries >= _DELIVERIES or self._clock() - letter.created > 2 * _HANGS_UP_AFTER - 1
        if self._sends or last or letter.silent or work.later is not None:
            if work.later is None:
                work.later = asyncio.create_task(self._postpone(inquiry))
            try:
                await asyncio.shield(work.later)
            except Exception:
                work.later = None
                raise
        else:
            # Silence makes WeChat come again; whatever were sent after it has hung up would be lost.
            await asyncio.sleep(max(started + _HANGS_UP_AFTER + 0.5 - time.monotonic(), 0))
        return PlainTextResponse(SUCCESS)

    async def _postpone(self, inquiry: Inquiry) -> None:
        await anyio.to_thread.run_sync(self._outbox.postpone, inquiry, limiter=self._side)

    async def _hand_over(self, work: _Work, entry: int, inquiry: Inquiry, bundle: Bundle) -> bool:
        """Whether the answer may be written to the wire; committed before it is (see the table above).

        The three deliveries of one message share one answer and one line in the register.
        """
        if work.handing is None:
            work.handing = asyncio.create_task(self._claim(entry, inquiry, bundle))
        return await asyncio.shield(work.handing)

    async def _claim(self, entry: int, inquiry: Inquiry, bundle: Bundle) -> bool:
        if bundle.taken or not bundle.own_included:
            return await anyio.to_thread.run_sync(self._outbox.hand_over, entry, inquiry, bundle, limiter=self._side)
        allowed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._claims.append((entry, late_key(inquiry), allowed))
        if self._claiming is None or self._claiming.done():
            self._claiming = asyncio.create_task(self._claim_all())
        return await allowed

    async def _claim_all(self) -> None:
        """While one batch is being written the next one gathers: at load many answers share a transaction."""
        while batch := self._claims:
            self._claims = []
            answers = [(entry, key) for entry, key, _ in batch]
            try:
                refused = await anyio.to_thread.run_sync(
                    self._book.hand_over, Channel.WECHAT, answers, limiter=self._side
                )
            except Exception as error:
                for _, _, allowed in batch:
                    allowed.set_exception(error)
                continue
            for entry, _, allowed in batch:
                allowed.set_result(entry not in refused)

    # ---- going out -------------------------------------------------------------------------------------------

    def abandoned(self, inquiry: Inquiry) -> None:
        """A worker died over ``inquiry``: its answer has to be delivered although no callback waits for it.

        Called before the answer is computed, so that a second death loses nothing either. A redelivery that takes the
        answer along in the meantime wins.
        """
        if self.on and inquiry.channel is Channel.WECHAT:
            self._outbox.postpone(inquiry, now_beijing() + _AFTER_RESTART)

    async def run(self) -> None:
        """Send what is due and announce what was published, until cancelled."""
        news_at = time.monotonic()
        started: datetime | None = now_beijing()
        while self.on:
            try:
                if started is not None:
                    recovered = await anyio.to_thread.run_sync(self._outbox.recover, started, limiter=self._side)
                    log.log(logging.INFO if recovered else logging.DEBUG, "queued %d undelivered answers", recovered)
                    started = None
                while await anyio.to_thread.run_sync(self._outbox.step, limiter=self._side):
                    pass
                await anyio.to_thread.run_sync(self._outbox.look, limiter=self._side)
                if time.monotonic() >= news_at:
                    news_at = time.monotonic() + _NEWS_SECONDS
                    await anyio.to_thread.run_sync(self._announce, limiter=self._side)
            except Exception:
                log.exception("the WeChat outbox failed; it tries again in %s s", _OUTBOX_SECONDS)
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), _OUTBOX_SECONDS)
            except TimeoutError:
                continue

    def _announce(self) -> None:
        since = now_beijing().date() - timedelta(days=_NEWS_DAYS)
        queued = self.topics.announce(d for d in self._documents() if (d.published_on or date.min) >= since)
        if queued:
            log.info("queued %d notices of new documents", queued)


def inquiry_of(letter: Letter, seal: Seal, now: float) -> Inquiry:
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
