"""Writes the schemas of the API's description, ``server/api/openapi.yaml``, from its models.

    python scripts/openapi.py           # writes the file
    python scripts/openapi.py --check   # says whether the file is up to date

What stands above the schemas is written by hand.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import yaml

from jupyter_pdflow import models

Schema: TypeAlias = dict[str, Any]

OPENAPI = Path(models.__file__).parent / "server" / "api" / "openapi.yaml"
HEAD = "\n  # Made from jupyter_pdflow/models.py by scripts/openapi.py.\n  schemas:\n"
"""What the schemas begin with in the file; they are its last part."""

REF = "#/components/schemas/{name}"
WIDTH = 100
"""Maximum number of characters of a line."""

ALIASES = (
    *("Time", "RunStatus", "StepStatus", "PauseKind", "OnTimeout"),
    *("Actor", "Resolution", "Via", "DecisionOutcome", "EmailStatus", "Caller"),
)
"""Types of `models`, besides its records, that get a schema of their own; all are texts."""


# --- the schemas ----------------------------------------------------------------------


def schemas() -> dict[str, Schema]:
    """Return the schemas of all models by name, in the order of the module."""
    _, components = msgspec.json.schema_components(records(), ref_template=REF)
    aliases = {name: _schema_of(getattr(models, name)) for name in ALIASES}
    found = {record.__name__: _record(record, components[record.__name__]) for record in records()}
    # The schema of a `Literal` has no type.
    return {
        **_with_refs(found, aliases),
        **{name: {"type": "string", **alias} for name, alias in aliases.items()},
    }


def records() -> list[type[msgspec.Struct]]:
    """Return the models that are records, in the order of the module."""
    return [
        value
        for value in vars(models).values()
        if isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and value.__module__ == models.__name__
    ]


def _schema_of(kind: Any) -> Schema:
    schema = msgspec.json.schema(kind)
    return {name: schema[name] for name in ("type", "format", "enum") if name in schema}


def _record(record: type[msgspec.Struct], schema: Schema) -> Schema:
    """Return the schema of a record with the descriptions of its docstring."""
    summary, fields = descriptions(record)
    properties = {
        name: _simple(field) | ({"description": fields[name]} if name in fields else {})
        for name, field in schema["properties"].items()
    }
    required = {"required": schema["required"]} if schema["required"] else {}
    return {
        "type": "object",
        "description": summary,
        "properties": properties,
        **required,
        "additionalProperties": False,
    }


def _simple(schema: Schema) -> Schema:
    """Return a schema with ``type: [string, "null"]`` in place of a choice of the two."""
    if "anyOf" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    # Versions of msgspec differ in the order.
    choices = sorted(schema["anyOf"], key=lambda choice: choice == {"type": "null"})
    match choices:
        case [{"type": str(kind)} as choice, {"type": "null"}]:
            return {"type": kind} | choice | {"type": [kind, "null"]} | rest
    return {"anyOf": choices, **rest}


def _with_refs(value: Any, aliases: dict[str, Schema]) -> Any:
    """Return schemas with a reference in place of each part that is the schema of an alias."""
    if isinstance(value, list):
        return [_with_refs(item, aliases) for item in value]
    if not isinstance(value, dict):
        return value
    for name, alias in aliases.items():
        if alias.items() <= value.items():
            rest = {key: item for key, item in value.items() if key not in alias}
            return {"$ref": REF.format(name=name), **rest}
    return {key: _with_refs(item, aliases) for key, item in value.items()}


def descriptions(record: type) -> tuple[str, dict[str, str]]:
    """Return the summary of a record and the descriptions of its fields, from its docstring.

    An inherited field has the description that the base class gives it.
    """
    fields: dict[str, str] = {}
    for kind in reversed(record.__mro__):
        summary, _, section = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes\n")
        for names, text in re.findall(
            r"^(\w[\w, ]*) : .*\n((?: {4}.*\n?)+)", section, re.MULTILINE
        ):
            fields |= dict.fromkeys(names.split(", "), _markdown(text))
    return _markdown(summary), fields


def _markdown(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


# --- the file -------------------------------------------------------------------------


def document(text: str) -> str:
    """Return the text of the description with its schemas made anew."""
    by_hand, found, _ = text.partition(HEAD)
    if not found:
        msg = f"{OPENAPI} has no line '{HEAD.strip()}'."
        raise ValueError(msg)
    return f"{by_hand}{HEAD}{_block(schemas(), indent=4)}"


def _block(mapping: Schema, indent: int) -> str:
    return "".join(_entry(name, value, indent) for name, value in mapping.items())


def _entry(name: str, value: Any, indent: int) -> str:
    """Return a key and its value as YAML: on one line if that is short, else as a block."""
    start = f"{' ' * indent}{_flow(name)}:"
    line = f"{start} {value if _is_plain(value, '- {}') else _flow(value)}\n"
    inner = " " * (indent + 2)
    if isinstance(value, dict) and (_is_long(value) or len(line) > WIDTH):
        return f"{start}\n{_block(value, indent + 2)}"
    if len(line) <= WIDTH:
        return line
    if isinstance(value, str):
        text = textwrap.fill(value, WIDTH - len(inner), break_on_hyphens=False)
        return f"{start} >-\n{textwrap.indent(text, inner)}\n"
    items = "".join(f"{inner}- {_flow(item)}\n" for item in value)
    return f"{start}\n{items}"


def _is_long(mapping: Schema) -> bool:
    """Whether a mapping is easier to read as a block."""
    return "properties" in mapping or "description" in mapping


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        items = ", ".join(f"{_flow(name)}: {_flow(item)}" for name, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return value if _is_plain(value, "[{}]") else json.dumps(value, ensure_ascii=False)


def _is_plain(value: object, context: str) -> bool:
    """Whether a value is a text that YAML reads as it is, without quotes."""
    try:
        return isinstance(value, str) and yaml.safe_load(context.format(value)) == [value]
    except yaml.YAMLError:
        return False


def main() -> int:
    """Write the file, or with ``--check`` return 1 if it is not up to date."""
    parser = argparse.ArgumentParser(description="Write the schemas of the API's description.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    check = parser.parse_args().check
    text = OPENAPI.read_text("utf-8")
    made = document(text)
    if not check:
        OPENAPI.write_text(made, "utf-8")
    elif made != text:
        sys.stderr.write(f"{OPENAPI} is not up to date: run python scripts/openapi.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
