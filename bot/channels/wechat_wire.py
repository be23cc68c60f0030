"""微信消息协议: signatures, encryption, parsing and rendering of WeChat's callback. Pure: no I/O, no clock.

Protocol: 公众号 › 消息与事件推送 and 消息加解密说明 (developers.weixin.qq.com/doc/offiaccount). wechatpy does the
cryptography and the parsing; what it leaves open is closed here: signatures are compared in constant time, old
callbacks are refused, an account with a key never falls back to plain text, every failure inside the library becomes
one of two named errors, and nothing that we send can break out of its CDATA section.

Errors: :class:`bot.errors.SignatureRejected` (answered 403), :class:`bot.errors.MalformedMessage` (answered 400).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import xmltodict
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto

from bot.errors import ConfigError, MalformedMessage, SignatureRejected
from register.inquiry import Choice

SUCCESS = "success"
"""The bare acknowledgement: WeChat shows nothing and does not send the message again."""

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER = re.compile(r"[0-9]{1,12}\Z")
_MARKUP = re.compile(r"<(?=/?[A-Za-z])")
_UNSUPPORTED = re.compile(r"[【\[]收到不支持的消息类型")

_RESERVED = {ord(mark): f"%{ord(mark):02X}" for mark in "%&#+?=\"'<> \t\r\n"}

# What a person did on purpose and is owed an answer for.
_MESSAGES = {
    "image": "image",
    "voice": "voice",
    "video": "video",
    "shortvideo": "video",
    "location": "location",
    "link": "link",
    "miniprogrampage": "link",
    "file": "file",
}
_EVENTS = {
    "subscribe": "subscribe",
    "subscribe_scan": "subscribe",
    "subscribe_scan_product": "subscribe",
    "unsubscribe": "unsubscribe",
    "scan": "scan",
    "scancode_waitmsg": "scan",
    "view": "view",
    "view_miniprogram": "view",
    "location": "position",  # the phone's automatic report, not a place that somebody sent
    "location_select": "position",  # a location message follows
}
SILENT = frozenset({"unsubscribe", "view", "position", "consent", "system"})
"""Events that are logged and acknowledged without words: nobody is waiting for an answer."""
_CONSENT_EVENTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
}


@dataclass(frozen=True, slots=True)
class Consent:
    """订阅授权: one template of 订阅通知 that a citizen accepted or refused in WeChat's own dialogue."""

    template: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """微信来信: one verified message or event.

    ``key`` is the same for every redelivery of this message and different for every other message of this sender
    (protocol page 接收普通消息: 排重). ``event`` is empty for text, else a value of the tables above, "click:KEY",
    "consent", "system" (sent by WeChat's machines) or "unknown" (sent by a person, of a kind that we cannot read).
    """

    openid: str
    account: str
    created: int  # seconds since 1970 as WeChat stamped the message
    key: str
    text: str
    event: str
    consents: tuple[Consent, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether a bare acknowledgement is due."""
        return self.event in SILENT


class Wire:
    """微信通道: opens and seals callbacks of one account.

    ``aes_key`` is the EncodingAESKey (43 characters) of 安全模式, empty for 明文模式. Raises
    :class:`bot.errors.ConfigError` when it is no key.
    """

    def __init__(self, token: str, aes_key: str, app_id: str, replay_seconds: int) -> None:
        self._token = token
        self._replay_seconds = replay_seconds
        try:
            self._crypto: Any = WeChatCrypto(token, aes_key, app_id) if aes_key else None
        except (AssertionError, ValueError) as error:
            raise ConfigError(
                "BIANMIN_WECHAT__AES_KEY is no EncodingAESKey; copy it again from the account's 基本配置"
            ) from error

    @property
    def encrypted(self) -> bool:
        """Whether the account runs in 安全模式."""
        return self._crypto is not None

    def handshake(self, query: Mapping[str, str], now: float) -> str:
        """Return the ``echostr`` of a correctly signed GET (接入指南)."""
        self._check_plain(query, now)
        return query.get("echostr", "")

    def open(self, query: Mapping[str, str], body: bytes, now: float) -> Letter:
        """Verify, decrypt and parse one POST. ``now`` in seconds since 1970."""
        if self._crypto is None:
            self._check_plain(query, now)
            return _letter(_text(body))
        stamp = self._check_fresh(query, now)
        if query.get("signature"):
            self._check(query["signature"], stamp, query.get("nonce", ""))
        claimed = query.get("msg_signature", "")
        if not claimed:
            raise SignatureRejected(
                "an account with an AES key takes encrypted messages only (msg_signature is missing)"
            )
        encrypted = _tree(_text(body)).get("Encrypt")
        if not isinstance(encrypted, str):
            raise SignatureRejected("an account with an AES key takes encrypted messages only (Encrypt is missing)")
        nonce = query.get("nonce", "")
        self._check(claimed, stamp, nonce, encrypted)
        try:
            # The signature holds, so the library's own `!=` on it tells nobody anything.
            plain = self._crypto.decrypt_message({"Encrypt": encrypted}, claimed, stamp, nonce)
        except Exception as error:  # whatever wechatpy trips over (struct, index, base64, AppID …) is a foreign message
            raise SignatureRejected(
                f"cannot be decrypted ({type(error).__name__}); compare AES key and AppID"
            ) from error
        return _letter(plain)

    def seal(self, xml: str, now: float) -> str:
        """Encrypt a passive reply in 安全模式; plain text passes through."""
        if self._crypto is None:
            return xml
        return str(self._crypto.encrypt_message(xml, secrets.token_hex(8), str(int(now))))

    def _check_plain(self, query: Mapping[str, str], now: float) -> None:
        stamp = self._check_fresh(query, now)
        self._check(query.get("signature", ""), stamp, query.get("nonce", ""))

    def _check_fresh(self, query: Mapping[str, str], now: float) -> str:
        stamp = query.get("timestamp", "")
        if not _NUMBER.match(stamp):
            raise SignatureRejected("timestamp is missing or no number")
        if abs(now - int(stamp)) > self._replay_seconds:
            raise SignatureRejected("timestamp is too far from this server's clock; check its time service")
        return stamp

    def _check(self, claimed: str, *parts: str) -> None:
        joined = b"".join(sorted(part.encode("utf-8", "replace") for part in (self._token, *parts)))
        expected = hashlib.sha1(joined, usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "replace")):
            raise SignatureRejected("signature does not match; compare the token with the account's 基本配置")


def clean(text: str) -> str:
    """``text`` without characters that XML 1.0 forbids (controls, lone surrogates)."""
    return _ILLEGAL.sub("", text)


def cdata(text: str) -> str:
    """A CDATA section that ``text`` cannot leave."""
    return "<![CDATA[" + clean(text).replace("]]>", "]]]]><![CDATA[>") + "]]>"


def fit(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` UTF-8 bytes, cut between characters; a link is kept whole or left out.

    The composer already keeps to the limit; this is the last resort, so that WeChat never drops a reply.
    """
    data = clean(text).encode()
    if len(data) <= limit:
        return data.decode()
    cut = data[: max(limit - 3, 0)].decode("utf-8", "ignore")
    opened = cut.rfind("<a ")
    if opened > cut.rfind("</a>"):
        cut = cut[:opened]
    return cut.rstrip() + "…" if limit >= 3 else ""


def plain(text: str) -> str:
    """``text`` that XML can hold and in which nothing is a tag: WeChat makes ``<a href>`` in a message a link."""
    return _MARKUP.sub("＜", clean(text))


def linked(text: str, choices: tuple[Choice, ...], limit: int) -> str:
    """Make the numbered choices in ``text`` clickable where ``limit`` bytes allow it.

    ``bizmsgmenu`` links are undocumented: a client that does not know them shows the words, and the number can always
    be typed instead. A choice whose line is not in ``text`` stays as it is. The words sent are the choice's own, so that
    a press still means the same when the list is no longer pending; the number where two choices share their words.
    """
    lines = text.split("\n")
    shared = Counter(choice.send for choice in choices)
    size = len(text.encode())
    for number, choice in enumerate(choices, 1):
        label = plain(choice.label)
        for index, line in enumerate(lines):
            if label and line.lstrip().startswith(str(number)) and label in line:
                words = clean(choice.send if shared[choice.send] == 1 else str(number)).translate(_RESERVED)
                link = f'<a href="weixin://bizmsgmenu?msgmenucontent={words}&msgmenuid={number}">{label}</a>'
                grown = size + len(link.encode()) - len(label.encode())
                if grown <= limit:
                    lines[index] = line.replace(label, link, 1)
                    size = grown
                break
    return "\n".join(lines)


def text_reply(letter: Letter, content: str, now: float) -> str:
    """The XML of a passive text reply (被动回复用户消息)."""
    return (
        f"<xml><ToUserName>{cdata(letter.openid)}</ToUserName><FromUserName>{cdata(letter.account)}</FromUserName>"
        f"<CreateTime>{int(now)}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content>{cdata(content)}</Content></xml>"
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage("the body is not UTF-8") from error


def _tree(xml: str) -> dict[str, Any]:
    try:
        tree = xmltodict.parse(xml)["xml"]
    except Exception as error:  # ExpatError, ValueError (entities are refused), KeyError, TypeError …
        raise MalformedMessage(f"the body is not WeChat's XML ({type(error).__name__})") from error
    if not isinstance(tree, dict):
        raise MalformedMessage("the body is not WeChat's XML (empty)")
    return tree


def _letter(xml: str) -> Letter:
    try:
        message = parse_message(xml)
        fields: dict[str, Any] = message._data  # the only place where wechatpy keeps the fields of unknown types
        created = int(message.time)
    except Exception as error:  # wechatpy answers bad input with whatever exception comes first
        raise MalformedMessage(f"the message is not WeChat's XML ({type(error).__name__})") from error
    openid, account, kind = (_string(fields, name) for name in ("FromUserName", "ToUserName", "MsgType"))
    if not 0 < len(openid) <= 128 or not 0 < len(account) <= 128:
        raise MalformedMessage("the message names no sender or no account")
    kind = kind.lower()
    if kind == "event":
        return _event(fields, openid, account, created)
    identity = _string(fields, "MsgId") or _digest(xml)
    text, event = _spoken(kind, fields)
    return Letter(openid, account, created, f"{identity[:64]}-{created}", text, event)


def _spoken(kind: str, fields: dict[str, Any]) -> tuple[str, str]:
    """What a message says: its words, and the name of its kind unless it is text."""
    if kind == "text":
        content = _string(fields, "Content")
        if "bizmsgmenuid" in fields:  # a press on one of our links; whether WeChat undoes the escapes is not documented
            content = unquote(content)
        return ("", "unknown") if not content or _UNSUPPORTED.match(content) else (content, "")
    if kind == "voice" and (heard := _string(fields, "Recognition")):
        return heard, ""
    # The title of a shared article is worth a search; the name of a file or of a place is not a question.
    return _string(fields, "Title" if kind == "link" else ""), _MESSAGES.get(kind, "unknown")


def _event(fields: dict[str, Any], openid: str, account: str, created: int) -> Letter:
    name = _string(fields, "Event").lower()
    code = _string(fields, "EventKey")
    identity = f"{name[:40]}-{created}-{_digest(code)}"
    if name == "click":
        return Letter(openid, account, created, identity, "", f"click:{code[:128]}")
    if name in _CONSENT_EVENTS:
        consents = _consents(fields.get(_CONSENT_EVENTS[name]))
        identity += "-" + _digest(repr(consents))
        return Letter(openid, account, created, identity, "", "consent", consents)
    return Letter(openid, account, created, identity, "", _EVENTS.get(name, "system"))


def _consents(section: Any) -> tuple[Consent, ...]:
    """The ``List`` elements of a subscription event; one alone arrives as a dict, several as a list."""
    listed = section.get("List") if isinstance(section, dict) else None
    rows = listed if isinstance(listed, list) else [listed]
    return tuple(
        Consent(template, _string(row, "SubscribeStatusString").lower() == "accept")
        for row in rows
        if isinstance(row, dict) and (template := _string(row, "TemplateId"))
    )


def _string(fields: dict[str, Any], name: str) -> str:
    """A field's text; empty when it is missing, repeated or has children."""
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
