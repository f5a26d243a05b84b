"""What a stored run has to be beyond its types, so that a server can carry it on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from jupyter_pdflow.rules.run import Run


def flaw_of(run: Run) -> str | None:
    """Say what is wrong with a run; None if nothing is."""
    if not 0 <= run.position < len(run.steps):
        return "it is at a step that it does not have"
    if (run.status == "paused") != (run.pause is not None):
        return f"it is {run.status} and has {'a' if run.pause else 'no'} pause"
    if run.pause is not None and run.pause.step != run.current.name:
        return "its pause is not at its step"
    return "it has a time without a time zone" if has_vague_time(run) else None


def has_vague_time(record: Struct) -> bool:
    """Whether a record has a time without a time zone."""
    return any(moment.tzinfo is None for moment in _moments(record))


def _moments(record: Struct) -> Iterator[datetime]:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, datetime):
                yield each
            elif isinstance(each, Struct):
                yield from _moments(each)
