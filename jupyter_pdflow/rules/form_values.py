"""Values of a form's fields: how they are made of texts, and what is wrong with one.

The few keywords that a form can have are checked here and not by jsonschema, which takes one to two
seconds to import where its formats are installed: kernels check forms too. Tests compare the two.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.rules.patterns import compiled

if TYPE_CHECKING:
    from fractions import Fraction

Property: TypeAlias = dict[str, Any]
"""The JSON Schema of one field, as `jupyter_pdflow.rules.forms.check_form` returns it."""

Kind: TypeAlias = Literal[
    "text",
    "textarea",
    "number",
    "integer",
    "boolean",
    "select",
    "multiselect",
    "date",
    "datetime",
    "email",
    "url",
]
"""How a field is drawn, and how its texts are converted."""

FORMATS: dict[str, Kind] = {
    "date": "date",
    "date-time": "datetime",
    "email": "email",
    "textarea": "textarea",
    "uri": "url",
}
"""The formats that a text can have."""

NUMBER_DIGITS = 300
"""Maximum number of digits of a number, and of characters of its text."""

ITEMS_LIMIT = 1000
"""Maximum number of items of a list; fields may allow fewer."""

CHOICES_SHOWN = 200
"""Maximum number of characters of the choices in a message."""

SCRIPT_SCHEMES = frozenset({"javascript", "data", "vbscript"})
"""Schemes of addresses that execute what the address contains."""

_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(
    rf"({_DATE.pattern})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(:[0-5][0-9](?:\.[0-9]{{1,9}})?)?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
_URI = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]*):[^\s<>"{}|\\^`\x00-\x20\x7f]+""")

_TRUTHS = {
    **dict.fromkeys(("true", "on", "1", "yes"), True),
    **dict.fromkeys(("false", "off", "0", "no", ""), False),
}


def kind_of(prop: Property) -> Kind:
    """Return the kind of a field."""
    if "enum" in prop:
        return "select"
    if prop["type"] == "array":
        return "multiselect"
    if prop["type"] == "string":
        return FORMATS.get(prop.get("format", ""), "text")
    return cast("Kind", prop["type"])


def is_number(value: object) -> bool:
    """Whether a value is a finite number of at most `NUMBER_DIGITS` digits, and not a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 10**NUMBER_DIGITS


def text_of(value: str | float) -> str:
    """Return a choice as a text, the same one for 7 and 7.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


# --- converting ---


def convert(prop: Property, value: Any) -> Any:
    """Return a value in the type of its field.

    A value that can't be converted is returned unchanged, and `problem_of` says what is wrong.
    Converting twice is the same as once.
    """
    kind = kind_of(prop)
    if kind == "select":
        return _choice(_table(prop["enum"]), value)
    if kind == "multiselect":
        return _choices(prop["items"]["enum"], value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and kind in _FROM_TEXT:
        return _FROM_TEXT[kind](value)
    return value


def _table(choices: Iterable[str | float]) -> dict[str | float, str | float]:
    return {choice: choice for choice in choices}


def _choice(table: dict[str | float, str | float], value: Any) -> Any:
    """Return the choice that is equal to a value or to its text, or the value itself."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    if isinstance(value, str) and value not in table:
        stripped = value.strip()
        return table.get(stripped, table.get(_number(stripped), value))
    return table.get(value, value)


def _choices(choices: list[str | float], value: Any) -> Any:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list):
        return value
    table = _table(choices)
    return [_choice(table, item) for item in given if not is_blank(item)]


def is_blank(value: Any) -> bool:
    """Whether a value stands for no input: null, or a text without visible characters."""
    return value is None or (isinstance(value, str) and not value.strip())


def _boolean(text: str) -> bool | str:
    return _TRUTHS.get(text.strip().lower(), text)


def _integer(text: str) -> int | str:
    digits = text.strip()
    # int() takes quadratic time, so its text is limited.
    if len(digits) > NUMBER_DIGITS or not _INTEGER.fullmatch(digits):
        return text
    return int(digits.partition(".")[0])


def _number(text: str) -> int | float | str:
    digits = text.strip()
    if len(digits) > NUMBER_DIGITS or not _NUMBER.fullmatch(digits):
        return text
    if digits.lstrip("+-").isdigit():
        return int(digits)
    number = float(digits)
    return number if math.isfinite(number) else text


def _date_time(text: str) -> str:
    """Return a date and time as RFC 3339 has it; one without a zone is UTC."""
    found = _DATE_TIME.fullmatch(text.strip())
    if found is None:
        return text
    day, time, seconds, zone = found.groups()
    return f"{day}T{time}{seconds or ':00'}{(zone or 'Z').upper()}"


_FROM_TEXT: dict[Kind, Callable[[str], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "date": str.strip,
    "datetime": _date_time,
    "email": str.strip,
    "url": str.strip,
}


# --- checking ---


def problem_of(prop: Property, value: Any) -> str | None:
    """Return what is wrong with a value, as one sentence for a person, or None.

    Parameters
    ----------
    prop : dict
        The field's schema, as `jupyter_pdflow.rules.forms.check_form` returns it.
    value : JSON value
        As `convert` returns it.
    """
    kind = kind_of(prop)
    if isinstance(value, list):
        if kind != "multiselect":
            return "Only one value is possible."
        if len(value) > ITEMS_LIMIT:
            return _bound_message("maxItems", ITEMS_LIMIT)
    if not _has_kind(kind, prop, value):
        return _expected(kind, prop)
    wrong = (
        _bound_message(keyword, prop[keyword])
        for keyword, (holds, _) in _BOUNDS.items()
        if keyword in prop and not holds(value, prop[keyword])
    )
    return next(wrong, None)


def _has_kind(kind: Kind, prop: Property, value: Any) -> bool:
    if kind == "select":
        return _are_choices(prop["enum"], [value])
    if kind == "multiselect":
        return isinstance(value, list) and _are_choices(prop["items"]["enum"], value)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("number", "integer"):
        return is_number(value) and (kind == "number" or isinstance(value, int))
    return isinstance(value, str) and _HAS_FORMAT[kind](value)


def _are_choices(choices: list[str | float], values: list[Any]) -> bool:
    table = _table(choices)
    return all(
        isinstance(value, str | int | float) and not isinstance(value, bool) and value in table
        for value in values
    )


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and _succeeds(date.fromisoformat, text)


def _is_date_time(text: str) -> bool:
    is_whole = bool(_DATE_TIME.fullmatch(text)) and _date_time(text) == text
    return is_whole and _succeeds(datetime.fromisoformat, text)


def _is_email(text: str) -> bool:
    # `check_address` also takes a display name; what an input of type email takes is the address.
    return not text.endswith(">") and _succeeds(check_address, text)


def _is_uri(text: str) -> bool:
    found = _URI.fullmatch(text)
    if found is None:
        return False
    scheme = found[1].lower()
    if scheme in ("http", "https"):
        return _succeeds(lambda uri: urlsplit(uri).port, text) and bool(urlsplit(text).hostname)
    return scheme not in SCRIPT_SCHEMES


def _succeeds(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_HAS_FORMAT: dict[Kind, Callable[[str], bool]] = {
    "text": lambda _: True,
    "textarea": lambda _: True,
    "date": _is_date,
    "datetime": _is_date_time,
    "email": _is_email,
    "url": _is_uri,
}

_EXPECTED: dict[Kind, str] = {
    "text": "Must be text.",
    "textarea": "Must be text.",
    "number": "Must be a number, such as 1.5.",
    "integer": "Must be a whole number.",
    "boolean": "Must be yes or no.",
    "date": "Must be a date, such as 2026-11-28.",
    "datetime": "Must be a date and a time, such as 2026-11-28T10:00.",
    "email": "Must be an email address.",
    "url": "Must be an address, such as https://example.org.",
}


def _expected(kind: Kind, prop: Property) -> str:
    if kind == "select":
        return f"Choose one of: {_listed(prop['enum'])}"
    if kind == "multiselect":
        return f"Choose from: {_listed(prop['items']['enum'])}"
    return _EXPECTED[kind]


def _listed(choices: list[str | float]) -> str:
    text = ", ".join(map(text_of, choices))
    return f"{text}." if len(text) <= CHOICES_SHOWN else f"{text[:CHOICES_SHOWN]}…"


# --- bounds ---


def exact(number: float) -> Fraction:
    """Return a number exactly as its decimal digits say."""
    from fractions import Fraction

    return Fraction(str(number))


# What a value has to fulfil, and what is said if it does not. A text is tried on a pattern last,
# because it may be too long for that.
_BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minLength": (lambda text, bound: len(text) >= bound, "Must have at least {}."),
    "maxLength": (lambda text, bound: len(text) <= bound, "Must have at most {}."),
    "pattern": (lambda text, bound: bool(compiled(bound).search(text)), "Must match {}"),
    "minimum": (operator.ge, "Must be at least {}."),
    "exclusiveMinimum": (operator.gt, "Must be more than {}."),
    "maximum": (operator.le, "Must be at most {}."),
    "exclusiveMaximum": (operator.lt, "Must be less than {}."),
    # Binary fractions would not do: 0.3 is a multiple of 0.1.
    "multipleOf": (
        lambda number, step: exact(number) % exact(step) == 0,
        "Must be a multiple of {}.",
    ),
    "minItems": (lambda items, bound: len(items) >= bound, "Choose at least {}."),
    "maxItems": (lambda items, bound: len(items) <= bound, "Choose at most {}."),
    "uniqueItems": (
        lambda items, bound: not bound or len(set(items)) == len(items),
        "Choose each one only once.",
    ),
}


def _bound_message(keyword: str, bound: str | float) -> str:
    said = text_of(bound)
    if keyword in ("minLength", "maxLength"):
        said = f"{said} character{'s' * (bound != 1)}"
    return _BOUNDS[keyword][1].format(said)
