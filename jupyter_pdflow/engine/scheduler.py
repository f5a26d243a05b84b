"""Work at a given time: runs that are due, and the removal of runs that ended long ago."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

from jupyter_pdflow.clock import DueLoop
from jupyter_pdflow.exceptions import PDFlowError, StorageUnavailableError
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.base import Store

logger = logging.getLogger(__name__)

EXPIRED_AT_ONCE = 4
"""Maximum number of runs that expire at once: requests are not kept waiting by thousands."""

TAKEN_AT_ONCE = 64
"""Maximum number of runs that are taken from the store at once, to expire one after another."""


class Scheduler:
    """Applies `Expire` to each run that is due.

    Parameters
    ----------
    store : Store
        The runs.
    expire : callable
        Applies the event to the run of that id.
    clock : callable
        Returns the current time.
    limits : Limits
        How often the clock is read, and how soon the storage is tried again.
    """

    def __init__(
        self,
        store: Store,
        expire: Callable[[str], Awaitable[object]],
        clock: Callable[[], datetime],
        *,
        limits: Limits = LIMITS,
    ) -> None:
        self._store = store
        self._expire = expire
        self._retry = timedelta(seconds=limits.storage_retry_seconds)
        self._loop = DueLoop(
            "expire runs", store.next_deadline, self._expire_due, clock, limits=limits
        )
        self._failed: set[str] = set()

    def open(self) -> None:
        """Start; overdue runs expire at once."""
        self._loop.open()

    async def close(self) -> None:
        """Stop; when this returns, nothing is being applied."""
        await self._loop.close()

    def wake(self, at: datetime) -> None:
        """Note that a run is due at a time."""
        self._loop.wake(at)

    async def _expire_due(self, now: datetime) -> None:
        due = iter(await self._store.due(now, TAKEN_AT_ONCE, now + self._retry))
        await asyncio.gather(*(self._expire_each(due) for _ in range(EXPIRED_AT_ONCE)))

    async def _expire_each(self, due: Iterator[str]) -> None:
        for run_id in due:
            await self._expire_or_log(run_id)

    async def _expire_or_log(self, run_id: str) -> None:
        """Apply the event to one run; an error must not keep the others from expiring."""
        try:
            await self._expire(run_id)
        except StorageUnavailableError:
            return  # the store has logged it
        except Exception as error:
            if run_id not in self._failed:
                self._failed.add(run_id)
                known = isinstance(error, PDFlowError)
                message = "Run %s is due and can't continue: %s"
                logger.error(message, run_id, error, exc_info=None if known else error)
        else:
            self._failed.discard(run_id)


class Pruning:
    """Removes finished runs some days after their end, and what else has expired.

    Versions of workflows stay.

    Parameters
    ----------
    store : Store
        The runs.
    delete : callable
        Removes the runs of these ids, and returns those for which that failed.
    keep_days : float or None
        Number of days, or None to keep everything.
    clock : callable
        Returns the current time.
    limits : Limits
        How often to look, and how many runs to remove at once.
    """

    def __init__(
        self,
        store: Store,
        delete: Callable[[Sequence[str]], Awaitable[dict[str, PDFlowError]]],
        *,
        keep_days: float | None,
        clock: Callable[[], datetime],
        limits: Limits = LIMITS,
    ) -> None:
        self._store = store
        self._delete = delete
        self._keep_days = keep_days
        self._clock = clock
        self._limits = limits
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start a task that looks for old runs, now and from time to time."""
        self._task = asyncio.create_task(self._prune_repeatedly(), name="remove old runs")

    async def close(self) -> None:
        """End the task; when this returns, nothing is being removed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def prune(self, before: datetime) -> None:
        """Remove the runs that ended before that time, except those with a queued email."""
        after: str | None = None
        at_once = self._limits.pruned_at_once
        while old := await self._store.ended_before(before, at_once, after):
            failed = await self._delete(old)
            for run_id, error in failed.items():
                logger.error("Run %s can't be removed; trying again later: %s", run_id, error)
            after = old[-1]

    async def _prune_repeatedly(self) -> None:
        while True:
            try:
                now = self._clock()
                await self._store.remove_expired(now)
                if self._keep_days is not None:
                    await self.prune(now - timedelta(days=self._keep_days))
            except Exception:
                logger.exception("Old runs can't be removed; trying again later.")
            await asyncio.sleep(self._limits.pruning_seconds)
