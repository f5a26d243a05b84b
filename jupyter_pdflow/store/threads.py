"""Work that waits for the disk, done beside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from heapq import merge
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SLICE_SECONDS = 0.005
"""How long a long loop keeps the event loop before others get their turn."""

SORTED_AT_ONCE = 10_000

_READER = ThreadPoolExecutor(1, thread_name_prefix="pdflow-reader")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something in a thread, `held`."""
    loop = asyncio.get_running_loop()
    return await held(loop.run_in_executor(None, lambda: work(*args, **kwargs)))


async def in_reader(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read much in the one thread that is there for it, `held`.

    One piece of work comes after another, so that lists take the memory of one, and writes,
    which have the other threads, never wait for them.
    """
    loop = asyncio.get_running_loop()
    return await held(loop.run_in_executor(_READER, lambda: work(*args, **kwargs)))


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Go through many items; others get their turn on the event loop in between."""
    ends = time.monotonic() + SLICE_SECONDS
    for item in items:
        yield item
        if time.monotonic() > ends:
            await asyncio.sleep(0)
            ends = time.monotonic() + SLICE_SECONDS


def sorted_in_turns(items: Iterable[str]) -> list[str]:
    """Sort many texts in a thread; `sorted` would keep the interpreter from all other threads."""
    given = list(items)
    pieces = [
        sorted(given[at : at + SORTED_AT_ONCE]) for at in range(0, len(given), SORTED_AT_ONCE)
    ]
    return list(merge(*pieces))


async def held(working: asyncio.Future[T]) -> T:
    """Wait for work; whoever is cancelled meanwhile is held until it is done.

    So nothing is being written any more when a task has ended, however it ended.
    """
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
