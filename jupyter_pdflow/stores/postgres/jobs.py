"""The jobs of runs that are ready, in PgQueuer's tables.

`jupyter_pdflow.engine.pgqueuer_queue` hands them out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder
from pgqueuer.db import PsycopgDriver
from pgqueuer.domain.settings import DBSettings
from pgqueuer.queries import Queries
from pgqueuer.types import Channel

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.postgres.database import Connection, Database

SETTINGS = DBSettings(db_schema="pdflow", prefix="", channel=Channel("pdflow_jobs"))
"""Where PgQueuer has its tables, and how it tells processes of new jobs."""

PRUNED_AT_ONCE = 10_000
"""Maximum number of rows that one statement removes."""


def queries(driver: Any) -> Queries:
    """Return PgQueuer's queries for these tables."""
    return Queries(driver, QueryBuilderEnvironment(SETTINGS), QueryQueueBuilder(SETTINGS))


async def put_job(connection: Connection, run: Run, rank: int) -> None:
    """Add a job for a run that is ready, in the caller's transaction, unless it has one.

    Parameters
    ----------
    connection : Connection
        A connection with ``autocommit`` in which a transaction was begun.
    run : Run
        The run.
    rank : int
        Its place among the runs that wait; those of different workflows take turns.
    """
    await queries(PsycopgDriver(connection)).enqueue(
        run.queue, run.id.encode(), priority=-rank, dedupe_key=job_key(run), on_conflict="skip"
    )


def job_key(run: Run) -> str:
    """Return what tells the job of a run's next attempt from all others.

    Not the run alone: the job of its last attempt may not be confirmed yet.
    """
    return f"{run.id}:{run.current.name}:{run.execution}:{run.attempt}:{run.crashes}"


_RESTORE = f"""
INSERT INTO {SETTINGS.qualified.queue_table} (entrypoint, payload, priority, dedupe_key, status)
SELECT queue, convert_to(id, 'UTF8'), -rank, job, 'queued' FROM pdflow.runs
WHERE rank IS NOT NULL AND updated_at < clock_timestamp() - interval '30 s'
    AND NOT EXISTS (SELECT FROM {SETTINGS.qualified.queue_table} WHERE dedupe_key = job
        AND status IN ('queued', 'picked'))
ORDER BY rank LIMIT 1000 ON CONFLICT DO NOTHING
"""  # noqa: S608


async def restore_jobs(connection: Connection) -> None:
    """Add the jobs that are missing: PgQueuer drops one that can't be handed out again.

    That happens if the database is lost in between.
    """
    await connection.execute(_RESTORE.encode())


async def prune_log(database: Database) -> None:
    """Remove what PgQueuer has logged of jobs that are done; it would keep it for ever."""
    names = SETTINGS.qualified
    for table in (names.queue_table_log, names.statistics_table):
        # In parts: a process that is busy, or was away, finds millions of rows.
        statement = (
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} "  # noqa: S608
            f"WHERE created < now() - interval '1 hour' LIMIT {PRUNED_AT_ONCE}))"
        )
        removed = PRUNED_AT_ONCE
        while removed == PRUNED_AT_ONCE:
            async with database.connection() as connection:
                removed = (await connection.execute(statement.encode())).rowcount


def upgrade_tables(conninfo: str) -> None:
    """Make or update PgQueuer's tables; several processes may do so at once.

    Raises
    ------
    psycopg.Error
        The database can't be reached, or refuses.
    """

    async def upgrade() -> None:
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        async with connection:
            await queries(PsycopgDriver(connection)).apply_upgrade()

    loop = asyncio.new_event_loop()  # the caller's current loop, if any, stays that
    try:
        loop.run_until_complete(upgrade())
    finally:
        loop.close()
