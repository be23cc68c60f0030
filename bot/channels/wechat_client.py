"""微信服务端接口: what we ask of WeChat ourselves: 客服消息, 订阅通知, 自定义菜单, stable_token.

Everything goes through wechatpy's client, with its defects closed: one token in the database for all processes, fetched
by one of them at a time (``/cgi-bin/stable_token``) · a refused token is replaced once, never in a loop · every
call has a timeout · neither AppSecret nor token ever stands in an error or a log line. Synchronous: worker threads only.

Errors: :class:`bot.errors.WeChatRefused` with WeChat's code, :class:`bot.errors.WeChatUnreachable`.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Protocol, TypeVar

import requests
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

from bot.errors import WeChatRefused, WeChatUnreachable
from register.clock import now_beijing

log = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT = (2.0, 3.0)
"""Seconds to connect and to wait for bytes; together shorter than the lease of an outbox claim."""


class Code(IntEnum):
    """全局返回码: the error codes of WeChat that are dealt with by name."""

    BUSY = -1
    BAD_SECRET = 40001  # also: a token that another program has replaced
    BAD_OPENID = 40003
    BAD_APP_ID = 40013
    BAD_TOKEN = 40014
    BAD_TEMPLATE = 40037
    WRONG_SECRET = 40125
    ADDRESS_NOT_LISTED = 40164
    TOKEN_EXPIRED = 42001
    NOT_FOLLOWING = 43004
    NO_CONSENT = 43101
    DAILY_QUOTA = 45009
    TOO_LATE = 45015
    TOO_MANY = 45047
    BAD_FIELDS = 47003
    NOT_CERTIFIED = 48001
    REFUSED_BY_FOLLOWER = 48002
    UNFOLLOWED = 50005


TOKEN_CODES = frozenset({Code.BAD_SECRET, Code.BAD_TOKEN, Code.TOKEN_EXPIRED})
"""获取 access_token 时 AppSecret 错误或 access_token 无效 / 不合法 / 超时."""

HINTS: dict[int, str] = {
    Code.BUSY: "WeChat is busy; it is tried again",
    Code.BAD_SECRET: "compare BIANMIN_WECHAT__APP_SECRET with the account's 基本配置",
    Code.BAD_APP_ID: "compare BIANMIN_WECHAT__APP_ID with the account's 基本配置",
    Code.BAD_TEMPLATE: "compare the template's id under [wechat] with the account's 订阅通知",
    Code.WRONG_SECRET: "compare BIANMIN_WECHAT__APP_SECRET with the account's 基本配置",
    Code.ADDRESS_NOT_LISTED: "add this server's address to the account's IP白名单 (基本配置)",
    Code.TOKEN_EXPIRED: "the token is fetched anew",
    Code.NOT_FOLLOWING: "the citizen does not follow the account any more",
    Code.NO_CONSENT: "the citizen has withdrawn consent",
    Code.DAILY_QUOTA: "the account's calls of this day are used up; it goes on tomorrow",
    Code.TOO_LATE: "more than 48 hours since the citizen's last message",
    Code.TOO_MANY: "all five 客服消息 of this citizen's last message are used up",
    Code.BAD_FIELDS: "compare the template's fields under [wechat] with the account's 订阅通知",
    Code.NOT_CERTIFIED: "the account is not certified for this interface",
    Code.REFUSED_BY_FOLLOWER: "the citizen has switched the account's messages off",
    Code.UNFOLLOWED: "the citizen does not follow the account any more",
}

_TOKEN_MARGIN = timedelta(minutes=4)  # in a token's last five minutes the platform gives out its successor
_TOKEN_PATH = "stable_token"  # noqa: S105  # a path
_FETCH_SECONDS = 10.0


class Tokens(Protocol):
    """凭据存储 (see :class:`bot.channels.wechat_store.WeChatStore`)."""

    def token(self, app_id: str, now: datetime) -> str:
        """The stored token or empty."""

    def claim_token(self, app_id: str, now: datetime, seconds: float) -> bool:
        """Whether the caller alone may fetch."""

    def keep_token(self, app_id: str, token: str, expires_at: datetime) -> None:
        """Store a new token."""

    def release_token(self, app_id: str) -> None:
        """Let go."""


class WeChatApi:
    """微信接口: the calls that this product makes. One instance a thread."""

    def __init__(
        self,
        app_id: str,
        app_secret: str,
        tokens: Tokens,
        *,
        api_base: str = "https://api.weixin.qq.com",
        timeout: tuple[float, float] = TIMEOUT,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        self._secrets = [app_secret]
        self._tokens = tokens
        self._clock = clock
        self._client = _Client(app_id, app_secret, tokens, api_base.rstrip("/"), timeout, clock)
        # urllib3 writes whole addresses, with the token in them, at DEBUG.
        logging.getLogger("urllib3").setLevel(logging.WARNING)

    def send_text(self, openid: str, content: str, before: Callable[[], object] | None = None) -> None:
        """发送客服消息: a text to a citizen who wrote within 48 hours.

        ``before`` is called when the connection stands, right before the body of the request is written; what it raises
        ends the call with nothing sent.
        """
        with self._client.line.telling(before):
            self._call(lambda: self._client.message.send_text(openid, content))

    def send_notice(
        self,
        openid: str,
        template: str,
        fields: Mapping[str, str],
        page: str,
        before: Callable[[], object] | None = None,
    ) -> None:
        """发送订阅通知 (bizsend): one notice of a template that the citizen has consented to. ``before``: as above."""
        data = {name: {"value": value} for name, value in fields.items()}
        with self._client.line.telling(before):
            self._call(lambda: self._client.message.send_subscribe_message(openid, template, data, page=page or None))

    def page_ticket(self) -> str:
        """jsapi_ticket: what our pages inside WeChat are signed with; one for all processes, fetched anew when old."""
        key = f"jsapi:{self._client.appid}"
        give_up = time.monotonic() + _FETCH_SECONDS
        while not (ticket := self._tokens.token(key, self._clock() + _TOKEN_MARGIN)):
            if self._tokens.claim_token(key, self._clock(), _FETCH_SECONDS):
                try:
                    return self._fetch_ticket(key)
                finally:
                    self._tokens.release_token(key)
            if time.monotonic() > give_up:
                raise WeChatUnreachable("another process has been fetching WeChat's jsapi_ticket for too long")
            time.sleep(0.05)
        return ticket

    def _fetch_ticket(self, key: str) -> str:
        answer = self._call(lambda: self._client.jsapi.get_ticket())
        ticket, seconds = answer.get("ticket"), answer.get("expires_in")
        if not isinstance(ticket, str) or not isinstance(seconds, int) or not ticket:
            raise WeChatUnreachable("WeChat's API answered in an unknown form (no jsapi_ticket)")
        self._tokens.keep_token(key, ticket, self._clock() + timedelta(seconds=seconds))
        return ticket

    def push_menu(self, menu: Mapping[str, Any]) -> None:
        """创建自定义菜单."""
        self._call(lambda: self._client.menu.create(dict(menu)))

    def show_menu(self) -> dict[str, Any]:
        """查询自定义菜单: as WeChat holds it; empty when there is none."""
        shown = self._call(self._client.menu.get)
        menu = shown.get("menu") if isinstance(shown, dict) else None
        return menu if isinstance(menu, dict) else {}

    def _call(self, call: Callable[[], T]) -> T:
        """Make one call, once more with a new token if WeChat refuses the one we have."""
        result, problem = self._try(call)
        if isinstance(problem, WeChatRefused) and problem.code in TOKEN_CODES:
            self._client.forget_token()
            result, problem = self._try(call)
        if problem is not None:
            raise problem
        assert result is not None
        return result

    def _try(self, call: Callable[[], T]) -> tuple[T | None, WeChatRefused | WeChatUnreachable | None]:
        """The result or the named problem. Foreign errors end here: their texts and fields hold secrets."""
        try:
            result = call()
        except WeChatClientException as error:
            return None, self._named(error)
        except (WeChatRefused, WeChatUnreachable) as error:
            return None, error
        except requests.RequestException as error:
            return None, WeChatUnreachable(
                f"WeChat's API cannot be reached ({type(error).__name__}); check the network"
            )
        except Exception as error:  # wechatpy meets an answer that it did not expect with whatever comes first
            return None, WeChatUnreachable(f"WeChat's API answered in an unknown form ({type(error).__name__})")
        if result is not None and not isinstance(result, dict):
            return None, WeChatUnreachable("WeChat's API answered in an unknown form (no JSON)")
        return result if result is not None else {}, None  # type: ignore[return-value]

    def _named(self, error: WeChatClientException) -> WeChatRefused | WeChatUnreachable:
        if error.errcode is None:
            status = getattr(error.response, "status_code", "?")
            return WeChatUnreachable(f"WeChat's API answered HTTP {status}")
        text = str(error.errmsg)[:200]
        for secret in (*self._secrets, self._client.last_token):
            text = text.replace(secret, "…") if secret else text
        hint = HINTS.get(error.errcode, "look the code up in WeChat's 全局返回码")
        return WeChatRefused(error.errcode, f"WeChat answered {error.errcode} ({text}); {hint}")


class _Line(requests.Session):
    """requests' session, with a word right before the body of a request is written."""

    _told: Callable[[], object] | None = None

    @contextmanager
    def telling(self, told: Callable[[], object] | None) -> Iterator[None]:
        """Call ``told`` before the body of each request made inside is written, except for a token."""
        self._told = told
        try:
            yield
        finally:
            self._told = None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As requests does; a body that is a file is read when the head has been written."""
        if self._told is not None and isinstance(request.body, bytes) and _TOKEN_PATH not in str(request.url):
            request.body = _Body(request.body, self._told)
        return super().send(request, **options)


class _Body(io.BytesIO):
    """A request's body that says when it is being written."""

    def __init__(self, content: bytes, told: Callable[[], object]) -> None:
        super().__init__(content)
        self._told = told

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.tell():
            self._told()
        return super().read(size)


class _Client(WeChatClient):  # type: ignore[misc]  # wechatpy has no types
    """wechatpy's client with our token store behind it (the seam is ``access_token``)."""

    def __init__(
        self,
        app_id: str,
        app_secret: str,
        tokens: Tokens,
        api_base: str,
        timeout: tuple[float, float],
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(app_id, app_secret, timeout=timeout, auto_retry=False)
        self._http = self.line = _Line()
        self.API_BASE_URL = f"{api_base}/cgi-bin/"
        self.last_token = ""
        self._refused = ""
        self._tokens = tokens
        self._clock = clock

    @property
    def access_token(self) -> str:
        """The token in the database, fetched anew by exactly one process when it is missing, old or refused."""
        give_up = time.monotonic() + _FETCH_SECONDS
        while not self._stored():
            if self._tokens.claim_token(self.appid, self._clock(), _FETCH_SECONDS):
                try:
                    if not self._stored():  # another process may have been done between our look and our claim
                        self.fetch_access_token()
                finally:
                    self._tokens.release_token(self.appid)
                break
            if time.monotonic() > give_up:
                raise WeChatUnreachable(
                    "another process has been fetching WeChat's token for too long; it is tried again"
                )
            time.sleep(0.05)
        return self.last_token

    def _stored(self) -> bool:
        """Whether the database holds a token that is not known to be refused; it is then ``last_token``."""
        token = self._tokens.token(self.appid, self._clock() + _TOKEN_MARGIN)
        if not token or token == self._refused:
            return False
        self.last_token = token
        return True

    def forget_token(self) -> None:
        """The token in hand was refused: the next call fetches one."""
        self._refused = self.last_token

    def fetch_access_token(self) -> None:
        """获取稳定版接口调用凭据, without ``force_refresh``: other programs of this account keep theirs."""
        asked = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        response = self._http.post(
            f"{self.API_BASE_URL}{_TOKEN_PATH}", json=asked, timeout=self.timeout, allow_redirects=False
        )
        response.raise_for_status()
        answer = response.json()
        if answer.get("errcode"):
            raise WeChatClientException(int(answer["errcode"]), answer.get("errmsg", ""), response=response)
        token = str(answer["access_token"])
        # A platform that hands out the refused token again leaves nothing to try; the second refusal is final.
        self.last_token, self._refused = token, ""
        self._tokens.keep_token(self.appid, token, self._clock() + timedelta(seconds=int(answer["expires_in"])))
