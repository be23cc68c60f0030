"""敏感词: a local, editable word list with three actions: mask, refuse politely, alert staff.

The list is a data file (``replies/sensitive.toml``, or the office's own). It is applied to what a citizen writes and
to what is shown back; published text is never altered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from replies import data
from replies.errors import RulesBroken
from replies.model import Screening, SensitiveAction
from replies.text import tidy

_KEYS = {"name", "action", "words", "patterns", "except"}
_MARK = "＊"


@dataclass(frozen=True, slots=True)
class SensitiveRule:
    """敏感词规则: words with what to do; ``spared`` are phrases in which they are harmless."""

    name: str
    action: SensitiveAction
    cues: re.Pattern[str]
    spared: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class SensitiveWords:
    """敏感词表: all rules, in the order of the file."""

    rules: tuple[SensitiveRule, ...]

    def screen(self, text: str) -> Screening:
        """What the list says about ``text``; pure. The masked form is tidied (one line, no controls)."""
        line = tidy(text)
        masked = line
        actions: list[SensitiveAction] = []
        names: list[str] = []
        for rule in self.rules:
            if rule.spared and rule.spared.search(line):
                continue
            if not rule.cues.search(line):
                continue
            names.append(rule.name)
            if rule.action not in actions:
                actions.append(rule.action)
            if rule.action is not SensitiveAction.ALERT:
                masked = rule.cues.sub(lambda match: _MARK * len(match.group()), masked)
        return Screening(masked=masked, actions=tuple(actions), rules=tuple(names))


def load(path: Path | None = None) -> SensitiveWords:
    """Read a list. Raises :class:`RulesBroken` naming file and rule."""
    source = path or data.HERE / "sensitive.toml"
    table = data.read_toml(source)
    data.known(table, {"rule"}, str(source))
    rules = []
    for index, raw in enumerate(table.get("rule", []), 1):
        where = f"{source}: rule {raw.get('name', index)}"
        data.known(raw, _KEYS, where)
        try:
            action = SensitiveAction(raw.get("action"))
        except ValueError as error:
            raise RulesBroken(f"{where}: action must be mask, refuse or alert") from error
        words = data.strings(raw.get("words", []), f"{where}: words")
        patterns = data.strings(raw.get("patterns", []), f"{where}: patterns")
        cues = data.pattern((*(re.escape(word) for word in words), *patterns), where)
        if cues is None:
            raise RulesBroken(f"{where}: needs words or patterns")
        spared = data.pattern(data.strings(raw.get("except", []), f"{where}: except"), f"{where}: except")
        rules.append(SensitiveRule(data.string(raw.get("name", f"rule {index}"), where), action, cues, spared))
    return SensitiveWords(tuple(rules))


@cache
def shipped() -> SensitiveWords:
    """The list that ships with the product."""
    return load()
