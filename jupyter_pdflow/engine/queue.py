"""The protocol of a queue, which hands out runs among the processes that execute them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

Execute: TypeAlias = Callable[[str], Awaitable[bool]]
"""Begins to execute the run of an id, if it is ready; returns False if no kernel is free."""


class Queue(Protocol):
    """Hands out runs that are ready, each to one process at a time.

    What it hands out is a hint. Whether a run is ready, and who executes it, is in the store, so a
    run that is handed out twice or too late is executed once. The store adds a run in the
    transaction that makes it ready.

    A store that is used by one process needs none: see `jupyter_pdflow.engine.local_queue`.

    Attributes
    ----------
    names : sequence of str
        The names of the queues whose runs this process executes.
    """

    names: Sequence[str]

    def open(self, execute: Execute, wait_for_room: Callable[[], Awaitable[object]]) -> None:
        """Begin to hand out runs to this process.

        Parameters
        ----------
        execute : callable
            Called with the id of a run. A run for which it returns False is handed out again.
        wait_for_room : callable
            Waits until the process can execute another run; none is handed out before.
        """

    async def stop(self) -> None:
        """Hand out no further run to this process; those that it executes stay with it."""

    async def close(self) -> None:
        """Free what the queue holds."""
