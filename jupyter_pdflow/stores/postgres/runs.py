"""The rows of runs and of their history on PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

from msgspec import MsgspecError
from msgspec.json import Decoder, encode
from msgspec.structs import replace
from psycopg import sql

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import ENDED, Run
from jupyter_pdflow.stores import (
    HISTORY_KEPT,
    RunQuery,
    RunSummary,
    summary_of,
    unknown_run,
)
from jupyter_pdflow.stores.postgres.changes import CHANNEL, notification_of
from jupyter_pdflow.stores.postgres.counts import Condition, filters, where_of
from jupyter_pdflow.stores.postgres.database import XACT_ID, Connection, Evidence, is_text, one
from jupyter_pdflow.stores.postgres.jobs import job_key
from jupyter_pdflow.stores.search import search_text
from jupyter_pdflow.stores.validation import FOREIGN, flaw_of_run, is_id

logger = logging.getLogger(__name__)

_RUN, _SUMMARY = Decoder(Run), Decoder(RunSummary)
_ENTRY = Decoder(HistoryEntry)


class Stored(NamedTuple):
    """What the database says of a state of a run that it has stored.

    Attributes
    ----------
    rank : int or None
        The place of a run that is ready among those that wait.
    transaction_id : str
        What `XACT_ID` was.
    evidence : Evidence or None
        Tells whether it is stored; None if there is no history entry to tell it.
    """

    rank: int | None
    transaction_id: str
    evidence: Evidence | None


async def load(connection: Connection, run_id: str) -> Run:
    """Return a run; `NotFoundError` if it is unknown, `StoredFileError` if unreadable."""
    if not is_id(run_id):
        raise unknown_run(run_id)
    found = await connection.execute("SELECT record FROM pdflow.runs WHERE id = %s", (run_id,))
    row = await found.fetchone()
    if row is None:
        raise unknown_run(run_id)
    return _read_run(run_id, row[0])


async def begin_and_lock(connection: Connection, run_id: str) -> Run:
    """Begin a transaction, lock the row of a run, and return the run; errors as `load`."""
    if not is_id(run_id):
        raise unknown_run(run_id)
    # One message instead of two, which have no parameters then.
    statements = sql.SQL(_BEGIN_AND_LOCK).format(id=run_id)
    found = await connection.execute(statements)
    found.nextset()
    row = await found.fetchone()
    if row is None:
        raise unknown_run(run_id)
    return _read_run(run_id, row[0])


async def insert(
    connection: Connection, run: Run, entries: Sequence[HistoryEntry], lease: timedelta
) -> Stored:
    """Store a new run with its history, in the caller's transaction."""
    stored = await _store(connection, _INSERT, run, entries, lease)
    return stored._replace(evidence=Evidence("SELECT FROM pdflow.runs WHERE id = %s", (run.id,)))


async def update(
    connection: Connection, run: Run, entries: Sequence[HistoryEntry], lease: timedelta
) -> Stored:
    """Store the next state of a run whose row is locked, and what has happened to it."""
    return await _store(connection, _UPDATE, run, entries, lease)


async def _store(
    connection: Connection,
    statement: LiteralString,
    run: Run,
    entries: Sequence[HistoryEntry],
    lease: timedelta,
) -> Stored:
    """Store the state of a run and its history, and notify all processes: one statement."""
    told = [encode(entry) for entry in entries]
    parameters = _columns(run, lease)
    parameters.update(entries=told, channel=CHANNEL, notification=notification_of(run))
    stored = await connection.execute(statement, parameters)
    rank, transaction_id, number, _ = await one(stored)
    if number is None:
        return Stored(rank, transaction_id, None)
    if number > HISTORY_KEPT:
        await connection.execute(_DROP_ENTRIES, (run.id, number - HISTORY_KEPT))
    return Stored(rank, transaction_id, Evidence(_FIND_ENTRY, (run.id, number, told[-1])))


# --- lists ----------------------------------------------------------------------------


async def list_runs(connection: Connection, query: RunQuery) -> list[RunSummary]:
    """Return summaries of runs, newest first."""
    by_creation = query.since is not None or query.until is not None
    conditions: list[Condition] = [
        ("status = %s", query.status),
        ("pause = %s", query.pause),
        *filters(query),
        *await _before(connection, query.before, by_creation=by_creation),
    ]
    where = where_of(conditions)
    if where is None:
        return []
    order = "created_at DESC, id DESC" if by_creation else "id DESC"
    select = f"SELECT summary FROM pdflow.runs {where.text} ORDER BY {order} LIMIT %s"  # noqa: S608
    found = await connection.execute(select.encode(), [*where.values, query.limit])
    return [_SUMMARY.decode(row[0]) async for row in found]


async def _before(
    connection: Connection, run_id: str | None, *, by_creation: bool
) -> list[Condition]:
    """Return the condition that runs come after the one with this id in a list."""
    row = None
    if run_id is not None and is_text(run_id) and by_creation:
        found = await connection.execute(
            "SELECT created_at FROM pdflow.runs WHERE id = %s", (run_id,)
        )
        row = await found.fetchone()
    if row is None:  # it may have been removed since its page was shown
        return [("id < %s", run_id)]
    return [("(created_at, id) < (%s, %s)", row[0], run_id)]


async def oldest_queued(connection: Connection) -> datetime | None:
    """Return since when the queued run that waits longest is queued."""
    found = await connection.execute(
        "SELECT min(updated_at) FROM pdflow.runs WHERE status = 'queued'"
    )
    at: datetime | None = (await one(found))[0]
    return at


async def newest(connection: Connection) -> str | None:
    """Return the greatest id of a run, or None if there is no run."""
    # Ids that are no ULIDs are foreign: counting up from one could run out of ids.
    found = await connection.execute(
        "SELECT id FROM pdflow.runs WHERE id < %s AND id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' "
        "ORDER BY id DESC LIMIT 1",
        (FOREIGN,),
    )
    row = await found.fetchone()
    return None if row is None else str(row[0])


async def history(connection: Connection, run_id: str) -> dict[int, HistoryEntry]:
    """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
    await load(connection, run_id)
    found = await connection.execute(
        "SELECT number, entry FROM pdflow.history WHERE run_id = %s ORDER BY number", (run_id,)
    )
    return {number: _ENTRY.decode(entry) async for number, entry in found}


# --- rows -----------------------------------------------------------------------------


def _columns(run: Run, lease: timedelta) -> dict[str, Any]:
    """Return the columns of a run's row."""
    ended_at = (run.ended_at or run.updated_at) if run.status in ENDED else None
    return {
        "id": run.id,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "pause": run.pause.kind if run.pause else None,
        "created_at": run.created_at,
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
    (SELECT min(rank) FROM pdflow.runs WHERE rank IS NOT NULL AND queue = %(queue)s),
    (SELECT max(rank) + 1 FROM pdflow.runs WHERE rank IS NOT NULL AND queue = %(queue)s
        AND workflow_id = %(workflow_id)s),
    0) END"""
"""The place of a run that is ready: behind those of its workflow, beside the first of the others
in its queue. Another queue may have runs that no process executes, whose ranks stay low."""

_HISTORY = f"""
    added AS (INSERT INTO pdflow.history
        SELECT %(id)s, position + coalesce((SELECT max(number) FROM pdflow.history
            WHERE run_id = %(id)s), 0), entry
        FROM unnest(%(entries)s::bytea[]) WITH ORDINALITY AS told (entry, position)
        RETURNING number)
SELECT rank, {XACT_ID}, (SELECT max(number) FROM added),
    pg_notify(%(channel)s, %(notification)s) FROM stored
"""  # noqa: S608
"""Adds history entries behind the last one, and notifies; the run's row is locked, or new."""

_INSERT = f"""
WITH stored AS (INSERT INTO pdflow.runs (id, workflow_id, status, pause, created_at, updated_at,
        ended_at, due_at, owner, lease_until, queue, rank, job, record, summary, search)
    VALUES (%(id)s, %(workflow_id)s, %(status)s, %(pause)s, %(created_at)s, %(updated_at)s,
        %(ended_at)s, %(due_at)s, %(owner)s, clock_timestamp() + %(lease)s::interval, %(queue)s, {_RANK},
        %(job)s, %(record)s, %(summary)s, %(search)s)
    RETURNING rank),
{_HISTORY}
"""  # noqa: S608

_UPDATE = f"""
WITH stored AS (UPDATE pdflow.runs SET status = %(status)s, pause = %(pause)s,
        updated_at = %(updated_at)s, ended_at = %(ended_at)s, due_at = %(due_at)s,
        owner = %(owner)s, lease_until = clock_timestamp() + %(lease)s::interval, rank = {_RANK},
        job = %(job)s, record = %(record)s, summary = %(summary)s, search = %(search)s
    WHERE id = %(id)s
    RETURNING rank),
{_HISTORY}
"""  # noqa: S608

_BEGIN_AND_LOCK = "BEGIN; SELECT record FROM pdflow.runs WHERE id = {id} FOR UPDATE"

_FIND_ENTRY = "SELECT FROM pdflow.history WHERE (run_id, number, entry) = (%s, %s, %s)"

_DROP_ENTRIES = "DELETE FROM pdflow.history WHERE run_id = %s AND number <= %s"


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


def read_or_log(run_id: str, record: bytes) -> Run | None:
    """Return a run from its record; None if it can't be used, which is logged."""
    try:
        return _read_run(run_id, record)
    except StoredFileError as error:
        logger.error("%s The other runs continue.", error)
        return None
