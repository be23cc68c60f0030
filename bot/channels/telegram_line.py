"""Telegram 线路: python-telegram-bot's requests, with a word right before the body of a request is written.

httpcore calls ``extensions["trace"]`` at each step of a request; ``send_request_body.started`` comes when the connection
stands and the head is written. Until the body follows, Telegram has nothing that it could act on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from telegram.request import HTTPXRequest

Told = Callable[[], Awaitable[object]]

_told: ContextVar[Told | None] = ContextVar("told", default=None)


@contextmanager
def telling(told: Told) -> Iterator[None]:
    """Await ``told()`` before the body of each request made inside is written; what it raises ends the request."""
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


def line(**options: Any) -> HTTPXRequest:
    """A request object for python-telegram-bot that knows :func:`telling`; ``options`` are HTTPXRequest's."""
    return HTTPXRequest(httpx_kwargs={"event_hooks": {"request": [_listen]}}, **options)


async def _listen(request: httpx.Request) -> None:
    told = _told.get()
    if told is None:
        return

    async def trace(step: str, info: dict[str, Any]) -> None:
        # A proxy is asked for a tunnel (CONNECT) with a request of its own under the same trace.
        if step.endswith("send_request_body.started") and info["request"].method == b"POST":
            await told()

    request.extensions["trace"] = trace
