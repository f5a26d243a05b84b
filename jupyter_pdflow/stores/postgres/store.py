"""The store on PostgreSQL: runs, their history and outputs, and what starts of runs leave behind."""

from __future__ import annotations

import builtins
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import uuid4

from jupyter_pdflow.exceptions import (
    NotFoundError,
    PDFlowError,
    RunDeletedError,
)
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.settings import LIMITS, Limits
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
    check_ended,
    not_removed,
)
from jupyter_pdflow.stores.counts import ALL, CountQuery, Counts
from jupyter_pdflow.stores.folders import RunFolders
from jupyter_pdflow.stores.postgres import runs
from jupyter_pdflow.stores.postgres.changes import Changes
from jupyter_pdflow.stores.postgres.counts import COUNTS_SECONDS, count_runs
from jupyter_pdflow.stores.postgres.database import Connection, Database, ended, one
from jupyter_pdflow.stores.postgres.emails import Emails
from jupyter_pdflow.stores.postgres.jobs import prune_log, put_job, restore_jobs
from jupyter_pdflow.stores.postgres.outputs import Outputs
from jupyter_pdflow.stores.postgres.starts import Starts
from jupyter_pdflow.stores.postgres.workers import Workers
from jupyter_pdflow.stores.postgres.workflows import Workflows
from jupyter_pdflow.threads import in_thread

LEASE = timedelta(seconds=15)
"""How long a process executes a run without renewing its lease."""

DELETE_SECONDS = 60.0
"""Maximum time in which a run and its files are removed."""

RESTORE_SECONDS = 30.0
"""Minimum time between two looks for missing jobs."""

logger = logging.getLogger(__name__)


class PostgresTransaction:
    """A run whose row is locked, see `jupyter_pdflow.stores.base.Transaction`."""

    run: Run

    def __init__(self, store: PostgresStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._exit = AsyncExitStack()
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._connection = await stack.enter_async_context(self._store.database.connection())
            await stack.enter_async_context(ended(self._connection))
            self.run = await runs.begin_and_lock(self._connection, self._run_id)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._exit.__aexit__(kind, error, tb)

    async def commit(
        self, run: Run, entries: Sequence[HistoryEntry] = (), outputs: StepOutputs | None = None
    ) -> None:
        """Store the next state of the run, and all that follows from it: all or nothing."""
        connection = self._connection
        assert connection is not None  # noqa: S101  for the type checker: set on entering
        if outputs is not None:
            await self._store.put_outputs(connection, run.id, outputs)
        transaction_id, evidence = "", None  # outputs alone may be stored again
        if run is not self.run:
            stored = await self._store.update(connection, run, entries)
            transaction_id, evidence = stored.transaction_id, stored.evidence
        await self._store.database.commit(connection, transaction_id, evidence)
        self.run = run


class PostgresStore:
    """A `jupyter_pdflow.stores.base.Store` in the schema ``pdflow`` of a database.

    A transaction of a run locks its row. Who executes a run holds a lease on it, by the database's
    clock; a run whose lease has lapsed is taken over by another process.

    Parameters
    ----------
    conninfo : str
        A connection string or URL of a direct connection, not of a pooler in transaction mode.
    folders : RunFolders, optional
        The files of runs, which are removed with their runs.
    max_connections : int
        Maximum number of connections; one more listens for changes.
    lease : timedelta
        How long a process executes a run without renewing its lease.
    limits : Limits
        How much a list of emails may have.
    """

    kind = "postgresql"

    def __init__(
        self,
        conninfo: str,
        folders: RunFolders | None = None,
        *,
        max_connections: int = 8,
        lease: timedelta = LEASE,
        limits: Limits = LIMITS,
    ) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:12]}"
        self.database = Database(conninfo, max_connections=max_connections)
        self._folders = folders
        self._restored_at = time.monotonic()
        self.lease_seconds: float | None = lease.total_seconds()
        self._lease = lease
        self._emails = Emails(self.database, limits)
        self._outputs = Outputs(self.database)
        self._starts = Starts(self.database)
        self._workflows = Workflows(self.database)
        self._changes = Changes(conninfo)
        self._workers = Workers(self.database, self.owner)

    @property
    def available(self) -> bool:
        """Whether the latest use of the database has succeeded."""
        return self.database.available

    async def open(self) -> None:
        """Connect to the database, and check its tables."""
        await self.database.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._changes.close()
        await self._workers.remove()
        await self.database.close()

    # --- runs ---

    async def create(
        self,
        run: Run,
        entries: Sequence[HistoryEntry] = (),
        *,
        key: IdempotencyKey | None = None,
        mark: ScheduleMark | None = None,
    ) -> Run:
        """Store a new run, or return the run that was created with the same key."""
        async with self.database.connection() as connection, ended(connection):
            await connection.execute("BEGIN")
            if key is not None:
                other = await self._starts.reserve(connection, key, run)
                if other is not None:
                    return await self._started_before(connection, other)
            stored = await runs.insert(connection, run, entries, self._lease)
            await self._follow(connection, run, stored)
            if mark is not None:
                await self._starts.put_mark(connection, mark)
            await self.database.commit(connection, stored.transaction_id, stored.evidence)
        return run

    async def _started_before(self, connection: Connection, run_id: str) -> Run:
        """Return the run that has a key; a key is stored with its run, so that run may be deleted.

        Raises
        ------
        RunDeletedError
            It was deleted.
        """
        try:
            return await runs.load(connection, run_id)
        except NotFoundError:
            msg = (
                "The run that was started with this idempotency key was deleted. Use another key "
                "to start another run."
            )
            raise RunDeletedError(msg) from None

    def transaction(self, run_id: str) -> PostgresTransaction:
        """Load a run to change it; the next transaction of that run waits until this one ends."""
        return PostgresTransaction(self, run_id)

    async def get(self, run_id: str) -> Run:
        """Return a run; `NotFoundError` if it is unknown, `StoredFileError` if unreadable."""
        async with self.database.connection() as connection:
            return await runs.load(connection, run_id)

    async def update(
        self, connection: Connection, run: Run, entries: Sequence[HistoryEntry]
    ) -> runs.Stored:
        """Store the next state of a run whose row is locked, and all that follows from it."""
        stored = await runs.update(connection, run, entries, self._lease)
        await self._follow(connection, run, stored)
        return stored

    async def _follow(self, connection: Connection, run: Run, stored: runs.Stored) -> None:
        """Store what follows from a state of a run: its emails, and a job if it is ready."""
        await self._emails.take_over(connection, run.outbox)
        if stored.rank is not None:
            await put_job(connection, run, stored.rank)

    async def list(self, query: RunQuery) -> builtins.list[RunSummary]:
        """Return summaries of runs, newest first."""
        async with self.database.connection() as connection:
            return await runs.list_runs(connection, query)

    async def counts(self, query: CountQuery = ALL) -> Counts:
        """Return numbers of runs by workflow and status, and those of each day."""
        async with self.database.connection(seconds=COUNTS_SECONDS) as connection:
            return await count_runs(connection, query)

    async def oldest_queued(self) -> datetime | None:
        """Return since when the queued run that waits longest is queued."""
        async with self.database.connection() as connection:
            return await runs.oldest_queued(connection)

    async def newest(self) -> str | None:
        """Return the greatest id of a run, or None if there is no run."""
        async with self.database.connection() as connection:
            return await runs.newest(connection)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
        async with self.database.connection() as connection:
            return await runs.history(connection, run_id)

    # --- outputs ---

    async def outputs(self, run_id: str) -> KeptOutputs:
        """Return the outputs of a run; empty if it has none."""
        return await self._outputs.get(run_id)

    async def outputs_tag(self, run_id: str) -> str:
        """Return a text that changes when the outputs or the status of a run do."""
        return await self._outputs.tag(run_id)

    async def put_live(self, run_id: str, shown: StepOutputs) -> None:
        """Show all processes what the step of a run that this process executes has shown so far."""
        await self._outputs.put_live(run_id, shown)

    async def remove_live(self, run_id: str, shown: StepOutputs) -> None:
        """Remove what `put_live` has stored of an attempt that has ended."""
        await self._outputs.remove_live(run_id, shown)

    async def put_outputs(self, connection: Connection, run_id: str, shown: StepOutputs) -> None:
        """Store the outputs of one execution, in place of those of an earlier attempt."""
        await self._outputs.put(connection, run_id, shown)

    # --- removal ---

    async def ended_before(
        self, moment: datetime, limit: int, after: str | None = None
    ) -> builtins.list[str]:
        """Return the ids of runs that ended before a time and have no queued email, sorted."""
        async with self.database.connection() as connection:
            found = await connection.execute(
                "SELECT id FROM pdflow.runs WHERE ended_at < %s AND id > %s AND NOT EXISTS (SELECT "
                "FROM pdflow.emails WHERE run_id = runs.id AND status = 'queued') "
                "ORDER BY id LIMIT %s",
                (moment, after or "", limit),
            )
            return [run_id async for (run_id,) in found]

    async def delete(self, run_ids: Sequence[str]) -> dict[str, PDFlowError]:
        """Remove runs that have ended, with all that belongs to them; return those that failed."""
        failed: dict[str, PDFlowError] = {}
        for run_id in run_ids:
            try:
                await self._delete(run_id)
            except PDFlowError as error:
                failed[run_id] = error
        return failed

    async def _delete(self, run_id: str) -> None:
        limited = self.database.connection(seconds=DELETE_SECONDS)
        async with limited as connection, ended(connection):
            check_ended(await runs.begin_and_lock(connection, run_id))
            await connection.execute(_WAIT_FOR_FILES)
            if self._folders is not None:
                unremoved = await in_thread(self._folders.remove, [run_id])
                if unremoved:
                    raise not_removed(run_id, unremoved[run_id])
            await connection.execute(_DELETE_RUN, {"id": run_id})
            await connection.execute("COMMIT")

    async def schedule_marks(self, workflow_id: str) -> dict[str, datetime]:
        """Return for what time each schedule of a workflow has started a run last, by trigger."""
        return await self._starts.marks(workflow_id)

    async def remove_expired(self, now: datetime) -> None:
        """Remove idempotency keys that have expired, and what was logged of jobs."""
        await self._starts.remove_expired(now)
        await self._outputs.prune_live()
        await prune_log(self.database)

    async def changes(self) -> AsyncIterator[RunChange]:
        """Return an iterator over the changes of runs of all processes from now on."""
        return await self._changes.follow()

    # --- work ---

    async def ready(self) -> builtins.list[str]:
        """Return the ids of the runs that wait to be executed, oldest first."""
        async with self.database.connection() as connection:
            found = await connection.execute(
                "SELECT id FROM pdflow.runs WHERE rank IS NOT NULL ORDER BY id"
            )
            return [run_id async for (run_id,) in found]

    async def lapsed(self, now: datetime, limit: int) -> builtins.list[Lapsed]:
        """Return attempts whose leases have lapsed by the database's clock.

        They are leased to the caller, who takes them over. Jobs that are missing are added, from
        time to time.
        """
        del now
        reserved = self.database.connection(reserved=True)
        async with reserved as connection, connection.transaction():
            if time.monotonic() > self._restored_at + RESTORE_SECONDS:
                self._restored_at = time.monotonic()
                await restore_jobs(connection)
            found = await connection.execute(_TAKE_LAPSED, (self._lease, limit))
            rows = await found.fetchall()
        lapsed = [runs.read_or_log(run_id, record) for run_id, record in rows]
        return [
            Lapsed(run.id, run.current.name, run.execution, run.attempt) for run in lapsed if run
        ]

    async def renew(
        self, run_ids: Collection[str], worker: WorkerState | None = None
    ) -> builtins.list[str]:
        """Renew the leases of this process on runs; return the ids of those that were renewed.

        A run that is being changed at the moment is left out.
        """
        async with self.database.connection(reserved=True) as connection:
            if worker is not None:
                await self._workers.put(connection, worker)
            renewed = await connection.execute(_RENEW, (self._lease, list(run_ids), self.owner))
            return [run_id async for (run_id,) in renewed]

    async def workers(self) -> builtins.list[WorkerState]:
        """Return the processes that have called `renew` lately."""
        return await self._workers.all()

    async def next_deadline(self) -> datetime | None:
        """Return when a run is due next."""
        async with self.database.connection() as connection:
            found = await connection.execute(
                "SELECT min(due_at) FROM pdflow.runs WHERE due_at IS NOT NULL"
            )
            at: datetime | None = (await one(found))[0]
            return at

    async def due(self, now: datetime, limit: int, again_at: datetime) -> builtins.list[str]:
        """Return runs that are due, the earliest first, which are due again at `again_at`."""
        async with self.database.connection() as connection:
            found = await connection.execute(_TAKE_DUE, (now, limit, again_at))
            return [run_id for _, run_id in sorted(await found.fetchall())]

    # --- emails ---

    async def email(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if it is unknown."""
        return await self._emails.get(email_id)

    async def emails(self, limit: int, run_id: str | None = None) -> builtins.list[Email]:
        """Return the newest emails, newest first; fewer if their texts are large."""
        return await self._emails.newest(limit, run_id)

    async def email_counts(self) -> dict[str, int]:
        """Return the numbers of emails by status."""
        return await self._emails.counts()

    async def next_email_at(self) -> datetime | None:
        """Return when an email is due to be sent next."""
        return await self._emails.next_at()

    async def due_emails(
        self, now: datetime, limit: int, again_at: datetime
    ) -> builtins.list[Email]:
        """Return emails that are due, the earliest first, which are due again at `again_at`."""
        return await self._emails.due(now, limit, again_at)

    async def put_email(
        self, email: Email, next_at: datetime | None, message: bytes | None = None
    ) -> None:
        """Store an email after an attempt, and when the next one is due if it stays queued."""
        del message  # a list of emails has all of it
        await self._emails.put(email, next_at)

    async def requeue_email(self, email: Email, next_at: datetime) -> None:
        """Queue an email again that has failed, unless its run was deleted meanwhile."""
        await self._emails.requeue(email, next_at)

    # --- workflows ---

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`; return it, and whether new."""
        return await self._workflows.deploy(path, source, now)

    async def workflows(self) -> builtins.list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        return await self._workflows.all()

    async def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return await self._workflows.get(workflow_id, version)

    async def deployed(self, path: str) -> Workflow | None:
        """Return the newest version of the notebook at `path`, or None if it has none."""
        return await self._workflows.deployed(path)

    async def versions(self, workflow_id: str, limit: int) -> builtins.list[VersionSummary]:
        """Return the versions with the greatest numbers; `NotFoundError` if there is none."""
        return await self._workflows.versions(workflow_id, limit)

    async def version_numbers(
        self, versions: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        """Return the numbers of versions by workflow and hash; unknown ones are left out."""
        return await self._workflows.numbers(versions)


# --- statements -----------------------------------------------------------------------

_DELETE_RUN = """
WITH live AS (DELETE FROM pdflow.live_outputs WHERE run_id = %(id)s)
DELETE FROM pdflow.runs WHERE id = %(id)s
"""

_WAIT_FOR_FILES = f"SET LOCAL idle_in_transaction_session_timeout = '{DELETE_SECONDS:.0f} s'"

# Rows are not waited for: one that another transaction has locked must not cost the other leases.
_RENEW = """
UPDATE pdflow.runs SET lease_until = clock_timestamp() + %s
WHERE id IN (SELECT id FROM pdflow.runs WHERE id = ANY(%s) AND owner = %s
    AND lease_until IS NOT NULL FOR UPDATE SKIP LOCKED)
RETURNING id
"""

_TAKE_LAPSED = """
UPDATE pdflow.runs SET lease_until = clock_timestamp() + %s
WHERE id IN (SELECT id FROM pdflow.runs WHERE lease_until < clock_timestamp()
    AND status = 'running' ORDER BY lease_until LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, record
"""

_TAKE_DUE = """
WITH taken AS (SELECT id, due_at FROM pdflow.runs WHERE due_at <= %s ORDER BY due_at
    LIMIT %s FOR UPDATE SKIP LOCKED)
UPDATE pdflow.runs SET due_at = %s FROM taken WHERE runs.id = taken.id
RETURNING taken.due_at, runs.id
"""
