"""Locks of runs, new ids, the health of the storage, pending writes, and admission to execute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from ulid import ULID

from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)


class RunLocks:
    """One lock per run, so that the changes of a run are made one after another, in order."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, run_id: str) -> asyncio.Lock:
        """Return the lock of a run. It exists as long as it is referenced."""
        return self._locks.setdefault(run_id, asyncio.Lock())

    async def wait_released(self) -> None:
        """Wait until all locks that are held now have been released."""
        for lock in list(self._locks.values()):
            async with lock:
                pass


LATEST = int(ULID.from_datetime(datetime(3000, 1, 1, tzinfo=UTC)))
"""An id from here on is foreign: counting up from one could run out of ids."""


class Ids:
    """Makes ULIDs. Each is greater than all earlier ones, even if the clock was set back.

    Parameters
    ----------
    after : sequence of str
        Earlier ids. Those that are not ULIDs are ignored.
    """

    def __init__(self, after: Sequence[str] = ()) -> None:
        self._last = max(map(_number, after), default=0)

    def new(self, now: datetime) -> str:
        """Return the next id."""
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
    """Logs once when the storage starts to fail, and once when it works again."""

    def __init__(self) -> None:
        self._failing = False

    def report_failure(self, error: OSError) -> None:
        """Note that a write failed that will be tried again."""
        if not self._failing:
            self._failing = True
            logger.error(
                "The data directory can't be written: %s. Free some space or repair it. Until "
                "then, pending writes are kept in memory and tried again.",
                error,
            )

    def report_dropped(self, run_id: str, error: Exception) -> None:
        """Note that a write of a run failed and will not be tried again."""
        logger.error("A write of run %s can't be made and is dropped.", run_id, exc_info=error)

    def report_success(self) -> None:
        """Note that a write succeeded."""
        if self._failing:
            self._failing = False
            logger.info("The data directory can be written again.")


class PendingWrites:
    """Writes that follow from a stored change, by run and in order, tried until they succeed.

    A write must be repeatable: it is tried again after it has failed halfway.

    Parameters
    ----------
    storage : StorageHealth
        Logs that a write failed.
    locks : RunLocks
        The lock of a run is taken before its writes are tried again.
    """

    def __init__(self, storage: StorageHealth, locks: RunLocks, *, limits: Limits = LIMITS) -> None:
        self._retry_seconds = limits.storage_retry_seconds
        self._storage = storage
        self._locks = locks
        self._pending: dict[str, list[Work]] = {}
        self._retry: asyncio.Task[None] | None = None

    async def do(self, run_id: str, work: Work) -> None:
        """Make a write for a run whose lock is held, now or later; never raises `OSError`."""
        self._pending.setdefault(run_id, []).append(work)
        with suppress(OSError):
            await self.flush(run_id)
        if self._pending and (self._retry is None or self._retry.done()):
            self._retry = asyncio.create_task(self._retry_all(), name="retry pending writes")

    async def flush(self, run_id: str) -> None:
        """Make the pending writes of a run whose lock is held.

        Raises
        ------
        OSError
            A write failed again; it and those after it stay pending.
        """
        if run_id not in self._pending:
            return
        work = self._pending[run_id]
        while work:
            await self._attempt(run_id, work[0])
            del work[0]
        del self._pending[run_id]

    async def _attempt(self, run_id: str, work: Work) -> None:
        """Make one write. One that fails other than by the storage is dropped, or it would block."""
        try:
            await work()
        except OSError as error:
            self._storage.report_failure(error)
            raise
        except Exception as error:  # noqa: BLE001  it would fail the same way next time
            self._storage.report_dropped(run_id, error)

    async def close(self) -> None:
        """Try a last time. The next start derives from the stored runs what is left."""
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.wait([self._retry])
        await self._flush_all()
        self._pending.clear()

    async def _retry_all(self) -> None:
        while self._pending:
            await asyncio.sleep(self._retry_seconds)
            await self._flush_all()

    async def _flush_all(self) -> None:
        for run_id in list(self._pending):
            async with self._locks.of(run_id):
                with suppress(OSError):
                    await self.flush(run_id)


class Admission:
    """Lets steps execute side by side, or one step alone.

    A step that has crashed its server repeatedly executes alone, so that it harms no other step.
    """

    def __init__(self) -> None:
        self._executing = 0
        self._alone: str | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def try_enter(self) -> bool:
        """Admit a run beside the others, unless a run executes alone or waits to; return whether.

        The run leaves by `leave`.
        """
        if self._alone is not None:
            return False
        self._executing += 1
        return True

    async def enter(self, run_id: str, *, alone: bool) -> None:
        """Wait until a run may execute.

        Parameters
        ----------
        run_id : str
            The run.
        alone : bool
            Whether no other run may execute meanwhile. Then no other run is admitted from now on,
            and this one waits until those that execute have left.
        """
        while self._alone is not None:
            await self._change()
        if alone:
            await self._until_empty(run_id)
        self._executing += 1

    def leave(self, run_id: str) -> None:
        """Note that a run has stopped executing."""
        self._executing -= 1
        self.share(run_id)
        self._notify()

    def share(self, run_id: str) -> None:
        """Admit others beside this run, if it executes alone."""
        if self._alone == run_id:
            self._alone = None
            self._notify()

    async def _until_empty(self, run_id: str) -> None:
        # Set before waiting: otherwise a steady flow of other runs would never leave room.
        self._alone = run_id
        try:
            while self._executing:
                await self._change()
        except BaseException:
            # Also when the task is canceled, or no run would ever be admitted again.
            self.share(run_id)
            raise

    async def _change(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():  # its task may have been canceled
                each.set_result(None)


@dataclass
class Slot:
    """Leave for one kernel of the pool, and the kernel in it, or None if none was started yet.

    ``owned``: whether the executor has to give the slot back.
    """

    kernel: Kernel | None
    owned: bool = True

    @contextmanager
    def lent_to_pool(self) -> Iterator[None]:
        """Leave the slot to the pool, which frees it itself if the work meanwhile fails."""
        self.owned = False
        yield
        # Not in a `finally`: after an error the slot is free already, and must not be freed twice.
        self.owned = True
