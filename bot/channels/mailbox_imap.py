"""收信: the IMAP side, on the standard library's :mod:`imaplib`. One connection an account, one thread for all.

Reads with BODY.PEEK, so that nothing is marked before it is kept; waits with IDLE (RFC 2177) where the server offers it.
NetEase (163, 126, yeah.net) refuses SELECT ("Unsafe Login") until a client has said its name with ID (RFC 2971).
Every failure of the network or the server becomes :class:`MailServerProblem`.

A socket's timeout ends silence, not a server that says one byte now and then. So each step has a deadline of its own, at
which the connection is cut from another thread; the thread that reads finds it closed.
"""

from __future__ import annotations

import base64
import imaplib
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from bot.channels import mailbox_tls
from bot.config import MailAccountSettings
from bot.errors import MailServerProblem

TIMEOUT = 30.0
"""Seconds a server may be silent."""

STEP_SECONDS = 60.0
"""Seconds for a whole step: connecting and logging in, a search, what is asked of one mail."""

SLOWEST = 100_000
"""Bytes a second that a mail may be fetched with at the slowest, on top of a step's seconds."""

_QUOTA = re.compile(rb"\bSTORAGE (\d+) (\d+)")
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
_UID = re.compile(rb"UID (\d+)")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_IDLE_TAG = b"BMIDLE"


@dataclass(frozen=True, slots=True)
class Fetched:
    """取回的邮件: its bytes, cut where it is longer than the cap; ``size`` is the whole."""

    raw: bytes
    size: int


class Folder:
    """邮箱文件夹: an open folder of one account."""

    def __init__(self, account: MailAccountSettings) -> None:
        """Connect, log in and open the folder. Raises :class:`MailServerProblem`."""
        self._account = account
        self._idling = False
        self._deadline = _Deadline()
        self._imap: Any = None
        try:
            with self._speaking():
                self._imap = _Connection(account, self._deadline)
                self._log_in()
        except MailServerProblem:
            self.close()
            raise

    def _log_in(self) -> None:
        account, imap = self._account, self._imap
        if account.imap_tls == "starttls":
            if imap.state != "NONAUTH" or "STARTTLS" not in imap.capabilities:
                raise mailbox_tls.not_offered(f"IMAP {account.imap_host}:{account.imap_port}", "imap")
            imap.starttls(mailbox_tls.context_of(account))
        imap.login(account.imap_user or account.address, account.imap_password)
        # Capabilities differ before and after login (RFC 3501 6.2.3).
        kind, data = imap.capability()
        self._capabilities = (data[-1] or b"").decode("ascii", "replace").upper().split() if kind == "OK" else []
        if "ID" in self._capabilities:
            imap.xatom("ID", '("name" "bianmin" "vendor" "bianmin")')
        kind, data = imap.select(_quoted(account.folder))
        if kind != "OK":
            raise MailServerProblem(f"IMAP folder '{account.folder}' cannot be opened: {_text(data)}")
        answer = imap.response("UIDVALIDITY")[1]
        self.uidvalidity = int(answer[0]) if answer and answer[0] else 0

    @property
    def can_idle(self) -> bool:
        """Whether the server tells of new mail by itself."""
        return "IDLE" in self._capabilities

    def fullness(self) -> float:
        """How full the mailbox is, 0 to 1 (RFC 9208); 0 where the server does not tell."""
        if "QUOTA" not in self._capabilities:
            return 0.0
        with self._speaking():
            kind, data = self._imap.getquotaroot(_quoted(self._account.folder))
        if kind != "OK":
            return 0.0
        told = b" ".join(piece for part in data for piece in part if isinstance(piece, bytes))
        shares = [int(used) / int(most) for used, most in _QUOTA.findall(told) if int(most)]
        return max(shares, default=0.0)

    def uids(self, after: int, since: date | None = None, *, unseen: bool = False) -> list[int]:
        """UIDs above ``after``, rising; ``since`` keeps those that arrived on or after a day."""
        criteria = ["UID", f"{after + 1}:*"]
        if since is not None:
            criteria += ["SINCE", f"{since.day:02d}-{_MONTHS[since.month - 1]}-{since.year}"]
        if unseen:
            criteria.append("UNSEEN")
        with self._speaking():
            data = self._ok(self._imap.uid("SEARCH", *criteria))
        found = b" ".join(piece for piece in data if isinstance(piece, bytes)).split()
        # "5:*" names the last mail even when its UID is below 5 (RFC 3501 6.4.8).
        return sorted({int(uid) for uid in found if uid.isdigit() and int(uid) > after})

    def fetch(self, uid: int, cap: int) -> Fetched | None:
        """The mail, at most its first ``cap`` bytes; None when it is no longer there or the server will not give it."""
        with self._speaking():
            size = self._size(uid)
        if size is None:
            return None
        with self._speaking(STEP_SECONDS + min(size, cap) / SLOWEST):
            part = f"BODY.PEEK[]<0.{cap}>" if size > cap else "BODY.PEEK[]"
            kind, data = self._imap.uid("FETCH", str(uid), f"({part})")
        if kind != "OK":
            return None
        for piece in data:
            if isinstance(piece, tuple) and len(piece) >= 2 and isinstance(piece[1], bytes):
                return Fetched(piece[1], size)
        return None

    def _size(self, uid: int) -> int | None:
        kind, data = self._imap.uid("FETCH", str(uid), "(RFC822.SIZE)")
        if kind != "OK":
            return None
        for piece in data:
            line = piece[0] if isinstance(piece, tuple) else piece
            if isinstance(line, bytes):
                named, found = _UID.search(line), _SIZE.search(line)
                if found and named and int(named.group(1)) == uid:
                    return int(found.group(1))
        return None

    def mark_seen(self, uid: int) -> None:
        """Show people who look into the account that the mail has been taken in; a read-only folder is left as it is."""
        with self._speaking():
            self._imap.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Seen)")

    # ---- waiting ---------------------------------------------------------------------------------------------

    def start_idle(self) -> None:
        """Ask to be told of new mail."""
        with self._speaking():
            self._imap.send(_IDLE_TAG + b" IDLE\r\n")
            while True:
                line = self._imap.readline()
                if line.startswith(b"+"):
                    self._idling = True
                    return
                if not line or line.startswith(_IDLE_TAG):
                    raise MailServerProblem("the server offered IDLE and refused it")

    def stop_idle(self) -> None:
        """Go back to speaking."""
        if not self._idling:
            return
        self._idling = False
        with self._speaking():
            self._imap.send(b"DONE\r\n")
            while True:
                line = self._imap.readline()
                if not line:
                    raise MailServerProblem("the connection was closed while waiting for mail")
                if line.startswith(_IDLE_TAG):
                    return

    @property
    def socket(self) -> socket.socket:
        """To wait on."""
        sock: socket.socket = self._imap.socket()
        return sock

    def close(self) -> None:
        """Leave, whatever the state of the connection."""
        try:
            if self._idling:
                self._imap.send(b"DONE\r\n")
            if self._imap is not None:
                self._imap.shutdown()
        except (OSError, imaplib.IMAP4.error):
            return  # it is being given up anyway
        finally:
            self._deadline.close()

    def _ok(self, answer: tuple[str, list[Any]]) -> list[Any]:
        kind, data = answer
        if kind != "OK":
            raise MailServerProblem(f"the IMAP server answered {kind}: {_text(data)}")
        return data

    @contextmanager
    def _speaking(self, seconds: float | None = None) -> Iterator[None]:
        """One step, within ``seconds`` (None: :data:`STEP_SECONDS`)."""
        where = f"IMAP {self._account.imap_host}:{self._account.imap_port}"
        seconds = STEP_SECONDS if seconds is None else seconds
        try:
            with self._deadline.of(seconds), _problems(where):
                yield
        except MailServerProblem as problem:
            if self._deadline.passed:
                raise MailServerProblem(f"{where}: not done within {seconds:.0f} s, far too slow; cut off") from problem
            raise


class _Deadline:
    """期限: cuts a connection whose step takes too long."""

    def __init__(self) -> None:
        self.passed = False
        self._wire: socket.socket | None = None

    def watch(self, connection: socket.socket) -> None:
        """The connection to be cut. A second handle is kept: TLS takes the first one away."""
        self._wire = connection.dup()

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        self.passed = True
        if self._wire is not None:
            with suppress(OSError):  # it has ended by itself
                self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the handle."""
        if self._wire is not None:
            self._wire.close()


class _Connection(imaplib.IMAP4):
    """imaplib's connection under a deadline from its first byte on, the TLS handshake included."""

    def __init__(self, account: MailAccountSettings, deadline: _Deadline) -> None:
        self._tls = mailbox_tls.context_of(account) if account.imap_tls == "ssl" else None
        self._deadline = deadline
        super().__init__(account.imap_host, account.imap_port, timeout=TIMEOUT)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        """Connect; imaplib calls this before it reads the greeting (IMAP4_SSL makes its TLS socket here, too)."""
        plain = socket.create_connection((self.host, self.port), timeout)
        self._deadline.watch(plain)
        return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=self.host)


def wait(folders: Sequence[Folder], seconds: float, stopped: Callable[[], bool]) -> None:
    """Until one of the idling ``folders`` has news, ``seconds`` have passed, or it is time to stop."""
    deadline = time.monotonic() + seconds
    idling: list[Folder] = []
    try:
        for folder in folders:
            if folder.can_idle:
                folder.start_idle()
                idling.append(folder)
        sockets = [folder.socket for folder in idling]
        while (left := deadline - time.monotonic()) > 0 and not stopped():
            step = min(left, 0.5)
            if any(isinstance(s, ssl.SSLSocket) and s.pending() for s in sockets):
                break
            if not sockets:
                time.sleep(step)
            elif select.select(sockets, [], [], step)[0]:
                break
    finally:
        for folder in idling:
            folder.stop_idle()


@contextmanager
def _problems(where: str) -> Iterator[None]:
    """Foreign errors in our own name. imaplib raises its own kinds, sockets theirs, and bad answers anything."""
    try:
        yield
    except MailServerProblem:
        raise
    except imaplib.IMAP4.abort as error:
        raise MailServerProblem(f"{where}: {_short(error)}; the connection was lost") from error
    except imaplib.IMAP4.error as error:
        raise MailServerProblem(f"{where}: {_short(error)}; check address, user and password") from error
    except ssl.SSLError as error:
        raise mailbox_tls.named(where, "imap", error) from error
    except (OSError, EOFError) as error:
        raise MailServerProblem(f"{where}: {_short(error)}; check that the server can be reached") from error
    except (ValueError, TypeError, IndexError, AttributeError, UnicodeError) as error:
        raise MailServerProblem(f"{where}: an answer that is no IMAP ({_short(error)})") from error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _text(data: list[Any]) -> str:
    return " ".join(piece.decode("utf-8", "replace") for piece in data if isinstance(piece, bytes))[:160]


def _quoted(folder: str) -> str:
    """A folder's name in IMAP's own form of UTF-7 (RFC 3501 5.1.3)."""

    def coded(match: re.Match[str]) -> str:
        return "&" + base64.b64encode(match.group().encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"

    name = re.sub(r"[^\x20-\x7e]+", coded, folder.replace("&", "&-"))
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
