"""Writes records for a server: in threads, and under load in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from jupyter_pdflow.store import spares
from jupyter_pdflow.store.orders import Order, Stamp, write_in_thread
from jupyter_pdflow.store.writer_process import WriterGoneError, WriterProcess, running

MANY = 100
WITHIN_SECONDS = 5.0
"""So many writes within this time are a load."""

IDLE_SECONDS = 10.0
"""After this time without a write the process ends."""

PAUSE_SECONDS = 60.0
"""After this time it is tried again to start one."""


class Writer:
    """Carries out orders. At rest it is nothing but a count.

    A thread has to share the interpreter's lock with the event loop, which costs a busy server as
    much again as the write itself. So while much is written, a process of its own does that; it
    also uses replaced files again (`Spares`). Where there is none, all works as well, but slower.

    Parameters
    ----------
    data_dir : Path
        The data directory, whose lock the caller holds.
    """

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._data_dir = data_dir
        self._log = log
        self._times: deque[float] = deque(maxlen=MANY)
        self._process: WriterProcess | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._not_before = 0.0 if os.name == "posix" else float("inf")
        spares.clear(data_dir / spares.FOLDER)

    async def write(self, order: Order) -> Stamp:
        """Carry out an order; durable when this returns.

        Raises
        ------
        OSError
            The record could not be written.
        """
        self._count()
        if self._process is not None:
            with suppress(WriterGoneError):
                return await self._process.write(order)
        return await write_in_thread(order)

    async def close(self) -> None:
        """End the process, if there is one; nothing is being written any more."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        self._times.append(now)
        under_load = len(self._times) == MANY and self._times[0] > now - WITHIN_SECONDS
        if under_load and self._keeping is None and now >= self._not_before:
            self._keeping = asyncio.create_task(self._keep_process(), name="keep a writer")

    async def _keep_process(self) -> None:
        """Have a process as long as it lives and is of use."""
        try:
            async with running(self._data_dir) as process:
                self._process = process
                if await self._has_died(process):
                    self._pause("the process that writes has died")
                self._process = None
        except (OSError, NotImplementedError) as error:
            self._pause(error)
        finally:
            self._process = self._keeping = None

    async def _has_died(self, process: WriterProcess) -> bool:
        """Wait until it dies or has had nothing to do for a while, and tell which it is."""
        loop = asyncio.get_running_loop()
        while (idle := loop.time() - self._times[-1]) < IDLE_SECONDS:
            if await process.ended(IDLE_SECONDS - idle):
                return True
        return False

    def _pause(self, why: object) -> None:
        self._log.warning("Runs are written by threads for a while, which is slower: %s", why)
        self._not_before = asyncio.get_running_loop().time() + PAUSE_SECONDS
