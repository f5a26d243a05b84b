"""Records in files: one TinyDB file per record, and a cache of records that were used last."""

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

CACHE_BYTES = 4 * 2**20
"""Maximum size of the files of cached records; as objects they take about six times as much."""


class RecordCache:
    """The records that were used last, by file, valid as long as the file has the same stamp.

    The newest record is cached whatever its size, so that a large run is not read at each change.

    Parameters
    ----------
    limit : int
        Maximum size in bytes of the files of the cached records.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._cached: OrderedDict[str, tuple[Stamp, Any]] = OrderedDict()

    def get(self, path: str, stamp: Stamp) -> Any:
        """Return the record of a file with that stamp, or None."""
        cached = self._cached.get(path)
        if cached is None or cached[0] != stamp:
            return None
        self._cached.move_to_end(path)
        return cached[1]

    def put(self, path: str, stamp: Stamp, record: Any) -> None:
        """Cache the record of a file with that stamp, and drop the oldest ones beyond the limit."""
        self._drop(path)
        self._cached[path] = stamp, record
        self._size += _size_of(stamp)
        while self._size > self._limit and len(self._cached) > 1:
            self._drop(next(iter(self._cached)))

    def _drop(self, path: str) -> None:
        cached = self._cached.pop(path, None)
        if cached is not None:
            self._size -= _size_of(cached[0])


def _size_of(stamp: Stamp) -> int:
    return stamp[2]


CACHE = RecordCache(CACHE_BYTES)
"""The cache of this process, shared by all `Records`."""


R = TypeVar("R", bound=Struct)

SUFFIX = ".json"
UNREADABLE = ".unreadable"
LONGEST_NAME = 230
"""Maximum number of bytes of a name to which a suffix can be added."""

QUOTED = 100
"""Maximum number of characters of an invalid id that a message quotes."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of reading a file that say nothing about the file."""


class RecordType(NamedTuple, Generic[R]):
    """A type of records: how to read, check and write them.

    Attributes
    ----------
    kind : type
        The msgspec struct; it has an ``id``.
    table : str
        The name of the table in a record's file.
    flaw : callable
        Returns what is wrong with a record, or None.
    """

    kind: type[R]
    table: str
    flaw: Callable[[R], str | None]

    def parse(self, content: bytes, name: str) -> R:
        """Return the record in the content of a file of that name.

        Raises
        ------
        StoredFileError
            The content is not a record of this type, has another id than the name, or a flaw.
        """
        fields = parse_record(content, self.table, name)
        try:
            record = convert(fields, self.kind)
        except (MsgspecError, ValueError, RecursionError) as error:
            msg = f"{name} can't be read: {error}"
            raise StoredFileError(msg) from error
        return self.checked(record, name)

    def checked(self, record: R, name: str) -> R:
        """Return a record of the file of that name if it is valid; `StoredFileError` if not."""
        if getattr(record, "id", None) != name.removesuffix(SUFFIX):
            msg = f"{name} is a copy of another record."
            raise StoredFileError(msg)
        flaw = self.flaw(record)
        if flaw is not None:
            msg = f"{name} can't be used: {flaw}."
            raise StoredFileError(msg)
        return record

    def dump(self, record: R) -> bytes:
        """Return the content of a record's file."""
        return dump_record(encode(record), self.table)


def file_name(record_id: str) -> str:
    """Return the name of a record's file.

    Every path that is made from an id uses this, so that no id leads to another folder.

    Raises
    ------
    StoredFileError
        The id is not valid.
    """
    if not is_id(record_id):
        msg = f"{record_id[:QUOTED]!a} is not the id of a record."
        raise StoredFileError(msg)
    return f"{record_id}{SUFFIX}"


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


class Records(Generic[R]):
    """Records of one type, each in a file that is named by the record's id.

    Parameters
    ----------
    directory : Path
        The folder of the files; made, for its owner only, if it is missing.
    kind : RecordType
        The type of the records.
    write : Write
        Makes writes; by default, in threads.
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
        self._prefix = beginning(kind.table)
        self._decoder = Decoder(dict[str, dict[str, kind.kind]])  # type: ignore[name-defined]
        self._previous: dict[str, R] = {}
        self._made_at = time.time()
        if os.path.lexists(directory) and not directory.is_dir():
            self._quarantine(directory, f"{directory} is not a folder.")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, record_id: str) -> Path:
        """Return the path of a record's file; `StoredFileError` if the id is not valid."""
        return self.directory / file_name(record_id)

    def has(self, record_id: str) -> bool:
        """Return whether an id has a file, readable or not."""
        return is_id(record_id) and self.path(record_id).exists()

    def ids(self) -> list[str]:
        """Return the ids that have a file, sorted."""
        found = (name.removesuffix(SUFFIX) for name in self._names(SUFFIX))
        return sorted_in_turns(filter(is_id, found))

    def recover(self) -> list[str]:
        """Remove temporary files, quarantine files with invalid names, and return the `ids`.

        May be called while records are written.
        """
        for name in self._names(TEMPORARY):
            path = self.directory / name
            with suppress(OSError):  # a folder, for instance
                # A newer one belongs to a write that is under way, not to a crash.
                if path.lstat().st_mtime < self._made_at:
                    path.unlink()
        found = [name.removesuffix(SUFFIX) for name in self._names(SUFFIX)]
        valid = sorted_in_turns(filter(is_id, found))
        for invalid in set(found).difference(valid) if len(valid) < len(found) else ():
            path = self.directory / f"{invalid}{SUFFIX}"
            self._quarantine(path, f"{path.name!a} is not a name of a record.")
        return valid

    def _names(self, suffix: str) -> list[str]:
        with os.scandir(self.directory) as entries:
            return [entry.name for entry in entries if entry.name.endswith(suffix)]

    def newest(self, limit: int) -> list[tuple[float, str]]:
        """Return the time and the id of the records that were written last, newest first."""
        return nlargest(limit, self._written())

    def written_before(self, moment: float) -> list[str]:
        """Return the ids whose files were last written before a time in seconds, sorted."""
        return sorted_in_turns(name for written, name in self._written() if written < moment)

    def _written(self) -> Iterator[tuple[float, str]]:
        with os.scandir(self.directory) as entries:
            for entry in entries:
                record_id = entry.name.removesuffix(SUFFIX)
                if entry.name.endswith(SUFFIX) and is_id(record_id):
                    with suppress(FileNotFoundError):  # moved or removed meanwhile
                        yield entry.stat().st_mtime, record_id

    def get(self, record_id: str) -> R:
        """Return one record; one that is being written is as it was before the write.

        Raises
        ------
        StoredFileError
            The file is missing or can't be read.
        OSError
            The system lacks the resources to read any file.
        """
        if record_id in self._previous:
            return self._previous[record_id]
        path = self.path(record_id)
        try:
            stamp = stamp_of(path)
        except OSError as error:
            raise _unreadable(path.name, error) from error
        cached: R | None = CACHE.get(str(path), stamp)
        if cached is not None:
            return cached
        record = self._load(path.name)
        CACHE.put(str(path), stamp, record)
        return record

    def read(self, record_id: str) -> R:
        """Return one record from its file, not from the cache; any thread may call this.

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
            The id.
        record : Struct
            The record.
        leaving : Path, optional
            A file that is removed when the record is written.
        """
        path, old = self.path(record_id), None if leaving is None else str(leaving)
        with self.hold_previous(record_id):
            stamp = await self._write(Order(str(path), self._kind.table, Raw(encode(record)), old))
        CACHE.put(str(path), stamp, record)

    def previous(self, record_id: str) -> R | None:
        """Return a record as it was before a write that is under way, or None if there is none."""
        return self._previous.get(record_id)

    @contextmanager
    def hold_previous(self, record_id: str) -> Iterator[None]:
        """Let `get` return a record as it is now, until the block ends.

        A renamed file is visible before it is durable, and must not be read then.
        """
        with suppress(StoredFileError):
            self._previous[record_id] = self.get(record_id)
        try:
            yield
        finally:
            self._previous.pop(record_id, None)

    def all(self, ids: Iterable[str] | None = None) -> Iterator[R]:
        """Yield every record when a server starts; quarantine files that can't be read.

        Parameters
        ----------
        ids : iterable of str, optional
            The ids from `recover`, if that was called already.
        """
        for record_id in self.recover() if ids is None else ids:
            try:
                yield self._load(f"{record_id}{SUFFIX}")
            except NewerFormatError as error:
                logger.error("%s It is left alone.", error)
            except StoredFileError as error:
                self._quarantine(self.path(record_id), error)

    def _load(self, name: str) -> R:
        """Read a file without TinyDB, which would take five times as long."""
        try:
            content = read_file(f"{self.directory}{os.sep}{name}")
        except OSError as error:
            raise _unreadable(name, error) from error
        record = self._decode(content) if content.startswith(self._prefix) else None
        if record is None:
            return self._kind.parse(content, name)
        return self._kind.checked(record, name)

    def _decode(self, content: bytes) -> R | None:
        with suppress(MsgspecError, RecursionError, LookupError, ValueError):
            record: R = self._decoder.decode(content)[self._kind.table]["1"]
            return record
        return None

    def quarantine(self, record_id: str, why: object) -> None:
        """Rename a file that can't be used to ``….unreadable``, and log that."""
        self._quarantine(self.path(record_id), why)

    def _quarantine(self, path: Path, why: object) -> None:
        try:
            aside = ascii(str(quarantine(path)))[1:-1]
        except OSError as error:
            logger.error("%s It can't be set aside: %s.", why, error)
        else:
            logger.error("%s It is set aside as %s.", why, aside)


def _unreadable(name: str, error: OSError) -> Exception:
    """Return the error that names the file, or the given one if the file is not its cause."""
    exhausted = error.errno in EXHAUSTED
    return error if exhausted else StoredFileError(f"{name} can't be read: {error}")
