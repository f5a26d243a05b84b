"""One TinyDB file per record, and the records that were used last."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from heapq import nlargest
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import MsgspecError, Raw, Struct, convert
from msgspec.json import Decoder, encode

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.stores.tinydb.storage import (
    TEMPORARY,
    beginning,
    dump_record,
    parse_record,
    read_file,
    sorted_in_turns,
)
from jupyter_pdflow.stores.tinydb.validation import is_id
from jupyter_pdflow.stores.tinydb.writer import Order, Stamp, Write, stamp_of, write_in_thread

logger = logging.getLogger(__name__)

BYTES = 4 * 2**20
"""Maximum size of the files of all records kept; as objects they take about six times as much."""


class Recent:
    """Records by their files, used as long as these are the same: changes come in bursts.

    The newest one is kept whatever its size, so that a large run is not read at each change.

    Parameters
    ----------
    limit : int
        Maximum size in bytes of the files of the records kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[Stamp, Any]] = OrderedDict()

    def get(self, path: str, stamp: Stamp) -> Any:
        """Return the record of a file in that state, or None."""
        kept = self._kept.get(path)
        if kept is None or kept[0] != stamp:
            return None
        self._kept.move_to_end(path)
        return kept[1]

    def keep(self, path: str, stamp: Stamp, record: Any) -> None:
        """Keep the record of a file in that state, and drop the oldest ones beyond the limit."""
        self._drop(path)
        self._kept[path] = stamp, record
        self._size += _bytes(stamp)
        while self._size > self._limit and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, path: str) -> None:
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._size -= _bytes(kept[0])


def _bytes(stamp: Stamp) -> int:
    return stamp[2]


RECENT = Recent(BYTES)
"""Shared by all directories of records of this process."""


R = TypeVar("R", bound=Struct)

SUFFIX = ".json"
UNREADABLE = ".unreadable"
LONGEST_NAME = 230
"""Bytes of a name that can still be made longer."""

SHOWN = 100
"""Characters of a wrong id that a message repeats."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that are no fault of the file that was to be read."""


class RecordType(NamedTuple, Generic[R]):
    """What the records of one kind are, wherever they lie.

    Attributes
    ----------
    kind : type
        Their msgspec struct; it has an ``id``.
    table : str
        What a record is called in its file.
    flaw : callable
        Says what is wrong with a record; None if nothing is.
    """

    kind: type[R]
    table: str
    flaw: Callable[[R], str | None]

    def parse(self, content: bytes, name: str) -> R:
        """Read a record from the content of a file of that name.

        Raises
        ------
        StoredFileError
            It is none of this kind, not the one that the name tells, or it has a flaw.
        """
        fields = parse_record(content, self.table, name)
        try:
            record = convert(fields, self.kind)
        except (MsgspecError, ValueError, RecursionError) as error:
            msg = f"{name} can't be read: {error}"
            raise StoredFileError(msg) from error
        return self.checked(record, name)

    def checked(self, record: R, name: str) -> R:
        """Return a record that the file of that name holds; `StoredFileError` as for `parse`."""
        if getattr(record, "id", None) != name.removesuffix(SUFFIX):
            msg = f"{name} is a copy of another record."
            raise StoredFileError(msg)
        flaw = self.flaw(record)
        if flaw is not None:
            msg = f"{name} can't be used: {flaw}."
            raise StoredFileError(msg)
        return record

    def dump(self, record: R) -> bytes:
        """Write a record as its file holds it."""
        return dump_record(encode(record), self.table)


def file_name(record_id: str) -> str:
    """Tell the name of a record's file; every path that is made from an id has it from here.

    Raises
    ------
    StoredFileError
        It is not an id, and might name a file anywhere.
    """
    if not is_id(record_id):
        msg = f"{record_id[:SHOWN]!a} is not the id of a record."
        raise StoredFileError(msg)
    return f"{record_id}{SUFFIX}"


def set_aside(path: Path) -> Path:
    """Give a file that can't be used a name under which it is left alone; return that.

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


class Records(Generic[R]):
    """Records of one type, each in a file that is named by the record's id.

    Parameters
    ----------
    directory : Path
        Where the files are; made, for its owner only, where it is missing.
    kind : RecordType
        What they are.
    write : Write
        Carries out writes; by default, threads do.
    """

    def __init__(
        self,
        directory: Path,
        kind: RecordType[R],
        write: Write = write_in_thread,
    ) -> None:
        self.directory = directory
        self._kind = kind
        self._write = write
        self._start = beginning(kind.table)
        self._decoder = Decoder(dict[str, dict[str, kind.kind]])  # type: ignore[name-defined]
        self._replaced: dict[str, R] = {}
        self._made_at = time.time()
        if os.path.lexists(directory) and not directory.is_dir():
            self._quarantine(directory, f"{directory} is not a folder.")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, record_id: str) -> Path:
        """Tell which file holds the record of that id; `StoredFileError` where it is none."""
        return self.directory / file_name(record_id)

    def has(self, record_id: str) -> bool:
        """Whether there is a file for that id, readable or not."""
        return is_id(record_id) and self.path(record_id).exists()

    def ids(self) -> list[str]:
        """List the ids that have a file, in order."""
        found = (name.removesuffix(SUFFIX) for name in self._names(SUFFIX))
        return sorted_in_turns(filter(is_id, found))

    def start(self) -> list[str]:
        """Remove what a crash left half-written, set aside what has no right name; then as `ids`.

        What is written by now is left alone.
        """
        for name in self._names(TEMPORARY):
            path = self.directory / name
            with suppress(OSError):  # a folder, for instance
                if path.lstat().st_mtime < self._made_at:
                    path.unlink()
        found = [name.removesuffix(SUFFIX) for name in self._names(SUFFIX)]
        right = sorted_in_turns(filter(is_id, found))
        for wrong in set(found).difference(right) if len(right) < len(found) else ():
            path = self.directory / f"{wrong}{SUFFIX}"
            self._quarantine(path, f"{path.name!a} is no name of a record.")
        return right

    def _names(self, suffix: str) -> list[str]:
        with os.scandir(self.directory) as entries:
            return [entry.name for entry in entries if entry.name.endswith(suffix)]

    def newest(self, limit: int) -> list[tuple[float, str]]:
        """List the records that were written last, newest first: when, and the id."""
        return nlargest(limit, self._written())

    def written_before(self, moment: float) -> list[str]:
        """List the ids whose files were last written before a time in seconds, in order."""
        return sorted_in_turns(name for written, name in self._written() if written < moment)

    def _written(self) -> Iterator[tuple[float, str]]:
        with os.scandir(self.directory) as entries:
            for entry in entries:
                record_id = entry.name.removesuffix(SUFFIX)
                if entry.name.endswith(SUFFIX) and is_id(record_id):
                    with suppress(FileNotFoundError):  # moved on just now
                        yield entry.stat().st_mtime, record_id

    def get(self, record_id: str) -> R:
        """Read one record; one that is being written is as it was before.

        Raises
        ------
        StoredFileError
            Its file is missing or can't be read.
        OSError
            The system has no room to read any file.
        """
        if record_id in self._replaced:
            return self._replaced[record_id]
        path = self.path(record_id)
        try:
            stamp = stamp_of(path)
        except OSError as error:
            raise _unreadable(path.name, error) from error
        known: R | None = RECENT.get(str(path), stamp)
        if known is not None:
            return known
        record = self._load(path.name)
        RECENT.keep(str(path), stamp, record)
        return record

    def read(self, record_id: str) -> R:
        """Read one record from its file, whatever is at hand; any thread may do so.

        Raises
        ------
        StoredFileError, OSError
            As `get`.
        """
        return self._load(file_name(record_id))

    async def put(self, record_id: str, record: R, leaving: Path | None = None) -> None:
        """Write one record, of which no other write is under way; durable when this returns.

        Parameters
        ----------
        record_id : str
        record : Struct
        leaving : Path, optional
            A file that is removed when the record is written.
        """
        path, gone = self.path(record_id), None if leaving is None else str(leaving)
        with self.as_before(record_id):
            stamp = await self._write(Order(str(path), self._kind.table, Raw(encode(record)), gone))
        RECENT.keep(str(path), stamp, record)

    def before(self, record_id: str) -> R | None:
        """Return a record as it was before the write that is under way, if there is one."""
        return self._replaced.get(record_id)

    @contextmanager
    def as_before(self, record_id: str) -> Iterator[None]:
        """Meanwhile, `get` gives a record as it now is, if there is one."""
        with suppress(StoredFileError):
            self._replaced[record_id] = self.get(record_id)
        try:
            yield
        finally:
            self._replaced.pop(record_id, None)

    def all(self, ids: Iterable[str] | None = None) -> Iterator[R]:
        """Read every record when a server starts; a file that can't be read is set aside.

        Parameters
        ----------
        ids : iterable of str, optional
            What `start` gave, where that has been asked already.
        """
        for record_id in self.start() if ids is None else ids:
            try:
                yield self._load(f"{record_id}{SUFFIX}")
            except NewerFormatError as error:
                logger.error("%s It is left alone.", error)
            except StoredFileError as error:
                self._quarantine(self.path(record_id), error)

    def _load(self, name: str) -> R:
        """Read a file in the leanest way: a TinyDB for each would take five times as long."""
        try:
            content = read_file(f"{self.directory}{os.sep}{name}")
        except OSError as error:
            raise _unreadable(name, error) from error
        record = self._decode(content) if content.startswith(self._start) else None
        if record is None:
            return self._kind.parse(content, name)
        return self._kind.checked(record, name)

    def _decode(self, content: bytes) -> R | None:
        with suppress(MsgspecError, RecursionError, LookupError, ValueError):
            record: R = self._decoder.decode(content)[self._kind.table]["1"]
            return record
        return None

    def set_aside(self, record_id: str, why: object) -> None:
        """Take a file that can't be used out of the way, and say so."""
        self._quarantine(self.path(record_id), why)

    def _quarantine(self, path: Path, why: object) -> None:
        try:
            aside = ascii(str(set_aside(path)))[1:-1]
        except OSError as error:
            logger.error("%s It can't be set aside: %s.", why, error)
        else:
            logger.error("%s It is set aside as %s.", why, aside)


def _unreadable(name: str, error: OSError) -> Exception:
    """Say which file can't be read, unless the system has no room to read any."""
    exhausted = error.errno in EXHAUSTED
    return error if exhausted else StoredFileError(f"{name} can't be read: {error}")
