"""Ten bad minutes at each far end: what is seen of it in ``/healthz``, and that nothing is lost and nothing is said twice.

The clock is the tests' own, so that ten minutes take none. The far ends are servers on loopback.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import fake_telegram
import httpx
import pytest
from fake_telegram import FakeTelegram, Fault
from mail_corpus import TO, mail
from mail_fakes import PASSWORD, FakeImap, FakeSmtp
from test_bot_wechat import SECRET, FakeReception, FakeWeChat
from wechat_phone import APP_ID

from bot import app
from bot.app import House, build, office_info
from bot.channels import mailbox_imap, mailbox_smtp, mailbox_worker, telegram, telegram_outbox
from bot.channels.mailbox import Mailbox
from bot.channels.mailbox_store import MailState
from bot.channels.mailbox_worker import MOST_FETCHES
from bot.channels.wechat import Door
from bot.channels.wechat_client import WeChatApi
from bot.channels.wechat_store import WeChatStore
from bot.config import DataSettings, MailAccountSettings, MailboxSettings, Settings, TelegramSettings
from bot.database import migrate, open_engine
from register.book import OutboundState, RegisterBook
from register.clock import now_beijing
from register.inquiry import Channel, Inquiry, Reply, ReplyKind

TEN_MINUTES = timedelta(minutes=10)
STEP = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(seconds=135)  # between two tries of a server that is down, and one step


class Clock:
    def __init__(self) -> None:
        self.now = now_beijing().replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


class Office:
    """A county with a mailbox whose servers are here, and a clock that is moved."""

    def __init__(self, house: House, imap: FakeImap, smtp: FakeSmtp, clock: Clock) -> None:
        self.imap, self.smtp, self.clock = imap, smtp, clock
        book = RegisterBook(house.engine, house.seal, clock=clock)
        reception: Any = FakeReception(book)
        self.house = replace(house, book=book, reception=reception)
        self.mailbox = Mailbox(
            house.settings, reception, book, house.seal, house.engine, office_info(house.settings), clock=clock
        )
        self.worker = self.mailbox.worker()
        self.numbers = itertools.count(1)
        self.round()  # the first look: from now on all mail is new

    def write(self) -> str:
        """A citizen writes; the address that is to be answered."""
        number = next(self.numbers)
        sender = f"wang{number}@example.test"
        raw = mail("", f"第{number}个问题：低保怎么申请？", sender=sender, message_id=f"<m{number}@example.test>")
        self.imap.put(raw, sender)
        return sender

    def round(self) -> None:
        """What the worker does every few seconds, with the connection kept between the rounds."""
        for intake in self.worker._intakes:
            intake.poll()
            self.worker._desk.work()
        self.worker._outbox.work()

    def live(self, length: timedelta) -> None:
        until = self.clock.now + length
        while self.clock.now < until:
            self.clock.now += STEP
            self.round()

    def answered(self) -> Counter[str]:
        return Counter(recipient for recipient, _ in self.smtp.taken)

    def health(self, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, Any], str]:
        """``GET /healthz`` as a monitor sees it: status, the mailbox's part, and the whole text."""
        monkeypatch.setattr(app, "mailbox_of", lambda _: self.mailbox)
        transport = httpx.ASGITransport(app=app.asgi(self.house))

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                return await http.get("/healthz")

        answer = asyncio.run(ask())
        return answer.status_code, answer.json()["channels"]["mailbox"], answer.text


@pytest.fixture
def imap() -> Iterator[FakeImap]:
    server = FakeImap()
    yield server
    server.close()


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    server = FakeSmtp()
    yield server
    server.close()


@pytest.fixture(scope="module")
def county(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A library for all tests of this file; each has a register of its own."""
    folder = tmp_path_factory.mktemp("county") / "data"
    shutil.copytree(demo_folder, folder)
    house = build(replace(Settings(), data=DataSettings(folder)))
    yield house
    house.close()


@pytest.fixture(scope="module")
def empty_register(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("register") / "bianmin.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def register(county: House, empty_register: Path, tmp_path: Path) -> Iterator[House]:
    """The county with an empty register."""
    shutil.copy(empty_register, tmp_path / "bianmin.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'bianmin.db'}")
    yield replace(county, engine=engine, settings=replace(county.settings, data=DataSettings(tmp_path)))
    engine.dispose()


@pytest.fixture
def office(register: House, imap: FakeImap, smtp: FakeSmtp) -> Office:
    own = MailboxSettings(
        address=TO,
        imap_host="127.0.0.1",
        imap_port=imap.port,
        imap_tls="none",
        imap_password=PASSWORD,
        smtp_host="127.0.0.1",
        smtp_port=smtp.port,
        smtp_tls="none",
        smtp_password=PASSWORD,
    )
    return Office(replace(register, settings=replace(register.settings, mailbox=own)), imap, smtp, Clock())


def impatient(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Do not wait long for a server that is silent on purpose; one that is well gets all its time."""
    seconds = 0.1 if fault == "stall" else 30.0
    for name in ("TIMEOUT", "TAKING_TIMEOUT"):
        monkeypatch.setattr(mailbox_smtp, name, seconds)
    monkeypatch.setattr(mailbox_imap, "TIMEOUT", seconds)
    monkeypatch.setattr(mailbox_imap, "STEP_SECONDS", 0.2 if fault.startswith("drip") else 60.0)


def seconds_until(moment: str, now: datetime) -> float:
    return (datetime.fromisoformat(moment) - now).total_seconds()


# ---- IMAP ----------------------------------------------------------------------------------------------------------

IMAP_FAULTS = {
    "refuse": "127.0.0.1",
    "stall": "timed out",
    "garbage": "no IMAP|lost|check",
    "password": "check address, user and password",
    "cut:LOGIN": "lost|reached",
    "cut:SEARCH": "lost|reached",
    "cut:FETCH": "lost|reached",
    "drip": "far too slow",
    "drip:SEARCH": "far too slow",
    "drip:FETCH": "far too slow",
}


@pytest.mark.parametrize("fault", IMAP_FAULTS)
def test_ten_minutes_without_imap_lose_no_mail_and_repeat_no_answer(
    office: Office, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    before = office.write()
    office.live(STEP)
    assert office.answered() == {before: 1}
    assert office.health(monkeypatch)[:2][1]["state"] == "ok"

    began = office.clock.now
    office.imap.fault = fault
    impatient(monkeypatch, fault)
    office.imap.break_connections()
    waiting = [office.write()]
    office.live(TEN_MINUTES / 2)
    waiting += [office.write(), office.write()]
    office.live(TEN_MINUTES / 2)
    assert office.answered() == {before: 1}
    status, state, text = office.health(monkeypatch)
    (trouble,) = state["troubles"]
    assert (status, state["state"]) == (503, "failing")
    assert re.search(IMAP_FAULTS[fault], trouble["problem"])
    assert 0 <= seconds_until(trouble["since"], began) <= 2 * STEP.total_seconds()
    assert -15 <= seconds_until(trouble["next_attempt"], office.clock.now) <= 120
    assert PASSWORD not in text
    assert "wang" not in text
    assert office.imap.connections < 20, "a server that is down is not hammered"

    office.imap.fault = ""
    impatient(monkeypatch, "")
    office.live(LONGEST_PAUSE)
    assert office.answered() == Counter([before, *waiting])
    assert office.health(monkeypatch)[1]["troubles"] == []
    assert office.mailbox.store.counts()[MailState.QUARANTINED] == 0


def test_an_account_whose_server_drips_does_not_keep_the_others_from_being_read(
    office: Office, imap: FakeImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, house = FakeImap(fault="drip:LOGIN"), office.house
    own = house.settings.mailbox
    well = MailAccountSettings(**{f.name: getattr(own, f.name) for f in fields(MailAccountSettings)})
    settings = replace(house.settings, mailbox=replace(own, imap_port=slow.port, account={"well": well}))
    monkeypatch.setattr(mailbox_imap, "STEP_SECONDS", 0.3)
    office.mailbox = Mailbox(
        settings,
        house.reception,
        house.book,
        house.seal,
        house.engine,
        office_info(settings),
        clock=office.clock,
    )
    office.worker = office.mailbox.worker()
    try:
        office.round()
        sender = office.write()
        began = time.monotonic()
        office.live(4 * STEP)
        assert time.monotonic() - began < 30, "a drip ends with the step's deadline, not with the server's patience"
    finally:
        slow.close()
    assert office.answered() == {sender: 1}
    _, state, _ = office.health(monkeypatch)
    (trouble,) = state["troubles"]
    assert trouble["problem"].startswith("mailbox main: IMAP")
    assert "far too slow" in trouble["problem"]


def test_a_long_fetch_is_broken_off_for_the_next_account_and_goes_on_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_worker, "TURN_SECONDS", -1.0)
    senders = [office.write() for _ in range(3)]
    office.live(STEP)
    assert office.answered() == {}
    monkeypatch.setattr(mailbox_worker, "TURN_SECONDS", 120.0)
    office.live(STEP)
    assert office.answered() == Counter(senders)


def test_a_single_mail_at_which_the_line_breaks_does_not_hold_up_the_others(office: Office) -> None:
    bad = office.imap.put(mail("", "这一封取不下来"))
    office.imap.fault = f"cut:FETCH {bad} (BODY"
    others = []
    for _ in range(6):
        others.append(office.write())
        office.live(timedelta(minutes=5))
    assert office.answered() == Counter(others)
    (left,) = office.mailbox.set_aside()
    assert left.uid == bad
    assert left.attempts == 0
    commands = [c for c in office.imap.commands if f"FETCH {bad} (BODY" in c]
    assert len(commands) >= MOST_FETCHES


def test_a_full_account_is_seen_before_citizens_get_their_mail_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.imap.quota = (960, 1000)
    office.imap.break_connections()
    office.live(timedelta(minutes=11))
    status, state, _ = office.health(monkeypatch)
    assert status == 503
    assert "the mail account is 96% full" in state["troubles"][0]["problem"]
    sender = office.write()
    office.live(STEP)
    assert office.answered() == {sender: 1}, "what still comes is answered"
    office.imap.quota = (400, 1000)
    office.live(timedelta(minutes=11))
    assert office.health(monkeypatch)[1]["troubles"] == []


# ---- SMTP ----------------------------------------------------------------------------------------------------------

SMTP_FAULTS: dict[str, tuple[str, dict[str, str], str]] = {
    "refused connections": ("refuse", {}, "127.0.0.1"),
    "silence": ("stall", {}, "timed out"),
    "another protocol": ("garbage", {}, "127.0.0.1"),
    "cut while greeting": ("cut:ehlo", {}, "closed"),
    "cut in an answer": ("cut:data", {}, "no SMTP"),
    "cut in the mail": ("cut in the mail", {}, "closed"),
    "wrong password": ("password", {}, "refused user or password"),
    "going down": ("", {"RCPT": "421 4.3.2 shutting down"}, "421"),
    "no disk": ("", {"MAIL": "452 4.3.1 insufficient system storage"}, "452"),
    "greylisting of all": ("", {"MAIL": "451 4.7.1 try again later"}, "451"),
    "busy at the end": ("", {".": "451 4.3.0 queue file write error"}, "451"),
}


@pytest.mark.parametrize("name", SMTP_FAULTS)
def test_ten_minutes_without_smtp_lose_no_letter_and_repeat_none(
    office: Office, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    office.smtp.fault, office.smtp.said, shown = SMTP_FAULTS[name]
    impatient(monkeypatch, office.smtp.fault)
    began = office.clock.now
    senders = [office.write() for _ in range(4)]
    office.live(TEN_MINUTES)
    status, state, text = office.health(monkeypatch)
    assert (status, state["outbound_waiting"], state["inbound_waiting"], state["given_up"]) == (503, 4, 0, 0)
    (trouble,) = state["troubles"]
    assert shown in trouble["problem"]
    assert 0 <= seconds_until(trouble["since"], began) <= 2 * STEP.total_seconds()
    assert -15 <= seconds_until(trouble["next_attempt"], office.clock.now) <= 120
    assert PASSWORD not in text
    assert "wang" not in text
    assert office.smtp.connections < 25, "a server that is down is not hammered"

    office.smtp.fault, office.smtp.said = "", {}
    impatient(monkeypatch, "")
    office.live(TEN_MINUTES)
    assert office.answered() == Counter(senders)
    status, state, _ = office.health(monkeypatch)
    assert (state["state"], state["outbound_waiting"]) == ("ok", 0)


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("RCPT", "452 4.2.2 <wang1@example.test> mailbox full"),
        ("RCPT", "552 5.2.2 <wang1@example.test> over quota"),
        ("RCPT", "450 4.2.0 <wang1@example.test> greylisted"),
        (".", "552 5.2.2 wang1@example.test over quota"),
    ],
)
def test_a_citizens_full_mailbox_is_tried_again_and_is_no_fault_of_the_server(
    office: Office, monkeypatch: pytest.MonkeyPatch, verb: str, answer: str
) -> None:
    sender = office.write()
    office.smtp.said = {verb: answer}
    office.live(timedelta(minutes=2))
    entry = office.house.book.log()[0]
    assert {d.outcome for d in entry.deliveries} == {f"refused:{answer[:3]}"}
    _, state, text = office.health(monkeypatch)
    assert (state["state"], state["outbound_waiting"], state["given_up"]) == ("ok", 1, 0)
    assert "wang1" not in text
    office.smtp.said = {}
    other = office.write()
    office.live(timedelta(minutes=2))
    assert office.answered()[other] == 1, "nobody else waits for it"
    office.live(TEN_MINUTES)
    assert office.answered() == Counter([sender, other])
    assert [d.outcome for d in office.house.book.find(entry.entry).deliveries][-1] == "sent"


def test_a_letter_taken_before_the_line_broke_comes_again_under_the_same_id_only(office: Office) -> None:
    """RFC 5321 6.1: nobody can know that it was taken; mail programs show one letter of two copies with one id."""
    office.smtp.takes_and_cuts = True
    office.write()
    office.live(timedelta(minutes=2))
    identifiers = [re.search(rb"(?mi)^message-id: (.*)\r$", raw) for _, raw in office.smtp.taken]
    assert len(identifiers) == 2
    assert len({match.group(1) for match in identifiers if match}) == 1


def test_many_letters_wait_for_a_silent_server_without_keeping_mail_from_being_read(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    senders = [office.write() for _ in range(30)]
    office.smtp.fault = "stall"
    monkeypatch.setattr(mailbox_smtp, "TIMEOUT", 0.1)
    office.live(TEN_MINUTES)
    assert len(office.house.book.log(limit=100)) == 30, "all were taken in and answered meanwhile"
    assert office.smtp.connections < 15, "each round tries one letter, not thirty"
    office.smtp.fault = ""
    impatient(monkeypatch, "")
    office.live(TEN_MINUTES)
    assert office.answered() == Counter(senders)


def test_a_silent_server_of_one_account_does_not_keep_the_letters_of_another(office: Office) -> None:
    silent = FakeSmtp(said={"MAIL": "451 4.3.0 not now"})
    try:
        own = office.house.settings.mailbox
        other = MailAccountSettings(
            **{f.name: getattr(own, f.name) for f in fields(MailAccountSettings)} | {"address": "jubao@qinghe.test"}
        )
        both = replace(own, smtp_port=silent.port, account={"jubao": other})
        office.mailbox.desk._settings = office.worker._outbox._settings = both
        for _ in range(8):
            office.write()
        office.live(timedelta(minutes=3))
        raw = mail("", "低保怎么申请？", sender="li@example.test")
        office.mailbox.store.take_in("jubao", 1, 1, b"Return-Path: <li@example.test>\r\n" + raw)
        office.live(2 * STEP)
        assert office.answered() == {"li@example.test": 1}
        entry = office.house.book.log()[-1]
        assert len(entry.deliveries) < 6, "a pause is no attempt"
    finally:
        silent.close()


def test_a_letter_that_is_refused_for_good_is_counted_for_staff(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.write()
    office.smtp.said = {"RCPT": "550 5.1.1 <wang1@example.test> no such user"}
    office.live(STEP)
    status, state, text = office.health(monkeypatch)
    assert (status, state["state"], state["outbound_waiting"], state["given_up"]) == (200, "ok", 0, 1)
    assert "wang1" not in text
    assert office.house.book.outbox_counts()[OutboundState.GIVEN_UP] == 1
    assert json.loads(text)["channels"]["wechat"]["state"] == "off"


# ---- Telegram ------------------------------------------------------------------------------------------------------

BOT_FAULTS = {
    "cut connections": (Fault(cut="before"), "cannot be reached"),
    "silence": (Fault(pause=1.3, cut="before"), "TimedOut"),
    "http 502": (Fault(502, "Bad Gateway"), "Bad Gateway"),
    "a proxy's page": (Fault(503, raw=b"<html>"), "cannot be reached or refuses"),
    "wrong token": (Fault(401, "Unauthorized"), "check BIANMIN_TELEGRAM__TOKEN"),
}


@pytest.mark.parametrize("name", BOT_FAULTS)
def test_ten_minutes_without_the_bot_api_lose_no_answer_and_repeat_none(
    register: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    silent = name == "silence"
    monkeypatch.setattr(telegram, "_SILENT_SECONDS", 1.0 if silent else 5.0)
    monkeypatch.setattr(telegram, "_LOOK_SECONDS", 0.02)
    api, clock, fault = FakeTelegram(), Clock(), BOT_FAULTS[name]
    own = TelegramSettings(api_base=api.base, token=fake_telegram.TOKEN, secret_token=fake_telegram.SECRET)
    book = RegisterBook(register.engine, register.seal, clock=clock)
    settings = replace(register.settings, telegram=own)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += timedelta(seconds=seconds * (4 if silent else 1))  # of the slow ones a few are enough
        await asyncio.sleep(0.01)

    reception: Any = FakeReception(book)
    manner = app.Manner(telegram_outbox.understood, telegram_outbox.outgoing)

    def work(entry: int, inquiry: Inquiry) -> Reply:
        reply = Reply(ReplyKind.ANSWER, f"答：{inquiry.text}")
        book.settle(entry, reply, durations={}, outgoing=manner.outgoing(entry, inquiry, reply))
        return reply

    reception.work = work
    door = telegram.Door(settings, reception, book, register.seal, clock=clock, sleep=sleep)

    async def story() -> None:
        worker = asyncio.create_task(door.run())
        try:
            await door.take(fake_telegram.update(1, "问题1", chat=1, user=1))
            await until(lambda: len(api.sent()) == 1)
            api.always = fault[0]
            began = clock.now
            for number in (2, 3, 4):
                await door.take(fake_telegram.update(number, f"问题{number}", chat=number, user=number))
            await until(lambda: clock.now - began >= TEN_MINUTES)
            state = door.state(book.queues()[Channel.TELEGRAM]).as_json()
            (trouble,) = state["troubles"]  # type: ignore[misc]
            assert (state["state"], state["outbound_waiting"], state["given_up"]) == ("failing", 3, 0)
            assert fault[1] in trouble["problem"]
            assert trouble["since"] == began.isoformat(timespec="seconds")
            assert trouble["next_attempt"] >= trouble["since"]
            assert fake_telegram.TOKEN not in str(state)
            assert len(pauses) < 40, "an API that is down is not hammered"
            api.always = None
            await until(lambda: len(api.sent()) == 4)
            await until(lambda: not door.state(book.queues()[Channel.TELEGRAM]).troubles)
            clock.now += TEN_MINUTES  # the next tries, if any were left
            await asyncio.sleep(0.1)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    try:
        asyncio.run(story())
    finally:
        api.close()
    assert Counter(api.sent()) == Counter(f"答：问题{n}" for n in (1, 2, 3, 4))


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


# ---- WeChat --------------------------------------------------------------------------------------------------------

WECHAT_FAULTS: dict[str, tuple[str, Any, str]] = {
    "nobody there": ("", None, "cannot be reached"),
    "silence": ("message/custom/send", 0.4, "ReadTimeout"),
    "http 502": ("message/custom/send", (502, b"<html>"), "HTTP 502"),
    "a proxy's page": ("message/custom/send", (200, b"<html>"), "unknown form"),
    "busy": ("message/custom/send", {"errcode": -1, "errmsg": "system error"}, "-1"),
    "wrong secret": ("stable_token", {"errcode": 40125, "errmsg": "invalid appsecret"}, "APP_SECRET"),
    "token refused": ("message/custom/send", {"errcode": 42001, "errmsg": "expired"}, "42001"),
    "address not allowed": ("stable_token", {"errcode": 40164, "errmsg": "invalid ip"}, "IP白名单"),
}


@pytest.mark.parametrize("name", WECHAT_FAULTS)
def test_ten_minutes_without_wechats_api_lose_no_answer_and_repeat_none(register: House, name: str) -> None:
    clock, fake = Clock(), FakeWeChat()
    where, answer, shown = WECHAT_FAULTS[name]
    own = replace(register.settings.wechat, token="t" * 10, app_id=APP_ID, app_secret=SECRET, api_base=fake.base)
    book = RegisterBook(register.engine, register.seal, clock=clock)
    reception: Any = FakeReception(book)
    door = Door(replace(register.settings, wechat=own), reception, book, register.seal, register.engine)
    store = WeChatStore(register.engine, register.seal)
    base = f"http://127.0.0.1:{free_port()}" if not where else fake.base

    def connect(base: str, patience: float) -> None:
        api = WeChatApi(APP_ID, SECRET, store, api_base=base, timeout=(patience, patience), clock=clock)
        door._outbox._api = api
        door._outbox._clock = clock

    def live(length: timedelta) -> None:
        end = clock.now + length
        while clock.now < end:
            clock.now += timedelta(seconds=2)
            while door._outbox.step():
                pass

    def state() -> dict[str, Any]:
        return door.state(book.queues()[Channel.WECHAT]).as_json()

    try:
        connect(base, 0.2 if isinstance(answer, float) else 5.0)
        if isinstance(answer, float):
            fake.pause = answer
        elif where:
            fake.script[where] = [answer]
        for number in (1, 2, 3):
            inquiry = Inquiry(
                Channel.WECHAT, f"m{number}", f"c{number}", f"问题{number}", clock.now, sender=f"oCitizen{number}"
            )
            reception.answer(inquiry)
            door._outbox.postpone(inquiry)
        began = clock.now
        live(TEN_MINUTES)
        seen = state()
        (trouble,) = seen["troubles"]
        assert (seen["state"], seen["outbound_waiting"], seen["given_up"]) == ("failing", 3, 0)
        assert shown in trouble["problem"]
        assert 0 <= seconds_until(trouble["since"], began) <= 4
        assert 0 <= seconds_until(trouble["next_attempt"], clock.now) <= 900
        assert SECRET not in str(seen)
        assert "oCitizen" not in str(seen)
        before = len(fake.sent())
        fake.pause = 0.0
        fake.script.clear()
        connect(fake.base, 5.0)
        live(timedelta(minutes=16))
        assert state()["troubles"] == []
    finally:
        fake.close()
    assert Counter(fake.sent()[before:]) == Counter(f"答：问题{n}" for n in (1, 2, 3))
    assert Counter(d.outcome for e in book.log() for d in e.deliveries)["sent"] == 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_counts_of_every_channel_are_metrics(register: House) -> None:
    application = app.asgi(register)

    async def ask() -> str:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return (await http.get("/metrics")).text

    text = asyncio.run(ask())
    assert 'bianmin_channel_waiting{channel="telegram",queue="outbound_waiting"} 0' in text
    assert 'bianmin_channel_failing{channel="mailbox"} 0' in text
