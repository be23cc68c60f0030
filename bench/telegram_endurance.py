"""Kill the bot again and again while citizens write on Telegram: every update entered once, answered, none lost.

This process plays the Bot API. By webhook it delivers each update until it is acknowledged; by polling it hands out
what is not acknowledged yet. Meanwhile ``bianmin serve`` or ``bianmin telegram poll`` is killed with SIGKILL and started
again. What was on its way at a kill is left to staff as "unconfirmed"; it is lost only when the kill falls between the
commit of "sending" and the request's body. How long that and the other steps take is measured after the kills, in this
process, over ``--steps`` messages.

    python bench/telegram_endurance.py [--updates 300] [--kills 5] [--manner webhook|poll] [--data FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fake_telegram import SECRET, TOKEN, FakeTelegram, update  # noqa: E402

HEADERS = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
QUESTIONS = ("低保怎么申请", "医保怎么报销", "农机购置补贴标准是多少", "城乡居民养老保险怎么缴费", "高龄津贴多少钱")


class Bot:
    """The process under test."""

    def __init__(self, words: list[str], environ: dict[str, str]) -> None:
        self.words, self.environ = words, environ
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot", *self.words], cwd=ROOT, env=self.environ, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def deliver(client: httpx.Client, port: int, one: dict[str, object], given_up: threading.Event) -> int:
    """As Telegram delivers a webhook: until it is acknowledged; how many attempts that took."""
    for attempt in range(1, 10_000):
        if given_up.is_set():
            break
        try:
            # Three at once, as a gateway that repeats itself would.
            with ThreadPoolExecutor(3) as pool:
                url = f"http://127.0.0.1:{port}/telegram"
                posts = [pool.submit(client.post, url, json=one, headers=HEADERS) for _ in range(3)]
                codes = [post.result().status_code for post in posts]
            if 200 in codes:
                return attempt
        except httpx.HTTPError:
            pass  # the server has just been killed: Telegram delivers again as well
        time.sleep(0.5)
    return 0


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api = FakeTelegram()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BIANMIN_")}
    environ |= {
        "BIANMIN_DATA__FOLDER": str(folder),
        "BIANMIN_SERVER__PORT": str(port),
        "BIANMIN_TELEGRAM__TOKEN": TOKEN,
        "BIANMIN_TELEGRAM__SECRET_TOKEN": SECRET,
        "BIANMIN_TELEGRAM__API_BASE": api.base,
    }
    if not (folder / "bianmin.db").exists():
        subprocess.run([sys.executable, "-m", "bot", "seed-demo"], cwd=ROOT, env=environ, check=True, stdout=sys.stderr)
    first = int(time.time())
    updates = [
        update(first + n, f"{QUESTIONS[n % len(QUESTIONS)]} {n}", chat=first + n, user=first + n)
        for n in range(args.updates)
    ]
    bot = Bot(["serve"] if args.manner == "webhook" else ["telegram", "poll"], environ)
    kill_at = {args.updates * n // (args.kills + 1) for n in range(1, args.kills + 1)}
    given_up = threading.Event()
    started = time.monotonic()
    tries: list[int] = []
    try:
        with httpx.Client(timeout=10) as client, ThreadPoolExecutor(8) as telegram:
            posts = []
            for number, one in enumerate(updates):
                if args.manner == "webhook":
                    posts.append(telegram.submit(deliver, client, port, one, given_up))
                else:
                    api.push(one)
                if number in kill_at:
                    progress(api, number // 2, args.patience)
                    bot.kill()
                    bot.start()
                time.sleep(args.seconds / args.updates)
            complete = progress(api, args.updates, args.patience)
            given_up.set()
            tries = [post.result() for post in posts]
        elapsed = time.monotonic() - started
        time.sleep(2)
    finally:
        given_up.set()
        bot.kill()
        api.close()
    with sqlite3.connect(f"file:{folder / 'bianmin.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "select message_key, status from inquiries where channel = 'telegram' and received_at >= ?",
            (first * 1_000_000,),
        ).fetchall()
        states = dict(connection.execute("select last_outcome, count(*) from outbound group by 1").fetchall())
        pending = connection.execute("select count(*) from outbound where state = 'pending'").fetchone()[0]
    sent = Counter(int(m["chat_id"]) for m in api.named("sendMessage"))
    return {
        "manner": args.manner,
        "updates": args.updates,
        "kills": args.kills,
        "complete": complete,
        "entries": len(rows),
        "different_updates": len({key.split(":")[1] for key, _ in rows}),
        "settled": sum(status == "settled" for _, status in rows),
        "answered": sum(first <= chat < first + args.updates for chat in sent),
        "lost": sum(first + n not in sent for n in range(args.updates)),
        "sent_twice": sum(count > 1 for count in sent.values()),
        "unconfirmed": states.get("unconfirmed", 0),
        "pending": pending,
        "delivery_attempts": sum(tries),
        "seconds": round(elapsed, 1),
    }


def steps(folder: Path, count: int) -> dict[str, str]:
    """Send ``count`` messages with nobody killed: how long each part of a send takes, in ms as "p50 / p99"."""
    import anyio.to_thread

    from bot.app import build
    from bot.channels import telegram_line, telegram_outbox
    from bot.channels.telegram import application
    from bot.channels.telegram_wire import Address, pack
    from bot.config import load
    from register.book import Outgoing
    from register.inquiry import Channel

    api = FakeTelegram()
    own = {"DATA__FOLDER": str(folder), "TELEGRAM__TOKEN": TOKEN, "TELEGRAM__API_BASE": api.base}
    settings = load(environ={f"BIANMIN_{name}": value for name, value in own.items()})
    house = build(settings)
    moments: list[dict[str, float]] = []
    record_sending, record_attempt, listen = house.book.record_sending, house.book.record_attempt, telegram_line._listen

    def committed(number: int) -> None:
        moments.append({"begun": time.perf_counter()})
        record_sending(number)
        moments[-1]["committed"] = time.perf_counter()

    def noted(*given: Any) -> None:
        moments[-1]["answered"] = time.perf_counter()
        record_attempt(*given)
        moments[-1]["noted"] = time.perf_counter()

    async def listening(request: httpx.Request) -> None:
        await listen(request)
        inner = request.extensions.get("trace")

        async def trace(step: str, info: dict[str, Any]) -> None:
            if inner is not None:
                await inner(step, info)
                if step.endswith("send_request_body.complete"):
                    moments[-1]["written"] = time.perf_counter()

        request.extensions["trace"] = trace

    house.book.record_sending, house.book.record_attempt = committed, noted  # type: ignore[method-assign]
    telegram_line._listen = listening
    bot = application(settings.telegram).bot

    async def send() -> None:
        outbox = telegram_outbox.Outbox(house.book, bot, lease_seconds=10, down=lambda _: None, up=lambda: None)
        async with bot:
            while await outbox.step():
                pass

    for number in range(1, count + 1):
        parcel = telegram_outbox.codec.dump(telegram_outbox.Parcel(f"第{number}件"))
        house.book.enqueue(None, Outgoing(Channel.TELEGRAM, pack(Address(number, number)), parcel))
    try:
        anyio.run(send)
    finally:
        house.close()
        api.close()
        telegram_line._listen = listen
    names = ("begun", "committed", "written", "answered", "noted")
    found = {}
    for earlier, later in itertools.pairwise(names):
        spans = sorted((m[later] - m[earlier]) * 1000 for m in moments)
        found[f"{earlier}_to_{later}_ms"] = f"{spans[len(spans) // 2]:.2f} / {spans[len(spans) * 99 // 100]:.2f}"
    return found


def progress(api: FakeTelegram, answers: int, patience: float) -> bool:
    """Wait until so many chats have an answer."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if len({m["chat_id"] for m in api.named("sendMessage")}) >= answers:
            return True
        time.sleep(0.1)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--manner", choices=["webhook", "poll"], default="webhook")
    parser.add_argument("--seconds", type=float, default=20, help="over which the updates are spread")
    parser.add_argument("--patience", type=float, default=180, help="for the answers that are still missing")
    parser.add_argument("--steps", type=int, default=300, help="messages to time the steps of a send with; 0 for none")
    parser.add_argument("--data", type=Path, help="data folder with the demo county; made afresh when absent")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (args.data or Path(scratch) / "data").resolve()
        result = measure(args, folder)
        if args.steps:
            result |= steps(folder, args.steps)
    if args.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name.replace('_', ' '):20} {value}" for name, value in result.items()))
    whole = result["entries"] == result["different_updates"] == result["settled"] == result["answered"] == args.updates
    return 0 if whole and not any(result[name] for name in ("lost", "sent_twice", "pending")) else 1


if __name__ == "__main__":
    raise SystemExit(main())
