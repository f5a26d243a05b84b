"""The queue of processes that share a PostgreSQL database, on PgQueuer.

A job is a hint with the id of a run. It is added in the transaction that makes the run ready, and
it is done as soon as a process has begun the run's step, because the lease in the run's row then
says who executes it. So no job is held while a step executes, and what PgQueuer does with a job
that is late or lost changes nothing but the time at which the run is handed out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pgqueuer
from pgqueuer.core.qm import QueueManager
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from jupyter_pdflow.engine.queue import Execute
from jupyter_pdflow.stores.postgres.database import asyncpg_url, reason_of
from jupyter_pdflow.stores.postgres.jobs import SETTINGS, queries

logger = logging.getLogger(__name__)

DEQUEUE_TIMEOUT = timedelta(seconds=5)
"""Time after which a process looks for jobs that it was not told of."""

HEARTBEAT_TIMEOUT = timedelta(seconds=15)
"""Time after which a job is handed out again whose process has died before it began the step."""

RESTART_DELAY = timedelta(seconds=0.5)
"""Time between two attempts to use the database."""

REFUSED_DELAY = timedelta(seconds=0.2)
"""Time after which a job that found no kernel is handed out again."""

COMMAND_SECONDS = 5.0
"""Maximum time of a statement: a network that is cut does not end it."""

CLOSE_SECONDS = 3.0
"""How long a close waits until the latest jobs are confirmed."""


class PgQueuerQueue:
    """A `jupyter_pdflow.engine.queue.Queue` in the schema ``pdflow`` of a database.

    Parameters
    ----------
    dsn : str
        A connection string or URL of a direct connection, not of a pooler in transaction mode.
    names : sequence of str
        The names of the queues to execute runs of; empty to execute none.
    kernels : int
        Maximum number of runs that this process executes at a time.
    """

    def __init__(self, dsn: str, names: Sequence[str], kernels: int) -> None:
        self.names = names
        self._dsn = asyncpg_url(dsn)
        self._logged = ""
        self._kernels = kernels
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self, execute: Execute, wait_for_room: Callable[[], Awaitable[object]]) -> None:
        """Begin to hand out runs to this process."""
        if self._kernels and self.names:
            running = self._run(execute, wait_for_room)
            self._task = asyncio.create_task(running, name="hand out runs")

    async def stop(self) -> None:
        """Hand out no further run to this process."""
        self._stopped.set()

    async def close(self) -> None:
        """Confirm the jobs of steps that were begun, and close the connections."""
        self._stopped.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, execute: Execute, wait_for_room: Callable[[], Awaitable[object]]) -> None:
        @asynccontextmanager
        async def manager() -> AsyncIterator[QueueManager]:
            pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=3,
                timeout=5,
                command_timeout=COMMAND_SECONDS,
                connection_class=_Connection,
            )
            self._logged = ""
            try:
                yield self._manager(pool, execute, wait_for_room)
            finally:
                pool.terminate()

        while not self._stopped.is_set():
            # Restarted here and not by PgQueuer, which logs a traceback each time.
            try:
                await pgqueuer.run(
                    manager,
                    batch_size=1,
                    max_concurrent_tasks=max(2, 2 * self._kernels),
                    dequeue_timeout=DEQUEUE_TIMEOUT,
                    heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    shutdown_on_listener_failure=True,
                    shutdown=self._stopped,
                )
            except Exception as error:  # noqa: BLE001  whatever it is, it is tried again
                self._log(error)
            await asyncio.sleep(0 if self._stopped.is_set() else RESTART_DELAY.total_seconds())

    def _log(self, error: Exception) -> None:
        reason = reason_of(error)
        if reason != self._logged:
            self._logged = reason
            logger.warning("Runs are not handed out to this process now: %s", reason)

    def _manager(
        self, pool: Any, execute: Execute, wait_for_room: Callable[[], Awaitable[object]]
    ) -> QueueManager:
        manager = _Manager(queries(AsyncpgPoolDriver(pool)), SETTINGS.channel)
        manager.wait_for_room = wait_for_room
        manager.is_handed_out = asyncio.Event()
        manager.is_handed_out.set()

        async def hand_out(job: Job) -> None:
            if self._stopped.is_set():  # the job was being fetched
                raise RetryRequested(REFUSED_DELAY)
            run_id = (job.payload or b"").decode(errors="replace")
            executing = asyncio.ensure_future(_done(execute, run_id))
            await asyncio.sleep(0)  # it has begun then, and takes room
            manager.is_handed_out.set()
            if not await executing:
                raise RetryRequested(REFUSED_DELAY)

        for name in self.names:
            manager.entrypoint(name)(hand_out)
        return manager


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection of which nothing has to be reset: PgQueuer leaves no lock and no setting."""

    def get_reset_query(self) -> str:
        return ""


class _Manager(QueueManager):
    """Asks for a job only when a kernel is free: no job waits here that others could execute."""

    wait_for_room: Callable[[], Awaitable[object]]
    is_handed_out: asyncio.Event

    async def fetch_jobs(
        self, batch_size: int, global_concurrency_limit: int | None, heartbeat_timeout: timedelta
    ) -> AsyncGenerator[Job, None]:
        await self._wait()
        found = super().fetch_jobs(batch_size, global_concurrency_limit, heartbeat_timeout)
        async for job in found:
            self.is_handed_out.clear()
            yield job
            await self._wait()

    async def _wait(self) -> None:
        """Wait until the last job has taken its room and there is more, or for a shutdown."""
        waits = [
            asyncio.ensure_future(self._until_room()),
            asyncio.ensure_future(self.shutdown.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _until_room(self) -> None:
        # PgQueuer leaves out a job that is still being handed out here.
        with suppress(TimeoutError):
            await asyncio.wait_for(self.is_handed_out.wait(), RESTART_DELAY.total_seconds())
        await self.wait_for_room()


async def _done(execute: Execute, run_id: str) -> bool:
    """Execute a run; an error, which would delete the job, is logged, and the job handed out again."""
    try:
        return await execute(run_id)
    except Exception:
        logger.exception("Run %s is handed out again.", run_id)
        return False
