"""Exports as plain JSON, and errors that say which part of one is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date
from typing import Any

import orjson

from jupyter_pdflow.exceptions import ExportError

DEPTH_LIMIT = 250
_PLAIN = orjson.OPT_SERIALIZE_NUMPY
_ANY_KEYS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def to_json(value: Any, path: str) -> Any:
    """Convert a value to what JSON holds: dicts with str keys, lists, str, numbers, bool, None.

    Converted are dataclasses, datetimes, UUIDs, enums, numpy scalars and arrays, tuples, and
    keys that are numbers, dates and the like. NaN and infinities become None, as JSON has none.

    Parameters
    ----------
    value : object
        What the author gave.
    path : str
        What to call it in an error, such as ``$return_value``.

    Raises
    ------
    ExportError
        Some part of it can't be converted; the message names its path and type.
    """
    try:
        return orjson.loads(orjson.dumps(value, _convert, _PLAIN))
    except (TypeError, RecursionError):
        return _with_other_keys(value, path)


def _with_other_keys(value: Any, path: str) -> Any:
    try:
        plain = orjson.loads(orjson.dumps(value, _convert, _ANY_KEYS))
    except (TypeError, RecursionError) as error:
        where, what = _find(value, path, ()) or (path, f"can't be written as JSON ({error})")
        msg = f"{where} {what}"
        raise ExportError(msg) from None
    clash = _key_clash(value, plain, path)
    if clash:
        msg = f"{clash} has two keys that are the same in JSON, such as 1 and '1'"
        raise ExportError(msg)
    return plain


def _convert(value: Any) -> Any:
    """Convert what orjson leaves: arrays that are not contiguous, subclasses of dates."""
    if type(value).__module__ == "numpy":
        return value.tolist()
    if isinstance(value, date):
        return None if value != value else value.isoformat()  # noqa: PLR0124  pandas.NaT
    raise TypeError


def _find(value: Any, path: str, above: tuple[int, ...]) -> tuple[str, str] | None:
    """Find the first part that orjson refuses, and say what it is."""
    if id(value) in above:
        return path, "contains itself, which JSON can't hold"
    if len(above) >= DEPTH_LIMIT:
        return path[:200], f"is nested more than {DEPTH_LIMIT} levels deep"
    if isinstance(value, dict):
        bad = next((key for key in value if not _is_key(key)), None)
        if bad is not None:
            return path, f"has a key that is {_a(type(bad))}, which JSON can't hold"
    for name, part in _parts(value):
        found = _find(part, path + name, (*above, id(value)))
        if found:
            return found
    return None if _is_leaf_ok(value) else (path, _describe(value))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            name = str(key)
            is_plain = name.removeprefix("$").isidentifier()
            yield f".{name}" if is_plain else f"[{name!r}]", part
    elif isinstance(value, list) or type(value) is tuple:
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name, None)


def _is_key(key: object) -> bool:
    try:
        orjson.dumps({key: None}, option=_ANY_KEYS)
    except TypeError:
        return False
    return True


def _is_leaf_ok(value: Any) -> bool:
    if isinstance(value, dict | list) or type(value) is tuple:
        return True
    try:
        orjson.dumps(value, _convert, _ANY_KEYS)
    except (TypeError, RecursionError):
        return False
    return True


def _describe(value: Any) -> str:
    kind = type(value)
    if isinstance(value, int):
        return "is an integer beyond 64 bits, which JSON can't hold; make it a str"
    if isinstance(value, str):
        return "is a str with half a surrogate pair, which JSON can't hold"
    text = f"is {_a(kind)}, which JSON can't hold"
    if kind.__module__.partition(".")[0] != "pandas":
        return text
    how = '.to_dict("records")' if kind.__name__ == "DataFrame" else ".to_list()"
    return f"{text}; use {how}"


def _a(kind: type) -> str:
    article = "an" if kind.__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {kind.__name__}"


def _key_clash(value: Any, plain: Any, path: str) -> str | None:
    """Find a dict that lost a key because two of its keys are written the same."""
    if isinstance(value, dict):
        if len(value) != len(plain):
            return path
        pairs = zip(_parts(value), plain.values(), strict=True)
    elif isinstance(value, list) or type(value) is tuple:
        pairs = zip(_parts(value), plain, strict=True)
    else:
        return None
    clashes = (_key_clash(part, got, path + name) for (name, part), got in pairs)
    return next((clash for clash in clashes if clash), None)
