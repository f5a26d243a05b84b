"""A data directory that no server need hold: what lies where in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.json import encode

from jupyter_pdflow.exceptions import DataDirLockedError, NotFoundError
from jupyter_pdflow.mail.message import EMAIL, Email
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.services import DataLock
from jupyter_pdflow.stores.tinydb.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.records import SUFFIX, RecordType, file_name
from jupyter_pdflow.stores.tinydb.runs import RUN
from jupyter_pdflow.stores.tinydb.storage import read_file, write_record
from jupyter_pdflow.stores.tinydb.store import RUN_OUTPUTS, WORKFLOW, RunOutputs, Versions
from jupyter_pdflow.stores.tinydb.validation import is_id

R = TypeVar("R", bound=Struct)


class Room(NamedTuple, Generic[R]):
    """A folder of records of one kind."""

    folder: str
    kind: RecordType[R]

    def name(self, record_id: str) -> str:
        """Tell the path of a record below the data directory; `StoredFileError` for a wrong id."""
        return f"{self.folder}/{file_name(record_id)}"

    def parse(self, content: bytes, name: str) -> R:
        """Read a record from the content of a file of that name; `StoredFileError` if it is none."""
        return self.kind.parse(content, Path(name).name)


ACTIVE = Room("active", RUN)
FINISHED = Room("finished", RUN)
OUTPUTS = Room("outputs", RUN_OUTPUTS)
WORKFLOWS = Room("workflows", WORKFLOW)
QUEUED = Room("mail/queued", EMAIL)
DONE = Room("mail/done", EMAIL)
RUN_ROOMS = (ACTIVE, FINISHED)
MAIL_ROOMS = (QUEUED, DONE)
ROOMS: tuple[Room[Run] | Room[RunOutputs] | Room[Versions] | Room[Email], ...] = (
    *RUN_ROOMS,
    OUTPUTS,
    WORKFLOWS,
    *MAIL_ROOMS,
)

MESSAGES = "mail"
"""The folder of the mails that were kept as .eml files."""
KEYS = "link_keys"
EXPORTED = "exported"
"""What an export took out lies in this folder of the data directory, and that of `files_dir`."""


class DataDir:
    """Files of a data directory; nothing is made or changed by reading them.

    Parameters
    ----------
    path : Path
        The directory.
    files_dir : Path, optional
        ``PDFlow.files_dir``; by default in the directory.

    Raises
    ------
    NotFoundError
        There is no such directory.
    """

    def __init__(self, path: Path, files_dir: Path | None = None) -> None:
        if not path.is_dir():
            msg = f"There is no data directory {path}; name one with --data-dir."
            raise NotFoundError(msg)
        self.path = path
        self.folders = RunFolders(files_dir or path / FILES)
        self.lock = DataLock(path)

    def ids(self, room: Room[R]) -> list[str]:
        """List the ids of the records in a room, in order."""
        found = (path.stem for path in (self.path / room.folder).glob(f"*{SUFFIX}"))
        return sorted(filter(is_id, found))

    def file(self, room: Room[R], record_id: str) -> Path:
        """Tell the file of a record."""
        return self.path / room.name(record_id)

    def has(self, room: Room[R], record_id: str) -> bool:
        """Whether there is a file for that record."""
        return self.file(room, record_id).exists()

    def read(self, room: Room[R], record_id: str) -> R:
        """Read a record; `StoredFileError` where it can't be read."""
        path = self.file(room, record_id)
        return room.parse(read_file(str(path)), path.name)

    def write(self, room: Room[R], record_id: str, record: R) -> None:
        """Write a record; durable when this returns."""
        path = self.file(room, record_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_record(path, encode(record), room.kind.table)

    def at(self, name: str) -> Path:
        """Tell where something lies; `files/<run>` is the folder of a run's files."""
        folder, _, run_id = name.partition("/")
        return self.folders.path / run_id if folder == FILES else self.path / name

    def exported(self, name: str) -> Path:
        """Tell where an export keeps what it took out, on the same disk."""
        folder, _, run_id = name.partition("/")
        return (
            self.folders.path / EXPORTED / run_id
            if folder == FILES
            else self.path / EXPORTED / name
        )

    @contextlib.contextmanager
    def held(self, command: str) -> Iterator[None]:
        """Keep servers and other commands away.

        Raises
        ------
        DataDirLockedError
            One is at work here.
        """
        holder = self.lock.holder()
        if holder is not None:
            msg = f"{self.path} is in use by {holder}; stop that first, then do this again."
            raise DataDirLockedError(msg)
        self.lock.acquire(command)
        try:
            yield
        finally:
            self.lock.release()
