"""Kill the server again and again while WeChat delivers: every message entered once, answered once, none lost.

This process plays WeChat: it delivers each message three times at once, comes again after five seconds when nobody
answered (three rounds in all, as WeChat does; more with ``--rounds``, for machines that start slowly), and takes 客服消息 on an API of its own. Meanwhile ``bianmin serve`` is killed
with SIGKILL and started again.

    python bench/wechat_kill.py [--messages 500] [--kills 5] [--data FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
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
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "bench")]

from wechat_load import questions, wait_for  # noqa: E402
from wechat_phone import AES_KEY, APP_ID, TOKEN, Phone  # noqa: E402

PATIENCE = 5.0


@dataclass
class Message:
    """One citizen's message and what came back."""

    number: int
    xml: str
    replies: list[str] = field(default_factory=list)  # contents of passive replies
    acknowledged: int = 0
    rounds: int = 0
    history: list[tuple[float, str]] = field(default_factory=list)  # what happened when, for --trace

    def saw(self, what: str) -> None:
        """One line of the history."""
        self.history.append((time.monotonic(), what))

    @property
    def openid(self) -> str:
        return f"oKill{self.number:023d}"


class Api(BaseHTTPRequestHandler):
    """stable_token and 客服消息."""

    sent: Counter[str] = Counter()
    moments: list[tuple[float, str]] = []  # when which citizen was sent something
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "touser" in body:
            with self.lock:
                self.sent[body["touser"]] += 1
                self.moments.append((time.monotonic(), body["touser"]))
        raw = json.dumps({"errcode": 0} if "touser" in body else {"access_token": "T", "expires_in": 7200}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


class Server:
    """``bianmin serve``, to be killed."""

    def __init__(self, folder: Path, port: int, api: str) -> None:
        self.port = port
        secrets = {"TOKEN": TOKEN, "AES_KEY": AES_KEY, "APP_ID": APP_ID, "APP_SECRET": "secret", "API_BASE": api}
        self.environ = {**os.environ, "BIANMIN_DATA__FOLDER": str(folder), "BIANMIN_SERVER__PORT": str(port)}
        self.environ |= {f"BIANMIN_WECHAT__{name}": value for name, value in secrets.items()}
        self.outages: list[tuple[float, float]] = []
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve"], cwd=ROOT, env=self.environ, stderr=subprocess.DEVNULL
        )
        wait_for(self.port, self.process)

    def restart(self) -> None:
        killed = time.monotonic()
        self.kill()
        self.start()
        self.outages.append((killed, time.monotonic()))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


async def deliver(port: int, message: Message) -> bool:
    """One delivery; whether there was an answer within WeChat's patience."""
    phone = Phone()
    query, body = phone.sealed(message.xml)
    head = (
        f"POST /wechat?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(head.encode() + body)
                raw = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        message.saw(f"round {message.rounds}: {type(error).__name__}")
        return False
    answer_head, _, answer = raw.partition(b"\r\n\r\n")
    if not answer_head.startswith(b"HTTP/1.1 200") or not answer:
        message.saw(f"round {message.rounds}: {raw[:12]!r}")
        return False
    if answer == b"success":
        message.saw(f"round {message.rounds}: success")
        message.acknowledged += 1
    else:
        message.saw(f"round {message.rounds}: the answer")
        message.replies.append(phone.read(answer.decode(), sealed=True)["Content"])
    return True


async def send(port: int, message: Message, rounds: int) -> None:
    for message.rounds in range(1, rounds + 1):
        started = time.monotonic()
        if any(await asyncio.gather(*(deliver(port, message) for _ in range(3)))):
            return
        await asyncio.sleep(max(0.0, started + PATIENCE - time.monotonic()))


async def storm(server: Server, messages: list[Message], kills: int, seconds: float, rounds: int) -> None:
    async def killer() -> None:
        for _ in range(kills):
            await asyncio.sleep(seconds / (kills + 1))
            await asyncio.to_thread(server.restart)

    killing = asyncio.create_task(killer())
    sending = []
    for message in messages:
        sending.append(asyncio.create_task(send(server.port, message, rounds)))
        await asyncio.sleep(seconds / len(messages))
    await asyncio.gather(*sending, killing)


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    api.daemon_threads = True
    threading.Thread(target=api.serve_forever, daemon=True).start()
    environ = {**os.environ, "BIANMIN_DATA__FOLDER": str(folder)}
    if not (folder / "bianmin.db").exists():
        subprocess.run([sys.executable, "-m", "bot", "seed-demo"], cwd=ROOT, env=environ, check=True, stdout=sys.stderr)
    first, asked = int(time.time()) * 1000, questions()
    messages = []
    for number in range(first, first + args.messages):
        message = Message(number, "")
        message.xml = (
            f"<xml><ToUserName>gh_q</ToUserName><FromUserName>{message.openid}</FromUserName><CreateTime>{int(time.time())}"
            f"</CreateTime><MsgType>text</MsgType><Content>{asked[number % len(asked)]}</Content><MsgId>{number}</MsgId></xml>"
        )
        messages.append(message)
    server = Server(folder, port, f"http://127.0.0.1:{api.server_port}")
    try:
        asyncio.run(storm(server, messages, args.kills, args.seconds, args.rounds))
        wait_until_quiet(folder, args.settle)
    finally:
        server.kill()
        api.shutdown()
    with sqlite3.connect(f"file:{folder / 'bianmin.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "select message_key, status from inquiries where channel = 'wechat' and message_key >= ? and message_key < ?",
            (str(first), str(first + args.messages)),
        ).fetchall()
    passive = [message for message in messages if message.replies]
    later = [message for message in messages if not message.replies and Api.sent[message.openid]]
    entered = {key.partition("-")[0] for key, _ in rows}
    answered = {message.number for message in (*passive, *later)}
    if args.trace:
        trace(args.trace, messages, server, answered)
    return {
        "messages": args.messages,
        "kills": args.kills,
        "entries": len(rows),
        "settled": sum(status == "settled" for _, status in rows),
        "answered_at_once": len(passive),
        "answered_later": len(later),
        "never_reached": sum(str(message.number) not in entered for message in messages),
        "lost": sum(str(message.number) in entered and message.number not in answered for message in messages),
        "different_replies": sum(len(set(message.replies)) > 1 for message in messages),
        "sent_twice": sum(Api.sent[message.openid] > 1 for message in messages),
        "at_once_and_later": sum(bool(Api.sent[message.openid]) for message in passive),
        "second_rounds": sum(message.rounds > 1 for message in messages),
        "longest_outage_seconds": round(max((end - start for start, end in server.outages), default=0.0), 1),
    }


def trace(path: Path, messages: list[Message], server: Server, answered: set[int]) -> None:
    """Write down what happened to each message that was not answered exactly once, moment by moment."""
    lines = []
    for message in messages:
        sent = Api.sent[message.openid]
        if message.number in answered and sent + bool(message.replies) == 1:
            continue
        moments = message.history + [(at, "客服消息") for at, openid in Api.moments if openid == message.openid]
        for start, end in server.outages:
            moments += [(start, "-- killed"), (end, "-- up again")]
        lines.append(f"message {message.number}: sent later {sent}, replies {len(message.replies)}")
        lines += [f"  {at - moments[0][0]:8.3f} {what}" for at, what in sorted(moments)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def wait_until_quiet(folder: Path, seconds: float) -> None:
    """Until nothing is open or pending."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with sqlite3.connect(f"file:{folder / 'bianmin.db'}?mode=ro", uri=True) as connection:
            left = connection.execute(
                "select (select count(*) from inquiries where status = 'open')"
                " + (select count(*) from outbound where state = 'pending')"
            ).fetchone()[0]
        if not left:
            return
        time.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="how often WeChat delivers a message that nobody answers")
    parser.add_argument("--seconds", type=float, default=60, help="over which the messages are spread")
    parser.add_argument("--settle", type=float, default=60, help="patience for what is delivered later")
    parser.add_argument("--data", type=Path, help="data folder with the demo county; made afresh when absent")
    parser.add_argument("--trace", type=Path, help="file for the story of each message not answered exactly once")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(args, (args.data or Path(scratch) / "data").resolve())
    if args.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name.replace('_', ' '):20} {value}" for name, value in result.items()))
    good = result["entries"] == result["settled"] == result["messages"]
    bad = ("lost", "different_replies", "sent_twice", "at_once_and_later")
    return 0 if good and not any(result[name] for name in bad) else 1


if __name__ == "__main__":
    raise SystemExit(main())
