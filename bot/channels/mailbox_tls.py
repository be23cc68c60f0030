"""信箱的加密连接: one way to check certificates for IMAP and SMTP, and names for what goes wrong there.

A certificate is always checked against its name and its authority. Where "starttls" is configured and the server does
not offer it, nothing is sent: a connection never falls back to plain text by itself.
"""

from __future__ import annotations

import ssl

from bot.config import MailAccountSettings
from bot.errors import MailServerProblem


def context_of(account: MailAccountSettings) -> ssl.SSLContext:
    """The rules of an encrypted connection. Raises :class:`MailServerProblem` where ``ca_file`` holds no certificate."""
    try:
        return ssl.create_default_context(cafile=account.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise MailServerProblem(f"[mailbox] ca_file '{account.ca_file}' holds no certificate in PEM form") from error


def named(where: str, kind: str, error: ssl.SSLError) -> MailServerProblem:
    """An error of the encryption in words that say what to do. ``kind`` is "imap" or "smtp"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = " ".join(error.verify_message.split())[:120] or "not trusted"
        return MailServerProblem(
            f"{where}: the server's certificate is refused ({why}); nothing was sent. Correct {kind}_host, have the "
            "certificate renewed, or name the office's own authority in ca_file"
        )
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return MailServerProblem(
            f"{where}: no TLS is spoken on this port; nothing was sent. Compare {kind}_port with {kind}_tls"
        )
    return MailServerProblem(f"{where}: the encrypted connection failed ({error.reason or type(error).__name__})")


def not_offered(where: str, kind: str) -> MailServerProblem:
    """STARTTLS is configured, and the server has none."""
    return MailServerProblem(
        f"{where}: the server offers no STARTTLS; nothing was sent. Set {kind}_tls to what the server has"
    )
