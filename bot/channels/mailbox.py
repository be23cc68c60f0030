"""县长信箱: the mailbox as the house sees it: its parts joined, its worker in the background, its routes.

The mail's way: :mod:`bot.channels.mailbox_worker`; what is never answered: :mod:`bot.channels.mailbox_rules`; the letter:
:mod:`replies.letters`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from starlette.routing import Route

from bot.channels.mailbox_api import mailbox_routes
from bot.channels.mailbox_parse import Mail, parse, safe_name
from bot.channels.mailbox_store import MailState, MailStore, StoredMail
from bot.channels.mailbox_worker import Desk, Outbox, Worker, troubles
from bot.channels.trouble import ChannelState, Trouble
from bot.config import Settings
from bot.reception import Reception
from register.book import Queue, RegisterBook
from register.clock import now_beijing
from register.inquiry import Channel
from register.seal import Seal
from replies.letters import LetterWriter
from replies.model import OfficeInfo

_STOP_SECONDS = 10.0


class Mailbox:
    """信箱: everything the assembly and the command line need of it."""

    def __init__(
        self,
        settings: Settings,
        reception: Reception,
        book: RegisterBook,
        seal: Seal,
        engine: Engine,
        office: OfficeInfo,
        *,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self._settings = settings
        self._reception = reception
        self._book = book
        self._seal = seal
        self._clock = clock
        self.store = MailStore(engine, seal, settings.data.folder / "mail", clock=clock)
        self.writer = LetterWriter(office, settings.server.base_url)
        self.desk = Desk(settings.mailbox, reception, book, self.store, seal, self.writer, clock=clock)
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None

    @property
    def configured(self) -> bool:
        """Whether any account is on."""
        return bool(self._settings.mailbox.accounts)

    @property
    def routes(self) -> list[Route]:
        """``/api/mailbox``."""
        return mailbox_routes(self._settings, self._reception, self._book, self._seal, self.writer)

    def worker(self) -> Worker:
        """A worker of this process; the lease decides which of several works."""
        outbox = Outbox(self._settings.mailbox, self._book, self.store, clock=self._clock)
        return Worker(self._settings.mailbox, self.desk, outbox, self.store, clock=self._clock)

    def start(self) -> None:
        """Run the worker in the background, where an account is configured."""
        if self.configured and self._thread is None:
            self._worker = self.worker()
            self._thread = threading.Thread(target=self._worker.run, name="mailbox", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the background worker; what it leaves undone waits in the database."""
        if self._worker is not None and self._thread is not None:
            self._worker.stop()
            self._thread.join(_STOP_SECONDS)
        self._worker = self._thread = None

    def problems(self) -> list[str]:
        """What is wrong just now, one English line each."""
        return [trouble.text for trouble in self._troubles(self._book.queues()[Channel.MAILBOX])]

    def state(self, queue: Queue) -> ChannelState:
        """For ``/healthz``; ``queue`` is the register's."""
        counts = self.store.counts()
        for_staff = counts[MailState.DRAFT] + counts[MailState.HELD] + counts[MailState.QUARANTINED]
        return ChannelState(
            on=self.configured,
            troubles=tuple(self._troubles(queue)),
            inbound_waiting=counts[MailState.NEW],
            outbound_waiting=queue.pending,
            given_up=queue.given_up,
            for_staff=for_staff,
        )

    def _troubles(self, queue: Queue) -> list[Trouble]:
        return troubles(self._settings.mailbox, self.store, self._clock(), letters_wait=queue.pending > 0)

    def set_aside(self, *, everything: bool = False) -> list[StoredMail]:
        """隔离区: mails that a person should look at; ``everything`` adds automatic mail and duplicates."""
        states = [MailState.HELD, MailState.QUARANTINED]
        if everything:
            states += [MailState.AUTOMATIC, MailState.DUPLICATE, MailState.REJECTED]
        return self.store.listed(states)

    def original(self, number: int, who: str, why: str) -> tuple[bytes, Mail | None]:
        """原信: a mail as it came, and as far as it can be read; the look is logged with the register's entry."""
        stored = self.store.find(number)
        raw = self.store.original(stored)
        if stored.entry:
            self._book.reveal(stored.entry, who, why)
        try:
            return raw, parse(raw)
        except Exception:  # what could not be read is exactly what a person wants to see as it is
            return raw, None

    def save(self, number: int, folder: Path, who: str, why: str) -> list[Path]:
        """Write the original and its attachments into ``folder`` (0600), under safe names; the paths."""
        raw, mail = self.original(number, who, why)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = [(f"mail-{number}.eml", raw)]
        if mail is not None:
            files += [(f"mail-{number}-{i}-{a.name}", a.content) for i, a in enumerate(mail.attachments, 1)]
        written = []
        for name, content in files:
            path = folder / safe_name(name, 0, "")
            path.touch(mode=0o600)
            path.write_bytes(content)
            written.append(path)
        return written
