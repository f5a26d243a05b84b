"""Records in files that are appended, with their history."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.record_types import (
    SUFFIX,
    RecordType,
    file_name,
    history_in,
    id_of,
    line_of,
)
from jupyter_pdflow.stores.tinydb.records import CACHE, Records, read_error
from jupyter_pdflow.stores.tinydb.storage import (
    read_file,
    sync_directory,
)
from jupyter_pdflow.stores.tinydb.writer import Stamp, Write, WriterThread

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Struct)


class AppendedRecords(Records[R]):
    """Records whose files are appended; those of format 1, which were replaced, are read too.

    A file of format 1 goes when its record is written next.
    """

    def __init__(self, directory: Path, kind: RecordType[R], writer: WriterThread) -> None:
        super().__init__(directory, kind, writer)
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
        path, older = self.path(record_id), self.directory / file_name(record_id)
        known = CACHE.stamp(str(path))
        first = self._last_entry(record_id) + 1
        write = Write(
            str(path),
            b""
            if record is previous
            else line_of(self._kind, record, dict(enumerate(entries, first))),
            append=True,
            move_to=None if to is None else str(to / path.name),
            remove=str(older) if known is None and older.exists() else None,
            known=known,
        )
        with self.holding(record_id, previous):
            stamp = await self._writer.write(write)
        CACHE.put(write.move_to or write.path, stamp, record)
        self._entries[record_id] = first + len(entries) - 1
        if to is not None:
            del self._entries[record_id]
        return stamp

    def history(self, record_id: str) -> dict[int, HistoryEntry]:
        """Return the entries of a record's history by number; any thread may do so.

        Raises
        ------
        StoredFileError
            Its file can't be read.
        """
        path, _ = self._found(record_id)
        if not path.endswith(appended.SUFFIX):
            return {}
        name = os.path.basename(path)  # noqa: PTH119
        try:
            return history_in(read_file(path))
        except OSError as error:
            raise read_error(name, error) from error

    def _remove_older(self, record_id: str) -> None:
        """Remove the file of format 1 of a record whose new file is valid."""
        with suppress(StoredFileError, OSError):
            self.read(record_id)
            (self.directory / file_name(record_id)).unlink()

    def _last_entry(self, record_id: str) -> int:
        """Return the number of the newest history entry; 0 if there is none."""
        if record_id not in self._entries:
            numbers: Iterable[int] = ()
            with suppress(StoredFileError):
                numbers = self.history(record_id)
            self._entries[record_id] = max(numbers, default=0)
        return self._entries[record_id]
