"""Checks stored records beyond their types, so that all later code can rely on them.

The start of a server, the doctor, exports and imports use these checks. A record with a flaw is
treated like a file that can't be read. Each active run is checked when a server starts, so a check
has to take microseconds only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

import orjson
from msgspec import Struct
from msgspec.structs import fields
from ulid import ULID

from jupyter_pdflow.rules.forms import Form, check_form
from jupyter_pdflow.rules.pauses import Pause
from jupyter_pdflow.rules.run import OutboxMessage, Run
from jupyter_pdflow.rules.workflow import Workflow

FIRST_YEAR, LAST_YEAR = 1970, 2999
"""The years that a time may have; arithmetic with such times can't overflow."""

LARGEST_COUNT = 2**53
"""The largest number that every reader of JSON can hold exactly."""

MAX_LEVELS = 260
"""Maximum nesting of lists and objects in a record; handlers and requests can give 254."""

LONGEST_PATH = 4096
"""Maximum number of characters of a notebook's path."""

RESERVED_NAME = "trigger"
"""Not a step's name: `pd.steps.trigger` is the event."""

FOREIGN = str(ULID.from_datetime(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)))[:10] + "0" * 16
"""An id from here on is of the year 3000 or later, and was not made by this package."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}", re.ASCII)
_NUMBERS = re.compile(r"\d{1,16}-\d{1,16}-\d{1,16}", re.ASCII)


def is_id(text: str) -> bool:
    """Return whether a text is a valid id of a record, which is safe as the name of a file."""
    return _ID.fullmatch(text) is not None


def is_email_id(text: str, run_id: str) -> bool:
    """Return whether a text is a valid id of an email of that run."""
    own, numbers = f"{run_id}-", text[len(run_id) + 1 :]
    return text.startswith(own) and is_id(text) and _NUMBERS.fullmatch(numbers) is not None


def newest_ulid(run_ids: Iterable[str]) -> str | None:
    """Return the greatest ULID of a time before the year 3000, or None; other ids are ignored.

    Ids of new runs have to be greater, which a foreign id such as ``zzz`` must not prevent.
    """
    newest = ""
    for run_id in run_ids:
        if newest < run_id < FOREIGN and _ULID.fullmatch(run_id):
            newest = run_id
    return newest or None


def is_writable(value: Any) -> bool:
    """Return whether JSON that was read can be written again.

    Readers accept JSON that is nested more deeply than writers can write.
    """
    try:
        orjson.dumps(value)
    except TypeError:  # too deep for orjson, or an integer of more than 64 bits
        return _is_flat_enough(value)
    return True


def _is_flat_enough(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_LEVELS):
        level = [inner for each in level for inner in _items(each)]
        if not level:
            return True
    return False


# --- runs and workflows ---------------------------------------------------------------


def flaw_of_run(run: Run) -> str | None:
    """Return what is wrong with a run, or None."""
    flaw = flaw_of_values(run) or _flaw_of_names([step.name for step in run.steps])
    if flaw is not None:
        return flaw
    if not is_id(run.id) or not is_id(run.workflow_id):
        return "its id, or its workflow's, is not well-formed"
    if not 0 <= run.position < len(run.steps):
        return "it is at a step that it does not have"
    if run.outbox and not _are_of_run(run, run.outbox):
        return "it has emails with ids that are not its own"
    if not is_writable(_data_of(run)):
        return "its data can't be written again"
    return _flaw_of_pause(run, run.pause)


def flaw_of_workflow(workflow: Workflow) -> str | None:
    """Return what is wrong with one version of a workflow, or None."""
    flaw = flaw_of_values(workflow) or _flaw_of_names(workflow.step_names)
    if flaw is not None:
        return flaw
    if not workflow.source.steps:
        return "it has no step"
    if not is_id(workflow.id):
        return "its id is not well-formed"
    if not _is_inside(workflow.path):
        return "its path is not that of a notebook below a server's root folder"
    return None if workflow.source.kernel_name.isprintable() else "its kernelspec has no name"


def _flaw_of_pause(run: Run, pause: Pause | None) -> str | None:
    if (run.status == "paused") != (pause is not None):
        return f"it is {run.status} and has {'a' if pause else 'no'} pause"
    here = (run.current.name, run.execution)
    if pause is not None and (pause.step, pause.execution) != here:
        return "its pause is not at its step"
    if pause is not None and pause.ask is not None and not _is_form(pause.ask.form):
        return "the form of its pause is not as it was made"
    return None


def _is_form(form: Form | None) -> bool:
    try:
        return form is None or check_form(form) == form
    except ValueError:
        return False


def _are_of_run(run: Run, emails: Sequence[OutboxMessage]) -> bool:
    own = all(each.run_id == run.id and is_email_id(each.id, run.id) for each in emails)
    return own and len({each.id for each in emails}) == len(emails)


def _data_of(run: Run) -> list[Any]:
    """Return the data in a run that authors and clients choose, and may nest deeply."""
    data = [run.event, run.context, run.callback_request, *(step.exports for step in run.steps)]
    if run.pause is not None:
        data.append(run.pause.context)
    if run.pending_request is not None:
        data.append(run.pending_request.request)
    return data


def _is_inside(path: str) -> bool:
    parts = re.split(r"[/\\]", path)
    return bool(parts[0]) and ".." not in parts and "\0" not in path and len(path) <= LONGEST_PATH


def _flaw_of_names(names: list[str]) -> str | None:
    for name in names:
        if not name.isidentifier() or name == RESERVED_NAME:
            return f"{name[:80]!r} is not a step's name"
    return None if len(set(names)) == len(names) else "two of its steps have the same name"


# --- times and numbers ----------------------------------------------------------------


class _CheckedFields(NamedTuple):
    """The names of a record type's fields that hold times, numbers, or records with such fields.

    A field may hold one of them, or a list or an object of them.
    """

    times: tuple[str, ...]
    counts: tuple[str, ...]
    records: tuple[str, ...]


def flaw_of_values(record: Struct) -> str | None:
    """Return which time or number of a record, or of a record within it, is invalid, or None."""
    checked = _checked_fields(type(record))
    for name in checked.times:
        moment = getattr(record, name)
        if moment is not None and not _has_valid_times(moment):
            return f"its {name} has no time zone, or is not from {FIRST_YEAR} to {LAST_YEAR}"
    for name in checked.counts:
        count = getattr(record, name)
        if count is not None and not _has_valid_counts(count):
            return f"its {name} is not from 0 to {LARGEST_COUNT}"
    for name in checked.records:
        value = getattr(record, name)
        flaw = _flaw_within(value) if value else None
        if flaw is not None:
            return flaw
    return None


def _flaw_within(value: Any) -> str | None:
    """Return a flaw of a record, or of one in a list or object."""
    if isinstance(value, Struct):
        return flaw_of_values(value)
    for inner in _items(value):
        flaw = _flaw_within(inner)
        if flaw is not None:
            return flaw
    return None


def _has_valid_times(value: Any) -> bool:
    """Return whether a time, or each one in a list or object, is valid."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and FIRST_YEAR <= value.year <= LAST_YEAR
    return all(map(_has_valid_times, _items(value)))


def _has_valid_counts(value: Any) -> bool:
    """Return whether a number, or each one in a list or object, is valid."""
    if isinstance(value, int):
        return 0 <= value <= LARGEST_COUNT
    return all(map(_has_valid_counts, _items(value)))


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


@cache
def _checked_fields(kind: type[Struct]) -> _CheckedFields:
    found = [(field.name, set(_types(field.type))) for field in fields(kind)]
    return _CheckedFields(
        times=tuple(name for name, types in found if datetime in types),
        counts=tuple(name for name, types in found if types - {NoneType, Ellipsis} == {int}),
        records=tuple(name for name, types in found if any(map(_holds_values, types))),
    )


def _types(annotation: Any) -> Iterator[Any]:
    """Yield the types that a field's annotation consists of, without those of objects' keys."""
    inner = get_args(annotation)[1:] if _is_object(annotation) else get_args(annotation)
    return (found for each in inner for found in _types(each)) if inner else iter([annotation])


def _is_object(annotation: Any) -> bool:
    return get_origin(annotation) in (dict, Mapping)


def _holds_values(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct) and any(_checked_fields(kind))
