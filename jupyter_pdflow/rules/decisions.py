"""How the pauses of a run were settled, for those who come too late."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from jupyter_pdflow.exceptions import AlreadyDecidedError
from jupyter_pdflow.rules.run import Actor, Decision, Resolution, Run, milliseconds

DECISIONS_KEPT = 100
"""Maximum number of decisions of a run; the oldest go first."""


def decision_on(run: Run, step: str, execution: int) -> Decision | None:
    """Tell how the pause of one execution was settled; None while it is open."""
    if is_paused_at(run, step, execution):
        return None
    if is_under_way(run, step, execution):
        return _kept_decision(run)
    for decision in run.decisions:
        if (decision.step, decision.execution) == (step, execution):
            return decision
    return _untold_decision(run, step, execution)


def decided_words(decision: Decision) -> str:
    """Say in one sentence how and when a pause was settled."""
    how = {
        "resumed": "was already resumed",
        "canceled": "was already canceled",
        "timed_out": "timed out",
        "not_paused": "is not waiting any more",
        "failed": "is not waiting any more: its run failed",
        "exited": "is not waiting any more: its run ended early",
        "succeeded": "is not waiting any more: its run succeeded",
    }[decision.how]
    by = f" by {'a ' if decision.by in ('link', 'button') else 'the '}{decision.by}"
    by = by if decision.by and decision.how != "timed_out" else ""
    return f"Step {decision.step!r} {how}{by} at {decision.at:%Y-%m-%d %H:%M:%S} UTC."


def is_paused_at(run: Run, step: str, execution: int) -> bool:
    """Whether the run waits in the pause of that execution of a step."""
    pause = run.pause
    return pause is not None and (pause.step, pause.execution) == (step, execution)


def is_under_way(run: Run, step: str, execution: int) -> bool:
    """Whether that execution of a step is being carried out, or about to be."""
    here = (run.current.name, run.execution) == (step, execution)
    return run.status in ("queued", "running") and here


def _kept_decision(run: Run) -> Decision | None:
    pending = run.pending_request
    if pending is None:
        return None
    how: Resolution = "resumed" if pending.action == "resume" else "canceled"
    step, execution = run.current.name, run.execution
    return Decision(step=step, execution=execution, how=how, by=pending.by, at=pending.at)


def _untold_decision(run: Run, step: str, execution: int) -> Decision:
    """Return what is known of an execution that never paused, or was settled long ago."""
    at = run.ended_at or run.updated_at
    return Decision(step=step, execution=execution, how=_ended_how(run), by=None, at=at)


def _ended_how(run: Run) -> Resolution:
    """Return how a run ended; one that succeeded without its last steps has called ``exit``."""
    if run.status == "succeeded":
        return "exited" if run.steps[-1].status == "skipped" else "succeeded"
    return run.status if run.status in ("failed", "canceled") else "not_paused"


def decide(run: Run, how: Resolution, by: Actor, now: datetime) -> Run:
    """Settle the pause, by whichever came first, and count the time it took."""
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: callers have checked it
    decision = Decision(step=pause.step, execution=pause.execution, how=how, by=by, at=now)
    paused_ms = run.usage.paused_ms + milliseconds(pause.since, now)
    return replace(
        run,
        pause=None,
        decisions=(*run.decisions, decision)[-DECISIONS_KEPT:],
        usage=replace(run.usage, paused_ms=paused_ms),
    )


def check_open(run: Run, step: str, execution: int) -> None:
    """Raise `AlreadyDecidedError` if the pause of that execution is settled."""
    decision = decision_on(run, step, execution)
    if decision is not None:
        raise AlreadyDecidedError(decided_words(decision), decision)
