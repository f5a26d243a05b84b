"""Writes runs in threads, or under load in a process of its own.

The process is ``python -P -m jupyter_pdflow.stores.tinydb.writer DATA_DIR``. It prints `READY` when
it has the lock, carries out an `Order` for each line that it reads, and prints an `Answer`. It ends
when its input ends, which also happens when its server dies.
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
"""Inode, time of the last write in ns, and size of a file; differs for each of its states."""


class Order(Struct, frozen=True, array_like=True):
    """A record to be written, and a file to be removed afterwards.

    Attributes
    ----------
    path : str
        The record's file.
    table : str
        The record's table in the file.
    fields : Raw
        The record's fields, as a JSON object.
    leaving : str, optional
        A file that is removed afterwards. The removal is not synced.
    """

    path: str
    table: str
    fields: Raw
    leaving: str | None = None


Write: TypeAlias = Callable[[Order], Awaitable[Stamp]]
"""A coroutine function that carries out an order, or raises `OSError`."""


async def write_in_thread(order: Order) -> Stamp:
    """Carry out an order beside the event loop."""
    return await in_thread(carry_out, order)


def carry_out(order: Order, spares: Spares | None = None) -> Stamp:
    """Write the record; durable when this returns.

    Parameters
    ----------
    order : Order
    spares : Spares, optional
        Files to write instead of new ones, if possible.

    Raises
    ------
    OSError
        The record could not be written.
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
    """Return the stamp of a regular file; `OSError` if the path is not that of one."""
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
    """The result of an order: the new file's stamp, or the error."""

    stamp: Stamp = (0, 0, 0)
    errno: int | None = None
    text: str = ""


class WriterProcess:
    """The server's side of the process; made and ended by `running`."""

    def __init__(self, orders: StreamWriter, answers: StreamReader) -> None:
        self._orders, self._answers = orders, answers
        self._waiting: deque[asyncio.Future[Stamp]] = deque()
        self._reading = asyncio.create_task(self._read(), name="read a writer's answers")

    async def write(self, order: Order) -> Stamp:
        """Have the process carry out an order.

        Raises
        ------
        OSError
            The record could not be written.
        WriterGoneError
            The process has ended without an answer.
        """
        if self._reading.done():
            raise WriterGoneError
        line, written = encode(order) + b"\n", asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._orders.write(line)
        return await held(written)

    async def ended(self, seconds: float | None = None) -> bool:
        """Wait for the end of the process, at most some seconds; return whether it has ended."""
        done, _ = await asyncio.wait([self._reading], timeout=seconds)
        return bool(done)

    async def end(self) -> None:
        """Let the process carry out all orders, and wait for its end."""
        self._orders.close()
        await self.ended()

    async def _read(self) -> None:
        """Read the answers, which come in the order of the orders."""
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
    """Start the process; at the end let it carry out all orders, and wait for its end.

    Raises
    ------
    OSError
        The process could not be started.
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
    """Carry out the server's orders until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        lock = FileLock(data_dir / LOCK, mode=0o600).acquire(timeout=LOCK_SECONDS)
    except Timeout:
        sys.exit(f"Another process writes to {data_dir}.")
    with lock:
        folder = data_dir / spares.FOLDER
        spares.clear(folder)
        with suppress(BrokenPipeError):  # the server has died
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
"""Number of writes within `WITHIN_SECONDS` from which on there is load."""

WITHIN_SECONDS = 5.0
"""The time in which `MANY` writes are counted."""

IDLE_SECONDS = 10.0
"""Seconds without a write after which the process ends."""

PAUSE_SECONDS = 60.0
"""Seconds after a failure until another process may be started."""


class Writer:
    """Carries out orders: in threads, or under load in a process of its own.

    A thread shares the interpreter's lock with the event loop, which costs a busy server as much
    again as the write itself. The process also uses replaced files again (`Spares`). Without the
    process, which Windows does not have, writes are slower.

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
        """End the process, if there is one. Nothing may be written afterwards."""
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
        """Run a process until it dies or is idle."""
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
        """Wait until the process dies or is idle; return whether it has died."""
        loop = asyncio.get_running_loop()
        while (idle := loop.time() - self._times[-1]) < IDLE_SECONDS:
            if await process.ended(IDLE_SECONDS - idle):
                return True
        return False

    def _pause(self, why: object) -> None:
        logger.warning("Runs are written by threads for a while, which is slower: %s", why)
        self._not_before = asyncio.get_running_loop().time() + PAUSE_SECONDS
