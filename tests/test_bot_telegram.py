"""The Telegram door from outside: a real house and the real python-telegram-bot against a Bot API on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_telegram import BOT_ID, BOT_NAME, SECRET, TOKEN, FakeTelegram, Fault, edit, message, tap, update
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from bot import app as app_module
from bot import reception as reception_module
from bot.app import House, asgi, build, telegram_of
from bot.channels import telegram, telegram_outbox
from bot.channels.telegram_outbox import (
    GIVE_UP_AFTER,
    LONGEST_TEXT,
    keyboard,
    next_try,
    outgoing,
    pieces,
    staff_words,
    understood,
)
from bot.channels.telegram_wire import LONGEST_TAP, Address, Me, Tap, TapKind, checksum, pack, read_tap, read_update
from bot.cli import main
from bot.config import DataSettings, Settings, TelegramSettings
from bot.errors import ConfigError, MalformedMessage, TelegramNotReady
from register.book import OutboundState
from register.clock import now_beijing
from register.inquiry import Channel, Choice, Conversation, Entry, Inquiry, Reply, ReplyKind
from replies.kinds import choose
from replies.model import Decision, Turn, TurnKind

ROOT = Path(__file__).parent.parent
LETTERS = Path(__file__).parent / "letters" / "telegram"
ME = Me(BOT_ID, BOT_NAME)
GROUP = -1001234567890
pytestmark = [
    pytest.mark.filterwarnings("ignore:Please use 'Bot.getUpdates'"),
    pytest.mark.filterwarnings("ignore:Deprecated since version v22.2"),
]
HEADERS = {"X-Telegram-Bot-Api-Secret-Token": SECRET}

DOCUMENTS = (
    (
        "bridges",
        "青政办发〔2026〕90号",
        "青禾县人民政府办公室关于桥梁管护的通知",
        "一、经费\n每座桥每年补助管护经费800元。",
    ),
    (
        "roads",
        "青政办发〔2026〕91号",
        "青禾县人民政府办公室关于农村公路管护的通知",
        "一、经费\n每公里每年补助管护经费1200元。",
    ),
    (
        "cattle",
        "青政办发〔2026〕92号",
        "青禾县人民政府办公室关于牲畜防疫的通知",
        "一、经费\n每村每年补助防疫经费3000元。",
    ),
)


@pytest.fixture
def api() -> Iterator[FakeTelegram]:
    fake = FakeTelegram()
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that failed is tried again soon; how long the real pauses are is tested by itself."""

    def soon(attempts: int, asked_at: datetime | None, now: datetime) -> datetime | None:
        return now + timedelta(seconds=0.1) if next_try(attempts, asked_at, now) else None

    monkeypatch.setattr(telegram_outbox, "next_try", soon)
    monkeypatch.setattr(telegram, "_pause", lambda failures: 0.1)


def with_bot(settings: Settings, api: FakeTelegram, **changes: Any) -> Settings:
    own = TelegramSettings(api_base=api.base, token=TOKEN, secret_token=SECRET)
    return replace(settings, telegram=replace(own, **changes))


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three small documents, to be copied."""
    folder = tmp_path_factory.mktemp("county")
    files = []
    for name, number, title, body in DOCUMENTS:
        files.append(folder / f"{name}.txt")
        text = (
            f"{number}\n\n{title}\n\n各乡镇人民政府：\n{body}\n青禾县人民政府办公室\n2026年3月2日\n（此件公开发布）\n"
        )
        files[-1].write_text(text, "utf-8")
    built = build(replace(Settings(), data=DataSettings(folder / "data")))
    assert not [o for o in built.library.ingest(files, publish=True) if o.error]
    built.close()
    return folder / "data"


@pytest.fixture
def settings(county: Path, tmp_path: Path, api: FakeTelegram) -> Settings:
    shutil.copytree(county, tmp_path / "data")
    return with_bot(replace(Settings(), data=DataSettings(tmp_path / "data")), api)


@pytest.fixture
def office(settings: Settings) -> Iterator[House]:
    built = build(settings)
    yield built
    built.close()


class Citizen:
    """Telegram's side of the webhook."""

    def __init__(self, http: httpx.AsyncClient, house: House, api: FakeTelegram, door: telegram.Door) -> None:
        self.http, self.house, self.api, self.door = http, house, api, door

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post("/telegram", content=content, headers=HEADERS | headers)

    async def says(self, *updates: dict[str, Any], answers: int | None = None) -> list[str]:
        """Post the updates and wait for as many messages as there were updates; what was sent."""
        before = len(self.api.sent())
        for one in updates:
            assert (await self.post(one)).status_code == 200
        await until(lambda: len(self.api.sent()) >= before + (len(updates) if answers is None else answers))
        await self.quiet()
        return self.api.sent()[before:]

    async def quiet(self) -> None:
        """Until nothing is open and nothing is pending."""

        def done() -> bool:
            counts = self.house.book.outbox_counts()
            return not counts[OutboundState.PENDING] and all(e.settled_at for e in self.house.book.log())

        await until(done)

    def entries(self) -> list[Entry]:
        return list(reversed(self.house.book.log()))


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(house: House, api: FakeTelegram) -> AsyncIterator[Citizen]:
    """The door with its worker and the sweeper, as ``asgi`` runs them."""
    door = telegram_of(house)
    workers = [asyncio.create_task(door.run()), asyncio.create_task(app_module._sweep(house, lambda _: None))]
    transport = httpx.ASGITransport(app=Starlette(routes=door.routes))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            await until(lambda: bool(api.named("getMe")) or api.down)
            yield Citizen(http, house, api, door)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def run(house: House, api: FakeTelegram, story: Callable[[Citizen], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with serving(house, api) as citizen:
            await story(citizen)

    asyncio.run(tell())


# ---- what an update means ------------------------------------------------------------------------------------------


def letter(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((LETTERS / f"{name}.json").read_text("utf-8"))
    return loaded


WORDS = {
    "text": "桥梁补助多少钱",
    "text_forwarded": "农村公路管护怎么补助",
    "text_emoji_mention_later": "👨\u200d👩\u200d👧 请问 桥梁补助多少钱",
    "text_markup": "*桥梁* _补助_ <b>多少钱</b> [看](http://qinghe.example) `800`",
    "command_human": "人工，我家低保的事",
    "command_unknown": "菜单",
    "group_mention": "桥梁补助多少钱",
    "group_reply": "那公路呢",
    "group_command": "菜单",
    "group_small": "菜单",
    "group_topic": "桥梁补助多少钱",
    "photo_caption": "桥梁补助多少钱",
    "edited": "农村公路每公里补助多少",
}
EVENTS = {
    "command_start": "start",
    "group_mention_only": "menu",
    "photo": "image",
    "voice": "voice",
    "video_note": "video",
    "document": "file",
    "sticker": "sticker",
    "location": "location",
    "contact": "file",
    "poll": "file",
    "tap_foreign": "unknown_tap",
}
TAPS = {"tap_choice": Tap(TapKind.CHOICE, 3, "1"), "tap_inaccessible": Tap(TapKind.USEFUL, 3)}
NOT_OURS = {
    "group_chatter",
    "group_mention_other",
    "group_reply_to_person",
    "group_command_other",
    "group_anonymous",
    "group_photo",
    "group_joined",
    "group_migrated",
    "from_bot",
    "channel_post",
    "channel_post_forwarded",
    "pinned",
    "tap_inline",
    "my_chat_member",
    "inline_query",
    "unknown_kind",
}


@pytest.mark.parametrize("name", sorted(p.stem for p in LETTERS.glob("*.json")))
def test_every_kind_of_update_is_read_as_what_it_is(name: str) -> None:
    read = read_update(letter(name), ME)
    if name in NOT_OURS:
        assert read is None
        return
    assert read is not None
    assert read.text == WORDS.get(name, "")
    assert read.event == EVENTS.get(name, "")
    assert read.tap == TAPS.get(name)
    assert read.edited == (name == "edited")


def test_an_answer_in_a_group_is_a_reply_and_stays_in_its_topic() -> None:
    read = read_update(letter("group_topic"), ME)
    assert read is not None
    assert read.address.quote and read.address.thread == 77 and read.address.group


def test_a_group_is_told_to_come_again_while_our_name_is_not_known() -> None:
    with pytest.raises(TelegramNotReady):
        read_update(letter("group_mention"), Me(BOT_ID))
    private = read_update(letter("text"), Me(BOT_ID))
    assert private is not None and private.text == "桥梁补助多少钱"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "update",
        {},
        {"update_id": "1"},
        {"update_id": True},
        {"update_id": 10**400},
        {"update_id": 1, "message": 5},
        {"update_id": 1, "message": {}},
        {"update_id": 1, "message": message(None) | {"text": ["a"]}},
        {"update_id": 1, "message": message("a") | {"chat": {"id": "1", "type": "private"}}},
        {"update_id": 1, "message": message("a") | {"chat": {"type": "private"}}},
        {"update_id": 1, "message": message("a") | {"from": {"id": 1.5, "is_bot": False, "first_name": "a"}}},
        {"update_id": 1, "message": message("a") | {"message_id": 2**70}},
        {"update_id": 1, "message": message("a") | {"date": "yesterday"}},
        {"update_id": 1, "callback_query": {"id": "1"}},
        {"update_id": 1, "callback_query": []},
    ],
)
def test_what_is_no_update_is_malformed(raw: object) -> None:
    with pytest.raises(MalformedMessage):
        read_update(raw, ME)


# ---- buttons -------------------------------------------------------------------------------------------------------


def test_button_data_come_back_and_fit_into_64_bytes() -> None:
    for tap_ in (
        Tap(TapKind.CHOICE, 10**15 - 1, "999"),
        Tap(TapKind.MORE, 10**15 - 1, checksum("余下的文字")),
        Tap(TapKind.USELESS, 10**15 - 1),
    ):
        assert len(tap_.data().encode()) <= LONGEST_TAP
        assert read_tap(tap_.data()) == tap_


@pytest.mark.parametrize(
    "data", ["", "c", "c.1", "c.1.x", "c.1.1234", "c.-1.0", "z.1", "c.1.1\n", "u.99999999999999999", "c.１.1"]
)
def test_foreign_button_data_stand_for_nothing(data: str) -> None:
    assert read_tap(data) is None


LIST = (Choice("甲", "甲事"), Choice("乙", "乙事"))


def inquiry(text: str = "", event: str = "", key: str = "k") -> Inquiry:
    return Inquiry(Channel.TELEGRAM, key, "c", text, now_beijing(), pack(Address(4242, 4242, 7)), event=event)


def test_a_button_picks_only_from_its_own_list() -> None:
    own = Conversation("c", choices=LIST, last_entry=3)
    assert understood(inquiry("乙事", "tap:c.3.1"), own).text == "2"
    newer = Conversation("c", choices=LIST, last_entry=4)
    assert understood(inquiry("乙事", "tap:c.3.1"), newer).text == ""
    assert understood(inquiry("乙事", "tap:c.3.2"), own).text == ""
    assert understood(inquiry("乙事"), own).text == "乙事"


def test_continue_goes_on_only_with_the_answer_it_hangs_under() -> None:
    data = Tap(TapKind.MORE, 3, checksum("下文")).data()
    assert understood(inquiry("继续", f"tap:{data}"), Conversation("c", more="下文")).text == "继续"
    assert understood(inquiry("继续", f"tap:{data}"), Conversation("c", more="别的下文")).text == ""
    assert understood(inquiry("继续", f"tap:{data}"), Conversation("c")).text == ""


def test_buttons_hang_under_what_they_are_for() -> None:
    choices = Reply(ReplyKind.CHOICES, "选哪个", choices=(Choice("很长的标题" * 30, "甲"), Choice("乙", "乙")))
    labels = [[b.label for b in row] for row in keyboard(5, choices)]
    assert len(labels) == 2 and labels[0][0].startswith("1. 很长的标题") and len(labels[0][0]) == 60
    assert [b.data for row in keyboard(5, Reply(ReplyKind.ANSWER, "答", more="下文")) for b in row] == [
        f"m.5.{checksum('下文')}",
        "u.5",
        "n.5",
    ]
    assert keyboard(5, Reply(ReplyKind.SMALLTALK, "您好")) == ()
    assert len(keyboard(5, Reply(ReplyKind.ANSWER, "下文", rule="continue"))) == 0


# ---- texts ---------------------------------------------------------------------------------------------------------


@given(st.text(alphabet=st.sampled_from("的一是。！\n a😀\u200d\ud800\x00<b>_*"), max_size=9000))
def test_no_piece_is_longer_than_telegram_takes_and_no_word_is_lost(text: str) -> None:
    cut = pieces(text)
    assert all(0 < len(piece.encode("utf-16-le")) // 2 <= LONGEST_TEXT for piece in cut)
    kept = "".join("".join(cut).split())
    cleaned = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\x00", "")
    assert kept == "".join(cleaned.split())


def test_long_texts_are_cut_at_sentences() -> None:
    cut = pieces("本办法自发布之日起施行。" * 400)
    assert len(cut) > 2 and all(piece.endswith("。") for piece in cut)


def test_staff_words_go_to_the_same_chat() -> None:
    (item,) = staff_words(inquiry("低保"), "您好，已转民政局。", key="7")
    assert item.address == inquiry("低保").sender and item.key == "staff:7:1"


def test_a_reply_without_an_address_is_not_queued() -> None:
    assert outgoing(1, replace(inquiry("a"), sender=""), Reply(ReplyKind.ANSWER, "答")) == ()


def test_sending_is_tried_for_a_day_ever_more_seldom() -> None:
    now = now_beijing()
    gaps = []
    for n in range(1, 30):
        at = next_try(n, now, now)
        assert at is not None
        gaps.append(at - now)
    assert gaps == sorted(gaps) and gaps[-1] == timedelta(minutes=5)
    assert next_try(1, now - GIVE_UP_AFTER - timedelta(seconds=1), now) is None


# ---- the webhook ---------------------------------------------------------------------------------------------------


def test_a_question_is_answered_once_in_plain_text(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        (text,) = await citizen.says(letter("text_markup"))
        (sent,) = api.named("sendMessage")
        assert "parse_mode" not in sent and "reply_parameters" not in sent
        assert int(sent["chat_id"]) == 4242
        (entry,) = citizen.entries()
        assert entry.channel is Channel.TELEGRAM and [d.outcome for d in entry.deliveries] == ["sent"]
        assert "张" not in entry.conversation and "4242" not in entry.message_key.split(":")[2]
        assert text

    run(office, api, story)


def test_an_update_delivered_again_is_neither_entered_nor_answered_again(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        one = update(100, "桥梁补助多少钱")
        answers = await asyncio.gather(*(citizen.post(one) for _ in range(5)))
        assert {a.status_code for a in answers} == {200}
        await until(lambda: bool(api.sent()))
        await citizen.quiet()
        assert (await citizen.post(one)).status_code == 200
        await citizen.says(update(101, "您好"))
        assert len(citizen.entries()) == 2 and len(api.sent()) == 2

    run(office, api, story)


def test_only_telegram_gets_in(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        for header in ({}, {"X-Telegram-Bot-Api-Secret-Token": SECRET + "x"}, {"X-Telegram-Bot-Api-Secret-Token": ""}):
            refused = await citizen.http.post("/telegram", json=update(1, "您好"), headers=header)
            assert refused.status_code == 403
        assert (await citizen.http.get("/telegram", headers=HEADERS)).status_code == 405
        assert citizen.entries() == []

    run(office, api, story)


def test_bad_bodies_are_refused_by_name(office: House, api: FakeTelegram) -> None:
    bodies = {
        b"": 400,
        b"{": 400,
        b"\xff\xfe": 400,
        b"[" * 60_000: 400,
        b"9" * 60_000: 400,
        b"NaN": 400,
        b"[]": 400,
        b'{"update_id": 1e999}': 400,
        b" " * 70_000: 413,
        b'{"update_id": 5}': 200,
    }

    async def story(citizen: Citizen) -> None:
        for body, status in bodies.items():
            assert (await citizen.post(body)).status_code == status, body[:20]
        assert citizen.entries() == []

    run(office, api, story)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A real update with some values replaced by anything."""
    value = letter(draw(st.sampled_from(sorted(p.stem for p in LETTERS.glob("*.json")))))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = value
        while isinstance(place, (dict, list)) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], (dict, list)) or draw(st.booleans()):
                place[key] = draw(JSON_VALUES)
                break
            place = place[key]
    return value


def test_no_body_whatever_ends_in_a_server_error(office: House, api: FakeTelegram) -> None:
    statuses: Counter[int] = Counter()

    async def story(citizen: Citizen) -> None:
        loop = asyncio.get_running_loop()

        @hypothesis_settings(
            max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
        )
        @given(st.one_of(spoiled(), JSON_VALUES, st.binary(max_size=60)))
        def post(body: Any) -> None:
            answer = asyncio.run_coroutine_threadsafe(citizen.post(body), loop).result(30)
            statuses[answer.status_code] += 1
            assert answer.status_code in (200, 400)

        await asyncio.to_thread(post)
        await citizen.says(update(9_000_000, "桥梁补助多少钱"))
        await citizen.quiet()

    run(office, api, story)
    assert statuses[200] > 10 and statuses[400] > 10


def test_an_update_that_cannot_be_stored_is_not_acknowledged(
    office: House, api: FakeTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(citizen: Citizen) -> None:
        real = citizen.house.book.open
        with monkeypatch.context() as broken:

            def full(_: Inquiry) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            broken.setattr(type(citizen.house.book), "open", lambda self, i: full(i))
            assert (await citizen.post(update(1, "桥梁"))).status_code == 503
        assert real is not None
        await citizen.says(update(1, "桥梁"))
        assert len(citizen.entries()) == 1

    run(office, api, story)


# ---- conversations -------------------------------------------------------------------------------------------------


def test_commands_are_messages_of_the_conversation(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        said = [f"/{name}" for name in ("start", "help", "menu", "human", "new")]
        for number, text in enumerate(said):
            await citizen.says(update(number, text))
        kinds = [entry.kind for entry in citizen.entries()]
        assert kinds == [ReplyKind.MENU] * 3 + [ReplyKind.HANDOVER, ReplyKind.SMALLTALK]
        (commands,) = api.named("setMyCommands")
        assert {c["command"] for c in commands["commands"]} == {text[1:] for text in said}

    run(office, api, story)


@pytest.fixture
def offering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question is answered with the same two choices."""

    def choices(turn: Turn, *rest: Any) -> Decision:
        if turn.kind is not TurnKind.QUESTION:
            return choose(turn, *rest)
        offered = (Choice("桥梁管护", "桥梁管护经费"), Choice("公路管护", "公路管护经费"))
        return Decision(ReplyKind.CHOICES, "test", question=turn.shown, choices=offered, targets=("", ""))

    monkeypatch.setattr(reception_module, "choose", choices)


@pytest.mark.usefixtures("offering")
def test_a_choice_is_made_by_its_button_and_an_old_list_is_dead(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await citizen.says(update(1, "桥和路的管护经费"))
        old = [data for _, data in api.buttons() if data.startswith("c.")]
        assert len(old) >= 2
        await citizen.says(update(2, "小额贷款贴息由谁办理"))
        new = [data for _, data in api.buttons() if data.startswith("c.")]
        assert new and not set(new) & set(old)
        assert (await citizen.post(tap(3, old[1]))).status_code == 200
        await until(lambda: bool(api.named("answerCallbackQuery")))
        assert "之前的问题" in api.named("answerCallbackQuery")[0]["text"]
        assert len(citizen.entries()) == 2
        wanted = citizen.entries()[1].reply
        assert wanted is not None
        await citizen.says(tap(4, new[1]))
        picked = citizen.entries()[-1]
        assert picked.question == wanted.choices[1].send and picked.event == "tap"
        assert picked.reply is not None and picked.reply.rule != "pick_missed"
        assert (await citizen.post(tap(5, new[1]))).status_code == 200  # tapped twice: answered once
        await citizen.quiet()
        assert len(citizen.entries()) == 3

    run(office, api, story)


@pytest.mark.usefixtures("offering")
def test_a_tap_that_waits_behind_a_newer_question_does_not_pick_from_its_list(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await citizen.says(update(1, "桥和路的管护经费"))
        old = [data for _, data in api.buttons() if data.startswith("c.")]
        await citizen.says(update(2, "小额贷款贴息由谁办理"), tap(3, old[0]))
        assert citizen.entries()[1].kind is ReplyKind.CHOICES
        late = citizen.entries()[-1]
        assert late.event == "tap" and late.kind is not ReplyKind.ANSWER
        assert late.reply is not None and late.reply.sources == ()

    run(office, api, story)


def test_long_answers_go_on_by_button_until_their_end(settings: Settings, api: FakeTelegram) -> None:
    house = build(with_bot(settings, api, reply_bytes=500))

    async def story(citizen: Citizen) -> None:
        texts = await citizen.says(update(1, "火星移民手续怎么办理"))
        for number in range(2, 20):
            going_on = [data for label, data in api.buttons() if label == "继续"]
            if not going_on:
                break
            texts += await citizen.says(tap(number, going_on[0]))
        assert len(texts) > 1 and all(len(text.encode()) <= 500 for text in texts)
        assert all("回复“继续”" in text for text in texts[:-1]) and "回复“继续”" not in texts[-1]
        first = citizen.entries()[0].reply
        assert first is not None and first.more.endswith(texts[-1])

    run(house, api, story)
    house.close()


def test_feedback_judges_the_entry_that_it_hangs_under(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await citizen.says(update(1, "桥梁补助多少钱"))
        first = dict(api.buttons())
        await citizen.says(update(2, "牲畜防疫补助多少钱"))
        await citizen.post(tap(3, first["没用"]))
        stranger = tap(4, first["有用"], user=999)
        await citizen.post(stranger)
        await until(lambda: len(api.named("answerCallbackQuery")) == 2)
        assert [e.useful for e in citizen.entries()] == [False, None]
        assert any("人工" in m["text"] for m in api.named("answerCallbackQuery"))

    run(office, api, story)


def test_a_changed_question_is_a_new_question_once(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await citizen.says(update(1, "桥梁补助多少", message_number=50))
        await citizen.post(edit(2, "桥梁补助多少", message_number=50))  # only a preview was added
        await citizen.says(edit(3, "农村公路补助多少", message_number=50))
        await citizen.post(edit(4, "农村公路补助多少", message_number=50))
        await citizen.quiet()
        assert [e.question for e in citizen.entries()] == ["桥梁补助多少", "农村公路补助多少"]
        assert len(api.sent()) == 2
        assert int(api.named("sendMessage")[1]["reply_parameters"]["message_id"]) == 50

    run(office, api, story)


def test_in_groups_it_speaks_only_when_spoken_to(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await until(lambda: bool(api.named("setMyCommands")))
        for name in sorted(NOT_OURS):
            assert (await citizen.post(letter(name))).status_code == 200
        await citizen.says(letter("group_mention"), letter("group_topic"), letter("group_command"))
        assert len(citizen.entries()) == 3
        sent = api.named("sendMessage")
        assert all("reply_parameters" in m for m in sent)
        assert [m.get("message_thread_id") for m in sent].count("77") == 1

    run(office, api, story)


def test_people_in_a_group_have_conversations_of_their_own(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await until(lambda: bool(api.named("setMyCommands")))
        for number, user in enumerate((1, 2, 1)):
            await citizen.says(update(number, f"@{BOT_NAME} 补助", chat=GROUP, user=user))
        await citizen.says(update(9, "补助", chat=1, user=1))
        names = [e.conversation for e in citizen.entries()]
        assert names[0] == names[2] and len(set(names)) == 3

    run(office, api, story)


def test_an_album_is_asked_about_once(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        photo = [{"file_id": "A", "file_unique_id": "B", "width": 9, "height": 9}]
        album = [update(n, None, photo=photo, media_group_id="77") for n in range(3)]
        (text,) = await citizen.says(*album, answers=1)
        assert "打成一句话" in text and len(citizen.entries()) == 1

    run(office, api, story)


# ---- bad days ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "outcomes", "messages"),
    [
        (Fault(429, "Too Many Requests: retry after 1", retry_after=1), ["refused:429", "sent"], 1),
        (Fault(500, "Internal Server Error"), ["unreachable", "sent"], 1),
        (Fault(502, "Bad Gateway"), ["unreachable", "sent"], 1),
        (Fault(cut="before"), ["unreachable", "sent"], 1),
        (Fault(raw=b"<html>a proxy</html>"), ["unreachable", "sent"], 2),  # nobody can know that it was taken
        (Fault(cut="after"), ["unreachable", "sent"], 2),  # nor here
        (Fault(raw=b'{"ok":true}'), ["sent"], 1),
        (Fault(raw=b'{"ok":true,"result":{}}'), ["sent"], 1),
        (Fault(403, "Forbidden: bot was blocked by the user"), ["refused:403"], 0),
        (Fault(400, "Bad Request: chat not found"), ["refused:400"], 0),
        (Fault(400, "Bad Request: group upgraded", migrate_to=-100777), ["sent"], 1),
    ],
)
def test_how_a_delivery_ended_is_what_the_register_says(
    office: House, api: FakeTelegram, fault: Fault, outcomes: list[str], messages: int
) -> None:
    async def story(citizen: Citizen) -> None:
        api.fail("sendMessage", fault)
        await citizen.says(update(1, "您好"), answers=0)
        await until(lambda: bool(citizen.entries()[0].deliveries))
        await citizen.quiet()
        (entry,) = citizen.entries()
        assert [d.outcome for d in entry.deliveries] == outcomes
        assert len(api.sent()) == messages
        await citizen.says(update(2, "您好"))  # and nobody else had to suffer for it
        assert (await asyncio.to_thread(office.book.outbox_counts))[OutboundState.GIVEN_UP] == (messages == 0)

    run(office, api, story)


def test_a_message_is_noted_before_telegram_has_it_and_not_sent_if_that_fails(
    office: House, api: FakeTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []
    record = office.book.record_sending

    def flaky(number: int) -> None:
        noted.append(len(api.sent()))
        if len(noted) == 1:
            raise OSError("disk full")
        record(number)

    monkeypatch.setattr(office.book, "record_sending", flaky)

    async def story(citizen: Citizen) -> None:
        assert (await citizen.post(update(1, "您好"))).status_code == 200
        await until(lambda: bool(noted))
        with office.engine.begin() as connection:  # the lease of the failed try
            connection.exec_driver_sql("update outbound set lease_until = 0")
        await until(lambda: len(api.sent()) == 1)
        await citizen.quiet()
        assert noted == [0, 0]

    run(office, api, story)


def test_a_message_whose_sender_died_on_the_way_is_left_to_staff(office: House, api: FakeTelegram) -> None:
    opened = office.book.open(Inquiry(Channel.TELEGRAM, "k", "c", "桥", now_beijing(), sender=pack(Address(7, 7))))
    words = telegram_outbox.staff_words(office.book.reveal(opened.entry, "李科", "回复群众"), "已转办。")[0]
    number = office.book.enqueue(opened.entry, words)
    assert number is not None
    office.book.claim_due(Channel.TELEGRAM)
    office.book.record_sending(number)
    office.book.settle(opened.entry, Reply(ReplyKind.SMALLTALK, "好"), durations={})
    with office.engine.begin() as connection:
        connection.exec_driver_sql("update outbound set lease_until = 0")

    async def story(citizen: Citizen) -> None:
        await citizen.quiet()
        assert [d.outcome for d in citizen.entries()[0].deliveries] == ["unconfirmed"]
        assert api.sent() == []
        assert [entry.entry for entry in office.book.log(undelivered=True)] == [opened.entry]

    run(office, api, story)


def test_an_outage_shows_and_ends_by_itself(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await until(lambda: bool(api.named("setMyCommands")))
        api.down = True
        for number in range(5):
            assert (await citizen.post(update(number, "您好", chat=number + 1, user=number + 1))).status_code == 200
        await until(lambda: bool(citizen.door.problems()))
        assert "Bot API" in citizen.door.problems()[0] and TOKEN not in str(citizen.door.problems())
        api.down = False
        await until(lambda: len(api.sent()) == 5)
        await citizen.quiet()
        assert citizen.door.problems() == []
        assert sorted(int(m["chat_id"]) for m in api.named("sendMessage")) == [1, 2, 3, 4, 5]

    run(office, api, story)


def test_the_door_opens_although_the_bot_api_is_away_at_start(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        assert (await citizen.post(letter("group_mention"))).status_code == 503  # our name is not known: come again
        assert (await citizen.post(update(1, "您好"))).status_code == 200
        await until(lambda: bool(citizen.door.problems()))
        api.down = False
        await until(lambda: len(api.sent()) == 1)
        assert (await citizen.post(letter("group_mention"))).status_code == 200
        await until(lambda: len(api.sent()) == 2)

    api.down = True
    run(office, api, story)


def test_a_refused_token_is_named_without_being_shown(
    settings: Settings, api: FakeTelegram, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "7000001:AAWrongTokenThatMustNotShow"
    house = build(with_bot(settings, api, token=wrong))

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            door = telegram_of(house)
            worker = asyncio.create_task(door.run())
            stack.push_async_callback(asyncio.wait, {worker})
            stack.callback(worker.cancel)
            await until(lambda: bool(door.problems()))
            assert "BIANMIN_TELEGRAM__TOKEN" in door.problems()[0]
            assert wrong not in str(door.problems())

    with caplog.at_level(logging.DEBUG):
        asyncio.run(story())
    house.close()
    assert wrong not in caplog.text


def test_logs_hold_neither_token_nor_people_nor_words(
    office: House, api: FakeTelegram, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(citizen: Citizen) -> None:
        api.fail("sendMessage", Fault(raw=b"not json"), Fault(500, "oops"), Fault(403, "Forbidden: bot was blocked"))
        for number, text in enumerate(("我叫张三丰，电话13912345678", "桥梁补助多少钱", "您好")):
            await citizen.post(update(number, text))
        await until(lambda: len(citizen.entries()) == 3)
        await citizen.quiet()
        await citizen.post(b"{")
        await citizen.post({"update_id": 7, "message": message("秘密的话") | {"chat": 5}})

    with caplog.at_level(logging.INFO):
        run(office, api, story)
    assert "was not delivered" in caplog.text and "refused a Telegram update" in caplog.text
    for secret in (TOKEN, SECRET, "张三丰", "13912345678", "桥梁补助", "秘密的话", "zhang_sanfeng", "4242"):
        assert secret not in caplog.text, secret


def test_a_group_is_written_to_at_most_twenty_times_a_minute(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await until(lambda: bool(api.named("setMyCommands")))
        for number in range(25):
            await citizen.post(update(number, f"@{BOT_NAME} 您好", chat=GROUP, user=number + 1))
        await citizen.post(update(99, "您好", chat=5, user=5))
        await until(lambda: len(api.sent(5)) == 1 and len(citizen.entries()) == 26)
        await until(lambda: citizen.house.book.outbox_counts()[OutboundState.PENDING] == 5)
        await asyncio.sleep(0.3)
        assert len(api.sent(GROUP)) == 20

    run(office, api, story)


def test_a_slow_bot_api_does_not_slow_the_webhook(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        api.fail("sendMessage", Fault(pause=1.5))
        answers = await asyncio.gather(*(citizen.post(update(n, "您好", chat=n, user=n)) for n in range(1, 9)))
        assert {a.status_code for a in answers} == {200}
        assert len(citizen.entries()) == 8
        await until(lambda: len(api.sent()) == 8)

    run(office, api, story)


# ---- polling -------------------------------------------------------------------------------------------------------


async def polling(house: House, api: FakeTelegram, story: Callable[[Citizen], Awaitable[None]]) -> None:
    async with serving(house, api) as citizen:
        poller = asyncio.create_task(citizen.door.poll())
        try:
            await story(citizen)
        finally:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)


def test_polled_updates_are_acknowledged_after_they_were_committed(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        api.push(update(10, "您好"), update(11, "桥梁补助多少钱"), update(12, "谢谢"))
        await until(lambda: len(api.sent()) == 3)
        await until(lambda: api.confirmed == 13)
        assert [e.question for e in citizen.entries()] == ["您好", "桥梁补助多少钱", "谢谢"]
        assert api.sent()[0] != api.sent()[1]

    asyncio.run(polling(office, api, story))


def test_an_update_that_could_not_be_stored_is_fetched_again(
    office: House, api: FakeTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(office.book).open
    refusals = [0]

    def sometimes(self: Any, one: Inquiry) -> Any:
        if one.text == "桥梁" and refusals[0] < 2:
            refusals[0] += 1
            assert api.confirmed <= 2
            raise sqlite3.OperationalError("database is locked")
        return real(self, one)

    monkeypatch.setattr(type(office.book), "open", sometimes)

    async def story(citizen: Citizen) -> None:
        api.push(update(1, "您好"), update(2, "桥梁"), update(3, "谢谢"))
        await until(lambda: len(api.sent()) == 3)
        assert [e.question for e in citizen.entries()] == ["您好", "桥梁", "谢谢"]

    asyncio.run(polling(office, api, story))
    assert refusals == [2]


def test_a_spoiled_update_holds_up_nobody(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        api.push({"update_id": 1, "message": {"text": 5}}, {"update_id": 2, "message": []}, update(3, "您好"))
        await until(lambda: len(api.sent()) == 1)
        await until(lambda: api.confirmed == 4)

    asyncio.run(polling(office, api, story))


def test_a_webhook_in_the_way_of_polling_is_named(office: House, api: FakeTelegram) -> None:
    async def story(citizen: Citizen) -> None:
        await until(lambda: any("webhook delete" in problem for problem in citizen.door.problems()))
        api.push(update(1, "您好"))
        await until(lambda: len(api.sent()) == 1)
        assert citizen.door.problems() == []

    api.fail("getUpdates", Fault(409, "Conflict: can't use getUpdates method while webhook is active"))
    asyncio.run(polling(office, api, story))


# ---- off, half on, by command --------------------------------------------------------------------------------------


def test_without_a_token_the_door_is_closed_and_says_so(
    settings: Settings, api: FakeTelegram, caplog: pytest.LogCaptureFixture
) -> None:
    house = build(replace(settings, telegram=TelegramSettings()))

    async def story() -> None:
        with caplog.at_level(logging.INFO):
            app = Starlette(routes=telegram_of(house).routes)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
            assert (await http.post("/telegram", json=update(1, "您好"), headers=HEADERS)).status_code == 404
        assert telegram_of(house).problems() == []

    asyncio.run(story())
    house.close()
    assert "BIANMIN_TELEGRAM__TOKEN" in caplog.text


@pytest.mark.parametrize("changes", [{"secret_token": ""}, {"webhook": False}])
def test_without_a_secret_or_switched_off_the_webhook_stays_closed(
    settings: Settings, api: FakeTelegram, changes: dict[str, Any]
) -> None:
    house = build(with_bot(settings, api, **changes))

    async def story() -> None:
        door = telegram_of(house)
        app = Starlette(routes=door.routes)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
            for headers in ({}, HEADERS, {"X-Telegram-Bot-Api-Secret-Token": ""}):
                assert (await http.post("/telegram", json=update(1, "您好"), headers=headers)).status_code == 404
        assert ("SECRET_TOKEN" in str(door.problems())) == ("secret_token" in changes)

    asyncio.run(story())
    assert house.book.log() == []
    house.close()


def test_health_and_the_route_are_part_of_the_server(office: House, api: FakeTelegram) -> None:
    async def story() -> None:
        app = asgi(office)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http,
        ):
            await until(lambda: bool(api.named("setMyCommands")))
            assert (await http.get("/healthz")).status_code == 200
            api.down = True
            assert (await http.post("/telegram", json=update(1, "您好"), headers=HEADERS)).status_code == 200
            status, text = 200, ""
            for _ in range(200):
                answer = await http.get("/healthz")
                status, text = answer.status_code, answer.text
                if status == 503:
                    break
                await asyncio.sleep(0.05)
            assert status == 503 and "telegram: the Bot API" in text
            api.down = False
            await until(lambda: len(api.sent()) == 1)
            assert (await http.get("/healthz")).status_code == 200

    asyncio.run(story())


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environ: dict[str, str], *words: str
) -> tuple[int, str, str]:
    for name in [n for n in os.environ if n.startswith("BIANMIN_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(f"BIANMIN_{name}", value)
    code = main(["--json", "telegram", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_webhook_is_looked_after_by_command(
    api: FakeTelegram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {
        "DATA__FOLDER": str(tmp_path),
        "TELEGRAM__TOKEN": TOKEN,
        "TELEGRAM__SECRET_TOKEN": SECRET,
        "TELEGRAM__API_BASE": api.base,
        "SERVER__BASE_URL": "https://zwgk.qinghe.example",
    }
    code, out, _ = command(monkeypatch, capsys, environ, "webhook", "set")
    assert code == 0 and json.loads(out)["url"] == "https://zwgk.qinghe.example/telegram"
    (asked,) = api.named("setWebhook")
    assert asked["secret_token"] == SECRET and "callback_query" in asked["allowed_updates"]
    assert json.loads(command(monkeypatch, capsys, environ, "webhook", "show")[1])["url"]
    assert json.loads(command(monkeypatch, capsys, environ, "webhook", "delete")[1])["url"] == ""
    code, _, said = command(monkeypatch, capsys, environ | {"TELEGRAM__SECRET_TOKEN": ""}, "webhook", "set")
    assert code == 2 and "SECRET_TOKEN" in said
    wrong = "7000001:AAWrong"
    code, out, said = command(monkeypatch, capsys, environ | {"TELEGRAM__TOKEN": wrong}, "webhook", "show")
    assert code == 1 and "refuses the token" in said and wrong not in said + out
    code, _, said = command(monkeypatch, capsys, environ | {"TELEGRAM__TOKEN": ""}, "poll")
    assert code == 2 and "BIANMIN_TELEGRAM__TOKEN" in said


def test_a_plain_http_address_is_not_given_to_telegram() -> None:
    own = TelegramSettings(token=TOKEN, secret_token=SECRET)
    with pytest.raises(ConfigError, match="https"):
        asyncio.run(telegram.webhook(replace(Settings(), telegram=own), "set"))


# ---- killed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["webhook", "poll"])
def test_a_killed_process_loses_nothing(settings: Settings, api: FakeTelegram, tmp_path: Path, manner: str) -> None:
    """SIGKILL while 24 citizens ask. Nobody is answered twice; what was on its way is left to staff as unconfirmed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BIANMIN_")} | {
        "BIANMIN_DATA__FOLDER": str(settings.data.folder),
        "BIANMIN_SERVER__PORT": str(port),
        "BIANMIN_REGISTER__LEASE_SECONDS": "3",
        "BIANMIN_TELEGRAM__TOKEN": TOKEN,
        "BIANMIN_TELEGRAM__SECRET_TOKEN": SECRET,
        "BIANMIN_TELEGRAM__API_BASE": api.base,
    }
    words = ["serve"] if manner == "webhook" else ["telegram", "poll"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "bot", *words], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)

    updates = [update(n, f"第{n}座桥补助多少钱", chat=n, user=n) for n in range(1, 25)]
    waiting = {u["update_id"]: u for u in updates}

    client = httpx.Client(timeout=5)

    def deliver() -> None:
        """As Telegram does: again and again until it is acknowledged."""
        for number, one in list(waiting.items()):
            with contextlib.suppress(httpx.HTTPError):
                answer = client.post(f"http://127.0.0.1:{port}/telegram", json=one, headers=HEADERS)
                if answer.status_code == 200:
                    del waiting[number]

    if manner == "poll":
        api.push(*updates)
    process = start()
    kills = 0
    try:
        end = time.monotonic() + 90
        while kills == 0 or waiting_in(settings.data.folder, 24):
            assert time.monotonic() < end, f"{len(api.sent())} answers"
            if manner == "webhook":
                deliver()
            time.sleep(0.05)
            if kills == 0 and len(api.sent()) >= 5:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                process = start()
    finally:
        client.close()
        process.kill()
        process.wait()
    assert kills == 1
    house = build(settings)
    entries = house.book.log(limit=1000)
    house.close()
    assert sorted(e.question for e in entries) == sorted(u["message"]["text"] for u in updates)
    assert all(e.reply is not None for e in entries)
    per_chat = Counter(m["chat_id"] for m in api.named("sendMessage"))
    assert set(per_chat.values()) == {1}
    unconfirmed = sum(delivery.outcome == "unconfirmed" for entry in entries for delivery in entry.deliveries)
    assert unconfirmed <= kills
    assert len(per_chat) >= 24 - unconfirmed


def waiting_in(folder: Path, updates: int) -> bool:
    """Whether any of so many updates is not entered, not answered or not dealt with yet."""
    with sqlite3.connect(f"file:{folder / 'bianmin.db'}?mode=ro", uri=True) as connection:
        settled = "select count(*) from inquiries where status = 'settled'"
        pending = "select count(*) from outbound where state = 'pending'"
        counts = [connection.execute(statement).fetchone()[0] for statement in (settled, pending)]
    return counts != [updates, 0]
