"""Decisions: what ends a pause, and how it ended.

A link, a button, a cancel and a timer may all come for the same pause. The first event that is
stored decides: its `Decision` is recorded, and the run is no longer paused. An event that could
not be stored has decided nothing.

==========================================  ====================================================
an event that comes after the decision      what happens
==========================================  ====================================================
`Resume` or `CancelPause` (link, button)    raises `AlreadyDecidedError`, with the decision
`Expire` (timer)                            is ignored
`Cancel` (button, API)                      cancels the run, or raises `RunEndedError` if the run
                                            has ended; the earlier decision stays
==========================================  ====================================================

No event can overtake another one: all changes of one run are made one after another under its
lock (`jupyter_pdflow.stores.base.Store.transaction`), and each is stored before the next event is
applied. So the second of two events always sees the decision of the first.

A link may also be opened before its step has paused, because the handler gets the links while it
runs. The first such request is kept as `Run.pending_request` and decides when the step pauses.
To the requests after it, it is a decision already.

An event names its pause by step and execution. The execution grows when a pause ends, so a link
or a timer of an earlier pause never decides a later one. A button and the API name only a run:
under the lock they get the pause that the run has then, or raise `NotPausedError`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace

from jupyter_pdflow.exceptions import AlreadyDecidedError, NotPausedError
from jupyter_pdflow.rules.approvals import ask_of, asks, decider
from jupyter_pdflow.rules.pauses import Actor, Decider, Decision, Pause, Resolution
from jupyter_pdflow.rules.run import Run, milliseconds

Via: TypeAlias = Literal["link", "jupyter", "api", "cli", "timer"]

DECISIONS_KEPT = 100
"""Maximum number of decisions that a run keeps; the oldest are dropped first."""


DECISION = "$decision"
"""The export of a step that says how its ``suspend`` was decided."""

VIA: dict[Actor, Via] = {
    "link": "link",
    "button": "jupyter",
    "api": "api",
    "cli": "cli",
    "timer": "timer",
}
"""How handlers and the API name what decides pauses and starts runs."""

_ACTORS: dict[Actor, str] = {
    "link": "a link",
    "button": "a button",
    "api": "the api",
    "cli": "the command line",
    "timer": "the timer",
}


def decide(run: Run, resolution: Resolution, deciders: tuple[Decider, ...], now: datetime) -> Run:
    """Return the paused run with its pause decided and the paused time counted.

    A step that has called ``suspend`` gets the export ``$decision``.
    """
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: callers have checked it
    ask = ask_of(pause)
    decision = Decision(
        step=pause.step,
        execution=pause.execution,
        resolution=resolution,
        by=deciders[-1].via,
        at=now,
        deciders=deciders,
        asked=asks(pause),
        continued=resolution == "rejected" and ask.on_reject == "resume",
    )
    if pause.kind == "suspend":
        run = _with_export(run, decision)
    paused_ms = run.usage.paused_ms + milliseconds(pause.since, now)
    return replace(
        run,
        pause=None,
        decisions=(*run.decisions, decision)[-DECISIONS_KEPT:],
        usage=replace(run.usage, paused_ms=paused_ms),
    )


def _with_export(run: Run, decision: Decision) -> Run:
    exports = {**run.current.exports, DECISION: decision_export(decision)}
    step = replace(run.current, exports=exports)
    steps = (*run.steps[: run.position], step, *run.steps[run.position + 1 :])
    return replace(run, steps=steps)


def decision_export(decision: Decision) -> dict[str, Any]:
    """Return a decision as handlers read it."""
    by = [
        {
            "name": each.name,
            "via": VIA[each.via],
            "verified": each.verified,
            "at": timestamp(each.at),
            "note": each.note,
        }
        for each in decision.deciders
    ]
    outcome = decision.resolution
    return {"step": decision.step, "outcome": outcome, "at": timestamp(decision.at), "by": by}


def timestamp(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_undecided(run: Run, step: str, execution: int) -> None:
    """Raise an error if the pause of one execution of a step is decided.

    Raises
    ------
    AlreadyDecidedError
        The pause is decided, the execution did not pause, or a request is pending for it.
    """
    decision = decision_on(run, step, execution)
    if decision is not None:
        raise AlreadyDecidedError(decision_message(decision), decision)


def current_pause(run: Run, since: str | None = None) -> Pause:
    """Return the pause that a resume by the run's id would decide.

    Parameters
    ----------
    run : Run
    since : str, optional
        When the pause began that is meant, as `timestamp` writes it.

    Raises
    ------
    NotPausedError
        The run is not paused, or in another pause.
    """
    if run.pause is None:
        msg = f"Run {run.id} is {run.status}, not paused; only a paused run can be resumed."
        raise NotPausedError(msg)
    if since is not None and timestamp(run.pause.since) != since:
        msg = f"Run {run.id} waits for something else by now: look at step {run.pause.step!r}."
        raise NotPausedError(msg)
    return run.pause


def decision_on(run: Run, step: str, execution: int) -> Decision | None:
    """Return how the pause of one execution of a step was decided.

    Returns
    -------
    Decision or None
        None if the run waits in that pause, or if the execution has not ended and no request is
        pending for it. An execution that ended without a pause, or whose decision is no longer
        kept, has a decision without an actor.
    """
    if is_paused_at(run, step, execution):
        return None
    if is_under_way(run, step, execution):
        return _pending_decision(run)
    for decision in run.decisions:
        if (decision.step, decision.execution) == (step, execution):
            return decision
    return _unrecorded_decision(run, step, execution)


def decision_message(decision: Decision) -> str:
    """Return one sentence about how, by what and when a pause was decided."""
    how = {
        "approved": "was already approved",
        "rejected": "was already rejected" if decision.asked else "was already canceled",
        "resumed": "was already resumed",
        "canceled": "was already canceled",
        "timed_out": "timed out",
        "not_paused": "is not waiting any more",
        "failed": "is not waiting any more: its run failed",
        "exited": "is not waiting any more: its run ended early",
        "succeeded": "is not waiting any more: its run succeeded",
    }[decision.resolution]
    by = f" by {_who(decision)}" if decision.by and decision.resolution != "timed_out" else ""
    return f"Step {decision.step!r} {how}{by} at {decision.at:%Y-%m-%d %H:%M:%S} UTC."


def _who(decision: Decision) -> str:
    """Return who has decided: the names, or the way if they are not known."""
    names = [each.name for each in decision.deciders if each.name is not None]
    if names:
        return " and ".join(names)
    return _ACTORS[decision.by] if decision.by else "someone"


def is_paused_at(run: Run, step: str, execution: int) -> bool:
    """Whether the run waits in the pause of that execution of a step."""
    pause = run.pause
    return pause is not None and (pause.step, pause.execution) == (step, execution)


def is_under_way(run: Run, step: str, execution: int) -> bool:
    """Whether that execution of a step is queued or running."""
    if run.status not in ("queued", "running"):
        return False
    return (run.current.name, run.execution) == (step, execution)


def _pending_decision(run: Run) -> Decision | None:
    """Return the decision that the pending request will make when the current step pauses."""
    pending = run.pending_request
    if pending is None:
        return None
    return Decision(
        step=run.current.name,
        execution=run.execution,
        resolution="resumed" if pending.action == "resume" else "canceled",
        by=pending.by,
        at=pending.at,
        deciders=(decider(pending.by, pending.person, pending.note, pending.at),),
    )


def _unrecorded_decision(run: Run, step: str, execution: int) -> Decision:
    """Return what is known of an execution that never paused, or was decided long ago."""
    at = run.ended_at or run.updated_at
    return Decision(
        step=step, execution=execution, resolution=_resolution_by_status(run), by=None, at=at
    )


def _resolution_by_status(run: Run) -> Resolution:
    if run.status == "succeeded":
        # Only `pd.flow.exit` lets a run succeed without its last step.
        return "exited" if run.steps[-1].status == "skipped" else "succeeded"
    return run.status if run.status in ("failed", "canceled") else "not_paused"
