"""存取: frozen dataclasses ⇄ JSON text, driven by their type hints.

A value comes back equal to what went in. Fields that this version does not know are ignored and fields that are
missing take their default, so an older or newer program reads the rows of the other.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Convert = Callable[[Any], Any]


def dump(value: Any) -> str:
    """Compact JSON of one frozen dataclass of :mod:`register.inquiry`."""
    write: _Convert = _writer(type(value))  # type: ignore[arg-type]  # a class is hashable
    return to_json(write(value))


def load(cls: type[T], text: str) -> T:
    """The dataclass that :func:`dump` wrote. Raises ``ValueError`` when the text is not JSON of this class."""
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError(f"stored {cls.__name__} is not a JSON object")
    try:
        read: _Convert = _reader(cls)  # type: ignore[arg-type]  # a class is hashable
        loaded: T = read(raw)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"stored {cls.__name__} cannot be read: {error}") from error
    return loaded


def to_json(value: Any) -> str:
    """JSON that every database takes: lone surrogates, which UTF-8 cannot hold, are escaped."""
    text = _encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@cache
def _writer(hint: Any) -> _Convert | Any:
    """A function from a value of this type to plain JSON values; ``None`` when it already is one."""
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        names = tuple(f.name for f in fields(hint))
        everything: _Convert = attrgetter(*names) if len(names) > 1 else lambda v: (getattr(v, names[0]),)
        special = tuple((name, convert) for name in names if (convert := _writer(hints[name])) is not None)

        def write(value: Any) -> dict[str, Any]:
            out = dict(zip(names, everything(value), strict=True))
            for name, convert in special:
                out[name] = convert(out[name])
            return out

        return write
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        convert = _writer(_optional(hint))
        return None if convert is None else lambda value: None if value is None else convert(value)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        convert = _writer(inner[0])
        return None if convert is None else lambda value: [convert(item) for item in value]
    if origin is tuple and all(item is str for item in inner):
        return None
    if origin is dict and inner == (str, str):
        return None
    if hint is datetime:
        return datetime.isoformat
    if hint in (str, int, float, bool) or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return None
    raise TypeError(f"register.codec has no rule for the type {hint!r}; add one there")


@cache
def _reader(hint: Any) -> _Convert:
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        plan = tuple(
            (f.name, _reader(hints[f.name]), f.default is MISSING and f.default_factory is MISSING)
            for f in fields(hint)
        )

        make: Any = hint

        def read(raw: Mapping[str, Any]) -> Any:
            values = {}
            for name, convert, required in plan:
                if name in raw:
                    values[name] = convert(raw[name])
                elif required:
                    raise KeyError(name)
            return make(**values)

        return read
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        convert = _reader(_optional(hint))
        return lambda value: None if value is None else convert(value)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        convert = _reader(inner[0])
        return lambda value: tuple(convert(item) for item in value)
    if origin is tuple and all(item is str for item in inner):
        return tuple
    if origin is dict and inner == (str, str):
        return dict
    if hint is datetime:
        return datetime.fromisoformat
    if hint in (int, float):
        return lambda value: hint(value)
    if hint in (str, bool):
        return lambda value: _checked(value, hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    raise TypeError(f"register.codec has no rule for the type {hint!r}; add one there")


def _checked(value: Any, hint: type) -> Any:
    if not isinstance(value, hint):
        raise TypeError(f"expected {hint.__name__}, found {type(value).__name__}")
    return value


def _optional(hint: Any) -> Any:
    rest = [item for item in get_args(hint) if item is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"register.codec knows optional types only, not {hint!r}")
    return rest[0]
