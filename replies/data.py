"""Reading the rule files that ship with this room, with errors that name file and rule."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from replies.errors import RulesBroken

HERE = Path(__file__).parent


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file. Raises :class:`RulesBroken` when it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RulesBroken(f"{path} does not exist; name an existing rule file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesBroken(f"{path} is not valid UTF-8 TOML: {error}") from error


def strings(value: Any, where: str) -> tuple[str, ...]:
    """``value`` as a tuple of non-empty strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise RulesBroken(f"{where} must be a list of non-empty strings")
    return tuple(value)


def string(value: Any, where: str) -> str:
    """``value`` as a string."""
    if not isinstance(value, str):
        raise RulesBroken(f"{where} must be a string")
    return value


def pattern(parts: tuple[str, ...], where: str) -> re.Pattern[str] | None:
    """One pattern out of regular expressions, None for none."""
    if not parts:
        return None
    try:
        return re.compile("|".join(f"(?:{part})" for part in parts), re.IGNORECASE)
    except re.error as error:
        raise RulesBroken(f"{where}: not a valid regular expression: {error}") from error


def known(table: dict[str, Any], keys: set[str], where: str) -> None:
    """Refuse keys that mean nothing, so that a misspelt key is noticed."""
    for key in table:
        if key not in keys:
            raise RulesBroken(f"{where}: unknown key '{key}'; known here: {', '.join(sorted(keys))}")
