"""Files that were replaced, kept to be written again in place of new ones."""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TEMPORARY = ".tmp"
"""How the name of a file ends that nobody reads."""

FOLDER = "spare"

REST_SECONDS = 1.0
"""A file that was replaced is left alone for so long: somebody may have opened it just before."""

MOST = 2048
"""So many are kept."""

LARGEST = 1 << 16
"""Bytes; a larger file is not kept."""

OURS = stat.S_IFREG | 0o600


class Spare(NamedTuple):
    """A file that nobody needs any more, since a time of the monotonic clock."""

    name: str
    since: float


class Spares:
    """Replaced files of a data directory, for a process that writes much.

    On ext4 a new file takes the longer the more files were removed within the last minute
    (``recently_deleted`` in the kernel's fs/ext4/ialloc.c): under load that is half the time of a
    write. A file that is written again is neither new nor removed.

    Parameters
    ----------
    folder : Path
        Where they lie, on the same disk as the files that are replaced; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = os.fspath(folder)
        self._number = 0
        self._resting: deque[Spare] = deque()

    def take(self) -> str:
        """Name a file to write: a spare one, or a new one where none has rested."""
        rested = time.monotonic() - REST_SECONDS
        while self._resting and self._resting[0].since < rested:
            name = self._resting.popleft().name
            if _is_ours(name):
                return name
            Path(name).unlink(missing_ok=True)
        return self._new_name()

    def hold(self, name: str) -> str | None:
        """Give a file that is about to be replaced a second name, under which it stays."""
        if not self._has_use_for(name):
            return None
        spare = self._new_name()
        try:
            os.link(name, spare)
        except OSError:
            return None
        return spare

    def add(self, spare: str) -> None:
        """Keep what `hold` has named; its old name is gone for good."""
        self._resting.append(Spare(spare, time.monotonic()))

    def move(self, name: str) -> bool:
        """Take a file that is not needed any more, if there is use for it."""
        if not self._has_use_for(name):
            return False
        spare = self._new_name()
        try:
            os.replace(name, spare)  # noqa: PTH105
        except OSError:
            return False
        self.add(spare)
        return True

    def _has_use_for(self, name: str) -> bool:
        if len(self._resting) >= MOST:
            return False
        try:
            return os.lstat(name).st_size <= LARGEST
        except OSError:
            return False

    def _new_name(self) -> str:
        self._number += 1
        return f"{self._folder}{os.sep}{self._number}{TEMPORARY}"


def clear(folder: Path) -> None:
    """Remove the spares that lie in a folder, and the folder."""
    for path in folder.glob(f"*{TEMPORARY}"):
        with suppress(OSError):  # it is a folder, for instance
            path.unlink()
    with suppress(OSError):  # there is none, or something else is in it
        folder.rmdir()


def _is_ours(name: str) -> bool:
    """Tell whether a file has no other name, a backup's for instance, and no other owner or mode."""
    try:
        found = os.lstat(name)
    except OSError:
        return False
    return (found.st_mode, found.st_nlink, found.st_uid) == (OURS, 1, os.geteuid())
