"""排练: a county's own questions and dialogues, run against the library as it stands, entering nothing in the register.

Two files that staff can read and write:

``questions.toml``::

    [[question]]
    text = "低保怎么申请"
    kind = "answer"               # the reply's kind; several are allowed: ["answer", "choices"]
    document = "a.md"             # file name, id or 文号 of the document that should be quoted
    also = ["b.md"]               # other documents that are right as well
    locator = "第五条"             # optional: the item
    phrase = "户籍所在地"           # optional: words that the quoted passage holds
    organ = "青禾县税务局"          # optional: whom the reply names

``dialogs/*.toml``::

    [[dialog]]
    name = "补缴"
    [[dialog.turn]]
    say = "断缴了怎么办"             # or event = "subscribe"
    kind = "choices"
    document = "a.md"
    locator = "第九条"
    organ = "…"
    shows = ["…"]                 # words that the reply holds
    hides = ["…"]                 # words that it must not hold
    wait_minutes = 40             # time that passes before this turn
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.app import House
from bot.errors import BotError
from bot.reception import Response
from knowledge.model import Hit, PolicyDocument
from register.clock import now_beijing
from register.inquiry import Channel, Conversation, Inquiry, ReplyKind

_EXPECTATIONS = frozenset({"kind", "document", "also", "locator", "phrase", "organ", "shows", "hides"})
_QUESTION = _EXPECTATIONS | {"text", "note"}
_TURN = _EXPECTATIONS | {"say", "event", "wait_minutes", "note"}


class BadScript(BotError):
    """A question list or a dialogue file that cannot be used; names the file and the place."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """期望: what a reply should be. Empty fields are not looked at."""

    kinds: tuple[ReplyKind, ...] = ()
    documents: tuple[str, ...] = ()
    locator: str = ""
    phrase: str = ""
    organ: str = ""
    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """台词: one message of a script and what should come back."""

    text: str
    expected: Expectation
    event: str = ""
    wait_minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class Script:
    """剧本: messages of one conversation."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """排练结果: what came back for one message; ``wrong`` names every expectation that was not met."""

    script: str
    text: str
    kind: str
    rule: str
    confidence: float
    quoted: str  # title and locator of the first quote, or empty
    wrong: tuple[str, ...]
    first_right: bool | None  # whether the first hit is the right document; None where none is expected
    kind_right: bool | None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """排练报告. Shares lie in 0..1; ``wrong_answers`` are answers that quote a document that was not expected."""

    messages: int
    right: float
    kinds_right: float
    first_right: float
    answered: float
    wrong_answers: float
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON value of the report."""
        return asdict(self)


def read_questions(path: Path) -> list[Script]:
    """Every question of a list as a conversation of one message. Raises :class:`BadScript`."""
    scripts = []
    for number, item in enumerate(_tables(path, "question"), 1):
        where = f"{path.name}, question {number}"
        _known(item, _QUESTION, where)
        scripts.append(Script(where, (Line(_words(item, "text", where), _expectation(item, where)),)))
    return scripts


def read_dialogs(folder: Path) -> list[Script]:
    """Every dialogue of the ``*.toml`` files in a folder (or of one file). Raises :class:`BadScript`."""
    paths = sorted(folder.glob("*.toml")) if folder.is_dir() else [folder]
    if not paths:
        raise BadScript(f"{folder} holds no .toml file with dialogues")
    scripts = []
    for path in paths:
        for number, item in enumerate(_tables(path, "dialog"), 1):
            where = f"{path.name}, {item.get('name') or f'dialog {number}'}"
            _known(item, {"name", "turn", "note"}, where)
            lines = []
            for turn in item.get("turn", []):
                _known(turn, _TURN, where)
                said = "" if "event" in turn and "say" not in turn else _words(turn, "say", where)
                expected = _expectation(turn, where)
                lines.append(Line(said, expected, str(turn.get("event", "")), float(turn.get("wait_minutes", 0))))
            if not lines:
                raise BadScript(f"{where}: no [[dialog.turn]]")
            scripts.append(Script(where, tuple(lines)))
    return scripts


def rehearse(
    house: House,
    scripts: Sequence[Script],
    *,
    channel: Channel = Channel.WEB,
    heard: Callable[[Outcome], None] = lambda _: None,
) -> Rehearsal:
    """Run every script in a conversation of its own and compare. The register stays as it was."""
    outcomes = []
    for script in scripts:
        for outcome in _play(house, script, channel):
            heard(outcome)
            outcomes.append(outcome)
    return _report(outcomes)


def _play(house: House, script: Script, channel: Channel) -> Iterator[Outcome]:
    named = {Path(d.path).name: d.id for d in house.library.documents()}
    named |= {d.number: d.id for d in house.library.documents() if d.number}
    now = now_beijing()
    conversation = Conversation(key=script.name)
    limit = house.settings.wechat.reply_bytes if channel is Channel.WECHAT else 0
    for number, line in enumerate(script.lines, 1):
        now += timedelta(minutes=line.wait_minutes, seconds=10)
        if conversation.updated_at and now - conversation.updated_at > timedelta(
            minutes=house.settings.conversation.expires_minutes
        ):
            conversation = Conversation(key=script.name)
        inquiry = Inquiry(channel, f"{script.name}-{number}", script.name, line.text, now, event=line.event)
        response = house.reception.respond(inquiry, conversation, now, limit_bytes=limit, entry=number)
        conversation = response.conversation
        yield _compare(script.name, line, response, [named.get(d, d) for d in line.expected.documents])


def _compare(script: str, line: Line, response: Response, documents: Sequence[str]) -> Outcome:
    reply, expected = response.reply, line.expected
    finding = response.decision.finding
    hits: tuple[Hit, ...] = finding.hits if finding is not None else ()
    quoted = reply.sources[0] if reply.sources else None
    wrong: list[str] = []
    kind_right = reply.kind in expected.kinds if expected.kinds else None
    if kind_right is False:
        wrong.append(f"kind is {reply.kind.value}, expected {'/'.join(k.value for k in expected.kinds)}")
    first_right = hits[0].document.id in documents if documents and hits else (False if documents else None)
    answers = reply.kind is ReplyKind.ANSWER
    if documents and answers and (quoted is None or quoted.document not in documents):
        wrong.append(f"quotes {quoted.title if quoted else 'nothing'}")
    elif documents and not answers and first_right is False and ReplyKind.ANSWER in expected.kinds:
        wrong.append(f"finds {_named(hits[0].document) if hits else 'nothing'} first")
    if answers and quoted is not None and quoted.document in documents[:1]:
        if expected.locator and quoted.locator != expected.locator:
            wrong.append(f"quotes {quoted.locator}, expected {expected.locator}")
        if expected.phrase and expected.phrase not in hits[0].passage.text.replace("\n", ""):
            wrong.append(f"the quote lacks 「{expected.phrase}」")
    if expected.organ and (reply.organ is None or reply.organ.name != expected.organ):
        wrong.append(f"names {reply.organ.name if reply.organ else 'no organ'}, expected {expected.organ}")
    wrong += [f"lacks 「{words}」" for words in expected.shows if words not in reply.text]
    wrong += [f"shows 「{words}」" for words in expected.hides if words in reply.text]
    return Outcome(
        script=script,
        text=line.text or line.event,
        kind=reply.kind.value,
        rule=reply.rule,
        confidence=round(reply.confidence, 3),
        quoted=f"{quoted.title} {quoted.locator}" if quoted else "",
        wrong=tuple(wrong),
        first_right=first_right,
        kind_right=kind_right,
    )


def _named(document: PolicyDocument) -> str:
    return document.number or document.title


def _report(outcomes: Sequence[Outcome]) -> Rehearsal:
    def share(values: Sequence[bool]) -> float:
        return round(sum(values) / len(values), 4) if values else 1.0

    answers = [o for o in outcomes if o.kind == ReplyKind.ANSWER.value]
    return Rehearsal(
        messages=len(outcomes),
        right=share([not o.wrong for o in outcomes]),
        kinds_right=share([o.kind_right for o in outcomes if o.kind_right is not None]),
        first_right=share([o.first_right for o in outcomes if o.first_right is not None]),
        answered=round(len(answers) / max(len(outcomes), 1), 4),
        wrong_answers=round(
            sum(any(w.startswith("quotes") for w in o.wrong) for o in answers) / max(len(outcomes), 1), 4
        ),
        outcomes=tuple(outcomes),
    )


def regressions(now: Rehearsal, baseline: Path) -> list[str]:
    """Messages that were right in the saved report and are wrong now. Raises :class:`BadScript` for a bad file."""
    try:
        before = json.loads(baseline.read_text("utf-8"))
        good = {(o["script"], o["text"]) for o in before["outcomes"] if not o["wrong"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadScript(f"{baseline} is no saved report; write one with --save: {error}") from error
    return [
        f"{o.script}: {o.text}: {'; '.join(o.wrong)}" for o in now.outcomes if o.wrong and (o.script, o.text) in good
    ]


def _tables(path: Path, name: str) -> list[dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get(name, [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadScript(f"{path} cannot be read: {error}") from error
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables) or not tables:
        raise BadScript(f"{path} holds no [[{name}]]")
    return tables


def _known(item: dict[str, Any], keys: frozenset[str] | set[str], where: str) -> None:
    for key in item:
        if key not in keys:
            raise BadScript(f"{where}: unknown key '{key}'; known: {', '.join(sorted(keys))}")


def _words(item: dict[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise BadScript(f"{where}: '{key}' must be a text")
    return value


def _several(item: dict[str, Any], key: str) -> tuple[str, ...]:
    value = item.get(key, [])
    return (value,) if isinstance(value, str) else tuple(str(v) for v in value)


def _expectation(item: dict[str, Any], where: str) -> Expectation:
    try:
        kinds = tuple(ReplyKind(kind) for kind in _several(item, "kind"))
    except ValueError as error:
        raise BadScript(f"{where}: {error}; kinds: {', '.join(k.value for k in ReplyKind)}") from error
    return Expectation(
        kinds=kinds,
        documents=(*_several(item, "document"), *_several(item, "also")),
        locator=str(item.get("locator", "")),
        phrase=str(item.get("phrase", "")),
        organ=str(item.get("organ", "")),
        shows=_several(item, "shows"),
        hides=_several(item, "hides"),
    )
