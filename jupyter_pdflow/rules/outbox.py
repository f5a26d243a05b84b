"""The mails of a run's latest outcome, from being asked for to being handed over."""

from __future__ import annotations

from datetime import datetime

from jupyter_pdflow.rules.events import Deliver
from jupyter_pdflow.rules.run import OutboxMessage, Outcome, Run


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
