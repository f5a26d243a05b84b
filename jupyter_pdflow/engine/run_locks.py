"""One change of a run at a time."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class RunLocks:
    """A lock for each run that something happens to; first come, first served."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, run_id: str) -> asyncio.Lock:
        """Get the lock of a run, which is kept as long as somebody has it."""
        return self._locks.setdefault(run_id, asyncio.Lock())

    async def over(self) -> None:
        """Wait until all changes that are under way have been made."""
        for lock in list(self._locks.values()):
            async with lock:
                pass
