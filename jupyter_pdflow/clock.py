"""The current time, deadlines by key, and a loop that works on what is due."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

LEAD_SECONDS = 0.002
"""Time before a deadline from which on the clock is polled. The event loop sleeps in whole
milliseconds, and an idle processor needs another one to reach its full speed."""

OUTDATED_KEPT = 50
"""Number of outdated entries that the heap may always hold."""


def utc_now() -> datetime:
    """Return the current UTC time."""
    return datetime.now(UTC)


class Deadlines:
    """One time for each key, found in the order of the times; in memory."""

    def __init__(self) -> None:
        self._times: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._times)

    def set(self, key: str, at: datetime) -> None:
        """Set the time of a key, in place of an earlier one."""
        self._times[key] = at
        heapq.heappush(self._heap, (at, key))
        self._drop_outdated()

    def unset(self, key: str) -> None:
        """Remove the time of a key, if it has one."""
        self._times.pop(key, None)

    def next(self) -> datetime | None:
        """Return the earliest time, or None if no key has one."""
        while self._heap:
            at, key = self._heap[0]
            if self._times.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: datetime, limit: int, again_at: datetime) -> list[str]:
        """Return keys whose time has come, the earliest first, and set them to `again_at`."""
        found: list[str] = []
        while len(found) < limit and (at := self.next()) is not None and at <= now:
            found.append(heapq.heappop(self._heap)[1])
            del self._times[found[-1]]
        for key in found:
            self.set(key, again_at)
        return found

    def _drop_outdated(self) -> None:
        """Rebuild the heap if most of its entries are outdated."""
        if len(self._heap) > 2 * len(self._times) + OUTDATED_KEPT:
            self._heap = [(at, key) for key, at in self._times.items()]
            heapq.heapify(self._heap)


class DueLoop:
    """Works on what is due by the wall clock, from `open` until `close`.

    Parameters
    ----------
    name : str
        The name of its task.
    next_at : callable
        Returns when something is due next, or None.
    work : callable
        Called with the current time when something is due; does a part of it, and the loop then
        asks again. What it could not do has to be due at a later time.
    clock : callable
        Returns the current time as a timezone-aware datetime.
    limits : Limits
        Its ``clock_check_seconds`` and ``storage_retry_seconds`` are used.
    """

    def __init__(
        self,
        name: str,
        next_at: Callable[[], Awaitable[datetime | None]],
        work: Callable[[datetime], Awaitable[None]],
        clock: Callable[[], datetime],
        *,
        limits: Limits = LIMITS,
    ) -> None:
        self._name = name
        self._next_at = next_at
        self._work = work
        self._clock = clock
        self._limits = limits
        self._sleeps_until: datetime | None = None
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start to work."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Stop; when this returns, nothing is being worked on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self, at: datetime) -> None:
        """Note that something is due at a time."""
        if self._sleeps_until is None or at < self._sleeps_until:
            self._awake.set()

    async def _run(self) -> None:
        while True:
            self._sleeps_until = None  # what becomes due while the time is asked for wakes too
            try:
                at = await self._next_at()
                if at is not None and at <= self._clock():
                    await self._work(self._clock())
                    at = await self._next_at()
            except Exception as error:
                if not isinstance(error, StorageUnavailableError):  # the store has logged that
                    logger.exception("The task to %s has failed; it tries again.", self._name)
                await asyncio.sleep(self._limits.storage_retry_seconds)
                at = self._clock()
            await self._sleep(at)

    async def _sleep(self, at: datetime | None) -> None:
        """Sleep until a time, or until `wake` is called; shorter if the time is far away."""
        # A long sleep would miss that the wall clock was set, so none is longer than this.
        wait = self._limits.clock_check_seconds
        if at is not None:
            wait = min(max((at - self._clock()).total_seconds() - LEAD_SECONDS, 0.0), wait)
        self._sleeps_until = at
        handle = asyncio.get_running_loop().call_later(wait, self._awake.set)
        await self._awake.wait()
        handle.cancel()
        self._awake.clear()
