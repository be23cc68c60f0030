"""Telegram 报文: what an update of the Bot API means to us, and the small data that our buttons carry. Pure.

The shapes are python-telegram-bot's (Bot API, https://core.telegram.org/bots/api#update). An update is a citizen's
message, a changed message or a tap on one of our buttons; everything else is none of our business.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from telegram import CallbackQuery, Chat, Message, Update, User

from bot.channels.http import clean_text
from bot.errors import MalformedMessage, TelegramNotReady
from register import codec

ALLOWED_UPDATES = ("message", "edited_message", "callback_query")
"""What Telegram is asked to send us."""

COMMANDS = ("start", "help", "menu", "human", "new")

LONGEST_TAP = 64  # bytes of callback_data

_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,64})(?:@([A-Za-z0-9_]+))?(?:\s+(.*))?$", re.DOTALL)
_WORDS = {"help": "菜单", "menu": "菜单", "human": "人工", "new": "换个问题"}
_TAP = re.compile(r"([cmun])\.([0-9]{1,15})(?:\.([0-9a-f]{1,8}))?")
_LARGEST_ID = 2**53
_OF_MESSAGE = (
    "message_id",
    "date",
    "chat",
    "from",
    "sender_chat",
    "is_automatic_forward",
    "is_topic_message",
    "message_thread_id",
    "media_group_id",
    "text",
    "caption",
)
_OF_QUERY = ("id", "from", "chat_instance", "data")
_MEDIA = {
    "photo": "image",
    "voice": "voice",
    "audio": "voice",
    "video": "video",
    "video_note": "video",
    "animation": "video",
    "document": "file",
    "sticker": "sticker",
    "location": "location",
    "venue": "location",
    "contact": "file",
    "poll": "file",
    "dice": "sticker",
    "story": "file",
    "paid_media": "image",
    "game": "file",
}


@dataclass(frozen=True, slots=True)
class Me:
    """机器人自己. ``name`` is its username without 「@」, empty until the Bot API has told it."""

    id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """收件处: where an answer goes. ``quote`` makes it a reply to ``message``. Kept sealed by the register."""

    chat: int
    user: int
    message: int = 0
    thread: int = 0  # topic of a forum
    quote: bool = False

    @property
    def group(self) -> bool:
        """Whether several people read along (groups have negative ids)."""
        return self.chat < 0


class TapKind(StrEnum):
    """按钮种类."""

    CHOICE = "c"  # one of the choices of an entry; ``detail`` is its index from 0
    MORE = "m"  # 继续; ``detail`` is the checksum of the rest that it shows
    USEFUL = "u"
    USELESS = "n"


@dataclass(frozen=True, slots=True)
class Tap:
    """按钮: what one of our buttons stands for. It is tied to the entry whose answer it hangs under."""

    kind: TapKind
    entry: int
    detail: str = ""

    def data(self) -> str:
        """The ``callback_data``, at most 64 bytes."""
        return f"{self.kind.value}.{self.entry}" + (f".{self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Letter:
    """来信: one update that concerns us. Exactly one of ``text``, ``event`` and ``tap`` says what it is."""

    update: int
    address: Address
    text: str = ""
    event: str = ""
    edited: bool = False
    album: str = ""  # several pictures sent at once come as several updates of one album
    tap: Tap | None = None
    query: str = ""  # id of the callback query, to be answered


def checksum(text: str) -> str:
    """A short name for a text: eight hex digits."""
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def read_tap(data: str) -> Tap | None:
    """What a button stands for; None where the data are not ours."""
    match = _TAP.fullmatch(data)
    if match is None:
        return None
    kind, detail = TapKind(match[1]), match[3] or ""
    if kind is TapKind.CHOICE and not (detail.isdigit() and len(detail) <= 3):
        return None
    return Tap(kind, int(match[2]), detail)


def read_update(raw: object, me: Me) -> Letter | None:
    """The letter in an update as Telegram sends it; None where there is nothing for us to do.

    Raises :class:`MalformedMessage` for what is no update, :class:`TelegramNotReady` for a message in a group while our
    own name is not known yet: it must come again.
    """
    if not isinstance(raw, dict) or not _is_id(raw.get("update_id")):
        raise MalformedMessage("an update is a JSON object with an update_id")
    try:
        media = next((_media(raw[kind]) for kind in ("message", "edited_message") if raw.get(kind) is not None), "")
        return _letter(Update.de_json(_needed(raw), None), media, me)
    except (MalformedMessage, TelegramNotReady):
        raise
    except Exception as error:
        # The library believes every type that it is told, so a wrong one can end in any error.
        raise MalformedMessage(f"an update not in the Bot API's form ({type(error).__name__})") from error


def _needed(raw: dict[str, Any]) -> dict[str, Any]:
    """The part of an update that concerns us.

    The library refuses a whole update when something deep inside lacks a field of the newest Bot API (a poll's options,
    say), and an own Bot API server may be older than that.
    """
    update: dict[str, Any] = {"update_id": raw["update_id"]}
    for kind in ("message", "edited_message"):
        if raw.get(kind) is not None:
            update[kind] = _message(raw[kind])
            parent = raw[kind].get("reply_to_message")
            if parent is not None:
                update[kind]["reply_to_message"] = _message(parent)
    query = raw.get("callback_query")
    if query is not None:
        update["callback_query"] = {name: query[name] for name in _OF_QUERY if name in query}
        if query.get("message") is not None:
            update["callback_query"]["message"] = _message(query["message"])
    return update


def _message(raw: dict[str, Any]) -> dict[str, Any]:
    return {"date": 0} | {name: raw[name] for name in _OF_MESSAGE if name in raw}


def _media(raw: dict[str, Any]) -> str:
    """What a message without words is; empty for service messages (somebody joined, a title changed …)."""
    return next((event for name, event in _MEDIA.items() if raw.get(name)), "")


def _letter(update: Update, media: str, me: Me) -> Letter | None:
    if update.callback_query is not None:
        return _tapped(update.update_id, update.callback_query)
    edited = update.edited_message is not None
    message = update.edited_message if edited else update.message
    if message is None:
        return None
    sender, chat = message.from_user, message.chat
    private = chat.type == Chat.PRIVATE
    if not private and chat.type not in (Chat.GROUP, Chat.SUPERGROUP):
        return None
    if (sender is not None and sender.is_bot) or message.sender_chat is not None or message.is_automatic_forward:
        return None  # no conversation with programs and with channels
    if sender is None and not private:
        return None
    address = Address(
        chat=_id(chat.id),
        user=_id(chat.id if sender is None else sender.id),
        message=_id(message.message_id),
        thread=_id(message.message_thread_id or 0) if message.is_topic_message else 0,
        quote=edited or not private,
    )
    written = message.text if message.text is not None else message.caption
    if written is not None and not isinstance(written, str):
        raise MalformedMessage("a message's text is a string")
    text = clean_text(written or "")
    event = "" if text else media
    if not text and not event:
        return None if written is None else Letter(update.update_id, address, event="menu", edited=edited)
    command = _COMMAND.match(text)
    if not private:
        heard = _addressed(text, command, message.reply_to_message, me)
        if heard is None:
            return None
        text = heard
        command = _COMMAND.match(text)
    if command is not None:
        text, event = _meant(command)
    elif not text and not event:
        event = "menu"
    album = message.media_group_id or "" if event else ""
    return Letter(update.update_id, address, text, event, edited, str(album))


def _addressed(text: str, command: re.Match[str] | None, parent: Message | None, me: Me) -> str | None:
    """The words of a message in a group that is meant for us, without our name; None where it is not."""
    if ("@" in text) and not me.name:
        raise TelegramNotReady("the bot's name is not known yet; the Bot API has not answered")
    mention = re.compile(rf"(?<![\w.])@{re.escape(me.name)}(?![A-Za-z0-9_])", re.IGNORECASE) if me.name else None
    if command is not None:
        name = command[2]
        if name is not None:
            return text.replace(f"@{name}", "", 1) if name.lower() == me.name.lower() else None
        if command[1].lower() in COMMANDS:
            return text
    if mention is not None and mention.search(text):
        return " ".join(mention.sub(" ", text).split())
    author = parent.from_user if parent is not None else None
    if isinstance(author, User) and author.id == me.id:
        return text
    return None


def _meant(command: re.Match[str]) -> tuple[str, str]:
    """(text, event) of a command. Words after it are a message of their own; /human passes them on."""
    name, rest = command[1].lower(), (command[3] or "").strip()
    if name == "start":
        return "", "start"  # what follows is a link's parameter, not the citizen's words
    if name == "human":
        return f"{_WORDS[name]}，{rest}" if rest else _WORDS[name], ""
    return rest or _WORDS.get(name, _WORDS["menu"]), ""


def _tapped(number: int, query: CallbackQuery) -> Letter | None:
    message = query.message
    if message is None or not isinstance(query.data, str):
        return None
    address = Address(
        chat=_id(message.chat.id),
        user=_id(query.from_user.id),
        message=_id(message.message_id),
        thread=_id(message.message_thread_id or 0) if isinstance(message, Message) and message.is_topic_message else 0,
        quote=message.chat.type != Chat.PRIVATE,
    )
    tap = read_tap(query.data)
    return Letter(number, address, tap=tap, event="" if tap else "unknown_tap", query=str(query.id))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_ID


def _id(value: object) -> int:
    if not _is_id(value):
        raise MalformedMessage("an id is a whole number of at most 52 bits")
    assert isinstance(value, int)
    return value


def pack(address: Address) -> str:
    """The address as one text, for the register to seal."""
    return codec.dump(address)


def unpack(text: str) -> Address:
    """The address that :func:`pack` wrote. Raises ``ValueError``."""
    return codec.load(Address, text)
