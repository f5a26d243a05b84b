"""A directory of TinyDB files, one record each."""

from __future__ import annotations

import errno
import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import MsgspecError, Raw, Struct, ValidationError, convert
from msgspec.json import Decoder, encode

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.store.orders import Order, Stamp, Write, stamp_of, write_in_thread
from jupyter_pdflow.store.spares import TEMPORARY
from jupyter_pdflow.store.storage import beginning, parse_record, read_file

R = TypeVar("R", bound=Struct)

SUFFIX = ".json"
UNREADABLE = ".unreadable"
REMEMBERED = 32
"""Records that are kept in memory, to be used as long as their files are the same."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that are no fault of the file that was to be read."""


def as_record(fields: dict[str, Any], kind: type[R], name: str) -> R:
    """Make a record of what its file holds.

    Raises
    ------
    StoredFileError
        Its fields are not those of such a record, or it is not the one that `name` tells.
    """
    try:
        record = convert(fields, kind)
    except (ValidationError, RecursionError) as error:
        msg = f"{name} can't be read: {error}"
        raise StoredFileError(msg) from error
    return _checked(record, name)


def _checked(record: R, name: str) -> R:
    if getattr(record, "id", None) != name.removesuffix(SUFFIX):
        msg = f"{name} is a copy of another record."
        raise StoredFileError(msg)
    return record


class Records(Generic[R]):
    """Records of one type, each in a file that is named by the record's id.

    Parameters
    ----------
    directory : Path
        Where the files are; made, for its owner only, where it is missing.
    kind : type
        The msgspec struct of the records; it has an ``id``.
    table : str
        What a record is called in its file.
    write : Write
        Carries out writes; by default, threads do.
    """

    def __init__(
        self,
        directory: Path,
        kind: type[R],
        table: str,
        log: logging.Logger,
        write: Write = write_in_thread,
    ) -> None:
        self.directory = directory
        self._kind = kind
        self._table = table
        self._log = log
        self._write = write
        self._start = beginning(table)
        self._decoder = Decoder(dict[str, dict[str, kind]])  # type: ignore[valid-type]
        self._recent: OrderedDict[str, tuple[Stamp, R]] = OrderedDict()
        self._replaced: dict[str, R] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, record_id: str) -> Path:
        """Tell which file holds the record of that id."""
        return self.directory / f"{record_id}{SUFFIX}"

    def ids(self) -> list[str]:
        """List the ids that have a file, in order."""
        return sorted(name.removesuffix(SUFFIX) for name in self._names(SUFFIX))

    def start(self) -> list[str]:
        """Remove what a crash left half-written, before anything is written; then as `ids`."""
        for name in self._names(TEMPORARY):
            if not (self.directory / name).is_dir():
                (self.directory / name).unlink(missing_ok=True)
        return self.ids()

    def _names(self, suffix: str) -> list[str]:
        with os.scandir(self.directory) as entries:
            return [entry.name for entry in entries if entry.name.endswith(suffix)]

    def newest(self, limit: int) -> list[Path]:
        """List the files that were written last, newest first."""
        found = []
        for path in self.directory.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):  # moved on just now
                found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found, reverse=True)[:limit]]

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
            known = self._recent.get(record_id)
            if known is not None and known[0] == stamp:
                return known[1]
        except OSError as error:
            raise _unreadable(path.name, error) from error
        record = self._load(path.name)
        self._remember(record_id, stamp, record)
        return record

    async def put(self, record_id: str, record: R, leaving: Path | None = None) -> None:
        """Write one record, of which no other write is under way; durable when this returns.

        Parameters
        ----------
        record_id : str
        record : Struct
        leaving : Path, optional
            A file that is removed when the record is written.
        """
        path, gone = str(self.path(record_id)), None if leaving is None else str(leaving)
        with self.as_before(record_id):
            stamp = await self._write(Order(path, self._table, Raw(encode(record)), gone))
        self._remember(record_id, stamp, record)

    @contextmanager
    def as_before(self, record_id: str) -> Iterator[None]:
        """Meanwhile, `get` gives a record as it now is, if there is one."""
        with suppress(StoredFileError):
            self._replaced[record_id] = self.get(record_id)
        try:
            yield
        finally:
            self._replaced.pop(record_id, None)

    def _remember(self, record_id: str, stamp: Stamp, record: R) -> None:
        """Keep a record at hand: what happens to one comes in bursts."""
        self._recent[record_id] = stamp, record
        self._recent.move_to_end(record_id)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

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
                self._log.error("%s It is left alone.", error)
            except StoredFileError as error:
                aside = self._set_aside(self.path(record_id))
                self._log.error("%s It is set aside as %s.", error, aside)

    def _load(self, name: str) -> R:
        """Read a file in the leanest way: a TinyDB for each would take five times as long."""
        try:
            content = read_file(f"{self.directory}{os.sep}{name}")
        except OSError as error:
            raise _unreadable(name, error) from error
        if content.startswith(self._start):
            with suppress(MsgspecError, RecursionError, KeyError):
                return _checked(self._decoder.decode(content)[self._table]["1"], name)
        return as_record(parse_record(content, self._table, name), self._kind, name)

    def _set_aside(self, path: Path) -> Path:
        aside = path.with_name(path.name + UNREADABLE)
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}{UNREADABLE}-{number}")
        path.rename(aside)
        return aside


def _unreadable(name: str, error: OSError) -> Exception:
    """Say which file can't be read, unless the system has no room to read any."""
    exhausted = error.errno in EXHAUSTED
    return error if exhausted else StoredFileError(f"{name} can't be read: {error}")
