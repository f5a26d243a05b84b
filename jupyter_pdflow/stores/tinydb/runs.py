"""The files of runs: ``active/<run>.jsonl`` until a run ends, then ``finished/``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import check_ended, unknown_run
from jupyter_pdflow.stores.tinydb.appended_records import AppendedRecords
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED
from jupyter_pdflow.stores.tinydb.record_types import RUN, id_of
from jupyter_pdflow.stores.tinydb.records import RecordCache
from jupyter_pdflow.stores.tinydb.writer import Stamp, WriterThread
from jupyter_pdflow.stores.validation import newest_ulid
from jupyter_pdflow.threads import in_reader

logger = logging.getLogger(__name__)

CACHE_BYTES = 4 * 2**20
"""Maximum size of the files of cached runs; as objects they take about six times as much."""


class Runs:
    """The runs of a data directory. A start reads the active ones only."""

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        cache = RecordCache(CACHE_BYTES)
        self._active = AppendedRecords(data_dir / ACTIVE.name, RUN, writer, cache)
        self._finished = AppendedRecords(data_dir / FINISHED.name, RUN, writer, cache)
        self._active_ids: set[str] = set()

    def recover(self) -> list[str]:
        """Complete writes that a crash has cut short, and return the ids in ``active/``.

        For a thread, before all else.
        """
        self._active.finish_writes()
        return self._active.recover()

    def open(self, run_ids: Iterable[str]) -> Iterator[Run]:
        """Read the runs in ``active/``, except those whose move a crash has cut short."""
        ids = list(run_ids)
        both = self._finished.among(ids)
        active = (one for one in ids if one not in both or not self._complete_move(one))
        for run in self._active.all(active):
            self._active_ids.add(run.id)
            yield run

    async def newest(self) -> str | None:
        """Return the greatest ULID of a run, see `newest_ulid`; no file is read for it."""
        return await in_reader(lambda: newest_ulid(self._stored_ids()))

    def _stored_ids(self) -> Iterator[str]:
        # Runs move from the first folder to the second, so none is missed.
        for records in (self._active, self._finished):
            with os.scandir(records.directory) as entries:
                for entry in entries:
                    yield id_of(entry.name)

    def check_ended(self, run_id: str) -> None:
        """Check that a run has ended, and read it only if it may not have.

        Raises
        ------
        NotFoundError, RunActiveError
            There is no such run, or it has not ended.
        """
        if run_id not in self._active_ids:
            if not self._finished.has(run_id):
                raise unknown_run(run_id)
        else:
            check_ended(self.get(run_id))

    def get(self, run_id: str) -> Run:
        """Read a run.

        Raises
        ------
        NotFoundError
            There is no such run.
        StoredFileError
            The run's file can't be read.
        """
        records = self._active if run_id in self._active_ids else self._finished
        try:
            return records.get(run_id)
        except StoredFileError as error:
            if not records.has(run_id):  # asked for only now: most reads succeed
                raise unknown_run(run_id) from None
            logger.error("Run %s can't be read: %s", run_id, error)
            raise

    async def write(
        self,
        before: Run | None,
        run: Run,
        entries: Sequence[HistoryEntry] = (),
        *,
        archive: bool = False,
    ) -> Stamp:
        """Append the next state of a run to its file, and move the file if it is to be archived.

        The move is not synced: the last line says that the run has ended. If the move is lost, the
        next start repeats it. Returns the state of the file.

        Parameters
        ----------
        before : Run or None
            The run as it is stored; None if it is new.
        run : Run
            Its next state. If it is `before`, the file is only moved.
        entries : sequence of HistoryEntry
            What has happened to it.
        archive : bool
            Whether the run has ended, and nothing of it is left to do.
        """
        to = self._finished.directory if archive else None
        stamp = await self._active.append(run.id, run, entries, to=to, previous=before)
        (self._active_ids.discard if archive else self._active_ids.add)(run.id)
        return stamp

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the history entries of a run by number; `NotFoundError` if there is no run."""
        self.get(run_id)
        return await in_reader(self._history, run_id, active=run_id in self._active_ids)

    def unlink(self, run_id: str) -> None:
        """Remove the file of a run that has ended; for a thread."""
        self._active.unlink(run_id)
        self._finished.unlink(run_id)

    def forget(self, run_id: str) -> None:
        """Note that the file of a run was removed."""
        self._active_ids.discard(run_id)

    def _complete_move(self, run_id: str) -> bool:
        """Remove a run that is in ``finished/`` too from ``active/``, if its file there is valid.

        Both have it if a copy of the folder was made while the run was moved. Returns whether its
        file in ``finished/`` is valid.
        """
        try:
            has_ended = self._finished.get(run_id).ended
        except StoredFileError as error:
            self._finished.quarantine(run_id, error)
            return False
        if has_ended:
            with suppress(OSError):  # if it stays, the next start ignores it again
                self._active.unlink(run_id)
        else:
            logger.error("Run %s is in finished/ too, where it has not ended.", run_id)
        return has_ended

    def _history(self, run_id: str, *, active: bool) -> dict[int, HistoryEntry]:
        """Read the history of a run from the folder where it was; it may have moved since then."""
        if active:
            with suppress(StoredFileError):
                return self._active.history(run_id)
        return self._finished.history(run_id)
