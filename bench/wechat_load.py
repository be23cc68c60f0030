"""How many encrypted WeChat messages a second one server answers, beside the same handler with a constant string.

One serving process holds both doors: ``/wechat`` with the real house over the demo county, whose answers are looked up by
``BIANMIN_SERVER__PROCESSES`` others, and ``/ceiling``, whose reception answers a constant string and whose register keeps
nothing. Processor time is that of all of them. This process encrypts the messages beforehand, sends
them over raw keep-alive connections, alternately to the one and the other, and counts. Every question is
distinct and comes from a citizen of its own.

    python bench/wechat_load.py [--messages 600] [--rounds 3] [--connections 32] [--senders 200] [--data FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.parse
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from wechat_phone import AES_KEY, APP_ID, TOKEN, Phone  # noqa: E402

PREFIXES = (
    "请问",
    "您好，",
    "想问一下",
    "麻烦问下",
    "",
    "咨询一下，",
    "我是{village}村的，",
    "替家里老人问，",
    "我今年{age}岁，",
)
TOO_LATE = 5.0  # seconds that WeChat waits


@dataclass(frozen=True)
class Run:
    """What one batch of messages measured; latencies in seconds."""

    seconds: float
    latencies: tuple[float, ...]
    answered: int  # with an encrypted reply
    acknowledged: int  # bare success: the answer follows later
    failed: int
    cpu: float = 0.0  # seconds of the server process; 0 where the system does not tell

    @property
    def cpu_ms(self) -> float:
        return self.cpu / len(self.latencies) * 1000

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, q: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


# --- the server process


def serve(port: int) -> None:
    """Both doors in one application, served as ``bianmin serve`` serves it."""
    import uvicorn
    from starlette.routing import Route

    from bot.app import asgi, build
    from bot.channels.wechat import Door
    from bot.channels.wechat_outbox import Bundle
    from bot.config import load
    from bot.thinkers import Thinkers
    from register.inquiry import Inquiry, Reply, ReplyKind

    constant = Reply(ReplyKind.ANSWER, "您好，您的问题已收到。" * 20)

    class Constant:
        def answer(self, _: Inquiry) -> tuple[int, Reply]:
            return 1, constant

        def along(self, _: Inquiry, own: str) -> Bundle:
            return Bundle(own)

        def hand_over(self, *_: object) -> frozenset[int]:
            return frozenset()

        def postpone(self, *_: object) -> None:
            return None

    settings = load()
    with closing(build(settings)) as before:
        before.library.ensure_index()
    thinkers = Thinkers(settings, settings.server.processes) if settings.server.processes else None
    house = build(settings, thinker=thinkers)
    app = asgi(house)
    constantly: Any = Constant()
    ceiling = Door(house.settings, constantly, constantly, house.seal, house.engine)
    ceiling._outbox = constantly  # keeps nothing
    app.router.routes.append(Route("/ceiling", ceiling.receive, methods=["POST"]))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
    )


# --- the messages


def questions() -> list[str]:
    """The demo county's own questions."""
    found: list[str] = []
    for path in sorted((ROOT / "demo").glob("questions-*.toml")):
        found += [row["text"] for row in tomllib.loads(path.read_text("utf-8"))["question"]]
    return found


def letters(count: int, path: str, start: int) -> list[bytes]:
    """``count`` requests with distinct questions, ready for the wire."""
    phone, rng, asked = Phone(), random.Random(start), questions()
    requests = []
    for number in range(start, start + count):
        prefix = PREFIXES[number % len(PREFIXES)].format(village=f"柳{number}", age=20 + number % 70)
        text = f"{prefix}{rng.choice(asked)}（{number}）"
        xml = (
            f"<xml><ToUserName><![CDATA[gh_qinghe000001]]></ToUserName><FromUserName><![CDATA[oBench{number:022d}]]>"
            f"</FromUserName><CreateTime>{int(time.time())}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
            f"<Content><![CDATA[{text}]]></Content><MsgId>{number}</MsgId></xml>"
        )
        query, body = phone.sealed(xml)
        head = (
            f"POST {path}?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


# --- the sender


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends the next request as soon as the last one is answered."""

    def __init__(self, queue: list[bytes], results: list[tuple[float, bytes]], done: asyncio.Future[None]) -> None:
        self.queue, self.results, self.done = queue, results, done
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next()

    def next(self) -> None:
        if not self.queue:
            self.transport.close()
            return
        self.buffer = b""
        self.sent_at = time.perf_counter()
        self.transport.write(self.queue.pop())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        at = lowered.index(b"content-length:") + 15
        length = int(lowered[at:].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self.results.append((time.perf_counter() - self.sent_at, head[9:12] + body[:5]))
            self.next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def batch(server: subprocess.Popen[bytes], port: int, requests: list[bytes], connections: int) -> Run:
    """Send the requests; the server's own processor time tells more than the clock on a machine that others use."""
    before = cpu_seconds(server.pid)
    run = asyncio.run(send(port, requests, connections))
    return replace(run, cpu=cpu_seconds(server.pid) - before)


def cpu_seconds(pid: int) -> float:
    """Of the process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


async def send(port: int, requests: list[bytes], connections: int) -> Run:
    loop = asyncio.get_running_loop()
    queue, results = list(reversed(requests)), []  # type: ignore[var-annotated]
    waiting = []
    started = time.perf_counter()
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: Connection(queue, results, done), "127.0.0.1", port)
        waiting.append(done)
    await asyncio.gather(*waiting)
    seconds = time.perf_counter() - started
    kinds = [kind for _, kind in results]
    return Run(
        seconds,
        tuple(latency for latency, _ in results),
        answered=sum(kind.startswith(b"200\n<xml") or kind == b"200<xml>" for kind in kinds),
        acknowledged=kinds.count(b"200succe"),
        failed=len(requests) - sum(kind.startswith(b"200") for kind in kinds),
    )


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, "BIANMIN_DATA__FOLDER": str(folder)}
    environ |= {f"BIANMIN_WECHAT__{k}": v for k, v in {"TOKEN": TOKEN, "AES_KEY": AES_KEY, "APP_ID": APP_ID}.items()}
    database = folder / "bianmin.db"
    if not database.exists():
        subprocess.run([sys.executable, "-m", "bot", "seed-demo"], cwd=ROOT, env=environ, check=True, stdout=sys.stderr)
    before = entries(database)
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(port)], cwd=ROOT, env=environ)
    try:
        wait_for(port, server)
        number = int(time.time()) % 1_000_000 * 1_000
        real: list[Run] = []
        ceiling: list[Run] = []
        for path in ("/ceiling", "/wechat"):  # warm both
            batch(server, port, letters(100, path, number), args.connections)
        number += 100
        sent = 100
        for _ in range(args.rounds):
            ceiling.append(batch(server, port, letters(args.messages, "/ceiling", number), args.connections))
            real.append(batch(server, port, letters(args.messages, "/wechat", number), args.connections))
            number += args.messages
            sent += args.messages
        crowd = batch(server, port, letters(args.messages, "/wechat", number), args.senders)
        sent += args.messages
    finally:
        server.terminate()
        server.wait(20)
    rate, top = (statistics.median(run.rate for run in runs) for runs in (real, ceiling))
    cost, bottom = (statistics.median(run.cpu_ms for run in runs) for runs in (real, ceiling))
    middle = sorted(real, key=lambda run: run.rate)[len(real) // 2]
    return {
        "messages_per_second": round(rate, 1),
        "ceiling_per_second": round(top, 1),
        "ratio": round(rate / top, 3),
        "cpu_ms": round(cost, 2),
        "ceiling_cpu_ms": round(bottom, 2),
        "cpu_ratio": round(bottom / cost, 3) if cost else 0.0,
        "p50_ms": round(middle.quantile(0.5) * 1000, 1),
        "p99_ms": round(middle.quantile(0.99) * 1000, 1),
        "connections": args.connections,
        "senders": args.senders,
        "senders_per_second": round(crowd.rate, 1),
        "senders_p50_ms": round(crowd.quantile(0.5) * 1000, 1),
        "senders_p99_ms": round(crowd.quantile(0.99) * 1000, 1),
        "missed": sum(latency > TOO_LATE for latency in crowd.latencies) + crowd.acknowledged,
        "failed": sum(run.failed for run in (*real, *ceiling, crowd)),
        "sent": sent,
        "entries": entries(database) - before,
        "answered": sum(run.answered for run in (*real, crowd)) + 100,
    }


def entries(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return int(connection.execute("select count(*) from inquiries").fetchone()[0])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit("wechat_load: the server did not start; see above")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("wechat_load: the server did not listen within 60 s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=600, help="messages in one batch")
    parser.add_argument("--rounds", type=int, default=3, help="batches to each door")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--senders", type=int, default=200, help="connections of the crowd at the end")
    parser.add_argument("--data", type=Path, help="data folder with the demo county; made afresh when absent")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(args, (args.data or Path(scratch) / "data").resolve())
    if args.json:
        print(json.dumps(result))
    else:
        print(
            "WeChat, AES, distinct questions over the demo county, one serving process, sender on the same machine\n"
            f"  {result['messages_per_second']} messages/s, p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms "
            f"({result['connections']} connections)\n"
            f"  ceiling (constant string, same handler) {result['ceiling_per_second']} messages/s: "
            f"ratio {result['ratio']}\n"
            f"  processor time of the server: {result['cpu_ms']} ms a message, ceiling {result['ceiling_cpu_ms']} ms: "
            f"ratio {result['cpu_ratio']}\n"
            f"  {result['senders']} senders at once: {result['senders_per_second']} messages/s, p50 "
            f"{result['senders_p50_ms']} ms, p99 {result['senders_p99_ms']} ms, missed the 5 s: {result['missed']}\n"
            f"  sent {result['sent']}, entered {result['entries']}, answered {result['answered']}, "
            f"failed {result['failed']}"
        )
    return 1 if result["failed"] or result["entries"] != result["sent"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
