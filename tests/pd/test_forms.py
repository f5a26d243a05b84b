"""Forms of classes and of JSON Schemas, and what can't be a form."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, make_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from msgspec import Meta
from pydantic.dataclasses import dataclass as pydantic_dataclass

from jupyter_pdflow.pd.forms import schema_of
from jupyter_pdflow.rules.forms import answer_of
from tests.rules.form_strategies import JSON_VALUES, forms


class Colour(Enum):
    """Colours of the house."""

    RED = "red"
    BLUE = "blue"
    AMBER = "amber"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


Moment = NewType("Moment", datetime)
COLOURS = ["red", "blue", "amber"]
LONG = Meta(description="In full", extra_json_schema={"format": "textarea", "x-rows": 3})


# --- classes ---


@dataclass
class Order:
    amount: Annotated[int, Meta(ge=1, lt=100, multiple_of=5, title="How many")]
    urgency: Literal["low", "medium", "high"]
    colour: Colour
    due: date
    price: Annotated[float, Meta(gt=0)] | None
    code: Annotated[str, Meta(pattern="^[A-Z]+$", min_length=2, max_length=9)] = "AB"
    note: Annotated[str, LONG] = ""
    extras: list[Colour] = field(default_factory=list)
    levels: list[Level] = field(default_factory=lambda: [Level.HIGH])
    at: datetime = datetime(2026, 1, 1)  # noqa: DTZ001  what authors write
    until: Moment | None = None
    second: Colour | None = Colour.BLUE
    sure: bool = False


def test_a_dataclass() -> None:
    assert schema_of(Order) == {
        "type": "object",
        "title": "Order",
        "properties": {
            "amount": {
                "type": "integer",
                "title": "How many",
                "minimum": 1,
                "exclusiveMaximum": 100,
                "multipleOf": 5,
            },
            "urgency": {"enum": ["low", "medium", "high"]},
            "colour": {"enum": COLOURS},
            "due": {"type": "string", "format": "date"},
            "price": {"type": "number", "exclusiveMinimum": 0, "default": None},
            "code": {
                "type": "string",
                "pattern": "^[A-Z]+$",
                "minLength": 2,
                "maxLength": 9,
                "default": "AB",
            },
            "note": {
                "type": "string",
                "format": "textarea",
                "description": "In full",
                "default": "",
            },
            "extras": {"type": "array", "items": {"enum": COLOURS}, "default": []},
            "levels": {
                "type": "array",
                "items": {"enum": [1, 2]},
                "default": [2],
            },
            "at": {"type": "string", "format": "date-time", "default": "2026-01-01T00:00:00Z"},
            "until": {"type": "string", "format": "date-time", "default": None},
            "second": {"enum": COLOURS, "default": "blue"},
            "sure": {"type": "boolean", "default": False},
        },
        "required": ["amount", "urgency", "colour", "due"],
    }


def test_an_answer_makes_an_object_of_the_class() -> None:
    sent = {"amount": "10", "urgency": "high", "colour": "red", "due": "2026-11-28"}
    answer = answer_of(schema_of(Order), sent, from_form=True)
    assert msgspec.convert(answer, Order) == Order(
        amount=10,
        urgency="high",
        colour=Colour.RED,
        due=date(2026, 11, 28),
        price=None,
        extras=[],
        levels=[],
        at=msgspec.convert("2026-01-01T00:00:00Z", datetime),
    )


class Reply(TypedDict):
    """What we ask.

    In two paragraphs.
    """

    approved: bool
    reason: str | None
    score: NotRequired[int]


def test_a_typed_dict() -> None:
    assert schema_of(Reply) == {
        "type": "object",
        "title": "Reply",
        "description": "What we ask.\n\nIn two paragraphs.",
        "properties": {
            "approved": {"type": "boolean"},
            "reason": {"type": "string", "default": None},
            "score": {"type": "integer"},
        },
        "required": ["approved"],
    }


class Visit(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    visit_type: Literal["site", "call"] = "site"
    chosen_days: list[Literal["Mon", "Tue", "Fri"]] = []
    length: int | msgspec.UnsetType = msgspec.UNSET


def test_a_struct() -> None:
    days = {"type": "array", "items": {"enum": ["Mon", "Tue", "Fri"]}, "default": []}
    assert schema_of(Visit) == {
        "type": "object",
        "title": "Visit",
        "properties": {
            "visitType": {"enum": ["site", "call"], "default": "site"},
            "chosenDays": days,
            "length": {"type": "integer"},
        },
        "required": [],
        "additionalProperties": False,
    }


class Purchase(pydantic.BaseModel):
    """A purchase."""

    model_config = {"extra": "forbid", "json_schema_extra": {"examples": [{}]}}

    number: int = pydantic.Field(ge=1, alias="no", description="How many")
    home: pydantic.HttpUrl | None = None
    contact: str | None
    colour: Colour = Colour.RED
    second: Colour | None = None
    kind: Literal["one"] = "one"
    at: datetime
    days: set[Literal["Mon", "Tue"]] = {"Mon"}


PURCHASE = {
    "type": "object",
    "title": "Purchase",
    "description": "A purchase.",
    "properties": {
        "no": {"type": "integer", "title": "No", "description": "How many", "minimum": 1},
        "home": {
            "type": "string",
            "title": "Home",
            "format": "uri",
            "minLength": 1,
            "maxLength": 2083,
            "default": None,
        },
        "contact": {"type": "string", "title": "Contact", "default": None},
        "colour": {"type": "string", "enum": COLOURS, "default": "red"},
        "second": {"type": "string", "enum": COLOURS, "default": None},
        "kind": {"type": "string", "title": "Kind", "enum": ["one"], "default": "one"},
        "at": {"type": "string", "title": "At", "format": "date-time"},
        "days": {
            "type": "array",
            "title": "Days",
            "items": {"enum": ["Mon", "Tue"]},
            "uniqueItems": True,
            "default": ["Mon"],
        },
    },
    "required": ["no", "at"],
    "additionalProperties": False,
}


def test_a_pydantic_model() -> None:
    assert schema_of(Purchase) == PURCHASE


def test_the_schema_of_a_model_says_itself_what_is_required() -> None:
    form = schema_of(Purchase.model_json_schema())
    assert form["required"] == ["no", "contact", "at"]
    assert form["properties"].keys() == PURCHASE["properties"].keys()  # type: ignore[attr-defined]


def test_a_dataclass_of_pydantic() -> None:
    @pydantic_dataclass
    class Count:
        number: int = pydantic.Field(3, ge=2)

    number = {"type": "integer", "title": "Number", "minimum": 2, "default": 3}
    assert schema_of(Count)["properties"] == {"number": number}


# --- schemas ---


def test_a_json_schema() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"oneOf": [{"type": "null"}, {"$ref": "#/definitions/Choice"}], "title": "B"},
            "c": {"allOf": [{"$ref": "#/definitions/Choice"}], "default": "x"},
            "d": {"const": 3},
            "e": {"enum": ["x", None]},
            "f": {"type": "array", "items": {"$ref": "#/definitions/Choice"}},
        },
        "required": ["a"],
        "definitions": {"Choice": {"title": "Choice", "description": "?", "enum": ["x", "y"]}},
    }
    before = repr(schema)
    assert schema_of(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"enum": ["x", "y"], "title": "B"},
            "c": {"enum": ["x", "y"], "default": "x"},
            "d": {"enum": [3]},
            "e": {"enum": ["x"]},
            "f": {"type": "array", "items": {"enum": ["x", "y"]}},
        },
        "required": ["a"],
    }
    assert repr(schema) == before


@settings(deadline=None)
@given(forms())
def test_a_form_is_its_own_schema(form: dict[str, Any]) -> None:
    assert schema_of(form) == form


@settings(deadline=None)
@given(JSON_VALUES)
def test_any_json_is_a_schema_or_refused(value: Any) -> None:
    for schema in (value, {"type": "object", "properties": {"a": value}, "$defs": value}):
        try:
            schema_of(schema)
        except ValueError as error:
            assert str(error).startswith("form: ")  # noqa: PT017


def test_references_that_lead_nowhere() -> None:
    for target in ({"$ref": "#/$defs/B"}, {"$ref": "#/$defs/A"}):
        definitions = {"A": target}
        schema = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": definitions}
        assert refused({"type": "object", **schema}).startswith("form: a: has no type of a field")


# --- what is refused ---


def refused(form: object) -> str:
    with pytest.raises(ValueError, match=r"^form: ") as caught:
        schema_of(form)
    return str(caught.value)


class Point(NamedTuple):
    x: int


class Row(msgspec.Struct, array_like=True):
    x: int


class Plain:
    x: int


NO_FORMS = [
    (Order(5, "low", Colour.RED, date.min, None), "not an object of the class Order"),
    (Visit(), "not an object of the class Visit"),
    (None, "not an object of the class NoneType"),
    ("Order", "not an object of the class str"),
    (list[Order], "not an object of the class GenericAlias"),
    (int, "int is not a dataclass, TypedDict,"),
    (dict, "dict is not a dataclass, TypedDict,"),
    (Point, "Point is not a dataclass, TypedDict,"),
    (Plain, "Plain is not a dataclass, TypedDict,"),
    (Row, "'prefixItems' is not possible here"),
    (make_dataclass("Empty", []), "has 0 fields"),
    (make_dataclass("Wrong", [("a", "Undefined")]), "Wrong: an annotation can't be read: name"),
]


@pytest.mark.parametrize(("form", "message"), NO_FORMS, ids=lambda value: str(value)[:40])
def test_what_is_no_form(form: object, message: str) -> None:
    assert message in refused(form)


def test_an_object_of_a_model_is_no_form() -> None:
    assert "not an object of the class Purchase" in refused(Purchase.model_construct())


FIELDS = [
    (Reply, "form: a: is of type 'object'; a field is a text, a number"),
    (dict[str, int], "form: a: is of type 'object'"),
    (int | str, "form: a: is a union"),
    (int | str | None, "form: a: is a union"),
    (Decimal, "form: a: 'format' has to be one of"),
    (time, "form: a: 'format' has to be one of"),
    (timedelta, "form: a: 'format' has to be one of"),
    (UUID, "form: a: 'format' has to be one of"),
    (bytes, "form: a: 'contentEncoding' is not possible here"),
    (Any, "form: a: has no type of a field"),
    (list[str], "form: a: is a list of something else than choices"),
    (list[Reply], "form: a: is a list of something else than choices"),
    (list, "form: a: is a list of something else than choices"),
    (tuple[Literal["a"], int], "form: a: 'prefixItems' is not possible here"),
    (complex, "form: a: its type has no JSON Schema; a field is a text"),
    (Plain, "form: a: its type has no JSON Schema; a field is a text"),
    (Annotated[str, Meta(pattern="(a+)+")], "form: a: the pattern repeats a group"),
    (Annotated[int, Meta(extra_json_schema={"x": 1})], "form: a: 'x' is not possible here"),
]


@pytest.mark.parametrize(("kind", "message"), FIELDS, ids=lambda value: str(value)[:40])
def test_what_is_no_field(kind: Any, message: str) -> None:
    first = ("first", int)
    assert refused(make_dataclass("Form", [first, ("a", kind)])).startswith(message)


def test_a_field_of_a_model_that_has_no_schema() -> None:
    class Wrong(pydantic.BaseModel):
        number: int
        call: Any = pydantic.Field(json_schema_extra={"anyOf": []})
        other: type[int]

    assert refused(Wrong).startswith("form: call: is a union")


@pytest.mark.parametrize(
    ("kind", "default", "message"),
    [
        (Annotated[int, Meta(ge=3)], 2, "form: a: the default does not fit: Must be at least 3."),
        (str, 7, "form: a: the default does not fit: Must be text."),
        (Literal["x"], "y", "form: a: the default does not fit: Choose one of: x."),
        (float, float("inf"), "form: a: the default does not fit"),
    ],
)
def test_a_default_has_to_fit(kind: Any, default: Any, message: str) -> None:
    for given_as in (field(default=default), field(default_factory=lambda: default)):
        form = make_dataclass("Form", [("a", kind, given_as)])
        assert refused(form).startswith(message)


def test_a_default_that_is_no_json() -> None:
    form = make_dataclass("Form", [("a", str, field(default_factory=object))])
    assert refused(form).startswith("form: a: the default can't be written as JSON: ")
    assert refused(make_dataclass("Form", [("a", str, object())])).startswith("form: Form: ")


def test_the_names_of_fields() -> None:
    assert "form: _xsrf: the name is reserved" in refused(make_dataclass("Form", [("_xsrf", str)]))
    note = schema_of(make_dataclass("Form", [("note", str)]))
    assert note["required"] == ["note"]


def test_authors_who_postpone_annotations() -> None:
    code = "from __future__ import annotations\n@dataclass\nclass Form:\n    a: Literal['y', 'x']\n"
    names: dict[str, Any] = {"dataclass": dataclass, "Literal": Literal, "__name__": __name__}
    exec(compile(code, "cell", "exec"), names)
    assert schema_of(names["Form"])["properties"] == {"a": {"enum": ["y", "x"]}}


def test_kernels_check_forms_without_importing_other_packages() -> None:
    code = (
        "import sys\n"
        "from jupyter_pdflow.pd.forms import schema_of\n"
        "few = {'jsonschema', 'pydantic', 'email_validator', 'fractions'} & {*sys.modules}\n"
        "prop = {'type': 'integer', 'default': 3, 'minimum': 1}\n"
        "schema_of({'type': 'object', 'properties': {'a': prop}})\n"
        "print(few, {'jsonschema', 'pydantic'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() set()"
