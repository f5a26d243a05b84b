"""The processes that execute steps, as each notes itself in the database."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from msgspec import MsgspecError
from msgspec.json import Decoder, encode
from msgspec.structs import replace

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.stores import WorkerState
from jupyter_pdflow.stores.postgres.database import Connection, Database

SHOWN = timedelta(minutes=1)
"""How long a process is shown that does not note itself any more."""

KEPT = timedelta(days=1)
"""After what time its row is removed."""

_WORKER = Decoder(WorkerState)

_PUT = """
INSERT INTO pdflow.workers VALUES (%s, %s, clock_timestamp())
ON CONFLICT (owner) DO UPDATE SET record = excluded.record, seen_at = excluded.seen_at
"""

_SHOWN = """
SELECT record, seen_at, (SELECT count(*) FROM pdflow.runs
    WHERE runs.owner = workers.owner AND lease_until IS NOT NULL)
FROM pdflow.workers WHERE seen_at > clock_timestamp() - %s::interval ORDER BY owner
"""


class Workers:
    """The table of workers.

    Parameters
    ----------
    database : Database
    owner : str
        The name under which this process holds leases.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner
        self._is_noted = False

    async def put(self, connection: Connection, worker: WorkerState) -> None:
        """Note that this process is alive."""
        await connection.execute(_PUT, (self._owner, encode(worker)))
        self._is_noted = True

    async def all(self) -> list[WorkerState]:
        """Return the processes that are alive, with the number of leases that each holds."""
        found: list[WorkerState] = []
        async with self._database.connection() as connection:
            rows = await connection.execute(_SHOWN, (SHOWN,))
            async for record, seen_at, leases in rows:
                with suppress(MsgspecError):  # of another version of this package
                    worker = _WORKER.decode(record)
                    found.append(replace(worker, seen_at=seen_at, busy=leases))
        return found

    async def remove(self) -> None:
        """Remove this process, which ends, and those that have ended without that."""
        if self._is_noted:
            with suppress(PDFlowError):  # it is shown a short time longer
                async with self._database.connection() as connection:
                    await connection.execute(
                        "DELETE FROM pdflow.workers WHERE owner = %s "
                        "OR seen_at < clock_timestamp() - %s::interval",
                        (self._owner, KEPT),
                    )
