"""Runs in TinyDB: one small database per run, active ones apart from finished ones."""

from __future__ import annotations

import logging
from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import ENDED, Run, RunStatus
from jupyter_pdflow.store.records import Records
from jupyter_pdflow.store.storage import move_file


class Entry(NamedTuple):
    """What a list needs to know of a run before it opens the run's file."""

    status: RunStatus
    workflow_id: str


class Runs:
    """The runs of a data directory: ``active/<run>.json`` until a run ends, then ``finished/``.

    A transition costs the same beside any number of other runs, and a start reads only the
    active ones: of finished runs the index knows the ids, and the rest when it was asked for.
    """

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._active = Records(data_dir / "active", Run, "run", log)
        self._finished = Records(data_dir / "finished", Run, "run", log)
        self._log = log
        self._ids: list[str] = []
        self._live: dict[str, Entry] = {}
        self._over: dict[str, Entry | None] = dict.fromkeys(self._finished.ids())

    def active(self) -> Iterator[Run]:
        """Read all runs in ``active/`` and index them, and the finished ones by name."""
        found = list(self._active.all())
        self._live = {run.id: _entry(run) for run in found}
        self._ids = sorted({*self._live, *self._over})
        yield from found

    def get(self, run_id: str) -> Run:
        """Read a run.

        Raises
        ------
        NotFoundError
            There is no such run.
        """
        records = self._active if run_id in self._live else self._finished
        known = run_id in self._live or run_id in self._over
        if not known or not records.path(run_id).exists():
            msg = f"There is no run {run_id!r}."
            raise NotFoundError(msg)
        try:
            return records.get(run_id)
        except StoredFileError as error:
            self._log.error("Run %s can't be read: %s", run_id, error)
            raise

    def put(self, run: Run) -> None:
        """Store a run among the active ones."""
        self._active.put(run.id, run)
        if run.id not in self._live:
            insort(self._ids, run.id)
        self._live[run.id] = _entry(run)

    def finish(self, run_id: str) -> None:
        """Move a run's file to ``finished/``."""
        move_file(self._active.path(run_id), self._finished.directory)
        self._over[run_id] = self._live.pop(run_id)

    def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Run]:
        """Read runs, newest first, from the one before the run id `before` on."""
        ids = self._ids_of(status)
        end = len(ids) if before is None else bisect_left(ids, before)
        found: list[Run] = []
        for position in range(end - 1, -1, -1):
            if len(found) == limit:
                break
            run = self._if_wanted(ids[position], status, workflow_id)
            if run is not None:
                found.append(run)
        return found

    def prune(self, before: datetime) -> list[str]:
        """Remove finished runs that were last written before that time; list their ids."""
        gone = [run_id for run_id in self._over if self._is_older(run_id, before)]
        for run_id in gone:
            self._finished.path(run_id).unlink(missing_ok=True)
            del self._over[run_id]
        if gone:
            self._ids = sorted({*self._live, *self._over})
        return gone

    def _ids_of(self, status: RunStatus | None) -> list[str]:
        if status is None:
            return self._ids
        if status in ENDED:
            return [run_id for run_id in self._ids if run_id not in self._live]
        return sorted(run_id for run_id, entry in self._live.items() if entry.status == status)

    def _if_wanted(
        self, run_id: str, status: RunStatus | None, workflow_id: str | None
    ) -> Run | None:
        entry = self._live.get(run_id) or self._over.get(run_id)
        if entry is not None and not _matches(entry, status, workflow_id):
            return None
        try:
            run = self.get(run_id)
        except (NotFoundError, StoredFileError):
            return None
        if entry is None:
            self._over[run_id] = entry = _entry(run)
        return run if _matches(entry, status, workflow_id) else None

    def _is_older(self, run_id: str, before: datetime) -> bool:
        try:
            return self._finished.path(run_id).stat().st_mtime < before.timestamp()
        except FileNotFoundError:
            return True


def _entry(run: Run) -> Entry:
    return Entry(run.status, run.workflow_id)


def _matches(entry: Entry, status: RunStatus | None, workflow_id: str | None) -> bool:
    return (status is None or entry.status == status) and (
        workflow_id is None or entry.workflow_id == workflow_id
    )
