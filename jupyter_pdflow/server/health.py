"""How a server is doing: the figures of ``GET /health`` and of the metrics, and who keeps them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from msgspec import Struct

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.stores import WorkerState

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
"""Age from which a snapshot is replaced while metrics are read."""

WATCHED_SECONDS = 120.0
"""Time without a reader after which snapshots are made no more."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """What is stored and executed at a moment.

    Attributes
    ----------
    store : str
        The type of the store: ``tinydb`` or ``postgresql``.
    available : bool
        Whether the store takes writes.
    runs : dict of str to int
        Number of runs by status; a status without runs may be left out.
    queued : dict of str to int
        Number of queued runs by workflow id.
    oldest_queued_at : datetime or None
        Since when the queued run that waits longest is queued.
    emails : dict of str to int
        Number of emails by status.
    workers : list of WorkerState
    """

    store: str
    available: bool
    runs: dict[str, int]
    queued: dict[str, int]
    oldest_queued_at: datetime | None
    emails: dict[str, int]
    workers: list[WorkerState]


class Snapshots:
    """Keeps a recent snapshot for readers that can't wait for one.

    Jupyter collects metrics in a function that is not a coroutine. The first reader gets nothing.
    From then on snapshots are made at an interval, until none was read for a while: counting
    costs time that a server without readers should not spend.

    Parameters
    ----------
    make : callable
        Returns a new snapshot, or None if there is nothing to show.
    refresh_seconds, watched_seconds : float
        The interval, and how long snapshots are made after the latest reading.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[Snapshot | None]],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        watched_seconds: float = WATCHED_SECONDS,
    ) -> None:
        self._make = make
        self._refresh_seconds = refresh_seconds
        self._watched_seconds = watched_seconds
        self._latest: Snapshot | None = None
        self._read_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    def latest(self) -> Snapshot | None:
        """Return a recent snapshot, or None if there is none; call it on the event loop."""
        self._read_at = time.monotonic()
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="refresh the metrics")
        return self._latest

    async def close(self) -> None:
        """Make no more snapshots."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    async def _refresh(self) -> None:
        failed = False
        while time.monotonic() - self._read_at < self._watched_seconds:
            try:
                self._latest = await self._make()
                failed = False
            except PDFlowError as error:
                if not failed:
                    logger.error("The metrics of runs can't be read: %s", error)
                self._latest, failed = None, True
            except Exception:
                if not failed:
                    logger.exception("The metrics of runs can't be read.")
                self._latest, failed = None, True
            await asyncio.sleep(self._refresh_seconds)
        self._latest = self._refreshing = None
