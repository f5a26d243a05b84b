"""What starts of runs leave behind on PostgreSQL: idempotency keys and marks of schedules."""

from __future__ import annotations

from datetime import datetime

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import IdempotencyKey, ScheduleMark
from jupyter_pdflow.stores.postgres.database import Connection, Database, is_text, one

_RESERVE = """
INSERT INTO pdflow.keys VALUES (%s, %s, %s)
ON CONFLICT (hash) DO UPDATE SET run_id = excluded.run_id, expires_at = excluded.expires_at
    WHERE keys.expires_at <= %s
RETURNING run_id
"""

_PUT_MARK = """
INSERT INTO pdflow.schedule_marks VALUES (%s, %s, %s)
ON CONFLICT (workflow_id, trigger_id) DO UPDATE SET at = excluded.at
"""


class Starts:
    """The tables of idempotency keys and of marks of schedules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, connection: Connection, key: IdempotencyKey, run: Run) -> str | None:
        """Store a key for a new run, in the caller's transaction.

        Returns the id of the run that has the key, if it is another one.
        """
        hashed = key.digest()
        # Another process that stores the same key waits here until that transaction has ended.
        values = (hashed, run.id, key.expires_at, run.created_at)
        stored = await connection.execute(_RESERVE, values)
        if await stored.fetchone() is not None:
            return None
        found = await connection.execute(
            "SELECT run_id FROM pdflow.keys WHERE hash = %s", (hashed,)
        )
        run_id: str = (await one(found))[0]
        return run_id

    async def remove_expired(self, now: datetime) -> None:
        """Remove the keys that have expired."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM pdflow.keys WHERE expires_at <= %s", (now,))

    async def put_mark(self, connection: Connection, mark: ScheduleMark) -> None:
        """Store a mark in place of that schedule's earlier one, in the caller's transaction."""
        await connection.execute(_PUT_MARK, (mark.workflow_id, mark.trigger_id, mark.at))

    async def marks(self, workflow_id: str) -> dict[str, datetime]:
        """Return for what time each schedule of a workflow has started a run last, by trigger."""
        if not is_text(workflow_id):
            return {}
        async with self._database.connection() as connection:
            found = await connection.execute(
                "SELECT trigger_id, at FROM pdflow.schedule_marks WHERE workflow_id = %s",
                (workflow_id,),
            )
            return {trigger_id: at async for trigger_id, at in found}
