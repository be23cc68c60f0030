"""信箱工作进程: takes mail in, has it answered, sends the letters. One thread, one worker in all (a lease).

Each mail goes through the same steps, and each step is committed before the next, so the worker may be killed anywhere::

    server ──fetch──> kept (file and row, state new) ──\\Seen──> read ──> rules ──> caps ──> Reception.answer
           ──> letter in the register's outbox (or a draft) ──> SMTP ──> delivery recorded

A mail that cannot be read, or that has ended its worker three times, is set aside with the reason; the next one follows.
Only in one moment can a letter go out twice: the server has taken it and the worker dies before that is recorded. The
second copy bears the same Message-ID (see :mod:`bot.channels.mailbox_smtp`).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from bot.channels import mailbox_smtp
from bot.channels.mailbox_imap import Folder, wait
from bot.channels.mailbox_parse import Mail, parse
from bot.channels.mailbox_rules import Cap, automatic, needs_person
from bot.channels.mailbox_smtp import Parcel, message_of
from bot.channels.mailbox_store import MailState, MailStore, StoredMail, owner_name
from bot.channels.mailbox_words import plain_subject
from bot.channels.trouble import Trouble
from bot.config import MailAccountSettings, MailboxSettings
from bot.errors import BotError, MailServerProblem, UnknownMail, UnreadableMail
from register import codec
from register.book import Outbound, Outgoing
from register.clock import now_beijing
from register.errors import SealBroken
from register.inquiry import Channel, Inquiry, Reply
from register.seal import Seal
from replies.letters import LetterWriter

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
MOST_BEGINNINGS = 3
"""A mail that has been begun on so often without an end is set aside: it kills its worker."""

MOST_FETCHES = 6
FETCH_PATIENCE = timedelta(minutes=20)
"""A mail at which the connection has ended so often and for so long, while others came through, is left on the server
for a person; the next ones are read."""

LONGEST_FETCH_PATIENCE = timedelta(days=1)
"""The same where no other mail has come through: it may be the line's fault and not the mail's."""

TURN_SECONDS = 120.0  # then the next account has its turn; the rest of a long fetch follows
MOST_TRIES = 30
LONGEST_PAUSE = timedelta(hours=2)  # thirty tries: two days
FULL_AT = 0.95
"""Share of an account's quota from which ``/healthz`` calls it full: what comes then is returned to the citizen."""

_QUOTA_EVERY = timedelta(minutes=10)
_LONGEST_RECONNECT = timedelta(seconds=120)


class Reception(Protocol):
    """前台 (see :mod:`bot.reception`)."""

    def answer(self, inquiry: Inquiry, /) -> tuple[int, Reply]:
        """The entry and its reply; idempotent."""


class Book(Protocol):
    """登记册 (see :class:`register.book.RegisterBook`)."""

    def enqueue(self, entry: int | None, outgoing: Outgoing) -> int | None:
        """Keep something to be sent."""

    def claim_due(self, channel: Channel, limit: int = 10) -> list[Outbound]:
        """Lease what is due."""

    def record_attempt(self, number: int, outcome: str, retry_at: datetime | None = None, detail: str = "") -> None:
        """How sending went."""

    def postpone(self, number: int, until: datetime) -> None:
        """It was not tried."""

    def note(self, entry: int, kind: str, text: str) -> None:
        """One line of history."""


@dataclass(frozen=True, slots=True)
class Draft:
    """待审信件: what a person approves or rejects."""

    mail: StoredMail
    reply: Reply
    recipient: str
    subject: str


class Desk:
    """信箱办理: what is done with a mail once it is kept. Knows no server."""

    def __init__(
        self,
        settings: MailboxSettings,
        reception: Reception,
        book: Book,
        store: MailStore,
        seal: Seal,
        writer: LetterWriter,
        *,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self._settings = settings
        self._reception = reception
        self._book = book
        self._store = store
        self._seal = seal
        self._writer = writer
        self._clock = clock
        self._own = frozenset(account.address.lower() for account in settings.accounts.values())
        self._caps = caps_of(settings)

    def work(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Deal with every mail that waits; how many got an outcome."""
        done = after = 0
        while not stopped():
            waiting = self._store.fresh(after=after)
            if not waiting:
                return done
            for mail in waiting:
                if stopped():
                    return done
                after = mail.id
                done += self.deal(mail)
        return done

    def deal(self, mail: StoredMail) -> bool:
        """One mail to its outcome; False when it has to wait. Never raises because of the mail."""
        if self._store.begin(mail.id) > MOST_BEGINNINGS:
            self._set_aside(mail, MailState.QUARANTINED, f"given up after {MOST_BEGINNINGS} beginnings: {mail.reason}")
            return True
        try:
            return self._deal(mail)
        except (UnreadableMail, UnknownMail, SealBroken) as error:
            self._set_aside(mail, MailState.QUARANTINED, str(error))
        except DBAPIError:
            raise  # the database's trouble is not the mail's: the worker pauses
        except Exception as error:
            # Whatever a mail brings about ends here: it is tried again, and set aside when that does not help.
            log.exception("mail %d could not be dealt with", mail.id)
            self._store.conclude(mail.id, MailState.NEW, f"{type(error).__name__}: {error}")
            return False
        return True

    def _deal(self, stored: StoredMail) -> bool:
        mail = parse(self._store.original(stored))
        key = key_of(mail, stored)
        thread = self._thread(mail, key)
        twin = self._store.read(stored.id, message_key=key, thread=thread, sender=mail.reply_to)
        if not stored.forced:
            reason = automatic(mail, self._own)
            if reason is not None:
                return self._set_aside(stored, MailState.AUTOMATIC, reason)
            if twin is not None:
                return self._set_aside(stored, MailState.DUPLICATE, f"the same as mail {twin}")
            reason = needs_person(mail, require_return_path=self._settings.require_return_path)
            if reason is not None:
                return self._set_aside(stored, MailState.HELD, reason)
        if not mail.reply_to or mail.reply_to in self._own:
            return self._set_aside(stored, MailState.HELD, "no address to answer to")
        if not mail.question.strip() and not mail.attachments:
            return self._set_aside(stored, MailState.HELD, "nothing is written in it")
        recipient = self._seal.pseudonym(f"mail:{mail.reply_to}")
        cap = self._store.reserve(stored.id, recipient, self._caps)
        if cap is not None:
            return self._set_aside(stored, MailState.HELD, f"more than {cap.letters} letters in {cap.minutes} minutes")
        return self._answer(stored, mail, key, thread)

    def _answer(self, stored: StoredMail, mail: Mail, key: str, thread: str) -> bool:
        inquiry = Inquiry(
            channel=Channel.MAILBOX,
            message_key=key,
            conversation=thread,
            text=mail.question,
            received_at=stored.received_at,
            sender=mail.reply_to,
            subject=mail.subject,
            event="" if mail.question.strip() else "file",
        )
        try:
            entry, reply = self._reception.answer(inquiry)
        except BotError as error:  # another worker holds the entry; its lease is short
            log.info("mail %d waits: %s", stored.id, error)
            self._store.pause(stored.id)
            return False
        for attachment in mail.attachments:
            self._book.note(
                entry, "attachment", f"mail {stored.id}: {attachment.name}, {attachment.type}, {attachment.size} bytes"
            )
        account = self._settings.accounts.get(stored.account)
        letter_id = letter_id_of(key, account.address if account else mail.recipients[0] if mail.recipients else "x@x")
        if account is None or reply.kind.value not in account.auto_kinds:
            self._store.conclude(
                stored.id, MailState.DRAFT, f"draft: {reply.kind.value}", entry=entry, letter_id=letter_id
            )
            return True
        self._enqueue(stored, mail, entry, reply, account, letter_id)
        self._store.conclude(stored.id, MailState.ANSWERED, entry=entry, letter_id=letter_id)
        return True

    def _enqueue(
        self, stored: StoredMail, mail: Mail, entry: int, reply: Reply, account: MailAccountSettings, letter_id: str
    ) -> None:
        """Into the register's outbox, once a mail."""
        now = self._clock()
        subject = plain_subject(mail.subject)
        letter = self._writer.write(
            reply, entry, name=mail.sender_name, subject=subject, day=now.date(), received=stored.received_at
        )
        parcel = Parcel(
            account=stored.account,
            recipient=mail.reply_to,
            subject=f"答复：{subject or '您的来信'}"[:200],
            text=self._writer.text(letter),
            html=self._writer.html(letter),
            message_id=letter_id,
            in_reply_to=mail.message_id,
            references=mail.references or ((mail.in_reply_to,) if mail.in_reply_to else ()),
            written_at=now,
            docx=base64.b64encode(self._writer.docx(letter)).decode("ascii") if self._settings.attach_docx else "",
            docx_name=f"{letter.title}{entry}.docx",
        )
        payload = codec.dump(parcel)
        self._book.enqueue(entry, Outgoing(Channel.MAILBOX, mail.reply_to, payload, key=f"letter:{letter_id}"))

    def _thread(self, mail: Mail, key: str) -> str:
        """Sender and first mail of the thread. QQ answers with In-Reply-To only: then our own letter names the thread."""
        ours = self._store.thread_of((mail.in_reply_to, *mail.references))
        if ours:
            return ours
        root = mail.references[0] if mail.references else mail.in_reply_to or mail.message_id or key
        return self._seal.pseudonym(f"mailbox:{mail.reply_to}:{root}")

    def _set_aside(self, mail: StoredMail, state: MailState, reason: str) -> bool:
        log.info("mail %d is %s: %s", mail.id, state.value, reason)
        self._store.conclude(mail.id, state, reason)
        return True

    # ---- drafts ----------------------------------------------------------------------------------------------

    def drafts(self) -> list[Draft]:
        """Letters that wait for a person, newest first."""
        return [self._draft(mail) for mail in self._store.listed((MailState.DRAFT,))]

    def approve(self, number: int) -> None:
        """Send the draft. Raises :class:`UnknownMail`."""
        draft = self._draft(self._pending(number))
        account = self._settings.accounts.get(draft.mail.account)
        if account is None:
            raise UnknownMail(
                f"account '{draft.mail.account}' is not configured any more; draft {number} cannot be sent"
            )
        entry = draft.mail.entry or 0
        mail = parse(self._store.original(draft.mail))
        self._enqueue(draft.mail, mail, entry, draft.reply, account, draft.mail.letter_id)
        self._store.conclude(number, MailState.ANSWERED, "approved")
        self._book.note(entry, "approved", "the draft was approved")

    def reject(self, number: int, reason: str = "") -> None:
        """Do not send the draft: a person answers by other means. Raises :class:`UnknownMail`."""
        mail = self._pending(number)
        self._store.conclude(number, MailState.REJECTED, reason or "rejected")
        self._book.note(mail.entry or 0, "rejected", reason or "the draft was rejected")

    def _pending(self, number: int) -> StoredMail:
        mail = self._store.find(number)
        if mail.state is not MailState.DRAFT:
            raise UnknownMail(
                f"mail {number} is no draft (state: {mail.state.value}); list them: bianmin mailbox drafts"
            )
        return mail

    def _draft(self, stored: StoredMail) -> Draft:
        mail = parse(self._store.original(stored))
        inquiry = Inquiry(Channel.MAILBOX, stored.message_key, stored.thread, mail.question, stored.received_at)
        _, reply = self._reception.answer(inquiry)  # idempotent: the reply that was settled then
        return Draft(stored, reply, mail.reply_to, mail.subject)


class Outbox:
    """发件箱: hands letters to SMTP servers."""

    def __init__(
        self,
        settings: MailboxSettings,
        book: Book,
        store: MailStore,
        *,
        send: Callable[..., None] = mailbox_smtp.send,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self._settings = settings
        self._book = book
        self._store = store
        self._send = send
        self._clock = clock
        self._lines: dict[str, Line] = {}

    def work(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Deal with every letter that is due; how many were tried.

        A server that does not answer is left alone for a while: a thousand letters that each wait for its silence to
        end would keep this thread from reading mail, and the letters of other accounts from being sent.
        """
        tried = 0
        while not stopped():
            claimed = self._book.claim_due(Channel.MAILBOX, limit=1)
            if not claimed:
                return tried
            tried += self._deal(claimed[0])
        return tried

    def _deal(self, item: Outbound) -> bool:
        """One letter; False when its server is left alone just now."""
        try:
            parcel = codec.load(Parcel, item.payload)
        except ValueError:
            log.error("outbound %d is no letter; it is given up for staff", item.id)
            self._book.record_attempt(item.id, "unreadable")
            return True
        account = self._settings.accounts.get(parcel.account)
        if account is None:
            # The account may only be missing from this file: it is kept, and shown by the attempts.
            detail = f"account '{parcel.account}' is not configured"
            self._book.record_attempt(item.id, "no_account", self._next(item.attempts), detail)
            return True
        line = self._lines.setdefault(parcel.account, Line(self._clock))
        if not line.open:
            self._book.postpone(item.id, line.opens_at)
            return False
        try:
            message = message_of(parcel, account, base64.b64decode(parcel.docx) if parcel.docx else b"")
            self._send(account, item.address, message)
        except (MailServerProblem, ValueError, LookupError) as error:
            problem = error if isinstance(error, MailServerProblem) else MailServerProblem(str(error), final=True)
            retry_at = None if problem.final else self._next(item.attempts)
            outcome = f"refused:{problem.code}" if problem.code else "unreachable"
            log.warning("letter %d was not delivered: %s", item.id, problem)
            self._book.record_attempt(item.id, outcome, retry_at, str(problem))
            if not problem.server_is_well:
                self._store.troubled(f"{parcel.account} smtp", str(problem), line.down())
                return True
        else:
            self._book.record_attempt(item.id, "sent")
        line.up()
        self._store.troubled(f"{parcel.account} smtp", "")
        return True

    def _next(self, attempts: int) -> datetime | None:
        """When to try again after the ``attempts``-th failure; None to give up for staff."""
        if attempts >= MOST_TRIES:
            return None
        return self._clock() + min(timedelta(seconds=15 * 2 ** min(attempts - 1, 12)), LONGEST_PAUSE)


class Line:
    """线路: when a server that failed is tried again: after 2 s, 4 s … two minutes, until it answers."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._failures = 0
        self._closed_at = self.opens_at = clock()

    @property
    def open(self) -> bool:
        """Whether it may be tried now; a clock that was set back does not keep it closed."""
        return not self._closed_at <= self._clock() < self.opens_at

    def down(self) -> datetime:
        """It failed; when it is tried again."""
        self._closed_at = self._clock()
        self.opens_at = self._closed_at + min(timedelta(seconds=2 * 2 ** min(self._failures, 8)), _LONGEST_RECONNECT)
        self._failures += 1
        return self.opens_at

    def up(self) -> None:
        """It answered."""
        self._failures = 0
        self.opens_at = self._closed_at


@dataclass(slots=True)
class _Fetching:
    """取信尝试: how often a mail could not be had, since when, and how many others came through meanwhile."""

    since: datetime
    failures: int = 0
    others: int = 0


class Intake:
    """收件: one account's folder, read from where it stood."""

    def __init__(
        self,
        name: str,
        account: MailAccountSettings,
        settings: MailboxSettings,
        store: MailStore,
        *,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self.name = name
        self._account = account
        self._settings = settings
        self._store = store
        self._clock = clock
        self._hard: dict[int, _Fetching] = {}
        self._line = Line(clock)
        self._weighed_at: datetime | None = None
        self.folder: Folder | None = None

    def poll(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Take in what is new; how many mails. A problem is noted, not raised; the next look comes after a pause."""
        if not self._line.open:
            return 0
        try:
            if self.folder is None:
                self.folder = Folder(self._account)
            taken = self._poll(self.folder, stopped)
            self._weigh(self.folder)
        except MailServerProblem as error:
            self.trouble(error)
            return 0
        self._line.up()
        return taken

    def trouble(self, error: MailServerProblem) -> None:
        """Note the problem, drop the connection, wait a little longer each time."""
        log.warning("account %s: %s", self.name, error)
        self.close()
        self._store.troubled(self.name, str(error), self._line.down())

    def _poll(self, folder: Folder, stopped: Callable[[], bool]) -> int:
        state = self._store.account(self.name)
        uidvalidity = folder.uidvalidity
        if state.polled_at is not None and state.uidvalidity == uidvalidity:
            last = state.last_uid
            uids = folder.uids(last)
        else:
            last = max(
                folder.uids(0), default=0
            )  # whatever is not wanted of what is there now is never looked at again
            if state.polled_at is None:  # first look ever: old mail is not ours to answer
                since = (self._clock() - timedelta(days=self._settings.first_look_days)).date()
                uids = folder.uids(0, since, unseen=True)
            else:  # the server has numbered anew; what is known is known by its key
                uids = folder.uids(0, (state.polled_at - timedelta(days=1)).date())
        known = self._store.known(self.name, uidvalidity, uids)
        taken, stuck = 0, 0
        turn_ends = time.monotonic() + TURN_SECONDS
        for uid in sorted(set(uids) - known, key=lambda uid: (self._failures(uid), uid)):  # the hard ones come last
            if stopped() or time.monotonic() > turn_ends:
                return taken  # what is left is found again by the next look
            if self._take(folder, uidvalidity, uid):
                taken += 1
            else:
                stuck = stuck or uid
        reached = max(uids, default=last)
        self._store.polled(self.name, uidvalidity, stuck - 1 if stuck else max(reached, last))
        return taken

    def _take(self, folder: Folder, uidvalidity: int, uid: int) -> bool:
        """One mail; False when it could not be had this time. One that can never be had does not block the others."""
        hard = self._hard.setdefault(uid, _Fetching(self._clock()))
        patience = FETCH_PATIENCE if hard.others else LONGEST_FETCH_PATIENCE
        if hard.failures >= MOST_FETCHES and self._clock() - hard.since > patience:
            self._store.take_in(self.name, uidvalidity, uid, None, f"the server does not give UID {uid}")
            del self._hard[uid]
            return True
        hard.failures += 1
        fetched = folder.fetch(uid, self._settings.mail_limit_mb * 1_000_000)
        if fetched is None:
            return False
        cut = "" if fetched.size <= len(fetched.raw) else f"cut: {len(fetched.raw)} of {fetched.size} bytes"
        self._store.take_in(self.name, uidvalidity, uid, fetched.raw, cut)
        del self._hard[uid]
        for other in self._hard.values():
            other.others += 1
        folder.mark_seen(uid)  # after the commit: a crash in between shows it as unread, never as read and lost
        return True

    def _weigh(self, folder: Folder) -> None:
        """Note when the account is full."""
        now = self._clock()
        if self._weighed_at is not None and timedelta() <= now - self._weighed_at < _QUOTA_EVERY:
            return
        self._weighed_at = now
        share = folder.fullness()
        full = f"the mail account is {share:.0%} full, new mail is returned to its sender; move old mail elsewhere"
        self._store.troubled(f"{self.name} quota", full if share >= FULL_AT else "", now + _QUOTA_EVERY)

    def _failures(self, uid: int) -> int:
        return self._hard[uid].failures if uid in self._hard else 0

    def close(self) -> None:
        """Drop the connection."""
        if self.folder is not None:
            self.folder.close()
            self.folder = None


class Worker:
    """信箱工作者: the loop. ``run`` blocks; ``once`` makes one round."""

    def __init__(
        self,
        settings: MailboxSettings,
        desk: Desk,
        outbox: Outbox,
        store: MailStore,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._outbox = outbox
        self._store = store
        self._lease_seconds = lease_seconds
        self._owner = owner_name(secrets.token_hex(4))
        self._stop = threading.Event()
        self._lost = threading.Event()
        accounts = settings.accounts.items()
        self._intakes = [Intake(name, account, settings, store, clock=clock) for name, account in accounts]

    def stop(self) -> None:
        """End ``run`` after the step it is in."""
        self._stop.set()

    def run(self) -> None:
        """Work until :meth:`stop`; another worker that holds the lease is waited for."""
        while not self._stop.is_set():
            try:
                if self._begin():
                    try:
                        self._rounds()
                    finally:
                        self._end()
            except Exception:
                log.exception("the mailbox worker failed; it goes on in %d s", self._settings.poll_seconds)
            self._stop.wait(min(self._settings.poll_seconds, 5))

    def once(self) -> dict[str, int]:
        """One round: ``{taken, dealt, sent}``. Raises :class:`MailServerProblem` when another worker is at it."""
        if not self._begin():
            raise MailServerProblem("another mailbox worker is running; it does the work already")
        try:
            taken = sum(intake.poll(self._stopped) for intake in self._intakes)
            return {"taken": taken, "dealt": self._desk.work(self._stopped), "sent": self._outbox.work(self._stopped)}
        finally:
            self._end()

    def _rounds(self) -> None:
        while not self._stopped():
            for intake in self._intakes:
                intake.poll(self._stopped)
                self._desk.work(self._stopped)
            self._outbox.work(self._stopped)
            self._wait()

    def _wait(self) -> None:
        open_intakes = [intake for intake in self._intakes if intake.folder is not None]
        folders = [intake.folder for intake in open_intakes if intake.folder is not None]
        # A letter that failed may be due before the next look: five seconds of patience cost one cheap query.
        seconds = (
            min(self._settings.poll_seconds, 5) if not all(f.can_idle for f in folders) else self._settings.poll_seconds
        )
        try:
            wait(folders, seconds, self._stopped)
        except MailServerProblem as error:
            for intake in open_intakes:  # which of them it was does not matter: a new connection is cheap
                intake.close()
            log.info("waiting for mail ended: %s", error)

    def _stopped(self) -> bool:
        return self._stop.is_set() or self._lost.is_set()

    def _begin(self) -> bool:
        if not self._store.lease(self._owner, self._lease_seconds):
            return False
        self._lost.clear()
        self._finished = threading.Event()
        threading.Thread(target=self._keep_lease, args=(self._finished,), name="mailbox-lease", daemon=True).start()
        return True

    def _end(self) -> None:
        self._finished.set()
        for intake in self._intakes:
            intake.close()
        self._store.release(self._owner)

    def _keep_lease(self, finished: threading.Event) -> None:
        """Renew while the round goes on; without the lease the worker stops after the step it is in."""
        while not finished.wait(self._lease_seconds / 4):
            try:
                if not self._store.lease(self._owner, self._lease_seconds):
                    self._lost.set()
                    return
            except Exception:
                log.exception("the mailbox lease could not be renewed; trying again")


def caps_of(settings: MailboxSettings) -> tuple[Cap, ...]:
    """The caps of the configuration, each ``letters/minutes``."""
    pairs = (cap.partition("/") for cap in settings.caps)
    return tuple(Cap(int(most), int(minutes)) for most, _, minutes in pairs)


def key_of(mail: Mail, stored: StoredMail) -> str:
    """The register's key of a mail: the same for every copy of it, in whichever account or numbering.

    The Message-ID alone would not do: broken programs use one for all their mail. Without one the place is the key.
    """
    if not mail.message_id:
        return f"uid:{stored.account}:{stored.uidvalidity}:{stored.uid}"
    told = "\n".join((mail.message_id, mail.sender, mail.subject, mail.header("date") or ""))
    return f"mail:{hashlib.sha256(told.encode('utf-8', 'surrogatepass')).hexdigest()}"


def letter_id_of(key: str, address: str) -> str:
    """The Message-ID of the answer to the mail with this key: always the same one."""
    digest = hashlib.sha256(f"{address}:{key}".encode()).hexdigest()[:40]
    return f"<bianmin.{digest}@{address.rpartition('@')[2]}>"


def troubles(settings: MailboxSettings, store: MailStore, now: datetime, *, letters_wait: bool = True) -> list[Trouble]:
    """What is wrong with the mailbox, for ``/healthz``; empty when all is well or it is off.

    ``letters_wait`` says whether the outbox holds anything: a server that failed last is no trouble to nobody.
    """
    found = []
    patience = timedelta(seconds=max(3 * settings.poll_seconds, 120))
    for name in settings.accounts:
        state = store.account(name)
        smtp = store.account(f"{name} smtp")
        if state.problem:
            found.append(Trouble(f"mailbox {name}: {state.problem}", state.problem_since, state.retry_at))
        elif state.polled_at is None or now - state.polled_at > patience:
            since = (
                "has never been read"
                if state.polled_at is None
                else f"was last read at {state.polled_at:%Y-%m-%d %H:%M}"
            )
            if not store.working():
                text = f"mailbox {name}: {since} and no worker runs; start bianmin serve or bianmin mailbox"
                found.append(Trouble(text, state.polled_at))
            elif state.polled_at is not None:
                found.append(Trouble(f"mailbox {name}: {since}; look at the worker's log", state.polled_at))
        quota = store.account(f"{name} quota")
        if quota.problem:
            found.append(Trouble(f"mailbox {name}: {quota.problem}", quota.problem_since, quota.retry_at))
        if smtp.problem and letters_wait:
            found.append(Trouble(f"mailbox {name}: letters wait: {smtp.problem}", smtp.problem_since, smtp.retry_at))
    return found
