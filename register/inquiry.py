"""The register's nouns: what came in and what went out, frozen as it was that day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Channel(StrEnum):
    """渠道: the door an inquiry came in through."""

    WECHAT = "wechat"
    MAILBOX = "mailbox"
    TELEGRAM = "telegram"
    WEB = "web"
    API = "api"
    KIOSK = "kiosk"
    CLI = "cli"


class ReplyKind(StrEnum):
    """答复种类 (contract: the reply's ``kind``). The middle four are the 便民答复."""

    ANSWER = "answer"
    CHOICES = "choices"
    CLARIFY = "clarify"
    NOT_FOUND = "not_found"
    NOT_HELD = "not_held"
    NEEDS_CREATION = "needs_creation"
    UNCLEAR = "unclear"
    REFER = "refer"
    APPLICATION = "application"
    PROGRESS = "progress"
    MENU = "menu"
    SMALLTALK = "smalltalk"
    HANDOVER = "handover"
    FAILED = "failed"

    @property
    def convenience(self) -> bool:
        """Whether this is one of the four convenience replies (代县 D10)."""
        return self in (
            ReplyKind.NOT_FOUND,
            ReplyKind.NOT_HELD,
            ReplyKind.NEEDS_CREATION,
            ReplyKind.UNCLEAR,
        )


class EntryStatus(StrEnum):
    """登记状态."""

    OPEN = "open"
    SETTLED = "settled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """来件: one message from one person through one door.

    ``message_key`` is unique within the channel and the same for every redelivery.
    ``conversation`` names the thread; it is a pseudonym (an HMAC), never an open id or an address.
    ``limit_bytes`` is the room the channel has for a rendered reply in UTF-8 bytes, 0 for no limit.
    """

    channel: Channel
    message_key: str
    conversation: str
    text: str
    received_at: datetime
    sender: str = ""  # the channel's own address of the sender; stored encrypted
    subject: str = ""  # mail only
    event: str = ""  # a channel event instead of text: "subscribe", "image", "menu:CODE" …


@dataclass(frozen=True, slots=True)
class Source:
    """出处: a quoted passage as it was shown that day; never looked up again."""

    document: str
    title: str
    number: str
    issuer: str
    written_on: str  # ISO date or empty
    locator: str
    quote: str
    validity: str  # value of the library's Validity
    url: str
    kind: str = "policy"
    validity_label: str = ""  # 有效 / 已废止 …
    heading: str = ""  # the headings above the passage, joined by " › "


@dataclass(frozen=True, slots=True)
class Choice:
    """选项: a label to show and the text to send when it is chosen."""

    label: str
    send: str


@dataclass(frozen=True, slots=True)
class OrganCard:
    """机构名片: whom to ask, with public contacts."""

    name: str
    phone: str = ""
    address: str = ""
    hours: str = ""


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """检索情况: what was searched, as shown and kept with the reply (contract ``search_record``)."""

    query: str
    terms: tuple[str, ...]
    expanded: tuple[str, ...]
    filters: dict[str, str]
    scope_documents: int
    scope_passages: int
    index_version: str
    as_of: str  # ISO date or empty
    hits: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """下一步: one thing the citizen can do now; ``link`` is a path, URL or tel: address or empty."""

    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """答复: what the citizen was shown, with everything the log must keep.

    ``text`` is the complete plain-text reply as rendered for the channel. ``lead``, ``notice``
    (validity warning), ``sources``, ``nearest``, ``steps``, ``organ`` and ``choices`` are the same content in
    parts, for pages that draw cards. ``more`` holds what was cut for the channel's limit and
    follows on 「继续」.
    """

    kind: ReplyKind
    text: str
    confidence: float = 0.0
    lead: str = ""
    notice: str = ""
    sources: tuple[Source, ...] = ()
    nearest: tuple[Source, ...] = ()  # near finds of a convenience reply: pointers, not answers
    choices: tuple[Choice, ...] = ()
    organ: OrganCard | None = None
    organ_reason: str = ""
    steps: tuple[Step, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # 办事指南 card: 条件/材料/地点/时限/收费/电话 as quoted
    search_record: SearchFacts | None = None
    basis: tuple[str, ...] = ()  # legal basis, e.g. 《政府信息公开条例》第三十九条
    more: str = ""
    disclaimer: str = ""  # what this reply is not (convenience replies)
    rule: str = ""  # name of the rule that decided, for staff and tests


@dataclass(frozen=True, slots=True)
class Conversation:
    """会话: what is pending between us and one citizen. Stored, so that it survives a restart."""

    key: str
    updated_at: datetime | None = None
    choices: tuple[Choice, ...] = ()  # offered last, waiting to be picked
    asked_back: bool = False  # one clarification has been used
    question: str = ""  # the question the clarification or the choices belong to
    subject: str = ""  # what follow-ups inherit
    document: str = ""  # document of the last answer
    more: str = ""  # rest of a long answer
    last_entry: int = 0  # the entry 「有用/没用」 judges
    topic_locked: bool = False
    dialogue: str = ""  # name of a running dialogue (application, handover), else empty
    slots: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """投递: one attempt to hand a reply over, and how it went."""

    at: datetime
    outcome: str  # "passive", "sent", "refused:45015", "gone" …


@dataclass(frozen=True, slots=True)
class Entry:
    """登记条目: one row of the log, question and reply masked."""

    entry: int
    channel: Channel
    message_key: str
    conversation: str
    received_at: datetime
    settled_at: datetime | None
    status: EntryStatus
    kind: ReplyKind | None
    question: str
    reply: Reply | None
    seconds: float = 0.0
    error: str = ""
    deliveries: tuple[Delivery, ...] = ()
    event: str = ""  # raw kind of a channel event, without its detail
    useful: bool | None = None  # the citizen's 「有用/没用」


@dataclass(frozen=True, slots=True)
class Opened:
    """登记回执: the entry, and whether the caller has to do the work.

    ``mine`` is True for exactly one caller at a time; the others find ``reply`` once it is there.
    """

    entry: int
    mine: bool
    reply: Reply | None
