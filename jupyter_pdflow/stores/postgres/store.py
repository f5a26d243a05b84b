"""The store on PostgreSQL: runs, their history and outputs, and what starts of runs leave behind."""

from __future__ import annotations

import builtins
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from msgspec import MsgspecError
from msgspec.json import Decoder, encode
from msgspec.structs import replace

from jupyter_pdflow.exceptions import (
    NotFoundError,
    PDFlowError,
    RunDeletedError,
    StoredFileError,
)
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import ENDED, Run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import (
    Counts,
    Email,
    IdempotencyKey,
    Lapsed,
    Output,
    RunChange,
    RunQuery,
    RunSummary,
    ScheduleMark,
    StepOutputs,
    WorkerState,
    change_of,
    check_ended,
    not_removed,
    summary_of,
    unknown_run,
)
from jupyter_pdflow.stores.postgres.changes import CHANNEL, Changes
from jupyter_pdflow.stores.postgres.database import XACT_ID, Connection, Database, begun, one
from jupyter_pdflow.stores.postgres.emails import Emails
from jupyter_pdflow.stores.postgres.jobs import job_key, prune_log, put_job, restore_jobs
from jupyter_pdflow.stores.postgres.outputs import Outputs
from jupyter_pdflow.stores.postgres.starts import Starts
from jupyter_pdflow.stores.postgres.workers import Workers
from jupyter_pdflow.stores.postgres.workflows import Workflows
from jupyter_pdflow.stores.tinydb.appended import HISTORY_KEPT
from jupyter_pdflow.stores.tinydb.folders import RunFolders
from jupyter_pdflow.stores.tinydb.index_source import fold, search_text
from jupyter_pdflow.stores.tinydb.runs import FOREIGN
from jupyter_pdflow.stores.tinydb.validation import flaw_of_run, is_id
from jupyter_pdflow.threads import in_thread

LEASE = timedelta(seconds=15)
"""How long a process executes a run without renewing its lease."""

DELETE_SECONDS = 60.0
"""Maximum time in which a run and its files are removed."""

RESTORE_SECONDS = 30.0
"""Minimum time between two looks for missing jobs."""

_RUN, _SUMMARY = Decoder(Run), Decoder(RunSummary)
_ENTRY = Decoder(HistoryEntry)


class PostgresTransaction:
    """A run whose row is locked, see `jupyter_pdflow.stores.base.Transaction`."""

    run: Run

    def __init__(self, store: PostgresStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._exit = AsyncExitStack()
        self._connection: Connection | None = None
        self._id = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._connection = await stack.enter_async_context(self._store.database.connection())
            await stack.enter_async_context(begun(self._connection))
            self.run, self._id = await self._store.lock(self._connection, self._run_id)
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
        if run is not self.run:
            await self._store.update(connection, run, entries)
        await self._store.database.commit(connection, self._id)
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
        async with self.database.connection() as connection, begun(connection):
            if key is not None:
                other = await self._starts.reserve(connection, key, run)
                if other is not None:
                    return await self._started_before(connection, other)
            stored = await connection.execute(_INSERT_RUN, _columns(run, self._lease))
            rank, transaction_id = await one(stored)
            await self._follow(connection, run, entries, rank=rank)
            if mark is not None:
                await self._starts.put_mark(connection, mark)
            await self.database.commit(connection, transaction_id)
        return run

    async def _started_before(self, connection: Connection, run_id: str) -> Run:
        """Return the run that has a key; a key is stored with its run, so that run may be deleted.

        Raises
        ------
        RunDeletedError
            It was deleted.
        """
        try:
            return await self.load(connection, run_id)
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
            return await self.load(connection, run_id)

    async def load(self, connection: Connection, run_id: str) -> Run:
        """Return a run; as `get`."""
        return (await self._row(connection, run_id, ""))[0]

    async def lock(self, connection: Connection, run_id: str) -> tuple[Run, str]:
        """Lock the row of a run; return the run, and the id of the transaction. Errors as `get`."""
        return await self._row(connection, run_id, " FOR UPDATE")

    async def _row(self, connection: Connection, run_id: str, lock: str) -> tuple[Run, str]:
        if not is_id(run_id):
            raise unknown_run(run_id)
        transaction_id = XACT_ID if lock else "''"
        select = f"SELECT record, {transaction_id} FROM pdflow.runs WHERE id = %s{lock}"  # noqa: S608
        found = await connection.execute(select.encode(), (run_id,))
        row = await found.fetchone()
        if row is None:
            raise unknown_run(run_id)
        return _read_run(run_id, row[0]), row[1]

    async def update(
        self, connection: Connection, run: Run, entries: Sequence[HistoryEntry]
    ) -> None:
        """Store the next state of a run whose row is locked."""
        stored = await connection.execute(_UPDATE_RUN, _columns(run, self._lease))
        await self._follow(connection, run, entries, rank=(await one(stored))[0])

    async def _follow(
        self, connection: Connection, run: Run, entries: Sequence[HistoryEntry], *, rank: int | None
    ) -> None:
        """Store what follows from the state of a run: history, emails, a job, and who is told."""
        for entry in entries:
            added = await connection.execute(_ADD_ENTRY, (run.id, encode(entry), run.id))
            number = (await one(added))[0]
            if number > HISTORY_KEPT:
                await connection.execute(_DROP_ENTRIES, (run.id, number - HISTORY_KEPT))
        await self._emails.take_over(connection, run.outbox)
        if rank is not None:
            await put_job(connection, run, rank)
        change = encode(change_of(run)).decode()
        await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, change))

    async def list(self, query: RunQuery) -> builtins.list[RunSummary]:
        """Return summaries of runs, newest first."""
        wanted = [
            ("id < %s", query.before),
            ("status = %s", query.status),
            ("workflow_id = %s", query.workflow_id),
            ("pause = %s", query.pause),
            *(("position(%s in search) > 0", word) for word in _words(query.search)),
        ]
        given = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(["true", *(condition for condition, _ in given)])
        select = f"SELECT summary FROM pdflow.runs WHERE {where} ORDER BY id DESC LIMIT %s"  # noqa: S608
        values: builtins.list[Any] = [*(value for _, value in given), query.limit]
        async with self.database.connection() as connection:
            found = await connection.execute(select.encode(), values)
            return [_SUMMARY.decode(row[0]) async for row in found]

    async def counts(self) -> Counts:
        """Return the number of runs, and since when the oldest one waits to be executed."""
        async with self.database.connection() as connection:
            runs = await connection.execute(
                "SELECT status, count(*) FROM pdflow.runs GROUP BY status"
            )
            by_status = dict(await runs.fetchall())
            queued = await connection.execute(
                "SELECT workflow_id, count(*), min(updated_at) FROM pdflow.runs "
                "WHERE status = 'queued' GROUP BY workflow_id"
            )
            by_workflow = await queued.fetchall()
            emails = await connection.execute(
                "SELECT status, count(*) FROM pdflow.emails GROUP BY status"
            )
            return Counts(
                runs=by_status,
                queued={workflow_id: count for workflow_id, count, _ in by_workflow},
                emails=dict(await emails.fetchall()),
                oldest_queued=min((since for _, _, since in by_workflow), default=None),
            )

    async def newest(self) -> str | None:
        """Return the greatest id of a run, or None if there is no run."""
        async with self.database.connection() as connection:
            # Ids that are no ULIDs are foreign: counting up from one could run out of ids.
            found = await connection.execute(
                "SELECT id FROM pdflow.runs WHERE id < %s AND id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' "
                "ORDER BY id DESC LIMIT 1",
                (FOREIGN,),
            )
            row = await found.fetchone()
            return None if row is None else str(row[0])

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
        async with self.database.connection() as connection:
            await self.load(connection, run_id)
            found = await connection.execute(
                "SELECT number, entry FROM pdflow.history WHERE run_id = %s ORDER BY number",
                (run_id,),
            )
            return {number: _ENTRY.decode(entry) async for number, entry in found}

    # --- outputs ---

    async def outputs(self, run_id: str) -> dict[str, builtins.list[Output]]:
        """Return the outputs of a run by step name; empty if it has none."""
        return await self._outputs.get(run_id)

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
        async with limited as connection, connection.transaction():
            run, _ = await self.lock(connection, run_id)
            check_ended(run)
            if self._folders is not None:
                unremoved = await in_thread(self._folders.remove, [run_id])
                if unremoved:
                    raise not_removed(run_id, unremoved[run_id])
            await connection.execute("DELETE FROM pdflow.runs WHERE id = %s", (run_id,))

    async def schedule_marks(self, workflow_id: str) -> dict[str, datetime]:
        """Return for what time each schedule of a workflow has started a run last, by trigger."""
        return await self._starts.marks(workflow_id)

    async def remove_expired(self, now: datetime) -> None:
        """Remove idempotency keys that have expired, and what was logged of jobs."""
        await self._starts.remove_expired(now)
        async with self.database.connection() as connection:
            await prune_log(connection)

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
        async with self.database.connection() as connection, connection.transaction():
            if time.monotonic() > self._restored_at + RESTORE_SECONDS:
                self._restored_at = time.monotonic()
                await restore_jobs(connection)
            found = await connection.execute(_TAKE_LAPSED, (self._lease, limit))
            runs = [_read_run(run_id, record) async for run_id, record in found]
        return [Lapsed(run.id, run.current.name, run.execution, run.attempt) for run in runs]

    async def renew(self, worker: WorkerState | None = None) -> builtins.list[str]:
        """Renew the leases of this process; return the ids of the runs that it has a lease on."""
        async with self.database.connection() as connection:
            if worker is not None:
                await self._workers.put(connection, worker)
            found = await connection.execute(
                "UPDATE pdflow.runs SET lease_until = clock_timestamp() + %s "
                "WHERE owner = %s AND lease_until IS NOT NULL RETURNING id",
                (self._lease, self.owner),
            )
            return [run_id async for (run_id,) in found]

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

    async def emails(self, limit: int) -> builtins.list[Email]:
        """Return the newest emails, newest first; fewer if their texts are large."""
        return await self._emails.newest(limit)

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


# --- rows -----------------------------------------------------------------------------


def _columns(run: Run, lease: timedelta) -> dict[str, Any]:
    """Return the columns of a run's row."""
    ended_at = (run.ended_at or run.updated_at) if run.status in ENDED else None
    return {
        "id": run.id,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "pause": run.pause.kind if run.pause else None,
        "updated_at": run.updated_at,
        "ended_at": ended_at,
        "due_at": run.wakes_at,
        "owner": run.owner,
        "lease": lease if run.status == "running" else None,
        "queue": run.queue,
        "ready": run.ready,
        "job": job_key(run) if run.ready else None,
        "record": encode(_without_outbox(run)),
        "summary": encode(summary_of(run)),
        "search": search_text(run),
    }


def _without_outbox(run: Run) -> Run:
    return replace(run, outbox=[]) if run.outbox else run


_RANK = """CASE WHEN %(ready)s THEN greatest(
    (SELECT min(rank) FROM pdflow.runs WHERE rank IS NOT NULL),
    (SELECT max(rank) + 1 FROM pdflow.runs WHERE rank IS NOT NULL AND workflow_id = %(workflow_id)s),
    0) END"""
"""The place of a run that is ready: behind those of its workflow, beside the first of the others."""

_INSERT_RUN = f"""
INSERT INTO pdflow.runs (id, workflow_id, status, pause, updated_at, ended_at, due_at, owner,
    lease_until, queue, rank, job, record, summary, search)
VALUES (%(id)s, %(workflow_id)s, %(status)s, %(pause)s, %(updated_at)s, %(ended_at)s, %(due_at)s,
    %(owner)s, clock_timestamp() + %(lease)s::interval, %(queue)s, {_RANK}, %(job)s, %(record)s,
    %(summary)s, %(search)s)
RETURNING rank, {XACT_ID}
"""  # noqa: S608

_UPDATE_RUN = f"""
UPDATE pdflow.runs SET status = %(status)s, pause = %(pause)s, updated_at = %(updated_at)s,
    ended_at = %(ended_at)s, due_at = %(due_at)s, owner = %(owner)s,
    lease_until = clock_timestamp() + %(lease)s::interval, rank = {_RANK}, job = %(job)s,
    record = %(record)s, summary = %(summary)s, search = %(search)s
WHERE id = %(id)s
RETURNING rank
"""  # noqa: S608

_ADD_ENTRY = """
INSERT INTO pdflow.history SELECT %s, coalesce(max(number), 0) + 1, %s FROM pdflow.history
WHERE run_id = %s RETURNING number
"""

_DROP_ENTRIES = "DELETE FROM pdflow.history WHERE run_id = %s AND number <= %s"

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


def _read_run(run_id: str, record: bytes) -> Run:
    try:
        run = _RUN.decode(record)
    except (MsgspecError, ValueError, RecursionError) as error:
        msg = f"Run {run_id} can't be read: {error}"
        raise StoredFileError(msg) from error
    flaw = flaw_of_run(run) or (None if run.id == run_id else "it is a copy of another run")
    if flaw is not None:
        msg = f"Run {run_id} can't be used: {flaw}."
        raise StoredFileError(msg)
    return run


def _words(search: str | None) -> builtins.list[str]:
    return fold(search or "").split()
