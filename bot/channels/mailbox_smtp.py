"""发信: a letter as a mail, and the SMTP side.

Our mail cannot start a loop: envelope sender <> (nobody can bounce to us), ``Auto-Submitted: auto-replied`` (RFC 3834),
X-Loop, and the In-Reply-To and References of the thread. Its Message-ID is made of the mail it answers: if a worker dies
between the server's yes and our record of it, the second copy bears the same id (RFC 5321 6.1: better twice than never).
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

from bot.channels import mailbox_tls
from bot.config import MailAccountSettings
from bot.errors import MailServerProblem
from register import privacy

TIMEOUT = 30.0
TAKING_TIMEOUT = 180.0
"""Seconds a server may take to say that it has taken the mail. RFC 5321 4.5.3.2.6 asks for patience here: whoever hangs
up too early sends the same mail twice."""

_MOST_REFERENCES = 10


class _Policy(EmailPolicy):
    """As the standard's, but ids are folded only between ids: the library would encode long ones into unreadable words."""

    _ids = frozenset(("message-id", "in-reply-to", "references"))

    def fold(self, name: str, value: str) -> str:
        """One header as lines."""
        return self._lines(name, value) if name.lower() in self._ids else super().fold(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        """One header as the bytes that are sent."""
        if name.lower() in self._ids:
            return self._lines(name, value).encode("ascii")
        return super().fold_binary(name, value)

    def _lines(self, name: str, value: str) -> str:
        return f"{name}: " + f"{self.linesep} ".join(str(value).split()) + self.linesep


_POLICY = _Policy(linesep="\r\n")


@dataclass(frozen=True, slots=True)
class Parcel:
    """寄件: a letter ready to be sent, frozen when it was written."""

    account: str
    recipient: str
    subject: str
    text: str
    html: str
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    written_at: datetime
    docx: str = ""  # base64, empty for none
    docx_name: str = ""


def message_of(parcel: Parcel, account: MailAccountSettings, docx: bytes = b"") -> EmailMessage:
    """The mail: plain text, HTML beside it, the printable sheet where wanted."""
    message = EmailMessage(policy=_POLICY)
    local, _, domain = account.address.rpartition("@")
    message["From"] = Address(account.name, local, domain)
    message["To"] = parcel.recipient
    message["Subject"] = " ".join(parcel.subject.split())
    message["Date"] = format_datetime(parcel.written_at)
    message["Message-ID"] = parcel.message_id
    if parcel.in_reply_to:
        message["In-Reply-To"] = parcel.in_reply_to
    references = [*parcel.references, parcel.in_reply_to] if parcel.in_reply_to else list(parcel.references)
    kept = list(dict.fromkeys(references))
    if len(kept) > _MOST_REFERENCES:  # the root names the thread, the last ones the place in it
        kept = [kept[0], *kept[-(_MOST_REFERENCES - 1) :]]
    if kept:
        message["References"] = " ".join(kept)
    message["Auto-Submitted"] = "auto-replied"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Loop"] = account.address
    message["Content-Language"] = "zh-CN"
    message.set_content(parcel.text, cte="base64")
    message.add_alternative(parcel.html, subtype="html", cte="base64")
    if docx:
        message.add_attachment(
            docx,
            maintype="application",
            subtype="vnd.openxmlformats-officedocument.wordprocessingml.document",
            filename=parcel.docx_name,
        )
    return message


class _Patient(smtplib.SMTP):
    """Waits longer for the answer to the mail itself."""

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Send the text of the mail."""
        assert self.sock is not None
        self.sock.settimeout(TAKING_TIMEOUT)
        return super().data(msg)


class _PatientSsl(_Patient, smtplib.SMTP_SSL):
    """The same, encrypted from the start."""


def send(account: MailAccountSettings, recipient: str, message: EmailMessage) -> None:
    """Hand the mail to the account's server. Raises :class:`MailServerProblem`, final where another try is useless."""
    where = f"SMTP {account.smtp_host}:{account.smtp_port}"
    with _problems(where), _connected(account) as smtp:
        smtp.send_message(message, from_addr="", to_addrs=[recipient])


@contextmanager
def _connected(account: MailAccountSettings) -> Iterator[smtplib.SMTP]:
    smtp: smtplib.SMTP
    if account.smtp_tls == "ssl":
        context = mailbox_tls.context_of(account)
        smtp = _PatientSsl(account.smtp_host, account.smtp_port, timeout=TIMEOUT, context=context)
    else:
        smtp = _Patient(account.smtp_host, account.smtp_port, timeout=TIMEOUT)
    try:
        if account.smtp_tls == "starttls":
            smtp.ehlo_or_helo_if_needed()
            if not smtp.has_extn("starttls"):
                raise mailbox_tls.not_offered(f"SMTP {account.smtp_host}:{account.smtp_port}", "smtp")
            smtp.starttls(context=mailbox_tls.context_of(account))
        if account.smtp_password:
            smtp.login(account.smtp_user or account.address, account.smtp_password)
        yield smtp
        try:
            smtp.quit()
        except (smtplib.SMTPException, OSError):
            return  # the mail has been accepted; how the server says goodbye changes nothing
    finally:
        smtp.close()


@contextmanager
def _problems(where: str) -> Iterator[None]:
    try:
        yield
    except MailServerProblem:
        raise
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        full = _is_full(code, said)
        told = "says that the recipient's mailbox is full" if full else "refused the recipient"
        raise MailServerProblem(
            f"{where} {told}: {code} {_said(said)}",
            final=500 <= code < 600 and not full,
            code=code,
            server_is_well=code != 421,
        ) from error
    except smtplib.SMTPAuthenticationError as error:
        raise MailServerProblem(
            f"{where} refused user or password ({error.smtp_code}); check them", code=error.smtp_code
        ) from error
    except smtplib.SMTPResponseException as error:  # sender or content refused, greylisting, a full queue
        if error.smtp_code < 0:  # smtplib's word for an answer without a number
            raise MailServerProblem(
                f"{where}: an answer that is no SMTP; check that the server can be reached"
            ) from error
        final = isinstance(error, smtplib.SMTPDataError) and 500 <= error.smtp_code < 600
        final = final and not _is_full(error.smtp_code, error.smtp_error)
        raise MailServerProblem(
            f"{where}: {error.smtp_code} {_said(error.smtp_error)}",
            final=final,
            code=error.smtp_code,
            server_is_well=_OF_MAILBOX.search(_said(error.smtp_error)) is not None,
        ) from error
    except ssl.SSLError as error:
        raise mailbox_tls.named(where, "smtp", error) from error
    except (smtplib.SMTPException, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise MailServerProblem(f"{where}: {reason}; check that the server can be reached") from error
    except (ValueError, UnicodeError) as error:  # an address that cannot be written
        raise MailServerProblem(f"the mail cannot be written: {privacy.mask(str(error))}", final=True) from error


_OF_MAILBOX = re.compile(r"\b[45]\.2\.\d")  # RFC 3463: the trouble is the recipient's mailbox, not the server


def _is_full(code: int, answer: bytes | str) -> bool:
    """邮箱已满: a mailbox that is full now may have room tomorrow, also where the code says for ever (552, 5.2.2)."""
    return code in (452, 552) or "5.2.2" in _said(answer)


def _said(answer: bytes | str) -> str:
    """What the server said, without the citizen's address: it is shown in ``/healthz`` and in the log."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return privacy.mask(" ".join(text.split())[:160])
