"""The history of a run: one small entry for each event that changed it, never a body."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    CancelPause,
    Event,
    Expire,
    Finish,
    LeaseLapsed,
    Requeue,
    Resume,
)
from jupyter_pdflow.rules.run import Actor, PauseCall, Run

NOTE_LIMIT = 500
"""Maximum number of characters of a note."""

_NAMES: dict[type[Event], str] = {
    Begin: "begin",
    Finish: "finish",
    Resume: "resume",
    Expire: "expire",
    Cancel: "cancel",
    CancelPause: "cancel",
    Requeue: "requeue",
    LeaseLapsed: "lapse",
}


class HistoryEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to a run.

    Attributes
    ----------
    at : datetime
        When, in UTC.
    event : str
        ``start``, ``begin``, ``finish``, ``resume``, ``expire``, ``cancel``, ``requeue`` or
        ``lapse`` (the server that executed the step was gone).
    step, execution, attempt
        The step and its execution that the event was about.
    by : str or None
        The name of the person, if it is known.
    via : str or None
        The way: ``link``, ``button``, ``api``, ``cli`` or ``timer``.
    note : str or None
        One sentence more: how a step ended, why a run was canceled.
    """

    at: datetime
    event: str
    step: str
    execution: int
    attempt: int
    by: str | None = None
    via: Actor | None = None
    note: str | None = None


def start_entry(run: Run, now: datetime) -> HistoryEntry:
    """Return the first entry of a run."""
    return _entry(run, "start", now, via=run.started_by.via if run.started_by else None)


def entry_of(before: Run, event: Event, after: Run, now: datetime) -> HistoryEntry:
    """Return the entry of an event that has changed a run.

    Parameters
    ----------
    before, after : Run
        The run before and after the event.
    event : Event
    now : datetime
    """
    via: Actor | None = "timer" if isinstance(event, Expire) else getattr(event, "by", None)
    return _entry(before, _NAMES[type(event)], now, via=via, note=_note(event, before, after))


def _entry(
    run: Run, event: str, now: datetime, via: Actor | None = None, note: str | None = None
) -> HistoryEntry:
    return HistoryEntry(
        at=now,
        event=event,
        step=run.current.name,
        execution=run.execution,
        attempt=run.attempt,
        via=via,
        note=None if note is None else note[:NOTE_LIMIT],
    )


def _note(event: Event, before: Run, after: Run) -> str | None:
    if isinstance(event, Cancel):
        return event.reason
    if isinstance(event, Resume | CancelPause) and before.pause is None:
        return "It came while the step was still running, and is kept for the step's end."
    if isinstance(event, Finish):
        return _how_it_ended(event, after)
    if isinstance(event, Requeue | LeaseLapsed) and after.crashes > before.crashes:
        return f"Crash number {after.crashes} of this execution."
    return None


def _how_it_ended(event: Finish, after: Run) -> str | None:
    if event.outcome.error is not None:
        return f"{event.outcome.error.ename}: {event.outcome.error.evalue}"
    flow = event.outcome.flow
    if isinstance(flow, PauseCall) and flow.kind == "rerun" and after.pause is None:
        return "The reruns are used up; the run continues."
    if after.pause is not None:
        return f"It pauses: {after.pause.kind}, until {after.pause.deadline:%Y-%m-%d %H:%M:%S} UTC."
    return None
