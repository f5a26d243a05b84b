"""Runs in TinyDB: one small database per run, active ones apart from finished ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.store.index import Entry, Index, fits
from jupyter_pdflow.store.orders import Write
from jupyter_pdflow.store.records import SHOWN, Records, RecordType
from jupyter_pdflow.store.summaries import RunSummary, summary_of
from jupyter_pdflow.store.threads import in_reader, in_slices
from jupyter_pdflow.store.validation import flaw_of_run, flaw_of_values, is_id

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

    def __init__(self, data_dir: Path, log: logging.Logger, write: Write) -> None:
        self._active = Records(data_dir / "active", RUN, log, write)
        self._finished = Records(data_dir / "finished", RUN, log, write)
        self._active_summaries = Records(data_dir / "active", SUMMARY, log)
        self._finished_summaries = Records(data_dir / "finished", SUMMARY, log)
        self._log = log
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
            self._log.error("Run %s can't be read: %s", run_id, error)
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
            self._log.error("Run %s is in finished/ too, where it has not ended.", run_id)
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
                    self._log.error("Run %s can't be read: %s", run_id, error)
        return None


def _unknown(run_id: str) -> NotFoundError:
    msg = f"There is no run {run_id[:SHOWN]!r}."
    return NotFoundError(msg)


def _entry(run: Run | RunSummary) -> Entry:
    return Entry(run.status, run.workflow_id)
