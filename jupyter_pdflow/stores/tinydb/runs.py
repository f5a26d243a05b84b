"""Runs on disk: active ones in memory, ended ones by an index."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import ENDED, Run, RunStatus
from jupyter_pdflow.stores.base import RunSummary, summary_of
from jupyter_pdflow.stores.tinydb.records import SHOWN, Records, RecordType
from jupyter_pdflow.stores.tinydb.storage import in_reader, in_slices
from jupyter_pdflow.stores.tinydb.validation import flaw_of_run, flaw_of_values, is_id
from jupyter_pdflow.stores.tinydb.writer import Write

logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """What is known of a run."""

    status: RunStatus
    workflow_id: str


class Index:
    """Run ids by status and workflow, in order of their times.

    Of a run whose file has not been read yet, nothing but the id is known, and that it has ended.
    A change costs the same, or nearly so, beside any number of other runs.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry | None] = {}
        self._ids: dict[Entry | None, list[str]] = {}
        self._same: dict[Entry | None, Entry | None] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._entries

    def set(self, run_id: str, entry: Entry | None) -> None:
        """Note what is known of a run."""
        if run_id in self._entries:
            if self._entries[run_id] == entry:
                return
            self.remove(run_id)
        entry = self._same.setdefault(entry, entry)  # 100,000 equal ones would keep gc busy
        insort(self._ids.setdefault(entry, []), run_id)
        self._entries[run_id] = entry

    def learn(self, run_id: str, entry: Entry) -> None:
        """Note what was read of a run, unless it is gone or more is known of it by now."""
        if self._entries.get(run_id, entry) is None:
            self.set(run_id, entry)

    def is_known(self, run_id: str) -> bool:
        """Whether more is known of a run than that it has ended."""
        return self._entries.get(run_id) is not None

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        ids = self._ids[self._entries.pop(run_id)]
        del ids[bisect_left(ids, run_id)]

    def remove_all(self, run_ids: Collection[str]) -> None:
        """Forget runs; where they are neighbours, as the oldest are, it costs little for each."""
        gone = {run_id for run_id in run_ids if run_id in self._entries}
        for entry in {self._entries.pop(run_id) for run_id in gone}:
            ids = self._ids[entry]
            span = slice(bisect_left(ids, min(gone)), bisect_right(ids, max(gone)))
            ids[span] = [run_id for run_id in ids[span] if run_id not in gone]

    def find(
        self, status: RunStatus | None, workflow_id: str | None, before: str | None
    ) -> Iterator[str]:
        """Go through the ids that may fit, newest first; entries may be set meanwhile."""
        fitting = [ids for entry, ids in self._ids.items() if fits(entry, status, workflow_id)]
        return merge(*(_downwards(ids, before) for ids in fitting), reverse=True)


def fits(entry: Entry | None, status: RunStatus | None, workflow_id: str | None) -> bool:
    """Tell whether a run may be one of those that are looked for."""
    if entry is None:
        return status is None or status in ENDED
    return status in (None, entry.status) and workflow_id in (None, entry.workflow_id)


def _downwards(ids: list[str], before: str | None) -> Iterator[str]:
    position = len(ids) if before is None else bisect_left(ids, before)
    while position > 0:
        position -= 1
        yield ids[position]


RUN = RecordType(Run, "run", flaw_of_run)
"""How a run is stored."""

SUMMARY = RecordType(RunSummary, "run", flaw_of_values)
"""How it is read for lists."""

READ_AT_ONCE = 200
"""Maximum number of runs that are read in one go, to find those that a list shows."""


class Runs:
    """The runs of a data directory: ``active/<run>.json`` until a run ends, then ``finished/``.

    A transition costs the same beside any number of other runs, and a start reads only the
    active ones. Of finished runs the index knows the ids once it was surveyed which there are,
    and the rest when it was asked for; both is read beside the event loop.
    """

    def __init__(self, data_dir: Path, write: Write) -> None:
        self._active = Records(data_dir / "active", RUN, write)
        self._finished = Records(data_dir / "finished", RUN, write)
        self._active_summaries = Records(data_dir / "active", SUMMARY)
        self._finished_summaries = Records(data_dir / "finished", SUMMARY)
        self._live: set[str] = set()
        self._index = Index()
        self._surveyed = False
        self._surveying = asyncio.Lock()

    def active(self) -> Iterator[Run]:
        """Read all runs in ``active/`` and index them."""
        for run in self._active.all(
            run_id for run_id in self._active.start() if self._is_live(run_id)
        ):
            self._note(run, live=True)
            yield run

    async def survey(self) -> None:
        """Learn which runs are in ``finished/``, beside the event loop and once."""
        if not self._surveyed:
            async with self._surveying:
                await self._survey()

    def get(self, run_id: str) -> Run:
        """Read a run.

        Raises
        ------
        NotFoundError
            There is no such run.
        """
        records = self._active if run_id in self._live else self._finished
        if not is_id(run_id):
            raise _unknown(run_id)
        try:
            return records.get(run_id)
        except StoredFileError as error:
            if not records.has(run_id):
                raise _unknown(run_id) from None
            logger.error("Run %s can't be read: %s", run_id, error)
            raise

    async def put(self, run: Run) -> None:
        """Store a run among the active ones."""
        await self._active.put(run.id, run)
        self._note(run, live=True)

    async def finish(self, run: Run) -> None:
        """Store a run that has ended among the finished ones; may be called again.

        It is written there before it goes from the active ones, without syncing that: the next
        start clears what is left when that fails or a crash comes in between.
        """
        if run.id in self._live or run.id not in self._index:
            with self._active.as_before(run.id):
                await self._finished.put(run.id, run, leaving=self._active.path(run.id))
            self._note(run, live=False)

    async def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Read what lists show of runs, newest first, from before the run id `before` on."""
        await self.survey()
        found: list[RunSummary] = []
        while len(found) < limit:
            ids = self._candidates(status, workflow_id, limit - len(found), before)
            if not ids:
                break
            read = await self._summaries(ids)
            found += [run for run in read if fits(_entry(run), status, workflow_id)]
            before = ids[-1]
        return found[:limit]

    async def ended_before(self, moment: datetime) -> list[str]:
        """List the finished runs that were last written before that time, by id."""
        await self.survey()
        return await in_reader(self._ended_before, moment.timestamp())

    def unlink(self, run_id: str) -> None:
        """Remove the file of a finished run; any thread may do so, before `forget`."""
        self._finished.path(run_id).unlink(missing_ok=True)

    def forget(self, run_ids: Collection[str]) -> None:
        """Forget runs whose files were removed."""
        self._index.remove_all(run_ids)

    async def _survey(self) -> None:
        if self._surveyed:
            return
        async for run_id in in_slices(await in_reader(self._finished.start)):
            if run_id not in self._index:
                self._index.set(run_id, None)
        self._surveyed = True

    def _is_live(self, run_id: str) -> bool:
        """Whether a run in ``active/`` is to be taken up: it is not, if it is finished too."""
        return not (self._finished.has(run_id) and self._complete(run_id))

    def _complete(self, run_id: str) -> bool:
        """Do what is left of a `finish` that a crash cut short, if it is that."""
        try:
            has_ended = self._finished.get(run_id).ended
        except StoredFileError as error:
            self._finished.set_aside(run_id, error)
            return False
        if has_ended:
            with suppress(OSError):  # it counts no more, even where it stays
                self._active.path(run_id).unlink()
        else:
            logger.error("Run %s is in finished/ too, where it has not ended.", run_id)
        return has_ended

    def _note(self, run: Run, *, live: bool) -> None:
        self._index.set(run.id, _entry(run))
        (self._live.add if live else self._live.discard)(run.id)

    def _ended_before(self, moment: float) -> list[str]:
        old = self._finished.written_before(moment)
        return [run_id for run_id in old if run_id not in self._live]

    def _candidates(
        self, status: RunStatus | None, workflow_id: str | None, limit: int, before: str | None
    ) -> list[str]:
        """List the next ids that may fit, as many as can be read in one go."""
        ids: list[str] = []
        for run_id in self._index.find(status, workflow_id, before):
            ids.append(run_id)
            limit -= self._index.is_known(run_id)
            if limit == 0 or len(ids) == READ_AT_ONCE:
                break
        return ids

    async def _summaries(self, run_ids: list[str]) -> list[RunSummary]:
        """Read runs beside the event loop; one that is being written is as it was before."""
        places = [(run_id, run_id in self._live) for run_id in run_ids]
        found = []
        for (run_id, _), read in zip(places, await in_reader(self._read_all, places), strict=True):
            before = self._active.before(run_id)
            summary = read if before is None else summary_of(before)
            if summary is not None:
                self._index.learn(run_id, _entry(summary))
                found.append(summary)
        return found

    def _read_all(self, places: list[tuple[str, bool]]) -> list[RunSummary | None]:
        return [self._read(run_id, live=live) for run_id, live in places]

    def _read(self, run_id: str, *, live: bool) -> RunSummary | None:
        """Read a run where it was, else where it may have gone meanwhile."""
        rooms = [self._active_summaries, self._finished_summaries]
        for room in rooms if live else reversed(rooms):
            try:
                return room.read(run_id)
            except StoredFileError as error:
                if room.has(run_id):
                    logger.error("Run %s can't be read: %s", run_id, error)
        return None


def _unknown(run_id: str) -> NotFoundError:
    msg = f"There is no run {run_id[:SHOWN]!r}."
    return NotFoundError(msg)


def _entry(run: Run | RunSummary) -> Entry:
    return Entry(run.status, run.workflow_id)
