"""自定义菜单: the lines of ``[wechat] menu`` → the menu that WeChat takes (创建自定义菜单). Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from bot.errors import ConfigError

MOST_MENUS = 3
MOST_ENTRIES = 5
MENU_COLUMNS = 8  # 4 汉字
ENTRY_COLUMNS = 16  # 8 汉字
KEY_BYTES = 128
URL_BYTES = 1024


def menu_of(lines: Iterable[str]) -> dict[str, Any]:
    """The JSON of 创建自定义菜单: ``{"button": [...]}``.

    A line is ``name = words`` (sent as if the citizen had written them) or ``name = https://…``; ``menu/name = …`` puts
    the entry under a menu. Raises :class:`ConfigError` naming the line: WeChat cuts long names and refuses the rest.
    """
    buttons: list[dict[str, Any]] = []
    for line in lines:
        left, sign, target = (part.strip() for part in line.partition("="))
        menu, slash, name = (part.strip() for part in left.partition("/"))
        if not sign or not target or not menu or bool(slash) != bool(name) or "/" in name:
            raise _wrong(line, "write it as 'name = words to send' or 'menu/name = https://…'")
        if _columns(menu) > MENU_COLUMNS:
            raise _wrong(line, f"'{menu}' is longer than 4 characters (8 letters)")
        if not slash:
            if any(button["name"] == menu for button in buttons):
                raise _wrong(line, f"the menu '{menu}' is there already")
            buttons.append(_button(line, menu, target))
            continue
        if _columns(name) > ENTRY_COLUMNS:
            raise _wrong(line, f"'{name}' is longer than 8 characters (16 letters)")
        parent = next((button for button in buttons if button["name"] == menu), None)
        if parent is None:
            parent = {"name": menu, "sub_button": []}
            buttons.append(parent)
        if "sub_button" not in parent:
            raise _wrong(line, f"'{menu}' is an entry of its own and cannot hold others")
        if len(parent["sub_button"]) == MOST_ENTRIES:
            raise _wrong(line, f"'{menu}' has {MOST_ENTRIES} entries already")
        parent["sub_button"].append(_button(line, name, target))
    if not buttons:
        raise ConfigError("[wechat] menu is empty; write at least one line such as 'menu/name = words to send'")
    if len(buttons) > MOST_MENUS:
        raise ConfigError(f"[wechat] menu has {len(buttons)} menus at the bottom; WeChat takes {MOST_MENUS}")
    return {"button": buttons}


def menu_lines(menu: Mapping[str, Any]) -> list[str]:
    """A menu as WeChat holds it in the lines of the configuration; what the configuration cannot say shows its type."""
    lines = []
    for button in menu.get("button", []):
        inner = button.get("sub_button") or []
        for entry in inner if inner else [button]:
            name = f"{button.get('name', '')}/{entry.get('name', '')}" if inner else str(button.get("name", ""))
            lines.append(f"{name} = {entry.get('key') or entry.get('url') or entry.get('type', '')}")
    return lines


def _button(line: str, name: str, target: str) -> dict[str, Any]:
    if target.startswith(("https://", "http://")):
        if len(target.encode()) > URL_BYTES:
            raise _wrong(line, f"the address is longer than {URL_BYTES} bytes")
        return {"type": "view", "name": name, "url": target}
    if len(target.encode()) > KEY_BYTES:
        raise _wrong(line, f"the words are longer than {KEY_BYTES} bytes")
    return {"type": "click", "name": name, "key": target}


def _wrong(line: str, why: str) -> ConfigError:
    return ConfigError(f"[wechat] menu: line '{line}': {why}")


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
