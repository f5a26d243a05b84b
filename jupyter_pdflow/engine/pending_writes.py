"""Changes of a run in turn, and what could not be stored yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from ulid import ULID

from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)


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


LATEST = int(ULID.from_datetime(datetime(3000, 1, 1, tzinfo=UTC)))
"""An id from here on was made up: counting on from one could run out of ids."""


class Ids:
    """Makes ULIDs; each is greater than all before it, even when the clock was set back.

    Parameters
    ----------
    after : sequence of str
        Ids that were made before; foreign ones are ignored.
    """

    def __init__(self, after: Sequence[str] = ()) -> None:
        self._last = max(map(_number, after), default=0)

    def new(self, now: datetime) -> str:
        """Make the next id."""
        self._last = max(int(ULID.from_datetime(now)), self._last + 1)
        return str(ULID.from_int(self._last))


def _number(run_id: str) -> int:
    try:
        number = int(ULID.from_str(run_id))
    except ValueError:
        return 0
    return number if number < LATEST else 0


Work = Callable[[], Awaitable[None]]


class StorageHealth:
    """Tells the log once when the storage fails, and once when it works again."""

    def __init__(self) -> None:
        self._told = False

    def begins(self, error: OSError) -> None:
        """Say that something could not be stored; it is kept and tried again."""
        if not self._told:
            self._told = True
            logger.error(
                "The data directory can't be written: %s. Free some space or repair it; what is "
                "to be stored is kept in memory and tried again until it succeeds.",
                error,
            )

    def gives_up(self, run_id: str, error: Exception) -> None:
        """Say that something of a run can't be stored at all."""
        logger.error("Something of run %s can't be stored.", run_id, exc_info=error)

    def is_over(self) -> None:
        """Say that something was stored."""
        if self._told:
            self._told = False
            logger.info("The data directory can be written again.")


class PendingWrites:
    """What follows from a stored change and has to be stored too, in order, by run.

    Each piece of work may be done again after it has failed halfway.

    Parameters
    ----------
    storage : StorageHealth
        Tells that something could not be stored.
    locks : RunLocks
        The locks of runs, one of which is taken when something is tried again.
    """

    def __init__(self, storage: StorageHealth, locks: RunLocks, *, limits: Limits = LIMITS) -> None:
        self._retry_seconds = limits.storage_retry_seconds
        self._storage = storage
        self._locks = locks
        self._pending: dict[str, list[Work]] = {}
        self._retry: asyncio.Task[None] | None = None

    async def do(self, run_id: str, work: Work) -> None:
        """Do this for a run whose turn it is, at once or else later; never raises `OSError`."""
        self._pending.setdefault(run_id, []).append(work)
        with suppress(OSError):
            await self.flush(run_id)
        if self._pending and (self._retry is None or self._retry.done()):
            self._retry = asyncio.create_task(self._try_again(), name="store what is owed")

    async def flush(self, run_id: str) -> None:
        """Do what is still owed to a run whose turn it is.

        Raises
        ------
        OSError
            That is still not possible.
        """
        if run_id not in self._pending:
            return
        work = self._pending[run_id]
        while work:
            await self._attempt(run_id, work[0])
            del work[0]
        del self._pending[run_id]

    async def _attempt(self, run_id: str, work: Work) -> None:
        """Do one piece of work; one that can't be done at all must not hold up its run."""
        try:
            await work()
        except OSError as error:
            self._storage.begins(error)
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it would be the same next time
            self._storage.gives_up(run_id, error)

    async def close(self) -> None:
        """Try a last time; the next start finds what is left by what is stored."""
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.wait([self._retry])
        await self._flush_all()
        self._pending.clear()

    async def _try_again(self) -> None:
        while self._pending:
            await asyncio.sleep(self._retry_seconds)
            await self._flush_all()

    async def _flush_all(self) -> None:
        for run_id in list(self._pending):
            async with self._locks.of(run_id):
                with suppress(OSError):
                    await self.flush(run_id)
