"""The outputs of steps on PostgreSQL: those of the newest executions of each step."""

from __future__ import annotations

from msgspec.json import Decoder, encode

from jupyter_pdflow.stores import Output, StepOutputs
from jupyter_pdflow.stores.postgres.database import Connection, Database
from jupyter_pdflow.stores.tinydb.outputs import EXECUTIONS_KEPT, dropped_note
from jupyter_pdflow.stores.tinydb.validation import is_id

_OUTPUTS = Decoder(list[Output])

_DELETE = "DELETE FROM pdflow.outputs WHERE (run_id, step, execution) = (%s, %s, %s)"

_PUT = """
INSERT INTO pdflow.outputs (run_id, step, execution, outputs) VALUES (%s, %s, %s, %s)
ON CONFLICT (run_id, step, execution) DO UPDATE SET outputs = excluded.outputs,
    stored_at = excluded.stored_at
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


class Outputs:
    """The tables of outputs, and of how many executions are dropped."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: str) -> dict[str, list[Output]]:
        """Return the outputs of a run by step name; empty if it has none."""
        if not is_id(run_id):
            return {}
        async with self._database.connection() as connection:
            dropped = await connection.execute(
                "SELECT step, count FROM pdflow.dropped_outputs WHERE run_id = %s", (run_id,)
            )
            found = {step: [dropped_note(count)] async for step, count in dropped}
            shown = await connection.execute(
                "SELECT step, outputs FROM pdflow.outputs WHERE run_id = %s ORDER BY stored_at",
                (run_id,),
            )
            async for step, outputs in shown:
                found.setdefault(step, []).extend(_OUTPUTS.decode(outputs))
        return found

    async def put(self, connection: Connection, run_id: str, shown: StepOutputs) -> None:
        """Store the outputs of one execution, in the caller's transaction.

        They take the place of those of an earlier attempt.
        """
        key = (run_id, shown.step, shown.execution)
        if not shown.outputs:
            await connection.execute(_DELETE, key)
            return
        await connection.execute(_PUT, (*key, encode(shown.outputs)))
        if shown.execution <= EXECUTIONS_KEPT:
            return
        dropped = await connection.execute(_DROP, (run_id, shown.step, EXECUTIONS_KEPT))
        if dropped.rowcount > 0:
            await connection.execute(_COUNT_DROPPED, (run_id, shown.step, dropped.rowcount))
