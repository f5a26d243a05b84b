"""The protocol of a store, the summaries of runs that lists show, and emails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct, convert, field

from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import (
    Decision,
    Error,
    OnTimeout,
    PauseKind,
    Run,
    RunStatus,
    Starter,
    StepStatus,
    Usage,
)
from jupyter_pdflow.rules.workflow import Source, Workflow


class StepSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Step` without its exports."""

    name: str
    status: StepStatus = "pending"
    runs: int = 0
    attempts: int = 0
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
    """A `Run` without the fields that authors and clients may make large."""

    id: str
    workflow_id: str
    workflow_name: str
    version: str
    steps: tuple[StepSummary, ...]
    created_at: datetime
    updated_at: datetime
    title: str | None = None
    started_by: Starter | None = None
    status: RunStatus = "queued"
    attempt: int = 1
    pause: PauseSummary | None = None
    decisions: tuple[Decision, ...] = ()
    usage: Usage = field(default_factory=Usage)
    error: Error | None = None
    reason: str | None = None
    ended_at: datetime | None = None


def summary_of(run: Run) -> RunSummary:
    """Return the summary of a run."""
    return convert(run, RunSummary, from_attributes=True)


Output = dict[str, Any]
"""An output of a notebook cell, as nbformat has it."""


class Email(Struct, frozen=True, kw_only=True):
    """An email and its delivery.

    Attributes
    ----------
    status : str
        ``queued`` until it is ``sent`` to all recipients or has ``failed`` for at least one;
        ``kept`` as a file if no SMTP server is configured.
    error : str or None
        Why the latest attempt failed.
    attempts : int
        Number of attempts to send it.
    answers : dict
        The recipients that need no further attempt, with None if they have the email, or with the
        server's reason for the refusal.
    """

    id: str
    run_id: str
    step: str
    to: list[str]
    subject: str
    text: str
    html: str | None
    created_at: datetime
    status: Literal["queued", "sent", "failed", "kept"] = "queued"
    error: str | None = None
    attempts: int = 0
    answers: dict[str, str | None] = {}


def run_of(email_id: str) -> str:
    """Return the id of the run that an email belongs to; its own id begins with it."""
    return email_id.rsplit("-", 3)[0]


class Store(Protocol):
    """Stores workflows, runs and the outputs of steps.

    What a coroutine has written survives a crash and a power cut when it returns. It raises
    `OSError` if the storage fails, and has changed nothing then. The caller makes one write of a
    run at a time; meanwhile the run is read as it was before the write.
    """

    def active(self) -> Iterator[Run]:
        """Read all runs that were not stored by `finish`. Call it once, before all else."""

    def get(self, run_id: str) -> Run:
        """Return a run; `NotFoundError` if it is unknown, `StoredFileError` if unreadable."""

    async def put(self, run: Run, entries: Sequence[HistoryEntry] = ()) -> None:
        """Store a run that has not ended, or whose emails are not handed over."""

    async def finish(self, run: Run, entries: Sequence[HistoryEntry] = ()) -> None:
        """Store a run that has ended, so that `active` returns it no more; may be repeated."""

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""

    async def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first.

        Parameters
        ----------
        status, workflow_id : str, optional
            Only runs with this status, or of this workflow.
        limit : int
            Maximum number of runs.
        before : str, optional
            Only runs with a smaller id than this.
        """

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Return the outputs of a run by step name; empty if it has none."""

    async def put_outputs(
        self, run_id: str, step: str, execution: int, outputs: list[Output]
    ) -> None:
        """Store the outputs of one execution of a step, in place of those of an earlier attempt."""

    async def ended_before(self, moment: datetime) -> list[str]:
        """Return the ids of runs that ended before a time, oldest first."""

    async def remove(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        """Remove runs that have ended, and their outputs first.

        Returns the runs that could not be removed, with the error.
        """

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns the version, and whether it was not the newest before.
        """

    def workflows(self) -> list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""

    async def close(self) -> None:
        """Free the store's resources. Nothing may be called afterwards."""
