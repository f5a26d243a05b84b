"""What a process queues by itself: ids of runs, those that wait for a kernel, admission, slots."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import Struct
from ulid import ULID

from jupyter_pdflow.engine.live_outputs import Showing
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.slots import VersionKey
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.threads import SLICE_SECONDS

logger = logging.getLogger(__name__)


LATEST = int(ULID.from_datetime(datetime(3000, 1, 1, tzinfo=UTC)))
"""An id from here on is foreign: counting up from one could run out of ids."""


SHARED_BITS = 64
"""Bits of the random numbers by which the ids of processes differ."""


class Ids:
    """Makes ULIDs. Each is greater than all earlier ones, even if the clock was set back.

    Parameters
    ----------
    after : sequence of str
        Earlier ids. Those that are not ULIDs are ignored.
    shared : bool
        Whether other processes make ids as well, after the same ones.
    """

    def __init__(self, after: Sequence[str] = (), *, shared: bool = False) -> None:
        self._last = max(map(_number, after), default=0)
        if shared:  # another place for each: they count up from here if their clocks are slow
            self._last += secrets.randbits(SHARED_BITS)

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


# Not tracked by the garbage collector, which would hold the event loop to look at thousands.
class WaitingRun(Struct, eq=False, gc=False):
    """The request of a run for a kernel.

    Attributes
    ----------
    since : float
        The time of `time.monotonic` since which the run waits.
    granted : callable
        Called with the request, and the kernel or None for a slot.
    """

    run_id: str
    version: VersionKey
    since: float
    granted: Callable[[WaitingRun, Kernel | None], object]

    def grant(self, kernel: Kernel | None) -> bool:
        """Take a kernel or a slot; return True, as it is always wanted."""
        self.granted(self, kernel)
        return True


class WaitingRuns:
    """The runs that wait for a kernel, as ids: many may wait, so each is loaded when it is granted.

    Versions take turns at the kernels of the pool, so a run's version has to be known. It is read
    when the run is added, in the order of the runs, a few at a time.

    Parameters
    ----------
    pool : KernelPool
        Grants kernels and slots.
    version_of : callable
        Returns the version of the run with that id, or None if that run does not wait. It raises
        no error.
    start : callable
        Called with the request that was granted, and its kernel or None for a slot.
    """

    def __init__(
        self,
        pool: KernelPool,
        version_of: Callable[[str], Awaitable[VersionKey | None]],
        start: Callable[[WaitingRun, Kernel | None], object],
    ) -> None:
        self._pool = pool
        self._version_of = version_of
        self._start = start
        self._on_granted = self._granted  # one object for all requests
        self._unsorted: OrderedDict[str, float] = OrderedDict()
        self._requests: dict[str, WaitingRun] = {}
        self._sorting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._unsorted) + len(self._requests)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._unsorted or run_id in self._requests

    def add(self, run_id: str) -> None:
        """Add a run behind the others of its version, unless it waits already."""
        if run_id in self:
            return
        self._unsorted[run_id] = time.monotonic()
        if self._sorting is None or self._sorting.done():
            self._sorting = asyncio.create_task(self._sort(), name="sort the runs that wait")

    async def add_of(self, run_id: str, version: VersionKey) -> None:
        """Add a run whose version is known; it waits no longer than for a gateway, and a kernel."""
        since = time.monotonic()
        await self._pool.wait_for_gateway(version)
        self._request(run_id, version, since)

    def remove(self, run_id: str) -> None:
        """Remove a run, if it waits."""
        self._unsorted.pop(run_id, None)
        request = self._requests.pop(run_id, None)
        if request is not None:
            self._pool.withdraw(request)

    def stop(self) -> None:
        """Remove all runs; the pool has stopped."""
        if self._sorting is not None:
            self._sorting.cancel()
        self._unsorted.clear()
        self._requests.clear()

    async def _sort(self) -> None:
        """Request a kernel for each run, and let other tasks run in between."""
        ends = time.monotonic() + SLICE_SECONDS
        while self._unsorted:
            await self._add_sorted(next(iter(self._unsorted)))
            if time.monotonic() > ends:
                await asyncio.sleep(0)
                ends = time.monotonic() + SLICE_SECONDS

    async def _add_sorted(self, run_id: str) -> None:
        version = await self._version_of(run_id)
        if version is not None:
            await self._pool.wait_for_gateway(version)
        since = self._unsorted.pop(run_id, None)
        if version is not None and since is not None:  # else it was removed meanwhile
            self._request(run_id, version, since)

    def _request(self, run_id: str, version: VersionKey, since: float) -> None:
        request = WaitingRun(run_id, version, since, self._on_granted)
        self._requests[run_id] = request
        self._pool.request(request)

    def _granted(self, request: WaitingRun, kernel: Kernel | None) -> None:
        del self._requests[request.run_id]
        self._start(request, kernel)


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


class Claims:
    """The runs for which a kernel was taken before the commit by which their steps begin."""

    def __init__(self) -> None:
        self._run_ids: set[str] = set()
        self._one_ended = asyncio.Event()

    def add(self, run_id: str) -> None:
        """Note that a kernel was taken for a run."""
        self._run_ids.add(run_id)

    def end(self, run_id: str) -> None:
        """Note that the commit is over."""
        self._run_ids.discard(run_id)
        self._one_ended.set()

    async def wait_ended(self) -> None:
        """Wait until all these commits are over."""
        while self._run_ids:
            self._one_ended.clear()
            await self._one_ended.wait()


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


@dataclass(eq=False)
class Work:
    """What a task does for one run that has a slot.

    Attributes
    ----------
    run_id : str
    slot : Slot
    since : float or None
        The time of `time.monotonic` since which the run is ready; None once a kernel executes it.
    run : Run or None
        The run with its current attempt, as it was stored last; None until it is loaded.
    executes : bool
        Whether the kernel executes a step.
    cancelable : bool
        Whether the task waits, or prepares a kernel.
    showing : Showing or None
        What the step has shown so far, while a kernel executes it and its outcome is stored.
    task : asyncio.Task or None
    """

    run_id: str
    slot: Slot
    since: float | None
    run: Run | None = None
    executes: bool = False
    cancelable: bool = False
    showing: Showing | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def begun(self) -> bool:
        """Whether the step of the run has begun: its setup runs, or the step."""
        return self.run is not None and self.run.status == "running"

    @contextmanager
    def while_cancelable(self) -> Iterator[None]:
        """Let `cancel` cancel the task meanwhile."""
        self.cancelable = True
        try:
            yield
        finally:
            self.cancelable = False

    def cancel(self) -> None:
        """Cancel the task, if it waits or prepares a kernel."""
        if self.cancelable and self.task is not None:
            self.cancelable = False
            self.task.cancel()
