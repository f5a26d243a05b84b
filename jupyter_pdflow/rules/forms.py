"""Forms: flat JSON Schemas that say what a person is asked, and answers to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from itertools import islice
from types import UnionType
from typing import Any, TypeAlias

from jupyter_pdflow.exceptions import FieldError, InvalidAnswerError
from jupyter_pdflow.rules.form_values import (
    FORMATS,
    Property,
    convert,
    is_blank,
    is_number,
    kind_of,
    problem_of,
    text_of,
)
from jupyter_pdflow.rules.patterns import text_limit

Form: TypeAlias = dict[str, Any]
"""A flat JSON Schema, as `check_form` returns it.

``{"type": "object", "title"?, "description"?, "properties": {name: property}, "required": [name],
"additionalProperties"?: bool}``. A property with the default null may be null in answers.
"""

FIELDS_LIMIT = 50
"""Maximum number of fields of a form."""

FORM_BYTES = 20_000
"""Maximum size of a form as JSON, in bytes."""

NAME_LIMIT = 100
"""Maximum number of characters of a field's name."""

RESERVED_NAMES = frozenset({"_xsrf", "token", "__proto__"})
"""Names that fields can't have: Jupyter reads the first two in forms, JavaScript the third."""

POSSIBLE = (
    "a field is a text, a number, a whole number, yes or no, a date, a date and time, one of several "
    "choices, or a list of choices"
)
"""The end of the message about a field that is something else."""

_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "deprecated", "examples", "readOnly", "writeOnly"}
)
_COMMON = ("type", "title", "description", "default")
_NUMBER = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
_KEYWORDS = {
    "string": ("format", "minLength", "maxLength", "pattern"),
    "number": _NUMBER,
    "integer": _NUMBER,
    "boolean": (),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "enum": ("enum",),
}
_FORM_KEYWORDS = ("type", "title", "description", "properties", "required", "additionalProperties")
_PAIRS = (("minLength", "maxLength"), ("minimum", "maximum"), ("minItems", "maxItems"))


def check_form(schema: object) -> Form:
    """Check a schema that comes from an author or from a kernel.

    Parameters
    ----------
    schema : object
        A flat JSON Schema; see `Form`.

    Returns
    -------
    Form
        A copy with the keywords that forms have. A text with a `pattern` has a `maxLength`, dates
        with times in defaults have a zone, and all is as small as the limits say.

    Raises
    ------
    ValueError
        It is no such schema. The message starts with ``form:`` and names the field.
    """
    given = _picked(None, schema, _FORM_KEYWORDS)
    properties = given.get("properties")
    if given.get("type") != "object" or not isinstance(properties, dict):
        raise refusal(None, 'must be a JSON Schema with "type": "object" and "properties"')
    if not 1 <= len(properties) <= FIELDS_LIMIT:
        raise refusal(None, f"has {len(properties)} fields, and needs 1 to {FIELDS_LIMIT}")
    required = _checked_required(given.get("required", []), properties)
    form = {
        **given,
        "properties": {
            _checked_name(name): _checked_property(name, prop, required=name in required)
            for name, prop in properties.items()
        },
        "required": required,
    }
    _check_size(form)
    return form


def refusal(name: str | None, text: str) -> ValueError:
    """Return the error about a form, or about one of its fields."""
    where = "" if name is None else f" {name[:NAME_LIMIT]}:"
    return ValueError(f"form:{where} {text}.")


def _picked(name: str | None, schema: object, keywords: tuple[str, ...]) -> dict[str, Any]:
    """Return a schema with these keywords in this order, checked as far as they are simple."""
    if not isinstance(schema, dict):
        raise refusal(name, f"must be a JSON Schema; {POSSIBLE}")
    for keyword in schema:
        is_text = isinstance(keyword, str)
        if not is_text or not (keyword in keywords or _is_annotation(keyword)):
            shown = keyword[:NAME_LIMIT] if is_text else type(keyword).__name__
            raise refusal(name, f"{shown!r} is not possible here; {POSSIBLE}")
    picked = {keyword: schema[keyword] for keyword in keywords if keyword in schema}
    for keyword, value in picked.items():
        if keyword in _RULES and not _RULES[keyword][0](value):
            raise refusal(name, f"{keyword!r} has to be {_RULES[keyword][1]}")
    return picked


def _is_annotation(keyword: str) -> bool:
    return keyword in _ANNOTATIONS or keyword.startswith("x-")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_count(value: object) -> bool:
    return is_number(value) and isinstance(value, int) and value >= 0


_TEXT, _BOOL = (_is_text, "a text"), (_is_bool, "true or false")
_COUNT, _FINITE = (_is_count, "a whole number from 0 up"), (is_number, "a number")
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": _TEXT,
    "description": _TEXT,
    "pattern": _TEXT,
    "format": (lambda value: _is_text(value) and value in FORMATS, f"one of {', '.join(FORMATS)}"),
    "additionalProperties": _BOOL,
    "uniqueItems": _BOOL,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    **dict.fromkeys(_NUMBER, _FINITE),
    "multipleOf": (lambda value: is_number(value) and value > 0, "a number above 0"),
}


def _checked_required(names: object, properties: dict[Any, Any]) -> list[str]:
    if not isinstance(names, list) or not all(map(_is_text, names)):
        raise refusal(None, "'required' has to be a list of names")
    unknown = next((name for name in names if name not in properties), None)
    if unknown is not None:
        raise refusal(unknown, "is required, and is no field")
    wanted = set(names)
    return [name for name in properties if name in wanted]


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise refusal(None, "a field's name has to be a text without spaces at its ends")
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise refusal(name, f"a name has at most {NAME_LIMIT} printable characters")
    if name in RESERVED_NAMES:
        raise refusal(name, "the name is reserved; choose another one")
    return name


def _checked_property(name: str, given: object, *, required: bool) -> Property:
    group = _group(name, given)
    prop = _picked(name, given, (*_COMMON, *_KEYWORDS[group]))
    if group == "enum":
        prop["enum"] = _checked_choices(name, prop)
    if group == "array":
        prop["items"] = _checked_items(name, prop.get("items"))
    _check_bounds(name, prop)
    if "default" in prop:
        _check_default(name, prop, required=required)
    return prop


def _group(name: str, given: object) -> str:
    """Return the key of a property's keywords in `_KEYWORDS`."""
    kind = given.get("type") if isinstance(given, dict) else None
    if (
        isinstance(given, dict)
        and "enum" in given
        and kind in (None, "string", "number", "integer")
    ):
        return "enum"
    if isinstance(kind, str) and kind in _KEYWORDS and kind != "enum":
        return kind
    if isinstance(given, dict) and ("anyOf" in given or "oneOf" in given):
        raise refusal(name, f"is a union; {POSSIBLE}")
    what = (
        f"is of type {kind[:NAME_LIMIT]!r}" if isinstance(kind, str) else "has no type of a field"
    )
    raise refusal(name, f"{what}; {POSSIBLE}")


def _checked_choices(name: str, prop: Mapping[str, Any]) -> list[str | int | float]:
    choices = prop["enum"]
    if not isinstance(choices, list) or not choices or not all(map(_is_choice, choices)):
        raise refusal(name, "choices have to be numbers, or texts of one line that are not blank")
    texts = {text_of(choice) for choice in choices}
    if len(texts) < len(choices):
        raise refusal(name, "two choices read the same")
    fits = _CHOICES[prop.get("type")]
    if not all(isinstance(choice, fits) for choice in choices):
        raise refusal(name, f"a choice is no {prop['type']}")
    return list(choices)


_CHOICES: dict[str | None, type | UnionType] = {
    None: str | int | float,
    "string": str,
    "number": int | float,
    "integer": int,
}


def _is_choice(choice: object) -> bool:
    if isinstance(choice, str):
        return choice.isprintable() and not choice.isspace() and choice != ""
    return is_number(choice)


def _checked_items(name: str, items: object) -> Property:
    if not isinstance(items, dict) or "enum" not in items or _group(name, items) != "enum":
        raise refusal(name, f"is a list of something else than choices; {POSSIBLE}")
    picked = _picked(name, items, ("type", "title", "description", "enum"))
    return {"enum": _checked_choices(name, picked)}


def _check_bounds(name: str, prop: Property) -> None:
    if "pattern" in prop:
        try:
            limit = text_limit(prop["pattern"])
        except ValueError as error:
            raise refusal(name, f"the pattern {error}") from None
        prop["maxLength"] = min(prop.get("maxLength", limit), limit)
    for least, most in _PAIRS:
        if least in prop and most in prop and prop[least] > prop[most]:
            raise refusal(name, f"no value is possible: {least!r} is above {most!r}")


def _check_default(name: str, prop: Property, *, required: bool) -> None:
    default = prop["default"]
    if default is None:
        # For what is required, null can only mean that there is no default.
        if required:
            del prop["default"]
        return
    if not isinstance(default, str) or kind_of(prop) == "datetime":
        prop["default"] = convert(prop, default)
    problem = problem_of(prop, prop["default"])
    if problem is not None:
        raise refusal(name, f"the default does not fit: {problem.rstrip('.')}")


def _check_size(form: Form) -> None:
    try:
        size = len(json.dumps(form, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise refusal(None, "a text has half a surrogate pair") from None
    if size > FORM_BYTES:
        raise refusal(None, f"has {size:,} bytes as JSON; the limit is {FORM_BYTES:,}")


# --- answers ---


def answer_of(
    form: Form, given: Any, *, from_form: bool = False, from_query: bool = False
) -> dict[str, Any]:
    """Return an answer in the types of its form, with defaults filled in.

    An answer is the same whichever way it came, and an answer of this function stays as it is.

    Parameters
    ----------
    form : Form
        As `check_form` returns it.
    given : JSON value
        An object, or None for an empty one. Texts are converted; a list of texts is what a field
        has that came several times.
    from_form : bool
        Whether an HTML form was sent: it leaves out boxes that are not ticked, ends lines with CRLF,
        and has fields of its page.
    from_query : bool
        Whether `given` was in a URL, which may have fields that are not meant for the form.

    Returns
    -------
    dict
        JSON values. Fields that the form does not have are left out of an answer that came from a
        form or a query, and kept otherwise.

    Raises
    ------
    InvalidAnswerError
        The answer is not valid.
    """
    if given is not None and not isinstance(given, dict):
        raise InvalidAnswerError([FieldError("", "Must be an object.")])
    fields = given or {}
    values = defaults_of(form) | given_values(form, fields, from_form=from_form)
    answer = {name: values[name] for name in form["properties"] if name in values}
    if not from_form and not from_query:
        unknown = fields.keys() - form["properties"].keys()
        answer |= {name: value for name, value in fields.items() if name in unknown}
    errors = list(_errors(form, answer))
    if errors:
        raise InvalidAnswerError(errors)
    return answer


def defaults_of(form: Form) -> dict[str, Any]:
    """Return the defaults of a form by the names of their fields."""
    return {
        name: copy(prop["default"])
        for name, prop in form["properties"].items()
        if "default" in prop
    }


def given_values(form: Form, fields: Mapping[str, Any], *, from_form: bool) -> dict[str, Any]:
    """Return the fields that were given, and those that an HTML form says something about.

    It leaves out boxes that are not ticked, and lists without a choice. A list that may be left out
    is taken as left out, so that its `minItems` holds only for those who choose.
    """
    values: dict[str, Any] = {}
    required = form["required"]
    for name, prop in form["properties"].items():
        kind, value = kind_of(prop), fields.get(name)
        if not is_blank(value) or (kind == "boolean" and value is not None):
            values[name] = convert(prop, _with_line_feeds(value) if from_form else value)
        elif from_form and kind == "boolean":
            values[name] = False
        elif from_form and kind == "multiselect" and (prop.get("default") or name in required):
            values[name] = []
    return values


def _with_line_feeds(value: Any) -> Any:
    """Return a text as it was typed; HTML forms send CRLF for each line's end."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def _errors(form: Form, answer: Mapping[str, Any]) -> Iterator[FieldError]:
    properties = form["properties"]
    for name, prop in properties.items():
        # Null is only there as a default.
        problem = None if answer.get(name) is None else problem_of(prop, answer[name])
        if name in form["required"] and name not in answer:
            problem = "This is required."
        if problem is not None:
            yield FieldError(name, problem)
    if not form.get("additionalProperties", True):
        unknown = (name for name in answer if name not in properties)
        for name in islice(unknown, FIELDS_LIMIT):
            yield FieldError(name[:NAME_LIMIT], "There is no such field.")
