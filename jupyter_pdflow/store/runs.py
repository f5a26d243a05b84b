"""Runs in TinyDB: one small database per run, active ones apart from finished ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.store.index import Entry, Index, fits
from jupyter_pdflow.store.orders import Write
from jupyter_pdflow.store.records import Records, RecordType
from jupyter_pdflow.store.validation import flaw_of_run

RUN = RecordType(Run, "run", flaw_of_run)
"""How a run is stored."""


class Runs:
    """The runs of a data directory: ``active/<run>.json`` until a run ends, then ``finished/``.

    A transition costs the same beside any number of other runs, and a start reads only the
    active ones: of finished runs the index knows the ids, and the rest when it was asked for.
    """

    def __init__(self, data_dir: Path, log: logging.Logger, write: Write) -> None:
        self._active = Records(data_dir / "active", RUN, log, write)
        self._finished = Records(data_dir / "finished", RUN, log, write)
        self._log = log
        self._live: set[str] = set()
        self._index = Index()

    def active(self) -> Iterator[Run]:
        """Read all runs in ``active/`` and index them, and the finished ones by name."""
        finished, active = self._finished.start(), self._active.start()
        for run_id in finished:
            self._index.set(run_id, None)
        both = set(finished).intersection(active)
        completed = {run_id for run_id in both if self._complete(run_id)}
        for run in self._active.all(run_id for run_id in active if run_id not in completed):
            self._note(run, live=True)
            yield run

    def get(self, run_id: str) -> Run:
        """Read a run.

        Raises
        ------
        NotFoundError
            There is no such run.
        """
        records = self._active if run_id in self._live else self._finished
        if run_id not in self._index:
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

    def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Run]:
        """Read runs, newest first, from the one before the run id `before` on."""
        found: list[Run] = []
        for run_id in self._index.find(status, workflow_id, before):
            if len(found) == limit:
                break
            run = self._read(run_id)
            if run is not None and fits(_entry(run), status, workflow_id):
                found.append(run)
        return found

    def ended_before(self, moment: datetime) -> list[str]:
        """List the finished runs that were last written before that time, by id."""
        over = [run_id for run_id in self._index.ended() if run_id not in self._live]
        return sorted(run_id for run_id in over if self._is_older(run_id, moment))

    def remove(self, run_id: str) -> None:
        """Remove a finished run."""
        self._finished.path(run_id).unlink(missing_ok=True)
        if run_id in self._index:
            self._index.remove(run_id)

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

    def _read(self, run_id: str) -> Run | None:
        try:
            run = self.get(run_id)
        except (NotFoundError, StoredFileError):
            return None
        self._index.set(run_id, _entry(run))
        return run

    def _is_older(self, run_id: str, before: datetime) -> bool:
        try:
            return self._finished.path(run_id).stat().st_mtime < before.timestamp()
        except FileNotFoundError:
            return True


def _unknown(run_id: str) -> NotFoundError:
    msg = f"There is no run {run_id!r}."
    return NotFoundError(msg)


def _entry(run: Run) -> Entry:
    return Entry(run.status, run.workflow_id)
