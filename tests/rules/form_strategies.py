"""Hypothesis strategies for forms, answers and JSON values."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from jupyter_pdflow.rules.form_values import kind_of
from jupyter_pdflow.rules.forms import Form, check_form

# A text of a form has its lines ended by CRLF, so none has CR here.
TEXTS = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=20)
LINES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=5)
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(-1e20, 1e20, allow_nan=False), st.integers(-9, 9)
)

JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.sampled_from(
            ["7", "7.0", "1e3", " ", "on", "no", "2026-11-28", "2026-11-28T10:00", "a"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


COUNTS = st.integers(0, 8)
BOUNDS = {
    "minimum": st.integers(-5, 0),
    "exclusiveMinimum": st.integers(-5, 0),
    "maximum": st.integers(1, 50),
    "exclusiveMaximum": st.integers(1, 50),
    # jsonschema divides with binary fractions.
    "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25]),
}
CHOICES = st.lists(
    st.one_of(LINES, st.integers(-9, 9), st.sampled_from([0.5, 2.0])), min_size=1, max_size=4
)


@st.composite
def properties(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["string", "number", "integer", "boolean", "enum", "array"]))
    texts = draw(some(title=TEXTS, description=TEXTS))
    if kind == "enum":
        return {"enum": draw(CHOICES), **texts}
    if kind == "array":
        bounds = draw(some(minItems=COUNTS, maxItems=COUNTS, uniqueItems=st.booleans()))
        return {"type": kind, "items": {"enum": draw(CHOICES)}, **bounds, **texts}
    if kind == "string":
        formats = st.sampled_from(["date", "date-time", "email", "uri", "textarea"])
        bounds = draw(st.one_of(some(minLength=COUNTS, maxLength=COUNTS), some(format=formats)))
        return {"type": kind, **bounds, **texts}
    return {"type": kind, **(draw(some(**BOUNDS)) if kind != "boolean" else {}), **texts}


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Return a form that `check_form` has returned."""
    given = draw(st.dictionaries(LINES, properties(), min_size=1, max_size=4))
    required = draw(st.lists(st.sampled_from(list(given)), unique=True))
    form = checked({"type": "object", "properties": given, "required": required})
    for name, prop in form["properties"].items():
        if draw(st.booleans()):
            default = draw(st.one_of(st.none(), valid_values(prop)))
            form["properties"][name] = {**prop, "default": default}
    return checked(form)


def checked(schema: Any) -> Form:
    """Check a schema that may be wrong by chance, such as two choices that read the same."""
    try:
        return check_form(schema)
    except ValueError:
        assume(condition=False)
        raise


# Inputs show times with milliseconds at most.
TIMES = st.datetimes().map(lambda at: f"{at.isoformat(timespec='milliseconds')}Z")
STRINGS = {
    "date": st.dates().map(str),
    "datetime": TIMES,
    "email": st.sampled_from(["ada@example.org", '"a b"@example.org', "a@exämple.org"]),
    "url": st.sampled_from(["https://example.org/ä?a=1#b", "mailto:a@example.org", "urn:x:1"]),
}


def valid_values(prop: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that mostly fit a property; `jsonschema` knows which do."""
    kind = kind_of(prop)
    if kind == "select":
        return st.sampled_from(prop["enum"])
    if kind == "multiselect":
        return st.lists(st.sampled_from(prop["items"]["enum"]), max_size=5)
    if kind in ("integer", "number"):
        numbers = st.one_of(st.integers(-9, 60), st.integers())
        return numbers if kind == "integer" else st.one_of(numbers, NUMBERS)
    return st.booleans() if kind == "boolean" else STRINGS.get(kind, TEXTS)


@st.composite
def forms_with_answers(draw: st.DrawFn) -> tuple[Form, dict[str, Any]]:
    """Return a form and a JSON object with values for its fields, most of which fit."""
    form = draw(forms())
    answer = {
        name: draw(valid_values(prop))
        for name, prop in form["properties"].items()
        if name in form["required"] or draw(st.booleans())
    }
    return form, answer
