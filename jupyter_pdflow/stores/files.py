"""Writing, replacing and setting aside files, so that a crash leaves nothing half done."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp"
"""Suffix of files that are being written."""

UNREADABLE = ".unreadable"
"""Suffix of files and folders that can't be used."""

LONGEST_NAME = 230
"""Maximum number of bytes of a name to which a suffix can be added."""


def remove_temporary(folder: Path, before: float) -> None:
    """Remove what writes that a crash has cut short have left in a folder.

    Parameters
    ----------
    folder : Path
    before : float
        A time in seconds since 1970; a file that was written later belongs to a write under way.
    """
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(TEMPORARY):
                with suppress(OSError):  # a folder, for instance
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.path)  # noqa: PTH108


def read_file(path: str) -> bytes:
    """Return the content of a regular file; `OSError` if the path is not that of one."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not block
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path} is not a file"
            raise OSError(msg)
        content = os.read(fd, status.st_size)
        while len(content) < status.st_size and (more := os.read(fd, status.st_size)):
            content += more
        return content
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically, readable by its owner only, and sync it to disk.

    Paths are texts here, because pathlib would add a fifth to the time of a write.
    """
    name = os.fspath(path)
    temporary = name + TEMPORARY
    try:
        write_synced(temporary, content)
        os.replace(temporary, name)  # noqa: PTH105
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(os.path.dirname(name))  # noqa: PTH120


def write_synced(name: str, content: bytes) -> None:
    """Write a whole file, readable by its owner only, and sync it to disk."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.ftruncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)


sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""Makes durable what was written to a file, and its size; macOS and Windows have `fsync` only."""


def sync_directory(path: str | Path) -> None:
    """Sync the names in a directory to disk; a no-op on Windows, which can't do that."""
    if os.name != "posix":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def move_file(path: Path, directory: Path) -> None:
    """Move a file to another directory of the same disk, and sync both directories."""
    path.replace(directory / path.name)
    sync_directory(directory)
    sync_directory(path.parent)


def quarantine(path: Path) -> Path:
    """Rename a file or folder that can't be used to ``….unreadable``; return the new path.

    Raises
    ------
    OSError
        It could not be renamed.
    """
    name = os.fsdecode(os.fsencode(path.name)[:LONGEST_NAME])
    aside, number = path.with_name(name + UNREADABLE), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{name}{UNREADABLE}-{number}")
    path.rename(aside)
    return aside
