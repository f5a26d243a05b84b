"""One server per data directory: a lock, and a note that says who holds it."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from jupyter_pdflow.exceptions import DataDirLockedError


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The server that holds a data directory."""

    pid: int
    host: str
    url: str
    started_at: datetime


class DataLock:
    """The lock of a data directory; the system frees it when its process dies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = FileLock(data_dir / "lock", thread_local=False, mode=0o600)
        self._note = data_dir / "lock.json"

    def take(self, url: str) -> None:
        """Take the lock and note who holds it.

        Raises
        ------
        DataDirLockedError
            Another server has it; the message says which one.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise DataDirLockedError(self._words()) from error
        now = datetime.now(UTC)
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), url=url, started_at=now)
        self._note.write_bytes(msgspec.json.encode(holder))

    def free(self) -> None:
        """Let go of the lock, if it is held."""
        if self._lock.is_locked:
            self._note.unlink(missing_ok=True)
            self._lock.release()

    def _words(self) -> str:
        try:
            holder = msgspec.json.decode(self._note.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            who = "another server"
        else:
            since = f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC"
            who = f"the server at {holder.url} (process {holder.pid} on {holder.host}, {since})"
        return f"{self._data_dir} is in use by {who}; stop that one, or set PDFlow.data_dir."
