"""Work that waits for the disk, done beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something in a thread, `held`."""
    loop = asyncio.get_running_loop()
    return await held(loop.run_in_executor(None, lambda: work(*args, **kwargs)))


async def held(working: asyncio.Future[T]) -> T:
    """Wait for work; whoever is cancelled meanwhile is held until it is done.

    So nothing is being written any more when a task has ended, however it ended.
    """
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
