"""The one thread that writes: it takes all that waits, writes it, and syncs each file once.

A thread for each write would cost a busy server more in turns at the interpreter's lock than the
system calls themselves. Files of active runs stay open, a bounded number of them, so that a
transition is two system calls: write a line, sync its file.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeAlias, cast

from jupyter_pdflow.stores.files import TEMPORARY, sync_directory, write_synced
from jupyter_pdflow.stores.tinydb.appended import AppendedFile
from jupyter_pdflow.threads import held

MOST_OPEN = 256
"""Maximum number of files that stay open."""

BEGUN_TOGETHER = 4
"""Number of writes from which beginning all syncs before the first saves more than it costs."""

Stamp: TypeAlias = tuple[int, int, int]
"""What tells one state of a file from another: inode, time of the last change, size."""


class Write(NamedTuple):
    """A change of one file.

    Attributes
    ----------
    path : str
        The file.
    content : bytes
        A line to append, without its newline, empty to append none; or all that the file is to
        hold.
    append : bool
        Whether the content is appended.
    move_to : str, optional
        Where the file is moved then. That is not synced: what was written says where it belongs.
    remove : str, optional
        A file that is removed then, without syncing that.
    known : Stamp, optional
        The state of the file that is appended to, as it was last seen. Another one means that it
        was changed by something else, and is opened anew.
    """

    path: str
    content: bytes
    append: bool = False
    move_to: str | None = None
    remove: str | None = None
    known: Stamp | None = None


class _Job(NamedTuple):
    write: Write
    loop: asyncio.AbstractEventLoop
    written: asyncio.Future[Stamp]


class WriterThread:
    """Writes files; a write is durable when `write` returns.

    The thread is started by the first write.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._files = _OpenFiles()

    async def write(self, write: Write) -> Stamp:
        """Carry out a write, and return the state of the file then.

        A task that is canceled meanwhile waits until the write is done.

        Raises
        ------
        OSError
            It could not be made durable. Nothing of it stays, as far as the disk can tell.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pdflow-writer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Stamp] = loop.create_future()
        self._jobs.put(_Job(write, loop, written))
        return await held(written)

    async def close(self) -> None:
        """End the thread when all is written."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _run(self) -> None:
        with self._files:
            while batch := _next_batch(self._jobs):
                jobs = cast("list[_Job]", batch if batch[-1] is not None else batch[:-1])
                results = self._files.carry_out([job.write for job in jobs])
                _answer(jobs, results)
                if len(jobs) < len(batch):
                    return
                self._files.compact()


def _next_batch(jobs: SimpleQueue[_Job | None]) -> list[_Job | None]:
    batch = [jobs.get()]
    with suppress(Empty):
        while batch[-1] is not None:
            batch.append(jobs.get_nowait())
    return batch


def _answer(jobs: list[_Job], results: list[Stamp | Exception]) -> None:
    """Wake each event loop once, for all of its writes."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Stamp | Exception]]] = {}
    for job, result in zip(jobs, results, strict=True):
        by_loop.setdefault(job.loop, []).append((job, result))
    for loop, done in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: no task waits any more
            loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: list[tuple[_Job, Stamp | Exception]]) -> None:
    for job, result in done:
        if job.written.done():
            continue
        if isinstance(result, Exception):
            job.written.set_exception(result)
        else:
            job.written.set_result(result)


class _OpenFiles:
    """The files that are appended to, and the writes of a batch. Used by one thread."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, AppendedFile] = OrderedDict()
        self._large: list[AppendedFile] = []
        self._synced_directories: set[str] = set()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for path in list(self._open):
            self._close(path)

    def carry_out(self, writes: list[Write]) -> list[Stamp | Exception]:
        """Write, sync, and then move and remove; a write that fails leaves the others alone."""
        results: list[Stamp | Exception | None] = [None] * len(writes)
        self._synced_directories.clear()
        begin = [self._begin_sync] if len(writes) >= BEGUN_TOGETHER else []
        for step in (self._write, *begin, self._sync, self._finish):
            for number, write in enumerate(writes):
                if isinstance(results[number], Exception):
                    continue
                try:
                    results[number] = step(write)
                except Exception as error:  # noqa: BLE001  the thread must not end; who waits gets it
                    results[number] = error
                    self._clean_up(write)
        if len(self._open) > MOST_OPEN:
            self._close_oldest()
        return cast("list[Stamp | Exception]", results)

    def compact(self) -> None:
        """Replace files that have grown large by their newest state."""
        while self._large:
            file = self._large.pop()
            if self._open.pop(file.path, None) is file:
                with suppress(Exception):  # it is tried again at the next write
                    file.compact()
                with suppress(OSError):
                    file.close()

    def _write(self, write: Write) -> None:
        if write.append:
            if write.content:
                self._file(write).append(write.content)
        else:
            write_synced(write.path + TEMPORARY, write.content)

    def _begin_sync(self, write: Write) -> None:
        """Begin to write a line to the disk: lines that were begun share a commit of ext4."""
        if write.append and write.content:
            self._open[write.path].begin_sync()

    def _sync(self, write: Write) -> None:
        if write.append:
            if write.content:
                self._open[write.path].sync(self._synced_directories)
        else:
            os.replace(write.path + TEMPORARY, write.path)  # noqa: PTH105
            sync_directory(os.path.dirname(write.path))  # noqa: PTH120

    def _finish(self, write: Write) -> Stamp:
        """Move and remove what a write says; return the state of the file then."""
        stamp = self._place(write)
        if write.remove is not None:  # last: after an error before, it is still of use
            with suppress(OSError):
                os.unlink(write.remove)  # noqa: PTH108
        return stamp

    def _place(self, write: Write) -> Stamp:
        if write.move_to is not None:
            self._move(write, write.move_to)
            return stamp_of(write.move_to)
        file = self._open.get(write.path) if write.append else None
        if file is None:
            return stamp_of(write.path)
        if file.has_grown_large:
            self._large.append(file)
        return file.stamp

    def _move(self, write: Write, to: str) -> None:
        try:
            os.replace(write.path, to)  # noqa: PTH105
        except OSError:
            if write.content:  # the caller is told that nothing was changed
                self._open[write.path].take_back()
            raise
        self._close(write.path)

    def _clean_up(self, write: Write) -> None:
        """Leave nothing of a write that failed."""
        if write.append:
            self._close(write.path)
        else:
            with suppress(OSError):
                os.unlink(write.path + TEMPORARY)  # noqa: PTH108

    def _file(self, write: Write) -> AppendedFile:
        file = self._open.get(write.path)
        # Without a known state, the file may have been replaced by hand since it was opened.
        if file is not None and file.is_as(write.known or _stamp_or_none(write.path)):
            self._open.move_to_end(write.path)
            return file
        self._close(write.path)
        self._open[write.path] = file = AppendedFile(write.path)
        return file

    def _close(self, path: str) -> None:
        file = self._open.pop(path, None)
        if file is not None:
            with suppress(OSError):
                file.close()

    def _close_oldest(self) -> None:
        while len(self._open) > MOST_OPEN:
            self._close(next(iter(self._open)))


def _stamp_or_none(path: str) -> Stamp | None:
    try:
        return stamp_of(path)
    except FileNotFoundError:
        return None


def stamp_of(path: str | Path) -> Stamp:
    """Return the state of a file; `OSError` if it is no regular file."""
    status = os.stat(path)  # noqa: PTH116  half the time of Path.stat
    if not stat.S_ISREG(status.st_mode):
        msg = f"{os.path.basename(path)} is not a file"  # noqa: PTH119
        raise OSError(msg)
    return status.st_ino, status.st_mtime_ns, status.st_size
