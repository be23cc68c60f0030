"""Telegram: the door for the Bot API, by webhook (``POST /telegram``) or by polling (``bianmin telegram poll``).

Either way an update is stored, committed and only then acknowledged; the work comes afterwards. python-telegram-bot's
``Application`` speaks with the Bot API. Its dispatcher is left out on purpose: it swallows a handler's errors, so an
update that could not be stored would be acknowledged all the same. The parts: :mod:`bot.channels.telegram_wire` (what an
update means), ``_outbox`` (sending).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from telegram import BotCommand
from telegram.error import Conflict, EndPointNotFound, InvalidToken, TelegramError
from telegram.ext import AIORateLimiter, Application, ApplicationBuilder
from telegram.warnings import PTBUserWarning

from bot.channels.telegram_line import line
from bot.channels.telegram_outbox import Book as OutboxBook
from bot.channels.telegram_outbox import Outbox, described, pending
from bot.channels.telegram_wire import ALLOWED_UPDATES, Letter, Me, Tap, TapKind, pack, read_update
from bot.channels.telegram_words import named, say
from bot.channels.trouble import ChannelState, Trouble
from bot.config import Settings, TelegramSettings
from bot.errors import ConfigError, MalformedMessage, TelegramNotReady, TelegramRefused
from register.book import Queue
from register.clock import now_beijing
from register.errors import UnknownEntry
from register.inquiry import Channel, Conversation, Entry, Inquiry, Opened, Reply
from register.seal import Seal

log = logging.getLogger(__name__)

PATH = "/telegram"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  # the header's name

_POLL_SECONDS = 25
_SILENT_SECONDS = 5.0  # how long the Bot API may say nothing
_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 30.0  # a quiet line is tried that often
_LONGEST_BACKOFF = 30.0
_AT_WORK = 64  # updates that may wait for their answer before the next one is taken in
_EDITABLE = timedelta(hours=48)  # how long Telegram lets people change a message

# getUpdates is called by name: one update that the library cannot read must not hold up those behind it.
warnings.filterwarnings("ignore", "Please use 'Bot.getUpdates'", PTBUserWarning)


class Reception(Protocol):
    """前台 (see :mod:`bot.reception`)."""

    def work(self, entry: int, inquiry: Inquiry) -> Reply:
        """Compute and settle an entry that the caller holds."""


class Book(OutboxBook, Protocol):
    """登记册 (see :class:`register.book.RegisterBook`)."""

    def open(self, inquiry: Inquiry) -> Opened:
        """Enter the inquiry, committed."""

    def reply_to(self, channel: Channel, message_key: str) -> Reply | None:
        """The reply to a message, None while there is none."""

    def shown(self, entry: int) -> Reply | None:
        """The reply of an entry, as shown."""

    def find(self, entry: int) -> Entry:
        """The entry, masked."""

    def judge(self, entry: int, useful: bool) -> None:
        """Record 有用 / 没用."""

    def note(self, entry: int, kind: str, text: str) -> None:
        """One line of history."""

    def conversation(self, key: str, now: datetime, expires_minutes: float) -> Conversation:
        """What is pending with this citizen."""

    def has_key_ending(self, channel: Channel, ending: str, since: datetime) -> bool:
        """Whether a message with such a key was received."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """收下: an update is stored. ``inquiry`` is set where this caller has to see to the answer."""

    entry: int = 0
    inquiry: Inquiry | None = None
    toast: str = ""  # what a tap is answered with at once
    alert: bool = False


def application(own: TelegramSettings) -> Application[Any, Any, Any, Any, Any, Any]:
    """The library's application, not yet started, quiet about tokens and about what citizens write.

    It does not repeat a request by itself (``max_retries=0``): a pause that Telegram asks for is kept by the outbox,
    where neither a restart nor another process disturbs it.
    """
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # INFO lines hold the address, and with it the token
    # Requests and unreadable answers are logged whole, with what citizens wrote; every error reaches us as an exception.
    logging.getLogger("telegram").setLevel(logging.CRITICAL)
    own_line: dict[str, Any] = {"connect_timeout": 3, "write_timeout": 3, "proxy": own.proxy or None}
    return (
        ApplicationBuilder()
        .token(own.token)
        .base_url(f"{own.api_base.rstrip('/')}/bot")
        .updater(None)
        .job_queue(None)
        .rate_limiter(AIORateLimiter(group_max_rate=0, max_retries=0))
        .request(line(connection_pool_size=16, read_timeout=_SILENT_SECONDS, pool_timeout=1, **own_line))
        .get_updates_request(line(connection_pool_size=1, **own_line))
        .build()
    )


class Door:
    """Telegram 门: one bot."""

    def __init__(
        self,
        settings: Settings,
        reception: Reception,
        book: Book,
        seal: Seal,
        *,
        clock: Callable[[], datetime] = now_beijing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is connected yet; :meth:`run` does that. ``sleep`` passes the pauses of a line that is down."""
        own = settings.telegram
        self.on = bool(own.token)
        self._own = own
        self._body_limit = settings.server.body_limit
        self._expires = settings.conversation.expires_minutes
        self._reception = reception
        self._book = book
        self._seal = seal
        self._clock = clock
        self._sleep = sleep
        number = own.token.partition(":")[0]
        self._me = Me(int(number) if number.isdigit() and len(number) < 16 else 0)
        self._workers = anyio.CapacityLimiter(max(1, settings.server.threads // 2))
        self._storing = anyio.CapacityLimiter(4)  # taking in must not wait behind the answers
        self._room = asyncio.Semaphore(_AT_WORK)
        self._tails: dict[str, asyncio.Task[None]] = {}  # conversation → what was taken in last
        self._loose: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[bool] | None = None
        self._wake = asyncio.Event()
        self._known = asyncio.Event()
        self._reached_at = 0.0
        self._failures = 0
        self._trouble = self._poll_trouble = Trouble("")
        if self.on:
            self._app = application(own)
            self._outbox = Outbox(
                book,
                self._app.bot,
                lease_seconds=settings.register.lease_seconds,
                down=self._down,
                up=self._up,
                clock=clock,
            )

    @property
    def routes(self) -> list[Route]:
        """The route of ``/telegram``; it answers 404 while the channel or its webhook is off, and the log says why."""
        if not self.on:
            log.info("the Telegram channel is off; set BIANMIN_TELEGRAM__TOKEN")
        elif not self._own.webhook:
            log.info("the Telegram webhook is off; updates come by: bianmin telegram poll")
        elif not self._own.secret_token:
            log.error("%s", _CLOSED_DOOR)
        else:
            return [Route(PATH, self.receive, methods=["POST"])]
        return [Route(PATH, _closed, methods=["POST"])]

    def problems(self) -> list[str]:
        """What is wrong with the channel just now, one English line each."""
        return [trouble.text for trouble in self._troubles()]

    def state(self, queue: Queue) -> ChannelState:
        """For ``/healthz``; ``queue`` is the register's."""
        return ChannelState(self.on, tuple(self._troubles()), queue.open, queue.pending, queue.given_up)

    def _troubles(self) -> list[Trouble]:
        found = [self._trouble, self._poll_trouble]
        if self.on and self._own.webhook and not self._own.secret_token:
            found.append(Trouble(_CLOSED_DOOR))
        return [replace(trouble, text=f"telegram: {trouble.text}") for trouble in found if trouble.text]

    # ---- coming in -------------------------------------------------------------------------------------------

    async def receive(self, request: Request) -> Response:
        """``POST /telegram``: one update. Telegram sends it again until the answer is a 2xx."""
        shown = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self._own.secret_token.encode()):
            log.warning("refused a Telegram webhook: wrong or missing %s", SECRET_HEADER)
            return PlainTextResponse("forbidden\n", 403)
        body = await _body(request, self._body_limit)
        if body is None:
            return PlainTextResponse("too large\n", 413)
        try:
            raw = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):  # bad UTF-8, bad JSON, absurd numbers, absurd nesting
            log.warning("refused a Telegram update: not JSON")
            return PlainTextResponse("bad request\n", 400)
        try:
            await self.take(raw)
        except MalformedMessage as error:
            log.warning("refused a Telegram update: %s", error)
            return PlainTextResponse("bad request\n", 400)
        except TelegramNotReady as error:
            log.warning("put a Telegram update off: %s", error)
            return PlainTextResponse("not ready\n", 503)
        except Exception as error:
            log.error("a Telegram update could not be stored (%s); it will come again", type(error).__name__)
            return PlainTextResponse("not stored\n", 503)
        return PlainTextResponse("ok\n")

    async def take(self, raw: object) -> None:
        """Store one update and see to its answer; it is committed when this returns.

        Raises :class:`MalformedMessage`, :class:`TelegramNotReady` and whatever the database raises.
        """
        letter = read_update(raw, self._me)
        if letter is None:
            return
        await self._room.acquire()
        try:
            taken = await anyio.to_thread.run_sync(self._store, letter, limiter=self._storing)
        except BaseException:
            self._room.release()
            raise
        if taken.inquiry is None:
            self._room.release()
        else:
            self._begin(taken.entry, taken.inquiry)
        if letter.query:
            self._aside(self._app.bot.answer_callback_query(letter.query, taken.toast or None, taken.alert))

    def _store(self, letter: Letter) -> _Taken:
        """In a worker thread: the register's row, committed."""
        conversation = self._seal.pseudonym(f"telegram:{letter.address.chat}:{letter.address.user}")
        if letter.query:
            return self._tapped(letter, conversation)
        ending = f":{self._digest(letter)}"
        if letter.edited and self._book.has_key_ending(Channel.TELEGRAM, ending, now_beijing() - _EDITABLE):
            return _Taken()  # Telegram also calls it a change when a preview is added to a link
        key = f"{letter.update}{ending}"
        if letter.album:
            album = self._seal.pseudonym(f"telegram:{letter.address.chat}:album:{letter.album}")
            key = f"album:{album[:16]}"  # one answer for all pictures of an album
        return self._enter(letter, conversation, key, letter.text, letter.event)

    def _enter(self, letter: Letter, conversation: str, key: str, text: str, event: str) -> _Taken:
        inquiry = Inquiry(
            channel=Channel.TELEGRAM,
            message_key=f"{self._me.id}:{key}",
            conversation=conversation,
            text=text,
            received_at=now_beijing(),
            sender=pack(letter.address),
            event=event,
        )
        opened = self._book.open(inquiry)
        return _Taken(opened.entry, inquiry if opened.mine else None)

    def _digest(self, letter: Letter) -> str:
        """A name for the message and its words, the same when nothing was changed."""
        said = f"telegram:{letter.address.chat}:{letter.address.message}:{letter.event}:{letter.text}"
        return self._seal.pseudonym(said)[:16]

    # ---- taps ------------------------------------------------------------------------------------------------

    def _tapped(self, letter: Letter, conversation: str) -> _Taken:
        tap = letter.tap
        if tap is None:
            return _Taken(toast=say("stale"), alert=True)
        if tap.kind in (TapKind.USEFUL, TapKind.USELESS):
            return self._judged(tap, conversation)
        key = f"tap:{tap.data()}:{conversation[:16]}"
        if self._book.reply_to(Channel.TELEGRAM, f"{self._me.id}:{key}") is not None:
            return _Taken()  # the same button again, and it has its answer
        waiting = self._book.conversation(conversation, now_beijing(), self._expires)
        if not pending(tap, waiting):
            return self._stale(tap)
        words = "继续" if tap.kind is TapKind.MORE else waiting.choices[int(tap.detail)].send
        return self._enter(letter, conversation, key, words, f"tap:{tap.data()}")

    def _judged(self, tap: Tap, conversation: str) -> _Taken:
        try:
            own = self._book.find(tap.entry).conversation == conversation
        except UnknownEntry:
            own = False
        if not own:
            return _Taken(toast=say("stale"), alert=True)
        useful = tap.kind is TapKind.USEFUL
        self._book.judge(tap.entry, useful)
        return _Taken(toast=say("useful" if useful else "useless"), alert=not useful)

    def _stale(self, tap: Tap) -> _Taken:
        """A button of an earlier list, or somebody else's: noted in the history of its entry, and said so."""
        with contextlib.suppress(UnknownEntry):
            self._book.note(tap.entry, "stale_button", "")
        return _Taken(toast=say("stale"), alert=True)

    # ---- working ---------------------------------------------------------------------------------------------

    def _begin(self, entry: int, inquiry: Inquiry) -> None:
        """Work on an entry after what the same citizen sent before it; what is pending depends on the order."""
        name = inquiry.conversation
        task = asyncio.create_task(self._work(entry, inquiry, self._tails.get(name)))
        self._tails[name] = task
        task.add_done_callback(lambda done: self._done(name, done))

    async def _work(self, entry: int, inquiry: Inquiry, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            await anyio.to_thread.run_sync(self._reception.work, entry, inquiry, limiter=self._workers)
        except Exception as error:
            # The entry is committed: the sweeper takes it over when its lease has run out.
            log.error("entry %d was not answered (%s); the sweeper tries again", entry, type(error).__name__)

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._room.release()
        if self._tails.get(name) is task:
            del self._tails[name]
        self._wake.set()

    def _aside(self, call: Awaitable[object]) -> None:
        """Do something that may fail without harm: a tap that is not answered only keeps its clock turning."""

        async def quietly() -> None:
            try:
                await call
            except Exception as error:
                log.info("a tap was not acknowledged: %s", described(error))

        task = asyncio.create_task(quietly())
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    # ---- going out -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the line to the Bot API and send what is due, until cancelled."""
        if not self.on:
            return
        try:
            while True:
                try:
                    await self._turn()
                except Exception as error:
                    log.exception("the Telegram outbox failed (%s); it tries again", type(error).__name__)
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            if self._sending is not None:
                await asyncio.wait({self._sending})  # cut off now, it would be sent again after the restart
            with contextlib.suppress(Exception):
                await self._app.shutdown()
                await self._app.bot.shutdown()

    async def _turn(self) -> None:
        unsure = self._failures or not self._known.is_set() or time.monotonic() - self._reached_at > _PROBE_SECONDS
        if unsure and not await self._reach():
            pause = _pause(self._failures)
            self._trouble = replace(self._trouble, next_attempt=self._clock() + timedelta(seconds=pause))
            await self._sleep(pause)
            return
        self._sending = asyncio.create_task(self._outbox.step())
        if await asyncio.shield(self._sending):
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), _LOOK_SECONDS)

    async def _reach(self) -> bool:
        """Whether the Bot API answers; the first time it also tells who we are."""
        try:
            if not self._known.is_set():
                await self._app.initialize()
            user = await self._app.bot.get_me()
        except Exception as error:
            self._down(error)
            return False
        self._up()
        self._me = Me(user.id, user.username or "")
        if not self._known.is_set():
            self._known.set()
            commands = [BotCommand(name, about) for name, about in named("commands")]
            self._aside(self._app.bot.set_my_commands(commands))
        return True

    def _down(self, error: Exception) -> None:
        self._failures += 1
        text = f"the Bot API cannot be reached or refuses us: {described(error)}"
        if text != self._trouble.text:
            log.warning("%s", text)
        self._trouble = Trouble(text, self._trouble.since or self._clock())

    def _up(self) -> None:
        if self._trouble.text:
            log.warning("the Bot API answers again")
        self._failures, self._trouble, self._reached_at = 0, Trouble(""), time.monotonic()

    # ---- polling ---------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Fetch updates until cancelled. An update is acknowledged by the next call, after it was committed."""
        await self._known.wait()
        offset, failures = 0, 0
        while True:
            try:
                updates = await self._fetch(offset)
            except Exception as error:
                failures += 1
                now, pause = self._clock(), _pause(failures)
                since = self._poll_trouble.since or now
                self._poll_trouble = Trouble(_poll_trouble(error), since, now + timedelta(seconds=pause))
                log.warning("%s", self._poll_trouble.text)
                await self._sleep(pause)
                continue
            failures, self._poll_trouble = 0, Trouble("")
            self._up()
            for raw in updates:
                number = raw.get("update_id") if isinstance(raw, dict) else None
                if not await self._stored(raw):
                    break
                if isinstance(number, int):
                    offset = max(offset, number + 1)

    async def _fetch(self, offset: int) -> list[Any]:
        asked = {"timeout": _POLL_SECONDS, "allowed_updates": list(ALLOWED_UPDATES), "limit": _AT_WORK}
        if offset:
            asked["offset"] = offset
        updates = await self._app.bot.do_api_request("getUpdates", asked, read_timeout=_POLL_SECONDS + 10)
        if not isinstance(updates, list):
            raise TelegramError("getUpdates did not answer with a list")
        return updates

    async def _stored(self, raw: object) -> bool:
        """Whether the update needs not come again."""
        try:
            await self.take(raw)
        except MalformedMessage as error:
            number = raw.get("update_id") if isinstance(raw, dict) else "without a number"
            log.error("update %s is passed over: %s", number, error)
        except Exception as error:
            log.error("a Telegram update could not be stored (%s); it is fetched again", type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)
            return False
        return True


async def webhook(settings: Settings, action: str, url: str = "") -> dict[str, object]:
    """Set, delete or show the bot's webhook; returns what the Bot API then says of it.

    Without ``url`` the address is ``server.base_url`` + ``/telegram``. Waiting updates are kept. Raises
    :class:`ConfigError` and :class:`TelegramRefused`.
    """
    own = settings.telegram
    address = url or settings.server.base_url.rstrip("/") + PATH
    if action == "set":
        if not own.secret_token:
            raise ConfigError("a webhook needs BIANMIN_TELEGRAM__SECRET_TOKEN; set it to 20 or more random characters")
        if not address.startswith("https://") and own.api_base == TelegramSettings().api_base:
            raise ConfigError(
                f"Telegram calls only https addresses, not {address}; set server.base_url or name one: --url"
            )
    bot = application(own).bot
    try:
        async with bot:
            if action == "set":
                await bot.set_webhook(address, secret_token=own.secret_token, allowed_updates=list(ALLOWED_UPDATES))
            elif action == "delete":
                await bot.delete_webhook()
            info = await bot.get_webhook_info()
    except TelegramError as error:
        raise TelegramRefused(described(error)) from None  # the library's own error quotes the token
    return {
        "url": info.url,
        "pending": info.pending_update_count,
        "last_error_at": info.last_error_date.isoformat() if info.last_error_date else None,
        "last_error": info.last_error_message or "",
        "allowed_updates": list(info.allowed_updates or ()),
    }


def _pause(failures: int) -> float:
    """Seconds before the next try after so many failures."""
    return min(0.5 * 2.0 ** min(failures, 10), _LONGEST_BACKOFF)


def _poll_trouble(error: Exception) -> str:
    if isinstance(error, Conflict):
        return "somebody else fetches the updates, or a webhook is set; remove it with: bianmin telegram webhook delete"
    if isinstance(error, (InvalidToken, EndPointNotFound)):
        return described(error)
    return f"updates cannot be fetched: {described(error)}"


_CLOSED_DOOR = (
    "the webhook stays closed without a secret; set BIANMIN_TELEGRAM__SECRET_TOKEN, or webhook = false under [telegram] "
    "and run: bianmin telegram poll"
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


async def _closed(request: Request) -> Response:
    return PlainTextResponse("not found\n", 404)
