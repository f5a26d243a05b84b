"""What starts of runs leave behind: idempotency keys, and for what time a schedule started a run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotFoundError, RunDeletedError, StoredFileError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import IdempotencyKey, ScheduleMark
from jupyter_pdflow.stores.tinydb.layout import KEYS, SCHEDULES
from jupyter_pdflow.stores.tinydb.record_types import KEY, SCHEDULE, KeyRecord, ScheduleRecord
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.writer import WriterThread
from jupyter_pdflow.threads import Locks, in_thread

logger = logging.getLogger(__name__)


class Keys:
    """Idempotency keys: ``keys/<hash>.json`` names the run that was started with a key.

    A key is stored before its run, and noted as used some time after it, which no start waits for.
    So a key without that note whose run does not exist is one whose start was cut short by a crash,
    and is given to another run. With the note, the run was deleted, and no other run is started.
    """

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / KEYS.name, KEY, writer)
        self._locks = Locks()
        self._noting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until the keys that were used are noted."""
        await asyncio.gather(*self._noting)

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
            Returns the run of an id.

        Yields
        ------
        Run or None
            The run that was started with the key before, or None.

        Raises
        ------
        RunDeletedError
            That run was deleted.
        PDFlowError
            As `load`, but for `NotFoundError`.
        """
        key_id = key.digest().hex()
        async with self._locks.of(key_id):
            record = self._record_of(key_id, run.created_at)
            other = None if record is None else _run_of(record, load)
            if record is None or other is None:
                record = KeyRecord(id=key_id, run_id=run.id, expires_at=key.expires_at)
                await self._records.put(key_id, record)
            yield other
            if not record.stored:
                self._begin_noting(record)

    async def remove_expired(self, now: datetime) -> None:
        """Remove the keys that have expired."""
        for key_id in await in_thread(self._expired, now):
            async with self._locks.of(key_id):  # it may be given to another run just now
                await in_thread(self._remove_if_expired, key_id, now)

    def _expired(self, now: datetime) -> list[str]:
        return [key_id for key_id in self._records.ids() if self._has_expired(key_id, now)]

    def _has_expired(self, key_id: str, now: datetime) -> bool:
        with suppress(StoredFileError, OSError):
            return self._records.read(key_id).expires_at <= now
        return False

    def _remove_if_expired(self, key_id: str, now: datetime) -> None:
        if self._has_expired(key_id, now):
            with suppress(OSError):  # it is tried again later
                self._records.unlink(key_id)

    def _record_of(self, key_id: str, now: datetime) -> KeyRecord | None:
        """Read a key that has not expired; a damaged file is set aside."""
        if not self._records.has(key_id):
            return None
        try:
            record = self._records.read(key_id)
        except StoredFileError as error:
            self._records.quarantine(key_id, error)
            return None
        return record if record.expires_at > now else None

    def _begin_noting(self, record: KeyRecord) -> None:
        task = asyncio.create_task(self._note(record), name="note a used key")
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _note(self, record: KeyRecord) -> None:
        """Note that the run of a key is stored, unless the key was changed since then."""
        async with self._locks.of(record.id):
            try:
                if self._records.read(record.id) == record:
                    await self._records.put(record.id, replace(record, stored=True))
            except (OSError, StoredFileError) as error:
                logger.warning("%s.json can't be noted as used: %s", record.id, error)


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


def _run_of(record: KeyRecord, load: Callable[[str], Run]) -> Run | None:
    """Return the run of a key, or None if its start was cut short."""
    try:
        return load(record.run_id)
    except NotFoundError:
        if not record.stored:
            return None
        msg = (
            f"Run {record.run_id}, which was started with this idempotency key, is not stored any "
            "more. Use another key to start another run."
        )
        raise RunDeletedError(msg) from None
