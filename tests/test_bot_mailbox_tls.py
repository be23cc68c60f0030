"""Encrypted connections to mail servers: certificates are checked, and nothing ever falls back to plain text."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from mail_corpus import TO, mail
from mail_fakes import PASSWORD, FakeImap, FakeSmtp, certificate

from bot.channels import mailbox_imap, mailbox_smtp
from bot.channels.mailbox_imap import Folder
from bot.config import MailAccountSettings, load
from bot.errors import ConfigError, MailServerProblem

Start = Callable[..., Any]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server of the given kind; all are closed in the end."""
    running: list[Any] = []

    def begin(kind: Callable[..., Any], **options: Any) -> Any:
        running.append(kind(**options))
        return running[-1]

    yield begin
    for server in running:
        server.close()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (mailbox_imap, mailbox_smtp):
        monkeypatch.setattr(module, "TIMEOUT", 2.0)


def account(port: int, tls: str, ca_file: Path | str = "", host: str = "127.0.0.1") -> MailAccountSettings:
    return MailAccountSettings(
        address=TO,
        imap_host=host,
        imap_port=port,
        imap_tls=tls,
        imap_password=PASSWORD,
        smtp_host=host,
        smtp_port=port,
        smtp_tls=tls,
        smtp_password=PASSWORD,
        ca_file=str(ca_file),
    )


def read(own: MailAccountSettings) -> bytes:
    folder = Folder(own)
    try:
        (uid,) = folder.uids(0)
        fetched = folder.fetch(uid, 10_000)
        assert fetched is not None
        return fetched.raw
    finally:
        folder.close()


def send(own: MailAccountSettings) -> None:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("您好")
    mailbox_smtp.send(own, "wang@example.test", message)


@pytest.mark.parametrize("tls", ["ssl", "starttls"])
def test_mail_is_read_and_sent_over_a_checked_connection(start: Start, tmp_path: Path, tls: str) -> None:
    context, public = certificate(tmp_path)
    imap = start(FakeImap, tls=context, implicit=tls == "ssl", mails={1: mail("", "低保怎么申请？")})
    smtp = start(FakeSmtp, tls=context, implicit=tls == "ssl")
    assert read(account(imap.port, tls, public)) == imap.mails[1]
    send(account(smtp.port, tls, public))
    assert [recipient for recipient, _ in smtp.taken] == ["wang@example.test"]
    for server in (imap, smtp):
        unencrypted = " ".join(c for c in server.commands if c.startswith("!"))
        assert any(not c.startswith("!") for c in server.commands)
        assert not any(word in unencrypted.upper() for word in ("LOGIN", "AUTH", "MAIL FROM", "FETCH"))


WRONG = {
    "self-made and not named": ({}, False, "certificate is refused .self-signed"),
    "of another name": ({"name": "mail.elsewhere.example"}, True, "certificate is refused .*not valid for '127.0.0.1'"),
    "run out": ({"days": -1}, True, "certificate is refused .certificate has expired"),
}


@pytest.mark.parametrize("tls", ["ssl", "starttls"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_certificate_is_named_and_nothing_is_sent(start: Start, tmp_path: Path, tls: str, name: str) -> None:
    options, trusted, said = WRONG[name]
    context, public = certificate(tmp_path, **options)  # type: ignore[arg-type]
    imap = start(FakeImap, tls=context, implicit=tls == "ssl", mails={1: b"x"})
    smtp = start(FakeSmtp, tls=context, implicit=tls == "ssl")
    named = public if trusted else ""
    with pytest.raises(MailServerProblem, match=f"IMAP 127.0.0.1:{imap.port}: the server's {said}"):
        read(account(imap.port, tls, named))
    with pytest.raises(MailServerProblem, match=f"SMTP 127.0.0.1:{smtp.port}: the server's {said}") as raised:
        send(account(smtp.port, tls, named))
    assert not raised.value.final, "a renewed certificate ends it without a person"
    assert not raised.value.server_is_well
    assert smtp.taken == []
    assert not any("LOGIN" in c.upper() or "AUTH" in c.upper() for c in imap.commands + smtp.commands)


def test_a_server_that_hides_starttls_gets_neither_password_nor_mail(start: Start) -> None:
    """What an attacker on the line does: take the offer away and hope for plain text."""
    imap, smtp = start(FakeImap), start(FakeSmtp)
    with pytest.raises(MailServerProblem, match=r"offers no STARTTLS; nothing was sent\. Set imap_tls"):
        read(account(imap.port, "starttls"))
    with pytest.raises(MailServerProblem, match=r"offers no STARTTLS; nothing was sent\. Set smtp_tls"):
        send(account(smtp.port, "starttls"))
    assert not any("LOGIN" in c.upper() for c in imap.commands)
    assert not any(word in c.upper() for c in smtp.commands for word in ("AUTH", "MAIL", "RCPT"))


def test_a_greeting_that_skips_the_login_is_no_way_around_starttls(start: Start, tmp_path: Path) -> None:
    """PREAUTH forbids STARTTLS (RFC 3501 6.2.1); going on would be plain text."""
    context, public = certificate(tmp_path)
    imap = start(FakeImap, tls=context, greeting="* PREAUTH welcome", mails={1: b"x"})
    with pytest.raises(MailServerProblem, match="offers no STARTTLS"):
        read(account(imap.port, "starttls", public))
    assert not any("SELECT" in c for c in imap.commands)


def test_a_handshake_that_never_ends_is_cut_off(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, public = certificate(tmp_path)
    imap = start(FakeImap, tls=context, implicit=True, fault="drip")
    monkeypatch.setattr(mailbox_imap, "STEP_SECONDS", 0.3)
    with pytest.raises(MailServerProblem, match="far too slow"):
        read(account(imap.port, "ssl", public))


def test_tls_to_a_port_that_speaks_none_is_named(start: Start) -> None:
    imap, smtp = start(FakeImap), start(FakeSmtp)
    with pytest.raises(MailServerProblem, match=r"no TLS is spoken on this port.*imap_port with imap_tls"):
        read(account(imap.port, "ssl"))
    with pytest.raises(MailServerProblem, match=r"no TLS is spoken on this port.*smtp_port with smtp_tls"):
        send(account(smtp.port, "ssl"))


def test_certificates_are_checked_by_default() -> None:
    own = MailAccountSettings()
    assert (own.imap_tls, own.smtp_tls, own.ca_file) == ("ssl", "ssl", "")
    context = mailbox_imap.mailbox_tls.context_of(own)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = '[mailbox]\naddress = "a@b.cn"\nimap_host = "i"\nsmtp_host = "s"\nca_file = "{}"\n'
    config.write_text(text.format(tmp_path / "missing.pem"), "utf-8")
    with pytest.raises(ConfigError, match=r"ca_file .* is no file"):
        load(config, {"BIANMIN_MAILBOX__IMAP_PASSWORD": "x"})
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing", "utf-8")
    with pytest.raises(MailServerProblem, match="holds no certificate in PEM form"):
        read(account(1, "ssl", empty))
