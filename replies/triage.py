"""分流: which questions are not for the library, and where they belong instead.

The lines and their order follow the practice of open-government offices: emergency → complaint, petition → own
record (条例 art. 41) → public utility (art. 55) → registry data (art. 36(7)) → publications (art. 39(2)) → requests to
act → everything else, which is looked up. The rules are data (``replies/triage.toml``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from replies import data
from replies.errors import RulesBroken
from replies.model import Contact, Triage, TriageKind
from replies.text import tidy

_RULE_KEYS = {
    "name",
    "kind",
    "template",
    "words",
    "patterns",
    "softens",
    "except",
    "contacts",
    "organ",
    "basis",
    "after",
}
_CONTACT_KEYS = {"name", "phone", "what", "address", "hours"}


@dataclass(frozen=True, slots=True)
class TriageRule:
    """分流规则: cues with what follows from them. ``softens`` turns "at once" into "when nothing answers"."""

    name: str
    kind: TriageKind
    template: str
    cues: re.Pattern[str]
    softens: re.Pattern[str] | None
    spared: re.Pattern[str] | None
    contacts: tuple[Contact, ...]
    organ: str
    basis: tuple[str, ...]
    after: bool


def triage(question: str, rules: tuple[TriageRule, ...] | None = None) -> Triage | None:
    """The first line that ``question`` falls under, or None when it is simply to be looked up. Pure.

    A line that is due at once wins over one that waits for the search.
    """
    text = tidy(question)
    waiting: Triage | None = None
    for rule in rules if rules is not None else shipped():
        match = rule.cues.search(text)
        if match is None or (rule.spared and rule.spared.search(text)):
            continue
        soft = rule.after or bool(rule.softens and rule.softens.search(text))
        found = Triage(
            kind=rule.kind,
            rule=rule.name,
            template=rule.template,
            contacts=rule.contacts,
            basis=rule.basis,
            at_once=not soft,
            matched=match.group(),
            organ=rule.organ,
        )
        if not soft:
            return found
        waiting = waiting or found
    return waiting


def load(path: Path | None = None) -> tuple[TriageRule, ...]:
    """Read a rule file. Raises :class:`RulesBroken` naming file and rule."""
    source = path or data.HERE / "triage.toml"
    table = data.read_toml(source)
    data.known(table, {"rule", "contact"}, str(source))
    contacts: dict[str, Contact] = {}
    for key, raw in table.get("contact", {}).items():
        where = f"{source}: contact {key}"
        data.known(raw, _CONTACT_KEYS, where)
        if not raw.get("name"):
            raise RulesBroken(f"{where}: needs a name")
        contacts[key] = Contact(**{name: data.string(value, where) for name, value in raw.items()})
    return tuple(
        _rule(raw, contacts, f"{source}: rule {raw.get('name', index)}")
        for index, raw in enumerate(table.get("rule", []), 1)
    )


def _rule(raw: dict[str, object], contacts: dict[str, Contact], where: str) -> TriageRule:
    data.known(raw, _RULE_KEYS, where)
    try:
        kind = TriageKind(str(raw.get("kind")))
    except ValueError as error:
        raise RulesBroken(f"{where}: kind must be one of {', '.join(TriageKind)}") from error
    words = data.strings(raw.get("words", []), f"{where}: words")
    patterns = data.strings(raw.get("patterns", []), f"{where}: patterns")
    cues = data.pattern((*(re.escape(word) for word in words), *patterns), where)
    if cues is None:
        raise RulesBroken(f"{where}: needs words or patterns")
    named = data.strings(raw.get("contacts", []), f"{where}: contacts")
    for name in named:
        if name not in contacts:
            raise RulesBroken(f"{where}: contact '{name}' is not defined; known: {', '.join(sorted(contacts))}")
    return TriageRule(
        name=data.string(raw.get("name", ""), f"{where}: name"),
        kind=kind,
        template=data.string(raw.get("template", ""), f"{where}: template"),
        cues=cues,
        softens=data.pattern(data.strings(raw.get("softens", []), f"{where}: softens"), f"{where}: softens"),
        spared=data.pattern(data.strings(raw.get("except", []), f"{where}: except"), f"{where}: except"),
        contacts=tuple(contacts[name] for name in named),
        organ=data.string(raw.get("organ", ""), f"{where}: organ"),
        basis=data.strings(raw.get("basis", []), f"{where}: basis"),
        after=bool(raw.get("after", False)),
    )


@cache
def shipped() -> tuple[TriageRule, ...]:
    """The rules that ship with the product."""
    return load()
