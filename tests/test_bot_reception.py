"""The reception: the one path of every question, whatever happens on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app import House, build
from bot.config import Settings
from bot.reception import Limits, Reception, StillWorking
from knowledge.model import Finding, Question
from register.clock import now_beijing
from register.inquiry import Channel, EntryStatus, Inquiry, ReplyKind
from replies.labels import quotable


def inquiry(text: str, key: str = "m1", conversation: str = "c1", channel: Channel = Channel.WEB) -> Inquiry:
    return Inquiry(channel, key, conversation, text, now_beijing(), sender="someone")


def test_an_answer_quotes_its_passage_word_for_word_with_everything_a_citizen_needs(demo_house: House) -> None:
    entry, reply = demo_house.reception.answer(inquiry("《青禾县高龄津贴发放管理办法》高龄津贴每月多少钱"))
    assert reply.kind in (ReplyKind.ANSWER, ReplyKind.CHOICES)
    if reply.kind is ReplyKind.CHOICES:
        entry, reply = demo_house.reception.answer(inquiry("1", "m2"))
    assert reply.kind is ReplyKind.ANSWER
    source = reply.sources[0]
    passages = demo_house.library.open_document(source.document)[1]
    assert any(source.quote in passage.text for passage in passages)
    assert quotable(source.title) in reply.text and source.locator in reply.text and "资料截至" in reply.text
    assert source.url.startswith(f"/p/{source.document}#")
    logged = demo_house.book.find(entry)
    assert logged.status is EntryStatus.SETTLED and logged.reply is not None
    assert logged.reply.sources == reply.sources
    assert logged.reply.search_record is not None and logged.reply.search_record.scope_documents > 50


def test_a_miss_says_what_was_searched_and_what_to_do_next(demo_house: House) -> None:
    _, reply = demo_house.reception.answer(inquiry("火星移民火箭票的团购价格"))
    assert reply.kind.convenience
    assert "本库未检索到" in reply.text
    assert "份文件" in reply.text and "截至" in reply.text
    assert reply.steps
    assert reply.search_record is not None and reply.search_record.terms


def test_a_matter_of_another_organ_names_it(demo_house: House) -> None:
    _, reply = demo_house.reception.answer(inquiry("个税退税怎么操作"))
    assert reply.kind is ReplyKind.NOT_HELD
    assert reply.organ is not None and "税务局" in reply.organ.name and reply.organ.phone in reply.text


@pytest.mark.parametrize(
    "text",
    ["", " ", "？", "😀😀😀", "\u200d\u200d\u200d", "问" * 10_000, "{{ 7*7 }}", "{% for x in y %}", "<script>alert(1)</script>",
     "'; DROP TABLE inquiries; --", "青政办规〔2026〕1号", "title:(a AND b) ~2 [x TO y]", "\x00\x0b\ud800"],
)  # fmt: skip
def test_any_question_gets_a_courteous_logged_reply(demo_house: House, text: str) -> None:
    entry, reply = demo_house.reception.answer(inquiry(text))
    assert reply.text and reply.kind is not ReplyKind.FAILED
    assert "Traceback" not in reply.text and "49" not in reply.text.split("电话")[0][:20]
    assert demo_house.book.find(entry).status is EntryStatus.SETTLED


def test_the_number_of_a_document_finds_the_document(demo_house: House) -> None:
    _, reply = demo_house.reception.answer(inquiry("青政办规〔2026〕1号"))
    assert reply.kind is ReplyKind.ANSWER
    assert reply.sources[0].number == "青政办规〔2026〕1号"


def test_an_answer_from_a_lapsed_text_says_so_before_it_quotes(demo_house: House) -> None:
    _, reply = demo_house.reception.answer(inquiry("青政办规〔2023〕2号"))
    assert reply.kind is ReplyKind.ANSWER and reply.notice
    assert "废止" in reply.text.split("「")[0]


def test_an_empty_library_says_that_it_is_being_prepared(house: House) -> None:
    _, reply = house.reception.answer(inquiry("低保怎么申请"))
    assert reply.text and "本库未检索到" not in reply.text
    assert not reply.sources


def test_choices_are_picked_by_number_even_after_a_restart(demo_settings: Settings) -> None:
    first = build(demo_settings)
    _, offered = first.reception.answer(inquiry("补贴"))
    first.close()
    assert offered.kind in (ReplyKind.CHOICES, ReplyKind.CLARIFY) and offered.choices
    second = build(demo_settings)
    try:
        _, picked = second.reception.answer(inquiry("第一个", "m2"))
        assert picked.rule != offered.rule
        _, other = second.reception.answer(inquiry("1", "m3", conversation="somebody else"))
        assert other.kind in (ReplyKind.CLARIFY, ReplyKind.MENU), "two citizens never mix"
    finally:
        second.close()


def test_feedback_judges_the_reply_it_follows(demo_house: House) -> None:
    entry, reply = demo_house.reception.answer(inquiry("青政办规〔2026〕1号"))
    assert reply.kind is ReplyKind.ANSWER
    demo_house.reception.answer(inquiry("有用", "m2"))
    assert demo_house.book.find(entry).useful is True


def test_a_hand_over_is_visible_in_the_log(demo_house: House) -> None:
    entry, reply = demo_house.reception.answer(inquiry("人工"))
    assert reply.kind is ReplyKind.HANDOVER
    assert "handover" in [event.kind for event in demo_house.book.events(entry)]


class Slow:
    """The library of a house, but slow and counting."""

    def __init__(self, house: House, gate: threading.Event) -> None:
        self._inner = house.library
        self._gate = gate
        self.asked = 0

    def ask(self, question: Question) -> Finding:
        self.asked += 1
        self._gate.wait(5)
        return self._inner.ask(question)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def reception_over(house: House, library: object, wait: float = 4.0) -> Reception:
    reception = house.reception
    return Reception(house.book, library, reception._composer, reception._context, Limits(wait_seconds=wait))  # type: ignore[arg-type]


def test_three_deliveries_at_once_make_one_entry_one_computation_and_one_reply(demo_house: House) -> None:
    gate = threading.Event()
    slow = Slow(demo_house, gate)
    reception = reception_over(demo_house, slow)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(reception.answer, inquiry("高龄津贴标准")) for _ in range(3)]
        threading.Timer(0.3, gate.set).start()
        results = [w.result() for w in waiting]
    assert slow.asked == 1
    assert len({entry for entry, _ in results}) == 1
    assert len({reply.text for _, reply in results}) == 1


def test_a_duplicate_does_not_wait_for_ever(demo_house: House) -> None:
    gate = threading.Event()
    slow = Slow(demo_house, gate)
    reception = reception_over(demo_house, slow, wait=0.2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reception.answer, inquiry("高龄津贴标准"))
        while not slow.asked:
            pass
        with pytest.raises(StillWorking) as waiting:
            reception.answer(inquiry("高龄津贴标准"))
        gate.set()
        entry, reply = first.result()
    assert waiting.value.entry == entry
    assert reception.answer(inquiry("高龄津贴标准")) == (entry, reply)


class Broken:
    """A library whose every question fails."""

    def __init__(self, house: House) -> None:
        self._inner = house.library

    def ask(self, question: Question) -> Finding:
        raise RuntimeError("disk on fire, secret path /etc/x")

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def test_a_failure_is_logged_by_name_and_answered_courteously(demo_house: House) -> None:
    entry, reply = reception_over(demo_house, Broken(demo_house)).answer(inquiry("高龄津贴标准"))
    assert reply.kind is ReplyKind.FAILED
    assert "disk" not in reply.text and "Error" not in reply.text
    logged = demo_house.book.find(entry)
    assert logged.status is EntryStatus.FAILED and logged.error == "RuntimeError"


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from bot.app import build
from bot.config import DataSettings, Settings
from register.clock import now_beijing
from register.inquiry import Channel, Inquiry
house = build(replace(Settings(), data=DataSettings(folder=Path(sys.argv[1]))))
house.book.open(Inquiry(Channel.WEB, "m1", "c1", "高龄津贴标准", now_beijing(), sender="someone"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_worker_left_open_is_answered_after_a_restart(demo_settings: Settings) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(demo_settings.data.folder)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    house = build(replace(demo_settings, register=replace(demo_settings.register, lease_seconds=1)))
    try:
        answered = house.reception.sweep(now_beijing() + timedelta(seconds=60))
        entries = house.book.log()
        assert len(entries) == 1 and entries[0].status is EntryStatus.SETTLED
        assert [reply.text for _, _, reply in answered] == [entries[0].reply.text if entries[0].reply else ""]
    finally:
        house.close()
