"""What a handler is told of its execution, and the emails of its outcome."""

from __future__ import annotations

from datetime import datetime

from msgspec.json import encode

from jupyter_pdflow.rules.events import Deliver
from jupyter_pdflow.rules.run import Error, Execution, OutboxMessage, Outcome, PauseCall, Run

EXPORTS_LIMIT = 6_000_000
"""Bytes of JSON that the exports of one run may take, the context of its rerun included."""


def execution_of(
    run: Run,
    resume_url: str = "",
    cancel_url: str = "",
    *,
    files_dir: str = "",
    files_id: str = "",
) -> Execution:
    """Describe the run's current execution for the kernel that carries it out."""
    step = run.current
    return Execution(
        id=f"{run.id}-{run.execution}",
        run_id=run.id,
        workflow_id=run.workflow_id,
        workflow_name=run.workflow_name,
        version=run.version,
        step=step.name,
        ts=run.created_at,
        event=run.event,
        steps={done.name: done.exports for done in run.steps[: run.position]},
        attempt=run.attempt,
        runs=max(1, step.runs),
        reruns=step.reruns,
        context=run.context,
        called_back=run.called_back,
        callback_request=run.callback_request,
        resume_url=resume_url,
        cancel_url=cancel_url,
        files_dir=files_dir,
        files_id=files_id,
    )


def addressed(run: Run, outcome: Outcome, now: datetime) -> list[OutboxMessage]:
    """Name the mails of an outcome, always the same way, so that none is sent twice."""
    return [
        OutboxMessage(
            id=f"{run.id}-{run.execution}-{run.position}-{number}",
            run_id=run.id,
            step=run.current.name,
            created_at=now,
            mail=mail,
        )
        for number, mail in enumerate(outcome.mails)
    ]


def deliver(run: Run) -> tuple[Deliver, ...]:
    """Ask for the delivery of what is in a run's outbox, if there is anything."""
    return (Deliver(run.outbox),) if run.outbox else ()


def too_large(run: Run, outcome: Outcome) -> Error | None:
    """Return an error if the exports of a run, with those of this outcome, take too many bytes."""
    commas_and_brackets = len(run.steps) + 1
    size = len(encode([step.exports for step in run.steps])) - commas_and_brackets
    if isinstance(outcome.flow, PauseCall) and outcome.flow.context is not None:
        size += len(encode(outcome.flow.context))
    return (
        Error(ename="ExportError", evalue=too_large_words(size)) if size > EXPORTS_LIMIT else None
    )


def too_large_words(size: int, of: str = "run") -> str:
    """Say that the exports of a run, or of a step, take too many bytes."""
    return (
        f"The exports of this {of} take {size:,} bytes, the context of a rerun included; the limit "
        f"is {EXPORTS_LIMIT:,}. Write large data to a file and export its path."
    )


def next_runs(runs: int, max_retries: int, *, called_back: bool) -> int:
    """Number the next execution of a rerun step.

    Handlers read ``runs == maxRetries + 1`` as "given up waiting", as in Pipedream's
    examples, so a callback that would land on that number takes the one after it.
    """
    following = runs + 1
    return following + 1 if called_back and following == max_retries + 1 else following
