"""The county mailbox without servers: what becomes of a mail once it is kept, and of a letter until it is sent."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from mail_corpus import QUESTIONS, TO, automatic_mails, letters, mail

from bot.app import House, build, mailbox_of
from bot.channels.mailbox import Mailbox
from bot.channels.mailbox_store import MailState, MailStore
from bot.channels.mailbox_worker import MOST_BEGINNINGS, MOST_TRIES, Outbox
from bot.config import MailAccountSettings, MailboxSettings, Settings, load
from bot.errors import ConfigError, MailServerProblem, UnknownMail
from register.book import OutboundState
from register.clock import now_beijing
from register.inquiry import Channel

EVERY_KIND = [
    "answer",
    "choices",
    "clarify",
    "not_found",
    "not_held",
    "needs_creation",
    "unclear",
    "refer",
    "application",
    "progress",
    "menu",
    "smalltalk",
    "handover",
    "failed",
]


@dataclass
class Post:
    """The far end of SMTP: takes letters, or fails as told."""

    sent: list[tuple[str, EmailMessage]] = field(default_factory=list)
    failures: list[MailServerProblem] = field(default_factory=list)

    def __call__(self, account: MailAccountSettings, recipient: str, message: EmailMessage) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((recipient, message))


class Clock:
    """Moves when told."""

    def __init__(self) -> None:
        self.now = now_beijing()

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Office:
    """A house with a mailbox whose servers are not there."""

    house: House
    mailbox: Mailbox
    post: Post
    outbox: Outbox
    uid: int = 0

    @property
    def store(self) -> MailStore:
        return self.mailbox.store

    def receive(self, raw: bytes, envelope: str | None = "wang@example.test") -> int:
        self.uid += 1
        noted = b"" if envelope is None else f"Return-Path: <{envelope}>\r\n".encode()
        number = self.store.take_in("main", 1, self.uid, noted + raw)
        assert number is not None
        return number

    def state(self, number: int) -> MailState:
        return self.store.find(number).state


def settings_with(settings: Settings, **mailbox: object) -> Settings:
    account = {
        "address": TO,
        "imap_host": "127.0.0.1",
        "smtp_host": "127.0.0.1",
        "imap_password": "secret",
        "auto_kinds": tuple(EVERY_KIND),
    }
    return replace(settings, mailbox=MailboxSettings(**{**account, **mailbox}))  # type: ignore[arg-type]


def open_office(settings: Settings) -> Office:
    house = build(settings)
    mailbox, post = mailbox_of(house), Post()
    return Office(house, mailbox, post, Outbox(settings.mailbox, house.book, mailbox.store, send=post))


@pytest.fixture
def office(demo_settings: Settings) -> Iterator[Office]:
    opened = open_office(settings_with(demo_settings))
    yield opened
    opened.house.close()


def test_a_letter_is_answered_in_form_and_thread(office: Office) -> None:
    number = office.receive(
        mail(
            "References: <root@example.test> <last@example.test>",
            QUESTIONS[0],
            subject="咨询医保",
            message_id="<a@example.test>",
        )
    )
    assert office.mailbox.desk.work() == 1
    assert office.outbox.work() == 1
    ((recipient, letter),) = office.post.sent
    assert recipient == "wang@example.test"
    assert letter["Auto-Submitted"] == "auto-replied"
    assert letter["In-Reply-To"] == "<a@example.test>"
    assert str(letter["References"]).split() == ["<root@example.test>", "<last@example.test>", "<a@example.test>"]
    assert letter["X-Loop"] == TO
    assert letter["Subject"] == "答复：咨询医保"
    plain = letter.get_body(("plain",))
    rich = letter.get_body(("html",))
    assert plain is not None
    assert rich is not None
    text = plain.get_content()
    stored = office.store.find(number)
    assert "王小满：您好" in text
    assert f"登记编号：{stored.entry}" in text
    assert "王小满：您好" in rich.get_content()
    assert stored.state is MailState.ANSWERED
    entry = office.house.book.find(stored.entry or 0)
    assert [delivery.outcome for delivery in entry.deliveries] == ["sent"]
    assert entry.channel is Channel.MAILBOX


def test_every_letter_of_the_corpus_is_answered_once_and_no_program_is(office: Office) -> None:
    numbers = [office.receive(sample.raw.replace(b"wang@", f"wang{i}@".encode())) for i, sample in enumerate(letters())]
    programs = [office.receive(sample.raw, sample.envelope) for sample in automatic_mails()]
    office.mailbox.desk.work()
    office.outbox.work()
    assert {office.state(number) for number in programs} == {MailState.AUTOMATIC}
    answered = [number for number in numbers if office.state(number) is MailState.ANSWERED]
    assert len(answered) >= 0.99 * len(numbers)
    assert len(office.post.sent) == len(answered)
    assert len({letter["Message-ID"] for _, letter in office.post.sent}) == len(answered)


def test_the_same_mail_in_two_places_is_answered_once(office: Office) -> None:
    raw = mail("", QUESTIONS[0], message_id="<twice@example.test>")
    first, second = office.receive(raw), office.receive(raw)
    office.mailbox.desk.work()
    office.outbox.work()
    assert (office.state(first), office.state(second)) == (MailState.ANSWERED, MailState.DUPLICATE)
    assert len(office.post.sent) == 1


def test_two_letters_under_one_message_id_are_two_letters(office: Office) -> None:
    for question in QUESTIONS[:2]:
        office.receive(mail("", question, subject=question, message_id="<always-the-same@example.test>"))
    office.mailbox.desk.work()
    office.outbox.work()
    assert len(office.post.sent) == 2


def test_a_worker_killed_after_any_step_answers_once(office: Office) -> None:
    number = office.receive(mail("", QUESTIONS[0]))
    office.mailbox.desk.work()
    for _ in range(2):  # the outcome was not recorded: the mail looks new to the next worker
        office.store.conclude(number, MailState.NEW)
        office.mailbox.desk.work()
    office.outbox.work()
    assert len(office.post.sent) == 1
    assert len(office.house.book.log(channel=Channel.MAILBOX)) == 1


def test_a_mail_that_cannot_be_read_is_set_aside_and_the_next_one_is_answered(office: Office) -> None:
    bad, good = office.receive(b"\x00\x01 nothing of a mail", None), office.receive(mail("", QUESTIONS[0]))
    office.mailbox.desk.work()
    assert office.state(bad) is MailState.QUARANTINED
    assert "no header" in office.store.find(bad).reason
    assert office.state(good) is MailState.ANSWERED


def test_a_mail_that_kills_its_worker_is_set_aside(office: Office) -> None:
    number = office.receive(mail("", QUESTIONS[0]))
    for _ in range(MOST_BEGINNINGS):
        office.store.begin(number)  # and then the process was gone
    office.mailbox.desk.work()
    assert office.state(number) is MailState.QUARANTINED


def test_an_error_in_handling_is_tried_again_and_then_set_aside(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = office.receive(mail("", QUESTIONS[0]))

    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("pen broken")

    monkeypatch.setattr(office.mailbox.writer, "write", breaks)
    for _ in range(MOST_BEGINNINGS):
        office.mailbox.desk.work()
        assert office.state(number) is MailState.NEW
    office.mailbox.desk.work()
    assert office.state(number) is MailState.QUARANTINED
    assert "pen broken" in office.store.find(number).reason
    monkeypatch.undo()
    office.store.redeliver(number)
    office.mailbox.desk.work()
    assert office.outbox.work() == 1


def test_a_mail_without_return_path_waits_for_a_person_who_can_have_it_answered(office: Office) -> None:
    number = office.receive(mail("", QUESTIONS[0]), None)
    office.mailbox.desk.work()
    assert office.state(number) is MailState.HELD
    assert [m.id for m in office.mailbox.set_aside()] == [number]
    office.store.redeliver(number)
    office.mailbox.desk.work()
    assert office.outbox.work() == 1
    with pytest.raises(UnknownMail, match="not set aside"):
        office.store.redeliver(number)


def test_one_sender_gets_no_more_letters_than_the_caps_allow(office: Office) -> None:
    numbers = [office.receive(mail(f"X-N: {i}", QUESTIONS[0], subject=f"第{i}封")) for i in range(14)]
    other = office.receive(mail("", QUESTIONS[0], sender="li@example.test"))
    office.mailbox.desk.work()
    office.outbox.work()
    assert [recipient for recipient, _ in office.post.sent].count("wang@example.test") == 10
    assert office.state(other) is MailState.ANSWERED
    held = [number for number in numbers if office.state(number) is MailState.HELD]
    assert len(held) == 4
    assert office.store.find(held[0]).reason == "more than 10 letters in 10 minutes"


def test_two_offices_that_write_to_each_other_fall_silent(demo_settings: Settings, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(demo_settings.data.folder, tmp_path / "other")
    there = replace(demo_settings, data=replace(demo_settings.data, folder=tmp_path / "other"))
    offices = [
        open_office(settings_with(demo_settings)),
        open_office(settings_with(there, address="zhenfu@example.test")),
    ]
    try:
        offices[0].receive(mail("", QUESTIONS[0], sender="zhenfu@example.test"))
        total = 0
        for turn in range(30):
            here, other = offices[turn % 2], offices[(turn + 1) % 2]
            here.mailbox.desk.work()
            here.outbox.work()
            for _, letter in here.post.sent:
                total += 1
                # The worst: a gateway that takes every mark of ours away and makes up an envelope sender.
                for name in ("Auto-Submitted", "X-Loop", "X-Auto-Response-Suppress"):
                    del letter[name]
                other.receive(letter.as_bytes(), TO if here is offices[0] else "zhenfu@example.test")
            here.post.sent.clear()
        assert 0 < total <= 20
    finally:
        for opened in offices:
            opened.house.close()


def answering_machine(office: Office, headers: str, subject: str, text: str, turns: int = 20) -> int:
    """A program at a citizen's address that answers each of our letters; how many letters it got."""
    office.receive(mail("", QUESTIONS[0]))
    for _ in range(turns):
        office.mailbox.desk.work()
        office.outbox.work()
        letters_sent, office.post.sent = office.post.sent, []
        if not letters_sent:
            return office.house.book.outbox_counts()[OutboundState.SENT]
        for _, letter in letters_sent:
            office.receive(mail(f"In-Reply-To: {letter['Message-ID']}\r\n{headers}".strip(), text, subject=subject))
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    ("headers", "subject", "text", "most"),
    [
        ("Auto-Submitted: auto-replied", "Re: 答复", "您好，我不在。", 1),
        ("X-Autoreply: yes", "答复", "好的", 1),
        ("", "自动回复：答复：居民医保", "您的邮件我已收到。", 1),
        ("", "Re: 答复", "我正在休假，11月30日回来，期间无法回复邮件。", 1),
        (
            "",
            "Re: 答复",
            "居民医保断缴了，再交多久才能报销？",
            10,
        ),  # nothing tells that it is a program: the caps end it
    ],
)
def test_an_out_of_office_responder_does_not_become_a_conversation(
    office: Office, headers: str, subject: str, text: str, most: int
) -> None:
    assert answering_machine(office, headers, subject, text) == most


def test_a_storm_of_a_thousand_bounces_is_kept_and_brings_no_letter(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # half of the time, and no part of what is tested
    bounces = [s for s in automatic_mails() if "bounce" in s.name or s.name in ("dsn", "envelope_null")]
    for n in range(1000):
        sample = bounces[n % len(bounces)]
        office.receive(b"X-Number: %d\r\n" % n + sample.raw, sample.envelope)
    citizen = office.receive(mail("", QUESTIONS[0], sender="li@example.test"))
    assert office.mailbox.desk.work() == 1001
    office.outbox.work()
    counts = office.store.counts()
    assert (counts[MailState.AUTOMATIC], counts[MailState.ANSWERED]) == (1000, 1)
    assert [recipient for recipient, _ in office.post.sent] == ["li@example.test"]
    assert office.state(citizen) is MailState.ANSWERED
    assert len(office.house.book.log()) == 1, "what programs send is no inquiry"


def test_the_corpus_of_automatic_mail_is_wide() -> None:
    corpus = automatic_mails()
    assert len({sample.raw for sample in corpus}) >= 60


def test_an_answer_to_our_letter_goes_on_with_the_conversation(office: Office) -> None:
    first = office.receive(mail("", "补贴", subject="咨询", message_id="<one@example.test>"))
    office.mailbox.desk.work()
    office.outbox.work()
    ours = str(office.post.sent[0][1]["Message-ID"])
    by_header = office.receive(mail(f"In-Reply-To: {ours}", "1", subject="回复：答复：咨询"))
    by_references = office.receive(mail(f"References: <one@example.test> {ours}", "2", subject="Re: 答复：咨询"))
    alien = office.receive(mail("References: <one@example.test>", "2", subject="Re: x", sender="li@example.test"))
    office.mailbox.desk.work()
    threads = [office.store.find(n).thread for n in (first, by_header, by_references, alien)]
    assert threads[0] == threads[1] == threads[2]
    assert threads[3] != threads[0]


def test_kinds_that_are_not_automatic_wait_as_drafts(demo_settings: Settings) -> None:
    office = open_office(settings_with(demo_settings, auto_kinds=()))
    try:
        numbers = [office.receive(mail("", question)) for question in QUESTIONS[:2]]
        office.mailbox.desk.work()
        assert office.outbox.work() == 0
        assert {draft.mail.id for draft in office.mailbox.desk.drafts()} == set(numbers)
        office.mailbox.desk.approve(numbers[0])
        office.mailbox.desk.reject(numbers[1], "answered by telephone")
        assert office.outbox.work() == 1
        assert office.state(numbers[1]) is MailState.REJECTED
        for number in numbers:
            with pytest.raises(UnknownMail, match="no draft"):
                office.mailbox.desk.approve(number)
        kinds = {e.kind for n in numbers for e in office.house.book.events(office.store.find(n).entry or 0)}
        assert {"approved", "rejected"} <= kinds
    finally:
        office.house.close()


def test_a_letter_only_an_attachment_gets_an_answer_and_the_attachment_is_named(office: Office, tmp_path: Path) -> None:
    attachment = next(s for s in letters() if s.name == "attachment")
    number = office.receive(attachment.raw)
    office.mailbox.desk.work()
    entry = office.store.find(number).entry or 0
    (note,) = [event.detail for event in office.house.book.events(entry) if event.kind == "attachment"]
    assert "证明.pdf, application/pdf, 1200 bytes" in note
    files = office.mailbox.save(number, tmp_path / "out", "clerk", "citizen asked")
    assert [file.name for file in files] == [f"mail-{number}.eml", f"mail-{number}-1-证明.pdf"]
    assert files[1].read_bytes() == b"PDF" * 400
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert any(event.kind == "revealed" for event in office.house.book.events(entry))


def test_originals_are_sealed_and_private(office: Office) -> None:
    number = office.receive(mail("", "我叫王小满"))
    (file,) = (office.house.settings.data.folder / "mail").rglob("*.sealed")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "王小满".encode() not in file.read_bytes()
    assert "我叫王小满".encode() in office.store.original(office.store.find(number))


# ---- sending ---------------------------------------------------------------------------------------------------------


def outcomes(office: Office, number: int) -> list[str]:
    return [d.outcome for d in office.house.book.find(office.store.find(number).entry or 0).deliveries]


def test_a_server_that_is_down_is_tried_again_later_and_shown(office: Office) -> None:
    number = office.receive(mail("", QUESTIONS[0]))
    office.mailbox.desk.work()
    office.post.failures.append(MailServerProblem("SMTP 127.0.0.1:25: refused"))
    office.outbox.work()
    assert outcomes(office, number) == ["unreachable"]
    assert any("letters wait" in p for p in office.mailbox.problems())
    assert office.house.book.outbox_counts()[OutboundState.PENDING] == 1
    assert office.outbox.work() == 0  # not yet due
    assert office.post.sent == []


def test_a_refused_recipient_is_given_up_for_staff(office: Office) -> None:
    number = office.receive(mail("", QUESTIONS[0]))
    office.mailbox.desk.work()
    office.post.failures.append(MailServerProblem("550 5.1.1 unknown", final=True, code=550))
    office.outbox.work()
    assert outcomes(office, number) == ["refused:550"]
    assert office.house.book.outbox_counts()[OutboundState.GIVEN_UP] == 1
    assert any(e.kind == "given_up" for e in office.house.book.events(office.store.find(number).entry or 0))


def test_the_pauses_grow_and_end(office: Office) -> None:
    pauses = [office.outbox._next(attempt) for attempt in range(1, MOST_TRIES + 1)]
    assert pauses[-1] is None
    lengths = [moment - now_beijing() for moment in pauses if moment]
    assert lengths[0] < timedelta(minutes=1)
    assert timedelta(hours=24) < sum(lengths, timedelta()) < timedelta(days=4)


def test_long_ids_are_sent_as_they_are(office: Office) -> None:
    long = f"<{'b' * 150}@example.test>"
    office.receive(mail(f"References: <{'a' * 150}@example.test>", QUESTIONS[0], message_id=long))
    office.mailbox.desk.work()
    office.outbox.work()
    raw = office.post.sent[0][1].as_bytes()
    assert f"In-Reply-To: {long}\r\n".encode() in raw
    assert b"=?" not in raw.split(b"References:")[1].split(b"Auto-Submitted")[0]


def test_a_name_that_would_break_a_header_does_no_harm(office: Office) -> None:
    subject = "=?utf-8?B?" + __import__("base64").b64encode("低保\r\nBcc: li@example.test".encode()).decode() + "?="
    office.receive(mail(f"Subject: {subject}", QUESTIONS[3]))
    office.mailbox.desk.work()
    office.outbox.work()
    ((recipient, letter),) = office.post.sent
    assert recipient == "wang@example.test"
    assert letter["Bcc"] is None
    assert b"\nBcc:" not in letter.as_bytes()


# ---- lease, state, configuration -------------------------------------------------------------------------------------


def test_one_worker_at_a_time_and_a_dead_one_is_succeeded(office: Office) -> None:
    assert office.store.lease("elsewhere:1:a", 60)
    assert not office.store.lease("elsewhere:2:b", 60)
    assert office.store.lease("elsewhere:1:a", 60)
    assert office.store.working()
    office.store.release("elsewhere:1:a")
    import socket

    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    assert office.store.lease(f"{socket.gethostname()}:{gone}:dead", 60)
    assert office.store.lease("elsewhere:2:b", 60)


def test_a_second_worker_says_that_there_is_one(office: Office) -> None:
    assert office.store.lease("elsewhere:1:a", 60)
    with pytest.raises(MailServerProblem, match="another mailbox worker"):
        office.mailbox.worker().once()


def test_a_server_that_cannot_be_reached_shows_in_the_state(office: Office) -> None:
    unreachable = replace(office.house.settings.mailbox, imap_port=9, imap_tls="none")
    house = replace(office.house, settings=replace(office.house.settings, mailbox=unreachable))
    mailbox = mailbox_of(house)
    assert "has never been read and no worker runs" in mailbox.problems()[0]
    mailbox.worker().once()
    assert "check that the server can be reached" in mailbox.problems()[0]


def test_a_mailbox_that_is_off_has_no_problems(house: House) -> None:
    mailbox = mailbox_of(house)
    assert not mailbox.configured
    assert mailbox.problems() == []
    mailbox.start()
    mailbox.stop()


def test_several_accounts_with_passwords_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[mailbox]\naddress = "a@b.cn"\nimap_host = "i"\nsmtp_host = "s"\n'
        '[mailbox.account.jubao]\naddress = "j@b.cn"\nimap_host = "i"\nsmtp_host = "s"\nauto_kinds = []\n',
        "utf-8",
    )
    environ = {"BIANMIN_MAILBOX__IMAP_PASSWORD": "one", "BIANMIN_MAILBOX__JUBAO_IMAP_PASSWORD": "two"}
    accounts = load(file, environ).mailbox.accounts
    assert {name: a.imap_password for name, a in accounts.items()} == {"main": "one", "jubao": "two"}
    assert accounts["jubao"].auto_kinds == ()
    with pytest.raises(ConfigError, match="BIANMIN_MAILBOX__JUBAO_IMAP_PASSWORD"):
        load(file, {"BIANMIN_MAILBOX__IMAP_PASSWORD": "one"})
    with pytest.raises(ConfigError, match="names no key"):
        load(file, {**environ, "BIANMIN_MAILBOX__JUBAO_IMAP_PASSWROD": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[mailbox]\nimap_host = "i"\n', "address is missing"),
        ('[mailbox]\naddress = "nobody"\nimap_host = "i"\nsmtp_host = "s"\n', "no mail address"),
        (
            '[mailbox]\naddress = "a@b.cn"\nimap_host = "i"\nsmtp_host = "s"\nimap_tls = "yes"\n',
            "'ssl', 'starttls' or 'none'",
        ),
        ('[mailbox]\nimap_password = "x"\n', "secret"),
        ('[mailbox]\ncaps = ["10"]\n', "letters/minutes"),
        ("[mailbox]\npoll_seconds = 0\n", "at least 1"),
        ("[mailbox]\naccount = 3\n", "must hold tables"),
        ('[mailbox.account."a b"]\n', "cannot be the name"),
        ("[mailbox.account.imap]\n", "cannot be the name"),
    ],
)
def test_a_wrong_mailbox_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        load(file, {})
