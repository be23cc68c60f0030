"""微信用语: the few words that the WeChat door says of its own accord; the words themselves are in ``templates/wechat``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import templates

FOLDER = Path(next(iter(templates.__path__))) / "wechat"


def say(name: str, **values: object) -> str:
    """The text of ``templates/wechat/<name>.txt.j2``, trimmed."""
    return _environment().get_template(f"{name}.txt.j2").render(values).strip()


@cache
def _environment() -> Environment:
    # Plain text for WeChat: what could be read as a tag is taken out when the reply is rendered, not here.
    return Environment(loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, autoescape=False)  # noqa: S701
