"""What happens at a time: pauses expire, and runs that ended long ago are removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from jupyter_pdflow.clock import Timers
from jupyter_pdflow.mail.outbox import EmailFiles, Mailbox
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.tinydb.folders import RunFolders
from jupyter_pdflow.stores.tinydb.storage import in_thread

logger = logging.getLogger(__name__)

EXPIRED_AT_ONCE = 4
"""Maximum number of runs that expire at once: requests are not kept waiting by thousands."""


class Scheduler:
    """Expires each run at its time.

    Parameters
    ----------
    expire : callable
        Called with a run's id when it is due.
    clock : callable
        Returns the current time.
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
        """Expire a run at that time, in place of an earlier one."""
        self._timers.set(run_id, at)

    def unset(self, run_id: str) -> None:
        """Remove the time of a run, if it has one."""
        self._timers.unset(run_id)

    def close(self) -> None:
        """Remove all times and stop what is under way; the next start sets them again."""
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
    """Removes finished runs, with their outputs, mails and files, some days after their end.

    A run goes last of all that belongs to it: if the server dies in between, the next look
    finds the run again and removes the rest. Versions of workflows stay.

    Parameters
    ----------
    keep_days : float or None
        How many days; None keeps everything.
    """

    def __init__(
        self,
        store: Store,
        mailbox: Mailbox,
        folders: RunFolders,
        *,
        keep_days: float | None,
        clock: Callable[[], datetime],
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._store = store
        self._mailbox = mailbox
        self._folders = folders
        self._keep_days = keep_days
        self._clock = clock
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Look now, and from time to time, beside the event loop."""
        if self._keep_days is not None:
            age = timedelta(days=self._keep_days)
            self._looking = asyncio.create_task(self._keep_looking(age), name="remove old runs")

    async def close(self) -> None:
        """Look no more; nothing is being removed any more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def prune(self, before: datetime) -> None:
        """Remove the runs that ended before that time; one with a mail to deliver can wait."""
        old = await self._store.ended_before(before)
        mails = await self._mailbox.files()
        at_once = self._limits.pruned_at_once
        for start in range(0, len(old), at_once):
            await self._remove(mails, old[start : start + at_once])

    async def _keep_looking(self, age: timedelta) -> None:
        while True:
            try:
                await self.prune(self._clock() - age)
            except Exception:
                logger.exception("Old runs can't be removed; trying again later.")
            await asyncio.sleep(self._limits.pruning_seconds)

    async def _remove(self, mails: EmailFiles, old: list[str]) -> None:
        """Remove runs with what is theirs; what can't be removed now stays for the next look."""
        gone = [run_id for run_id in old if run_id not in mails.waiting]
        kept = await in_thread(_unlink, mails, gone)
        self._mailbox.forget_list()
        kept |= await in_thread(self._folders.remove, gone)
        kept |= await self._store.remove([run_id for run_id in gone if run_id not in kept])
        for run_id, error in kept.items():
            logger.error("Run %s can't be removed; trying again later: %s", run_id, error)


def _unlink(mails: EmailFiles, run_ids: list[str]) -> dict[str, OSError]:
    """Remove the mails of runs; return the runs for which that failed."""
    failed = {}
    for run_id in run_ids:
        try:
            for path in mails.of(run_id):
                path.unlink(missing_ok=True)
        except OSError as error:
            failed[run_id] = error
    return failed
