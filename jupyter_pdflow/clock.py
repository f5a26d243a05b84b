"""Make something happen at a time: one timer for any number of waiting runs."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime

from jupyter_pdflow.settings import LIMITS, Limits

EARLY_SECONDS = 0.002
"""The event loop wakes up so much before a key is due, and looks again and again: it sleeps in
whole milliseconds, and a processor at rest takes one more to get to speed."""

TURN_SECONDS = 0.005
"""How long due keys are handed out before others get their turn on the event loop."""

SLACK = 50
"""How many outdated times may be kept at least."""


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class Timers:
    """Calls back when a key is due by the wall clock, on the event loop's thread.

    A key has one time; setting it again replaces it. Nothing is kept: after a restart the
    times are set again from what is stored.

    Parameters
    ----------
    on_due : callable
        Called with the key, once per time that was set.
    clock : callable
        Tells the time, as a timezone-aware datetime.
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
        """Call back at that time, or at once where it is past."""
        self._times[key] = at
        heapq.heappush(self._heap, (at, key))
        self._drop_outdated()
        if self._heap[0][1] == key:
            self._schedule()

    def unset(self, key: str) -> None:
        """Do not call back for that key, if it was set at all."""
        self._times.pop(key, None)

    def close(self) -> None:
        """Forget all times."""
        self._times.clear()
        self._heap.clear()
        self._schedule()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._heap:
            wait = (self._heap[0][0] - self._clock()).total_seconds()
            wait = min(max(wait - EARLY_SECONDS, 0.0), self._check_seconds)
            self._handle = asyncio.get_running_loop().call_later(wait, self._run)

    def _run(self) -> None:
        try:
            self._call_due()
        finally:
            self._schedule()

    def _call_due(self) -> None:
        now, ends = self._clock(), time.monotonic() + TURN_SECONDS
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._times.get(key) == at:
                del self._times[key]
                self._on_due(key)
            if time.monotonic() > ends:
                return

    def _drop_outdated(self) -> None:
        """Keep replaced and unset times from piling up."""
        if len(self._heap) > 2 * len(self._times) + SLACK:
            self._heap = [(at, key) for key, at in self._times.items()]
            heapq.heapify(self._heap)
