"""Telegram 用语: the few words that this door says of its own accord; the words themselves are in ``templates/telegram``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import templates

FOLDER = Path(next(iter(templates.__path__))) / "telegram"


@cache
def say(name: str) -> str:
    """The text of ``templates/telegram/<name>.txt.j2``, trimmed."""
    # Sent as plain text without a parse mode: there is nothing to escape.
    environment = Environment(loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, autoescape=False)  # noqa: S701
    return environment.get_template(f"{name}.txt.j2").render().strip()


def named(name: str) -> list[tuple[str, str]]:
    """The lines 「key = words」 of a text, in order."""
    pairs = (line.partition(" = ") for line in say(name).splitlines())
    return [(key.strip(), words.strip()) for key, _, words in pairs]
