"""Processes that look up answers: the same answers, the same errors, and nothing lost when one of them dies."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import House, build
from bot.config import ConfigError, DataSettings, Settings, load
from bot.errors import ThinkerDied
from bot.thinkers import Thinkers, _Seat
from register.clock import now_beijing
from register.inquiry import Channel, Conversation, EntryStatus, Inquiry, ReplyKind

QUESTIONS = (
    "高龄津贴每月多少钱",
    "身份证丢了怎么补办",
    "个税退税怎么操作",
    "火星移民火箭票的团购价格",
    "人工",
    "没用",
    "",
)


@pytest.fixture(scope="module")
def thinking(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Thinkers]]:
    folder = tmp_path_factory.mktemp("thinking") / "data"
    shutil.copytree(demo_folder, folder)
    settings = replace(Settings(), data=DataSettings(folder=folder))
    thinkers = Thinkers(settings, 1)
    house = build(settings, thinker=thinkers)
    assert thinkers.wait_until_ready(120)
    yield house, thinkers
    thinkers.close()
    house.close()


def message(text: str, key: str) -> Inquiry:
    return Inquiry(Channel.WEB, key, f"citizen-{key}", text, now_beijing(), sender="someone")


def pid_of(thinkers: Thinkers) -> int:
    pid = thinkers._seats[0]._process.pid
    assert pid is not None
    return pid


def test_a_process_comes_to_the_same_answer_as_the_house_itself(thinking: tuple[House, Thinkers]) -> None:
    house, thinkers = thinking
    now = now_beijing()
    for number, text in enumerate(QUESTIONS):
        asked, waiting = message(text, f"same-{number}"), Conversation(key="c")
        told = thinkers.think(asked, waiting, now, 1900, 7)
        own = house.reception.think(asked, waiting, now, 1900, 7)
        assert told is not None
        assert (told.turn, told.alert, told.conversation) == (own.turn, own.alert, own.conversation), text
        assert told.durations.keys() == own.durations.keys()
        assert timeless(told.reply) == timeless(own.reply), text


def timeless(reply: object) -> object:
    record = reply.search_record  # type: ignore[attr-defined]
    return replace(reply, search_record=record and replace(record, seconds=0.0))  # type: ignore[type-var]


def test_what_was_withdrawn_is_not_quoted_by_a_process_that_has_quoted_it(thinking: tuple[House, Thinkers]) -> None:
    house, _ = thinking
    asked = "《青禾县高龄津贴发放管理办法》高龄津贴每月多少钱"
    _, before = house.reception.answer(message(asked, "before"))
    named = {source.document for source in before.sources} | {choice.send for choice in before.choices}
    gone = next(d for d in house.library.documents() if "高龄津贴发放管理办法" in d.title)
    assert gone.id in named or any(gone.title in choice.label for choice in before.choices)
    house.library.withdraw(gone.id, "测试")
    _, after = house.reception.answer(message(asked, "after"))
    assert gone.id not in {source.document for source in after.sources}
    assert not any(gone.title in choice.label for choice in after.choices)


def test_an_error_of_the_work_comes_back_under_its_own_name(thinking: tuple[House, Thinkers]) -> None:
    house, thinkers = thinking
    nonsense: Conversation = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        thinkers.think(message("高龄津贴", "bad"), nonsense, now_beijing(), 0, 1)
    entry, reply = house.reception.answer(message("身份证丢了怎么补办", "next"))  # and the process goes on
    assert house.book.find(entry).status is EntryStatus.SETTLED
    assert reply.kind is not ReplyKind.FAILED


def test_a_killed_process_costs_no_answer_and_is_started_again(thinking: tuple[House, Thinkers]) -> None:
    house, thinkers = thinking
    killed = pid_of(thinkers)
    os.kill(killed, signal.SIGKILL)
    entry, reply = house.reception.answer(message("高龄津贴每月多少钱", "killed"))
    assert house.book.find(entry).status is EntryStatus.SETTLED
    assert reply.kind is not ReplyKind.FAILED
    until = time.monotonic() + 60
    while (thinkers._free.empty() or pid_of(thinkers) == killed) and time.monotonic() < until:
        time.sleep(0.05)
    assert pid_of(thinkers) != killed
    told = thinkers.think(message("高龄津贴", "again"), Conversation(key="c"), now_beijing(), 0, 1)
    assert told is not None


def test_a_message_that_kills_two_processes_is_failed_with_a_name(
    thinking: tuple[House, Thinkers], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, thinkers = thinking
    seat = thinkers._free.get(timeout=60)
    deaths = []

    def die(_: bytes) -> None:
        deaths.append(1)
        raise EOFError

    monkeypatch.setattr(type(seat), "ask", lambda self, asked: die(asked))
    monkeypatch.setattr(thinkers, "_start_again", thinkers._free.put)
    thinkers._free.put(seat)
    with pytest.raises(ThinkerDied, match="entry 9"):
        thinkers.think(message("高龄津贴", "poison"), Conversation(key="c"), now_beijing(), 0, 9)
    assert len(deaths) == 2


def test_closing_ends_the_processes(demo_settings: Settings) -> None:
    thinkers = Thinkers(demo_settings, 1)
    process = thinkers._seats[0]._process
    assert thinkers.wait_until_ready(120)
    thinkers.close()
    assert not process.is_alive()
    assert process.exitcode == 0


def test_nobody_waits_for_processes_that_are_still_starting(demo_settings: Settings) -> None:
    thinkers = Thinkers(demo_settings, 1)
    try:
        told = thinkers.think(message("高龄津贴", "early"), Conversation(key="c"), now_beijing(), 0, 1)
        assert told is None, "the serving process answers"
    finally:
        thinkers.close()
    assert not thinkers._seats[0]._process.is_alive()


def test_a_process_that_cannot_start_is_tried_again(
    demo_settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.thinkers._AGAIN_SECONDS", 0.01)
    refused = iter([True])
    ready = _Seat.wait_until_ready

    def once(seat: _Seat) -> None:
        if next(refused, False):
            raise EOFError
        ready(seat)

    monkeypatch.setattr(_Seat, "wait_until_ready", once)
    thinkers = Thinkers(demo_settings, 1)
    try:
        assert thinkers.wait_until_ready(120)
    finally:
        thinkers.close()
    assert "could not start" in caplog.text


def test_the_number_of_processes_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[server]\nprocesses = 65\n", "utf-8")
    with pytest.raises(ConfigError, match="processes must lie between 0 and 64"):
        load(file, {})
