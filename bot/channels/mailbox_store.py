"""信箱的存储: what the mailbox itself must remember. All SQL of the channel is here.

A mail is kept whole (sealed, ``data/mail/``) and as a row, both before anything is done with it; it leaves the state
``new`` only with an outcome. Moments are integers, microseconds since the epoch (:mod:`register.clock`); columns called
``…_sealed`` are encrypted (:mod:`register.seal`).
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.channels.mailbox_rules import Cap, over_cap
from bot.errors import UnknownMail
from register.clock import from_stored, now_beijing, to_stored
from register.seal import Seal

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Number = BigInteger().with_variant(Integer, "sqlite")

mails = Table(
    "mailbox_mails",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # MailState
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),  # workers that have begun on it
    Column("forced", Integer, nullable=False),  # 1: a person has decided that it is to be answered
    Column("file", Text, nullable=False),  # name below data/mail, empty where the server would not give it
    Column("size", BigInteger, nullable=False),
    Column("message_key", Text, nullable=False),  # the register's; empty until it was read
    Column("thread", Text, nullable=False),  # pseudonym of sender and first mail
    Column("letter_id", Text, nullable=False),  # Message-ID of our answer, empty while there is none
    Column("entry", _Number),
    Column("sender_sealed", Text),
    UniqueConstraint("account", "uidvalidity", "uid"),
    Index("ix_mailbox_mails_state", "state"),
    Index("ix_mailbox_mails_letter_id", "letter_id"),
    Index("ix_mailbox_mails_message_key", "message_key"),
    sqlite_autoincrement=True,
)

letters = Table(
    "mailbox_letters",
    metadata,
    Column("mail", _Number, primary_key=True, autoincrement=False),  # one answer a mail: a second reservation finds it
    Column("recipient", String(64), nullable=False),  # pseudonym
    Column("at", BigInteger, nullable=False),
    Index("ix_mailbox_letters_recipient_at", "recipient", "at"),
)

accounts = Table(
    "mailbox_accounts",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("last_uid", BigInteger, nullable=False),
    Column("polled_at", BigInteger, nullable=False),  # last time all went well, 0: never
    Column("problem", Text, nullable=False),
    Column("problem_since", BigInteger, nullable=False),
    Column("retry_at", BigInteger, nullable=False, server_default="0"),  # the next try of a troubled account
)

leases = Table(
    "mailbox_leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)


class MailState(StrEnum):
    """来信状态."""

    NEW = "new"  # to be read
    ANSWERED = "answered"  # the letter is queued or on its way
    DRAFT = "draft"  # waits for a person's approval
    REJECTED = "rejected"  # a person will answer by other means
    AUTOMATIC = "automatic"  # from a program, never answered
    HELD = "held"  # a person has to look: unsafe to answer by itself
    QUARANTINED = "quarantined"  # cannot be read or broke the worker
    DUPLICATE = "duplicate"  # the same mail again


@dataclass(frozen=True, slots=True)
class StoredMail:
    """存下的来信."""

    id: int
    account: str
    uidvalidity: int
    uid: int
    received_at: datetime
    state: MailState
    reason: str
    attempts: int
    forced: bool
    file: str
    size: int
    message_key: str
    thread: str
    letter_id: str
    entry: int | None


@dataclass(frozen=True, slots=True)
class AccountState:
    """账户状态: where the reading of a folder stands, and how it goes."""

    uidvalidity: int = 0
    last_uid: int = 0
    polled_at: datetime | None = None
    problem: str = ""
    problem_since: datetime | None = None
    retry_at: datetime | None = None


class MailStore:
    """信箱存储. Safe for threads and processes; ``folder`` holds the sealed originals."""

    def __init__(
        self, engine: Engine, seal: Seal, folder: Path, *, clock: Callable[[], datetime] = now_beijing
    ) -> None:
        self._reader = engine
        self._writer = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._seal = seal
        self._folder = folder
        self._clock = clock
        self._insert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    # ---- coming in -------------------------------------------------------------------------------------------

    def take_in(self, account: str, uidvalidity: int, uid: int, raw: bytes | None, reason: str = "") -> int | None:
        """Keep a mail as it came, committed; its number, or None when it was there already.

        ``raw`` None means that the server would not give it: the row is quarantined with the ``reason``.
        """
        name = "" if raw is None else self._keep(account, uidvalidity, uid, raw)
        row = {
            "account": account,
            "uidvalidity": uidvalidity,
            "uid": uid,
            "received_at": to_stored(self._clock()),
            "state": (MailState.NEW if raw is not None else MailState.QUARANTINED).value,
            "reason": reason,
            "attempts": 0,
            "forced": 0,
            "file": name,
            "size": len(raw or b""),
            "message_key": "",
            "thread": "",
            "letter_id": "",
        }
        statement = (
            self._insert(mails)
            .on_conflict_do_nothing(index_elements=["account", "uidvalidity", "uid"])
            .returning(mails.c.id)
        )
        with self._writer.begin() as connection:
            number: int | None = connection.execute(statement, row).scalar()
        return number

    def known(self, account: str, uidvalidity: int, uids: Collection[int]) -> set[int]:
        """Those of ``uids`` that have been taken in."""
        if not uids:
            return set()
        statement = select(mails.c.uid).where(
            mails.c.account == account, mails.c.uidvalidity == uidvalidity, mails.c.uid >= min(uids)
        )
        with self._reader.connect() as connection:
            return {row.uid for row in connection.execute(statement)} & set(uids)

    def original(self, mail: StoredMail) -> bytes:
        """The mail as it came. Raises :class:`UnknownMail` where the server never gave it or the file is gone."""
        path = self._folder / mail.file
        if not mail.file or not path.is_file():
            raise UnknownMail(f"mail {mail.id} was never received whole; look at it in the mail account itself")
        return self._seal.open(path.read_text("ascii")).encode("latin-1")

    def _keep(self, account: str, uidvalidity: int, uid: int, raw: bytes) -> str:
        """Written aside, synced and renamed: after a crash the file is whole or absent."""
        name = f"{account}/{uidvalidity}-{uid}.sealed"
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")  # mkstemp gives mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(self._seal.close(raw.decode("latin-1")))
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
        return name

    # ---- being worked on -------------------------------------------------------------------------------------

    def fresh(self, limit: int = 50, after: int = 0) -> list[StoredMail]:
        """Mails that wait to be dealt with, oldest first, numbers above ``after``."""
        statement = (
            select(mails)
            .where(mails.c.state == MailState.NEW.value, mails.c.id > after)
            .order_by(mails.c.id)
            .limit(limit)
        )
        with self._reader.connect() as connection:
            return [_stored(row) for row in connection.execute(statement)]

    def begin(self, number: int) -> int:
        """Count one more beginning, before the work: a mail that kills its worker is recognised by it."""
        with self._writer.begin() as connection:
            statement = (
                update(mails)
                .where(mails.c.id == number)
                .values(attempts=mails.c.attempts + 1)
                .returning(mails.c.attempts)
            )
            return int(connection.execute(statement).scalar_one())

    def pause(self, number: int) -> None:
        """The beginning was not the mail's fault (another worker holds the entry): take it back."""
        with self._writer.begin() as connection:
            connection.execute(update(mails).where(mails.c.id == number).values(attempts=mails.c.attempts - 1))

    def read(self, number: int, *, message_key: str, thread: str, sender: str) -> int | None:
        """Note what the mail says of itself; the number of an earlier mail that is the same, None if there is none."""
        with self._writer.begin() as connection:
            values = {"message_key": message_key, "thread": thread, "sender_sealed": self._seal.close(sender)}
            connection.execute(update(mails).where(mails.c.id == number).values(values))
            twin: int | None = connection.execute(
                select(func.min(mails.c.id)).where(mails.c.message_key == message_key, mails.c.id < number)
            ).scalar()
        return twin

    def conclude(
        self, number: int, state: MailState, reason: str = "", *, entry: int | None = None, letter_id: str = ""
    ) -> None:
        """Give the mail its outcome."""
        values: dict[str, Any] = {"state": state.value, "reason": reason[:500]}
        if entry is not None:
            values["entry"] = entry
        if letter_id:
            values["letter_id"] = letter_id
        with self._writer.begin() as connection:
            connection.execute(update(mails).where(mails.c.id == number).values(values))

    def reserve(self, number: int, recipient: str, caps: Collection[Cap]) -> Cap | None:
        """Count the answer to a mail against its recipient's caps, once; the cap that forbids it, else None."""
        now = self._clock()
        longest = max((cap.minutes for cap in caps), default=0)
        with self._writer.begin() as connection:
            if connection.execute(select(letters.c.mail).where(letters.c.mail == number)).first() is not None:
                return None
            since = to_stored(now - timedelta(minutes=longest))
            statement = select(letters.c.at).where(letters.c.recipient == recipient, letters.c.at > since)
            sent = [from_stored(row.at) for row in connection.execute(statement)]
            cap = over_cap(sent, now, tuple(caps))
            if cap is None:
                connection.execute(insert(letters), {"mail": number, "recipient": recipient, "at": to_stored(now)})
        return cap

    def thread_of(self, letter_ids: Collection[str]) -> str:
        """The thread that one of our letters belongs to, empty if none of these is ours."""
        wanted = [letter_id for letter_id in letter_ids if letter_id]
        if not wanted:
            return ""
        statement = select(mails.c.thread).where(mails.c.letter_id.in_(wanted)).order_by(mails.c.id.desc()).limit(1)
        with self._reader.connect() as connection:
            return str(connection.execute(statement).scalar() or "")

    # ---- staff -----------------------------------------------------------------------------------------------

    def find(self, number: int) -> StoredMail:
        """One mail. Raises :class:`UnknownMail`."""
        with self._reader.connect() as connection:
            row = connection.execute(select(mails).where(mails.c.id == number)).first()
        if row is None:
            raise UnknownMail(f"the mailbox has no mail {number}; list them with: bianmin mailbox quarantine")
        return _stored(row)

    def listed(self, states: Collection[MailState], limit: int = 200) -> list[StoredMail]:
        """Mails in these states, newest first."""
        statement = (
            select(mails)
            .where(mails.c.state.in_([state.value for state in states]))
            .order_by(mails.c.id.desc())
            .limit(limit)
        )
        with self._reader.connect() as connection:
            return [_stored(row) for row in connection.execute(statement)]

    def redeliver(self, number: int) -> StoredMail:
        """重新投递: a person has decided that a mail set aside is to be answered. Raises :class:`UnknownMail`."""
        mail = self.find(number)
        if mail.state not in (MailState.HELD, MailState.QUARANTINED, MailState.AUTOMATIC):
            raise UnknownMail(f"mail {number} is not set aside (state: {mail.state.value}); nothing to redeliver")
        self.original(mail)
        values = {"state": MailState.NEW.value, "forced": 1, "attempts": 0, "reason": ""}
        with self._writer.begin() as connection:
            connection.execute(update(mails).where(mails.c.id == number).values(values))
        return self.find(number)

    def sender(self, number: int) -> str:
        """The sender's address, empty where the mail could not be read."""
        with self._reader.connect() as connection:
            sealed = connection.execute(select(mails.c.sender_sealed).where(mails.c.id == number)).scalar()
        return self._seal.open(sealed) if sealed else ""

    def counts(self) -> dict[MailState, int]:
        """Number of mails in each state."""
        statement = select(mails.c.state, func.count()).group_by(mails.c.state)
        with self._reader.connect() as connection:
            counted = {row[0]: row[1] for row in connection.execute(statement)}
        return {state: counted.get(state.value, 0) for state in MailState}

    # ---- accounts --------------------------------------------------------------------------------------------

    def account(self, account: str) -> AccountState:
        """Where the reading of this account stands."""
        with self._reader.connect() as connection:
            row = connection.execute(select(accounts).where(accounts.c.account == account)).first()
        if row is None:
            return AccountState()
        return AccountState(
            row.uidvalidity,
            row.last_uid,
            from_stored(row.polled_at) if row.polled_at else None,
            row.problem,
            from_stored(row.problem_since) if row.problem_since else None,
            from_stored(row.retry_at) if row.retry_at else None,
        )

    def polled(self, account: str, uidvalidity: int, last_uid: int) -> None:
        """All went well: what came up to ``last_uid`` is kept."""
        self._note(
            account,
            uidvalidity=uidvalidity,
            last_uid=last_uid,
            polled_at=to_stored(self._clock()),
            problem="",
            problem_since=0,
            retry_at=0,
        )

    def troubled(self, account: str, problem: str, retry_at: datetime | None = None) -> None:
        """The account cannot be read or written to, and when that is tried again; for ``/healthz``. Empty: it can again."""
        before = self.account(account)
        since = to_stored(before.problem_since or self._clock()) if problem else 0
        retry = to_stored(retry_at) if problem and retry_at else 0
        self._note(account, problem=problem[:300], problem_since=since, retry_at=retry)

    def _note(self, account: str, **values: Any) -> None:
        row = {
            "account": account,
            "uidvalidity": 0,
            "last_uid": 0,
            "polled_at": 0,
            "problem": "",
            "problem_since": 0,
            "retry_at": 0,
            **values,
        }
        statement = self._insert(accounts).values(row)
        statement = statement.on_conflict_do_update(index_elements=["account"], set_=values)
        with self._writer.begin() as connection:
            connection.execute(statement)

    # ---- lease -----------------------------------------------------------------------------------------------

    def lease(self, owner: str, seconds: float, name: str = "worker") -> bool:
        """Be, or go on being, the one worker. An owner on this machine whose process is gone is succeeded at once."""
        now = to_stored(self._clock())
        until = now + round(seconds * 1_000_000)
        with self._writer.begin() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).first()
            if row is None:
                connection.execute(insert(leases), {"name": name, "owner": owner, "until": until})
                return True
            if row.owner != owner and row.until > now and not _gone(row.owner):
                return False
            connection.execute(update(leases).where(leases.c.name == name).values(owner=owner, until=until))
            return True

    def release(self, owner: str, name: str = "worker") -> None:
        """Let another worker begin at once."""
        with self._writer.begin() as connection:
            connection.execute(
                update(leases).where(leases.c.name == name, leases.c.owner == owner).values(until=0, owner="")
            )

    def working(self, name: str = "worker") -> bool:
        """Whether some worker holds the lease."""
        with self._reader.connect() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).first()
        return row is not None and bool(row.owner) and row.until > to_stored(self._clock()) and not _gone(row.owner)

    def waiting(self) -> int:
        """Mails and drafts not dealt with yet."""
        statement = select(func.count()).where(
            or_(mails.c.state == MailState.NEW.value, mails.c.state == MailState.DRAFT.value)
        )
        with self._reader.connect() as connection:
            return int(connection.execute(statement).scalar_one())


def owner_name(token: str) -> str:
    """How a worker signs its lease: machine, process, and a ``token`` of its own."""
    return f"{socket.gethostname()}:{os.getpid()}:{token}"


def _gone(owner: str) -> bool:
    host, _, rest = owner.partition(":")
    pid, _, _ = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _stored(row: Row[Any]) -> StoredMail:
    return StoredMail(
        id=row.id,
        account=row.account,
        uidvalidity=row.uidvalidity,
        uid=row.uid,
        received_at=from_stored(row.received_at),
        state=MailState(row.state),
        reason=row.reason,
        attempts=row.attempts,
        forced=bool(row.forced),
        file=row.file,
        size=row.size,
        message_key=row.message_key,
        thread=row.thread,
        letter_id=row.letter_id,
        entry=row.entry,
    )
