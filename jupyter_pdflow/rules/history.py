"""The history of a run: one small entry for each event that changed it, never a body."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.rules.approvals import note_beside
from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    CancelPause,
    EmailFailed,
    Event,
    Expire,
    Finish,
    LeaseLapsed,
    Requeue,
    Resume,
)
from jupyter_pdflow.rules.pauses import Actor, PauseCall, PendingRequest
from jupyter_pdflow.rules.people import UNKNOWN, Person
from jupyter_pdflow.rules.run import Run

NOTE_LIMIT = 500
"""Maximum number of characters of a note."""

_NAMES: dict[type[Event], str] = {
    Begin: "begin",
    Finish: "finish",
    Resume: "resume",
    Expire: "expire",
    Cancel: "cancel",
    CancelPause: "cancel",
    EmailFailed: "email",
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
        ``start``, ``begin``, ``finish``, ``resume``, ``approve``, ``reject``, ``drop`` (a request
        that came too early and does not count), ``remind``, ``escalate``, ``email`` (one to an
        approver can't be sent), ``expire``, ``cancel``, ``requeue`` or ``lapse`` (the server that
        executed the step was gone).
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
    person: Person = getattr(event, "person", UNKNOWN)
    name = _name(event, before, after)
    return _entry(before, name, now, via=via, by=person.name, note=_note(event, before, after))


def drop_entry(
    run: Run, pending: PendingRequest, error: PDFlowError, now: datetime
) -> HistoryEntry:
    """Return the entry of a request that came before the pause, and does not count."""
    note = f"It came while the step was still running, and does not count: {error}"
    return _entry(run, "drop", now, via=pending.by, by=pending.person.name, note=note)


def _name(event: Event, before: Run, after: Run) -> str:
    """Return the name of what happened."""
    ask, pauses = before.pause and before.pause.ask, after.pause is not None
    match event:
        case CancelPause() if before.pause is not None and before.pause.kind == "suspend":
            return "reject"
        case Resume() if ask and ask.approvers:
            return "approve"
        case Expire() if pauses:
            return "escalate" if _is_escalated(before, after) else "remind"
    return _NAMES[type(event)]


def _is_escalated(before: Run, after: Run) -> bool:
    times = [run.pause and run.pause.escalate_at for run in (before, after)]
    return times[0] != times[1]


def _entry(
    run: Run,
    event: str,
    now: datetime,
    *,
    via: Actor | None = None,
    by: str | None = None,
    note: str | None = None,
) -> HistoryEntry:
    return HistoryEntry(
        at=now,
        event=event,
        step=run.current.name,
        execution=run.execution,
        attempt=run.attempt,
        by=by,
        via=via,
        note=None if note is None else note[:NOTE_LIMIT],
    )


def _note(event: Event, before: Run, after: Run) -> str | None:
    match event:
        case Cancel():
            note = event.reason
        case Resume() | CancelPause() if before.pause is None:
            note = "It came while the step was still running, and is kept for the step's end."
        case Resume():
            note = note_beside(before.pause, event.by, event.note)
        case CancelPause():
            note = event.note
        case EmailFailed():
            note = _how_it_was_sent(event)
        case Finish():
            note = _how_it_ended(event, after)
        case _:
            crashed = after.crashes > before.crashes
            note = f"Crash number {after.crashes} of this execution." if crashed else None
    return note


def _how_it_was_sent(event: EmailFailed) -> str:
    what = "was sent." if event.error is None else f"can't be sent: {event.error}"
    return f"The email to {event.address} {what}"


def _how_it_ended(event: Finish, after: Run) -> str | None:
    if event.outcome.error is not None:
        return f"{event.outcome.error.ename}: {event.outcome.error.evalue}"
    flow = event.outcome.flow
    if isinstance(flow, PauseCall) and flow.kind == "rerun" and after.pause is None:
        return "The reruns are used up; the run continues."
    if after.pause is not None:
        return f"It pauses: {after.pause.kind}, until {after.pause.deadline:%Y-%m-%d %H:%M:%S} UTC."
    return None
