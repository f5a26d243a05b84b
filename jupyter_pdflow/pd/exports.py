"""Convert what a step exports to JSON, and show JSON values as HTML trees."""

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

DEPTH_LIMIT = 250
"""Maximum number of levels of an export; orjson writes 254."""

INTEGER_BITS = 4096
"""Maximum number of bits of an integer."""

LOST_COUNTED = 1000
"""Maximum number of lost numbers that a warning counts."""

TREE_NODES_LIMIT = 1000
"""Maximum number of values that a tree shows."""

TREE_DEPTH_LIMIT = 40
"""Maximum number of levels that a tree shows."""

TREE_TEXT_LIMIT = 1000
"""Maximum number of characters that a tree shows of one value."""

SUMMARY_NAMES = 12
"""Maximum number of keys in the summary of a folded object."""

SUMMARY_WIDTH = 60
"""Maximum number of characters of these keys."""

_MONO = "font-family:var(--jp-code-font-family,monospace);font-size:0.9em"
_INDENT = "margin-left:1.2em"
_VALUE = "white-space:pre-wrap;overflow-wrap:anywhere"

_HINTS = {
    ("pandas", "DataFrame"): (
        'use .to_dict("records"), or save it below pd.files and export its path'
    ),
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
"""What to do with a value of a type that JSON can't hold, by package and name of the type."""

_PLAIN = orjson.OPT_SERIALIZE_NUMPY
_ANY_KEYS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def to_json(value: Any, path: str, warn: Callable[[str], None] | None = None) -> Any:
    """Return a value as plain JSON: dicts with str keys, lists, str, numbers, bool and None.

    Dataclasses, datetimes, UUIDs, enums, paths, tuples, numpy scalars and arrays are converted, and
    so are keys that are numbers or dates. NaN and infinities, which JSON lacks, become None.

    Parameters
    ----------
    value : object
        The value that the author exports.
    path : str
        The name of the value in error messages, such as ``$return_value``.
    warn : callable, optional
        Called with a text if numbers became None.

    Raises
    ------
    ExportError
        A part of the value can't be converted. The message names its path and type.
    """
    try:
        # Most values have only str keys. Such keys can't become equal in JSON, and orjson is twice
        # as fast without `OPT_NON_STR_KEYS`.
        content = orjson.dumps(value, _convert, _PLAIN)
        plain = orjson.loads(content)
    except (TypeError, RecursionError):
        plain = _with_other_keys(value, path)
        content = b"null"  # numbers may have been lost, so they have to be looked for
    if warn is not None and b"null" in content:
        _warn_of_lost_number(value, plain, path, warn)
    return plain


def _with_other_keys(value: Any, path: str) -> Any:
    """Convert a value that has keys other than str, or integers of more than 64 bits."""
    try:
        plain = orjson.loads(orjson.dumps(value, _convert, _ANY_KEYS))
    except (TypeError, RecursionError):
        found = _find_refused(value, path, ())
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
    """Convert a value that has integers of more than 64 bits, which orjson refuses."""
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
    """Convert a value that orjson does not know: other arrays, dates, named tuples, paths."""
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
    """Return the paths of the numbers that became None."""
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


def _is_lost(value: Any) -> bool:
    try:
        return not math.isfinite(value)
    except (TypeError, ValueError):
        return False


def _find_refused(value: Any, path: str, above: tuple[int, ...]) -> tuple[str, str] | None:
    """Return the path and a description of the first part that orjson refuses, or None.

    Parameters
    ----------
    value : object
    path : str
    above : tuple of int
        The ids of the containers that `value` lies in.
    """
    if id(value) in above:
        return path, "contains itself, which JSON can't hold"
    if len(above) >= DEPTH_LIMIT:
        return path[:200], f"is nested more than {DEPTH_LIMIT} levels deep"
    if isinstance(value, dict):
        bad = next((key for key in value if not _is_key(key)), None)
        if bad is not None:
            return path, f"has a key that is {_with_article(type(bad))}, which JSON can't hold"
    for name, part in _parts(value):
        found = _find_refused(part, path + name, (*above, id(value)))
        if found:
            return found
    return None if _is_leaf_ok(value) else (path, _describe(value))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Return the parts of a container, each with what its path adds to that of the container."""
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
    text = f"is {_with_article(kind)}, which JSON can't hold"
    hint = _hint(kind)
    return f"{text}; {hint}" if hint else text


def _hint(kind: type) -> str | None:
    """Return what to export in place of a value of this type or of one of its subclasses."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        hint = _HINTS.get((package, base.__name__))
        if hint is not None:
            return hint
    return None


def _with_article(kind: type) -> str:
    article = "an" if kind.__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {kind.__name__}"


def _key_clash(value: Any, plain: Any, path: str) -> str | None:
    """Return the path of a dict that has two keys with the same text, or None."""
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


# --- HTML trees -----------------------------------------------------------------------


def tree_html(value: Any, label: str = "") -> str:
    """Return HTML that shows a value as nested ``<details>``, with the outermost open.

    Parameters
    ----------
    value : JSON value
        Other values are shown by their `repr`.
    label : str
        The name of the outermost value.
    """
    return f'<div style="{_MONO}">{_Tree().draw(label, value, 0)}</div>'


class _Tree:
    """A tree that is being written; it ends after `TREE_NODES_LIMIT` values."""

    def __init__(self) -> None:
        self.left = TREE_NODES_LIMIT

    def draw(self, label: str, value: Any, depth: int) -> str:
        self.left -= 1
        name = f"<b>{escape(label)}</b>" if label else ""
        if not isinstance(value, Mapping | list) or not value or depth >= TREE_DEPTH_LIMIT:
            colon = ": " if label else ""
            return f'<div style="{_INDENT}">{name}{colon}{_leaf(value)}</div>'
        summary = " ".join(
            filter(None, [name, f'<span style="opacity:0.7">{_summary(value)}</span>'])
        )
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


def _summary(value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(map(str, islice(value, SUMMARY_NAMES)))
        if len(value) > SUMMARY_NAMES or len(names) > SUMMARY_WIDTH:
            names = f"{names[:SUMMARY_WIDTH]}…"
        return f"{{{escape(names)}}}"
    return f"[{len(value):,} item{'s' * (len(value) != 1)}]"


def _leaf(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    more = f"… ({len(text):,} characters)" if len(text) > TREE_TEXT_LIMIT else ""
    return f'<span style="{_VALUE}">{escape(text[:TREE_TEXT_LIMIT] + more)}</span>'
