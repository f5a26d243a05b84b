"""A TinyDB database whose file is appended: each line is one whole state of it.

The last line that ends with its newline counts. A line without one was never answered for: it is
ignored, and cut off before the next append. A last line that is whole but can't be used makes the
file unreadable; an earlier line is never used in its place, for that would undo what was answered.

A line holds the history entries of its own change only; the history of a file is the union over
its lines. A file that has grown large is replaced once by its newest state, atomically, with the
newest entries of its history in one line.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson
from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder, decode, encode
from tinydb import Storage

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.stores import HISTORY_KEPT
from jupyter_pdflow.stores.files import read_file, replace_file, sync_data, sync_directory
from jupyter_pdflow.stores.tinydb.storage import parse

SUFFIX = ".jsonl"
HISTORY = "history"
"""The table of history entries."""

LARGE = 64 * 1024
"""Bytes below which a file is never replaced."""

TIMES_NEWEST = 4
"""A larger file is replaced when it has this many times the size of its newest state.

It has then this many times the size of its first line too.
"""

_BLOCK = 64 * 1024
_NEWLINE = b"\n"

Tables = dict[str, dict[str, Any]]


class Tail(NamedTuple):
    """The end of a file.

    Attributes
    ----------
    line : bytes
        The last whole line, without its newline; empty if there is none.
    size : int
        The number of bytes up to its newline; what follows was never answered for.
    """

    line: bytes
    size: int


def read_tail(path: str) -> Tail:
    """Read the last whole line of a file, and as little else as possible.

    Raises
    ------
    OSError
        It can't be read, or is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not block
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path} is not a file"
            raise OSError(msg)
        return _tail_of(fd, status.st_size)
    finally:
        os.close(fd)


def _tail_of(fd: int, size: int) -> Tail:
    """Find the last whole line: mostly in the last block, else by its ends, without the rest."""
    start = max(0, size - _BLOCK)
    block = os.pread(fd, size - start, start)
    end = block.rfind(_NEWLINE)
    before = block.rfind(_NEWLINE, 0, end) if end >= 0 else -1
    if before >= 0 or (end >= 0 and start == 0):
        return Tail(block[before + 1 : end], start + end + 1)
    return _long_tail_of(fd, size)


def _long_tail_of(fd: int, size: int) -> Tail:
    end = _newline_before(fd, size)
    if end is None:
        return Tail(b"", 0)
    found = _newline_before(fd, end)
    start = 0 if found is None else found + 1
    return Tail(os.pread(fd, end - start, start), end + 1)


def _newline_before(fd: int, end: int) -> int | None:
    """Find the last newline before a place in a file."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(fd, end - start, start).rfind(_NEWLINE)
        if found >= 0:
            return start + found
        end = start
    return None


def _first_line_size(fd: int) -> int:
    """Return the size of the first line of a file, or of all of it if it has no newline."""
    size = 0
    while block := os.pread(fd, _BLOCK, size):
        found = block.find(_NEWLINE)
        if found >= 0:
            return size + found + 1
        size += len(block)
    return size


def last_line(content: bytes, name: str) -> bytes:
    """Return the last whole line of the content of the file of that name.

    Raises
    ------
    StoredFileError
        There is none.
    """
    end = content.rfind(_NEWLINE)
    if end < 0:
        raise _no_whole_line(name)
    return content[content.rfind(_NEWLINE, 0, end) + 1 : end]


def read_last_line(path: str, name: str) -> bytes:
    """Return the last whole line of a file, and read as little else as possible.

    Raises
    ------
    StoredFileError
        There is none.
    OSError
        As `read_tail`.
    """
    line = read_tail(path).line
    if not line:
        raise _no_whole_line(name)
    return line


def _no_whole_line(name: str) -> StoredFileError:
    msg = f"{name} has no whole line."
    return StoredFileError(msg)


def history_of(content: bytes) -> dict[int, dict[str, Any]]:
    """Return the history entries of all whole lines by number, the newest `HISTORY_KEPT`.

    A line in the middle that can't be used has no entries: it is not what the file says now.
    """
    found: dict[int, dict[str, Any]] = {}
    start = 0
    while (end := content.find(_NEWLINE, start)) >= 0:
        with suppress(MsgspecError, ValueError, RecursionError):
            found |= _HISTORY_DECODER.decode(memoryview(content)[start:end]).history
        start = end + 1
    return dict(sorted(found.items())[-HISTORY_KEPT:])


class _HistoryOfLine(Struct):
    """The table of a line that `history_of` reads: the others may be large."""

    history: dict[int, dict[str, Any]] = {}


_HISTORY_DECODER = Decoder(_HistoryOfLine)


class AppendedJSONStorage(Storage):
    """Keep a database in a file of lines, the last of which is the database.

    Parameters
    ----------
    path : str or Path
        The file; it need not exist yet, its directory has to.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def read(self) -> Tables | None:
        """Return the tables of the last whole line; None if there is no file.

        Raises
        ------
        StoredFileError
            The last whole line is no database of ours.
        """
        try:
            line = read_last_line(str(self._path), self._path.name)
        except FileNotFoundError:
            return None
        return parse(line, self._path.name)

    def write(self, data: Tables) -> None:
        """Append a line; when this returns, it survives a power cut."""
        line = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)
        with AppendedFile(str(self._path)) as file:
            file.append(line)
            file.sync(set())


class AppendedFile:
    """An open file to append lines to.

    Parameters
    ----------
    path : str
        The file; made, readable by its owner only, if it does not exist.

    Raises
    ------
    OSError
        It can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd, self._is_new = _open_or_make(path)
        try:
            status = os.fstat(self._fd)
            self._inode, self._size = status.st_ino, self._cut_off(status.st_size)
        except OSError:
            self.close()
            raise
        self._newest = 0
        self._first: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, line: bytes) -> None:
        """Write a line behind the last whole one; it is durable after `sync`.

        If that fails, nothing of the line stays, and the file is to be closed.
        """
        rest, end = memoryview(line + _NEWLINE), self._size + len(line) + 1
        try:
            while rest:
                rest = rest[os.pwrite(self._fd, rest, end - len(rest)) :]
        except OSError:
            self._cut_back()
            raise
        self._size, self._newest = end, len(line) + 1

    def begin_sync(self) -> None:
        """Have the line that was appended last written to the disk, without waiting for it."""
        if hasattr(os, "posix_fadvise"):
            at, size = self._size - self._newest, self._newest
            with suppress(OSError):  # it is a hint; `sync` tells of errors
                os.posix_fadvise(self._fd, at, size, os.POSIX_FADV_DONTNEED)

    def sync(self, synced: set[str]) -> None:
        """Make the line that was appended last durable, and the name of a new file.

        A directory in `synced` was synced since its files were made; this one is added.

        If that fails, the line is cut off, because what is not durable must not be read, and the
        file is to be closed.
        """
        try:
            sync_data(self._fd)
            directory = os.path.dirname(self.path)  # noqa: PTH120  half the time of Path
            if self._is_new and directory not in synced:
                sync_directory(directory)
                synced.add(directory)
        except OSError:
            self._size -= self._newest
            self._cut_back()
            raise
        self._is_new = False

    def take_back(self) -> None:
        """Cut off the line that was appended and synced last; the file is to be closed then."""
        self._size -= self._newest
        self._cut_back()
        with suppress(OSError):
            sync_data(self._fd)

    @property
    def stamp(self) -> tuple[int, int, int]:
        """The inode, the time of the last change and the size."""
        status = os.fstat(self._fd)
        return status.st_ino, status.st_mtime_ns, status.st_size

    def is_as(self, stamp: tuple[int, int, int] | None) -> bool:
        """Whether a file with that stamp is this one, as this object left it."""
        return stamp is not None and (self._inode, self._size) == (stamp[0], stamp[2])

    @property
    def has_grown_large(self) -> bool:
        """Whether it is time to `compact`."""
        if self._size <= max(LARGE, TIMES_NEWEST * self._newest):
            return False
        # A replaced file begins with its history: that alone must not make it large again.
        if self._first is None:
            self._first = _first_line_size(self._fd)
        return self._size > TIMES_NEWEST * self._first

    def compact(self) -> None:
        """Replace the file by its newest state, with the newest entries of its history.

        This object is of no use then but to be closed.
        """
        name = os.path.basename(self.path)  # noqa: PTH119
        content = read_file(self.path)
        # Only the history is decoded: other threads wait while a large state is.
        tables = decode(last_line(content, name), type=dict[str, Raw])
        tables[HISTORY] = Raw(encode(history_of(content)))
        replace_file(Path(self.path), encode(tables) + _NEWLINE)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _cut_back(self) -> None:
        """Cut the file to its known lines, and remove it if there are none.

        An empty file must not stay: it would hide one of format 1. If the storage fails here too,
        the error that came first is the one to raise.
        """
        with suppress(OSError):
            os.ftruncate(self._fd, self._size)
            if self._size == 0:
                os.unlink(self.path)  # noqa: PTH108

    def _cut_off(self, size: int) -> int:
        """Cut off what was never answered for; return the size of the rest."""
        if size == 0 or os.pread(self._fd, 1, size - 1) == _NEWLINE:
            return size
        whole = _tail_of(self._fd, size).size
        os.ftruncate(self._fd, whole)
        return whole


def _open_or_make(path: str) -> tuple[int, bool]:
    """Open a file to write; return its descriptor, and whether it is new."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True
