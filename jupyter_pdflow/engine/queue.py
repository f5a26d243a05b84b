"""What the queue of this process consists of: ids of runs, admission to execute, and slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ulid import ULID

from jupyter_pdflow.kernels.kernel import Kernel

logger = logging.getLogger(__name__)


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
