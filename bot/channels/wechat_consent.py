"""订阅页: the page on which a citizen allows 订阅通知, WeChat's own button in it (开放标签 wx-open-subscribe).

``/wechat/topics?k={day}.{signature}``: the address is given in the chat and works until its last day; it names nobody,
because WeChat reports who has pressed the button by an event of its own (:mod:`bot.channels.wechat_topics`). WeChat
runs the button only where the account is a certified 服务号 that has opened 订阅通知 and this server's domain is among its
JS接口安全域名; elsewhere the page says what to do instead.

Protocol: JS-SDK 使用权限签名算法 and 微信开放标签说明文档 (developers.weixin.qq.com/doc/offiaccount).
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Protocol

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.channels import pages
from bot.channels.http import SECURITY_HEADERS
from bot.channels.share import Signer
from bot.config import Settings
from bot.errors import WeChatRefused, WeChatUnreachable
from register.clock import now_beijing

log = logging.getLogger(__name__)

PATH = "/wechat/topics"
DAYS = 30
SDK = "https://res.wx.qq.com/open/js/jweixin-1.6.0.js"

_EPOCH = date(1970, 1, 1)
_KEY = re.compile(r"([0-9]{4,6})\.([A-Za-z0-9_-]{43})")

# WeChat draws its button in a frame of its own scheme and with styles of its own (使用说明: CSP 白名单).
_POLICY = (
    SECURITY_HEADERS["Content-Security-Policy"]
    .replace("script-src 'self'", "script-src 'self' https://res.wx.qq.com")
    .replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    + "; frame-src https://*.qq.com webcompt:"
)


class Tickets(Protocol):
    """微信接口 (see :class:`bot.channels.wechat_client.WeChatApi`)."""

    def page_ticket(self) -> str:
        """The jsapi_ticket."""


def address_of(today: date, signer: Signer) -> str:
    """The page's address, good for :data:`DAYS` days after ``today``."""
    last = (today - _EPOCH).days + DAYS
    return f"{PATH}?k={last}.{signer.sign(_text(last))}"


def last_day(key: str, signer: Signer) -> date | None:
    """The last day of an address; None for a key that is not ours."""
    found = _KEY.fullmatch(key)
    if found is None or not signer.signed(_text(int(found[1])), found[2]):
        return None
    return _EPOCH + timedelta(days=int(found[1]))


def _text(last: int) -> str:
    return f"topics:{last}"


def signature(ticket: str, nonce: str, stamp: int, url: str) -> str:
    """权限签名: what wx.config is given for the page at ``url`` (its part after # does not count)."""
    told = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={stamp}&url={url.partition('#')[0]}"
    return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()


class ConsentPage:
    """订阅页 of one account."""

    def __init__(
        self, settings: Settings, signer: Signer, api: Tickets, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._own = settings.wechat
        self._base_url = settings.server.base_url.rstrip("/")
        self._signer = signer
        self._api = api
        self._clock = clock
        self._template = pages.environment(settings, pages.static_files()).get_template("wechat_topics.html.j2")
        self._limiter = anyio.CapacityLimiter(2)

    def address(self) -> str:
        """The page's whole address for a citizen of today."""
        return f"{self._base_url}{address_of(now_beijing().date(), self._signer)}"

    async def show(self, request: Request) -> Response:
        """``GET /wechat/topics``."""
        last = last_day(request.query_params.get("k", ""), self._signer)
        if last is None:
            return self._page("unknown", 404)
        if last < now_beijing().date():
            return self._page("expired", 410)
        try:
            ticket = await anyio.to_thread.run_sync(self._api.page_ticket, limiter=self._limiter)
        except (WeChatRefused, WeChatUnreachable) as problem:
            log.warning("the page for 订阅通知 cannot be shown: %s", problem)
            return self._page("broken", 503)
        # The address as the phone sees it: WeChat may have added to the query, and a proxy stands before us.
        url = f"{self._base_url}{PATH}?{request.url.query}"
        nonce, stamp = secrets.token_hex(8), int(self._clock())
        config = {"app": self._own.app_id, "stamp": stamp, "nonce": nonce}
        return self._page("ready", 200, {**config, "signature": signature(ticket, nonce, stamp, url)})

    def _page(self, state: str, status: int, config: dict[str, object] | None = None) -> Response:
        html = self._template.render(
            state=state,
            config=config,
            sdk=SDK,
            template=self._own.policy_template,
            lasting=self._own.policy_template in self._own.long_term_templates,
        )
        return HTMLResponse(html, status, {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})
