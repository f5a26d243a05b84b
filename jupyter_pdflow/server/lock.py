"""One server per data directory: a lock, and a note that says who holds it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from jupyter_pdflow.exceptions import DataDirLockedError
from jupyter_pdflow.stores.tinydb import writer as writer_process
from jupyter_pdflow.stores.tinydb.records import set_aside
from jupyter_pdflow.stores.tinydb.storage import read_file

WRITER_SECONDS = 1.0
"""How long the writer of a server that has just died may take to end."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The server that holds a data directory; a command has its name as ``url``."""

    pid: int
    host: str
    url: str
    started_at: datetime


class DataLock:
    """The lock of a data directory; the system frees it when its process dies.

    Whoever takes it makes the directory, for this user only, where it is missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = FileLock(data_dir / "lock", thread_local=False, mode=0o600)
        self._writer = FileLock(data_dir / writer_process.LOCK, mode=0o600)
        self._note = data_dir / "lock.json"

    def holder(self) -> str | None:
        """Say who holds the lock; None where nobody does."""
        if not Path(self._lock.lock_file).exists():
            return None
        try:
            with self._lock.acquire(timeout=0):
                return None
        except Timeout:
            return self._who()

    def take(self, url: str) -> None:
        """Take the lock and note who holds it.

        Raises
        ------
        DataDirLockedError
            Another server has it; the message says which one.
        OSError
            The directory can't be written.
        """
        _make_private(self._data_dir)
        self._acquire()
        now = datetime.now(UTC)
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), url=url, started_at=now)
        try:
            if os.path.lexists(self._note) and not self._note.is_file():
                set_aside(self._note)
            self._note.write_bytes(msgspec.json.encode(holder))
        except OSError:
            self._lock.release()
            raise

    def free(self) -> None:
        """Let go of the lock, if it is held."""
        if self._lock.is_locked:
            with suppress(OSError):  # an old note does no harm
                self._note.unlink()
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            msg = (
                f"{self._data_dir} is in use by {self._who()}; "
                "stop that one, or set PDFlow.data_dir."
            )
            raise DataDirLockedError(msg) from error
        try:
            self._wait_for_writer()
        except Timeout as error:
            self._lock.release()
            msg = f"A server that has died is still writing to {self._data_dir}; try again soon."
            raise DataDirLockedError(msg) from error

    def _wait_for_writer(self) -> None:
        if Path(self._writer.lock_file).exists():
            with self._writer.acquire(timeout=WRITER_SECONDS):
                pass

    def _who(self) -> str:
        try:
            holder = msgspec.json.decode(read_file(str(self._note)), type=Holder)
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
            return "another server"
        since = f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC"
        who = f"the server at {holder.url}" if "://" in holder.url else f"`{holder.url}`"
        return f"{who} (process {holder.pid} on {holder.host}, {since})"


def _make_private(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
