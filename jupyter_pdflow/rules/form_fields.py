"""What is needed to draw a form: its fields, and the values that they show at first."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from jupyter_pdflow.rules.form_values import Kind, Property, exact, kind_of, problem_of
from jupyter_pdflow.rules.forms import Form, defaults_of, given_values


class Field(Struct, frozen=True, kw_only=True):
    """What is needed to draw one field.

    Attributes
    ----------
    name : str
        The name of its input.
    label : str
        The title, or else the name in words.
    kind : str
    required : bool
        Whether the person has to fill it in: there is no default, and it is not a box to tick.
    options : list of str, int or float
        The choices of a select or multiselect.
    default : JSON value
        As `prefill` shows it, or None.
    minimum, maximum : int or float or None
        The first and the last value that is allowed; the last one may be between two steps.
    step : int, float, "any" or None
        None for kinds without steps.
    min_length, max_length, min_items, max_items : int or None
    """

    name: str
    label: str
    kind: Kind
    required: bool
    description: str = ""
    options: list[str | int | float] = []
    default: Any = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | Literal["any"] | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None


def fields_of(form: Form) -> list[Field]:
    """Return the fields of a form in their order."""
    shown = prefill(form, {})
    return [
        _field(name, prop, name in form["required"], shown.get(name))
        for name, prop in form["properties"].items()
    ]


def _field(name: str, prop: Property, required: bool, default: Any) -> Field:
    kind = kind_of(prop)
    step = _step(kind, prop)
    can_be_empty = kind == "boolean" or (kind == "multiselect" and not prop.get("minItems"))
    return Field(
        name=name,
        label=prop.get("title") or _in_words(name),
        kind=kind,
        required=required and "default" not in prop and not can_be_empty,
        description=prop.get("description", ""),
        options=prop.get("enum") or prop.get("items", {}).get("enum", []),
        default=default,
        minimum=_end(prop, ("minimum", "exclusiveMinimum"), 1, step),
        maximum=_end(prop, ("maximum", "exclusiveMaximum"), -1, step),
        step=step,
        min_length=prop.get("minLength"),
        max_length=prop.get("maxLength"),
        min_items=prop.get("minItems"),
        max_items=prop.get("maxItems"),
    )


def _in_words(name: str) -> str:
    """Return ``dueDate`` and ``due_date`` as ``Due date``; abbreviations stay."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ")
    words = [word if word.isupper() else word.lower() for word in split.split()]
    text = " ".join(words) or name
    return text[0].upper() + text[1:]


def _step(kind: Kind, prop: Property) -> int | float | Literal["any"] | None:
    if kind == "integer":
        return exact(prop.get("multipleOf", 1)).numerator
    if kind == "number":
        step: int | float | Literal["any"] = prop.get("multipleOf", "any")
        return step
    return "any" if kind == "datetime" else None


def _end(
    prop: Property, keywords: tuple[str, str], sign: int, step: float | str | None
) -> int | float | None:
    """Return the first number that an input takes (sign 1), or the last one (sign -1).

    Browsers count steps from the first number, so that has to be one that is allowed.
    """
    bounds = [sign * prop[keyword] for keyword in keywords if keyword in prop]
    if not bounds or not isinstance(step, int | float):
        return sign * max(bounds) if bounds else None
    unit, excluded = exact(step), prop.get(keywords[1])
    end = math.ceil(exact(max(bounds)) / unit) * unit
    if excluded is not None and end == sign * exact(excluded):
        end += unit
    return sign * (int(end) if end.denominator == 1 else float(end))


# --- values ---


def prefill(form: Form, fields: Mapping[str, Any], *, from_form: bool = False) -> dict[str, Any]:
    """Return what the inputs of a form show.

    Parameters
    ----------
    form : Form
        As `check_form` returns it.
    fields : mapping
        The fields of a URL's query or of the HTML form that was sent; others are ignored.
    from_form : bool
        Whether an HTML form was sent, so that the defaults are not shown again.

    Returns
    -------
    dict
        Numbers, bools, texts, and a list for several choices. A text that can't be converted is as
        it came. Dates with times are as ``datetime-local`` has them, in UTC. Fields that show
        nothing are left out.
    """
    values = {} if from_form else defaults_of(form)
    values |= given_values(form, fields, from_form=from_form)
    properties = form["properties"]
    shown = {name: _shown(properties[name], value) for name, value in values.items()}
    return {name: value for name, value in shown.items() if value is not None}


def _shown(prop: Property, value: Any) -> Any:
    """Return what an input shows for a value, or None if it can't show the value."""
    kind = kind_of(prop)
    if isinstance(value, list) and kind != "multiselect":
        return _shown(prop, value[0]) if value and not isinstance(value[0], list) else None
    if kind == "datetime" and isinstance(value, str):
        return _local(value) if problem_of(prop, value) is None else value
    return value if isinstance(value, str | int | float | list) else None


def _local(text: str) -> str:
    """Return a date with a time as ``datetime-local`` has it: in UTC, with milliseconds at most."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # before the first year, or after the last
        return text
    if at.microsecond:
        return at.isoformat(timespec="milliseconds")
    return at.isoformat(timespec="seconds" if at.second else "minutes")
