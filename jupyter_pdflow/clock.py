"""The current time, and timers: one timer of the event loop for any number of deadlines."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime

from jupyter_pdflow.settings import LIMITS, Limits

LEAD_SECONDS = 0.002
"""Time before a deadline from which on the clock is polled. The event loop sleeps in whole
milliseconds, and an idle processor needs another one to reach its full speed."""

BATCH_SECONDS = 0.005
"""Maximum time in which due keys are handled before the event loop may do other work."""

OUTDATED_KEPT = 50
"""Number of outdated entries that the heap may always hold."""


def utc_now() -> datetime:
    """Return the current UTC time."""
    return datetime.now(UTC)


class Timers:
    """Calls a function when a key is due by the wall clock, on the event loop's thread.

    A key has one time; setting it again replaces it. The times are only in memory: after a
    restart they are set again from the stored runs.

    Parameters
    ----------
    on_due : callable
        Called with a key that is due, once for each time that was set.
    clock : callable
        Returns the current time as a timezone-aware datetime.
    limits : Limits
        Its ``clock_check_seconds`` is used.
    """

    def __init__(
        self,
        on_due: Callable[[str], None],
        clock: Callable[[], datetime],
        *,
        limits: Limits = LIMITS,
    ) -> None:
        self._on_due = on_due
        self._clock = clock
        self._check_seconds = limits.clock_check_seconds
        self._times: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._handle: asyncio.TimerHandle | None = None

    def set(self, key: str, at: datetime) -> None:
        """Set the time of a key; a time in the past is due at once."""
        self._times[key] = at
        heapq.heappush(self._heap, (at, key))
        self._drop_outdated()
        if self._heap[0][1] == key:
            self._schedule()

    def unset(self, key: str) -> None:
        """Remove the time of a key, if it has one."""
        self._times.pop(key, None)

    def close(self) -> None:
        """Remove all times."""
        self._times.clear()
        self._heap.clear()
        self._schedule()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._heap:
            wait = (self._heap[0][0] - self._clock()).total_seconds()
            # A long sleep would miss that the wall clock was set, so none is longer than this.
            wait = min(max(wait - LEAD_SECONDS, 0.0), self._check_seconds)
            self._handle = asyncio.get_running_loop().call_later(wait, self._run)

    def _run(self) -> None:
        try:
            self._call_due()
        finally:  # also after an error of one key, so that the others stay due
            self._schedule()

    def _call_due(self) -> None:
        now, ends = self._clock(), time.monotonic() + BATCH_SECONDS
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            # An entry whose time was replaced or unset stays in the heap until it is due.
            if self._times.get(key) == at:
                del self._times[key]
                self._on_due(key)
            if time.monotonic() > ends:
                return

    def _drop_outdated(self) -> None:
        """Rebuild the heap if most of its entries are outdated."""
        if len(self._heap) > 2 * len(self._times) + OUTDATED_KEPT:
            self._heap = [(at, key) for key, at in self._times.items()]
            heapq.heapify(self._heap)
