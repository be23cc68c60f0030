"""政策找人: citizens choose topics and are sent a notice when a matching document is published.

Two things are needed for a notice: the citizen's topic (chosen here by message: 「订阅 养老」「退订 养老」「我的订阅」) and
the consent that WeChat asks for in a dialogue of its own and reports as an event (订阅通知): one notice for each
one-time consent, any number for a long-term one (open to government services). Without a template in the configuration
the feature is off and these messages are questions like any other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from bot.channels.wechat_outbox import Parcel
from bot.channels.wechat_store import LONG_TERM, Follower, WeChatStore
from bot.channels.wechat_wire import Letter
from bot.channels.wechat_words import say
from bot.config import WeChatSettings
from bot.errors import ConfigError
from bot.reception import StillWorking
from knowledge.model import DocumentKind, PolicyDocument
from register import codec
from register.book import Outgoing
from register.clock import now_beijing
from register.inquiry import Channel, Conversation, Inquiry, Opened, Reply, ReplyKind

log = logging.getLogger(__name__)

MOST_TOPICS = 10
LONGEST_TOPIC = 20

_COMMAND = re.compile(
    r"(?P<verb>订阅|关注|退订|取消订阅|取消关注)[\s:：“\"]*(?P<topic>[^\s“”\"，,。.！!？?]*)[”\"。.！!]*\Z"
)
_LIST = re.compile(r"(我的订阅|订阅列表|查看订阅)[。.！!？?]*\Z")
_DROP_ALL = re.compile(r"(全部退订|退订全部|取消全部订阅)[。.！!]*\Z")
_QUESTION = re.compile(r"怎么|咋|如何|什么|啥|吗|呢|哪|多少|为何|能不能|是否|有没有")
_DROP = frozenset({"退订", "取消订阅", "取消关注"})

# 订阅通知 limits what a field may hold (参数值内容限制): thing 20 characters, date, phrase 5 characters …
_FIELD = re.compile(r"(?P<name>(?P<sort>[a-z_]+)[0-9]{1,3})=(?P<what>title|topic|issuer|date|case|state|note)\Z")
_LENGTHS = {"thing": 20, "phrase": 5, "character_string": 32, "name": 10, "short_thing": 5, "const": 20}


class Book(Protocol):
    """登记册 (see :class:`register.book.RegisterBook`)."""

    def open(self, inquiry: Inquiry) -> Opened:
        """One row before any work."""

    def settle(
        self,
        entry: int,
        reply: Reply,
        *,
        durations: Mapping[str, float],
        conversation: Conversation | None = None,
        outgoing: tuple[Outgoing, ...] = (),
    ) -> None:
        """The reply."""

    def enqueue(self, entry: int | None, outgoing: Outgoing) -> int | None:
        """Keep something to be sent."""

    def note(self, entry: int, kind: str, text: str) -> None:
        """One line of history."""


@dataclass(frozen=True, slots=True)
class Template:
    """通知模板: one template of 订阅通知 and what goes into its fields."""

    id: str
    fields: tuple[tuple[str, str, str], ...] = field(default=())  # name, sort, what

    def filled(self, values: Mapping[str, str]) -> dict[str, str]:
        """The fields with ``values`` (by what they hold), each cut to what its sort allows."""
        return {name: _cut(values.get(what, ""), _LENGTHS.get(sort, 0)) for name, sort, what in self.fields}


def template_of(template: str, fields: Iterable[str], key: str) -> Template | None:
    """The template of the configuration, None when there is none. Raises :class:`ConfigError` naming ``key``."""
    if not template:
        return None
    parsed = []
    for text in fields:
        match = _FIELD.match(text.replace(" ", ""))
        if match is None:
            raise ConfigError(
                f"[wechat] {key}: '{text}' is no field; write name=what with what one of "
                "title, topic, issuer, date, case, state, note, for example thing1=title"
            )
        parsed.append((match["name"], match["sort"], match["what"]))
    if not parsed:
        raise ConfigError(f"[wechat] {key} is empty; name the template's fields, for example thing1=title")
    return Template(template, tuple(parsed))


class Topics:
    """订阅: topics, consents and the notices that follow from them."""

    def __init__(
        self,
        settings: WeChatSettings,
        book: Book,
        store: WeChatStore,
        *,
        base_url: str = "",
        consent_page: Callable[[], str] = str,
        clock: Callable[[], datetime] = now_beijing,
    ) -> None:
        """``consent_page`` is the address of our own page for consents, empty for none; ``consent_url`` goes first."""
        self._policy = template_of(settings.policy_template, settings.policy_fields, "policy_fields")
        self._progress = template_of(settings.progress_template, settings.progress_fields, "progress_fields")
        self._long_term = settings.long_term_templates
        self._consent_url = settings.consent_url
        self._consent_page = consent_page
        self._base_url = base_url.rstrip("/")
        self._book = book
        self._store = store
        self._clock = clock

    # ---- what citizens say ---------------------------------------------------------------------------------------

    def take(self, inquiry: Inquiry) -> tuple[int, Reply] | None:
        """Answer a message about topics; None for every other message.

        The entry is opened and settled here as the reception does it: a redelivery gets the first reply.
        """
        if self._policy is None or inquiry.event:
            return None
        wish = command_of(inquiry.text)
        if wish is None:
            return None
        started = self._clock()
        opened = self._book.open(inquiry)
        if opened.reply is not None:
            return opened.entry, opened.reply
        if not opened.mine:
            raise StillWorking(opened.entry)
        text = self._obey(inquiry.conversation, *wish)
        reply = Reply(kind=ReplyKind.MENU, text=text, lead=text, rule="wechat topics")
        self._book.settle(opened.entry, reply, durations={"total": (self._clock() - started).total_seconds()})
        return opened.entry, reply

    def _obey(self, conversation: str, verb: str, topic: str) -> str:
        had = self._store.following(conversation)
        event = verb
        if verb == "follow" and not topic:
            event = "unnamed"
        elif verb == "follow":
            event = "full" if len(had) >= MOST_TOPICS and topic not in had else "followed"
            if event == "followed":
                self._store.follow(conversation, topic, self._clock())
        elif verb == "unfollow":
            dropped = self._store.unfollow(conversation, topic)
            event = ("unfollowed" if topic else "unfollowed_all") if dropped else "nothing"
        assert self._policy is not None
        return say(
            "topics",
            event=event,
            topic=topic,
            topics=self._store.following(conversation),
            most=MOST_TOPICS,
            consented=bool(self._store.consented(conversation, self._policy.id)),
            consent_url=self._consent_url or self._consent_page(),
        )

    def consent(self, letter: Letter, conversation: str) -> None:
        """Count what WeChat's own dialogue reported; one event counts once, however often it is delivered."""
        for given in letter.consents:
            grants = (LONG_TERM if given.template in self._long_term else 1) if given.accepted else 0
            self._store.consent(conversation, letter.openid, given.template, grants, letter.key, self._clock())

    # ---- what is published -----------------------------------------------------------------------------------------

    def announce(self, documents: Iterable[PolicyDocument]) -> int:
        """Queue a notice to everybody whose topic matches one of ``documents``; how many were queued.

        A document published before the citizen chose the topic is no news. Nobody is told of a document twice, however
        often this runs.
        """
        if self._policy is None:
            return 0
        fresh = [document for document in documents if document.published_on and _newsworthy(document)]
        queued = 0
        for follower, since in self._store.followers(self._policy.id) if fresh else ():
            for document in fresh:
                assert document.published_on is not None
                if document.published_on >= since.date() and concerns(document, follower.topic):
                    queued += self._notify(follower, document)
        return queued

    def _notify(self, follower: Follower, document: PolicyDocument) -> bool:
        assert self._policy is not None
        if not self._store.consented(follower.conversation, self._policy.id):
            return False  # the last consent went to the document before this one
        values = {
            "title": document.title,
            "topic": follower.topic,
            "issuer": document.issuer,
            "date": _day(document.published_on),
            "note": document.number,
        }
        parcel = Parcel(
            conversation=follower.conversation,
            template=self._policy.id,
            fields=self._policy.filled(values),
            page=f"{self._base_url}{document.url}",
        )
        key = f"notice:{document.id}:{follower.conversation}"
        outgoing = Outgoing(Channel.WECHAT, follower.openid, codec.dump(parcel), key=key)
        if self._book.enqueue(None, outgoing) is None:
            return False
        self._store.spend(follower.conversation, self._policy.id)
        return True

    def progress(self, entry: int, conversation: str, case: str, state: str, page: str = "", note: str = "") -> bool:
        """办理进度: queue a notice that a case has a new state; False without template or consent.

        The notice is no delivery of the entry's reply: it stands in the entry's history.
        """
        openid = self._store.consented(conversation, self._progress.id) if self._progress else ""
        if self._progress is None or not openid:
            return False
        values = {"case": case, "state": state, "date": _day(self._clock().date()), "note": note, "title": case}
        parcel = Parcel(
            conversation=conversation,
            template=self._progress.id,
            fields=self._progress.filled(values),
            page=page and f"{self._base_url}{page}",
        )
        outgoing = Outgoing(Channel.WECHAT, openid, codec.dump(parcel), key=f"progress:{case}:{state}")
        if self._book.enqueue(None, outgoing) is None:
            return False
        self._store.spend(conversation, self._progress.id)
        self._book.note(entry, "progress_notice", f"{case} {state}")
        return True


def command_of(text: str) -> tuple[str, str] | None:
    """What a message says about topics: ("follow" | "unfollow" | "list", topic); None for any other message.

    A topic is at most 20 characters: 「订阅」 at the head of a longer sentence is a question.
    """
    plain = text.strip()
    if _LIST.match(plain):
        return "list", ""
    if _DROP_ALL.match(plain):
        return "unfollow", ""
    match = _COMMAND.match(plain)
    if match is None or len(match["topic"]) > LONGEST_TOPIC or _QUESTION.search(match["topic"]):
        return None
    verb = "unfollow" if match["verb"] in _DROP else "follow"
    if match["verb"] == "关注" and not match["topic"]:
        return None
    return verb, match["topic"]


def concerns(document: PolicyDocument, topic: str) -> bool:
    """Whether a document is about a topic: the word stands in its title, field, audience or keywords."""
    return any(topic in text for text in (document.title, document.topic, document.audience, *document.keywords))


def _newsworthy(document: PolicyDocument) -> bool:
    return document.kind in (DocumentKind.POLICY, DocumentKind.INTERPRETATION, DocumentKind.SERVICE_GUIDE)


def _day(day: date | None) -> str:
    return "" if day is None else f"{day.year}年{day.month}月{day.day}日"


def _cut(text: str, most: int) -> str:
    return text if not most or len(text) <= most else text[: most - 1] + "…"
