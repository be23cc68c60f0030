"""装配: the only place where parts are joined.

``build`` makes a :class:`House` from settings; ``asgi`` puts the doors in front of it. What the two ground rooms need
from each other is handed over here as plain functions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import anyio.to_thread
from sqlalchemy import Engine, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot.channels import telegram, telegram_outbox, web, wechat
from bot.channels.mailbox import Mailbox
from bot.channels.trouble import ChannelState
from bot.config import Settings
from bot.database import migrate, open_engine
from bot.errors import ConfigError
from bot.reception import Limits, Manner, Reception, Thinker
from knowledge import lexicon, matters, store
from knowledge.index.engines import open_index
from knowledge.lexicon import Lexicon
from knowledge.library import Library
from knowledge.matters import Matters
from knowledge.model import Organ
from knowledge.semantic import SemanticIndex, open_model
from register import privacy
from register.book import RegisterBook
from register.clock import now_beijing
from register.inquiry import Channel, Inquiry
from register.seal import Seal, load_or_create
from replies import sensitive
from replies.composer import Composer
from replies.kinds import Context
from replies.model import OfficeInfo

log = logging.getLogger(__name__)

# What must not stand in a text that is opened to citizens (domain rule: contacts of an office may, people's may not).
_GUARDED = frozenset({"id_card", "mobile", "bank_card", "address", "passport", "permit"})

_SWEEP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class House:
    """The joined parts."""

    settings: Settings
    engine: Engine
    seal: Seal
    book: RegisterBook
    library: Library
    composer: Composer
    reception: Reception

    def close(self) -> None:
        """Release files and connections."""
        self.library.close()
        self.engine.dispose()


def build(
    settings: Settings, *, today: Callable[[], date] = lambda: now_beijing().date(), thinker: Thinker | None = None
) -> House:
    """Join the parts over the configured data folder; makes and migrates the database where needed.

    ``thinker`` looks up and writes the answers in place of this process (:mod:`bot.thinkers`).
    """
    folder = settings.data.folder
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database_url, threads=settings.server.threads + 4)
    migrate(engine)
    seal = load_or_create(settings.register.encryption_key, folder)
    contacts = OfficeContacts(settings, engine)
    own_list = own_matters(settings)
    book = RegisterBook(engine, seal, lease_seconds=settings.register.lease_seconds, office_contacts=contacts)
    book.verify_seal()
    library = Library(
        engine,
        lambda: open_index(settings.index.engine, folder / "index"),
        originals=folder / "originals",
        personal_data=lambda text: guarded_personal_data(text, contacts()),
        semantic=semantic_stage(settings),
        lexicon=own_lexicon(settings),
        matters=own_list,
        today=today,
    )
    contacts.library = library
    office = office_info(settings)
    composer = make_composer(settings)
    context = Context(
        answer_at=settings.answers.answer_at,
        choices_at=settings.answers.choices_at,
        family_at=settings.answers.family_at,
        family_share=settings.answers.family_share,
        office=office,
        today=today(),
        own_organ=office.name,
        matters=own_list,
    )
    limits = Limits(
        wait_seconds=settings.wechat.answer_within_seconds,
        expires_minutes=settings.conversation.expires_minutes,
        reply_bytes={Channel.WECHAT: settings.wechat.reply_bytes, Channel.TELEGRAM: settings.telegram.reply_bytes},
        channel_minutes={Channel.MAILBOX: settings.mailbox.thread_days * 24 * 60},
    )
    own_words = settings.answers.sensitive_words
    screen = sensitive.load(Path(own_words)) if own_words else sensitive.shipped()
    manners = {Channel.TELEGRAM: Manner(telegram_outbox.understood, telegram_outbox.outgoing)}
    reception = Reception(book, library, composer, context, limits, screen, manners, thinker)
    return House(settings, engine, seal, book, library, composer, reception)


def own_lexicon(settings: Settings) -> Lexicon:
    """The dictionary of lay words, with the office's own laid over it. Raises ``ConfigError`` naming file and line."""
    own = settings.answers.lexicon
    try:
        return lexicon.load(Path(own) if own else None)
    except lexicon.BadLexicon as error:
        raise ConfigError(f"[answers] lexicon: {error}") from error


def own_matters(settings: Settings) -> Matters | None:
    """The list of departments' matters with the office's own laid over it; None: the one that ships.

    Raises ``ConfigError`` naming file and matter.
    """
    own = settings.answers.matters
    try:
        return matters.load(Path(own)) if own else None
    except matters.BadMatters as error:
        raise ConfigError(f"[answers] matters: {error}") from error


def semantic_stage(settings: Settings) -> SemanticIndex | None:
    """Search by meaning beside the engine's index; None (search goes on by words) when switched off or without weights."""
    if not settings.index.semantic:
        return None
    model = open_model(settings.data.folder)
    return SemanticIndex(settings.data.folder / "index" / "semantic", model) if model is not None else None


def make_composer(settings: Settings) -> Composer:
    """The writer of replies, with the office's own templates where it has any."""
    own = settings.answers.templates
    return Composer(
        override=Path(own) if own else None,
        office=office_info(settings),
        base_url=settings.server.base_url,
        quote_characters=settings.answers.quote_characters,
    )


class OfficeContacts:
    """办公联系方式: the public numbers and addresses of the office and of the organ directory; these are no personal data.

    Asked with every text that is masked, and so remembered until the directory is another one.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        """``library`` is set as soon as there is one."""
        self.library: Library | None = None
        self._engine = engine
        self._own = frozenset(filter(None, (settings.office.phone, settings.office.address, settings.office.email)))
        self._at_first: tuple[Organ, ...] | None = None
        self._of: tuple[tuple[Organ, ...], frozenset[str]] = ((), self._own)

    def __call__(self) -> frozenset[str]:
        """The contacts of the directory as the library last saw it."""
        if self.library is None:
            return self._own
        organs = self.library.directory()
        if not organs:  # nobody has asked the library yet, and it need not be opened to look at the register
            if self._at_first is None:
                with self._engine.connect() as connection:
                    self._at_first = store.read_organs(connection)
            organs = self._at_first
        known, contacts = self._of
        if organs is not known:
            contacts = self._own | frozenset(filter(None, (c for o in organs for c in (o.phone, o.address))))
            self._of = (organs, contacts)
        return contacts


def guarded_personal_data(text: str, contacts: frozenset[str] = frozenset()) -> list[tuple[str, int, int]]:
    """Personal data that may not stand in a text to be published; the library's guard at the door."""
    return [(d.kind, d.start, d.end) for d in privacy.find(text, office_contacts=contacts) if d.kind in _GUARDED]


def office_info(settings: Settings) -> OfficeInfo:
    """The office as the replies name it."""
    o = settings.office
    return OfficeInfo(
        name=o.name,
        county=o.county,
        assistant=o.assistant,
        address=o.address,
        phone=o.phone,
        hours=o.hours,
        hotline=o.hotline,
        apply_url=o.apply_url,
        email=o.email,
        notice=o.notice,
        handover_days=o.handover_days,
    )


def mailbox_of(house: House) -> Mailbox:
    """县长信箱 over the parts of this house."""
    office = office_info(house.settings)
    return Mailbox(house.settings, house.reception, house.book, house.seal, house.engine, office)


def wechat_of(house: House) -> wechat.Door:
    """微信门 over the parts of this house."""
    return wechat.Door(
        house.settings, house.reception, house.book, house.seal, house.engine, documents=house.library.documents
    )


def telegram_of(house: House) -> telegram.Door:
    """Telegram 门 over the parts of this house."""
    return telegram.Door(house.settings, house.reception, house.book, house.seal)


async def poll_telegram(house: House) -> None:
    """Fetch and answer Telegram's updates until cancelled, beside ``bianmin serve`` or without it."""
    door = telegram_of(house)
    # Whoever sweeps may meet any channel's entries, so WeChat's late answers have to be seen to here as well.
    await asyncio.gather(door.run(), door.poll(), _sweep(house, wechat_of(house).abandoned))


def asgi(house: House) -> Starlette:
    """The web application of ``bianmin serve``."""
    mailbox = mailbox_of(house)
    door = wechat_of(house)
    bot = telegram_of(house)

    async def healthz(_: Request) -> Response:
        return await anyio.to_thread.run_sync(answer_health)

    def channel_states() -> dict[str, ChannelState]:
        queues = house.book.queues()
        return {
            "wechat": door.state(queues[Channel.WECHAT]),
            "mailbox": mailbox.state(queues[Channel.MAILBOX]),
            "telegram": bot.state(queues[Channel.TELEGRAM]),
        }

    def answer_health() -> Response:
        problems = health(house)
        try:
            states = channel_states()
        except Exception as error:  # a broken database is what somebody asks after here
            log.exception("the state of the channels cannot be read")
            problems = problems or [f"channels: {type(error).__name__}; look at the log"]
            states = {}
        problems += [trouble.text for state in states.values() for trouble in state.troubles]
        channels = {name: state.as_json() for name, state in states.items()}
        if problems:
            return JSONResponse({"status": "failing", "problems": problems, "channels": channels}, 503)
        library = house.library.state()
        return JSONResponse(
            {
                "status": "ok",
                "documents": library.documents,
                "passages": library.passages,
                "as_of": library.as_of.isoformat() if library.as_of else None,
                "channels": channels,
            }
        )

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(
            await anyio.to_thread.run_sync(lambda: metrics_text(house) + channel_metrics(channel_states())),
            media_type="text/plain; version=0.0.4",
        )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = house.settings.server.threads
        running = (_sweep(house, door.abandoned), door.run(), bot.run())
        workers = [asyncio.create_task(worker) for worker in running]
        mailbox.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(mailbox.stop)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            *door.routes,
            *mailbox.routes,
            *bot.routes,
            *web.routes(house.settings, house.reception, house.library, house.book, house.seal),
        ],
        exception_handlers=web.exception_handlers(house.settings, house.library),
        lifespan=lifespan,
    )


async def _sweep(house: House, abandoned: Callable[[Inquiry], None]) -> None:
    """Finish what a killed worker left behind, and let validity follow the calendar.

    ``abandoned`` is told of an inquiry before it is answered, so that its channel can deliver the answer.
    """
    day = None
    while True:
        try:
            today = now_beijing().date()
            if day != today:
                await anyio.to_thread.run_sync(house.library.refresh_validity)
                await anyio.to_thread.run_sync(house.library.sync)
                day = today
            await anyio.to_thread.run_sync(house.library.organs)  # what is masked depends on it, whoever looks up
            await anyio.to_thread.run_sync(house.reception.sweep, now_beijing(), abandoned)
        except Exception:
            log.exception("the sweeper failed; it tries again in %s s", _SWEEP_SECONDS)
        await asyncio.sleep(_SWEEP_SECONDS)


def health(house: House) -> list[str]:
    """What is wrong, in English, one line each; empty when all is well."""
    problems: list[str] = []
    try:
        with house.engine.connect() as connection:
            connection.execute(select(1))
    except Exception as error:
        return [f"database: {type(error).__name__}; check database.url and the data folder"]
    try:
        state = house.library.state()
        if state.documents == 0:
            problems.append("library: empty; run: bianmin ingest PATH")
        elif state.index_version == "":
            problems.append("index: missing; run: bianmin check --repair")
    except Exception as error:
        problems.append(f"library: {type(error).__name__}; run: bianmin check")
    return problems


def channel_metrics(states: Mapping[str, ChannelState]) -> str:
    """Prometheus text of how the channels stand: the queue lengths, and 1 for a channel that is failing."""
    lines = ["# TYPE bianmin_channel_waiting gauge"]
    for name, state in states.items():
        for queue in ("inbound_waiting", "outbound_waiting", "given_up", "for_staff", "for_next_message"):
            lines.append(f'bianmin_channel_waiting{{channel="{name}",queue="{queue}"}} {getattr(state, queue)}')
    lines.append("# TYPE bianmin_channel_failing gauge")
    lines += [f'bianmin_channel_failing{{channel="{name}"}} {int(bool(s.troubles))}' for name, s in states.items()]
    return "\n".join(lines) + "\n"


def metrics_text(house: House) -> str:
    """Prometheus text of the counts that matter."""
    state = house.library.state()
    lines = [
        "# TYPE bianmin_documents gauge",
        f"bianmin_documents {state.documents}",
        "# TYPE bianmin_passages gauge",
        f"bianmin_passages {state.passages}",
        "# TYPE bianmin_documents_waiting gauge",
        f"bianmin_documents_waiting {state.waiting}",
        "# TYPE bianmin_entries_total counter",
    ]
    for (channel, status, kind), count in sorted(house.book.counts().items()):
        lines.append(f'bianmin_entries_total{{channel="{channel}",status="{status}",kind="{kind}"}} {count}')
    return "\n".join(lines) + "\n"
