"""The index's file: opened if its content can be trusted, made anew if not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import psutil

from jupyter_pdflow.stores.files import quarantine, replace_file, sync_directory

_JOURNALS = ("-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite may have left beside its own."""

_PRAGMAS = (
    "locking_mode = EXCLUSIVE",  # no locks to take at each transaction
    "journal_mode = TRUNCATE",  # WAL was as fast, and leaves more files
    "synchronous = OFF",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
)


DAMAGE_CODES = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_SCHEMA,
)
"""SQLite's codes of errors that mean that the content of a file is of no use."""


class DamagedIndexError(sqlite3.DatabaseError):
    """The file was removed, or its rows can't be decoded."""


def means_damage(error: BaseException) -> bool:
    """Return whether an error means that the file is of no use, and has to be made anew.

    A full disk, an error of reading, or a statement that SQLite refuses says nothing about it.
    """
    if isinstance(error, DamagedIndexError):
        return True
    return _code_of(error) in DAMAGE_CODES or str(error).startswith("Could not decode to UTF-8")


def _code_of(error: BaseException) -> int:
    """Return SQLite's plain code of an error, or 0 if the error does not come from SQLite."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF  # an extended code has the plain one in its lowest byte


class IndexFile:
    """A database in a file that may be deleted at any time. Used by one thread.

    Parameters
    ----------
    path : Path
        The file; its directory exists.
    schema : str
        The statements that make the tables of a new file.
    version : int
        The version of the content, from 1 to 2³¹ - 1; a file of another version is replaced.
    """

    def __init__(self, path: Path, schema: str, version: int) -> None:
        self._path = path
        self._schema = schema
        self._version = version
        self._marker = path.with_name(path.name + ".closed")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def open(self, state: str) -> bool:
        """Open the file if its content can be trusted, else a new one without rows.

        Parameters
        ----------
        state : str
            What the content is made from, see `close`.

        Returns
        -------
        bool
            Whether the file was closed with that state, so that its content is up to date.

        Raises
        ------
        sqlite3.Error, OSError
            The file can't be opened for a reason that is not its content, or no new one be made.
        """
        if self._connection is not None:
            return False
        try:
            is_trusted = self._is_trusted()
            is_current = is_trusted and self._closed_with() == state
            if not is_trusted:
                self.discard()
                self._make()
            self._note_opening()
        except BaseException:
            self.disconnect()  # or it would be used as it is
            raise
        return is_current

    def close(self, state: str) -> None:
        """Close the file, and note that it may be trusted after a restart of the machine.

        Parameters
        ----------
        state : str
            The state of what the content was made from, and agrees with.
        """
        if self._connection is None:
            return
        self.disconnect()
        with suppress(OSError):  # without the note it is made anew after a restart
            _sync_file(self._path)
            replace_file(self._marker, _state_of(self._path) + f"\n{state}".encode())

    def discard(self) -> None:
        """Close the file and remove it, with what SQLite has left beside it."""
        self.disconnect()
        journals = [self._path.with_name(self._path.name + suffix) for suffix in _JOURNALS]
        for path in (self._path, self._marker, *journals):
            _remove(path)

    def disconnect(self) -> None:
        """Close the file as it is; a transaction that has not ended is rolled back."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def check(self) -> None:
        """Raise `DamagedIndexError` if the open file is not in its place any more."""
        try:
            same = self._connection is not None and self._path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            msg = f"{self._path.name} was removed"
            raise DamagedIndexError(msg)

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._connection is not None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; raises `sqlite3.Error` if the file is not open."""
        if self._connection is None:
            msg = f"{self._path.name} is not open"
            raise sqlite3.ProgrammingError(msg)
        return self._connection

    def _is_trusted(self) -> bool:
        """Open the file, if there is one, and return whether its content can be trusted."""
        try:
            return os.access(self._path, os.R_OK | os.W_OK) and self._open_trusted()
        except sqlite3.Error as error:
            # A table may be missing. The statement is right, so the file is wrong.
            if means_damage(error) or _code_of(error) == sqlite3.SQLITE_ERROR:
                return False
            raise

    def _make(self) -> None:
        self._connect()
        self.connection.executescript(f"{self._schema} PRAGMA user_version = {self._version};")

    def _open_trusted(self) -> bool:
        """Open an existing file; return whether it may be used.

        Nothing is ever synced while the file is open, so a power cut can leave any mixture of old
        and new pages in it, which SQLite can't detect. After a kill the pages are still with the
        operating system. So the content is good if this boot of the machine has opened this very
        file before, or if it was synced at a close and not opened since then. A copy that was made
        while the server ran is another file.
        """
        if not self._path.is_file():
            return False
        was_closed = self._note_of_close()[0] == _state_of(self._path).decode()
        self._connect()
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version != self._version:
            return False
        opened = self.connection.execute("SELECT value FROM meta WHERE key = 'opened'").fetchone()
        return was_closed or opened == (self._opening(),)

    def _note_of_close(self) -> list[str]:
        """Return the states of the file and of what it was made from at its last close."""
        if not self._marker.is_file():
            return ["", ""]
        return [*self._marker.read_bytes().decode(errors="replace").split("\n"), ""][:2]

    def _closed_with(self) -> str:
        return self._note_of_close()[1]

    def _note_opening(self) -> None:
        _remove(self._marker)
        sync_directory(self._path.parent)  # before the first write
        self.connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('opened', ?)", (self._opening(),)
        )

    def _opening(self) -> str:
        return f"{_boot()} {self._inode}"

    def _connect(self) -> None:
        self._connection = sqlite3.connect(
            self._path, timeout=1, isolation_level=None, check_same_thread=False
        )
        self._path.chmod(0o600)
        self._inode = self._path.stat().st_ino
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        quarantine(path)
    else:
        path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _state_of(path: Path) -> bytes:
    status = path.stat()
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}".encode()


def _boot() -> str:
    """Return a text that tells this boot of the machine from every other one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # no Linux
        return str(psutil.boot_time())  # type: ignore[no-untyped-call]
