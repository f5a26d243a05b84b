"""A data directory: what lies where, what belongs to which run, and its lock.

The store writes by this table; the commands of ``jupyter_pdflow.maintenance`` read by it.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct
from msgspec.json import encode

from jupyter_pdflow.exceptions import DataDirLockedError, HalfWrittenError, StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import run_of
from jupyter_pdflow.stores.files import quarantine, read_file, remove_temporary, replace_file
from jupyter_pdflow.stores.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.record_types import (
    EMAIL,
    KEY,
    RUN,
    RUN_OUTPUTS,
    SCHEDULE,
    SUFFIX,
    WORKFLOW,
    RecordType,
    file_name,
    history_in,
    line_of,
)
from jupyter_pdflow.stores.tinydb.storage import write_record
from jupyter_pdflow.stores.validation import is_id

R = TypeVar("R", bound=Struct)


# --- the folders ----------------------------------------------------------------------


class RecordFolder(NamedTuple, Generic[R]):
    """A folder of a data directory, and the type of its records."""

    name: str
    type: RecordType[R]

    def file(self, record_id: str) -> str:
        """Return the name of a record's file, below the data directory.

        Raises
        ------
        StoredFileError
            The id is not one.
        """
        return self.files(record_id)[0]

    def files(self, record_id: str) -> list[str]:
        """Return the names that a record's file may have, that of a new file first."""
        return [f"{self.name}/{file_name(record_id, suffix)}" for suffix in self.type.suffixes]

    def parse(self, content: bytes, name: str) -> R:
        """Return the record in the content of a file; `StoredFileError` if it has a flaw."""
        return self.type.parse(content, PurePosixPath(name).name)

    def dump(self, record: R, history: dict[int, HistoryEntry]) -> bytes:
        """Return the content of a new file, which is appended, with a record and its history."""
        return line_of(self.type, record, history) + b"\n"


ACTIVE = RecordFolder("active", RUN)
FINISHED = RecordFolder("finished", RUN)
OUTPUTS = RecordFolder("outputs", RUN_OUTPUTS)
WORKFLOWS = RecordFolder("workflows", WORKFLOW)
QUEUED_EMAILS = RecordFolder("mail/queued", EMAIL)
DONE_EMAILS = RecordFolder("mail/done", EMAIL)
KEYS = RecordFolder("keys", KEY)
SCHEDULES = RecordFolder("schedules", SCHEDULE)

RUN_FOLDERS = (ACTIVE, FINISHED)
EMAIL_FOLDERS = (QUEUED_EMAILS, DONE_EMAILS)
FOLDERS: tuple[RecordFolder[Any], ...] = (*RUN_FOLDERS, OUTPUTS, WORKFLOWS, *EMAIL_FOLDERS)
"""What moves with runs to another data directory."""

ALL_FOLDERS = (*FOLDERS, KEYS, SCHEDULES)

MESSAGES = "mail"
"""The folder of the emails that were kept as files."""

MESSAGE = ".eml"

EXPORTED = "exported"
"""What an export moved out: a folder of the data directory, and one of the folder of files."""


def tidy_up(data_dir: Path, before: float) -> None:
    """Remove what writes that a crash has cut short have left; for a thread.

    Parameters
    ----------
    data_dir : Path
        The data directory.
    before : float
        A time in seconds since 1970; a file that was written later belongs to a write under way.
    """
    for name in (*(folder.name for folder in ALL_FOLDERS), MESSAGES):
        with suppress(OSError):
            remove_temporary(data_dir / name, before)


def folder_of(name: str) -> RecordFolder[Any] | None:
    """Return the folder that a file's name, below the data directory, is in; None if in none."""
    parent = str(PurePosixPath(name).parent)
    return next((folder for folder in FOLDERS if folder.name == parent), None)


def owner_of(name: str) -> str | None:
    """Return the id of the run whose outputs or email the file of that name holds, or None."""
    path = PurePosixPath(name)
    parent, kind = str(path.parent), path.suffix
    if parent == OUTPUTS.name and kind == SUFFIX:
        return path.stem
    emails = (*((folder.name, SUFFIX) for folder in EMAIL_FOLDERS), (MESSAGES, MESSAGE))
    return run_of(path.stem) if (parent, kind) in emails else None


class DataDir:
    """The records of a data directory, read without a server; reading changes nothing.

    Parameters
    ----------
    path : Path
        The directory.
    files_dir : Path, optional
        ``PDFlow.files_dir``; by default in the directory.
    """

    def __init__(self, path: Path, files_dir: Path | None = None) -> None:
        self.path = path
        self.folders = RunFolders(files_dir or path / FILES)

    def names(self, folder: str) -> list[str]:
        """List the names, below the data directory, of what is in a folder, in order."""
        above = "" if folder == "." else f"{folder}/"
        return sorted(f"{above}{path.name}" for path in self.at(folder).glob("*"))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self.path / name).exists()

    def content(self, name: str) -> bytes:
        """Read a file; `OSError` if that is not possible."""
        return read_file(str(self.path / name))

    def runs_with_files(self) -> set[str]:
        """Return the ids of the runs whose steps have saved files."""
        found = {path.name for path in self.folders.path.glob("*") if path.is_dir()}
        return set(filter(is_id, found)) - {EXPORTED}

    def ids(self, folder: RecordFolder[R]) -> list[str]:
        """List the ids of the records in a folder, in order."""
        names = (PurePosixPath(name) for name in self.names(folder.name))
        suffixes = folder.type.suffixes
        return sorted({name.stem for name in names if name.suffix in suffixes and is_id(name.stem)})

    def has(self, folder: RecordFolder[R], record_id: str) -> bool:
        """Whether there is a file for that record."""
        return any(map(self.exists, folder.files(record_id)))

    def name(self, folder: RecordFolder[R], record_id: str) -> str:
        """Return the name of the file of that record, or that of a new one if there is none.

        Of two files it is the newer one, unless a crash cut off its first line.
        """
        found = list(filter(self.exists, folder.files(record_id)))
        if len(found) > 1:
            try:
                folder.parse(self.content(found[0]), found[0])
            except HalfWrittenError:
                return found[1]
            except (StoredFileError, OSError):
                pass  # the caller finds that out
        return found[0] if found else folder.file(record_id)

    def run_ids(self) -> list[str]:
        """List the ids of all runs, in order."""
        return sorted({run_id for folder in RUN_FOLDERS for run_id in self.ids(folder)})

    def has_run(self, run_id: str) -> bool:
        """Whether there is a run with that id, readable or not."""
        return any(self.has(folder, run_id) for folder in RUN_FOLDERS)

    def read_run(self, run_id: str) -> Run:
        """Return a run, active or finished; errors as of `read`."""
        return self.read(self._folder_of_run(run_id), run_id)

    def name_of_run(self, run_id: str) -> str:
        """Return the name of the file of a run, active or finished."""
        return self.name(self._folder_of_run(run_id), run_id)

    def history_of_run(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the history entries of a run that can be read, by number."""
        name = self.name_of_run(run_id)
        return {} if name.endswith(SUFFIX) else history_in(self.content(name))

    def _folder_of_run(self, run_id: str) -> RecordFolder[Run]:
        return ACTIVE if self.has(ACTIVE, run_id) else FINISHED

    def read(self, folder: RecordFolder[R], record_id: str) -> R:
        """Return a record; `StoredFileError` if it has a flaw, `OSError` if it can't be read."""
        name = self.name(folder, record_id)
        return folder.parse(self.content(name), name)

    def names_by_run(self) -> dict[str, list[str]]:
        """Return the names of the files with outputs and emails, by the run they belong to."""
        found = defaultdict(list)
        for folder in (OUTPUTS.name, *(folder.name for folder in EMAIL_FOLDERS), MESSAGES):
            for name in self.names(folder):
                owner = owner_of(name)
                if owner is not None and is_id(PurePosixPath(name).stem):
                    found[owner].append(name)
        return found

    def file(self, folder: RecordFolder[R], record_id: str) -> Path:
        """Return the path of a record's file, or of a new one if there is none."""
        return self.path / self.name(folder, record_id)

    def at(self, name: str, *, exported: bool = False) -> Path:
        """Return the path of a file, or of the folder ``files/<run>`` wherever it is.

        Parameters
        ----------
        name : str
            Its name below the data directory.
        exported : bool
            Whether to return where an export moves it, on the same disk.
        """
        folder, _, run_id = name.partition("/")
        above, below = (self.folders.path, run_id) if folder == FILES else (self.path, name)
        return above / EXPORTED / below if exported else above / below

    def write(
        self,
        folder: RecordFolder[R],
        record_id: str,
        record: R,
        history: dict[int, HistoryEntry] | None = None,
    ) -> None:
        """Write a new file with a record, and its history; durable when this returns."""
        path = self.path / folder.file(record_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.type.appended:
            replace_file(path, folder.dump(record, history or {}))
        else:
            write_record(path, encode(record), folder.type.table)


# --- the lock -------------------------------------------------------------------------


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds a data directory; the ``url`` of a command is its name."""

    pid: int
    host: str
    url: str
    started_at: datetime


class DataLock:
    """The lock of a data directory; the operating system releases it when the process ends.

    Parameters
    ----------
    data_dir : Path
        The data directory. `acquire` makes it, for this user only, if it does not exist.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = FileLock(data_dir / "lock", thread_local=False, mode=0o600)
        self._holder_file = data_dir / "lock.json"

    def holder(self) -> str | None:
        """Return a description of the process that holds the lock, or None if the lock is free."""
        if not Path(self._lock.lock_file).exists():
            return None
        try:
            with self._lock.acquire(timeout=0):
                return None
        except Timeout:
            return self._describe_holder()

    def acquire(self, url: str) -> None:
        """Acquire the lock, and store who holds it.

        Parameters
        ----------
        url : str
            The address of this server, or the name of this command.

        Raises
        ------
        DataDirLockedError
            Another process holds the lock; the message describes it.
        OSError
            The directory can't be written.
        """
        _make_private_folder(self._data_dir)
        self._acquire_lock()
        now = datetime.now(UTC)
        holder = LockHolder(pid=os.getpid(), host=socket.gethostname(), url=url, started_at=now)
        try:
            if os.path.lexists(self._holder_file) and not self._holder_file.is_file():
                quarantine(self._holder_file)
            self._holder_file.write_bytes(msgspec.json.encode(holder))
        except OSError:
            self._lock.release()
            raise

    @contextmanager
    def held(self, command: str) -> Iterator[None]:
        """Hold the lock for a command that needs no server.

        Raises
        ------
        DataDirLockedError
            A server or another command has it; the message says which one.
        """
        holder = self.holder()  # asked first, as `acquire` changes the directory's mode
        if holder is not None:
            msg = f"{self._data_dir} is in use by {holder}; stop that first, then do this again."
            raise DataDirLockedError(msg)
        self.acquire(command)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Release the lock if this process holds it."""
        if self._lock.is_locked:
            # Before the release: afterwards the file may be the next holder's.
            with suppress(OSError):
                self._holder_file.unlink()
            self._lock.release()

    def _acquire_lock(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            msg = (
                f"{self._data_dir} is in use by {self._describe_holder()}; "
                "stop that one, or set PDFlow.data_dir."
            )
            raise DataDirLockedError(msg) from error

    def _describe_holder(self) -> str:
        try:
            holder = msgspec.json.decode(read_file(str(self._holder_file)), type=LockHolder)
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
            return "another server"
        since = f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC"
        name = f"the server at {holder.url}" if "://" in holder.url else f"`{holder.url}`"
        return f"{name} (process {holder.pid} on {holder.host}, {since})"


def _make_private_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
