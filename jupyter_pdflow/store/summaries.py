"""What lists show of a run: read from its file without its event and exports, however large."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, convert, field

from jupyter_pdflow.rules.run import Error, OnTimeout, PauseKind, Run, RunStatus, StepStatus, Usage


class StepSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Step` without its exports."""

    name: str
    status: StepStatus = "pending"
    runs: int = 0
    error: Error | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class PauseSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Pause` without its context."""

    kind: PauseKind
    step: str
    execution: int
    since: datetime
    deadline: datetime
    on_timeout: OnTimeout = "resume"


class RunSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Run` without all that authors and callers may make large."""

    id: str
    workflow_id: str
    workflow_name: str
    version: str
    steps: tuple[StepSummary, ...]
    created_at: datetime
    updated_at: datetime
    status: RunStatus = "queued"
    pause: PauseSummary | None = None
    usage: Usage = field(default_factory=Usage)
    error: Error | None = None
    reason: str | None = None
    ended_at: datetime | None = None


def summary_of(run: Run) -> RunSummary:
    """Leave out of a run what lists do not show."""
    return convert(run, RunSummary, from_attributes=True)
