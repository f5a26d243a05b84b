"""A process that writes records for a server, and that side of it which is in the server.

The process is ``python -P -m jupyter_pdflow.store.writer_process DATA_DIR``. It says `READY` when
it has the lock, carries out an `Order` for each line that it reads, and prints an `Answer`. It ends
when its input does: with its server, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout
from msgspec import Struct
from msgspec.json import decode, encode

from jupyter_pdflow.store import spares
from jupyter_pdflow.store.orders import Order, Stamp, carry_out
from jupyter_pdflow.store.spares import Spares
from jupyter_pdflow.store.threads import held

COMMAND = (sys.executable, "-P", "-m", "jupyter_pdflow.store.writer_process")
LOCK = "writer.lock"
READY = b"ready\n"
LOCK_SECONDS = 10.0
START_SECONDS = 30.0


class Answer(Struct, frozen=True, array_like=True):
    """What came of an order: the new file's stamp, or why it was not written."""

    stamp: Stamp = (0, 0, 0)
    errno: int | None = None
    text: str = ""


class WriterGoneError(Exception):
    """The process has ended before it answered; the order may be carried out again."""


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
