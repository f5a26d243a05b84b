"""Counting runs for many clients, without keeping the store busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from jupyter_pdflow.exceptions import StoppingError
from jupyter_pdflow.stores.counts import CountQuery, Counts

REST = 4
"""How many times as long as it took to count no other count begins."""

LONGEST_REST_SECONDS = 1.0
"""Maximum time in which no count begins."""


class Counting:
    """Counts runs, once for all clients that ask for the same meanwhile.

    Live views ask after each change of a run, and many may be open. So one count is made at a time,
    and rests between them leave the store to others. An answer is never older than its question.

    Parameters
    ----------
    count : callable
        Counts the runs of a query.
    """

    def __init__(self, count: Callable[[CountQuery], Awaitable[Counts]]) -> None:
        self._count = count
        self._one_at_a_time = asyncio.Lock()
        self._rests_until = 0.0
        self._planned: dict[CountQuery, asyncio.Task[Counts]] = {}
        self._tasks: set[asyncio.Task[Counts]] = set()

    async def counts(self, query: CountQuery) -> Counts:
        """Return numbers of runs as they are now or a little later; raises as `Store.counts`."""
        task = self._planned.get(query)
        if task is None:
            task = asyncio.create_task(self._count_later(query), name="count runs")
            self._planned[query] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)  # others may wait for the same task
        except asyncio.CancelledError:
            if not task.cancelled():  # the caller was
                raise
            msg = "This server is shutting down; try again when it is back."
            raise StoppingError(msg) from None

    async def close(self) -> None:
        """Count no more; who waits gets a `StoppingError`."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _count_later(self, query: CountQuery) -> Counts:
        loop = asyncio.get_running_loop()
        try:
            async with self._one_at_a_time:
                await asyncio.sleep(self._rests_until - loop.time())
                del self._planned[query]  # what is asked from now on may need a newer answer
                begun = loop.time()
                try:
                    return await self._count(query)
                finally:
                    rest = min(REST * (loop.time() - begun), LONGEST_REST_SECONDS)
                    self._rests_until = loop.time() + rest
        finally:
            if self._planned.get(query) is asyncio.current_task():
                del self._planned[query]
