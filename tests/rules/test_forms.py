"""Answers in the types of their form, messages about wrong ones, and what a form may ask."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.exceptions import FieldError, InvalidAnswerError
from jupyter_pdflow.rules.form_values import ITEMS_LIMIT, NUMBER_DIGITS
from jupyter_pdflow.rules.forms import (
    FIELDS_LIMIT,
    FORM_BYTES,
    NAME_LIMIT,
    Form,
    answer_of,
    check_form,
)

TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
BOOLEAN = {"type": "boolean"}
COLOUR = {"enum": ["red", "blue"]}
SIZE = {"enum": [1, 2.5, "XL"]}
COLOURS = {"type": "array", "items": COLOUR}
DATE = {"type": "string", "format": "date"}
DATE_TIME = {"type": "string", "format": "date-time"}
EMAIL = {"type": "string", "format": "email"}
URI = {"type": "string", "format": "uri"}


def form_of(required: bool = False, **properties: dict[str, Any]) -> Form:
    names = list(properties) if required else []
    return check_form({"type": "object", "properties": properties, "required": names})


def value_of(prop: dict[str, Any], given: Any, **ways: bool) -> Any:
    """Return the value of the one field of a form, or what is wrong with it."""
    try:
        return answer_of(form_of(field=prop), {"field": given}, **ways).get("field", "absent")
    except InvalidAnswerError as error:
        ((field, message),) = error.errors
        assert field == "field"
        return f"! {message}"


# --- values ---


@pytest.mark.parametrize(
    ("prop", "given", "value"),
    [
        (TEXT, " Ada\n", " Ada\n"),
        (INTEGER, "7", 7),
        (INTEGER, " +7 ", 7),
        (INTEGER, "-007", -7),
        (INTEGER, "7.0", 7),
        (INTEGER, 7.0, 7),
        (NUMBER, "7", 7),
        (NUMBER, "-.5", -0.5),
        (NUMBER, "1.5e3", 1500.0),
        (NUMBER, 1e20, 1e20),
        (NUMBER, "9" * NUMBER_DIGITS, int("9" * NUMBER_DIGITS)),
        (BOOLEAN, "on", True),
        (BOOLEAN, " Yes", True),
        (BOOLEAN, "1", True),
        (BOOLEAN, "false", False),
        (BOOLEAN, "OFF", False),
        (BOOLEAN, "", False),
        (BOOLEAN, False, False),
        (COLOUR, " red", "red"),
        (SIZE, "1", 1),
        (SIZE, "2.50", 2.5),
        (SIZE, 1.0, 1),
        (SIZE, "XL", "XL"),
        ({"enum": [" a", "a"]}, " a", " a"),
        (COLOURS, "red", ["red"]),
        (COLOURS, ["blue", "red"], ["blue", "red"]),
        (COLOURS, ["", "red", None], ["red"]),
        (COLOURS, [], []),
        ({"type": "array", "items": SIZE}, ["1", "XL"], [1, "XL"]),
        (DATE, " 2028-02-29 ", "2028-02-29"),
        (DATE_TIME, "2026-11-28T10:00", "2026-11-28T10:00:00Z"),
        (DATE_TIME, "2026-11-28 10:00:30", "2026-11-28T10:00:30Z"),
        (DATE_TIME, "2026-11-28t10:00:00.123456789z", "2026-11-28T10:00:00.123456789Z"),
        (DATE_TIME, "2026-11-28T10:00:00+05:30", "2026-11-28T10:00:00+05:30"),
        (EMAIL, " ada@example.org", "ada@example.org"),
        (URI, " https://example.org/a?b=c#d ", "https://example.org/a?b=c#d"),
        (URI, "https://de.wikipedia.org/wiki/Käse", "https://de.wikipedia.org/wiki/Käse"),
        (URI, "mailto:ada@example.org", "mailto:ada@example.org"),
    ],
)
@pytest.mark.parametrize("ways", [{}, {"from_query": True}, {"from_form": True}])
def test_values(prop: dict[str, Any], given: Any, value: Any, ways: dict[str, bool]) -> None:
    found = value_of(prop, given, **ways)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("prop", "given", "message"),
    [
        (TEXT, 7, "Must be text."),
        (TEXT, ["a", "b"], "Only one value is possible."),
        (TEXT, {"filename": "a.txt"}, "Must be text."),
        ({**TEXT, "minLength": 3}, "ab", "Must have at least 3 characters."),
        ({**TEXT, "maxLength": 1}, "ab", "Must have at most 1 character."),
        ({**TEXT, "pattern": "^[A-Z]{2}$"}, "AB\n", "Must match ^[A-Z]{2}$"),
        (INTEGER, "1.5", "Must be a whole number."),
        (INTEGER, "1e3", "Must be a whole number."),
        (INTEGER, "1_000", "Must be a whole number."),
        (INTEGER, "٣", "Must be a whole number."),
        (INTEGER, True, "Must be a whole number."),
        (INTEGER, "9" * 1_000_000, "Must be a whole number."),
        (INTEGER, 10**NUMBER_DIGITS, "Must be a whole number."),
        (NUMBER, "1,5", "Must be a number, such as 1.5."),
        (NUMBER, "9" * 1_000_000, "Must be a number, such as 1.5."),
        (NUMBER, "nan", "Must be a number, such as 1.5."),
        (NUMBER, "1e999", "Must be a number, such as 1.5."),
        (NUMBER, "Infinity", "Must be a number, such as 1.5."),
        (NUMBER, float("nan"), "Must be a number, such as 1.5."),
        (NUMBER, float("-inf"), "Must be a number, such as 1.5."),
        (NUMBER, False, "Must be a number, such as 1.5."),
        ({**INTEGER, "minimum": 3}, "2", "Must be at least 3."),
        ({**NUMBER, "exclusiveMinimum": 0.5}, 0.5, "Must be more than 0.5."),
        ({**NUMBER, "maximum": 1000.0}, 1001, "Must be at most 1000."),
        ({**INTEGER, "exclusiveMaximum": 3}, 3, "Must be less than 3."),
        ({**NUMBER, "multipleOf": 0.05}, "0.07", "Must be a multiple of 0.05."),
        (BOOLEAN, "maybe", "Must be yes or no."),
        (BOOLEAN, 1, "Must be yes or no."),
        (COLOUR, "green", "Choose one of: red, blue."),
        ({"enum": [1, 2]}, True, "Choose one of: 1, 2."),
        ({"enum": ["1", "2"]}, 1, "Choose one of: 1, 2."),
        (COLOURS, ["red", "green"], "Choose from: red, blue."),
        (COLOURS, [["red"]], "Choose from: red, blue."),
        (COLOURS, {"red": True}, "Choose from: red, blue."),
        ({**COLOURS, "minItems": 2}, "red", "Choose at least 2."),
        ({**COLOURS, "maxItems": 1}, ["red", "blue"], "Choose at most 1."),
        ({**COLOURS, "uniqueItems": True}, ["red", "red"], "Choose each one only once."),
        (COLOURS, ["green"] * 100_000, f"Choose at most {ITEMS_LIMIT}."),
        (DATE, "2027-02-29", "Must be a date, such as 2026-11-28."),
        (DATE, "20261128", "Must be a date, such as 2026-11-28."),
        (DATE, "2026-11-28T10:00", "Must be a date, such as 2026-11-28."),
        (DATE_TIME, "2026-11-28", "Must be a date and a time, such as 2026-11-28T10:00."),
        (DATE_TIME, "2026-13-28T10:00", "Must be a date and a time, such as 2026-11-28T10:00."),
        (DATE_TIME, "2026-11-28T24:00", "Must be a date and a time, such as 2026-11-28T10:00."),
        (DATE_TIME, 1_764_324_000, "Must be a date and a time, such as 2026-11-28T10:00."),
        (EMAIL, "ada", "Must be an email address."),
        (EMAIL, "Ada <ada@example.org>", "Must be an email address."),
        (EMAIL, "a@example.org\r\nBcc: b@example.org", "Must be an email address."),
        (URI, "example.org", "Must be an address, such as https://example.org."),
        (URI, "https:///path", "Must be an address, such as https://example.org."),
        (URI, "https://a:b", "Must be an address, such as https://example.org."),
        (URI, "http://[", "Must be an address, such as https://example.org."),
        (URI, "JavaScript:alert(1)", "Must be an address, such as https://example.org."),
        (URI, "java\nscript:alert(1)", "Must be an address, such as https://example.org."),
        (URI, "data:text/html,x", "Must be an address, such as https://example.org."),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("ways", [{}, {"from_query": True}, {"from_form": True}])
def test_wrong_values(
    prop: dict[str, Any], given: Any, message: str, ways: dict[str, bool]
) -> None:
    assert value_of(prop, given, **ways) == f"! {message}"


def test_multiples_are_those_of_the_digits() -> None:
    price = {**NUMBER, "multipleOf": 0.01}
    for text in ("0.29", "1.1", "19.99", "4.35", "100000.07"):
        assert value_of(price, text) == float(text)


def test_many_choices_are_cut_short() -> None:
    message = value_of({"enum": [f"choice {n}" for n in range(100)]}, "x")
    assert message.startswith("! Choose one of: choice 0, choice 1,")
    assert message.endswith("…")
    assert len(message) < 300


# --- what is absent ---


@pytest.mark.parametrize("blank", ["", " \n", None])
@pytest.mark.parametrize("ways", [{}, {"from_query": True}, {"from_form": True}])
@pytest.mark.parametrize("prop", [TEXT, NUMBER, COLOUR, DATE, EMAIL])
def test_an_empty_input_is_absent(prop: dict[str, Any], blank: Any, ways: dict[str, bool]) -> None:
    assert value_of(prop, blank, **ways) == "absent"
    form = form_of(required=True, field=prop)
    with pytest.raises(InvalidAnswerError) as caught:
        answer_of(form, {"field": blank}, **ways)
    assert caught.value.errors == [("field", "This is required.")]


def test_defaults_are_filled_in() -> None:
    form = form_of(
        note={**TEXT, "default": "fine"},
        amount={**INTEGER, "default": 3},
        colours={**COLOURS, "default": ["red"]},
        when={**DATE_TIME, "default": "2026-01-01T00:00:00"},
        maybe={**TEXT, "default": None},
        other=TEXT,
    )
    expected = {
        "note": "fine",
        "amount": 3,
        "colours": ["red"],
        "when": "2026-01-01T00:00:00Z",
        "maybe": None,
    }
    answer = answer_of(form, None)
    assert answer == answer_of(form, {}) == answer_of(form, {"note": " ", "amount": ""}) == expected
    answer["colours"].append("blue")
    assert answer_of(form, {}) == expected


def test_what_is_required_and_has_a_default_may_be_absent() -> None:
    form = form_of(required=True, amount={**INTEGER, "default": 3})
    assert answer_of(form, {}) == {"amount": 3}


def test_an_html_form_leaves_out_what_is_not_ticked() -> None:
    box = {**BOOLEAN, "default": True}
    assert answer_of(form_of(box=box), {}) == {"box": True}
    assert answer_of(form_of(box=box), {}, from_query=True) == {"box": True}
    assert answer_of(form_of(box=box), {}, from_form=True) == {"box": False}
    assert answer_of(form_of(required=True, box=BOOLEAN), None, from_form=True) == {"box": False}


def test_an_html_form_leaves_out_a_list_without_a_choice() -> None:
    assert answer_of(form_of(colours=COLOURS), {}, from_form=True) == {}
    chosen = {**COLOURS, "default": ["red"]}
    assert answer_of(form_of(colours=chosen), {}, from_form=True) == {"colours": []}
    form = form_of(required=True, colours=COLOURS)
    assert answer_of(form, {}, from_form=True) == {"colours": []}
    with pytest.raises(InvalidAnswerError, match=r"colours: This is required\.$"):
        answer_of(form, {})
    some = form_of(required=True, colours={**COLOURS, "minItems": 1})
    with pytest.raises(InvalidAnswerError, match=r"colours: Choose at least 1\.$"):
        answer_of(some, {}, from_form=True)


def test_an_html_form_ends_lines_as_they_were_typed() -> None:
    short = {**TEXT, "maxLength": 3}
    assert value_of(short, "a\r\nb", from_form=True) == "a\nb"
    assert value_of(short, "a\r\nb") == "! Must have at most 3 characters."


# --- whole answers ---


def test_all_errors_are_told_at_once() -> None:
    form = form_of(required=True, amount={**INTEGER, "minimum": 3, "multipleOf": 2}, note=TEXT)
    with pytest.raises(InvalidAnswerError) as caught:
        answer_of(form, {"amount": 1, "other": 1})
    errors = [FieldError("amount", "Must be at least 3."), FieldError("note", "This is required.")]
    assert caught.value.errors == errors
    assert (caught.value.status, caught.value.reason) == (422, "invalid_answer")
    assert str(caught.value) == "The answer is not valid at amount: Must be at least 3. (1 more)"


@pytest.mark.parametrize("given", ["text", 0, False, [], [{"field": "x"}], 1.5])
def test_an_answer_is_an_object(given: Any) -> None:
    with pytest.raises(InvalidAnswerError) as caught:
        answer_of(form_of(field=TEXT), given)
    assert caught.value.errors == [("", "Must be an object.")]


def test_unknown_fields_are_kept_only_in_json() -> None:
    form = form_of(amount=INTEGER)
    given = {"utm_source": "mail", "amount": "7", "blank": ""}
    assert answer_of(form, given) == {"amount": 7, "utm_source": "mail", "blank": ""}
    assert answer_of(form, given, from_query=True) == {"amount": 7}
    assert answer_of(form, given, from_form=True) == {"amount": 7}


def test_unknown_fields_may_be_refused() -> None:
    form = check_form({**form_of(amount=INTEGER), "additionalProperties": False})
    given = {"amount": 7, **{f"{n}" * 1000: n for n in range(200)}}
    assert answer_of(form, given, from_form=True) == {"amount": 7}
    with pytest.raises(InvalidAnswerError) as caught:
        answer_of(form, given)
    assert caught.value.errors[0] == ("0" * NAME_LIMIT, "There is no such field.")
    assert len(caught.value.errors) == FIELDS_LIMIT


# --- forms ---


def refused(schema: Any) -> str:
    with pytest.raises(ValueError, match=r"^form: ") as caught:
        check_form(schema)
    assert type(caught.value) is ValueError
    return str(caught.value)


@pytest.mark.parametrize(
    ("prop", "message"),
    [
        (None, "form: field: has no type of a field; a field is a text, a number"),
        ({}, "form: field: has no type of a field"),
        ({"type": "object", "properties": {}}, "form: field: is of type 'object'"),
        ({"type": "null"}, "form: field: is of type 'null'"),
        ({"type": ["string", "integer"]}, "form: field: has no type of a field"),
        ({"anyOf": [TEXT, INTEGER]}, "form: field: is a union"),
        ({"type": "array"}, "form: field: is a list of something else than choices"),
        ({"type": "array", "items": TEXT}, "is a list of something else than choices"),
        (
            {"type": "array", "items": {"type": "array", "enum": [[]]}},
            "is a list of something else",
        ),
        ({**TEXT, "minimum": 3}, "form: field: 'minimum' is not possible here"),
        ({**TEXT, "$ref": "#/$defs/x"}, "form: field: '$ref' is not possible here"),
        ({**TEXT, 7: 7}, "form: field: 'int' is not possible here"),
        ({**TEXT, "title": 7}, "form: field: 'title' has to be a text"),
        ({**TEXT, "minLength": -1}, "form: field: 'minLength' has to be a whole number from 0 up"),
        ({**TEXT, "minLength": True}, "'minLength' has to be a whole number from 0 up"),
        ({**TEXT, "minLength": 3, "maxLength": 2}, "no value is possible: 'minLength' is above"),
        ({**TEXT, "format": "password"}, "'format' has to be one of date, date-time, email,"),
        ({**TEXT, "pattern": "(a+)+$"}, "form: field: the pattern repeats a group."),
        ({**NUMBER, "minimum": float("nan")}, "form: field: 'minimum' has to be a number."),
        ({**NUMBER, "maximum": 10**4000}, "form: field: 'maximum' has to be a number."),
        ({**NUMBER, "exclusiveMinimum": True}, "'exclusiveMinimum' has to be a number."),
        ({**NUMBER, "multipleOf": 0}, "form: field: 'multipleOf' has to be a number above 0."),
        ({"enum": []}, "form: field: choices have to be numbers, or texts"),
        ({"enum": ["a", " "]}, "form: field: choices have to be numbers, or texts"),
        ({"enum": ["a", None]}, "form: field: choices have to be numbers, or texts"),
        ({"enum": ["a\nb"]}, "form: field: choices have to be numbers, or texts"),
        ({"enum": [True]}, "form: field: choices have to be numbers, or texts"),
        ({"enum": [["a"]]}, "form: field: choices have to be numbers, or texts"),
        ({"enum": "ab"}, "form: field: choices have to be numbers, or texts"),
        ({"enum": ["1", 1]}, "form: field: two choices read the same."),
        ({"enum": [1, 1.0]}, "form: field: two choices read the same."),
        ({"type": "integer", "enum": [1, "a"]}, "form: field: a choice is no integer."),
        ({**INTEGER, "default": "7"}, "the default does not fit: Must be a whole number."),
        ({**INTEGER, "default": 2, "minimum": 3}, "the default does not fit: Must be at least 3."),
        ({**TEXT, "default": 7}, "the default does not fit: Must be text."),
        ({**COLOUR, "default": "green"}, "the default does not fit: Choose one of: red, blue."),
        ({**COLOURS, "default": "red"}, "the default does not fit: Choose from: red, blue."),
        ({**EMAIL, "default": ""}, "the default does not fit: Must be an email address."),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_is_no_field(prop: Any, message: str) -> None:
    assert message in refused({"type": "object", "properties": {"field": prop}})


@pytest.mark.parametrize("schema", [None, [], "object", {}, {"type": "object"}, {"properties": {}}])
def test_what_is_no_schema(schema: Any) -> None:
    assert "must be a JSON Schema" in refused(schema)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "array"}, 'must be a JSON Schema with "type": "object" and "properties"'),
        ({"properties": {}}, "has 0 fields, and needs 1 to 50"),
        ({"required": ["b"]}, "form: b: is required, and is no field."),
        ({"required": [["a"]]}, "'required' has to be a list of names"),
        ({"required": "a"}, "'required' has to be a list of names"),
        ({"if": {}}, "'if' is not possible here"),
        ({"additionalProperties": TEXT}, "'additionalProperties' has to be true or false"),
        ({"title": "\ud800"}, "a text has half a surrogate pair"),
        ({"description": "x" * FORM_BYTES}, f"bytes as JSON; the limit is {FORM_BYTES:,}"),
        ({"properties": {f"{n}": TEXT for n in range(51)}}, "has 51 fields, and needs 1 to 50"),
        ({"properties": {1: TEXT}}, "a field's name has to be a text"),
        ({"properties": {" ": TEXT}}, "a field's name has to be a text"),
        ({"properties": {"a ": TEXT}}, "a field's name has to be a text without spaces"),
        ({"properties": {"a\nb": TEXT}}, "a name has at most 100 printable characters"),
        ({"properties": {"a" * 101: TEXT}}, "a name has at most 100 printable characters"),
        ({"properties": {"_xsrf": TEXT}}, "form: _xsrf: the name is reserved"),
        ({"properties": {"token": TEXT}}, "form: token: the name is reserved"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_is_no_form(changes: Any, message: str) -> None:
    assert message in refused({**form_of(a=TEXT), **changes})


def test_a_form_has_only_what_forms_have() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "x-order": ["a"],
        "type": "object",
        "title": "Order",
        "properties": {
            "note": {"examples": ["x"], "title": "Note", **TEXT, "pattern": "^a*$"},
            "box": {**BOOLEAN, "default": None},
            "colours": {"type": "array", "items": {"title": "Colour", **COLOUR, "type": "string"}},
        },
        "required": ["box", "note", "note"],
    }
    assert check_form(schema) == {
        "type": "object",
        "title": "Order",
        "properties": {
            "note": {"type": "string", "title": "Note", "pattern": "^a*$", "maxLength": 1000},
            "box": BOOLEAN,
            "colours": COLOURS,
        },
        "required": ["note", "box"],
    }
