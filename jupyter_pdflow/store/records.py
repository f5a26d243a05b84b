"""A directory of TinyDB files, one record each."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import Struct, ValidationError, convert, to_builtins

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.store.storage import TEMPORARY, Record

R = TypeVar("R", bound=Struct)

SUFFIX = ".json"
UNREADABLE = ".unreadable"


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
    """

    def __init__(self, directory: Path, kind: type[R], table: str, log: logging.Logger) -> None:
        self.directory = directory
        self._kind = kind
        self._table = table
        self._log = log
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, record_id: str) -> Path:
        """Tell which file holds the record of that id."""
        return self.directory / f"{record_id}{SUFFIX}"

    def ids(self) -> list[str]:
        """List the ids that have a file, in order; clears what a crash left half-written."""
        found = []
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith(TEMPORARY):
                    Path(entry.path).unlink(missing_ok=True)
                elif entry.name.endswith(SUFFIX):
                    found.append(entry.name.removesuffix(SUFFIX))
        return sorted(found)

    def newest(self, limit: int) -> list[Path]:
        """List the files that were written last, newest first."""
        with os.scandir(self.directory) as entries:
            found = [(e.stat().st_mtime, e.path) for e in entries if e.name.endswith(SUFFIX)]
        return [Path(path) for _, path in sorted(found, reverse=True)[:limit]]

    def get(self, record_id: str) -> R:
        """Read one record.

        Raises
        ------
        StoredFileError
            Its file is missing or can't be read.
        """
        path = self.path(record_id)
        try:
            record: R = convert(Record(path, self._table).read(), self._kind)
        except (ValidationError, OSError) as error:
            msg = f"{path.name} can't be read: {error}"
            raise StoredFileError(msg) from error
        if getattr(record, "id", record_id) != record_id:
            msg = f"{path.name} is a copy of another record."
            raise StoredFileError(msg)
        return record

    def put(self, record_id: str, record: R) -> None:
        """Write one record; durable when this returns."""
        fields: dict[str, Any] = to_builtins(record)
        Record(self.path(record_id), self._table).write(fields)

    def all(self) -> Iterator[R]:
        """Read every record; a file that can't be read is set aside and reported."""
        for record_id in self.ids():
            try:
                yield self.get(record_id)
            except NewerFormatError as error:
                self._log.error("%s It is left alone.", error)
            except StoredFileError as error:
                aside = self._set_aside(self.path(record_id))
                self._log.error("%s It is set aside as %s.", error, aside)

    def _set_aside(self, path: Path) -> Path:
        aside = path.with_name(path.name + UNREADABLE)
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}{UNREADABLE}-{number}")
        path.rename(aside)
        return aside
