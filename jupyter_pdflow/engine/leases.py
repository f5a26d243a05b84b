"""The leases by which processes that share a store agree who executes a run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

from jupyter_pdflow.exceptions import NotFoundError, PDFlowError, StorageUnavailableError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import Lapsed, WorkerState
from jupyter_pdflow.stores.base import Store

logger = logging.getLogger(__name__)

LAPSED_AT_ONCE = 100
"""Number of lapsed attempts that are asked for at once."""


class Leases:
    """Renews the leases of this process, gives up lost ones, and takes over those that lapsed.

    Where one process has the store for itself, `take_over` at its start is all there is to do.

    Parameters
    ----------
    store : Store
        The runs and their leases.
    executing : callable
        Returns the runs that this process executes, by id, as they were stored last.
    storing : callable
        Returns the ids of the runs whose outcome this process has, and could not store yet.
    interrupt : callable
        Called with the id of such a run whose lease is lost.
    take_over : callable
        Applies `LeaseLapsed` to a run.
    worker : callable
        Returns how this process is doing, or None if it has no kernels.
    clock : callable
        Returns the current time.
    """

    def __init__(
        self,
        store: Store,
        *,
        executing: Callable[[], Mapping[str, Run]],
        storing: Callable[[], Collection[str]],
        interrupt: Callable[[str], object],
        take_over: Callable[[Lapsed], Awaitable[object]],
        worker: Callable[[], WorkerState | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._executing = executing
        self._storing = storing
        self._interrupt = interrupt
        self._take_over = take_over
        self._worker = worker
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take over what has lapsed; if the store is shared, in tasks that end with `close`."""
        if self._store.lease_seconds is None:
            await self.take_over()
            return
        renewing = self._renew_repeatedly(self._store.lease_seconds)
        self._tasks = [
            asyncio.create_task(renewing, name="renew leases"),
            asyncio.create_task(self._watch(), name="watch the runs that are executed"),
        ]

    async def close(self) -> None:
        """Renew no lease any more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def take_over(self) -> None:
        """Take over the attempts whose leases have lapsed.

        Raises
        ------
        StorageUnavailableError
            The store can't be used. What is wrong with one run is logged.
        """
        while lapsed := await self._store.lapsed(self._clock(), LAPSED_AT_ONCE):
            for attempt in lapsed:
                await self._take_over_or_log(attempt)

    async def _take_over_or_log(self, lapsed: Lapsed) -> None:
        try:
            await self._take_over(lapsed)
        except StorageUnavailableError:
            raise
        except Exception:
            logger.exception(
                "Run %s could not be taken over; the other runs continue.", lapsed.run_id
            )

    async def _renew_repeatedly(self, lease_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        renewed_at, waits_until = loop.time(), loop.time() + lease_seconds / 2
        while True:
            try:
                await self._renew()
                if loop.time() > renewed_at + lease_seconds / 2:
                    # Others may not have reached the store either: they renew theirs first.
                    waits_until = loop.time() + lease_seconds / 2
                renewed_at = loop.time()
                if renewed_at >= waits_until:
                    await self.take_over()
            except PDFlowError:
                pass  # the store has logged it
            except Exception:
                logger.exception("Leases can't be renewed; trying again.")
            await asyncio.sleep(lease_seconds / 5)

    async def _renew(self) -> None:
        """Renew the leases of what is executed here; those that other processes have are lost.

        A lease lapses if its run is not executed: when a commit was reported as failed, and was
        made, or when an error has ended the run's task.
        """
        before = dict(self._executing())
        held = set(await self._store.renew({*before, *self._storing()}, self._worker()))
        for run_id in before.keys() - held:
            await self._check(run_id)

    async def _watch(self) -> None:
        """Look after each run that is executed here and was changed, here or elsewhere."""
        changes = await self._store.changes()
        async for change in changes:
            if change.status != "running" and change.run_id in self._executing():
                await self._check_or_log(change.run_id)

    async def _check_or_log(self, run_id: str) -> None:
        try:
            await self._check(run_id)
        except PDFlowError:
            pass  # the next renewal checks it again
        except Exception:
            logger.exception("Run %s can't be checked; trying again.", run_id)

    async def _check(self, run_id: str) -> None:
        """Interrupt a run if the attempt that is executed here is not the one that is stored."""
        executed = self._executing().get(run_id)
        try:
            stored = await self._store.get(run_id)
        except NotFoundError:
            stored = None
        # Looked up again: the attempt may have ended here meanwhile.
        if executed is None or self._executing().get(run_id) is not executed:
            return
        # A later step of this process is no reason: its begin is stored, and not answered yet.
        if stored is None or (stored.status, stored.owner) != (executed.status, executed.owner):
            self._interrupt(run_id)
