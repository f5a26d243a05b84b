"""The changes of runs by all processes, as PostgreSQL tells them (LISTEN and NOTIFY)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
from msgspec import MsgspecError
from msgspec.json import Decoder, encode
from msgspec.structs import replace

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import RunChange, change_of
from jupyter_pdflow.stores.postgres.database import (
    CONNECT_SECONDS,
    OPTIONS,
    Connection,
    reason_of,
)

logger = logging.getLogger(__name__)

CHANNEL = "pdflow_runs"

RECONNECT_SECONDS = 1.0
"""Time between two attempts to listen again."""

NOTIFICATION_BYTES = 7_999
"""Maximum size of what PostgreSQL notifies of."""

SHOWN = 200
"""Number of characters to which the names in a notification are cut that would be too large."""

_CHANGE = Decoder(RunChange)


def notification_of(run: Run) -> str:
    """Return what processes are told about a run that has changed; long names are cut."""
    change = change_of(run)
    told = encode(change)
    if len(told) > NOTIFICATION_BYTES:
        step = change.step and change.step[:SHOWN]
        told = encode(
            replace(
                change,
                workflow_id=change.workflow_id[:SHOWN],
                workflow_name=change.workflow_name[:SHOWN],
                step=step,
            )
        )
    return told.decode()


class Changes:
    """Listens on a connection of its own, and connects again when that is lost.

    Changes that come while no connection listens are not told.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._queues: list[asyncio.Queue[RunChange]] = []
        self._task: asyncio.Task[None] | None = None

    async def follow(self) -> AsyncIterator[RunChange]:
        """Return an iterator over the changes from now on."""
        queue: asyncio.Queue[RunChange] = asyncio.Queue()
        self._queues.append(queue)
        if self._task is None:
            listening = asyncio.Event()
            self._task = asyncio.create_task(self._listen(listening), name="listen for changes")
            await listening.wait()
        return self._iterate(queue)

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _iterate(self, queue: asyncio.Queue[RunChange]) -> AsyncIterator[RunChange]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.remove(queue)

    async def _listen(self, listening: asyncio.Event) -> None:
        lost = False
        while True:
            try:
                connection: Connection = await Connection.connect(
                    self._conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS, **OPTIONS
                )
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    listening.set()
                    lost = False
                    async for notification in connection.notifies():
                        self._tell(notification.payload)
            except (psycopg.Error, OSError) as error:
                if not lost:
                    logger.warning("Changes of runs are not told for a while: %s", reason_of(error))
                lost = True
            listening.set()
            await asyncio.sleep(RECONNECT_SECONDS)

    def _tell(self, payload: str) -> None:
        with suppress(MsgspecError):  # of another version of this package
            change = _CHANGE.decode(payload)
            for queue in self._queues:
                queue.put_nowait(change)
