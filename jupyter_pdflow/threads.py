"""Work in threads beside the event loop, long loops in slices, and locks by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from heapq import merge
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")

SLICE_SECONDS = 0.005
"""Maximum time that a long loop blocks the event loop."""

SORTED_AT_ONCE = 10_000
"""Maximum number of texts that are sorted without a pause for other threads."""

_READER = ThreadPoolExecutor(1, thread_name_prefix="pdflow-reader")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread; a canceled caller still waits for it, see `held`."""
    loop = asyncio.get_running_loop()
    return await held(loop.run_in_executor(None, lambda: work(*args, **kwargs)))


async def in_reader(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that reads many files in the one thread for that; as `in_thread`.

    With one thread, several lists take the memory of one, and writes, which have threads of their
    own, never wait for a list.
    """
    loop = asyncio.get_running_loop()
    return await held(loop.run_in_executor(_READER, lambda: work(*args, **kwargs)))


async def held(working: asyncio.Future[T]) -> T:
    """Wait for work that can't be canceled; a canceled caller waits too, then is canceled.

    So nothing is being done any more when a task has ended, however it has ended.
    """
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        raise


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield many items, and let other tasks run in between."""
    ends = time.monotonic() + SLICE_SECONDS
    for item in items:
        yield item
        if time.monotonic() > ends:
            await asyncio.sleep(0)
            ends = time.monotonic() + SLICE_SECONDS


def sorted_in_turns(items: Iterable[str]) -> list[str]:
    """Sort many texts in a thread; one long `sorted` would keep the interpreter's lock."""
    given = list(items)
    pieces = [
        sorted(given[at : at + SORTED_AT_ONCE]) for at in range(0, len(given), SORTED_AT_ONCE)
    ]
    return list(merge(*pieces))


class Locks:
    """One lock for each name, so that changes of one record are made one after another."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Return the lock of a name. It exists as long as it is referenced."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def wait_released(self, name: str | None = None) -> None:
        """Wait until all locks that are held now have been released; or that of one name."""
        locks = list(self._locks.values()) if name is None else [self.of(name)]
        for lock in locks:
            async with lock:
                pass
