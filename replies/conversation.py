"""会话: reading a message in its conversation, and carrying the conversation on. Both are pure."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from rapidfuzz import fuzz

from knowledge.model import Filters
from knowledge.numbers import find_numbers
from register.inquiry import Choice, Conversation, Inquiry, Reply, ReplyKind
from replies import dialogue, sensitive
from replies.dialogue import Dialogue
from replies.model import Decision, SensitiveAction, Turn, TurnKind, Vagueness
from replies.sensitive import SensitiveWords
from replies.text import READ_CHARACTERS, SEARCH_CHARACTERS, echo, letters, tidy
from replies.triage import triage

__all__ = ["Turn", "TurnKind", "advance", "fresh", "read"]

_MEDIA = frozenset(("image", "voice", "video", "shortvideo", "location", "link", "file", "sticker", "document"))
_WELCOME = frozenset(("subscribe", "scan", "start"))
_DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_ORDINAL = re.compile(
    r"^(?:我?(?:要|选|看|想看|想要|回复|按)?)第?\s*(?:选项)?([0-9]{1,2}|[一二两三四五六七八九十])\s*"
    r"(?:个|项|条|号|种|吧|那个|这个|的|[.。、!！?？)）])*$"
)
_LAST = re.compile(r"^(?:我?(?:要|选|看))?(?:最后|末)(?:一)?(?:个|项|条)?(?:那个)?$")
_POINTING = re.compile(r"(那个|那条|那项|这个|这条|的那个|的|吧|我要|我选|我想看|我想问|选|看|要|想|是|就)")
_NUMBER_SPARE = re.compile(
    r"(查询|查找|查一下|查|找一下|找|看一下|看|请问|的|这个|那个|文件|全文|原文|内容|我要|我想|想|要|有没有|是什么)"
)
# What people write before a 文号 without a space.
_REQUEST = re.compile(
    r"^(?:请问|麻烦|帮我|给我|我|想要|想|要|看看|看一下|看|查一下|查询|查找|查看|查|找一下|找|问|有没有|发|按|据)+(?=..+〔)"
)
_WHAT_ABOUT = re.compile(r"^那?(?:么)?(.{1,8}?)(?:呢|咋办|怎么算|的话)[?？。]*$")


def read(
    message: Inquiry | str,
    conversation: Conversation,
    *,
    words: Dialogue | None = None,
    sensitive_words: SensitiveWords | None = None,
) -> Turn:
    """What a message means in ``conversation``: a command, a pick, a follow-up, a question, a channel event.

    Nothing is looked up. A plain string stands for a message without an event or a subject line.
    """
    words = words or dialogue.shipped()
    text, event = (message, "") if isinstance(message, str) else (message.text, message.event)
    screening = (sensitive_words or sensitive.shipped()).screen(text)
    plain = tidy(text)
    happened = _event(event, plain)
    if happened is not None:
        kind, plain = happened
        if kind is not None:
            return Turn(kind=kind, raw=text)
        screening = (sensitive_words or sensitive.shipped()).screen(plain)
    turn = _understand(plain[:READ_CHARACTERS], conversation, words)
    named = screening.masked if SensitiveAction.MASK in screening.actions and not turn.followup else turn.question
    if turn.followup and turn.subject:
        named = turn.subject  # the figure or step that is asked for names no matter
    core = words.core(named) if turn.kind is TurnKind.QUESTION and not turn.number_only else ""
    return replace(turn, raw=text, shown=echo(screening.masked), screening=screening, core=core)


def fresh(conversation: Conversation, now: datetime, minutes: int) -> Conversation:
    """The conversation as it stands at ``now``: what was pending for longer than ``minutes`` is forgotten.

    A clock that went backwards forgets nothing by itself; one that is off by more than the period does.
    """
    if conversation.updated_at is None:
        return conversation
    if abs(now - conversation.updated_at) <= timedelta(minutes=minutes):
        return conversation
    return Conversation(key=conversation.key, updated_at=conversation.updated_at, last_entry=conversation.last_entry)


def advance(
    conversation: Conversation, turn: Turn, decision: Decision, reply: Reply, now: datetime, entry: int = 0
) -> Conversation:
    """The conversation after this turn: what is pending, what a follow-up would inherit. Pure.

    ``entry`` is the register's number of this turn; 「有用」 later judges the last entry that answered a question.
    """
    if turn.kind is TurnKind.RESET:
        return Conversation(key=conversation.key, updated_at=now, last_entry=conversation.last_entry)
    if turn.kind is TurnKind.CONTINUE:
        return replace(conversation, updated_at=now, more=reply.more)
    if not turn.kind.asks and turn.kind not in (TurnKind.NONE_OF_THESE, TurnKind.PICK_MISSED):
        return replace(conversation, updated_at=now)  # small talk leaves everything as it was
    judged = entry or conversation.last_entry
    slots = {name: value for name, value in conversation.slots.items() if not name.startswith("pick.")}
    slots["kind"] = reply.kind.value
    subject = "" if turn.vagueness is Vagueness.NO_MATTER else turn.subject  # what names no matter cannot be inherited
    if subject and not (turn.followup and subject == conversation.subject):
        slots["base"] = turn.base or subject
    pending: tuple[Choice, ...] = ()
    if reply.kind in (ReplyKind.CHOICES, ReplyKind.CLARIFY, ReplyKind.ANSWER):
        pending = reply.choices
        slots.update({f"pick.{index}": target for index, target in enumerate(decision.targets, 1) if target})
    asking_back = reply.kind is ReplyKind.CLARIFY
    waits = asking_back or reply.kind is ReplyKind.CHOICES
    answered = reply.kind is ReplyKind.ANSWER
    return replace(
        conversation,
        updated_at=now,
        choices=pending,
        asked_back=asking_back
        or reply.kind is ReplyKind.UNCLEAR
        or (reply.kind is ReplyKind.CHOICES and conversation.asked_back),
        question=_pending(conversation, turn) if waits else "",
        subject=subject or conversation.subject,
        document=decision.hits[0].document.id if answered and decision.hits else conversation.document,
        more=reply.more,
        last_entry=judged,
        slots=slots,
    )


def _pending(conversation: Conversation, turn: Turn) -> str:
    """The question that choices or a question back belong to: the first one asked, so that it does not grow."""
    if turn.followup and conversation.question:
        return conversation.question
    return turn.question or conversation.question


def _event(event: str, plain: str) -> tuple[TurnKind | None, str] | None:
    name, _, code = event.strip().partition(":")
    name = name.lower()
    if not name or name == "text":
        return None
    if name in ("menu", "click"):
        return (None, tidy(code)) if tidy(code) else (TurnKind.MENU, "")
    if name in _WELCOME:
        return TurnKind.WELCOME, ""
    if plain:  # a voice message that came with its text
        return None
    if name in _MEDIA:
        return TurnKind.MEDIA, ""
    return (TurnKind.BYE if name == "unsubscribe" else TurnKind.MENU), ""


def _understand(plain: str, conversation: Conversation, words: Dialogue) -> Turn:
    if conversation.choices:
        picked = _pick(plain, conversation, words)
        if picked is not None:
            return picked
    command = words.command(plain)
    if command is TurnKind.NONE_OF_THESE and not (conversation.choices or conversation.asked_back):
        command = TurnKind.EMPTY  # nothing is pending that it could refuse
    if command is not None:
        return Turn(kind=command, question=conversation.question if command is TurnKind.NONE_OF_THESE else "")
    if len(letters(plain)) < 2 or letters(plain).isdigit() or _ORDINAL.match(plain) or _LAST.match(plain):
        return Turn(kind=TurnKind.EMPTY)
    return _question(plain, conversation, words)


def _question(plain: str, conversation: Conversation, words: Dialogue) -> Turn:
    shortened = len(plain) > SEARCH_CHARACTERS
    body = plain[:SEARCH_CHARACTERS]
    found = triage(plain)
    number = next(iter(find_numbers(body, lenient=True)), None)
    if number is not None:
        rest = letters(_NUMBER_SPARE.sub("", body[: number.start] + " " + body[number.end :]))
        canonical = _REQUEST.sub("", number.canonical)
        return Turn(
            kind=TurnKind.QUESTION,
            question=canonical if len(rest) < 2 else body,
            filters=Filters(number=canonical),
            subject=canonical,
            number_only=len(rest) < 2,
            shortened=shortened,
            triage=found,
            aspect=_code(words, body),
        )
    main, aside = _two(body, words)
    if found is None or not found.at_once:
        inherited = _inherit(main, conversation, words)
        if inherited is not None:
            return replace(inherited, triage=found, aside=aside)
    return Turn(
        kind=TurnKind.QUESTION,
        question=main,
        vagueness=words.vagueness(main),
        subject=words.subject(main),
        aspect=_code(words, main),
        aside=echo(aside),
        shortened=shortened,
        wants_creation=words.creates(main),
        triage=found,
    )


def _inherit(main: str, conversation: Conversation, words: Dialogue) -> Turn | None:
    """A message that leans on what was said before, or None when it stands by itself."""
    length = len(letters(main))
    own = words.core(main)
    waits = conversation.asked_back or (
        bool(conversation.choices) and conversation.slots.get("kind") != ReplyKind.ANSWER.value
    )
    complete = len(own) >= 2 and words.question.search(main) is not None
    if waits and conversation.question and length <= (14 if conversation.asked_back else 8) and not complete:
        joined = _join(conversation.question, main)
        return Turn(
            kind=TurnKind.QUESTION,
            question=joined,
            followup=True,
            vagueness=Vagueness.CLEAR if len(own) >= 2 else words.vagueness(joined),
            subject=echo(words.subject(joined)),
            aspect=_code(words, main) or _code(words, conversation.question),
            wants_creation=words.creates(joined),
        )
    if not conversation.subject or length > 14:
        return None
    aspect = words.aspect(main)
    leans = main.startswith(("那", "这", "它", "还", "其")) or (length <= 6 and main.rstrip("?？。 ").endswith("呢"))
    named = words.core(words.attributes.sub(" ", main))
    bare = len(named) < 2 or named in letters(conversation.subject)
    if bare and (aspect is not None or named != own):
        said = aspect.ask if aspect is not None and named == own else main
        question = f"{conversation.subject} {said}"
        return Turn(
            kind=TurnKind.QUESTION,
            question=question,
            followup=True,
            subject=conversation.subject,
            aspect=aspect.code if aspect else "",
            wants_creation=words.creates(main),
        )
    swap = _WHAT_ABOUT.match(main)
    if swap is not None and leans and aspect is None:
        base = conversation.slots.get("base") or conversation.subject
        subject = f"{base} {words.subject(swap.group(1)) or swap.group(1)}"
        return Turn(kind=TurnKind.QUESTION, question=subject, followup=True, subject=subject, base=base)
    return None


def _pick(plain: str, conversation: Conversation, words: Dialogue) -> Turn | None:
    """The choice that a message takes. Beside an answer only what plainly points to one: anything else is a new message."""
    choices = conversation.choices
    waiting = conversation.slots.get("kind") != ReplyKind.ANSWER.value
    ordinal = _ORDINAL.match(plain)
    if ordinal is not None:
        number = int(ordinal.group(1)) if ordinal.group(1).isdigit() else _DIGITS[ordinal.group(1)]
        if 1 <= number <= len(choices):
            return _picked(number - 1, conversation, words)
        return Turn(kind=TurnKind.PICK_MISSED, question=conversation.question)
    if _LAST.match(plain):
        return _picked(len(choices) - 1, conversation, words)
    for index, choice in enumerate(choices):
        if plain in (tidy(choice.send), tidy(choice.label)):
            return _picked(index, conversation, words)
    if waiting and len(choices) == 1 and letters(plain) in words.yes:
        return _picked(0, conversation, words)
    core = letters(_POINTING.sub("", plain))
    pointing = core != letters(plain)
    if words.command(plain) is not None or not 2 <= len(core) <= 12 or words.aspect(plain) is not None:
        return None
    if not (waiting or pointing):
        return None
    holding = [index for index, choice in enumerate(choices) if core in letters(tidy(choice.label))]
    if len(holding) == 1:
        return _picked(holding[0], conversation, words)
    if holding or not pointing:
        return None
    scores = sorted(
        ((fuzz.partial_ratio(core, letters(tidy(choice.label))), -index) for index, choice in enumerate(choices)),
        reverse=True,
    )
    clear = len(scores) == 1 or scores[0][0] - scores[1][0] >= 15
    return _picked(-scores[0][1], conversation, words) if scores[0][0] >= 75 and clear else None


def _picked(index: int, conversation: Conversation, words: Dialogue) -> Turn:
    choice = conversation.choices[index]
    document, _, passage = conversation.slots.get(f"pick.{index + 1}", "").partition(" ")
    asked = conversation.question
    question = choice.send if not asked or choice.send == asked else f"{choice.send} {asked}"[:SEARCH_CHARACTERS]
    return Turn(
        kind=TurnKind.PICK,
        question=question,
        picked=choice,
        followup=True,
        filters=Filters(documents=(document,)) if document else Filters(),
        passage=passage,
        subject=words.subject(choice.send) or choice.send,
        aspect=_code(words, asked),
    )


def _two(body: str, words: Dialogue) -> tuple[str, str]:
    """The first question of a message, and the second where there plainly is one."""
    match = words.aside.search(body)
    if match is None:
        return body, ""
    first, second = body[: match.start()].strip(), body[match.end() :].strip()
    if len(letters(first)) < 4 or len(letters(second)) < 4 or len(words.core(first)) < 2:
        return body, ""
    return first, second


def _join(question: str, text: str) -> str:
    return tidy(f"{text} {question}")[:SEARCH_CHARACTERS]


def _code(words: Dialogue, text: str) -> str:
    aspect = words.aspect(text)
    return aspect.code if aspect else ""
