"""The seam of the store: its protocol, and what lists show of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct, convert, field

from jupyter_pdflow.rules.run import Error, OnTimeout, PauseKind, Run, RunStatus, StepStatus, Usage
from jupyter_pdflow.rules.workflow import Source, Workflow


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


Output = dict[str, Any]
"""An output of a notebook cell, as nbformat has it."""


class Store(Protocol):
    """Keeps workflows, runs and their outputs. What a call wrote is durable when it returns.

    Of one run there is one write at a time; meanwhile it is read as it was before.
    """

    def active(self) -> Iterator[Run]:
        """Read all runs that have not been filed as finished; call it once, first."""

    async def survey(self) -> None:
        """Learn which runs have ended, once; what needs to know it waits for that."""

    def get(self, run_id: str) -> Run:
        """Read a run; `NotFoundError` where there is none."""

    async def put(self, run: Run) -> None:
        """Store a run as it now is."""

    async def finish(self, run: Run) -> None:
        """Store a run that has ended among the finished ones; may be called again."""

    async def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Read what lists show of runs, newest first, from before the run id `before` on."""

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Read a run's outputs by step name."""

    async def put_outputs(
        self, run_id: str, step: str, execution: int, outputs: list[Output]
    ) -> None:
        """Keep the outputs of one execution of a step."""

    async def ended_before(self, moment: datetime) -> list[str]:
        """List the ids of runs that ended before that time, oldest first."""

    async def remove(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        """Remove runs that have ended, their outputs first; return those that could not go."""

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of a notebook; the bool says whether it changed."""

    def workflows(self) -> list[Workflow]:
        """Get the newest version of each workflow, by id."""

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Get one version of a workflow, the newest by default; `NotFoundError` if unknown."""

    async def close(self) -> None:
        """Free what it took; nothing is asked of it any more."""
