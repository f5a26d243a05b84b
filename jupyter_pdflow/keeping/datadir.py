"""A data directory that no server need hold: what lies where in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import orjson
from msgspec import Struct, to_builtins

from jupyter_pdflow.engine.letters import StoredLetter
from jupyter_pdflow.exceptions import DataDirLockedError, NotFoundError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.lock import DataLock
from jupyter_pdflow.store.outputs import RunOutputs
from jupyter_pdflow.store.records import SUFFIX, as_record
from jupyter_pdflow.store.storage import dump_record, parse_record, write_record
from jupyter_pdflow.store.workflows import Versions

R = TypeVar("R", bound=Struct)


class Room(NamedTuple, Generic[R]):
    """A folder of records of one kind; `table` is what a record is called in its file."""

    folder: str
    kind: type[R]
    table: str

    def name(self, record_id: str) -> str:
        """Tell the path of a record below the data directory."""
        return f"{self.folder}/{record_id}{SUFFIX}"

    def fields(self, record: R) -> bytes:
        """Write a record's fields as JSON; by orjson, which refuses what it could not read."""
        return orjson.dumps(to_builtins(record))

    def dump(self, record: R) -> bytes:
        """Write a record as its file holds it."""
        return dump_record(self.fields(record), self.table)

    def parse(self, content: bytes, name: str) -> R:
        """Read a record from the content of a file of that name; `StoredFileError` if it is none."""
        name = Path(name).name
        return as_record(parse_record(content, self.table, name), self.kind, name)


ACTIVE = Room("active", Run, "run")
FINISHED = Room("finished", Run, "run")
OUTPUTS = Room("outputs", RunOutputs, "outputs")
WORKFLOWS = Room("workflows", Versions, "workflow")
QUEUED = Room("mail/queued", StoredLetter, "mail")
DONE = Room("mail/done", StoredLetter, "mail")
RUN_ROOMS = (ACTIVE, FINISHED)
MAIL_ROOMS = (QUEUED, DONE)
ROOMS: tuple[Room[Run] | Room[RunOutputs] | Room[Versions] | Room[StoredLetter], ...] = (
    *RUN_ROOMS,
    OUTPUTS,
    WORKFLOWS,
    *MAIL_ROOMS,
)

MESSAGES = "mail"
"""The folder of the mails that were kept as .eml files."""
KEYS = "link_keys"
EXPORTED = "exported"
"""What an export took out lies here, at the paths that it had in the data directory."""


class DataDir:
    """Files of a data directory; nothing is made or changed by reading them.

    Parameters
    ----------
    path : Path
        The directory.

    Raises
    ------
    NotFoundError
        There is no such directory.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            msg = f"There is no data directory {path}; name one with --data-dir."
            raise NotFoundError(msg)
        self.path = path
        self.lock = DataLock(path)

    def ids(self, room: Room[R]) -> list[str]:
        """List the ids of the records in a room, in order."""
        return sorted(path.stem for path in (self.path / room.folder).glob(f"*{SUFFIX}"))

    def file(self, room: Room[R], record_id: str) -> Path:
        """Tell the file of a record."""
        return self.path / room.name(record_id)

    def has(self, room: Room[R], record_id: str) -> bool:
        """Whether there is a file for that record."""
        return self.file(room, record_id).exists()

    def read(self, room: Room[R], record_id: str) -> R:
        """Read a record; `StoredFileError` where it can't be read."""
        path = self.file(room, record_id)
        return room.parse(path.read_bytes(), path.name)

    def write(self, room: Room[R], record_id: str, record: R) -> None:
        """Write a record; durable when this returns."""
        path = self.file(room, record_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_record(path, room.fields(record), room.table)

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
        self.lock.take(command)
        try:
            yield
        finally:
            self.lock.free()
