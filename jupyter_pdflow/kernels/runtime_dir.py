"""A directory that only this user can read, for connection files and sockets of kernels."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "pdflow-"
LOCK = "owner.lock"


class RuntimeDirectory:
    """A new directory below `parent`, until `remove`; clears those whose owners have died.

    A server that was killed can't remove its own. The system has freed its lock, though.
    """

    def __init__(self, parent: Path) -> None:
        _clear_abandoned(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = FileLock(self.path / LOCK, thread_local=False, mode=0o600)
        self._lock.acquire()

    def remove(self) -> None:
        """Remove the directory and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _clear_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        if _is_mine(path):
            _remove_if_abandoned(path)


def _is_mine(path: Path) -> bool:
    """Whether this user made it: in the system's folder there may be those of others."""
    return os.name != "posix" or path.lstat().st_uid == path.parent.lstat().st_uid == os.getuid()


def _remove_if_abandoned(path: Path) -> None:
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return
    shutil.rmtree(path.parent, ignore_errors=True)
    lock.release()
