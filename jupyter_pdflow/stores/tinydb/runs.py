"""The files of runs, and an index of run ids by which lists find them."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import ENDED, Run, RunStatus
from jupyter_pdflow.stores import RunSummary, summary_of
from jupyter_pdflow.stores.tinydb.appended_records import AppendedRecords
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED
from jupyter_pdflow.stores.tinydb.record_types import QUOTED, RUN, RecordType
from jupyter_pdflow.stores.tinydb.storage import in_reader, in_slices
from jupyter_pdflow.stores.tinydb.validation import flaw_of_values, is_id
from jupyter_pdflow.stores.tinydb.writer import WriterThread

logger = logging.getLogger(__name__)


class IndexEntry(NamedTuple):
    """The fields of a run that lists filter by."""

    status: RunStatus
    workflow_id: str


class RunIndex:
    """Run ids by status and workflow, sorted, which is the order of their starts.

    The entry None stands for a finished run whose file has not been read. A change costs nearly
    the same for any number of other runs.
    """

    def __init__(self) -> None:
        self._entries: dict[str, IndexEntry | None] = {}
        self._ids: dict[IndexEntry | None, list[str]] = {}
        self._interned: dict[IndexEntry | None, IndexEntry | None] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._entries

    def set(self, run_id: str, entry: IndexEntry | None) -> None:
        """Set the entry of a run."""
        if run_id in self._entries:
            if self._entries[run_id] == entry:
                return
            self.remove(run_id)
        # One object for equal entries: the garbage collector would visit 100,000 of them often.
        entry = self._interned.setdefault(entry, entry)
        insort(self._ids.setdefault(entry, []), run_id)
        self._entries[run_id] = entry

    def complete(self, run_id: str, entry: IndexEntry) -> None:
        """Set the entry of a run that was read, unless it was removed or set meanwhile."""
        if self._entries.get(run_id, entry) is None:
            self.set(run_id, entry)

    def is_known(self, run_id: str) -> bool:
        """Return whether a run has an entry other than None."""
        return self._entries.get(run_id) is not None

    def remove(self, run_id: str) -> None:
        """Remove a run from the index."""
        ids = self._ids[self._entries.pop(run_id)]
        del ids[bisect_left(ids, run_id)]

    def remove_all(self, run_ids: Collection[str]) -> None:
        """Remove runs from the index; cheap for neighbours, such as the oldest runs."""
        gone = {run_id for run_id in run_ids if run_id in self._entries}
        for entry in {self._entries.pop(run_id) for run_id in gone}:
            ids = self._ids[entry]
            span = slice(bisect_left(ids, min(gone)), bisect_right(ids, max(gone)))
            ids[span] = [run_id for run_id in ids[span] if run_id not in gone]

    def find(
        self, status: RunStatus | None, workflow_id: str | None, before: str | None
    ) -> Iterator[str]:
        """Yield the ids that may match, newest first; entries may be set meanwhile."""
        matching = [
            ids for entry, ids in self._ids.items() if may_match(entry, status, workflow_id)
        ]
        return merge(*(_downwards(ids, before) for ids in matching), reverse=True)


def may_match(entry: IndexEntry | None, status: RunStatus | None, workflow_id: str | None) -> bool:
    """Return whether a run with this entry may match a filter; None in a filter matches all."""
    if entry is None:
        return status is None or status in ENDED
    return status in (None, entry.status) and workflow_id in (None, entry.workflow_id)


def _downwards(ids: list[str], before: str | None) -> Iterator[str]:
    """Yield sorted ids from the greatest down.

    By position, not by an iterator: the list may change meanwhile.
    """
    position = len(ids) if before is None else bisect_left(ids, before)
    while position > 0:
        position -= 1
        yield ids[position]


SUMMARY = RecordType(RunSummary, "run", flaw_of_values, appended=True)
"""The record type that reads of a run's file only what lists show."""

READ_AT_ONCE = 200
"""Maximum number of runs that are read at once to find those that a list shows."""


class Runs:
    """The runs of a data directory: ``active/<run>.jsonl`` until a run ends, then ``finished/``.

    A transition costs the same for any number of other runs. A start reads the active runs only.
    The first list indexes the ids of the finished runs. Their entries are completed as lists read
    their files. Both happen beside the event loop.
    """

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._active = AppendedRecords(data_dir / ACTIVE.name, RUN, writer)
        self._finished = AppendedRecords(data_dir / FINISHED.name, RUN, writer)
        self._active_summaries = AppendedRecords(data_dir / ACTIVE.name, SUMMARY, writer)
        self._finished_summaries = AppendedRecords(data_dir / FINISHED.name, SUMMARY, writer)
        self._active_ids: set[str] = set()
        self._index = RunIndex()
        self._finished_indexed = False
        self._indexing = asyncio.Lock()

    def active(self) -> Iterator[Run]:
        """Read all runs in ``active/`` and index them."""
        self._active.finish_writes()
        ids = (run_id for run_id in self._active.recover() if not self._is_finished(run_id))
        for run in self._active.all(ids):
            self._note(run, active=True)
            yield run

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
        if not is_id(run_id):
            raise _unknown(run_id)
        try:
            return records.get(run_id)
        except StoredFileError as error:
            if not records.has(run_id):  # asked for only now: most reads succeed
                raise _unknown(run_id) from None
            logger.error("Run %s can't be read: %s", run_id, error)
            raise

    async def put(self, run: Run, entries: Sequence[HistoryEntry] = ()) -> None:
        """Store a run in ``active/``, with what has happened to it."""
        await self._active.append(run.id, run, entries)
        self._note(run, active=True)

    async def finish(self, run: Run, entries: Sequence[HistoryEntry] = ()) -> None:
        """Store a run that has ended, and move its file to ``finished/``; may be called again.

        The move is not synced: the last line says that the run has ended. If the move is lost, the
        next start repeats it.
        """
        if run.id in self._active_ids or run.id not in self._index:  # else it has moved already
            await self._active.append(run.id, run, entries, to=self._finished.directory)
            self._note(run, active=False)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the history entries of a run by number; `NotFoundError` if there is no run."""
        self.get(run_id)
        return await in_reader(self._history, run_id, active=run_id in self._active_ids)

    async def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first, with ids before `before`."""
        await self._index_finished()
        found: list[RunSummary] = []
        while len(found) < limit:
            ids = self._candidates(status, workflow_id, limit - len(found), before)
            if not ids:
                break
            read = await self._summaries(ids)
            found += [run for run in read if may_match(_entry(run), status, workflow_id)]
            before = ids[-1]
        return found[:limit]

    async def ended_before(self, moment: datetime) -> list[str]:
        """Return the ids of finished runs that were last written before a time, sorted."""
        await self._index_finished()
        return await in_reader(self._ended_before, moment.timestamp())

    def unlink(self, run_id: str) -> None:
        """Remove the file of a finished run, in any thread; call `forget` afterwards."""
        self._finished.unlink(run_id)

    def forget(self, run_ids: Collection[str]) -> None:
        """Remove runs whose files were removed from the index."""
        self._index.remove_all(run_ids)

    async def _index_finished(self) -> None:
        """Index the ids in ``finished/``, once."""
        async with self._indexing:
            if self._finished_indexed:
                return
            async for run_id in in_slices(await in_reader(self._finished.recover)):
                if run_id not in self._index:  # runs that ended meanwhile have their entry
                    self._index.set(run_id, None)
            self._finished_indexed = True

    def _is_finished(self, run_id: str) -> bool:
        """Return whether a run in ``active/`` is in ``finished/`` too, by a `finish` cut short."""
        return self._finished.has(run_id) and self._complete_finish(run_id)

    def _complete_finish(self, run_id: str) -> bool:
        """Remove a run from ``active/`` if its file in ``finished/`` is valid; return whether."""
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

    def _note(self, run: Run, *, active: bool) -> None:
        self._index.set(run.id, _entry(run))
        (self._active_ids.add if active else self._active_ids.discard)(run.id)

    def _ended_before(self, moment: float) -> list[str]:
        old = self._finished.written_before(moment)
        return [run_id for run_id in old if run_id not in self._active_ids]

    def _candidates(
        self, status: RunStatus | None, workflow_id: str | None, limit: int, before: str | None
    ) -> list[str]:
        """Return the next ids that may match, at most `READ_AT_ONCE`.

        Stops after `limit` ids with a known entry, as these do match.
        """
        ids: list[str] = []
        for run_id in self._index.find(status, workflow_id, before):
            ids.append(run_id)
            limit -= self._index.is_known(run_id)
            if limit == 0 or len(ids) == READ_AT_ONCE:
                break
        return ids

    async def _summaries(self, run_ids: list[str]) -> list[RunSummary]:
        """Read runs beside the event loop; one that is being written is as it was before."""
        located = [(run_id, run_id in self._active_ids) for run_id in run_ids]
        found = []
        for run_id, read in zip(run_ids, await in_reader(self._read_all, located), strict=True):
            # The thread may have read the new file before the write is durable.
            previous = self._active.previous(run_id)
            summary = read if previous is None else summary_of(previous)
            if summary is not None:
                self._index.complete(run_id, _entry(summary))
                found.append(summary)
        return found

    def _read_all(self, located: list[tuple[str, bool]]) -> list[RunSummary | None]:
        return [self._read(run_id, active=active) for run_id, active in located]

    def _history(self, run_id: str, *, active: bool) -> dict[int, HistoryEntry]:
        """Read the history of a run from the folder where it was; it may have moved since then."""
        if active:
            with suppress(StoredFileError):
                return self._active.history(run_id)
        return self._finished.history(run_id)

    def _read(self, run_id: str, *, active: bool) -> RunSummary | None:
        """Read a run from the folder where it was, else from the other one: it may have moved."""
        folders = [self._active_summaries, self._finished_summaries]
        for records in folders if active else reversed(folders):
            try:
                return records.read(run_id)
            except StoredFileError as error:
                if records.has(run_id):
                    logger.error("Run %s can't be read: %s", run_id, error)
        return None


def _unknown(run_id: str) -> NotFoundError:
    msg = f"There is no run {run_id[:QUOTED]!r}."
    return NotFoundError(msg)


def _entry(run: Run | RunSummary) -> IndexEntry:
    return IndexEntry(run.status, run.workflow_id)
