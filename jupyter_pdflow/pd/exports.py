"""Turn what a step exports into JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from html import escape
from itertools import islice
from pathlib import PurePath
from typing import Any

import orjson

from jupyter_pdflow.exceptions import ExportError

NODES_LIMIT = 1000
"""Values shown of one tree."""
TREE_DEPTH_LIMIT = 40
TEXT_LIMIT = 1000
"""Characters shown of one value."""
NAMES_SHOWN = 12
WIDTH = 60
"""Characters shown of the names in an object that is folded."""
_MONO = "font-family:var(--jp-code-font-family,monospace);font-size:0.9em"
_INDENT = "margin-left:1.2em"
_VALUE = "white-space:pre-wrap;overflow-wrap:anywhere"


def tree_html(value: Any, label: str = "") -> str:
    """Draw a value as nested ``<details>``, the outermost open.

    Parameters
    ----------
    value : JSON value
        Anything else is shown as its `repr`.
    label : str
        What to call the outermost value.
    """
    return f'<div style="{_MONO}">{_Tree().draw(label, value, 0)}</div>'


class _Tree:
    """One tree that is being drawn; it ends where it has got too large."""

    def __init__(self) -> None:
        self.left = NODES_LIMIT

    def draw(self, label: str, value: Any, depth: int) -> str:
        self.left -= 1
        name = f"<b>{escape(label)}</b>" if label else ""
        if not isinstance(value, Mapping | list) or not value or depth >= TREE_DEPTH_LIMIT:
            colon = ": " if label else ""
            return f'<div style="{_INDENT}">{name}{colon}{_scalar(value)}</div>'
        summary = " ".join(filter(None, [name, f'<span style="opacity:0.7">{_size(value)}</span>']))
        opened = " open" if depth == 0 else ""
        children = "".join(self._children(value, depth + 1))
        margin = f' style="{_INDENT}"' if depth else ""
        return f"<details{opened}{margin}><summary>{summary}</summary>{children}</details>"

    def _children(self, value: Any, depth: int) -> Iterator[str]:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        shown = 0
        for name, item in islice(pairs, max(0, self.left)):
            if self.left <= 0:
                break
            shown += 1
            yield self.draw(str(name), item, depth)
        if shown < len(value):
            yield f'<div style="{_INDENT}">… {len(value) - shown:,} more</div>'


def _size(value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(map(str, islice(value, NAMES_SHOWN)))
        if len(value) > NAMES_SHOWN or len(names) > WIDTH:
            names = f"{names[:WIDTH]}…"
        return f"{{{escape(names)}}}"
    return f"[{len(value):,} item{'s' * (len(value) != 1)}]"


def _scalar(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    more = f"… ({len(text):,} characters)" if len(text) > TEXT_LIMIT else ""
    return f'<span style="{_VALUE}">{escape(text[:TEXT_LIMIT] + more)}</span>'


DEPTH_LIMIT = 250
INTEGER_BITS = 4096
LOST_COUNTED = 1000
_HINTS = {
    (
        "pandas",
        "DataFrame",
    ): 'use .to_dict("records"), or save it below pd.files and export its path',
    ("pandas", "Series"): "use .to_dict(), which keeps its index, or .to_list()",
    ("pandas", "Index"): "use .to_list()",
    ("polars", "DataFrame"): "use .to_dicts(), or save it below pd.files and export its path",
    ("polars", "Series"): "use .to_list()",
    ("pydantic", "BaseModel"): 'use .model_dump(mode="json")',
    ("msgspec", "Struct"): "use msgspec.to_builtins()",
    ("decimal", "Decimal"): "use str(), which keeps its digits, or float()",
    ("fractions", "Fraction"): "use str() or float()",
    ("builtins", "set"): "use sorted() or list()",
    ("builtins", "frozenset"): "use sorted() or list()",
    ("builtins", "bytes"): "decode it, or save it below pd.files and export its path",
    ("builtins", "bytearray"): "decode it, or save it below pd.files and export its path",
    ("builtins", "complex"): "use [z.real, z.imag]",
    ("builtins", "generator"): "use list()",
    ("builtins", "range"): "use list()",
    ("builtins", "dict_keys"): "use list()",
    ("builtins", "dict_values"): "use list()",
    ("builtins", "map"): "use list()",
    ("builtins", "filter"): "use list()",
    ("builtins", "zip"): "use list()",
    ("builtins", "function"): "call it, and export what it returns",
    ("builtins", "coroutine"): "await it, and export what it returns",
    ("datetime", "timedelta"): "use .total_seconds()",
    ("requests", "Response"): "use .json() or .text",
    ("httpx", "Response"): "use .json() or .text",
    ("matplotlib", "Figure"): "show it, or save it below pd.files and export its path",
}
"""What to do with a value of a type, by its package and name."""

_PLAIN = orjson.OPT_SERIALIZE_NUMPY
_ANY_KEYS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def to_json(value: Any, path: str, warn: Callable[[str], None] | None = None) -> Any:
    """Convert a value to what JSON holds: dicts with str keys, lists, str, numbers, bool, None.

    Converted are dataclasses, datetimes, UUIDs, enums, paths, numpy scalars and arrays, tuples, and
    keys that are numbers, dates and the like. NaN and infinities become None, as JSON has none.

    Parameters
    ----------
    value : object
        What the author gave.
    path : str
        What to call it in an error, such as ``$return_value``.
    warn : callable, optional
        Is told where a number became None.

    Raises
    ------
    ExportError
        Some part of it can't be converted; the message names its path and type.
    """
    try:
        content = orjson.dumps(value, _convert, _PLAIN)
        plain = orjson.loads(content)
    except (TypeError, RecursionError):
        plain = _with_other_keys(value, path)
        content = b"null"
    if warn is not None and b"null" in content:
        _warn_of_lost_number(value, plain, path, warn)
    return plain


def _is_lost(value: Any) -> bool:
    try:
        return not math.isfinite(value)
    except (TypeError, ValueError):
        return False


def _with_other_keys(value: Any, path: str) -> Any:
    try:
        plain = orjson.loads(orjson.dumps(value, _convert, _ANY_KEYS))
    except (TypeError, RecursionError):
        found = _find(value, path, ())
        if found is not None:
            msg = f"{found[0]} {found[1]}"
            raise ExportError(msg) from None
        plain = _with_large_integers(value)
    clash = _key_clash(value, plain, path)
    if clash:
        msg = f"{clash} has two keys that are the same in JSON, such as 1 and '1'"
        raise ExportError(msg)
    return plain


def _with_large_integers(value: Any) -> Any:
    """Convert a value that has integers beyond 64 bits, which JSON can hold and orjson can't."""
    if isinstance(value, dict):
        return {_key(key): _with_large_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_large_integers(item) for item in value]
    if _is_dataclass(value):
        return {name[1:]: _with_large_integers(item) for name, item in _parts(value)}
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return orjson.loads(orjson.dumps(value, _convert, _ANY_KEYS))


def _key(key: Any) -> str:
    if isinstance(key, int) and not isinstance(key, bool):
        return str(int(key))
    (name,) = orjson.loads(orjson.dumps({key: None}, option=_ANY_KEYS))
    return str(name)


def _convert(value: Any) -> Any:
    """Convert what orjson leaves: odd arrays, subclasses of dates and of tuples, paths."""
    if type(value).__module__ == "numpy":
        return value.tolist()
    if isinstance(value, date):
        return None if value != value else value.isoformat()  # noqa: PLR0124  pandas.NaT
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError


def _warn_of_lost_number(value: Any, plain: Any, path: str, warn: Callable[[str], None]) -> None:
    lost = list(islice(_lost_numbers(value, plain, path), LOST_COUNTED + 1))
    if lost:
        number = f"more than {LOST_COUNTED}" if len(lost) > LOST_COUNTED else len(lost) - 1
        more = f" (and {number} more)" if len(lost) > 1 else ""
        warn(f"{lost[0]}{more} is NaN or infinite, which JSON can't hold, and became None.")


def _lost_numbers(value: Any, plain: Any, path: str) -> Iterator[str]:
    """Find the paths of what became None and was none of that before."""
    if plain is None:
        if _is_lost(value):
            yield path
    elif isinstance(plain, list):
        items = value.tolist() if hasattr(value, "tolist") else value
        for index, (item, got) in enumerate(zip(items, plain, strict=False)):
            yield from _lost_numbers(item, got, f"{path}[{index}]")
    elif isinstance(plain, dict):
        for (name, item), got in zip(_parts(value), plain.values(), strict=False):
            yield from _lost_numbers(item, got, path + name)


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
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif _is_dataclass(value):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name, None)


def _is_dataclass(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _is_key(key: object) -> bool:
    if _is_large_integer(key):
        return True
    try:
        orjson.dumps({key: None}, option=_ANY_KEYS)
    except TypeError:
        return False
    return True


def _is_leaf_ok(value: Any) -> bool:
    if isinstance(value, dict | list | tuple) or _is_dataclass(value) or _is_large_integer(value):
        return True
    try:
        orjson.dumps(value, _convert, _ANY_KEYS)
    except (TypeError, RecursionError):
        return False
    return True


def _is_large_integer(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() <= INTEGER_BITS


def _describe(value: Any) -> str:
    kind = type(value)
    if isinstance(value, int):
        return f"is an integer beyond {INTEGER_BITS:,} bits; export its str()"
    if isinstance(value, str):
        return "is a str with half a surrogate pair, which JSON can't hold"
    text = f"is {_a(kind)}, which JSON can't hold"
    hint = _hint(kind)
    return f"{text}; {hint}" if hint else text


def _hint(kind: type) -> str | None:
    """Say what to export in place of a value of this type, or of one that it derives from."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        hint = _HINTS.get((package, base.__name__))
        if hint is not None:
            return hint
    return None


def _a(kind: type) -> str:
    article = "an" if kind.__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {kind.__name__}"


def _key_clash(value: Any, plain: Any, path: str) -> str | None:
    """Find a dict that lost a key because two of its keys are written the same."""
    if isinstance(value, dict):
        if len(value) != len(plain):
            return path
        pairs = zip(_parts(value), plain.values(), strict=True)
    elif isinstance(value, list | tuple):
        pairs = zip(_parts(value), plain, strict=True)
    else:
        return None
    clashes = (_key_clash(part, got, path + name) for (name, part), got in pairs)
    return next((clash for clash in clashes if clash), None)
