"""A queue that looks at the rows of runs, as the smallest example of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import psycopg

from jupyter_pdflow.engine.queue import Execute

POLL_SECONDS = 0.05


class PlainQueue:
    """Hands out runs that are ready, the lowest rank first; a lock lasts until the run is taken."""

    def __init__(self, dsn: str, names: Sequence[str], kernels: int) -> None:
        self.names = names
        self._dsn = dsn
        self._kernels = kernels
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, execute: Execute, wait_for_room: Callable[[], Awaitable[object]]) -> None:
        self._tasks = [
            asyncio.create_task(self._run(execute, wait_for_room)) for _ in range(self._kernels)
        ]

    async def stop(self) -> None:
        self._stopped = True

    async def close(self) -> None:
        self._stopped = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)  # a connection that is made is closed then
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, execute: Execute, wait_for_room: Callable[[], Awaitable[object]]) -> None:
        while not self._stopped:
            await wait_for_room()
            with suppress(Exception):  # the database is away, or the run can't be executed now
                await self._hand_out(execute)
            await asyncio.sleep(POLL_SECONDS)

    async def _hand_out(self, execute: Execute) -> None:
        # Advisory: `execute` locks the row itself.
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            found = await connection.execute(
                "SELECT id FROM (SELECT id, rank FROM pdflow.runs WHERE rank IS NOT NULL "
                "AND queue = ANY(%s) ORDER BY rank, id LIMIT 20) AS ready "
                "WHERE pg_try_advisory_lock(hashtextextended(id, 0)) LIMIT 1",
                (list(self.names),),
            )
            for (run_id,) in await found.fetchall():
                if not self._stopped:
                    await execute(run_id)
