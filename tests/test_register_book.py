"""register.book: nothing is lost, nothing is done twice, and what people look at is masked."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from bot.database import migrate, open_engine
from register import codec
from register.book import Contacts, OutboundState, Outgoing, Queue, RegisterBook
from register.clock import BEIJING, from_stored, now_beijing, to_stored
from register.errors import AlreadySettled, SealBroken, UnknownEntry
from register.inquiry import (
    Channel,
    Choice,
    Conversation,
    EntryStatus,
    Inquiry,
    OrganCard,
    Reply,
    ReplyKind,
    SearchFacts,
    Source,
    Step,
)
from register.seal import KEY_FILE, Seal, load_or_create

KEY = "a key of the tests, long enough"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=BEIJING)
ID_NUMBER = "11010519491231002X"


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'book.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_engine(url)
    migrate(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(engine: Engine, clock: Clock) -> RegisterBook:
    return RegisterBook(engine, Seal(KEY), clock=clock)


def inquiry(key: str = "m1", question: str = "养老金怎么领？", **other: Any) -> Inquiry:
    values: dict[str, Any] = {
        "channel": Channel.WECHAT,
        "message_key": key,
        "conversation": "c" * 32,
        "text": question,
        "received_at": NOON,
        "sender": "oSenderOfTheTest",
    }
    return Inquiry(**(values | other))


def reply(words: str = "按月领取。", **other: Any) -> Reply:
    return replace(Reply(kind=ReplyKind.ANSWER, text=words, confidence=0.9), **other)


def rows(engine: Engine, statement: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(statement)))


# ---- one entry, one reply ------------------------------------------------------------------------------------


def test_an_inquiry_is_entered_before_any_work_and_settled_once(book: RegisterBook) -> None:
    opened = book.open(inquiry())
    assert (opened.entry, opened.mine, opened.reply) == (1, True, None)
    before = book.find(1)
    assert (before.status, before.kind, before.reply, before.settled_at) == (EntryStatus.OPEN, None, None, None)
    book.settle(1, reply(), durations={"search": 0.25, "compose": 0.5})
    after = book.find(1)
    assert (after.status, after.kind, after.seconds) == (EntryStatus.SETTLED, ReplyKind.ANSWER, 0.75)
    assert (after.received_at, after.settled_at) == (NOON, NOON)
    assert [event.kind for event in book.events(1)] == ["opened", "settled"]


def test_a_redelivery_finds_the_first_entry_and_its_reply(book: RegisterBook) -> None:
    book.open(inquiry())
    waiting = book.open(inquiry())
    assert (waiting.entry, waiting.mine, waiting.reply) == (1, False, None)
    assert book.reply_to(Channel.WECHAT, "m1") is None
    book.settle(1, reply(), durations={"total": 0.1})
    late = book.open(inquiry())
    assert (late.entry, late.mine, late.reply) == (1, False, reply())
    assert book.reply_to(Channel.WECHAT, "m1") == reply()
    assert book.reply_to(Channel.WECHAT, "another") is None


def test_the_same_key_on_another_channel_is_another_message(book: RegisterBook) -> None:
    assert book.open(inquiry("7")).entry == 1
    assert book.open(inquiry("7", channel=Channel.TELEGRAM)).entry == 2


def test_the_first_reply_stands(book: RegisterBook) -> None:
    book.open(inquiry())
    book.settle(1, reply("第一"), durations={})
    with pytest.raises(AlreadySettled, match="entry 1 has its reply"):
        book.settle(1, reply("第二"), durations={}, conversation=Conversation("c" * 32, NOON, question="第二"))
    with pytest.raises(AlreadySettled):
        book.fail(1, "TooLate", reply("第三"), {})
    assert book.shown(1) == reply("第一")
    assert book.conversation("c" * 32, NOON, 30) == Conversation("c" * 32)  # nothing of the second was kept


def test_a_failure_keeps_its_name_and_the_courteous_reply(book: RegisterBook) -> None:
    book.open(inquiry())
    sorry = reply("抱歉", kind=ReplyKind.FAILED)
    book.fail(1, "IndexUnavailable 13800138000", sorry, {"total": 1.5})
    entry = book.find(1)
    assert (entry.status, entry.kind, entry.error) == (
        EntryStatus.FAILED,
        ReplyKind.FAILED,
        "IndexUnavailable 138****8000",
    )
    assert book.open(inquiry()).reply == sorry


def test_an_entry_that_is_not_there_is_an_error_with_a_name(book: RegisterBook) -> None:
    calls: list[Callable[[], object]] = [
        lambda: book.settle(9, reply(), durations={}),
        lambda: book.fail(9, "x", reply(), {}),
        lambda: book.find(9),
        lambda: book.shown(9),
        lambda: book.deliver(9, "sent"),
        lambda: book.judge(9, True),
        lambda: book.note(9, "handover", "x"),
        lambda: book.reveal(9, "李", "x"),
        lambda: book.enqueue(9, Outgoing(Channel.WECHAT, "a", "b")),
        lambda: book.record_attempt(9, "sent"),
    ]
    for call in calls:
        with pytest.raises(UnknownEntry):
            call()
    assert book.renew(9) is False
    assert book.log() == []


def test_entry_numbers_are_never_used_twice(engine: Engine, book: RegisterBook) -> None:
    for key in "abc":
        book.open(inquiry(key))
    book.open(inquiry("c"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM events WHERE entry = 3"))
        connection.execute(
            text("DELETE FROM inquiries WHERE id = 3")
        )  # nobody does this; the number stays used all the same
    assert book.open(inquiry("d")).entry == 4


# ---- several callers -----------------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], object]) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_of_three_deliveries_at_once_exactly_one_is_mine(book: RegisterBook) -> None:
    mine: list[str] = []
    entries: set[tuple[str, int]] = set()

    def deliver(_: int) -> None:
        for number in range(40):
            opened = book.open(inquiry(f"k{number}"))
            entries.add((f"k{number}", opened.entry))
            if opened.mine:
                mine.append(f"k{number}")
                book.settle(opened.entry, reply(f"答{number}"), durations={})

    in_threads(3, deliver)
    assert sorted(mine) == sorted(f"k{number}" for number in range(40))
    assert len(entries) == 40
    assert all(book.reply_to(Channel.WECHAT, f"k{n}") == reply(f"答{n}") for n in range(40))


WORKER = """
import sys, time
from datetime import datetime
from bot.database import open_engine
from register.book import RegisterBook
from register.inquiry import Channel, Inquiry
from register.seal import Seal

url, key, job = sys.argv[1:4]
book = RegisterBook(open_engine(url), Seal(key), lease_seconds=float(sys.argv[4]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(job)):
    opened = book.open(Inquiry(Channel.WECHAT, f"p{number}", "c" * 32, "养老金怎么领？", datetime.now().astimezone(), sender="o1"))
    if opened.mine:
        print(number, flush=True)
print("done", flush=True)
sys.stdin.readline()
"""


def worker(url: str, count: int, lease_seconds: float = 10) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, url, KEY, str(count), str(lease_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_of_two_processes_exactly_one_is_told_mine(engine: Engine, url: str) -> None:
    processes = [worker(url, 60) for _ in range(2)]
    for process in processes:
        begin(process)
    claims = [process.communicate("stop\n", timeout=60)[0].split() for process in processes]
    assert [said[-1] for said in claims] == ["done", "done"]
    assert sorted(int(n) for said in claims for n in said[:-1]) == list(range(60))


def test_a_killed_workers_entry_is_taken_over_by_exactly_one_after_the_lease(engine: Engine, url: str) -> None:
    process = worker(url, 1, lease_seconds=3600)
    begin(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.communicate()

    early = RegisterBook(engine, Seal(KEY))
    assert early.open(inquiry("p0")).mine is False
    assert early.abandoned() == []
    late = RegisterBook(engine, Seal(KEY), clock=lambda: now_beijing() + timedelta(hours=1, seconds=5))
    mine: list[int] = []

    def take(_: int) -> None:
        opened = late.open(inquiry("p0"))
        if opened.mine:
            mine.append(opened.entry)

    in_threads(4, take)
    assert mine == [1]
    late.settle(1, reply(), durations={})
    assert [event.kind for event in late.events(1)] == ["opened", "taken_over", "settled"]


def test_the_worker_that_was_only_slow_finds_the_reply_of_the_other(book: RegisterBook, clock: Clock) -> None:
    book.open(inquiry())
    clock.advance(11)
    assert book.open(inquiry()).mine is True
    book.settle(1, reply("另一位的答复"), durations={})
    with pytest.raises(AlreadySettled):
        book.settle(1, reply("迟到的答复"), durations={})
    assert book.shown(1) == reply("另一位的答复")


def test_a_renewed_lease_is_not_taken_over(book: RegisterBook, clock: Clock) -> None:
    book.open(inquiry())
    clock.advance(8)
    assert book.renew(1) is True
    clock.advance(8)
    assert book.open(inquiry()).mine is False
    book.settle(1, reply(), durations={})
    assert book.renew(1) is False


def test_the_sweeper_gets_abandoned_inquiries_whole_and_only_once(book: RegisterBook, clock: Clock) -> None:
    lost = inquiry("lost", f"我是{ID_NUMBER}，补贴没到", subject="求助13800138000", event="voice:amr")
    book.open(lost)
    book.open(inquiry("done"))
    book.settle(2, reply(), durations={})
    clock.advance(11)
    book.open(inquiry("fresh"))
    assert book.abandoned(clock.now) == [(1, lost)]
    assert book.abandoned(clock.now) == []
    clock.advance(11)
    assert [entry for entry, _ in book.abandoned(clock.now)] == [1, 3]


def test_one_unreadable_entry_does_not_stop_the_sweeper(
    engine: Engine, book: RegisterBook, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    RegisterBook(engine, Seal("another key, also long"), clock=clock).open(inquiry("a", f"身份证{ID_NUMBER}"))
    book.open(inquiry("b"))
    clock.advance(11)
    with caplog.at_level(logging.ERROR):
        assert [entry for entry, _ in book.abandoned(clock.now)] == [2]
    assert "entry 1 cannot be resumed" in caplog.text
    assert ID_NUMBER not in caplog.text


# ---- personal data -------------------------------------------------------------------------------------------


def everything_stored(engine: Engine) -> str:
    tables = ("inquiries", "events", "deliveries", "conversations", "outbound", "access_log")
    return "\n".join(str(row) for table in tables for row in rows(engine, f"SELECT * FROM {table}"))


def test_what_people_look_at_is_masked_and_nothing_lies_open_in_the_database(
    engine: Engine, book: RegisterBook
) -> None:
    asked = f"申请人：张三，身份证{ID_NUMBER}，手机13800138000"
    book.open(inquiry(question=asked, subject="张三来信13800138000"))
    record = SearchFacts(asked, (ID_NUMBER,), (), {}, 1, 1, "v", "", 0, 0.0)
    echo = reply(f"您问的“{asked}”本库未检索到。", lead="您的手机13800138000", search_record=record)
    book.settle(
        1,
        echo,
        durations={},
        conversation=Conversation("c" * 32, NOON, question=asked, slots={"name": "张三", "id": ID_NUMBER}),
        outgoing=[Outgoing(Channel.WECHAT, "oSenderOfTheTest", f"{ID_NUMBER}")],
    )
    book.note(1, "handover", "请回电13800138000")
    book.deliver(1, "refused:45015", "to 13800138000")
    stored = everything_stored(engine)
    for secret in (ID_NUMBER, "13800138000", "张三，", "oSenderOfTheTest"):
        assert secret not in stored
    seen = str(book.find(1)) + str(book.log()) + str(book.events(1))
    assert ID_NUMBER not in seen
    assert "13800138000" not in seen
    assert book.find(1).question == "申请人：张**，身份证110105***********X，手机138****8000"
    assert book.shown(1) == echo  # the citizen sees again exactly what was shown


def test_what_a_reply_quotes_from_published_texts_stays_readable(engine: Engine) -> None:
    book = RegisterBook(engine, Seal(KEY), office_contacts=frozenset({"0999-5550101"}))
    quote = "咨询电话：0999-5553111"
    source = Source("d1", "办事指南", "", "县人社局", "2026-01-01", "六", quote, "in_force", "/p/d1")
    book.open(inquiry())
    said = reply(
        f"根据指南：{quote}；也可拨0999-5550101、0999-5550199；您的0999-7777777",
        sources=(source,),
        organ=OrganCard("县人社局", phone="0999-5550199"),
    )
    book.settle(1, said, durations={})
    shown = book.find(1).reply
    assert shown is not None
    assert shown.text == f"根据指南：{quote}；也可拨0999-5550101、0999-5550199；您的0999-*******"
    assert shown.sources == (source,)


def test_each_look_at_the_original_is_logged_before_it_is_given(engine: Engine, book: RegisterBook) -> None:
    original = inquiry(question=f"身份证{ID_NUMBER}", event="location:99.1,35.2", subject="求助")
    book.open(original)
    assert book.reveal(1, "王经办", "回电核实") == original
    assert [(row.who, row.entry, row.why) for row in rows(engine, "SELECT * FROM access_log")] == [
        ("王经办", 1, "回电核实")
    ]
    assert [event.kind for event in book.events(1)] == ["opened", "revealed"]
    with pytest.raises(ValueError, match="a name and a purpose"):
        book.reveal(1, "王经办", " ")
    with pytest.raises(SealBroken):
        RegisterBook(engine, Seal("another key, also long")).reveal(1, "李", "看看")
    assert len(rows(engine, "SELECT * FROM access_log")) == 2  # also the look that failed


def test_the_log_stays_readable_with_another_key(engine: Engine, book: RegisterBook) -> None:
    book.open(inquiry())
    book.settle(1, reply("手机13800138000"), durations={})
    entry = RegisterBook(engine, Seal("another key, also long")).log()[0]
    assert (entry.reply, entry.question) == (None, "养老金怎么领？")
    assert "another key" in entry.error


def test_a_database_sealed_with_another_key_is_refused_at_start(engine: Engine, book: RegisterBook) -> None:
    book.verify_seal()
    RegisterBook(engine, Seal(KEY)).verify_seal()
    with pytest.raises(SealBroken, match=r"restore the register\.key"):
        RegisterBook(engine, Seal("another key, also long")).verify_seal()


# ---- log, conversation, feedback -----------------------------------------------------------------------------


def test_the_log_is_newest_first_and_can_be_narrowed(book: RegisterBook) -> None:
    book.open(inquiry("a"))
    book.open(inquiry("b", channel=Channel.WEB, received_at=NOON + timedelta(hours=1)))
    book.open(inquiry("c", received_at=NOON + timedelta(hours=2)))
    book.settle(1, reply(), durations={})
    book.deliver(1, "refused:45015")
    book.deliver(1, "sent")
    assert [entry.entry for entry in book.log()] == [3, 2, 1]
    assert [entry.entry for entry in book.log(limit=2)] == [3, 2]
    assert [entry.entry for entry in book.log(channel=Channel.WEB)] == [2]
    assert [entry.entry for entry in book.log(since=NOON + timedelta(minutes=30))] == [3, 2]
    assert [entry.entry for entry in book.log(status=EntryStatus.SETTLED)] == [1]
    assert [delivery.outcome for delivery in book.log()[2].deliveries] == ["refused:45015", "sent"]
    assert [event.kind for event in book.events(1)] == ["opened", "settled", "undelivered", "delivered"]
    assert book.counts() == {("wechat", "settled", "answer"): 1, ("wechat", "open", ""): 1, ("web", "open", ""): 1}


def test_a_conversation_survives_a_restart_and_expires(engine: Engine, book: RegisterBook, url: str) -> None:
    pending = Conversation(
        "c" * 32,
        NOON,
        choices=(Choice("一", "1"),),
        asked_back=True,
        question="低保",
        subject="低保",
        document="d1",
        more="下文",
        last_entry=1,
        topic_locked=True,
        dialogue="application",
        slots={"name": "张三"},
    )
    book.open(inquiry())
    book.settle(1, reply(), durations={}, conversation=pending)
    engine.dispose()
    again = open_engine(url)
    try:
        restarted = RegisterBook(again, Seal(KEY))
        assert restarted.conversation("c" * 32, NOON + timedelta(minutes=30), 30) == pending
        assert restarted.conversation("c" * 32, NOON + timedelta(minutes=31), 30) == Conversation("c" * 32)
        assert restarted.conversation("d" * 32, NOON, 30) == Conversation("d" * 32)
        other = RegisterBook(again, Seal("another key, also long"))
        assert other.conversation("c" * 32, NOON, 30) == Conversation("c" * 32)
    finally:
        again.dispose()


def test_a_judgement_counts_and_may_be_changed(book: RegisterBook) -> None:
    book.open(inquiry())
    assert book.find(1).useful is None
    book.judge(1, True)
    book.judge(1, False)
    assert book.find(1).useful is False
    assert [event.detail for event in book.events(1) if event.kind == "judged"] == ["useful", "not useful"]


def test_the_kind_of_an_event_is_in_the_log_without_its_detail(engine: Engine, book: RegisterBook) -> None:
    book.open(inquiry(question="", event="location:99.123456,35.654321"))
    assert book.find(1).event == "location"
    assert "99.123456" not in everything_stored(engine)


# ---- outbox --------------------------------------------------------------------------------------------------


def test_what_is_due_is_claimed_by_one_and_comes_back_when_that_one_dies(book: RegisterBook, clock: Clock) -> None:
    book.open(inquiry())
    first = book.enqueue(1, Outgoing(Channel.WECHAT, "oSender", "正文"))
    book.enqueue(None, Outgoing(Channel.WECHAT, "oSender", "以后", due_at=NOON + timedelta(minutes=5)))
    book.enqueue(None, Outgoing(Channel.MAILBOX, "a@example.org", "信"))
    claimed = book.claim_due(Channel.WECHAT)
    assert [(o.id, o.entry, o.address, o.payload, o.attempts) for o in claimed] == [(first, 1, "oSender", "正文", 1)]
    assert book.claim_due(Channel.WECHAT) == []
    clock.advance(11)
    assert [(o.id, o.attempts) for o in book.claim_due(Channel.WECHAT)] == [(first, 2)]


def test_what_was_not_tried_is_due_later_and_was_no_attempt(book: RegisterBook, clock: Clock) -> None:
    number = book.enqueue(None, Outgoing(Channel.MAILBOX, "a@example.org", "信"))
    assert number is not None
    book.claim_due(Channel.MAILBOX)
    book.postpone(number, NOON + timedelta(minutes=1))
    assert book.claim_due(Channel.MAILBOX) == []
    clock.advance(61)
    assert [o.attempts for o in book.claim_due(Channel.MAILBOX)] == [1]


def test_what_waits_is_counted_by_channel(book: RegisterBook) -> None:
    book.open(inquiry())
    book.open(inquiry("m2", channel=Channel.WEB))
    number = book.enqueue(None, Outgoing(Channel.MAILBOX, "a@example.org", "信"))
    book.enqueue(None, Outgoing(Channel.MAILBOX, "b@example.org", "信", due_at=NOON + timedelta(minutes=5)))
    later = book.enqueue(None, Outgoing(Channel.WECHAT, "o", "正文"))
    assert number is not None and later is not None
    book.record_attempt(later, "refused:45015")
    found = book.queues()
    assert found[Channel.WECHAT] == Queue(open=1, given_up=1)
    assert found[Channel.MAILBOX] == Queue(pending=2, next_due=NOON)
    assert found[Channel.TELEGRAM] == Queue()
    book.settle(1, reply(), durations={})
    assert book.queues()[Channel.WECHAT].open == 0


def test_what_passed_with_a_citizen_is_known_for_the_rules_of_a_channel(book: RegisterBook, clock: Clock) -> None:
    book.open(inquiry())
    book.open(inquiry("m2", received_at=NOON + timedelta(minutes=1), event="click:低保"))
    book.open(inquiry("m3", conversation="d" * 32))
    book.deliver(1, "passive")
    clock.advance(60)
    book.deliver(1, "sent")
    book.deliver(3, "sent")
    found = book.contacts(Channel.WECHAT, "c" * 32, NOON - timedelta(hours=1))
    assert found == Contacts(((NOON, ""), (NOON + timedelta(minutes=1), "click")), (NOON + timedelta(minutes=1),))
    assert book.contacts(Channel.WECHAT, "c" * 32, NOON + timedelta(hours=1)) == Contacts((), ())


def test_replies_that_have_not_arrived_are_listed(book: RegisterBook) -> None:
    for number in (1, 2, 3):
        book.open(inquiry(f"m{number}"))
    book.deliver(1, "held:45015")
    book.deliver(2, "unreachable")
    book.deliver(2, "sent")
    assert [entry.entry for entry in book.log(undelivered=True)] == [1]


def test_an_attempt_ends_in_sent_in_another_try_or_in_giving_up(book: RegisterBook, clock: Clock) -> None:
    book.open(inquiry())
    number = book.enqueue(1, Outgoing(Channel.WECHAT, "oSender", "正文"))
    assert number is not None
    book.claim_due(Channel.WECHAT)
    book.record_attempt(number, "refused:-1", retry_at=NOON + timedelta(minutes=1))
    assert book.claim_due(Channel.WECHAT) == []
    clock.advance(61)
    assert [(o.attempts, o.last_outcome) for o in book.claim_due(Channel.WECHAT)] == [(2, "refused:-1")]
    book.record_attempt(number, "sent")
    with pytest.raises(UnknownEntry, match="nothing pending"):
        book.record_attempt(number, "sent")
    other = book.enqueue(1, Outgoing(Channel.WECHAT, "oSender", "再一次"))
    assert other is not None
    book.record_attempt(other, "refused:45015")
    assert book.outbox_counts() == {OutboundState.PENDING: 0, OutboundState.SENT: 1, OutboundState.GIVEN_UP: 1}
    assert [d.outcome for d in book.find(1).deliveries] == ["refused:-1", "sent", "refused:45015"]
    assert [e.kind for e in book.events(1)] == ["opened", "undelivered", "delivered", "undelivered", "given_up"]


def test_a_key_keeps_the_same_thing_from_being_queued_twice(book: RegisterBook) -> None:
    letter = Outgoing(Channel.MAILBOX, "a@example.org", "信", key="entry-1")
    assert book.enqueue(None, letter) == 1
    assert book.enqueue(None, letter) is None
    book.open(inquiry())
    book.settle(1, reply(), durations={}, outgoing=[letter, replace(letter, key="entry-1b")])
    assert len(book.claim_due(Channel.MAILBOX)) == 2


def test_a_late_answer_is_queued_with_its_settlement_or_not_at_all(book: RegisterBook) -> None:
    book.open(inquiry())
    book.settle(1, reply(), durations={})
    with pytest.raises(AlreadySettled):
        book.settle(1, reply(), durations={}, outgoing=[Outgoing(Channel.WECHAT, "oSender", "迟到")])
    assert book.claim_due(Channel.WECHAT) == []


def test_several_senders_share_what_is_due_without_overlap(book: RegisterBook) -> None:
    for number in range(30):
        book.enqueue(None, Outgoing(Channel.WECHAT, "oSender", str(number)))
    claimed: list[int] = []

    def send(_: int) -> None:
        while batch := book.claim_due(Channel.WECHAT, limit=4):
            claimed.extend(o.id for o in batch)

    in_threads(3, send)
    assert sorted(claimed) == list(range(1, 31))


# ---- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "",
        "\x00\x01",
        "\ud800坏字符\udfff",
        "养" * 10_000,
        "'); DROP TABLE inquiries; --",
        "{{ 7*7 }}<script>",
        "👩‍👩‍👧\u200d\u200d",
    ],
)
def test_any_text_is_entered_and_answered(book: RegisterBook, question: str) -> None:
    opened = book.open(inquiry("k" + question, question, sender=question, subject=question))
    pending = Conversation(question, NOON, question=question)
    book.settle(opened.entry, reply(question, lead=question), durations={"total": 0.0}, conversation=pending)
    assert book.shown(opened.entry) == reply(question, lead=question)
    assert book.open(inquiry("k" + question, question)).entry == opened.entry
    assert [entry.entry for entry in book.log()] == [opened.entry]
    assert book.conversation(question, NOON, 30).question == question
    assert book.reveal(opened.entry, "李", "核对").sender == question


def test_very_long_keys_are_told_apart(book: RegisterBook) -> None:
    assert book.open(inquiry("x" * 5000 + "a")).entry == 1
    assert book.open(inquiry("x" * 5000 + "b")).entry == 2
    assert book.open(inquiry("x" * 5000 + "a")).entry == 1


def test_a_moment_without_a_zone_is_refused(book: RegisterBook) -> None:
    with pytest.raises(ValueError, match="time zone"):
        book.open(inquiry(received_at=datetime(2026, 11, 20)))
    assert book.log() == []


def test_a_failing_database_is_an_error_of_sqlalchemy_everywhere(engine: Engine, book: RegisterBook) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE events"))
    with pytest.raises(DBAPIError):
        book.open(inquiry())
    assert rows(engine, "SELECT * FROM inquiries") == []  # and nothing half-done stays


# ---- stored forms --------------------------------------------------------------------------------------------

FULL = Reply(
    kind=ReplyKind.NOT_HELD,
    text="全文",
    confidence=0.25,
    lead="导语",
    notice="已废止",
    sources=(
        Source("d", "题", "号", "机关", "2026-01-01", "一", "引", "in_force", "/p/d", "guide", "有效", "甲 › 乙"),
    ),
    nearest=(Source("e", "题", "", "", "", "", "", "", ""),),
    choices=(Choice("甲", "1"),),
    organ=OrganCard("县医保局", "0999-1", "路", "时"),
    organ_reason="因",
    steps=(Step("拨打", "tel:12345"),),
    facts=(("条件", "年满60周岁"), ("收费", "不收费")),
    search_record=SearchFacts("问", ("甲",), ("乙",), {"attribute": "public"}, 3, 9, "v1", "2026-11-20", 2, 0.5),
    basis=("第三十九条",),
    more="余文",
    disclaimer="说明",
    rule="rule",
)


def test_the_full_example_leaves_no_field_at_its_default() -> None:
    assert [f.name for f in fields(Reply) if getattr(FULL, f.name) == f.default] == []


def test_every_form_comes_back_as_it_went_in() -> None:
    conversation = Conversation(
        "k", NOON, (Choice("甲", "1"),), True, "q", "s", "d", "m", 3, True, "application", {"a": "b"}
    )
    for value in (FULL, Reply(ReplyKind.MENU, ""), conversation, Conversation("k"), inquiry()):
        assert is_dataclass(value)
        assert codec.load(type(value), codec.dump(value)) == value


@given(st.builds(Reply, search_record=st.none() | st.from_type(SearchFacts)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_reply_comes_back_as_it_went_in(value: Reply) -> None:
    stored = codec.dump(value)
    assume("NaN" not in stored)  # no reply holds one, and it equals nothing
    assert codec.load(Reply, stored) == value


def test_fields_of_a_newer_program_are_ignored_and_missing_ones_take_their_default() -> None:
    assert codec.load(Choice, '{"label":"甲","send":"1","colour":"red"}') == Choice("甲", "1")
    assert codec.load(Reply, '{"kind":"menu","text":"x"}') == Reply(ReplyKind.MENU, "x")


@pytest.mark.parametrize(
    "stored", ["", "[]", '{"kind":"menu"}', '{"kind":"no such kind","text":""}', '{"kind":"menu","text":7}']
)
def test_a_damaged_form_is_refused(stored: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codec.load(Reply, stored)


def test_moments_are_kept_to_the_microsecond_whatever_their_zone() -> None:
    moment = datetime(2026, 11, 20, 4, 0, 0, 123456, tzinfo=UTC)
    assert from_stored(to_stored(moment)) == moment
    assert from_stored(to_stored(moment)).utcoffset() == timedelta(hours=8)


# ---- seal ----------------------------------------------------------------------------------------------------


def test_a_signature_is_ours_for_its_own_text_only() -> None:
    seal = Seal(KEY)
    signature = seal.sign("share:7:20800")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", signature)
    assert seal.signed("share:7:20800", signature)
    assert not seal.signed("share:8:20800", signature)
    assert not Seal("another key, also long").signed("share:7:20800", signature)
    for wrong in ("", signature[:-1], signature + "=", "签名", "\udc80"):
        assert not seal.signed("share:7:20800", wrong)
    assert seal.pseudonym("x") not in seal.sign("x"), "the two have keys of their own"


def test_a_seal_opens_with_its_own_key_only() -> None:
    sealed = Seal(KEY).close("张三\ud800")
    assert "张三" not in sealed
    assert Seal(KEY).open(sealed) == "张三\ud800"
    assert Seal(KEY).close("张三") != Seal(KEY).close("张三")
    for broken in (sealed[:-2] + "xx", "", "no seal", "坏"):
        with pytest.raises(SealBroken):
            Seal(KEY).open(broken)
    with pytest.raises(SealBroken, match="another key"):
        Seal(KEY + "!").open(sealed)
    with pytest.raises(SealBroken, match="fewer than 16"):
        Seal("short")


def test_a_pseudonym_is_the_same_for_the_same_person_and_key_only() -> None:
    assert Seal(KEY).pseudonym("o1") == Seal(KEY).pseudonym("o1")
    assert len({Seal(KEY).pseudonym("o1"), Seal(KEY).pseudonym("o2"), Seal(KEY + "!").pseudonym("o1")}) == 3


def test_without_a_configured_key_one_is_made_once_and_kept_private(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    with caplog.at_level(logging.WARNING):
        seals: list[Seal] = []
        in_threads(4, lambda _: seals.append(load_or_create("", folder)))
    assert caplog.text.count("back it up") == 1
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (folder / KEY_FILE).read_text().strip() not in caplog.text
    assert len({seal.pseudonym("x") for seal in seals}) == 1
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]
    assert load_or_create(KEY, folder).pseudonym("x") == Seal(KEY).pseudonym("x")
