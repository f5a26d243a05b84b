"""The protocol of a store, which every kind of storage implements."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.stores import (
    Email,
    IdempotencyKey,
    KeptOutputs,
    Lapsed,
    RunChange,
    RunQuery,
    RunSummary,
    ScheduleMark,
    StepOutputs,
    VersionSummary,
    WorkerState,
)
from jupyter_pdflow.stores.counts import ALL, CountQuery, Counts


class Transaction(Protocol):
    """A run that no other transaction changes meanwhile.

    Attributes
    ----------
    run : Run
        The run as it is stored.
    """

    run: Run

    async def commit(
        self, run: Run, entries: Sequence[HistoryEntry] = (), outputs: StepOutputs | None = None
    ) -> None:
        """Store the next state of the run, and all that follows from it: all or nothing.

        What follows: the store takes over the emails of `Run.outbox`, and knows when the run is
        due (`Run.wakes_at`), whether it is to be executed (`Run.ready`), and who executes it
        (`Run.owner`).

        Parameters
        ----------
        run : Run
            The next state; `Transaction.run` itself if only the outputs are to be stored.
        entries : sequence of HistoryEntry
            What has happened to it.
        outputs : StepOutputs, optional
            The outputs of the step that has ended.

        Raises
        ------
        StorageUnavailableError, ConflictError
            Nothing was stored.
        """


class Store(Protocol):
    """Stores runs, the outputs and emails of steps, and workflows.

    What a method has written survives a crash and a power cut when it returns. All methods raise
    `StorageUnavailableError` if the storage fails, and have changed nothing then.

    Attributes
    ----------
    owner : str
        The name under which this process executes runs. It differs at each start, so that what
        the last process executed is known to be orphaned.
    kind : str
        What it stores in: ``tinydb`` or ``postgresql``.
    lease_seconds : float or None
        How long a process executes a run without a `renew`. None if no other process uses the
        store: leases are not renewed then, and lapse with their process.
    """

    owner: str
    kind: str
    lease_seconds: float | None

    @property
    def available(self) -> bool:
        """Whether the latest write has succeeded."""

    async def open(self) -> None:
        """Take up what the last process left. Call it before all other methods."""

    async def close(self) -> None:
        """Free the store's resources. Nothing may be called afterwards."""

    # --- runs ---

    async def create(
        self,
        run: Run,
        entries: Sequence[HistoryEntry] = (),
        *,
        key: IdempotencyKey | None = None,
        mark: ScheduleMark | None = None,
    ) -> Run:
        """Store a new run.

        Parameters
        ----------
        run : Run
        entries : sequence of HistoryEntry
            What has happened to it.
        key : IdempotencyKey, optional
            If a run was created with this key, that run is returned, and nothing is stored.
        mark : ScheduleMark, optional
            Stored after the run; `key` has to be given too. A mark that can't be stored is kept in
            memory, and is no error. If a crash loses it, the schedule repeats the start, and gets
            the same run by its key.

        Returns
        -------
        Run
            `run` itself, or the run that was created with the same key.

        Raises
        ------
        RunDeletedError
            The run that was created with the same key was deleted; nothing was stored.
        StoredFileError
            That run can't be read.
        """

    def transaction(self, run_id: str) -> AbstractAsyncContextManager[Transaction]:
        """Load a run to change it; the next transaction of that run waits until this one ends.

        Entering it raises as `get`.
        """

    async def get(self, run_id: str) -> Run:
        """Return a run; `NotFoundError` if it is unknown, `StoredFileError` if unreadable."""

    async def list(self, query: RunQuery) -> builtins.list[RunSummary]:
        """Return summaries of runs, newest first.

        Their order is that of their ids; with `since` or `until` that of their creation, which
        differs if the clock was set back.
        """

    async def counts(self, query: CountQuery = ALL) -> Counts:
        """Return numbers of runs by workflow and status, and those of each day.

        The days are counted for the workflows of `Counts.listed`, which have names, too.
        """

    async def oldest_queued(self) -> datetime | None:
        """Return since when the queued run that waits longest is queued; None if none is."""

    async def newest(self) -> str | None:
        """Return the greatest id of a run that is a ULID, or None if there is none.

        It takes no time worth mentioning, however many runs there are: starts wait for it. Ids of
        the year 3000 and later are foreign, and ignored.
        """

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""

    async def outputs(self, run_id: str) -> KeptOutputs:
        """Return the outputs of a run; empty if it has none."""

    async def outputs_tag(self, run_id: str) -> str:
        """Return a text that changes when the outputs or the status of a run do.

        It is cheap: no outputs are read. `NotFoundError` if the run is unknown.
        """

    async def put_live(self, run_id: str, shown: StepOutputs) -> None:
        """Show all processes what the step of a run that this process executes has shown so far.

        It may be lost. It does not replace that of a later attempt, and does nothing if this
        process has the store for itself (`lease_seconds` is None).
        """

    async def remove_live(self, run_id: str, shown: StepOutputs) -> None:
        """Remove what `put_live` has stored of an attempt that has ended."""

    async def ended_before(
        self, moment: datetime, limit: int, after: str | None = None
    ) -> builtins.list[str]:
        """Return the ids of runs that ended before a time and have no queued email.

        They are sorted, and greater than `after`.
        """

    async def delete(self, run_ids: Sequence[str]) -> dict[str, PDFlowError]:
        """Remove runs that have ended, with their outputs, emails and files.

        Returns the runs that could not be removed, with the error; a part of them may be gone.
        """

    async def schedule_marks(self, workflow_id: str) -> dict[str, datetime]:
        """Return for what time each schedule of a workflow has started a run last, by trigger."""

    async def remove_expired(self, now: datetime) -> None:
        """Remove idempotency keys that have expired."""

    async def changes(self) -> AsyncIterator[RunChange]:
        """Return an iterator over the changes of runs from now on; `aclose` it in the end."""

    # --- work ---

    async def ready(self) -> builtins.list[str]:
        """Return the ids of the runs that wait to be executed, oldest first."""

    async def renew(
        self, run_ids: Collection[str], worker: WorkerState | None = None
    ) -> builtins.list[str]:
        """Renew the leases of this process on runs; return the ids of those that were renewed.

        Parameters
        ----------
        run_ids : collection of str
            The runs that this process executes.
        worker : WorkerState, optional
            How this process is doing, for `workers`.
        """

    async def workers(self) -> builtins.list[WorkerState]:
        """Return the processes that have called `renew` lately; empty if none has to."""

    async def lapsed(self, now: datetime, limit: int) -> builtins.list[Lapsed]:
        """Return attempts whose executing process is gone; the caller has to take them over."""

    async def next_deadline(self) -> datetime | None:
        """Return when a run is due next."""

    async def due(self, now: datetime, limit: int, again_at: datetime) -> builtins.list[str]:
        """Return runs that are due, the earliest first; `next_deadline` is `again_at` for them.

        So a run whose event can't be stored is returned again then.
        """

    # --- emails ---

    async def email(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if it is unknown."""

    async def emails(self, limit: int, run_id: str | None = None) -> builtins.list[Email]:
        """Return the newest emails, newest first; only those of a run, if one is given."""

    async def email_counts(self) -> dict[str, int]:
        """Return the numbers of emails by status; a status without emails is left out."""

    async def next_email_at(self) -> datetime | None:
        """Return when an email is due to be sent next."""

    async def due_emails(
        self, now: datetime, limit: int, again_at: datetime
    ) -> builtins.list[Email]:
        """Return emails that are due, the earliest first, which are due again at `again_at`."""

    async def put_email(
        self, email: Email, next_at: datetime | None, message: bytes | None = None
    ) -> None:
        """Store an email after an attempt, unless its run was deleted meanwhile.

        Parameters
        ----------
        email : Email
            As it is now.
        next_at : datetime or None
            When the next attempt is due, if it stays queued.
        message : bytes, optional
            The email as a message, if it is kept and not sent; a store may keep it as a file.
        """

    async def requeue_email(self, email: Email, next_at: datetime) -> None:
        """Queue an email again that has failed, unless its run was deleted meanwhile."""

    # --- workflows ---

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        A version that was deployed before keeps its number, and when it was first deployed; a new
        one gets the next number.

        Returns the version, and whether it was not the newest before.
        """

    async def workflows(self) -> builtins.list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""

    async def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""

    async def deployed(self, path: str) -> Workflow | None:
        """Return the newest version of the notebook at `path`, or None if it has none."""

    async def versions(self, workflow_id: str, limit: int) -> builtins.list[VersionSummary]:
        """Return the versions of a workflow with the greatest numbers, those first.

        Raises
        ------
        NotFoundError
            There is no such workflow.
        """

    async def version_numbers(
        self, versions: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        """Return the numbers of versions, each given as its workflow's id and its hash.

        Unknown ones are left out. Lists of runs ask for it: it reads no file, and at most once
        from a database.
        """
