"""The outputs of steps on PostgreSQL: of the newest executions, and of those under way."""

from __future__ import annotations

from typing import Any

from msgspec.json import Decoder, encode

from jupyter_pdflow.stores import (
    EXECUTIONS_KEPT,
    KeptOutputs,
    Output,
    StepOutputs,
    unknown_run,
)
from jupyter_pdflow.stores.postgres.database import Connection, Database
from jupyter_pdflow.stores.validation import is_id
from jupyter_pdflow.threads import in_thread

LIVE_SECONDS = 2.0
"""Maximum time in which what a step has shown so far is stored."""

_OUTPUTS, _WIDGETS = Decoder(list[Output]), Decoder(dict[str, Any])

_DELETE = "DELETE FROM pdflow.outputs WHERE (run_id, step, execution) = (%s, %s, %s)"

_PUT = """
INSERT INTO pdflow.outputs (run_id, step, execution, attempt, outputs, widgets)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (run_id, step, execution) DO UPDATE SET outputs = excluded.outputs,
    attempt = excluded.attempt, widgets = excluded.widgets, stored_at = excluded.stored_at
"""

_DROP = """
DELETE FROM pdflow.outputs WHERE (run_id, step, execution) IN (
    SELECT run_id, step, execution FROM pdflow.outputs WHERE run_id = %s AND step = %s
    ORDER BY stored_at DESC OFFSET %s)
"""

_COUNT_DROPPED = """
INSERT INTO pdflow.dropped_outputs VALUES (%s, %s, %s)
ON CONFLICT (run_id, step) DO UPDATE SET count = dropped_outputs.count + excluded.count
"""

_SHOWN = """
SELECT step, execution, attempt, outputs, widgets FROM pdflow.outputs WHERE run_id = %s
ORDER BY stored_at
"""

_LIVE = "SELECT step, execution, attempt, outputs FROM pdflow.live_outputs WHERE run_id = %s"

# An attempt that another process has taken over may still write.
_PUT_LIVE = """
INSERT INTO pdflow.live_outputs VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (run_id) DO UPDATE SET step = excluded.step, execution = excluded.execution,
    attempt = excluded.attempt, outputs = excluded.outputs, stored_at = excluded.stored_at
WHERE (live_outputs.execution, live_outputs.attempt) <= (excluded.execution, excluded.attempt)
    OR live_outputs.execution = excluded.execution AND live_outputs.step <> excluded.step
"""

_REMOVE_LIVE = """
DELETE FROM pdflow.live_outputs WHERE (run_id, step, execution, attempt) = (%s, %s, %s, %s)
"""

_PRUNE_LIVE = """
DELETE FROM pdflow.live_outputs WHERE NOT EXISTS
    (SELECT FROM pdflow.runs WHERE id = run_id AND status = 'running')
"""

_TAG = """
SELECT updated_at, live.stored_at, count(outputs.step), max(outputs.stored_at)
FROM pdflow.runs LEFT JOIN pdflow.live_outputs AS live ON live.run_id = id
    LEFT JOIN pdflow.outputs ON outputs.run_id = id
WHERE id = %s GROUP BY updated_at, live.stored_at
"""


class Outputs:
    """The tables of outputs, of how many executions are dropped, and of executions under way."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: str) -> KeptOutputs:
        """Return the outputs of a run; empty if it has none."""
        if not is_id(run_id):
            return KeptOutputs()
        async with self._database.connection() as connection:
            dropped = await connection.execute(
                "SELECT step, count FROM pdflow.dropped_outputs WHERE run_id = %s", (run_id,)
            )
            counts = dict(await dropped.fetchall())
            # Before those that are stored: an outcome in between is found there.
            live = await (await connection.execute(_LIVE, (run_id,))).fetchone()
            shown = await (await connection.execute(_SHOWN, (run_id,))).fetchall()
        return await in_thread(_kept, shown, counts, live)

    async def tag(self, run_id: str) -> str:
        """Return a text that changes when the outputs or the status of a run do."""
        row = None
        if is_id(run_id):
            async with self._database.connection() as connection:
                row = await (await connection.execute(_TAG, (run_id,))).fetchone()
        if row is None:
            raise unknown_run(run_id)
        updated_at, live_at, count, stored_at = row
        times = [str(at.timestamp()) if at else "" for at in (updated_at, live_at, stored_at)]
        return ".".join([*times, str(count)])

    async def put(self, connection: Connection, run_id: str, shown: StepOutputs) -> None:
        """Store the outputs of one execution, in the caller's transaction.

        They take the place of those of an earlier attempt.
        """
        key = (run_id, shown.step, shown.execution)
        if not shown.outputs:
            await connection.execute(_DELETE, key)
            return
        widgets = encode(shown.widgets) if shown.widgets else None
        await connection.execute(_PUT, (*key, shown.attempt, encode(shown.outputs), widgets))
        if shown.execution <= EXECUTIONS_KEPT:
            return
        dropped = await connection.execute(_DROP, (run_id, shown.step, EXECUTIONS_KEPT))
        if dropped.rowcount > 0:
            await connection.execute(_COUNT_DROPPED, (run_id, shown.step, dropped.rowcount))

    # --- executions under way ---

    async def put_live(self, run_id: str, shown: StepOutputs) -> None:
        """Store what an attempt has shown so far, unless a later one has stored something."""
        outputs = await in_thread(encode, shown.outputs)
        async with self._database.connection(seconds=LIVE_SECONDS) as connection:
            key = (run_id, shown.step, shown.execution, shown.attempt)
            await connection.execute(_PUT_LIVE, (*key, outputs))

    async def remove_live(self, run_id: str, shown: StepOutputs) -> None:
        """Remove what an attempt has stored."""
        async with self._database.connection(seconds=LIVE_SECONDS) as connection:
            key = (run_id, shown.step, shown.execution, shown.attempt)
            await connection.execute(_REMOVE_LIVE, key)

    async def prune_live(self) -> None:
        """Remove what processes that are gone have left."""
        async with self._database.connection() as connection:
            await connection.execute(_PRUNE_LIVE)


def _kept(
    shown: list[tuple[Any, ...]], dropped: dict[str, int], live: tuple[Any, ...] | None
) -> KeptOutputs:
    return KeptOutputs(
        shown=[_step_outputs(*row) for row in shown],
        dropped=dropped,
        live=None if live is None else _step_outputs(*live),
    )


def _step_outputs(
    step: str, execution: int, attempt: int, outputs: bytes, widgets: bytes | None = None
) -> StepOutputs:
    return StepOutputs(
        step=step,
        execution=execution,
        attempt=attempt,
        outputs=_OUTPUTS.decode(outputs),
        widgets={} if widgets is None else _WIDGETS.decode(widgets),
    )
