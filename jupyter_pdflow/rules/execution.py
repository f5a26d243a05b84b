"""What a handler is told of its execution, and the emails of its outcome."""

from __future__ import annotations

from datetime import datetime

from jupyter_pdflow.rules.events import Deliver
from jupyter_pdflow.rules.run import Execution, OutboxMessage, Outcome, Run


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
        woken=run.woken,
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
