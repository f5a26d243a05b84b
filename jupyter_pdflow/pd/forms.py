"""``form``: what an author asks for, a class or a JSON Schema, as the form that people see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from inspect import cleandoc
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from jupyter_pdflow.rules.forms import POSSIBLE, Form, check_form, refusal

if TYPE_CHECKING:
    from msgspec.inspect import Field

REFERENCES_LIMIT = 20
"""Maximum number of references from one definition of a schema to the next."""

SOURCES = "a dataclass, TypedDict, msgspec Struct or pydantic model, or a flat JSON Schema"
"""What a form is made of."""

Schema: TypeAlias = dict[str, Any]

# What msgspec, pydantic and the resolution of an author's annotations raise.
_ERRORS = (AttributeError, NameError, RuntimeError, SyntaxError, TypeError, ValueError)


def schema_of(form: object) -> Form:
    """Return the form of a class or of a JSON Schema.

    Parameters
    ----------
    form : type or dict
        A dataclass, TypedDict, msgspec Struct or pydantic model, or a flat JSON Schema. What may be
        None in a class is not required.

    Returns
    -------
    Form
        As `jupyter_pdflow.rules.forms.check_form` returns it.

    Raises
    ------
    ValueError
        It is none of these, or has a field that forms can't have. The message starts with ``form:``
        and names the field.
    """
    if isinstance(form, dict):
        return check_form(_flat(form))
    if not isinstance(form, type):
        raise refusal(None, f"must be {SOURCES}, not an object of the class {type(form).__name__}")
    is_pydantic = hasattr(form, "__pydantic_core_schema__")
    return check_form(_of_pydantic(form) if is_pydantic else _of_msgspec(form))


# --- classes ---


def _of_pydantic(cls: type) -> Schema:
    from pydantic import TypeAdapter  # it is loaded, because the class was made by it

    # A dataclass of pydantic has no such method.
    own = getattr(cls, "model_json_schema", None)
    schema = _made(cls, lambda kind: TypeAdapter(kind).json_schema(), own)
    return _flat(schema, from_class=True)


def _of_msgspec(cls: type) -> Schema:
    import msgspec

    if not (is_dataclass(cls) or is_typeddict(cls) or issubclass(cls, msgspec.Struct)):
        raise refusal(None, f"{cls.__name__} is not {SOURCES}")
    flat = _flat(_made(cls, msgspec.json.schema), from_class=True)
    info: Any = msgspec.inspect.type_info(cls)
    hints = _hints(cls)
    for field in info.fields if "properties" in flat else ():
        _complete(flat["properties"][field.encode_name], field, hints[field.name])
    return flat


def _made(
    cls: type, make: Callable[[Any], Schema], own: Callable[[], Schema] | None = None
) -> Schema:
    """Return the schema that a library makes of a class."""
    try:
        return make(cls) if own is None else own()
    except _ERRORS as error:
        for name, hint in _hints(cls).items():
            if not _has_schema(hint, make):
                raise refusal(name, f"its type has no JSON Schema; {POSSIBLE}") from error
        raise refusal(cls.__name__, _reason(error)) from error


def _has_schema(hint: Any, make: Callable[[Any], Schema]) -> bool:
    try:
        make(hint)
    except _ERRORS:
        return False
    return True


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except _ERRORS as error:
        raise refusal(cls.__name__, f"an annotation can't be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".:")


def _complete(prop: Schema, field: Field, hint: Any) -> None:
    """Add what msgspec's schema of a field lacks.

    It sorts choices, leaves out defaults that are made by a function, and the format of times that
    need no zone.
    """
    import msgspec

    if prop.get("type") == "string" and (time := _time_format(field.type)) is not None:
        prop.setdefault("format", time)
    if field.default_factory is not msgspec.NODEFAULT and "default" not in prop:
        prop["default"] = _builtins(field.encode_name, field.default_factory())
    order = {choice: index for index, choice in enumerate(_choices_in(hint))}
    holder = prop if "enum" in prop else prop.get("items")
    if order and isinstance(holder, dict) and "enum" in holder:
        holder["enum"] = sorted(holder["enum"], key=lambda choice: order.get(choice, len(order)))


def _builtins(name: str, default: Any) -> Any:
    import msgspec

    try:
        return msgspec.to_builtins(default)
    except (TypeError, ValueError, RecursionError) as error:
        raise refusal(name, f"the default can't be written as JSON: {_reason(error)}") from error


def _time_format(kind: Any) -> str | None:
    """Return the format of a type that is, or may be, a time."""
    from msgspec import inspect

    if isinstance(kind, inspect.Metadata):
        return _time_format(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next(filter(None, map(_time_format, kind.types)), None)
    if isinstance(kind, inspect.DateTimeType):
        return "date-time"
    return "time" if isinstance(kind, inspect.TimeType) else None


def _choices_in(hint: Any) -> list[Any]:
    """Return the values of the enums and literals in a type, as the author has ordered them."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [member.value for member in hint]
    return [choice for part in get_args(hint) for choice in _choices_in(part)]


# --- schemas ---


def _flat(schema: Schema, *, from_class: bool = False) -> Schema:
    """Return a schema without references, unions with null and constants.

    What can't be written without them stays, and `check_form` refuses it.
    """
    definitions = _definitions(schema)
    top = _resolved(schema, definitions)
    flat = {key: value for key, value in top.items() if key not in ("$defs", "definitions")}
    if isinstance(flat.get("description"), str):
        flat["description"] = cleandoc(flat["description"])
    if not isinstance(flat.get("properties"), dict):
        return flat
    untitled = {name: _without(each, "title", "description") for name, each in definitions.items()}
    found = {name: _flat_property(each, untitled) for name, each in flat["properties"].items()}
    flat["properties"] = {name: prop for name, (prop, _) in found.items()}
    if from_class:
        _release(flat, [name for name, (_, is_optional) in found.items() if is_optional])
    return flat


def _release(flat: Schema, optional: list[str]) -> None:
    """Make fields that may be null not required; they are null if they are not filled in."""
    flat["required"] = [name for name in flat.get("required", []) if name not in optional]
    for name in optional:
        flat["properties"][name].setdefault("default", None)


def _definitions(schema: Schema) -> dict[str, Schema]:
    found = schema.get("$defs", schema.get("definitions"))
    definitions = found if isinstance(found, dict) else {}
    return {name: each for name, each in definitions.items() if isinstance(each, dict)}


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return a schema with the definition that it refers to, if any."""
    for _ in range(REFERENCES_LIMIT):
        every = schema.get("allOf")  # older versions of pydantic wrap references in it
        wrapped = every[0] if isinstance(every, list) and len(every) == 1 else None
        reference = wrapped.get("$ref") if isinstance(wrapped, dict) else schema.get("$ref")
        target = definitions.get(str(reference).rpartition("/")[2])
        if reference is None or target is None:
            break
        schema = {**target, **_without(schema, "$ref", "allOf")}
    return schema


def _flat_property(given: Any, definitions: Mapping[str, Schema]) -> tuple[Any, bool]:
    """Return a property in its flat form, and whether it may be null."""
    if not isinstance(given, dict):
        return given, False
    prop, is_optional = _without_null(_resolved(given, definitions), definitions)
    if "const" in prop:
        prop = {**_without(prop, "const"), "enum": [prop["const"]]}
    choices = prop.get("enum")
    if isinstance(choices, list) and None in choices:
        is_optional = True
        prop = {**prop, "enum": [choice for choice in choices if choice is not None]}
    if "items" in prop:
        prop = {**prop, "items": _flat_property(prop["items"], definitions)[0]}
    return prop, is_optional


def _without_null(prop: Schema, definitions: Mapping[str, Schema]) -> tuple[Schema, bool]:
    """Return a property that is not a union with null, and whether it was one."""
    if isinstance(prop.get("type"), list):
        kinds = [kind for kind in prop["type"] if kind != "null"]
        is_optional = len(kinds) < len(prop["type"])
        return {**prop, "type": kinds[0] if len(kinds) == 1 else kinds}, is_optional
    keyword = "anyOf" if "anyOf" in prop else "oneOf"
    parts = prop.get(keyword)
    if not isinstance(parts, list):
        return dict(prop), False
    others = [part for part in parts if part != {"type": "null"}]
    if len(others) != 1 or not isinstance(others[0], dict):
        return dict(prop), len(others) < len(parts)
    return {**_resolved(others[0], definitions), **_without(prop, keyword)}, len(others) < len(
        parts
    )
