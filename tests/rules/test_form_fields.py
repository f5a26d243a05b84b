"""The fields that a form draws, and what they show."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.rules.form_fields import Field, fields_of, prefill
from jupyter_pdflow.rules.forms import answer_of, check_form


def form_of(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return check_form({"type": "object", "properties": properties, "required": [*required]})


def field_of(prop: dict[str, Any], required: bool = True, name: str = "field") -> Field:
    (field,) = fields_of(form_of(*[name] * required, **{name: prop}))
    return field


KINDS = {
    "text": {"type": "string"},
    "textarea": {"type": "string", "format": "textarea"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "select": {"enum": ["a", 1]},
    "multiselect": {"type": "array", "items": {"enum": ["a", 1]}},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    field = field_of(KINDS[kind])
    assert field.kind == kind
    assert field.options == (["a", 1] if "select" in kind else [])
    # A browser would insist on a box that is ticked.
    assert field.required == (kind not in ("boolean", "multiselect"))
    assert not field_of(KINDS[kind], required=False).required


def test_a_whole_field() -> None:
    form = form_of(
        "due_date",
        "note",
        due_date=KINDS["date"],
        note={"type": "string", "title": "Your note", "description": "Why?", "maxLength": 9},
        amount={"type": "number", "default": 2.5, "minimum": 1, "maximum": 3, "multipleOf": 0.5},
        colours={**KINDS["multiselect"], "minItems": 1, "maxItems": 2},
    )
    assert fields_of(form) == [
        Field(name="due_date", label="Due date", kind="date", required=True),
        Field(
            name="note",
            label="Your note",
            kind="text",
            required=True,
            description="Why?",
            max_length=9,
        ),
        Field(
            name="amount",
            label="Amount",
            kind="number",
            required=False,
            default=2.5,
            minimum=1,
            maximum=3,
            step=0.5,
        ),
        Field(
            name="colours",
            label="Colours",
            kind="multiselect",
            required=False,
            options=["a", 1],
            min_items=1,
            max_items=2,
        ),
    ]


def test_what_has_to_be_filled_in() -> None:
    assert not field_of({"type": "string", "default": "x"}).required
    assert field_of({**KINDS["multiselect"], "minItems": 1}).required


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("dueDate", "Due date"),
        ("due-date", "Due date"),
        ("IBAN", "IBAN"),
        ("customer_ID", "Customer ID"),
        ("__", "__"),
        ("größe", "Größe"),
    ],
)
def test_labels(name: str, label: str) -> None:
    assert field_of({"type": "string"}, name=name).label == label


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"type": "integer"}, (None, None, 1)),
        ({"type": "integer", "minimum": 2.5, "maximum": 7.5}, (3, 7, 1)),
        ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 7}, (3, 6, 1)),
        ({"type": "integer", "exclusiveMinimum": 2, "minimum": 5}, (5, None, 1)),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, (5, None, 5)),
        ({"type": "integer", "maximum": -3, "multipleOf": 1.5}, (None, -3, 3)),
        ({"type": "number", "minimum": 0.25, "exclusiveMaximum": 1}, (0.25, 1, "any")),
        ({"type": "number", "minimum": 0.25, "multipleOf": 0.1}, (0.3, None, 0.1)),
        ({"type": "number", "exclusiveMaximum": 0.3, "multipleOf": 0.1}, (None, 0.2, 0.1)),
        ({"type": "string", "format": "date-time"}, (None, None, "any")),
    ],
)
def test_steps_start_at_a_number_that_is_allowed(
    bounds: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    field = field_of(bounds)
    assert (field.minimum, field.maximum, field.step) == expected
    for number in filter(None, (field.minimum, field.maximum)):
        if "exclusiveMaximum" not in bounds or field.step != "any":
            assert answer_of(form_of(field=bounds), {"field": number}) == {"field": number}


FORM = form_of(
    "amount",
    amount={"type": "integer", "default": 3},
    box={"type": "boolean", "default": True},
    at={"type": "string", "format": "date-time"},
    colours={**KINDS["multiselect"], "default": ["a"]},
    maybe={"type": "string", "default": None},
    price={"type": "number"},
)


def test_defaults_are_shown() -> None:
    assert prefill(FORM, {}) == {"amount": 3, "box": True, "colours": ["a"]}


def test_the_query_is_shown() -> None:
    query = {"amount": "7", "box": "no", "at": "2026-11-28T10:00Z", "colours": "1", "_xsrf": "x"}
    shown = {"amount": 7, "box": False, "at": "2026-11-28T10:00", "colours": [1]}
    assert prefill(FORM, query) == shown


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"amount": "seven"}, {"amount": "seven"}),
        ({"amount": "99"}, {"amount": 99}),
        ({"amount": ["8", "9"]}, {"amount": "8"}),
        ({"amount": [["8"]]}, {}),
        ({"amount": {"filename": "a"}}, {}),
        ({"amount": " "}, {}),
        ({"price": "1e999"}, {"price": "1e999"}),
        ({"box": "on", "colours": ["a", "c"]}, {"box": True, "colours": ["a", "c"]}),
        ({"at": "2026-11-28T10:00:30+02:00"}, {"at": "2026-11-28T08:00:30"}),
        ({"at": "2026-11-28T10:00:00.123456Z"}, {"at": "2026-11-28T10:00:00.123"}),
        ({"at": "0001-01-01T00:00:00+02:00"}, {"at": "0001-01-01T00:00:00+02:00"}),
        ({"at": "tomorrow"}, {"at": "tomorrow"}),
        ({"maybe": "a\r\nb"}, {"maybe": "a\nb"}),
    ],
)
def test_a_form_that_was_sent_is_shown_again(fields: Any, shown: dict[str, Any]) -> None:
    # Neither box nor list is shown as it was at first.
    expected = {"box": False, "colours": [], **shown}
    assert prefill(FORM, fields, from_form=True) == expected
