"""会话用词: the words by which a message is read, as data (``replies/dialogue.toml``), and pure tests on them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import rjieba

from replies import data
from replies.errors import RulesBroken
from replies.model import TurnKind, Vagueness
from replies.text import letters, tidy

_TONE = re.compile(r"[啊呀吧嘛哦呢哈啦诶唉嗯噢呐咯喽了吗么~～!！。.,，、 ]+$")
_BARE = 4  # letters of a matter that is named and no more
_LONGEST_TALK = 24  # characters of a message that may be nothing but small talk
_POLITE = re.compile(
    r"你们|您们|我们|老师|同志|领导|师傅|小助手|到底|究竟|请问|[你您我啦了呀啊哈的嗯哦噢喔诶哎呢吧嘛都还也很太真挺好就先那]"
)
_COMMANDS = {
    "continue": TurnKind.CONTINUE,
    "reset": TurnKind.RESET,
    "human": TurnKind.HUMAN,
    "useful": TurnKind.USEFUL,
    "useless": TurnKind.USELESS,
    "none": TurnKind.NONE_OF_THESE,
    "greeting": TurnKind.GREETING,
    "thanks": TurnKind.THANKS,
    "bye": TurnKind.BYE,
    "about": TurnKind.ABOUT,
    "menu": TurnKind.MENU,
}


@dataclass(frozen=True, slots=True)
class Aspect:
    """方面: one side of a matter that citizens ask after (materials, fee, place …)."""

    code: str
    cues: re.Pattern[str]
    ask: str  # the words added to an inherited subject


@dataclass(frozen=True, slots=True, eq=False)
class Dialogue:
    """会话规则: everything ``replies/dialogue.toml`` says."""

    commands: dict[str, TurnKind]
    yes: frozenset[str]
    gists: tuple[tuple[TurnKind, re.Pattern[str]], ...]  # ways of saying what a command says, in order of precedence
    aspects: tuple[Aspect, ...]
    attributes: re.Pattern[str]  # a figure or step of a matter, never a matter of its own
    wishes: re.Pattern[str]  # 「有什么好处」: asks for whatever there is
    filler: re.Pattern[str]  # phrases of two characters and more
    particles: frozenset[str]  # words of one character, dropped only where they stand alone
    generic: re.Pattern[str]  # phrases of two characters and more that name no matter
    general: frozenset[str]  # the same of one character, dropped only where they stand alone
    question: re.Pattern[str]  # words that make a sentence a question
    creation: re.Pattern[str]
    not_creation: re.Pattern[str] | None
    aside: re.Pattern[str]
    orders: re.Pattern[str]  # what is told to the machine, not asked of the office
    publishing: re.Pattern[str]  # asks how a kind of information is to be published, not for it
    publications: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]  # (asked, titled) of each kind of information
    human_first: re.Pattern[str]  # 「人工，我家低保的事」: the command with something to pass on

    def command(self, text: str) -> TurnKind | None:
        """The command that the whole message is, politeness and tone particles aside."""
        plain = tidy(text).lower()
        for form in (plain, _TONE.sub("", plain), letters(plain), letters(_TONE.sub("", plain))):
            if form in self.commands:
                return self.commands[form]
        if self.orders.search(plain):
            return TurnKind.ABOUT
        return TurnKind.HUMAN if self.human_first.match(plain) else self._gist(plain)

    def publication(self, text: str) -> re.Pattern[str] | None:
        """What the titles of the kind of information hold that the text asks for by its name; None where it names none."""
        plain = tidy(text)
        if self.publishing.search(plain):
            return None
        return next((titled for asked, titled in self.publications if asked.search(plain)), None)

    def _gist(self, text: str) -> TurnKind | None:
        """What a message is that holds nothing but small talk, however it is put; None where anything else is left."""
        if len(text) > _LONGEST_TALK:
            return None
        rest, said = text, []
        for kind, pattern in self.gists:
            rest, times = pattern.subn(" ", rest)
            said += [kind] if times else []
        return said[0] if said and not letters(_POLITE.sub(" ", rest)) else None

    def aspect(self, text: str) -> Aspect | None:
        """The first side of a matter that the text asks after."""
        return next((aspect for aspect in self.aspects if aspect.cues.search(text)), None)

    def subject(self, text: str) -> str:
        """What a question is about: the text without question words, aspect cues, fillers and signs."""
        return _subject(self, text)

    def core(self, text: str) -> str:
        """What names a matter: the subject without words that are too general to name one."""
        kept = self.generic.sub(" ", self.subject(text))
        return letters("".join(" " if word in self.general else word for word in rjieba.cut(kept)))

    def vagueness(self, text: str) -> Vagueness:
        """Whether a question names a matter, and asks anything about it."""
        core = self.core(text)
        if len(core) < 2:
            return Vagueness.NO_MATTER
        if len(core) <= _BARE and self.wishes.search(tidy(text)) and self.aspect(text) is None:
            return Vagueness.BARE_TOPIC
        if len(letters(tidy(text))) <= 4 and self.aspect(text) is None and core == letters(tidy(text)):
            return Vagueness.BARE_TOPIC
        return Vagueness.CLEAR

    def creates(self, text: str) -> str:
        """The cue by which a question asks for something to be made (statistics, a certificate …), or empty."""
        plain = tidy(text)
        if self.not_creation and self.not_creation.search(plain):
            return ""
        match = self.creation.search(plain)
        return match.group() if match else ""


@lru_cache(maxsize=64)  # reading one message asks for it several times
def _subject(words: Dialogue, text: str) -> str:
    rest = tidy(text)
    for aspect in words.aspects:
        rest = aspect.cues.sub(" ", rest)
    kept = [" " if word in words.particles else word for word in rjieba.cut(words.filler.sub(" ", rest))]
    return " ".join(part for part in _SIGNS.split("".join(kept)) if part)


_SIGNS = re.compile(r"[^\w]+")


def load(path: Path | None = None) -> Dialogue:
    """Read the dialogue words. Raises :class:`RulesBroken` naming file and entry."""
    source = path or data.HERE / "dialogue.toml"
    table = data.read_toml(source)
    data.known(
        table, {"commands", "gist", "aspect", "words", "creation", "aside", "orders", "publications"}, str(source)
    )
    commands: dict[str, TurnKind] = {}
    named = table.get("commands", {})
    data.known(named, {*_COMMANDS, "yes"}, f"{source} [commands]")
    for name, kind in _COMMANDS.items():
        for phrase in data.strings(named.get(name, []), f"{source} [commands] {name}"):
            commands.setdefault(tidy(phrase).lower(), kind)
    talk = table.get("gist", {})
    data.known(talk, set(_COMMANDS), f"{source} [gist]")
    gists = tuple(
        (_COMMANDS[name], _needed(data.strings(parts, f"{source} [gist] {name}"), f"{source} [gist] {name}"))
        for name, parts in talk.items()
    )
    aspects = []
    for code, raw in table.get("aspect", {}).items():
        where = f"{source} [aspect.{code}]"
        data.known(raw, {"cues", "ask"}, where)
        aspects.append(
            Aspect(
                code,
                _needed(data.strings(raw.get("cues", []), where), where),
                data.string(raw.get("ask", ""), where),
            )
        )
    human = tuple(re.escape(phrase) for phrase, kind in commands.items() if kind is TurnKind.HUMAN)
    words = table.get("words", {})
    filler = data.strings(words.get("filler", []), f"{source} [words] filler")
    generic = data.strings(words.get("generic", []), f"{source} [words] generic")
    creation = table.get("creation", {})
    where = f"{source} [creation]"
    return Dialogue(
        commands=commands,
        yes=frozenset(data.strings(named.get("yes", []), f"{source} [commands] yes")),
        gists=gists,
        aspects=tuple(aspects),
        attributes=_longest_first(
            data.strings(words.get("attributes", []), f"{source} [words] attributes"), f"{source} [words]"
        ),
        wishes=_needed(data.strings(words.get("wishes", []), f"{source} [words] wishes"), f"{source} [words] wishes"),
        filler=_longest_first((word for word in filler if len(word) > 1), f"{source} [words]"),
        particles=frozenset(word for word in filler if len(word) == 1),
        generic=_longest_first((word for word in generic if len(word) > 1), f"{source} [words]"),
        general=frozenset(word for word in generic if len(word) == 1),
        question=_longest_first(
            data.strings(words.get("question", []), f"{source} [words] question"), f"{source} [words]"
        ),
        creation=_needed(data.strings(creation.get("patterns", []), where), where),
        not_creation=data.pattern(data.strings(creation.get("except", []), where), where),
        aside=_needed(
            data.strings(table.get("aside", {}).get("patterns", []), f"{source} [aside]"), f"{source} [aside]"
        ),
        orders=_needed(
            data.strings(table.get("orders", {}).get("patterns", []), f"{source} [orders]"), f"{source} [orders]"
        ),
        publishing=_part(table.get("publications", {}), "rule", f"{source} [publications]"),
        publications=tuple(
            (
                _part(raw, "asked", f"{source} [publications] {name}"),
                _part(raw, "titled", f"{source} [publications] {name}"),
            )
            for name, raw in table.get("publications", {}).items()
            if name != "rule"
        ),
        human_first=_needed(tuple(f"{phrase}[，,。.！!：: ]" for phrase in human), f"{source} [commands] human"),
    )


def _part(raw: dict[str, object], name: str, where: str) -> re.Pattern[str]:
    return _needed(data.strings(raw.get(name, []), where), where)


def _longest_first(words: Iterable[str], where: str) -> re.Pattern[str]:
    ordered = sorted(words, key=len, reverse=True)
    return _needed(tuple(re.escape(word) for word in ordered), where)


def _needed(parts: tuple[str, ...], where: str) -> re.Pattern[str]:
    found = data.pattern(parts, where)
    if found is None:
        raise RulesBroken(f"{where}: needs at least one entry")
    return found


@cache
def shipped() -> Dialogue:
    """The words that ship with the product."""
    return load()
