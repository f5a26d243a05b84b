"""The transitions of a run: `apply` takes a run, an event and the time, and returns the next run.

===========  ==============  ===================================================================
event        counts if the   the run is then
             run is
===========  ==============  ===================================================================
Begin        queued          running; a run that has to wait after crashes stays queued
Finish       running         queued (next step), paused, succeeded or failed; with a pending
                             request and a pause, as after that request
Resume       paused          queued (next step, or the same one for a rerun); succeeded after the
                             last step; paused with one approval more if more are required
CancelPause  paused          canceled; or as after a Resume if a rejection lets the run continue
Resume,      queued,         the same, with the request pending until the step ends
CancelPause  running
Expire       paused, due     as after a Resume; canceled or failed if `on_timeout` says so
Expire       paused,         paused, with emails to the approvers
             reminder due
EmailFailed  paused          paused, with a note of what can't be sent, or without
Expire       queued, due     queued, and executed now that its wait after crashes is over
Cancel       not ended       canceled
Requeue      running         queued (same step, next attempt)
Requeue      running         the same if the server crashed, from the second crash on after a
(crashed),                   wait; failed after `max_crashes`
LeaseLapsed
===========  ==============  ===================================================================

Finish, Requeue, LeaseLapsed, Resume, CancelPause and Expire name an execution and count only for
that one; Finish, Requeue and LeaseLapsed name its attempt as well. An event that does not count leaves the run as it
is. If a client sent it (Resume, CancelPause, Cancel), `apply` raises an error. If a timer, a kernel
or a server sent it, it is ignored. `jupyter_pdflow.rules.decisions` explains which event decides a
pause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from jupyter_pdflow.exceptions import ApproversOnlyError, InvalidAnswerError, RunEndedError
from jupyter_pdflow.rules.approvals import (
    ask_approvers,
    ask_of,
    check_may_decide,
    decider,
    escalate,
    missing,
    new_pause,
    note_beside,
    remind,
    with_answer,
    with_approval,
    without_answer,
)
from jupyter_pdflow.rules.decisions import check_undecided, decide, is_paused_at, is_under_way
from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    CancelPause,
    Effect,
    EmailFailed,
    Event,
    Execute,
    Expire,
    Finish,
    Interrupt,
    LeaseLapsed,
    Requeue,
    Resume,
)
from jupyter_pdflow.rules.execution import (
    crash_error,
    emails_of,
    next_runs,
    size_error,
    wait_after,
)
from jupyter_pdflow.rules.history import HistoryEntry, drop_entry, entry_of, start_entry
from jupyter_pdflow.rules.pauses import (
    Actor,
    Decider,
    Pause,
    PauseCall,
    PendingRequest,
    Request,
    Resolution,
)
from jupyter_pdflow.rules.people import Directory
from jupyter_pdflow.rules.run import (
    Error,
    ExitCall,
    Run,
    RunStatus,
    Starter,
    Step,
    StepStatus,
    credits_for,
    milliseconds,
)
from jupyter_pdflow.rules.titles import title_of_event, with_title
from jupyter_pdflow.rules.workflow import Workflow


class Transition(NamedTuple):
    """A run after an event, and what follows.

    Attributes
    ----------
    run : Run
    effects : tuple of Effect
        What to do once the run is stored.
    entries : tuple of HistoryEntry
        What to store with the run: an entry for each event that has changed it.
    """

    run: Run
    effects: tuple[Effect, ...] = ()
    entries: tuple[HistoryEntry, ...] = ()


def new_run(
    run_id: str, workflow: Workflow, event: Any, now: datetime, by: Actor = "api"
) -> Transition:
    """Return a new, queued run of a workflow's version, started with `event`."""
    run = Run(
        id=run_id,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        version=workflow.version,
        steps=tuple(Step(name=name) for name in workflow.step_names),
        event=event,
        title=title_of_event(event),
        started_by=Starter(via=by),
        queue=workflow.source.queue,
        created_at=now,
        updated_at=now,
    )
    return Transition(run, (Execute(),), (start_entry(run, now),))


def apply_all(run: Run, events: Iterable[Event], now: datetime) -> Transition:
    """Apply events that happen at once, each as a consequence of the one before; as `apply`.

    The first one that changes nothing ends this: a late Finish must not begin the next step.
    """
    whole = Transition(run)
    for event in events:
        before = whole.run
        run, effects, entries = apply(before, event, now)
        if run is before:
            break
        whole = Transition(run, (*whole.effects, *effects), (*whole.entries, *entries))
    return whole


def apply(run: Run, event: Event, now: datetime) -> Transition:
    """Apply one event to a run.

    Parameters
    ----------
    run : Run
    event : Event
    now : datetime
        The current UTC time; it may be earlier than at the previous event.

    Returns
    -------
    Transition
        Its run is `run` itself if the event changed nothing.

    Raises
    ------
    AlreadyDecidedError
        A `Resume` or `CancelPause` came for a pause that is decided.
    ApproversOnlyError, AlreadyAnsweredError, InvalidAnswerError
        It does not count, see `jupyter_pdflow.rules.approvals`.
    RunEndedError
        A `Cancel` came for a run that has ended.
    """
    transition = _RULES[type(event)](run, event, now)
    if transition.run is run:
        return transition
    after = transition.run
    # Times of a run stay in order even if the wall clock was set back.
    updated_at, owner = max(now, run.updated_at), after.owner if after.status == "running" else None
    after = replace(after, updated_at=updated_at, owner=owner)
    entries = (entry_of(run, event, after, now), *transition.entries)
    return Transition(after, transition.effects, entries)


# --- the rule of each event -----------------------------------------------------------


def _begin(run: Run, event: Begin, now: datetime) -> Transition:
    if run.status != "queued" or run.not_before is not None:
        return Transition(run)
    step = run.current
    runs = step.runs or 1  # for a rerun, or a step that crashed, the number is there already
    step = replace(step, status="running", runs=runs, attempts=run.attempt)
    run = _with_step(run, replace(step, started_at=step.started_at or now))
    # The steps that follow each other without a pause share one segment, and so its credits.
    started_at = run.segment_started_at or now
    return Transition(
        replace(run, status="running", owner=event.owner, segment_started_at=started_at)
    )


def _finish(run: Run, event: Finish, now: datetime) -> Transition:
    if run.status != "running" or not is_of_attempt(run, event):
        return Transition(run)
    outcome = event.outcome
    run = _with_step(run, replace(run.current, exports=outcome.exports))
    outbox = [*run.outbox, *emails_of(run, outcome, now)]
    run = with_title(replace(run, outbox=outbox), outcome)
    error = outcome.error or size_error(run, outcome)
    return _fail(run, error, now) if error else _after_return(run, event, now)


def _after_return(run: Run, event: Finish, now: datetime) -> Transition:
    match event.outcome.flow:
        case ExitCall(exit_reason=reason):
            run = _end_step(replace(run, reason=reason), "succeeded", now)
            return _end(run, "succeeded", now)
        case PauseCall() as call if not _reruns_used_up(run, call):
            return _pause(run, call, event.directory, now)
        case _:
            return _next_step(_end_step(run, "succeeded", now), now)


def _resume(run: Run, event: Resume, now: datetime) -> Transition:
    if is_under_way(run, event.step, event.execution) and run.pending_request is None:
        return Transition(_with_pending(run, "resume", event, now))
    check_undecided(run, event.step, event.execution)
    pause = _pause_of(run)
    check_may_decide(pause, event.person, event.directory)
    request = with_answer(pause, event.request)
    note = note_beside(pause, event.by, event.note)
    answer = decider(event.by, event.person, note, now)
    pause = with_approval(pause, answer, event.directory)
    if missing(pause) and ask_of(pause).approvers:
        return Transition(replace(run, pause=pause))
    resolution: Resolution = "approved" if ask_of(pause).approvers else "resumed"
    return _end_pause(run, resolution, pause.approvals, request, now)


def _with_pending(
    run: Run, action: Literal["resume", "cancel"], event: Resume | CancelPause, now: datetime
) -> Run:
    """Return a run that keeps a request which came before its step has paused."""
    pending = PendingRequest(
        action=action,
        by=event.by,
        at=now,
        request=event.request,
        person=event.person,
        note=event.note,
    )
    return replace(run, pending_request=pending)


def _expire(run: Run, event: Expire, now: datetime) -> Transition:
    pause = run.pause
    if run.not_before is not None and is_under_way(run, event.step, event.execution):
        return _end_wait(run, run.not_before, now)
    if not is_paused_at(run, event.step, event.execution) or pause is None:
        return Transition(run)
    if now >= pause.deadline:
        return _time_out(run, pause, now)
    # In this order: those who join are asked, and not reminded at once.
    if pause.remind_at is not None and now >= pause.remind_at:
        return Transition(remind(run, event.directory, now))
    if pause.escalate_at is not None and now >= pause.escalate_at:
        return Transition(escalate(run, event.directory, now))
    return Transition(run)


def _time_out(run: Run, pause: Pause, now: datetime) -> Transition:
    timer = (Decider(via="timer", at=now),)
    if pause.on_timeout == "cancel":
        run = decide(run, "timed_out", timer, now)
        return _cancel_now(run, "No answer came in time.", now)
    if pause.on_timeout == "fail":
        waited = milliseconds(pause.since, pause.deadline)
        text = f"Step {pause.step!r} was not resumed within {waited} ms."
        error = Error(ename="TimeoutError", evalue=text, step=pause.step)
        return _fail(decide(run, "timed_out", timer, now), error, now)
    return _end_pause(run, "timed_out", timer, None, now)


def _cancel(run: Run, event: Cancel, now: datetime) -> Transition:
    if run.ended:
        ended = "been canceled" if run.status == "canceled" else run.status
        msg = f"Run {run.id} has already {ended}; there is nothing to cancel."
        raise RunEndedError(msg)
    if run.pause is not None:
        canceled = decider(event.by, event.person, event.reason, now)
        run = decide(run, "canceled", (canceled,), now)
    return _cancel_now(run, event.reason, now)


def _cancel_pause(run: Run, event: CancelPause, now: datetime) -> Transition:
    if is_under_way(run, event.step, event.execution) and run.pending_request is None:
        return Transition(_with_pending(run, "cancel", event, now))
    check_undecided(run, event.step, event.execution)
    pause = _pause_of(run)
    check_may_decide(pause, event.person, event.directory)
    rejected = decider(event.by, event.person, event.note, now)
    if pause.kind != "suspend":
        return _cancel_now(decide(run, "canceled", (rejected,), now), None, now)
    if ask_of(pause).on_reject == "resume":
        request = without_answer(pause, event.request)
        return _end_pause(run, "rejected", (rejected,), request, now)
    return _cancel_now(decide(run, "rejected", (rejected,), now), event.note, now)


def _email_failed(run: Run, event: EmailFailed, now: datetime) -> Transition:
    del now
    pause = run.pause
    if pause is None or not is_paused_at(run, event.step, event.execution):
        return Transition(run)
    others = {to: why for to, why in pause.undelivered.items() if to != event.address}
    undelivered = others if event.error is None else {**others, event.address: event.error}
    if undelivered == pause.undelivered:
        return Transition(run)
    return Transition(replace(run, pause=replace(pause, undelivered=undelivered)))


def _requeue(run: Run, event: Requeue, now: datetime) -> Transition:
    if run.status != "running" or not is_of_attempt(run, event):
        return Transition(run)
    if event.crashed:
        return _crash(run, event.max_crashes, now)
    return Transition(_next_attempt(_close_segment(run, now)))


def _lease_lapsed(run: Run, event: LeaseLapsed, now: datetime) -> Transition:
    if run.status != "running" or not is_of_attempt(run, event):
        return Transition(run)
    return _crash(run, event.max_crashes, now)


_RULES: dict[type[Event], Callable[[Run, Any, datetime], Transition]] = {
    Begin: _begin,
    Finish: _finish,
    Resume: _resume,
    Expire: _expire,
    Cancel: _cancel,
    CancelPause: _cancel_pause,
    EmailFailed: _email_failed,
    Requeue: _requeue,
    LeaseLapsed: _lease_lapsed,
}


# --- changes that the rules share -----------------------------------------------------


def _pause(run: Run, call: PauseCall, directory: Directory, now: datetime) -> Transition:
    run = _close_segment(_with_step(run, replace(run.current, status="paused")), now)
    pending = run.pending_request
    run = replace(
        run, status="paused", pause=new_pause(run, call, directory, now), pending_request=None
    )
    run = ask_approvers(run, directory, now)
    return Transition(run) if pending is None else _apply_pending(run, pending, directory, now)


def _apply_pending(
    run: Run, pending: PendingRequest, directory: Directory, now: datetime
) -> Transition:
    """Apply the request that came before the step has paused, or drop it if it counts no more."""
    pause = _pause_of(run)
    kind, rule = (Resume, _resume) if pending.action == "resume" else (CancelPause, _cancel_pause)
    event: Any = kind(
        step=pause.step,
        execution=pause.execution,
        by=pending.by,
        request=pending.request or {},
        person=pending.person,
        note=pending.note,
        directory=directory,
    )
    try:
        return rule(run, event, now)
    except (ApproversOnlyError, InvalidAnswerError) as error:
        return Transition(run, (), (drop_entry(run, pending, error, now),))


def _pause_of(run: Run) -> Pause:
    assert run.pause is not None  # noqa: S101  for the type checker: callers have checked it
    return run.pause


def _end_pause(
    run: Run,
    resolution: Resolution,
    deciders: tuple[Decider, ...],
    request: Request | None,
    now: datetime,
) -> Transition:
    """Settle the pause and continue the run: with the same step for a rerun, else with the next."""
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: callers have checked it
    run = decide(run, resolution, deciders, now)
    # A new execution: the links, the timer and the late outcomes of the old one count no more.
    run = replace(run, execution=run.execution + 1, attempt=1, crashes=0)
    if pause.kind == "rerun":
        return _rerun(run, pause, request)
    step = run.current
    if pause.kind == "suspend" or request is not None:
        step = replace(step, exports={**step.exports, "$resume_data": request})
    return _next_step(_end_step(run, "succeeded", now, step), now)


def _rerun(run: Run, pause: Pause, request: Request | None) -> Transition:
    step = run.current
    runs = next_runs(step.runs, pause.max_retries, called_back=request is not None)
    step = replace(step, status="pending", runs=runs, reruns=step.reruns + 1, attempts=0)
    run = replace(
        _with_step(run, step),
        status="queued",
        context=pause.context,
        called_back=request is not None,
        callback_request=request,
    )
    return Transition(run, (Execute(),))


def _next_step(run: Run, now: datetime) -> Transition:
    run = replace(run, context=None, called_back=False, callback_request=None, pending_request=None)
    if run.position + 1 == len(run.steps):
        # A resume of the last step begins a segment too, which costs one credit.
        run = replace(run, segment_started_at=run.segment_started_at or now)
        return _end(run, "succeeded", now)
    run = replace(run, status="queued", position=run.position + 1, attempt=1, crashes=0)
    return Transition(run, (Execute(),))


def _next_attempt(run: Run) -> Run:
    """Queue the step that was running, for another attempt."""
    run = _with_step(run, replace(run.current, status="pending"))
    return replace(run, status="queued", attempt=run.attempt + 1, segment_started_at=None)


def _crash(run: Run, max_crashes: int, now: datetime) -> Transition:
    """Queue the step that was running when its server ended, or fail it after `max_crashes`."""
    run = replace(_next_attempt(run), crashes=run.crashes + 1)
    if run.crashes >= max_crashes:
        return _fail(run, crash_error(run.current.name, run.crashes), now)
    wait = wait_after(run.crashes)
    if not wait:
        return Transition(run, (Execute(),))
    return Transition(replace(run, not_before=now + wait))


def _end_wait(run: Run, not_before: datetime, now: datetime) -> Transition:
    if now < not_before:
        return Transition(run)
    return Transition(replace(run, not_before=None), (Execute(),))


def _fail(run: Run, error: Error, now: datetime) -> Transition:
    error = replace(error, step=run.current.name)
    run = _with_step(run, replace(run.current, error=error))
    return _end(_end_step(replace(run, error=error), "failed", now), "failed", now)


def _cancel_now(run: Run, reason: str | None, now: datetime) -> Transition:
    interrupt = (Interrupt(),) if run.status == "running" else ()
    run = _end_step(replace(run, reason=reason), "canceled", now)
    transition = _end(run, "canceled", now)
    return Transition(transition.run, (*interrupt, *transition.effects))


def _end(run: Run, status: RunStatus, now: datetime) -> Transition:
    steps = tuple(
        replace(step, status="skipped") if step.status == "pending" else step for step in run.steps
    )
    ended_at = max(now, run.updated_at)
    run = replace(
        run, steps=steps, status=status, pending_request=None, not_before=None, ended_at=ended_at
    )
    return Transition(_close_segment(run, now))


def _close_segment(run: Run, now: datetime) -> Run:
    """Count the compute time of the execution segment, if one has begun."""
    if run.segment_started_at is None:
        return run
    compute_ms = milliseconds(run.segment_started_at, now)
    usage = replace(
        run.usage,
        credits=run.usage.credits + credits_for(compute_ms),
        compute_ms=run.usage.compute_ms + compute_ms,
    )
    return replace(run, usage=usage, segment_started_at=None)


def _end_step(run: Run, status: StepStatus, now: datetime, step: Step | None = None) -> Run:
    step = step or run.current
    ended_at = max(now, step.started_at or now)
    return _with_step(run, replace(step, status=status, ended_at=ended_at))


def _with_step(run: Run, step: Step) -> Run:
    before, after = run.steps[: run.position], run.steps[run.position + 1 :]
    return replace(run, steps=(*before, step, *after))


def _reruns_used_up(run: Run, call: PauseCall) -> bool:
    return call.kind == "rerun" and run.current.reruns >= call.max_retries


def is_of_attempt(run: Run, event: Event) -> bool:
    """Return whether an event names the latest attempt of a run's current execution."""
    if not isinstance(event, Finish | Requeue | LeaseLapsed):
        return False
    attempt = (run.current.name, run.execution, run.attempt)
    return (event.step, event.execution, event.attempt) == attempt
