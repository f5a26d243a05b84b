"""Records in files that are appended, with their history."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.stores.files import read_file, sync_directory
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.record_types import (
    SUFFIX,
    RecordType,
    file_name,
    history_in,
    id_of,
    line_of,
    not_an_id,
)
from jupyter_pdflow.stores.tinydb.records import SIZE, RecordCache, Records, read_error
from jupyter_pdflow.stores.tinydb.writer import Stamp, Write, WriterThread
from jupyter_pdflow.stores.validation import is_id

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Struct)


class AppendedRecords(Records[R]):
    """Records whose files are appended; those of format 1, which were replaced, are read too.

    A file of format 1 goes when its record is written next.
    """

    def __init__(
        self,
        directory: Path,
        kind: RecordType[R],
        writer: WriterThread,
        cache: RecordCache | None = None,
    ) -> None:
        super().__init__(directory, kind, writer, cache)
        self._entries: dict[str, int] = {}

    def finish_writes(self) -> None:
        """Bring writes that a crash interrupted to their end, when a server starts.

        A file of format 1 that has a successor is removed. New names are synced: the crash may have
        come before that.
        """
        sync_directory(self.directory)
        names = set(self._names())
        for name in names:
            if name.endswith(SUFFIX) and id_of(name) + appended.SUFFIX in names:
                self._remove_older(id_of(name))

    async def append(
        self,
        record_id: str,
        record: R,
        entries: Sequence[HistoryEntry] = (),
        to: Path | None = None,
        previous: R | None = None,
    ) -> Stamp:
        """Append the newest state of a record, of which no other write is under way.

        It is durable when this returns; returns the state of its file then.

        Parameters
        ----------
        record_id : str
        record : Struct
        entries : sequence of HistoryEntry
            What has happened to it, for its history.
        to : Path, optional
            The directory to which its file is moved then; that need not be synced.
        previous : Struct, optional
            The record as it is stored. If it is `record`, nothing is appended.
        """
        path = f"{self._above}{record_id}{appended.SUFFIX}"
        known, first = self._cache.stamp(path), self._entries.get(record_id)
        if first is None:  # not written before, so its id was not checked
            first = self._last_entry(record_id)
        history = dict(enumerate(entries, first + 1))
        write = Write(
            path,
            b"" if record is previous else line_of(self._kind, record, history),
            append=True,
            move_to=None if to is None else f"{to}{os.sep}{record_id}{appended.SUFFIX}",
            remove=None if known else self._older(record_id),
            known=known,
        )
        stamp = await self._write(record_id, write, previous)
        self._cache.put(write.move_to or path, stamp, record)
        if to is None:
            self._entries[record_id] = first + len(entries)
        else:
            self._entries.pop(record_id, None)
        return stamp

    def history(self, record_id: str) -> dict[int, HistoryEntry]:
        """Return the entries of a record's history by number; any thread may do so.

        Raises
        ------
        StoredFileError
            Its file can't be read.
        """
        known = self._cache.stamp(f"{self._above}{record_id}{appended.SUFFIX}")
        path, _ = self._found(record_id)
        if not path.endswith(appended.SUFFIX):
            return {}
        name = os.path.basename(path)  # noqa: PTH119
        try:
            content = read_file(path)
            if known is not None and record_id in self._previous:
                content = content[: known[SIZE]]  # the rest is not durable yet
            return history_in(content)
        except OSError as error:
            raise read_error(name, error) from error

    def _remove_older(self, record_id: str) -> None:
        """Remove the file of format 1 of a record whose new file is valid."""
        with suppress(StoredFileError, OSError):
            self.read(record_id)
            (self.directory / file_name(record_id)).unlink()

    def _older(self, record_id: str) -> str | None:
        """Return the path of a record's file of format 1, if there is one."""
        path = f"{self._above}{record_id}{SUFFIX}"
        return path if os.path.lexists(path) else None

    def _last_entry(self, record_id: str) -> int:
        """Return the number of the newest history entry; 0 if there is none.

        Raises
        ------
        StoredFileError
            The text is no id.
        """
        if not is_id(record_id):
            raise not_an_id(record_id)
        with suppress(StoredFileError):
            return max(self.history(record_id), default=0)
        return 0
