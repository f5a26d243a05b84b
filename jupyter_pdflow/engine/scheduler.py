"""Work at a given time: the timers of runs, and the removal of runs that ended long ago."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from jupyter_pdflow.clock import Timers
from jupyter_pdflow.mail.outbox import EmailFiles, Outbox
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Store
from jupyter_pdflow.stores.tinydb.folders import RunFolders
from jupyter_pdflow.stores.tinydb.storage import in_thread

logger = logging.getLogger(__name__)

EXPIRED_AT_ONCE = 4
"""Maximum number of runs that expire at once: requests are not kept waiting by thousands."""


class Scheduler:
    """Calls back for each run at its time.

    Parameters
    ----------
    expire : callable
        Called with a run's id when its time has come; must not raise.
    clock : callable
        Returns the current time.
    limits : Limits
        How often the clock is read.
    """

    def __init__(
        self,
        expire: Callable[[str], Awaitable[None]],
        clock: Callable[[], datetime],
        *,
        limits: Limits = LIMITS,
    ) -> None:
        self._expire = expire
        self._timers = Timers(self._on_due, clock, limits=limits)
        self._slots = asyncio.Semaphore(EXPIRED_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def set(self, run_id: str, at: datetime) -> None:
        """Set the time of a run, in place of an earlier one."""
        self._timers.set(run_id, at)

    def unset(self, run_id: str) -> None:
        """Remove the time of a run, if it has one."""
        self._timers.unset(run_id)

    def close(self) -> None:
        """Remove all times and cancel the calls under way; the next start sets the times again."""
        self._timers.close()
        for task in self._tasks:
            task.cancel()

    def _on_due(self, run_id: str) -> None:
        task = asyncio.create_task(self._expire_in_turn(run_id), name=f"expire {run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _expire_in_turn(self, run_id: str) -> None:
        async with self._slots:
            await self._expire(run_id)


class Pruning:
    """Removes finished runs, with their outputs, emails and files, some days after their end.

    The run itself is removed last. So if the server dies in between, the next look finds the run
    again and removes the rest. Versions of workflows stay.

    Parameters
    ----------
    store : Store
        The runs.
    outbox : Outbox
        Their emails.
    folders : RunFolders
        Their files.
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
        outbox: Outbox,
        folders: RunFolders,
        *,
        keep_days: float | None,
        clock: Callable[[], datetime],
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._store = store
        self._outbox = outbox
        self._folders = folders
        self._keep_days = keep_days
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start a task that looks for old runs, now and from time to time."""
        if self._keep_days is not None:
            age = timedelta(days=self._keep_days)
            self._task = asyncio.create_task(self._prune_repeatedly(age), name="remove old runs")

    async def close(self) -> None:
        """End the task; when this returns, nothing is being removed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def prune(self, before: datetime) -> None:
        """Remove the runs that ended before that time, except those with a queued email."""
        old = await self._store.ended_before(before)
        emails = await self._outbox.files()
        at_once = self._limits.pruned_at_once
        for start in range(0, len(old), at_once):
            await self._remove(emails, old[start : start + at_once])

    async def _prune_repeatedly(self, age: timedelta) -> None:
        while True:
            try:
                await self.prune(self._clock() - age)
            except Exception:
                logger.exception("Old runs can't be removed; trying again later.")
            await asyncio.sleep(self._limits.pruning_seconds)

    async def _remove(self, emails: EmailFiles, run_ids: list[str]) -> None:
        """Remove runs with their emails, files and outputs; log those for which that failed."""
        removable = [run_id for run_id in run_ids if run_id not in emails.waiting]
        failed = await in_thread(_unlink, emails, removable)
        self._outbox.forget_list()
        failed |= await in_thread(self._folders.remove, removable)
        # Last, and without those that failed: a run that is gone would never be looked at again.
        removable = [run_id for run_id in removable if run_id not in failed]
        failed |= await self._store.remove(removable)
        for run_id, error in failed.items():
            logger.error("Run %s can't be removed; trying again later: %s", run_id, error)


def _unlink(emails: EmailFiles, run_ids: list[str]) -> dict[str, OSError]:
    """Remove the emails of runs; return the runs for which that failed, with the error."""
    failed = {}
    for run_id in run_ids:
        try:
            for path in emails.of(run_id):
                path.unlink(missing_ok=True)
        except OSError as error:
            failed[run_id] = error
    return failed
