"""Records in files: one TinyDB file per record, and a cache of records that were used last."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import MsgspecError, Struct, defstruct
from msgspec.json import Decoder

from jupyter_pdflow.exceptions import HalfWrittenError, NewerFormatError, StoredFileError
from jupyter_pdflow.stores.files import quarantine, read_file, remove_temporary
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.record_types import RecordType, file_name, id_of, not_an_id
from jupyter_pdflow.stores.tinydb.storage import beginning
from jupyter_pdflow.stores.tinydb.writer import Stamp, Write, WriterThread, stamp_of
from jupyter_pdflow.stores.validation import is_id
from jupyter_pdflow.threads import sorted_in_turns

logger = logging.getLogger(__name__)


SIZE = 2
"""The place of the size in a stamp."""


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

    def stamp(self, path: str) -> Stamp | None:
        """Return the stamp of a file whose record is cached, or None."""
        cached = self._cached.get(path)
        return None if cached is None else cached[0]

    def put(self, path: str, stamp: Stamp, record: Any) -> None:
        """Cache the record of a file with that stamp, and drop the oldest ones beyond the limit."""
        if path in self._cached:
            self._size -= self._cached.pop(path)[0][SIZE]
        self._cached[path] = stamp, record
        self._size += stamp[SIZE]
        while self._size > self._limit and len(self._cached) > 1:
            _, (oldest, _) = self._cached.popitem(last=False)
            self._size -= oldest[SIZE]


R = TypeVar("R", bound=Struct)

SCANNED_FROM = 1_000
"""Number of ids from which a scan of the directory takes less time than looking up each one."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of reading a file that say nothing about the file."""


class Records(Generic[R]):
    """Records of one type, each in a file that is named by the record's id.

    Parameters
    ----------
    directory : Path
        Where the files are; made, for its owner only, if it does not exist.
    kind : RecordType
        What they are.
    writer : WriterThread
        Carries out writes.
    cache : RecordCache, optional
        Where records are cached; by default the one that was used last.
    """

    def __init__(
        self,
        directory: Path,
        kind: RecordType[R],
        writer: WriterThread,
        cache: RecordCache | None = None,
    ) -> None:
        self.directory = directory
        self._kind = kind
        self._suffixes = kind.suffixes
        self._above = f"{directory}{os.sep}"
        self._writer = writer
        self._cache = cache or RecordCache(0)
        self._prefix = beginning(kind.table)
        document = defstruct("Document", [(kind.table, dict[str, kind.kind])])  # type: ignore[name-defined]
        self._decoder = Decoder(document)
        self._previous: dict[str, R] = {}
        self._made_at = time.time()
        if os.path.lexists(directory) and not directory.is_dir():
            self._quarantine(directory, f"{directory} is not a folder.")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, record_id: str) -> Path:
        """Return the file that holds the record of that id, or is to hold it.

        Raises
        ------
        StoredFileError
            The text is no id.
        """
        return self.directory / file_name(record_id, self._suffixes[0])

    def has(self, record_id: str) -> bool:
        """Whether there is a file for that id, readable or not."""
        return is_id(record_id) and any(path.exists() for path in self._paths(record_id))

    def among(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that have a file: looked up one by one, or all in one scan."""
        if len(ids) < SCANNED_FROM:
            return {one for one in ids if self.has(one)}
        wanted = set(ids)
        return {found for name in self._names() if (found := id_of(name)) in wanted}

    def ids(self) -> list[str]:
        """Return the ids that have a file, in order."""
        return sorted_in_turns({found for name in self._names() if is_id(found := id_of(name))})

    def recover(self) -> list[str]:
        """Remove what a crash left half-written, set aside what has no valid name; then as `ids`.

        What is written by now is left alone.
        """
        remove_temporary(self.directory, self._made_at)
        names = list(self._names())
        for name in names:
            if not is_id(id_of(name)):
                self._quarantine(self.directory / name, f"{name!a} is not a name of a record.")
        return sorted_in_turns({found for name in names if is_id(found := id_of(name))})

    def _names(self) -> Iterator[str]:
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith(self._suffixes):
                    yield entry.name

    def get(self, record_id: str) -> R:
        """Return one record; one that is being written is as it was before.

        Raises
        ------
        StoredFileError
            Its file is missing or can't be read.
        OSError
            The system has no room to read any file.
        """
        if record_id in self._previous:
            return self._previous[record_id]
        path, stamp = self._found(record_id)
        known: R | None = self._cache.get(path, stamp)
        if known is not None:
            return known
        record = self._load(os.path.basename(path))  # noqa: PTH119
        self._cache.put(path, stamp, record)
        return record

    def read(self, record_id: str) -> R:
        """Read one record from its file, whatever is at hand; any thread may do so.

        Raises
        ------
        StoredFileError, OSError
            As `get`.
        """
        if not is_id(record_id):
            raise not_an_id(record_id)
        for suffix in self._suffixes[:-1]:
            with suppress(FileNotFoundError):
                return self._read_file(record_id + suffix)
        return self._load(record_id + self._suffixes[-1])

    async def put(self, record_id: str, record: R, content: bytes | None = None) -> Stamp:
        """Write one record, of which no other write is under way; durable when this returns.

        Returns the state of its file then. `content` is that of the file, if it is known.
        """
        path = str(self.path(record_id))
        write = Write(path, self._kind.dump(record) if content is None else content)
        stamp = await self._writer.write(write)
        self._cache.put(path, stamp, record)
        return stamp

    async def _write(self, record_id: str, write: Write, previous: R | None) -> Stamp:
        """Carry out a write; until then, `get` returns the record as it was before.

        A new state is visible in its file before it is durable, and must not be read then.
        """
        if previous is not None:
            self._previous[record_id] = previous
        try:
            return await self._writer.write(write)
        finally:
            self._previous.pop(record_id, None)

    def all(self, ids: Iterable[str] | None = None) -> Iterator[R]:
        """Read every record when a server starts; a file that can't be read is set aside.

        Parameters
        ----------
        ids : iterable of str, optional
            What `recover` returned, if it was called before.
        """
        for record_id in self.recover() if ids is None else ids:
            try:
                yield self.read(record_id)
            except NewerFormatError as error:
                logger.error("%s It is left alone.", error)
            except HalfWrittenError as error:
                logger.warning("%s It was never answered for, and is removed.", error)
                self.path(record_id).unlink()
                if self.has(record_id):  # in the file of an older format
                    yield from self.all([record_id])
            except StoredFileError as error:
                self.quarantine(record_id, error)

    def quarantine(self, record_id: str, why: object) -> None:
        """Rename the file of a record that can't be used, and log why."""
        for path in self._paths(record_id):
            if os.path.lexists(path):
                self._quarantine(path, why)

    def unlink(self, record_id: str) -> None:
        """Remove the file of a record, if there is one."""
        for path in self._paths(record_id):
            path.unlink(missing_ok=True)

    def _paths(self, record_id: str) -> list[Path]:
        return [self.directory / file_name(record_id, suffix) for suffix in self._suffixes]

    def _found(self, record_id: str) -> tuple[str, Stamp]:
        """Find the file of a record, and its state; errors as of `get`."""
        if not is_id(record_id):
            raise not_an_id(record_id)
        for suffix in self._suffixes:
            path = f"{self._above}{record_id}{suffix}"
            try:
                return path, stamp_of(path)
            except FileNotFoundError as error:
                missing = error
            except OSError as error:
                raise read_error(record_id + suffix, error) from error
        raise read_error(record_id + self._suffixes[0], missing) from missing

    def _load(self, name: str) -> R:
        """Read a file as `_read_file`; `StoredFileError` if it is missing."""
        try:
            return self._read_file(name)
        except FileNotFoundError as error:
            raise read_error(name, error) from error

    def _read_file(self, name: str) -> R:
        """Read a file in the leanest way: a TinyDB for each would take five times as long."""
        try:
            content = self._content_of(f"{self._above}{name}", name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise read_error(name, error) from error
        record = self._decode(content) if content.startswith(self._prefix) else None
        if record is None:
            return self._kind.parse_record(content, name)
        return self._kind.checked(record, name)

    def _content_of(self, path: str, name: str) -> bytes:
        """Read a file, or the last whole line of one that is appended."""
        if not name.endswith(appended.SUFFIX):
            return read_file(path)
        line = appended.read_tail(path).line
        return line or self._kind.last_line(read_file(path), name)

    def _decode(self, content: bytes) -> R | None:
        with suppress(MsgspecError, RecursionError, LookupError, ValueError):
            record: R = getattr(self._decoder.decode(content), self._kind.table)["1"]
            return record
        return None

    def _quarantine(self, path: Path, why: object) -> None:
        try:
            aside = ascii(str(quarantine(path)))[1:-1]
        except OSError as error:
            logger.error("%s It can't be set aside: %s.", why, error)
        else:
            logger.error("%s It is set aside as %s.", why, aside)


def read_error(name: str, error: OSError) -> Exception:
    """Return the error that names the file, or the given one if the file is not its cause."""
    exhausted = error.errno in EXHAUSTED
    return error if exhausted else StoredFileError(f"{name} can't be read: {error}")
