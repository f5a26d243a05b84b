"""What starts of runs leave behind: idempotency keys, and for what time a schedule started a run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from jupyter_pdflow.exceptions import PDFlowError, StoredFileError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import IdempotencyKey, ScheduleMark
from jupyter_pdflow.stores.tinydb.layout import KEYS, SCHEDULES
from jupyter_pdflow.stores.tinydb.record_types import KEY, SCHEDULE, KeyRecord, ScheduleRecord
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.storage import Locks
from jupyter_pdflow.stores.tinydb.writer import WriterThread

logger = logging.getLogger(__name__)


class Keys:
    """Idempotency keys: ``keys/<hash>.json`` names the run that was started with a key.

    A key is stored before its run. So a key whose run does not exist is one whose start was cut
    short by a crash, and is given to another run.
    """

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / KEYS.name, KEY, writer)
        self._locks = Locks()

    @asynccontextmanager
    async def reserved(
        self, key: IdempotencyKey, run: Run, load: Callable[[str], Run]
    ) -> AsyncIterator[Run | None]:
        """Store a key for a run that is about to be stored, unless another run has it.

        Parameters
        ----------
        key : IdempotencyKey
        run : Run
            The new run.
        load : callable
            Returns the run of an id, or raises `PDFlowError`.

        Yields
        ------
        Run or None
            The run that was started with the key before, or None.
        """
        key_id = _id_of(key)
        async with self._locks.of(key_id):
            other = self._run_of(key_id, run.created_at, load)
            if other is None:
                record = KeyRecord(id=key_id, run_id=run.id, expires_at=key.expires_at)
                await self._records.put(key_id, record)
            yield other

    def remove_expired(self, now: datetime) -> None:
        """Remove the keys that have expired; for a thread."""
        for key_id in self._records.ids():
            with suppress(StoredFileError, OSError):
                if self._records.read(key_id).expires_at <= now:
                    self._records.unlink(key_id)

    def _run_of(self, key_id: str, now: datetime, load: Callable[[str], Run]) -> Run | None:
        if not self._records.has(key_id):
            return None
        try:
            record = self._records.read(key_id)
        except StoredFileError as error:
            self._records.quarantine(key_id, error)
            return None
        if record.expires_at > now:
            with suppress(PDFlowError):
                return load(record.run_id)
        return None


class Schedules:
    """The marks of schedules: ``schedules/<workflow>.json``."""

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / SCHEDULES.name, SCHEDULE, writer)
        self._locks = Locks()
        self._unwritten: dict[str, dict[str, datetime]] = {}

    def get(self, workflow_id: str) -> dict[str, datetime]:
        """Return the marks of a workflow's schedules by trigger; a damaged file has none."""
        return {**self._read(workflow_id).marks, **self._unwritten.get(workflow_id, {})}

    async def put(self, mark: ScheduleMark) -> None:
        """Store a mark in place of that schedule's earlier one.

        If it can't be written, it stays in memory until the next mark of its workflow is written.
        After a crash the schedule repeats that start, and gets the same run by its key.
        """
        async with self._locks.of(mark.workflow_id):
            self._unwritten.setdefault(mark.workflow_id, {})[mark.trigger_id] = mark.at
            try:
                record = ScheduleRecord(id=mark.workflow_id, marks=self.get(mark.workflow_id))
                await self._records.put(record.id, record)
            except (OSError, StoredFileError) as error:
                logger.error(
                    "For what time a schedule of %s has started a run can't be stored: %s. "
                    "It is kept in memory.",
                    ascii(mark.workflow_id),
                    error,
                )
            else:
                del self._unwritten[mark.workflow_id]

    def _read(self, workflow_id: str) -> ScheduleRecord:
        try:
            if self._records.has(workflow_id):
                return self._records.get(workflow_id)
        except StoredFileError as error:
            self._records.quarantine(workflow_id, error)
        return ScheduleRecord(id=workflow_id)


def _id_of(key: IdempotencyKey) -> str:
    """Return a name for the key's file: the client's text may be anything."""
    text = f"{key.scope}\0{key.key}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()
