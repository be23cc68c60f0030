"""The WeChat door from outside: a real register, a fake WeChat server on loopback, and a reception that tests steer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from wechat_phone import AES_KEY, APP_ID, LETTERS, TOKEN, Phone, letter

from bot.app import asgi, build
from bot.channels.wechat import Door, inquiry_of
from bot.channels.wechat_client import HINTS, Code, WeChatApi
from bot.channels.wechat_menu import menu_lines, menu_of
from bot.channels.wechat_outbox import FINAL, MOST_TRIES, Outbox, next_try, staff_words
from bot.channels.wechat_quota import refusal
from bot.channels.wechat_store import LONG_TERM, WeChatStore
from bot.channels.wechat_topics import command_of, concerns, template_of
from bot.channels.wechat_wire import Wire
from bot.cli import main
from bot.config import DataSettings, Settings, WeChatSettings, load
from bot.database import migrate, open_engine
from bot.errors import ConfigError, WeChatRefused, WeChatUnreachable
from bot.reception import StillWorking
from knowledge.model import DocumentKind, PolicyDocument
from register.book import OutboundState, RegisterBook
from register.clock import now_beijing, to_stored
from register.inquiry import Channel, Choice, Entry, EntryStatus, Inquiry, Reply, ReplyKind
from register.seal import Seal

SECRET = "the-app-secret-of-qinghe"
PHONE = Phone()
OPENID = "oQingHe-citizen_0000000000A1"


class FakeReception:
    """Answers over the real book, as fast and in such words as the test says."""

    def __init__(self, book: RegisterBook) -> None:
        self.book = book
        self.computed: list[Inquiry] = []
        self.gate = threading.Event()
        self.gate.set()
        self.compose: Callable[[Inquiry], Reply] = lambda inquiry: Reply(
            ReplyKind.ANSWER, f"答：{inquiry.text or inquiry.event}"
        )

    def answer(self, inquiry: Inquiry) -> tuple[int, Reply]:
        opened = self.book.open(inquiry)
        if opened.reply is not None:
            return opened.entry, opened.reply
        if not opened.mine:
            raise StillWorking(opened.entry)
        self.computed.append(inquiry)
        assert self.gate.wait(20)
        reply = self.compose(inquiry)
        self.book.settle(opened.entry, reply, durations={})
        return opened.entry, reply


class FakeWeChat:
    """WeChat's API: hands out tokens and answers as scripted."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any], str]] = []
        self.tokens = 0
        self.script: dict[str, list[Any]] = {}
        self.pause = 0.0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the client died before it had written all
                fake._answer(self, json.loads(body) if body else {})

            def do_GET(self) -> None:
                fake._answer(self, {})

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        path, _, query = handler.path.partition("?")
        name = path.removeprefix("/cgi-bin/")
        self.calls.append((name, body, query))
        time.sleep(self.pause)
        scripted = self.script.get(name, [])
        answer = (scripted.pop(0) if len(scripted) > 1 else scripted[0]) if scripted else None
        if answer is None and name == "stable_token":
            self.tokens += 1
            answer = {"access_token": f"TOKEN-{self.tokens}", "expires_in": 7200}
        status, raw = answer if isinstance(answer, tuple) else (200, json.dumps(answer or {"errcode": 0}).encode())
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [body for called, body, _ in self.calls if called == name]

    def sent(self) -> list[str]:
        return [body["text"]["content"] for body in self.named("message/custom/send")]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@dataclass
class House:
    """Everything behind one door; ``door()`` builds it anew, as a restart does."""

    folder: Path
    settings: Settings
    book: RegisterBook = field(init=False)
    reception: FakeReception = field(init=False)
    documents: list[PolicyDocument] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = open_engine(self.settings.database_url)
        self.seal = Seal("a key of the tests, long enough")
        self.book = RegisterBook(self.engine, self.seal, lease_seconds=10)
        self.reception = FakeReception(self.book)
        self.store = WeChatStore(self.engine, self.seal)

    def door(self, **changes: Any) -> Door:
        own = replace(self.settings, wechat=replace(self.settings.wechat, **changes))
        return Door(own, self.reception, self.book, self.seal, self.engine, documents=lambda: self.documents)

    def api(self, fake: FakeWeChat, **options: Any) -> WeChatApi:
        return WeChatApi(APP_ID, SECRET, self.store, api_base=fake.base, **options)

    def outbox(self, api: WeChatApi | None) -> Outbox:
        return Outbox(self.book, self.reception, self.store, api, reply_bytes=1900)

    def entries(self) -> list[Entry]:
        return list(reversed(self.book.log()))

    def outcomes(self) -> list[str]:
        return [delivery.outcome for entry in self.entries() for delivery in entry.deliveries]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the newest form, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "bianmin.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def house(tmp_path: Path, migrated: Path) -> Iterator[House]:
    shutil.copy(migrated, tmp_path / migrated.name)
    own = WeChatSettings(token=TOKEN, aes_key=AES_KEY, app_id=APP_ID, answer_within_seconds=0.4)
    built = House(tmp_path, Settings(data=DataSettings(tmp_path), wechat=own))
    yield built
    built.reception.gate.set()
    built.engine.dispose()


@pytest.fixture
def wechat() -> Iterator[FakeWeChat]:
    fake = FakeWeChat()
    yield fake
    fake.close()


def client(door: Door) -> httpx.AsyncClient:
    app = Starlette(routes=door.routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test", timeout=20)


async def post(http: httpx.AsyncClient, xml: str, phone: Phone = PHONE) -> httpx.Response:
    query, body = phone.sealed(xml)
    return await http.post("/wechat", params=query, content=body)


def ask(door: Door, *letters: str) -> list[httpx.Response]:
    """Send the letters one after another."""

    async def run() -> list[httpx.Response]:
        async with client(door) as http:
            return [await post(http, xml) for xml in letters]

    return asyncio.run(run())


def said(response: httpx.Response) -> str:
    assert response.status_code == 200
    return "success" if response.text == "success" else PHONE.read(response.text, sealed=True)["Content"]


def text(content: str, number: int = 1, at: float | None = None) -> str:
    stamp = str(int(time.time() if at is None else at))
    return letter("text", Content=f"<![CDATA[{content}]]>", MsgId=str(number), CreateTime=stamp)


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# --- the callback


def test_the_handshake_shows_the_echo_only_to_wechat(house: House) -> None:
    async def run() -> tuple[httpx.Response, httpx.Response]:
        query, _ = PHONE.plain("")
        async with client(house.door()) as http:
            good = await http.get("/wechat", params={**query, "echostr": "<b>4711"})
            bad = await http.get("/wechat", params={**query, "nonce": "x", "echostr": "4711"})
            return good, bad

    good, bad = asyncio.run(run())
    assert (good.status_code, good.text) == (200, "<b>4711")
    assert good.headers["content-type"].startswith("text/plain")
    assert (bad.status_code, bad.text) == (403, "forbidden\n")


def test_without_a_token_the_door_is_closed_and_says_what_to_set(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        door = house.door(token="", aes_key="", app_id="")
        assert ask(door, text("在吗"))[0].status_code == 404
    assert "BIANMIN_WECHAT__TOKEN" in caplog.text
    assert house.entries() == []


def test_a_question_is_entered_answered_and_its_delivery_recorded(house: House) -> None:
    assert said(ask(house.door(), text("低保怎么申请"))[0]) == "答：低保怎么申请"
    (entry,) = house.entries()
    assert (entry.channel, entry.status, entry.question) == (Channel.WECHAT, EntryStatus.SETTLED, "低保怎么申请")
    assert house.outcomes() == ["passive"]
    assert OPENID not in entry.conversation + entry.message_key


def test_plain_mode_answers_in_plain_xml(house: House) -> None:
    async def run() -> httpx.Response:
        query, body = PHONE.plain(text("低保怎么申请"))
        async with client(house.door(aes_key="")) as http:
            return await http.post("/wechat", params=query, content=body)

    assert PHONE.read(asyncio.run(run()).text)["Content"] == "答：低保怎么申请"


def test_three_concurrent_deliveries_are_one_entry_one_computation_and_one_reply(house: House) -> None:
    house.reception.gate.clear()

    async def run() -> list[httpx.Response]:
        async with client(house.door()) as http:
            threading.Timer(0.1, house.reception.gate.set).start()
            return await asyncio.gather(*(post(http, text("公交几点收班")) for _ in range(3)))

    assert [said(response) for response in asyncio.run(run())] == ["答：公交几点收班"] * 3
    assert len(house.entries()) == len(house.reception.computed) == 1
    assert house.outcomes() == ["passive"]


def test_many_messages_at_once_are_each_answered_and_recorded_once(house: House) -> None:
    async def run() -> list[httpx.Response]:
        async with client(house.door(answer_within_seconds=4.5)) as http:
            return await asyncio.gather(*(post(http, text(f"问题{n}", n)) for n in range(40)))

    assert [said(response) for response in asyncio.run(run())] == [f"答：问题{n}" for n in range(40)]
    assert [len(entry.deliveries) for entry in house.entries()] == [1] * 40
    assert set(house.outcomes()) == {"passive"}


def test_a_later_redelivery_gets_the_first_reply(house: House) -> None:
    xml = text("低保怎么申请")
    house.reception.compose = lambda _: Reply(ReplyKind.ANSWER, f"第{len(house.reception.computed)}次")
    assert [said(response) for response in ask(house.door(), xml, xml)] == ["第1次", "第1次"]
    assert said(ask(house.door(), xml)[0]) == "第1次"
    assert len(house.entries()) == 1


def test_the_same_words_twice_are_two_questions(house: House) -> None:
    ask(house.door(), text("继续", 1), text("继续", 2))
    assert len(house.entries()) == 2


@pytest.mark.parametrize("name", sorted(path.stem for path in LETTERS.glob("*.xml")))
def test_every_kind_of_letter_is_logged_and_silent_ones_get_no_words(house: House, name: str) -> None:
    silent = name.removeprefix("event_") in {
        "unsubscribe",
        "view",
        "location",
        "unknown",
        "consent",
        "consent_withdrawn",
    } and name.startswith("event_")
    answer = said(ask(house.door(), letter(name))[0])
    (entry,) = house.entries()
    assert entry.status is EntryStatus.SETTLED
    assert (answer == "success") is silent
    assert house.outcomes() == ([] if silent else ["passive"])


def test_a_reply_without_words_is_a_bare_success(house: House) -> None:
    """Defect 8: wechatpy would encrypt an empty string."""
    house.reception.compose = lambda _: Reply(ReplyKind.SMALLTALK, "")
    assert ask(house.door(), text("在吗"))[0].text == "success"


def test_a_reply_fits_and_is_safe_whatever_the_reception_says(house: House) -> None:
    house.reception.compose = lambda _: Reply(ReplyKind.ANSWER, "]]><a href='x'>好\x0b\ud800" + "长" * 5000)
    content = said(ask(house.door(), text("在吗"))[0])
    assert content.startswith("]]>＜a href='x'>好长")
    assert len(content.encode()) <= 1900


def test_choices_can_be_clicked(house: House) -> None:
    house.reception.compose = lambda _: Reply(ReplyKind.CHOICES, "1. 养老\n2. 医保", choices=(Choice("养老", "养老"),))
    assert '1. <a href="weixin://bizmsgmenu?msgmenucontent=养老&msgmenuid=1">养老</a>' in said(
        ask(house.door(), text("保险"))[0]
    )


# --- bad input


def test_bad_input_is_refused_without_an_entry_and_without_a_word_about_why(house: House) -> None:
    async def run() -> list[tuple[int, str]]:
        query, body = PHONE.sealed(text("在吗"))
        plain_query, plain_body = PHONE.plain(text("在吗"))
        stranger_query, stranger_body = Phone(aes_key="B" * 43).sealed(text("在吗"))
        bomb_query, bomb_body = PHONE.sealed('<!DOCTYPE x [<!ENTITY a "b">]><xml><MsgType>&a;</MsgType></xml>')
        async with client(house.door()) as http:
            asked = [
                await http.post("/wechat"),
                await http.post("/wechat", params={**query, "msg_signature": "0" * 40}, content=body),
                await http.post("/wechat", params=plain_query, content=plain_body),
                await http.post("/wechat", params={**query, "msg_signature": ""}, content=plain_body),
                await http.post("/wechat", params=stranger_query, content=stranger_body),
                await http.post("/wechat", params=bomb_query, content=bomb_body),
                await http.post("/wechat", params=query, content=b"<!ENTITY"),
                await http.post("/wechat", params=query, content=b"<xml>" + b"a" * 70_000),
            ]
            return [(response.status_code, response.text) for response in asked]

    refused, malformed = (403, "forbidden\n"), (400, "bad request\n")
    expected = [refused, refused, refused, refused, refused, malformed, malformed, (413, "too large\n")]
    assert asyncio.run(run()) == expected
    assert house.entries() == []


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["signature", "msg_signature", "timestamp", "nonce", "echostr", "encrypt_type"]), st.text()
    ),
    st.binary(max_size=400),
    st.booleans(),
)
def test_no_request_whatever_breaks_the_server(house: House, query: dict[str, str], body: bytes, signed: bool) -> None:
    async def run() -> list[int]:
        async with client(house.door()) as http:
            params = PHONE.sealed_raw(body.decode("latin-1"))[0] if signed else query
            asked = [await http.post("/wechat", params=params, content=body), await http.get("/wechat", params=query)]
            return [response.status_code for response in asked]

    assert set(asyncio.run(run())) <= {400, 403}


def test_a_register_that_cannot_be_written_makes_wechat_come_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Inquiry) -> tuple[int, Reply]:
        raise OSError("disk full, see /secret/place")

    house.reception.answer = broken  # type: ignore[method-assign]
    response = ask(house.door(), text("在吗"))[0]
    assert (response.status_code, response.text) == (503, "try again\n")
    assert "could not be entered" in caplog.text


def test_a_late_answer_that_cannot_be_queued_makes_wechat_come_again(house: House) -> None:
    house.reception.gate.clear()
    house.book.enqueue = None  # type: ignore[method-assign,assignment]
    assert ask_in_background(house, text("在吗")) == "try again\n"


def test_an_answer_that_could_not_be_recorded_is_not_written_and_goes_out_with_the_redelivery(house: House) -> None:
    hand_over, failures = house.book.hand_over, [OSError("disk full")]

    def flaky(*args: Any) -> frozenset[int]:
        if failures:
            raise failures.pop()
        return hand_over(*args)

    house.book.hand_over = flaky  # type: ignore[method-assign]
    door, xml = house.door(), text("一")
    assert ask(door, xml)[0].status_code == 503
    assert house.outcomes() == []
    assert said(ask(door, xml)[0]) == "答：一"
    assert house.outcomes() == ["passive"]
    assert len(house.reception.computed) == 1


def test_what_was_sealed_with_another_key_does_not_stop_the_door(house: House, wechat: FakeWeChat) -> None:
    house.api(wechat).send_text(OPENID, "a")
    outbox = house.outbox(None)
    postponed(house, outbox, "低保怎么申请")
    house.store.consent("c", OPENID, "T", 1, "e", now_beijing())
    house.store.follow("c", "养老", now_beijing())
    strange = WeChatStore(house.engine, Seal("another key of the tests, long enough"))
    conversation = house.entries()[0].conversation
    assert len(house.store.waiting_for(conversation)) == 1
    assert strange.waiting_for(conversation) == []
    assert strange.token(APP_ID, now_beijing()) == ""
    assert strange.consented("c", "T") == ""
    assert list(strange.followers("T")) == []
    house.book._seal = strange._seal
    assert outbox.recover(now_beijing() + timedelta(seconds=30)) == 0


# --- answers that take longer than WeChat waits


def test_a_late_answer_is_acknowledged_in_time_and_sent_later_once(house: House, wechat: FakeWeChat) -> None:
    house.reception.gate.clear()

    async def run() -> list[httpx.Response]:
        door = house.door(app_secret=SECRET, api_base=wechat.base)
        worker = asyncio.create_task(door.run())
        async with client(door) as http:
            answers = await asyncio.gather(*(post(http, text("低保怎么申请")) for _ in range(3)))
        assert wechat.sent() == []
        house.reception.gate.set()
        await asyncio.to_thread(until, lambda: "sent" in house.outcomes())
        worker.cancel()
        return list(answers)

    assert [response.text for response in asyncio.run(run())] == ["success"] * 3
    assert wechat.named("message/custom/send") == [
        {"touser": OPENID, "msgtype": "text", "text": {"content": "答：低保怎么申请"}}
    ]
    assert house.outcomes() == ["sent"]
    assert len(house.reception.computed) == 1


def test_a_late_answer_survives_a_restart(house: House, wechat: FakeWeChat) -> None:
    house.reception.gate.clear()
    assert ask_in_background(house, text("低保怎么申请")) == "success"
    assert house.book.outbox_counts()[OutboundState.PENDING] == 1
    house.reception.gate.set()
    until(lambda: house.entries()[0].status is EntryStatus.SETTLED)
    assert house.outbox(house.api(wechat)).step()  # another process
    assert wechat.sent() == ["答：低保怎么申请"]
    assert house.outcomes() == ["sent"]


def ask_in_background(house: House, xml: str, **changes: Any) -> str:
    """Deliver one message to a door whose computation outlives it."""
    door = house.door(app_secret=SECRET, api_base="http://127.0.0.1:9", **changes)
    answer: list[str] = []

    def run() -> None:
        async def deliver() -> None:
            async with client(door) as http:
                answer.append((await post(http, xml)).text)

        asyncio.run(deliver())

    threading.Thread(target=run, daemon=True).start()
    until(lambda: answer)
    return answer[0]


def test_an_answer_of_a_dead_worker_is_sent_unless_a_redelivery_took_it_along(house: House, wechat: FakeWeChat) -> None:
    door = house.door(app_secret=SECRET, api_base=wechat.base)
    outbox = house.outbox(house.api(wechat))
    for number in (1, 2):
        sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(text(f"问题{number}", number)), time.time())
        inquiry = inquiry_of(sent, house.seal, time.time())
        door.abandoned(inquiry)  # what the sweeper does before it answers
        door.abandoned(inquiry)
        assert not outbox.step()  # a redelivery has some seconds to come first
        entry, _ = house.reception.answer(inquiry)
        if number == 1:
            house.book.deliver(entry, "passive")
    hurry(house)
    while outbox.step():
        hurry(house)
    assert wechat.sent() == ["答：问题2"]
    assert house.outcomes() == ["passive", "sent"]


def test_an_answer_written_but_handed_to_nobody_before_a_long_outage_is_sent_after_it(
    house: House, wechat: FakeWeChat
) -> None:
    for number, question in enumerate(("低保怎么申请", "公交几点", "医保怎么报"), 1):
        sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(text(question, number)), time.time())
        entry, _ = house.reception.answer(inquiry_of(sent, house.seal, time.time()))
        if number == 2:
            house.book.deliver(entry, "passive")
    ask(house.door(), letter("event_view"))
    outbox = house.outbox(house.api(wechat))
    assert outbox.recover(now_beijing()) == 2
    assert not outbox.step()  # WeChat may come again
    outbox.recover(now_beijing())
    hurry(house)
    while outbox.step():
        hurry(house)
    assert sorted(wechat.sent()) == ["答：低保怎么申请", "答：医保怎么报"]
    assert outbox.recover(now_beijing()) == 0


LOW_INCOME = text("低保怎么申请")


def killed_before(house: House, monkeypatch: pytest.MonkeyPatch, api: str, step: str) -> None:
    """Deliver one message to a process that dies before ``step``, as far as the database can tell."""
    door = house.door(app_secret=SECRET, api_base=api)

    class Killed(BaseException):
        pass

    async def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "the note":
            patch.setattr(door, "_hand_over", die)
        else:
            patch.setattr("bot.channels.wechat.Response.__call__", die)
        with contextlib.suppress(BaseExceptionGroup, Killed):
            ask(door, LOW_INCOME)
    assert [entry.status for entry in house.entries()] == [EntryStatus.SETTLED]


@pytest.mark.parametrize("step", ["the note", "the wire"])
@pytest.mark.parametrize("redelivered", [True, False])
def test_wherever_the_process_dies_an_answer_goes_out_once(
    house: House, wechat: FakeWeChat, monkeypatch: pytest.MonkeyPatch, step: str, redelivered: bool
) -> None:
    killed_before(house, monkeypatch, wechat.base, step)
    assert house.outcomes() == ([] if step == "the note" else ["passive"])
    outbox = house.outbox(house.api(wechat))
    outbox.recover(now_beijing())
    if redelivered:
        assert said(ask(house.door(), LOW_INCOME)[0]) == "答：低保怎么申请"
    hurry(house)
    while outbox.step():
        hurry(house)
    # Without a redelivery WeChat has the answer: only a kill on its third delivery would leave it undelivered.
    assert wechat.sent() == (["答：低保怎么申请"] if step == "the note" and not redelivered else [])


def test_an_answer_that_is_being_sent_later_is_not_given_to_a_redelivery_as_well(
    house: House, wechat: FakeWeChat
) -> None:
    outbox = house.outbox(house.api(wechat))
    postponed(house, outbox, xml=LOW_INCOME)
    (claimed,) = house.book.claim_due(Channel.WECHAT)
    assert said(ask(house.door(), LOW_INCOME)[0]) == "success"
    outbox._deal(claimed)
    assert said(ask(house.door(), LOW_INCOME)[0]) == "success"
    assert wechat.sent() == ["答：低保怎么申请"]
    assert house.outcomes() == ["sent"]


def test_an_answer_that_a_redelivery_took_along_is_not_sent_later(house: House, wechat: FakeWeChat) -> None:
    outbox = house.outbox(house.api(wechat))
    postponed(house, outbox, xml=LOW_INCOME)
    for _ in range(2):
        assert said(ask(house.door(), LOW_INCOME)[0]) == "答：低保怎么申请"
    hurry(house)
    assert not outbox.step()
    assert wechat.sent() == []


def hurry(house: House) -> None:
    """Let everything pending be due now."""
    with house.engine.begin() as connection:
        connection.exec_driver_sql("update outbound set due_at = 0, lease_until = 0")


def test_a_parcel_waits_until_its_answer_is_there(house: House, wechat: FakeWeChat) -> None:
    outbox = house.outbox(house.api(wechat))
    sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(text("慢")), time.time())
    inquiry = inquiry_of(sent, house.seal, time.time())
    opened = house.book.open(inquiry)
    outbox.postpone(inquiry)
    assert outbox.step()
    assert wechat.sent() == []
    assert house.book.outbox_counts()[OutboundState.PENDING] == 1
    house.book.settle(opened.entry, house.reception.compose(inquiry), durations={})
    hurry(house)
    assert outbox.step()
    assert wechat.sent() == ["答：慢"]


def test_a_late_answer_is_noted_before_wechat_has_it_and_left_to_staff_when_its_sender_dies_then(
    house: House, wechat: FakeWeChat
) -> None:
    class Killed(BaseException):
        pass

    noted: list[int] = []
    record = house.book.record_sending

    def die(number: int) -> None:
        noted.append(len(wechat.sent()))
        record(number)
        raise Killed

    house.book.record_sending = die  # type: ignore[method-assign]
    outbox = house.outbox(house.api(wechat))
    postponed(house, outbox, xml=LOW_INCOME)
    with pytest.raises(Killed):
        outbox.step()
    assert noted == [0]
    hurry(house)
    assert said(ask(house.door(), LOW_INCOME)[0]) == "success"  # WeChat may have it: not twice
    again = house.outbox(house.api(wechat))
    assert again.step()
    assert wechat.sent() == []
    assert house.outcomes() == ["unconfirmed"]
    assert [entry.question for entry in house.book.log(undelivered=True)] == ["低保怎么申请"]


def test_a_message_acknowledged_by_a_process_that_died_before_it_was_entered_is_answered(
    house: House, wechat: FakeWeChat
) -> None:
    sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(text("快")), time.time())
    outbox = house.outbox(house.api(wechat))
    outbox.postpone(inquiry_of(sent, house.seal, time.time()))
    assert outbox.step()
    assert wechat.sent() == ["答：快"]
    assert [entry.question for entry in house.entries()] == ["快"]
    assert house.outcomes() == ["sent"]


def test_silent_events_are_never_sent_later(house: House, wechat: FakeWeChat) -> None:
    sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(letter("event_view")), time.time())
    house.outbox(house.api(wechat)).postpone(inquiry_of(sent, house.seal, time.time()))
    assert house.book.outbox_counts()[OutboundState.PENDING] == 0


def postponed(house: House, outbox: Outbox, question: str = "", number: int = 1, xml: str = "") -> Inquiry:
    """An inquiry with its answer, which has not been delivered."""
    sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(xml or text(question, number)), time.time())
    inquiry = inquiry_of(sent, house.seal, time.time())
    house.reception.answer(inquiry)
    outbox.postpone(inquiry)
    return inquiry


@pytest.mark.parametrize("code", [45015, 45047])
def test_a_refused_answer_is_a_failed_delivery_and_goes_along_with_the_next_message(
    house: House, wechat: FakeWeChat, code: int
) -> None:
    wechat.script["message/custom/send"] = [{"errcode": code, "errmsg": "response out of time limit"}]
    outbox = house.outbox(house.api(wechat))
    postponed(house, outbox, "低保怎么申请")
    assert outbox.step()
    assert not outbox.step()
    assert house.outcomes() == [f"refused:{code}"]
    assert house.book.outbox_counts()[OutboundState.GIVEN_UP] == 1
    assert [event.kind for event in house.book.events(1)][-1] == "given_up"
    assert not outbox.problem  # a rule of WeChat's, not a fault of this house
    first, second = (said(response) for response in ask(house.door(), text("公交", 2), text("医保", 3)))
    assert first == "【您先前问的“低保怎么申请”】\n答：低保怎么申请\n————————\n答：公交"
    assert second == "答：医保"
    assert house.outcomes() == [f"refused:{code}", "passive", "passive", "passive"]


@pytest.mark.parametrize(
    ("actions", "sent", "after", "why"),
    [
        ([(0, "")], [], 47 * 3600, None),
        ([(0, "")], [], 48 * 3600, Code.TOO_LATE),
        ([(0, "image")], [1, 2, 3, 4], 10, None),
        ([(0, "")], [1, 2, 3, 4, 5], 10, Code.TOO_MANY),
        ([(0, ""), (8, "")], [1, 2, 3, 4, 5], 10, None),  # a new message opens five more
        ([(0, "click")], [], 59, None),
        ([(0, "click:低保")], [], 61, Code.TOO_LATE),
        ([(0, "subscribe")], [1, 2, 3], 10, Code.TOO_MANY),
        ([(0, ""), (100, "scan")], [1, 2, 3, 4, 5], 110, None),  # the scan opens three of its own
        ([(0, "view"), (1, "unsubscribe"), (2, "consent"), (3, "position")], [], 10, Code.TOO_LATE),
        ([], [], 0, Code.TOO_LATE),
    ],
)
def test_windows_and_numbers_are_counted_as_wechat_counts_them(
    actions: list[tuple[int, str]], sent: list[int], after: int, why: Code | None
) -> None:
    start = now_beijing()
    at = lambda seconds: start + timedelta(seconds=seconds)  # noqa: E731
    assert refusal([(at(s), event) for s, event in actions], [at(s) for s in sent], at(after)) is why


def test_an_answer_that_wechat_would_refuse_is_not_sent_and_goes_along_with_the_next_message(
    house: House, wechat: FakeWeChat
) -> None:
    outbox = house.outbox(house.api(wechat))
    for number in range(1, 7):
        postponed(house, outbox, f"问题{number}", number)
        with house.engine.begin() as connection:  # all six answers belong to one message of a while ago
            connection.exec_driver_sql("update inquiries set received_at = ?", (to_stored(now_beijing()) - 10**6,))
    while outbox.step():
        pass
    assert len(wechat.sent()) == 5
    assert house.outcomes() == ["sent"] * 5 + ["held:45047"]
    assert not outbox.problem
    (waits,) = house.book.log(undelivered=True)
    assert waits.question == "问题6"
    assert "答：问题6" in said(ask(house.door(), text("公交", 9))[0])
    assert house.book.log(undelivered=True) == []


def test_staff_words_after_two_days_wait_for_the_citizen(house: House, wechat: FakeWeChat) -> None:
    ask(house.door(), text("转人工"))
    inquiry = house.book.reveal(1, "李科", "回复群众")
    with house.engine.begin() as connection:
        connection.exec_driver_sql("update inquiries set received_at = received_at - ?", (50 * 3600 * 10**6,))
    house.book.enqueue(1, staff_words(inquiry, "您好，已为您转办。"))
    assert house.outbox(house.api(wechat)).step()
    assert wechat.calls == []
    assert house.outcomes() == ["passive", "held:45015"]
    assert "已为您转办" in said(ask(house.door(), text("在吗", 2))[0])


def test_the_accounts_daily_quota_is_waited_out() -> None:
    now = now_beijing()
    due = next_try(WeChatRefused(Code.DAILY_QUOTA, "used up"), MOST_TRIES, now)
    assert due is not None
    assert due.date() == now.date() + timedelta(days=1)


def test_every_code_with_a_name_says_what_to_do() -> None:
    assert set(HINTS) >= FINAL - {Code.BAD_OPENID}
    assert all(HINTS.values())


def test_an_unreachable_wechat_is_tried_again_and_shows_in_the_health(house: House, wechat: FakeWeChat) -> None:
    wechat.script["message/custom/send"] = [(502, b"<html>bad gateway</html>"), {"errcode": -1, "errmsg": "busy"}, None]
    outbox = house.outbox(house.api(wechat))
    postponed(house, outbox, "低保怎么申请")
    assert outbox.step()
    assert "HTTP 502" in outbox.problem
    assert not outbox.step()  # not due yet
    hurry(house)
    assert outbox.step()
    hurry(house)
    assert outbox.step()
    assert house.outcomes() == ["unreachable", "refused:-1", "sent"]
    assert outbox.problem == ""


def test_tries_are_spaced_and_end() -> None:
    now = now_beijing()
    busy = WeChatUnreachable("x")
    pauses = []
    for attempt in range(1, MOST_TRIES):
        due = next_try(busy, attempt, now)
        assert due is not None
        pauses.append((due - now).total_seconds())
    assert pauses[:4] == [5, 15, 45, 135]
    assert max(pauses) == 900
    assert next_try(busy, MOST_TRIES, now) is None
    assert next_try(WeChatRefused(45015, "late"), 1, now) is None
    assert next_try(WeChatRefused(40164, "ip"), 1, now) == now + timedelta(seconds=5)


def test_staff_can_write_to_a_citizen(house: House, wechat: FakeWeChat) -> None:
    ask(house.door(), text("转人工"))
    inquiry = house.book.reveal(1, "李科", "回复群众")
    for _ in range(2):
        house.book.enqueue(1, staff_words(inquiry, "您好，已为您转办。", key="reply-1"))
    outbox = house.outbox(house.api(wechat))
    while outbox.step():
        pass
    assert wechat.sent() == ["您好，已为您转办。"]
    assert house.outcomes() == ["passive", "sent"]


# --- an account that cannot send


def test_without_a_secret_wechat_is_made_to_come_again_and_the_redelivery_takes_the_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.wechat._HANGS_UP_AFTER", 0.6)
    house.reception.gate.clear()
    xml = text("低保怎么申请", at=time.time() + 60)  # an old message counts as the last delivery

    async def run() -> tuple[httpx.Response, httpx.Response, float]:
        async with client(house.door()) as http:
            started = time.monotonic()
            first = asyncio.create_task(post(http, xml))
            await asyncio.sleep(0.7)
            assert not first.done()
            second = asyncio.create_task(post(http, xml))
            await asyncio.sleep(0.1)
            house.reception.gate.set()
            await first
            held = time.monotonic() - started
            return await first, await second, held

    first, second, held = asyncio.run(run())
    assert first.text == "success"
    assert held >= 1.1  # longer than WeChat waits
    assert said(second) == "答：低保怎么申请"
    assert house.outcomes() == ["passive"]


def test_without_a_secret_the_third_late_delivery_is_acknowledged_and_the_answer_goes_along_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.wechat._HANGS_UP_AFTER", 0.4)
    house.reception.gate.clear()
    xml = text("低保怎么申请", at=time.time() + 60)

    async def run() -> list[str]:
        door = house.door()
        async with client(door) as http:
            late = [response.text for response in await asyncio.gather(*(post(http, xml) for _ in range(3)))]
            house.reception.gate.set()
            await asyncio.to_thread(until, lambda: house.entries()[0].status is EntryStatus.SETTLED)
            return [*late, said(await post(http, text("公交", 2))), said(await post(http, text("医保", 3)))]

    *late, along, after = asyncio.run(run())
    assert late == ["success"] * 3
    assert along == "【您先前问的“低保怎么申请”】\n答：低保怎么申请\n————————\n答：公交"
    assert after == "答：医保"
    assert [entry.deliveries[0].outcome for entry in house.entries()] == ["passive"] * 3


def test_what_does_not_fit_beside_an_earlier_answer_waits_for_the_next_message(house: House) -> None:
    house.reception.compose = lambda inquiry: Reply(ReplyKind.ANSWER, inquiry.text[:2] + "长" * 400)
    outbox = house.outbox(None)
    postponed(house, outbox, "甲一", 1)
    replies = [
        said(response) for response in ask(house.door(), *(text(q, n) for n, q in enumerate(("乙二", "丙三"), 2)))
    ]
    assert "甲一长" in replies[0]
    assert "乙二长" not in replies[0]
    assert replies[0].endswith("回复任意内容即可查看。")
    assert "乙二长" in replies[1]
    assert all(len(reply.encode()) <= 1900 for reply in replies)
    assert "丙三长" in said(ask(house.door(), text("丁四", 4))[0])


def test_a_redelivery_gets_what_went_along_again_and_the_next_message_does_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    postponed(house, house.outbox(None), "甲一", 1)
    xml = text("乙二", 2)
    with monkeypatch.context() as patch:

        async def die(*_: Any) -> None:
            raise SystemExit

        patch.setattr("bot.channels.wechat.Response.__call__", die)
        with contextlib.suppress(BaseExceptionGroup, SystemExit):
            ask(house.door(), xml)
    assert house.outcomes() == ["passive", "passive"]
    again, after = (said(response) for response in ask(house.door(), xml, text("丙三", 3)))
    assert again == "【您先前问的“甲一”】\n答：甲一\n————————\n答：乙二"
    assert after == "答：丙三"


def test_what_a_reply_that_was_never_written_would_have_held_waits_again(house: House) -> None:
    outbox = house.outbox(None)
    postponed(house, outbox, "甲一", 1)
    second = postponed(house, outbox, "乙二", 2)
    bundle = outbox.along(second, "答：乙二")
    assert house.store.hand_over(bundle.taken, second.message_key, now_beijing())  # and then it was killed
    outbox.recover(now_beijing())
    assert "答：甲一" in said(ask(house.door(), text("丙三", 3))[0])


def test_two_messages_at_once_do_not_both_take_the_same_answer_along(house: House) -> None:
    outbox = house.outbox(None)
    postponed(house, outbox, "甲一", 1)
    second, third = (
        inquiry_of(Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(text(q, n)), time.time()), house.seal, time.time())
        for n, q in enumerate(("乙二", "丙三"), 2)
    )  # fmt: skip
    entries = [house.reception.answer(inquiry)[0] for inquiry in (second, third)]
    bundles = [outbox.along(inquiry, f"答：{inquiry.text}") for inquiry in (second, third)]
    assert all("甲一" in bundle.content for bundle in bundles)
    assert outbox.hand_over(entries[0], second, bundles[0])
    assert not outbox.hand_over(entries[1], third, bundles[1])
    last = said(ask(house.door(), text("丁四", 4))[0])
    assert "丙三" in last
    assert "甲一" not in last


def test_what_another_process_keeps_waiting_is_seen_after_a_look(house: House) -> None:
    here, there = house.outbox(None), house.outbox(None)
    here.look()
    postponed(house, there, "低保怎么申请")
    sent = Wire(TOKEN, AES_KEY, APP_ID, 600).open(*PHONE.sealed(text("公交", 2)), time.time())
    inquiry = inquiry_of(sent, house.seal, time.time())
    assert here.along(inquiry, "答").content == "答"
    here.look()
    assert "低保" in here.along(inquiry, "答").content


# --- WeChat's API


def test_a_token_is_fetched_once_for_all_threads_and_processes(house: House, wechat: FakeWeChat) -> None:
    wechat.pause = 0.05
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: house.api(wechat).send_text(OPENID, str(n)), range(12)))
    assert len(wechat.named("stable_token")) == 1
    assert wechat.named("stable_token")[0] == {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET}
    assert sorted(wechat.sent(), key=int) == [str(n) for n in range(12)]
    queries = {query for name, _, query in wechat.calls if name == "message/custom/send"}
    assert queries == {"access_token=TOKEN-1"}


def test_a_token_is_renewed_before_it_ends(house: House, wechat: FakeWeChat) -> None:
    now = [now_beijing()]
    api = house.api(wechat, clock=lambda: now[0])
    api.send_text(OPENID, "a")
    now[0] += timedelta(seconds=7200 - 300)
    api.send_text(OPENID, "b")
    assert wechat.tokens == 1
    now[0] += timedelta(seconds=120)
    api.send_text(OPENID, "c")
    assert wechat.tokens == 2


def test_the_stored_token_is_sealed(house: House, wechat: FakeWeChat) -> None:
    house.api(wechat).send_text(OPENID, "a")
    for path in house.folder.iterdir():
        assert b"TOKEN-1" not in path.read_bytes()
        assert SECRET.encode() not in path.read_bytes()


def test_a_refused_token_is_replaced_once(house: House, wechat: FakeWeChat) -> None:
    wechat.script["message/custom/send"] = [{"errcode": 40001, "errmsg": "invalid credential"}, {"errcode": 0}]
    house.api(wechat).send_text(OPENID, "a")
    assert [query for name, _, query in wechat.calls if name == "message/custom/send"] == [
        "access_token=TOKEN-1",
        "access_token=TOKEN-2",
    ]


@pytest.mark.parametrize("where", ["message/custom/send", "stable_token"])
def test_a_token_refused_for_good_is_not_fetched_for_ever(house: House, wechat: FakeWeChat, where: str) -> None:
    """Defect 2: wechatpy alone calls itself until the stack ends."""
    wechat.script[where] = [{"errcode": 40001, "errmsg": "invalid credential"}]
    with pytest.raises(WeChatRefused, match="APP_SECRET") as refused:
        house.api(wechat).send_text(OPENID, "a")
    assert refused.value.code == 40001
    assert len(wechat.calls) <= 4


def test_a_claim_of_a_dead_process_is_taken_over(house: House, wechat: FakeWeChat) -> None:
    assert house.store.claim_token(APP_ID, now_beijing() - timedelta(seconds=60), 10)
    house.api(wechat).send_text(OPENID, "a")
    assert wechat.sent() == ["a"]


def test_every_call_has_a_timeout(house: House, wechat: FakeWeChat) -> None:
    """Defect 3: wechatpy fetches the token without one."""
    wechat.pause = 1.5
    api = house.api(wechat, timeout=(0.2, 0.2))
    with pytest.raises(WeChatUnreachable, match="ReadTimeout"):
        api.send_text(OPENID, "a")
    assert wechat.sent() == []
    wechat.pause = 0
    house.api(wechat).send_text(OPENID, "b")
    wechat.pause = 1.5
    with pytest.raises(WeChatUnreachable, match="ReadTimeout"):
        api.send_text(OPENID, "c")


ODD = {
    "html": (200, b"<html>"),
    "nothing": (200, b""),
    "a list": (200, b"[1]"),
    "a number": (200, b"7"),
    "http 500": (500, b"{}"),
    "odd code": (200, b'{"errcode": "many"}'),
    "no token": (200, b'{"expires_in": 7200}'),
    "40164": (200, json.dumps({"errcode": 40164, "errmsg": f"invalid ip, {SECRET} TOKEN-1"}).encode()),
    "40013": (200, b'{"errcode": 40013}'),
}


@pytest.mark.parametrize(
    ("where", "name"),
    [*(("stable_token", name) for name in ODD), *(("message/custom/send", name) for name in ODD if name != "no token")],
)
def test_whatever_wechat_answers_the_error_is_named_and_no_secret_is_told(
    house: House, wechat: FakeWeChat, where: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Defect 4: requests' exceptions and urllib3's log hold the whole address."""
    wechat.script[where] = [ODD[name]]
    with caplog.at_level(logging.DEBUG), pytest.raises((WeChatRefused, WeChatUnreachable)) as raised:
        try:
            house.api(wechat).send_text(OPENID, "您好")
        except Exception:
            logging.getLogger("test").exception("failed")
            raise
    told = caplog.text + repr(raised.value) + repr(raised.value.__context__) + repr(raised.value.__cause__)
    assert SECRET not in told
    assert "TOKEN-1" not in told or where == "stable_token"  # then there was none yet


def test_a_dead_address_is_named_without_the_secret(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = WeChatApi(APP_ID, SECRET, house.store, api_base=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with caplog.at_level(logging.DEBUG), pytest.raises(WeChatUnreachable, match="ConnectionError") as raised:
            api.send_text(OPENID, "a")
    assert SECRET not in caplog.text + repr(raised.value.__context__)


def test_lone_surrogates_and_markup_are_taken_out_before_sending(house: House, wechat: FakeWeChat) -> None:
    house.reception.compose = lambda _: Reply(ReplyKind.ANSWER, "好\ud800<a href=x>")
    outbox = house.outbox(house.api(wechat))
    postponed(house, outbox, "在吗")
    outbox.step()
    assert wechat.sent() == ["好＜a href=x>"]


# --- menu


def test_the_menu_is_built_from_lines_and_pushed_and_shown(house: House, wechat: FakeWeChat) -> None:
    menu = menu_of(
        ["常问/医保 = 医保怎么报销", "常问/低保 = 怎么申请低保", "网上提问 = https://www.qinghe.example/chat"]
    )
    assert menu == {
        "button": [
            {
                "name": "常问",
                "sub_button": [
                    {"type": "click", "name": "医保", "key": "医保怎么报销"},
                    {"type": "click", "name": "低保", "key": "怎么申请低保"},
                ],
            },
            {"type": "view", "name": "网上提问", "url": "https://www.qinghe.example/chat"},
        ]
    }
    api = house.api(wechat)
    api.push_menu(menu)
    assert wechat.named("menu/create") == [menu]
    wechat.script["menu/get"] = [{"menu": menu}, {"errcode": 46003, "errmsg": "menu no exist"}]
    assert api.show_menu() == menu
    assert api.show_menu() == {}


def test_the_shipped_menu_is_one_that_wechat_takes_and_reads_back_as_it_was_written() -> None:
    lines = WeChatSettings().menu
    assert menu_lines(menu_of(lines)) == list(lines)
    assert menu_lines({}) == []


def test_the_menu_is_pushed_and_shown_by_command(
    tmp_path: Path, wechat: FakeWeChat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIANMIN_DATA__FOLDER", str(tmp_path))
    monkeypatch.setenv("BIANMIN_WECHAT__API_BASE", wechat.base)
    assert main(["wechat", "menu", "push"]) == 2
    assert "BIANMIN_WECHAT__APP_SECRET" in capsys.readouterr().err
    for name, value in {"TOKEN": TOKEN, "APP_ID": APP_ID, "APP_SECRET": SECRET}.items():
        monkeypatch.setenv(f"BIANMIN_WECHAT__{name}", value)
    assert main(["wechat", "menu", "push", "--json"]) == 0
    assert wechat.named("menu/create") == [json.loads(capsys.readouterr().out)]
    wechat.script["menu/get"] = [{"errcode": 40164, "errmsg": "invalid ip"}]
    assert main(["wechat", "menu", "show"]) == 1
    told = capsys.readouterr().err
    assert "IP白名单" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "is empty"),
        (["没有等号"], "write it as"),
        (["空 ="], "write it as"),
        (["/名 = x"], "write it as"),
        (["名/ = x"], "write it as"),
        (["一/二/三 = x"], "write it as"),
        (["五个字的名 = x"], "longer than 4"),
        (["菜单/九个字的名字太长了 = x"], "longer than 8"),
        (["甲 = x", "甲 = y"], "there already"),
        (["甲 = x", "甲/乙 = y"], "cannot hold others"),
        ([f"甲/{n} = x" for n in range(6)], "5 entries already"),
        ([f"{n} = x" for n in range(4)], "WeChat takes 3"),
        (["甲 = " + "字" * 43], "128 bytes"),
        (["甲 = https://" + "x" * 1020], "1024 bytes"),
    ],
)
def test_a_menu_that_wechat_would_refuse_is_an_error_that_names_the_line(lines: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        menu_of(lines)


# --- topics and notices

NOTICES = {"policy_template": "T-policy", "policy_fields": ("thing1=title", "thing2=topic", "date3=date")}
POLICY = PolicyDocument(
    id="yl2026",
    kind=DocumentKind.POLICY,
    title="青禾县关于调整城乡居民基本养老保险缴费档次和补贴标准的通知",
    published_on=now_beijing().date(),
)


def consent(accept: bool = True, at: int = 1795212000, template: str = "T-policy") -> str:
    status = "accept" if accept else "reject"
    section = f"<List><TemplateId>{template}</TemplateId><SubscribeStatusString>{status}</SubscribeStatusString></List>"
    return letter("event_consent", SubscribeMsgPopupEvent=section, CreateTime=str(at))


def test_a_citizen_chooses_topics_consents_and_is_told_of_a_new_document_once(house: House, wechat: FakeWeChat) -> None:
    door = house.door(**NOTICES, consent_url="https://www.qinghe.example/dy")
    first, list_, granted, again, other = (
        said(response)
        for response in ask(
            door, text("订阅 养老", 1), text("我的订阅", 2), consent(), consent(), text("订阅：就业", 3)
        )
    )
    assert "已为您订阅“养老”" in first
    assert "https://www.qinghe.example/dy" in first  # consent is still missing
    assert "养老" in list_
    assert granted == again == "success"
    assert "养老、就业" in other
    assert "还差一步" not in other
    assert house.reception.computed[0].event == "consent"
    outbox = house.outbox(house.api(wechat))
    assert door.topics.announce([POLICY]) == 1
    assert door.topics.announce([POLICY]) == 0
    while outbox.step():
        pass
    assert wechat.named("message/subscribe/bizsend") == [
        {
            "touser": OPENID,
            "template_id": "T-policy",
            "data": {
                "thing1": {"value": "青禾县关于调整城乡居民基本养老保险缴费…"},
                "thing2": {"value": "养老"},
                "date3": {"value": f"{date.today().year}年{date.today().month}月{date.today().day}日"},
            },
            "page": "http://127.0.0.1:8000/p/yl2026",
        }
    ]
    another = replace(POLICY, id="yl2027")
    assert door.topics.announce([another]) == 0  # one consent, one notice
    ask(door, consent(at=1795212099))
    assert door.topics.announce([another]) == 1


def test_a_long_term_consent_is_good_for_many_notices(house: House) -> None:
    door = house.door(**NOTICES, long_term_templates=("T-policy",))
    ask(door, text("订阅养老"), consent())
    documents = [replace(POLICY, id=f"d{n}") for n in range(5)]
    assert door.topics.announce(documents) == 5


def test_a_withdrawn_consent_or_topic_ends_the_notices(house: House, wechat: FakeWeChat) -> None:
    door = house.door(**NOTICES, long_term_templates=("T-policy",))
    ask(door, text("订阅养老"), consent(), consent(accept=False, at=1795212001))
    assert door.topics.announce([POLICY]) == 0
    ask(door, consent(at=1795212002))
    assert "已为您退订“养老”" in said(ask(door, text("退订养老", 2))[0])
    assert door.topics.announce([POLICY]) == 0
    assert "没有订阅“养老”" in said(ask(door, text("退订养老", 3))[0])
    ask(door, text("订阅养老", 4))
    assert door.topics.announce([POLICY]) == 1
    wechat.script["message/subscribe/bizsend"] = [{"errcode": 43101, "errmsg": "user refuse to accept the msg"}]
    assert house.outbox(house.api(wechat)).step()
    assert door.topics.announce([replace(POLICY, id="next")]) == 0  # WeChat knows better than our table
    assert said(ask(door, text("全部退订", 5))[0]).startswith("已为您退订全部主题")


def test_only_what_is_new_and_matches_is_announced(house: House) -> None:
    door = house.door(**NOTICES, long_term_templates=("T-policy",))
    ask(door, text("订阅养老"), consent())
    old = replace(POLICY, id="old", published_on=now_beijing().date() - timedelta(days=1))
    law = replace(POLICY, id="law", kind=DocumentKind.LAW)
    other = replace(POLICY, id="other", title="青禾县农机购置补贴办法")
    waiting = replace(POLICY, id="waiting", published_on=None)
    assert door.topics.announce([old, law, other, waiting]) == 0
    assert concerns(replace(other, keywords=("养老",)), "养老")


def test_a_citizen_is_told_of_progress_with_consent_only(house: House, wechat: FakeWeChat) -> None:
    door = house.door(progress_template="T-progress", progress_fields=("character_string1=case", "phrase2=state"))
    ask(door, text("查进度"), consent(template="T-progress"))
    conversation = house.entries()[0].conversation
    assert not door.topics.progress(1, "nobody", "青公开〔2026〕3号", "已受理")
    assert door.topics.progress(1, conversation, "青公开〔2026〕3号", "已受理", page="/progress")
    assert not door.topics.progress(1, conversation, "青公开〔2026〕3号", "已受理")
    assert [e.detail for e in house.book.events(1) if e.kind == "progress_notice"] == ["青公开〔2026〕3号 已受理"]
    assert house.outbox(house.api(wechat)).step()
    (sent,) = wechat.named("message/subscribe/bizsend")
    assert sent["data"] == {"character_string1": {"value": "青公开〔2026〕3号"}, "phrase2": {"value": "已受理"}}


def test_staff_tell_of_progress_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "DATA__FOLDER": str(tmp_path),
        "WECHAT__TOKEN": TOKEN,
        "WECHAT__APP_ID": APP_ID,
        "WECHAT__PROGRESS_FIELDS": "character_string1=case,phrase2=state",
    }.items():
        monkeypatch.setenv(f"BIANMIN_{name}", value)
    assert main(["wechat", "progress", "1", "--state", "已受理"]) == 2
    assert "progress_template" in capsys.readouterr().err
    monkeypatch.setenv("BIANMIN_WECHAT__PROGRESS_TEMPLATE", "T-progress")
    assert main(["wechat", "progress", "x", "--state", "已受理"]) == 2
    whole = build(load())
    sent = Wire(TOKEN, "", APP_ID, 600).open(*PHONE.plain(text("转人工")), time.time())
    inquiry = inquiry_of(sent, whole.seal, time.time())
    entry, _ = whole.reception.answer(inquiry)
    capsys.readouterr()
    assert main(["wechat", "progress", str(entry), "--state", "已受理", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"entry": entry, "queued": False}
    WeChatStore(whole.engine, whole.seal).consent(inquiry.conversation, OPENID, "T-progress", 1, "e", now_beijing())
    assert main(["wechat", "progress", str(entry), "--state", "已受理", "--json"]) == 0
    assert whole.book.queues()[Channel.WECHAT].pending == 1
    assert any(e.kind == "progress_notice" and "已受理" in e.detail for e in whole.book.events(entry))
    assert whole.book.find(entry).deliveries == ()
    whole.close()


def test_a_redelivered_command_is_obeyed_once(house: House) -> None:
    xml = text("订阅养老")
    one, two = (said(response) for response in ask(house.door(**NOTICES), xml, xml))
    assert one == two
    assert len(house.entries()) == 1


def test_topics_are_limited(house: House) -> None:
    door = house.door(**NOTICES)
    replies = [said(response) for response in ask(door, *(text(f"订阅主题{n}", n) for n in range(11)))]
    assert "最多可以订阅10个主题" in replies[-1]
    assert len(house.store.following(house.entries()[0].conversation)) == 10


def test_without_a_template_such_messages_are_questions_like_any_other(house: House) -> None:
    assert said(ask(house.door(), text("订阅养老"))[0]) == "答：订阅养老"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("订阅 养老", ("follow", "养老")),
        ("订阅“养老”。", ("follow", "养老")),
        ("关注：就业创业", ("follow", "就业创业")),
        ("订阅", ("follow", "")),
        ("退订养老", ("unfollow", "养老")),
        ("取消订阅 养老", ("unfollow", "养老")),
        ("退订", ("unfollow", "")),
        ("全部退订", ("unfollow", "")),
        ("我的订阅", ("list", "")),
        ("关注", None),
        ("订阅号怎么关注", None),
        ("订阅的报纸没送到，找谁反映这个问题呢", None),
        ("我要订阅养老", None),
        ("订阅" + "长" * 21, None),
    ],
)
def test_commands_are_told_from_questions(words: str, meant: tuple[str, str] | None) -> None:
    assert command_of(words) == meant


def test_a_template_that_cannot_be_filled_is_an_error_at_start() -> None:
    assert template_of("", ["nonsense"], "policy_fields") is None
    with pytest.raises(ConfigError, match="policy_fields: 'thing1=name' is no field"):
        template_of("T", ["thing1=name"], "policy_fields")
    with pytest.raises(ConfigError, match="policy_fields is empty"):
        template_of("T", [], "policy_fields")


def test_consents_add_up_and_redeliveries_do_not(house: House) -> None:
    store, now = house.store, now_beijing()
    for event in ("a", "a", "b"):
        store.consent("c", OPENID, "T", 1, event, now)
    store.spend("c", "T")
    assert store.consented("c", "T") == OPENID
    store.spend("c", "T")
    assert store.consented("c", "T") == ""
    store.consent("c", OPENID, "T", LONG_TERM, "d", now)
    store.consent("c", OPENID, "T", LONG_TERM, "e", now)
    store.spend("c", "T")
    store.withdraw("c", "T", now)
    assert store.consented("c", "T") == ""


# --- a real server


def test_three_deliveries_at_once_over_real_connections_get_one_answer(house: House) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = Starlette(routes=house.door(answer_within_seconds=4.5).routes)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        house.reception.gate.clear()
        query, body = PHONE.sealed(text("公交几点收班"))

        def deliver(_: int) -> httpx.Response:
            return httpx.post(f"http://127.0.0.1:{port}/wechat", params=query, content=body, timeout=10)

        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(deliver, range(3))
            until(lambda: house.reception.computed)
            house.reception.gate.set()
            assert [said(answer) for answer in answers] == ["答：公交几点收班"] * 3
        until(lambda: set(house.outcomes()) == {"passive"})
    finally:
        server.should_exit = True
        thread.join()
    assert len(house.entries()) == len(house.reception.computed) == 1


def test_the_whole_house_answers_an_encrypted_question_three_times_alike(demo_settings: Settings) -> None:
    own = replace(demo_settings.wechat, token=TOKEN, aes_key=AES_KEY, app_id=APP_ID)
    whole = build(replace(demo_settings, wechat=own))
    names = {path.stem for path in LETTERS.glob("*.xml")}

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=asgi(whole))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as http:
            alike = await asyncio.gather(*(post(http, text("新农保一年最少交多少")) for _ in range(3)))
            kinds = [letter(name, CreateTime=str(1795212000 + n)) for n, name in enumerate(sorted(names))]
            return [*alike, *[await post(http, xml) for xml in kinds]]

    try:
        answers = [said(response) for response in asyncio.run(run())]
        entries = whole.book.log()
    finally:
        whole.close()
    assert len(set(answers[:3])) == 1
    assert "http://127.0.0.1:8000/p/" in answers[0] or "msgmenucontent=" in answers[0]
    assert all(0 < len(answer.encode()) <= 1900 for answer in answers)
    assert len(entries) == 1 + len(names)
    assert {entry.status for entry in entries} == {EntryStatus.SETTLED}
