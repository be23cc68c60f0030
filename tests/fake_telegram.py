"""A Bot API server on loopback: what python-telegram-bot needs of it, and the faults of a bad day."""

from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.parse
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "7000001:AAFakeTokenOfTheQingHeCountyBot_00001"
BOT_ID = 7000001
BOT_NAME = "qinghe_bot"
SECRET = "secret-of-the-webhook_01"


@dataclass(frozen=True)
class Fault:
    """What the server does instead of its duty. ``cut``: "before" or "after" it has taken the call."""

    status: int = 200
    description: str = ""
    retry_after: int = 0
    migrate_to: int = 0
    pause: float = 0.0
    cut: str = ""
    raw: bytes = b""


@dataclass
class Call:
    """One call that was taken."""

    method: str
    data: dict[str, Any]


@dataclass
class FakeTelegram:
    """The server. ``faults`` holds, for each method, what happens to its next calls; ``down`` cuts every call."""

    calls: list[Call] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    down: bool = False
    always: Fault | None = None  # what happens to every call
    webhook: str = ""

    def __post_init__(self) -> None:
        self._updates: dict[int, dict[str, Any]] = {}
        self._lock = threading.Condition()
        self._messages = itertools.count(50_000)
        self.confirmed = 0  # offset of the last getUpdates
        self.stopped = False
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake._serve(self, body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    # ---- what tests use --------------------------------------------------------------------------------------

    def fail(self, method: str, *faults: Fault) -> None:
        self.faults.setdefault(method, deque()).extend(faults)

    def push(self, *updates: dict[str, Any]) -> None:
        """Updates for getUpdates; they stay until their number is acknowledged."""
        with self._lock:
            for update in updates:
                self._updates[update["update_id"]] = update
            self._lock.notify_all()

    def named(self, method: str) -> list[dict[str, Any]]:
        return [call.data for call in list(self.calls) if call.method == method]

    def sent(self, chat: int | None = None) -> list[str]:
        return [m["text"] for m in self.named("sendMessage") if chat is None or int(m["chat_id"]) == chat]

    def buttons(self) -> list[tuple[str, str]]:
        """(label, data) of every button of the last message sent."""
        markup = self.named("sendMessage")[-1].get("reply_markup")
        return [(b["text"], b["callback_data"]) for row in (markup or {}).get("inline_keyboard", []) for b in row]

    @property
    def unacknowledged(self) -> int:
        return len(self._updates)

    def close(self) -> None:
        self.stopped = True
        with self._lock:
            self._lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    # ---- the API ---------------------------------------------------------------------------------------------

    def _serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        _, token, method = handler.path.split("/", 2)
        fault = Fault()
        if self.down:
            fault = Fault(cut="before")
        elif self.always is not None:
            fault = self.always
        elif self.faults.get(method):
            fault = self.faults[method].popleft()
        time.sleep(fault.pause)
        if fault.cut == "before":
            handler.close_connection = True
            handler.connection.close()
            return
        if token != f"bot{TOKEN}":
            self._say(handler, 401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
            return
        if fault.status != 200 and fault.raw:
            self._bytes(handler, fault.status, fault.raw)
            return
        if fault.status != 200:
            parameters: dict[str, int] = {}
            if fault.retry_after:
                parameters["retry_after"] = fault.retry_after
            if fault.migrate_to:
                parameters["migrate_to_chat_id"] = fault.migrate_to
            answer: dict[str, Any] = {"ok": False, "error_code": fault.status, "description": fault.description}
            self._say(handler, fault.status, answer | ({"parameters": parameters} if parameters else {}))
            return
        data = {k: _value(v) for k, v in urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)}
        result = self._result(method, data)
        if method != "getUpdates":
            self.calls.append(Call(method, data))
        if fault.cut == "after":
            handler.close_connection = True
            handler.connection.close()
            return
        if fault.raw:
            self._bytes(handler, 200, fault.raw)
            return
        if result is None:
            self._say(handler, 404, {"ok": False, "error_code": 404, "description": "Not Found"})
        elif result == "too long":
            self._say(handler, 400, {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"})
        else:
            self._say(handler, 200, {"ok": True, "result": result})

    def _result(self, method: str, data: dict[str, Any]) -> Any:
        if method == "getMe":
            return {"id": BOT_ID, "is_bot": True, "first_name": "青禾便民", "username": BOT_NAME}
        if method == "getUpdates":
            return self._waiting(int(data.get("offset", 0)), int(data.get("limit", 100)), float(data.get("timeout", 0)))
        if method in ("sendMessage", "editMessageText"):
            text = data["text"]
            if not text or len(text.encode("utf-16-le")) // 2 > 4096:
                return "too long"
            chat = int(data["chat_id"])
            kind = "private" if chat > 0 else "supergroup"
            number = next(self._messages)
            return {"message_id": number, "date": int(time.time()), "chat": {"id": chat, "type": kind}, "text": text}
        if method == "setWebhook":
            self.webhook = data["url"]
            return True
        if method == "deleteWebhook":
            self.webhook = ""
            return True
        if method == "getWebhookInfo":
            return {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": self.unacknowledged}
        return True if method in ("answerCallbackQuery", "setMyCommands", "editMessageReplyMarkup") else None

    def _waiting(self, offset: int, limit: int, timeout: float) -> list[dict[str, Any]]:
        end = time.monotonic() + timeout
        with self._lock:
            if offset:
                self.confirmed = offset
                for number in [n for n in self._updates if n < offset]:
                    del self._updates[number]
            while not self._updates and not self.stopped and not self.down and time.monotonic() < end:
                self._lock.wait(min(0.5, max(0.0, end - time.monotonic())))
            return [self._updates[n] for n in sorted(self._updates)][:limit]

    def _say(self, handler: BaseHTTPRequestHandler, status: int, answer: object) -> None:
        self._bytes(handler, status, json.dumps(answer).encode())

    def _bytes(self, handler: BaseHTTPRequestHandler, status: int, raw: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)


def _value(text: str) -> Any:
    """Structures come as JSON, texts as they are."""
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


# ---- updates -----------------------------------------------------------------------------------------------------


def person(number: int = 4242, *, bot: bool = False) -> dict[str, Any]:
    return {"id": number, "is_bot": bot, "first_name": "张", "last_name": "三丰", "username": "zhang_sanfeng"}


def message(
    text: str | None, *, number: int = 1, chat: int = 4242, user: int = 4242, kind: str = "", **more: Any
) -> dict[str, Any]:
    kind = kind or ("private" if chat > 0 else "supergroup")
    made: dict[str, Any] = {"message_id": number, "date": 1_790_000_000, "chat": {"id": chat, "type": kind}}
    made["from"] = person(user)
    if text is not None:
        made["text"] = text
    return made | more


def update(number: int, text: str | None, **options: Any) -> dict[str, Any]:
    """A citizen's message; its own number follows the update's unless ``message_number`` names one."""
    own = options.pop("message_number", number)
    return {"update_id": number, "message": message(text, number=own, **options)}


def edit(number: int, text: str | None, **options: Any) -> dict[str, Any]:
    own = options.pop("message_number")
    return {"update_id": number, "edited_message": message(text, number=own, edit_date=1_790_000_100, **options)}


def tap(number: int, data: str, *, chat: int = 4242, user: int = 4242, kind: str = "") -> dict[str, Any]:
    under = message("答复", number=50_000, chat=chat, kind=kind)
    under["from"] = person(BOT_ID, bot=True)
    query = {"id": str(10**15 + number), "from": person(user), "chat_instance": "1", "data": data, "message": under}
    return {"update_id": number, "callback_query": query}
