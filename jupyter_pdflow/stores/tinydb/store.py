"""The store on TinyDB: one process at a time works on a data directory."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from msgspec.structs import replace

from jupyter_pdflow.clock import Deadlines
from jupyter_pdflow.exceptions import (
    PDFlowError,
    StorageUnavailableError,
)
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import (
    Email,
    IdempotencyKey,
    KeptOutputs,
    Lapsed,
    RunChange,
    RunQuery,
    RunSummary,
    ScheduleMark,
    StepOutputs,
    VersionSummary,
    WorkerState,
    change_of,
    not_removed,
    run_of,
)
from jupyter_pdflow.stores.counts import ALL, CountQuery, Counts
from jupyter_pdflow.stores.folders import RunFolders
from jupyter_pdflow.stores.tinydb.emails import Emails
from jupyter_pdflow.stores.tinydb.index import Index
from jupyter_pdflow.stores.tinydb.index_source import FolderSource
from jupyter_pdflow.stores.tinydb.layout import tidy_up
from jupyter_pdflow.stores.tinydb.outputs import Outputs
from jupyter_pdflow.stores.tinydb.runs import Runs
from jupyter_pdflow.stores.tinydb.starts import Keys, Schedules
from jupyter_pdflow.stores.tinydb.workflows import Workflows
from jupyter_pdflow.stores.tinydb.writer import Stamp, WriterThread
from jupyter_pdflow.threads import Locks, held, in_reader, in_slices, in_thread

logger = logging.getLogger(__name__)


TAKE_OVER_SECONDS = 0.5
"""Maximum time that a list of emails waits for those of runs that have just been stored."""

EMAILS_OF_RUN = 1_000_000
"""Maximum number of emails of one run that are looked for when it is removed."""


class StorageHealth:
    """Logs once when the storage starts to fail, and once when it works again."""

    def __init__(self) -> None:
        self.failing = False

    def failed(self, error: OSError) -> StorageUnavailableError:
        """Note that a write has failed, and return the error to raise."""
        if not self.failing:
            self.failing = True
            logger.error(
                "The data directory can't be used: %s. Free some space or repair it. Until then, "
                "requests are refused, and the results of steps are kept in memory.",
                error,
            )
        return unavailable(error)

    def works(self) -> None:
        """Note that a write has succeeded, after some that failed."""
        if self.failing:
            self.failing = False
            logger.info("The data directory can be written again.")


def unavailable(error: OSError) -> StorageUnavailableError:
    """Return the error to raise when a file can't be read or written."""
    msg = f"The data directory can't be used: {error.strerror or error}. Nothing was changed."
    return StorageUnavailableError(msg)


@contextmanager
def reading() -> Iterator[None]:
    """Raise `StorageUnavailableError` for an `OSError`."""
    try:
        yield
    except OSError as error:
        raise unavailable(error) from error


class RunTransaction:
    """A run that no other transaction changes, see `jupyter_pdflow.stores.base.Transaction`."""

    run: Run

    def __init__(self, store: TinyDBStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._lock = store.locks.of(run_id)

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        try:
            self.run = self._store.load(self._run_id)
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._lock.release()

    async def commit(
        self, run: Run, entries: Sequence[HistoryEntry] = (), outputs: StepOutputs | None = None
    ) -> None:
        """Store the next state of the run, and all that follows from it: all or nothing."""
        await self._store.commit(self.run, run, entries, outputs)
        self.run = run


class TinyDBStore:
    """A `jupyter_pdflow.stores.base.Store` in TinyDB files.

    The caller holds the data directory's lock. So no other process executes runs: those that are
    running at the start have lost their server.

    The line of a run is the commit: it holds the emails that the outcome of a step asks for. They
    are taken over afterwards, which is repeated until it succeeds, also at the next start.

    Parameters
    ----------
    data_dir : Path
        The directory; made if it is missing.
    folders : RunFolders, optional
        The files of runs, which are removed with their runs.
    limits : Limits
        How soon a write that failed is tried again.
    """

    kind = "tinydb"
    lease_seconds: float | None = None

    def __init__(
        self, data_dir: Path, folders: RunFolders | None = None, *, limits: Limits = LIMITS
    ) -> None:
        self.owner = uuid4().hex
        self.locks = Locks()
        self._data_dir = data_dir
        self._opened_at = time.time()
        self._limits = limits
        self._retry = timedelta(seconds=limits.storage_retry_seconds)
        self._folders = folders
        self._writer = WriterThread()
        self._runs = Runs(data_dir, self._writer)
        self._outputs = Outputs(data_dir, self._writer)
        self._index = Index(data_dir, FolderSource(data_dir))
        self._emails = Emails(data_dir, self._writer, self._index)
        self._workflows = Workflows(data_dir, self._writer)
        self._keys = Keys(data_dir, self._writer)
        self._schedules = Schedules(data_dir, self._writer)
        self._health = StorageHealth()
        self._deadlines = Deadlines()
        self._ready: list[str] = []
        self._lapsed: list[Lapsed] = []
        self._behind: set[str] = set()
        self._catching_up: asyncio.Task[None] | None = None
        self._closing = False
        self._listeners: list[asyncio.Queue[RunChange]] = []

    @property
    def available(self) -> bool:
        """Whether the latest write has succeeded."""
        return not self._health.failing

    async def open(self) -> None:
        """Read the active runs, and complete what a crash has cut short."""
        try:
            # Before all writes: the clock of files is some milliseconds late.
            await in_thread(tidy_up, self._data_dir, self._opened_at)
            await self._emails.open()
            run_ids = await in_thread(self._runs.recover)
            async for run in in_slices(self._runs.open(run_ids)):
                await self._take_up(run)
            self._index.start()
        except OSError as error:
            raise self._health.failed(error) from error

    async def close(self) -> None:
        """Try a last time what is left to do, and end the thread that writes."""
        self._closing = True
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait([self._catching_up])
        await self.locks.wait_released()
        await self._catch_up_once()
        await self._keys.close()
        await self._index.close()
        await self._writer.close()

    # --- runs ---

    async def create(
        self,
        run: Run,
        entries: Sequence[HistoryEntry] = (),
        *,
        key: IdempotencyKey | None = None,
        mark: ScheduleMark | None = None,
    ) -> Run:
        """Store a new run, or return the run that was created with the same key."""
        if key is None:
            return await self._create(run, entries)
        try:
            async with self._keys.reserved(key, run, self.load) as other:
                if other is None:
                    await self._create(run, entries)
                if mark is not None:
                    # Last: if a crash comes before it, the schedule gets the same run by its key.
                    await self._schedules.put(mark)
                return other or run
        except OSError as error:
            raise self._health.failed(error) from error

    async def _create(self, run: Run, entries: Sequence[HistoryEntry]) -> Run:
        async with self.locks.of(run.id):
            await self.commit(None, run, entries, None)
        return run

    def transaction(self, run_id: str) -> RunTransaction:
        """Load a run to change it; the next transaction of that run waits until this one ends."""
        return RunTransaction(self, run_id)

    async def get(self, run_id: str) -> Run:
        """Return a run; `NotFoundError` if it is unknown, `StoredFileError` if unreadable."""
        return self.load(run_id)

    def load(self, run_id: str) -> Run:
        """Return a run as `get`, with the emails only that are not taken over."""
        try:
            run = self._runs.get(run_id)
        except OSError as error:
            raise unavailable(error) from error
        if run.outbox and run_id not in self._behind:
            return replace(run, outbox=[])
        return run

    async def commit(
        self,
        before: Run | None,
        run: Run,
        entries: Sequence[HistoryEntry],
        outputs: StepOutputs | None,
    ) -> None:
        """Store a run whose lock is held, see `jupyter_pdflow.stores.base.Transaction.commit`."""
        archive = run.ended and not run.outbox
        try:
            if outputs is not None:
                # First: an attempt whose outcome is not stored is repeated, and replaces them.
                await self._outputs.put(run.id, outputs)
            if run is before:
                return
            stamp = await self._runs.write(before, run, entries, archive=archive)
        except OSError as error:
            self._list_as_before(before, run)
            raise self._health.failed(error) from error
        if self._health.failing:
            self._health.works()
        self._note(run, stamp)
        if run.outbox:
            await self._complete(run)

    async def list(self, query: RunQuery) -> builtins.list[RunSummary]:
        """Return summaries of runs, newest first."""
        return await self._index.runs(query)

    async def counts(self, query: CountQuery = ALL) -> Counts:
        """Return numbers of runs by workflow and status, and those of each day."""
        counts = await self._index.counts(query)
        for workflow_id in counts.listed():
            counts.workflows[workflow_id].name = self._workflows.name(workflow_id)
        return counts

    async def oldest_queued(self) -> datetime | None:
        """Return since when the queued run that waits longest is queued."""
        return await self._index.oldest_queued()

    async def newest(self) -> str | None:
        """Return the greatest ULID of a run, or None if there is none."""
        with reading():
            return await self._runs.newest()

    async def ended_before(
        self, moment: datetime, limit: int, after: str | None = None
    ) -> builtins.list[str]:
        """Return the ids of runs that ended before a time and have no queued email, sorted."""
        found = await self._index.ended_before(moment, limit, after)
        # The index does not know of emails that are not taken over yet.
        return [run_id for run_id in found if run_id not in self._behind]

    async def delete(self, run_ids: Sequence[str]) -> dict[str, PDFlowError]:
        """Remove runs that have ended, with their outputs and emails; return those that failed."""
        failed: dict[str, PDFlowError] = {}
        for run_id in run_ids:
            try:
                # Held, so that a task that is canceled leaves no run half removed.
                await held(asyncio.ensure_future(self._delete(run_id)))
            except OSError as error:
                failed[run_id] = not_removed(run_id, error)
            except PDFlowError as error:
                failed[run_id] = error
        return failed

    async def _delete(self, run_id: str) -> None:
        async with self.locks.of(run_id):
            self._runs.check_ended(run_id)
            email_ids = [
                email.id for email in await self._index.emails(run_id=run_id, limit=EMAILS_OF_RUN)
            ]
            await in_thread(self._unlink, run_id, email_ids)
            self._behind.discard(run_id)
            self._runs.forget(run_id)
            self._emails.forget(email_ids)
            self._index.remove_runs([run_id])

    def _unlink(self, run_id: str, email_ids: Sequence[str]) -> None:
        """Remove files; that of the run last, so that a run that is left can be deleted again."""
        if self._folders is not None and (failed := self._folders.remove([run_id])):
            raise failed[run_id]
        self._outputs.remove(run_id)
        self._emails.unlink(email_ids)
        self._runs.unlink(run_id)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
        with reading():
            return await self._runs.history(run_id)

    async def outputs(self, run_id: str) -> KeptOutputs:
        """Return the outputs of a run; empty if it has none."""
        with reading():
            return await self._outputs.get(run_id)

    async def outputs_tag(self, run_id: str) -> str:
        """Return a text that changes when the outputs or the status of a run do."""
        updated_at = self.load(run_id).updated_at.timestamp()
        with reading():
            return f"{updated_at}.{await self._outputs.tag(run_id)}"

    async def put_live(self, run_id: str, shown: StepOutputs) -> None:
        """Do nothing: the one process that executes runs has this in its memory."""

    async def remove_live(self, run_id: str, shown: StepOutputs) -> None:
        """Do nothing."""

    async def schedule_marks(self, workflow_id: str) -> dict[str, datetime]:
        """Return for what time each schedule of a workflow has started a run last, by trigger."""
        with reading():
            return self._schedules.get(workflow_id)

    async def remove_expired(self, now: datetime) -> None:
        """Remove idempotency keys that have expired."""
        with reading():
            await self._keys.remove_expired(now)

    async def changes(self) -> AsyncIterator[RunChange]:
        """Return an iterator over the changes of runs from now on; `aclose` it in the end."""
        queue: asyncio.Queue[RunChange] = asyncio.Queue()
        self._listeners.append(queue)
        return self._listen(queue)

    async def _listen(self, queue: asyncio.Queue[RunChange]) -> AsyncIterator[RunChange]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    # --- work ---

    async def ready(self) -> builtins.list[str]:
        """Return the ids of the runs that waited to be executed at the start, oldest first."""
        ready, self._ready = self._ready, []
        return ready

    async def renew(
        self, run_ids: Collection[str], worker: WorkerState | None = None
    ) -> builtins.list[str]:
        """Renew nothing: leases lapse with their process."""
        del run_ids, worker
        return []

    async def workers(self) -> builtins.list[WorkerState]:
        """Return no process, as there is one only."""
        return []

    async def lapsed(self, now: datetime, limit: int) -> builtins.list[Lapsed]:
        """Return attempts that the last process has left, each once; no clock plays a part."""
        del now
        lapsed, self._lapsed = self._lapsed[:limit], self._lapsed[limit:]
        return lapsed

    async def next_deadline(self) -> datetime | None:
        """Return when a run is due next."""
        return self._deadlines.next()

    async def due(self, now: datetime, limit: int, again_at: datetime) -> builtins.list[str]:
        """Return runs that are due, the earliest first; `next_deadline` is `again_at` for them."""
        return self._deadlines.due(now, limit, again_at)

    # --- emails ---

    async def email(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if it is unknown."""
        with reading():
            return self._emails.get(email_id)

    async def emails(self, limit: int, run_id: str | None = None) -> builtins.list[Email]:
        """Return the newest emails, newest first; fewer if their texts are large."""
        # A run is visible a moment before its emails are taken over. Wait for that, a little.
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKE_OVER_SECONDS):
                await self.locks.wait_released(run_id)
        found = await self._index.emails(run_id=run_id, limit=limit)
        email_ids = [email.id for email in found]
        with reading():
            limit_bytes = self._limits.emails_listed_bytes
            return await in_reader(self._emails.read_all, email_ids, limit_bytes)

    async def email_counts(self) -> dict[str, int]:
        """Return the numbers of emails by status."""
        return await self._index.email_counts()

    async def next_email_at(self) -> datetime | None:
        """Return when an email is due to be sent next."""
        return self._emails.next_at()

    async def due_emails(
        self, now: datetime, limit: int, again_at: datetime
    ) -> builtins.list[Email]:
        """Return emails that are due, the earliest first, which are due again at `again_at`."""
        return self._emails.due(now, limit, again_at, now + self._retry)

    async def put_email(
        self, email: Email, next_at: datetime | None, message: bytes | None = None
    ) -> None:
        """Store an email after an attempt; a message is kept as an ``.eml`` file."""
        async with self.locks.of(run_of(email.id)):  # its run may be deleted meanwhile
            try:
                await self._emails.put(email, next_at, message)
            except OSError as error:
                raise self._health.failed(error) from error
        self._health.works()

    async def requeue_email(self, email: Email, next_at: datetime) -> None:
        """Queue an email again that has failed, unless its run was deleted meanwhile."""
        async with self.locks.of(run_of(email.id)):
            try:
                await self._emails.requeue(email, next_at)
            except OSError as error:
                raise self._health.failed(error) from error
        self._health.works()

    # --- workflows ---

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`; return it, and whether new."""
        try:
            deployed = await self._workflows.deploy(path, source, now)
        except OSError as error:
            raise self._health.failed(error) from error
        self._health.works()
        return deployed

    async def workflows(self) -> builtins.list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        return self._workflows.all()

    async def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return self._workflows.get(workflow_id, version)

    async def deployed(self, path: str) -> Workflow | None:
        """Return the newest version of the notebook at `path`, or None if it has none."""
        return self._workflows.deployed(path)

    async def versions(self, workflow_id: str, limit: int) -> builtins.list[VersionSummary]:
        """Return the versions with the greatest numbers; `NotFoundError` if there is none."""
        return self._workflows.versions(workflow_id, limit)

    async def version_numbers(
        self, versions: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        """Return the numbers of versions by workflow and hash; unknown ones are left out."""
        return self._workflows.numbers(versions)

    # --- what is left to do ---

    async def _take_up(self, run: Run) -> None:
        """Note an active run at the start, and complete its last commit."""
        if run.status == "running":
            attempt = Lapsed(run.id, run.current.name, run.execution, run.attempt)
            self._lapsed.append(attempt)
        elif run.ready:
            self._ready.append(run.id)
        elif run.wakes_at is not None:
            self._deadlines.set(run.id, run.wakes_at)
        if run.outbox or run.ended:
            await self._complete(run)

    def _note(self, run: Run, stamp: Stamp) -> None:
        self._index.put_run(run, stamp)
        if run.wakes_at is not None:
            self._deadlines.set(run.id, run.wakes_at)
        else:
            self._deadlines.unset(run.id)
        if self._listeners:
            # Not now: what follows from the change comes first, such as executing a step.
            asyncio.get_running_loop().call_soon(self._tell, run)

    def _tell(self, run: Run) -> None:
        change = change_of(run)
        for queue in self._listeners:
            queue.put_nowait(change)

    def _list_as_before(self, before: Run | None, run: Run) -> None:
        """Note that a commit failed: the index may have read the line that was cut off then."""
        if before is None:
            self._index.remove_runs([run.id])
        else:
            self._index.put_run(before, None)

    async def _complete(self, run: Run) -> None:
        """Take over the emails of a stored run, and archive it if it has ended; now or later."""
        self._behind.add(run.id)  # until it is done, also if this task is canceled
        try:
            await self._emails.take_over(run.outbox)
            if run.ended:
                self._index.put_run(run, await self._runs.write(run, run, archive=True))
        except OSError as error:
            self._health.failed(error)
        except Exception:
            # The run is stored, so its commit must not fail, nor would another attempt help.
            logger.exception("Emails of run %s can't be taken over.", run.id)
            self._behind.discard(run.id)
        else:
            self._behind.discard(run.id)
            self._health.works()
        finally:
            if run.id in self._behind:
                self._start_catching_up()

    def _start_catching_up(self) -> None:
        # Not while closing: a store that is closed must not write beside the next one.
        if not self._closing and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.create_task(self._catch_up(), name="catch up")

    async def _catch_up(self) -> None:
        while self._behind:
            await asyncio.sleep(self._limits.storage_retry_seconds)
            await self._catch_up_once()

    async def _catch_up_once(self) -> None:
        for run_id in list(self._behind):
            async with self.locks.of(run_id):
                if run_id not in self._behind:  # it was deleted meanwhile
                    continue
                try:
                    await self._complete(self.load(run_id))
                except StorageUnavailableError:
                    return
                except PDFlowError as error:
                    logger.error("Emails of run %s can't be taken over: %s", run_id, error)
                    self._behind.discard(run_id)
