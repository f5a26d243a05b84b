"""Writes runs, under load in a process of its own.

The process is ``python -P -m jupyter_pdflow.stores.tinydb.writer DATA_DIR``. It says `READY` when
it has the lock, carries out an `Order` for each line that it reads, and prints an `Answer`. It ends
when its input does: with its server, however that ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from filelock import FileLock, Timeout
from msgspec import Raw, Struct
from msgspec.json import decode, encode

from jupyter_pdflow.exceptions import WriterGoneError
from jupyter_pdflow.stores.tinydb import storage as spares
from jupyter_pdflow.stores.tinydb.storage import Spares, held, in_thread, write_record

logger = logging.getLogger(__name__)

Stamp: TypeAlias = tuple[int, int, int]
"""What tells one state of a file from another."""


class Order(Struct, frozen=True, array_like=True):
    """A record to be written, and the file that goes when this is done.

    Attributes
    ----------
    path : str
        The record's file.
    table : str
        What the record is called in it.
    fields : Raw
        The record's fields, as a JSON object.
    leaving : str, optional
        A file that is removed then, without syncing that.
    """

    path: str
    table: str
    fields: Raw
    leaving: str | None = None


Write: TypeAlias = Callable[[Order], Awaitable[Stamp]]
"""Carries out an order; raises `OSError`."""


async def write_in_thread(order: Order) -> Stamp:
    """Carry out an order beside the event loop."""
    return await in_thread(carry_out, order)


def carry_out(order: Order, spares: Spares | None = None) -> Stamp:
    """Write the record; durable when this returns.

    Parameters
    ----------
    order : Order
    spares : Spares, optional
        Files to write in place of new ones, where that is possible.

    Raises
    ------
    OSError
        It could not be written.
    """
    if spares is not None:
        with suppress(OSError):
            return _carry_out(order, spares)
    return _carry_out(order, None)


def _carry_out(order: Order, spares: Spares | None) -> Stamp:
    write_record(Path(order.path), bytes(order.fields), order.table, spares)
    if order.leaving is not None:
        with suppress(OSError):
            _remove(order.leaving, spares)
    return stamp_of(order.path)


def _remove(name: str, spares: Spares | None) -> None:
    if spares is None or not spares.move(name):
        Path(name).unlink()


def stamp_of(path: str | Path) -> Stamp:
    """Tell a state of a file from others; `OSError` where it is none."""
    status = os.stat(path)  # noqa: PTH116  half the time of Path.stat
    if not stat.S_ISREG(status.st_mode):
        msg = f"{os.path.basename(path)} is not a file"  # noqa: PTH119
        raise OSError(msg)
    return status.st_ino, status.st_mtime_ns, status.st_size


COMMAND = (sys.executable, "-P", "-m", "jupyter_pdflow.stores.tinydb.writer")
LOCK = "writer.lock"
READY = b"ready\n"
LOCK_SECONDS = 10.0
START_SECONDS = 30.0


class Answer(Struct, frozen=True, array_like=True):
    """What came of an order: the new file's stamp, or why it was not written."""

    stamp: Stamp = (0, 0, 0)
    errno: int | None = None
    text: str = ""


class WriterProcess:
    """The process as its server sees it. Made and ended by `running`."""

    def __init__(self, orders: StreamWriter, answers: StreamReader) -> None:
        self._orders, self._answers = orders, answers
        self._waiting: deque[asyncio.Future[Stamp]] = deque()
        self._reading = asyncio.create_task(self._read(), name="read a writer's answers")

    async def write(self, order: Order) -> Stamp:
        """Have an order carried out.

        Raises
        ------
        OSError
            The record could not be written.
        WriterGoneError
        """
        if self._reading.done():
            raise WriterGoneError
        line, written = encode(order) + b"\n", asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._orders.write(line)
        return await held(written)

    async def ended(self, seconds: float | None = None) -> bool:
        """Wait for its end, for so many seconds at most; tell whether it has come."""
        done, _ = await asyncio.wait([self._reading], timeout=seconds)
        return bool(done)

    async def end(self) -> None:
        """Have it carry out what it was told to, and end."""
        self._orders.close()
        await self.ended()

    async def _read(self) -> None:
        """Take its answers, which come in the order of the orders."""
        try:
            while line := await self._answers.readline():
                self._take(decode(line, type=Answer))
        finally:
            while self._waiting:
                self._waiting.popleft().set_exception(WriterGoneError())

    def _take(self, answer: Answer) -> None:
        written = self._waiting.popleft()
        if answer.errno is None:
            written.set_result(answer.stamp)
        else:
            written.set_exception(OSError(answer.errno, answer.text))


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[WriterProcess]:
    """Start the process; at the end it carries out what it was told to, and is waited for.

    Raises
    ------
    OSError
        It could not be started.
    """
    process = await asyncio.create_subprocess_exec(
        *COMMAND, str(data_dir), stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    assert process.stdin is not None  # noqa: S101  it was asked for
    assert process.stdout is not None  # noqa: S101
    try:
        await asyncio.wait_for(_until_ready(process.stdout), START_SECONDS)
        writer = WriterProcess(process.stdin, process.stdout)
        try:
            yield writer
        finally:
            await writer.end()
    finally:
        process.stdin.close()
        await process.wait()


async def _until_ready(answers: StreamReader) -> None:
    while (line := await answers.readline()) != READY:
        if not line:
            msg = "the process that writes has ended before it was ready"
            raise OSError(msg)


# --- in the process -------------------------------------------------------------------


def main(data_dir: Path) -> None:
    """Write what the server asks for, until it has closed its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        lock = FileLock(data_dir / LOCK, mode=0o600).acquire(timeout=LOCK_SECONDS)
    except Timeout:
        sys.exit(f"Another process writes to {data_dir}.")
    with lock:
        folder = data_dir / spares.FOLDER
        spares.clear(folder)
        with suppress(BrokenPipeError):  # nobody waits for the answer any more
            _serve(sys.stdin.buffer, Spares(folder))
        spares.clear(folder)
        (data_dir / LOCK).unlink()


def _serve(orders: BinaryIO, kept: Spares) -> None:
    answer = partial(os.write, sys.stdout.fileno())
    answer(READY)
    for line in orders:
        if not line.endswith(b"\n"):
            return  # its server died while it wrote this
        answer(encode(_answer(line, kept)) + b"\n")


def _answer(line: bytes, kept: Spares) -> Answer:
    try:
        return Answer(carry_out(decode(line, type=Order), kept))
    except OSError as error:
        return Answer(errno=error.errno or 0, text=error.strerror or os.strerror(0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))


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

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
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
        logger.warning("Runs are written by threads for a while, which is slower: %s", why)
        self._not_before = asyncio.get_running_loop().time() + PAUSE_SECONDS
