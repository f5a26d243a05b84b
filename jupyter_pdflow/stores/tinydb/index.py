"""The index of a data directory: what lists, counts, searches and pruning ask.

It is a cache in ``index.sqlite``. It holds nothing that the files of runs and emails do not, and
deleting it is always safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from jupyter_pdflow.exceptions import IndexUnavailableError
from jupyter_pdflow.stores import Email, RunQuery, RunSummary
from jupyter_pdflow.stores.counts import ALL, CountQuery, Counts
from jupyter_pdflow.stores.search import AnyRun
from jupyter_pdflow.stores.tinydb.index_database import (
    ROWS_AT_ONCE,
    EmailQuery,
    IndexDatabase,
    Kind,
)
from jupyter_pdflow.stores.tinydb.index_file import IndexFile, means_damage
from jupyter_pdflow.stores.tinydb.index_schema import SCHEMA, version_of_content
from jupyter_pdflow.stores.tinydb.index_source import (
    EmailSummary,
    FoundRow,
    IndexSource,
    row_of_email,
    row_of_run,
    stamp_text,
)
from jupyter_pdflow.stores.tinydb.writer import Stamp
from jupyter_pdflow.threads import held

logger = logging.getLogger(__name__)

T = TypeVar("T")

INDEX = "index.sqlite"
"""The file's name in the data directory."""

GATHER_SECONDS = 0.1
"""Time in which changes are gathered before they are written."""

READ_AT_ONCE = 100
"""Maximum number of files that are read before changes and a stop have their turn."""

ATTEMPTS = 2
"""How often the file is made anew, for one list, if it turns out to be damaged."""

UNAVAILABLE = f"{INDEX} can't be used, as the server's log says; make room on the disk."


class _Changes:
    """Changes that are not written yet; the newest one of a record counts."""

    def __init__(self) -> None:
        self._removed: dict[str, None] = {}
        self.runs: dict[str, tuple[AnyRun, Stamp | None]] = {}
        self.emails: dict[str, tuple[Email, Stamp | None]] = {}

    def __len__(self) -> int:
        return len(self._removed) + len(self.runs) + len(self.emails)

    def remove_runs(self, run_ids: Iterable[str]) -> None:
        removed = dict.fromkeys(run_ids)
        self._removed |= removed
        for run_id in removed:
            self.runs.pop(run_id, None)
        for email_id, (email, _) in list(self.emails.items()):
            if email.run_id in removed:
                del self.emails[email_id]

    def apply(self, database: IndexDatabase) -> None:
        """Write the changes. What was put after a removal is put after it here, too."""
        database.remove_runs(list(self._removed))
        database.put_runs(row_of_run(*put) for put in self.runs.values())
        database.put_emails(row_of_email(*put) for put in self.emails.values())


class Index:
    """Summaries of the runs and emails of a data directory, in SQLite, in a thread of its own.

    `put_run`, `put_email` and `remove_runs` return at once; each query sees the changes that came
    before it. `start` compares the index with the folders and reads the records whose files have
    changed; with a new file these are all. Queries wait for that, unless the index was closed and
    no file was added, moved or removed since then: changes by hand are shown a little later then.
    A query that finds the file deleted or damaged has it made anew.

    All methods are called on one event loop. The caller holds the data directory's lock.

    Parameters
    ----------
    data_dir : Path
        The data directory; it exists.
    source : IndexSource
        Reads what is stored.
    """

    def __init__(self, data_dir: Path, source: IndexSource) -> None:
        self._source = source
        self._file = IndexFile(data_dir / INDEX, SCHEMA, version_of_content())
        self._database = IndexDatabase(self._file)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pdflow-index")
        self._changes = _Changes()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        # None also after a failure: changes are dropped then, as the next update reads the files.
        self._updating: asyncio.Task[bool] | None = None
        self._is_current = asyncio.Event()

    def start(self) -> None:
        """Begin to compare the index with the folders, unless that was begun."""
        if self._updating is None:
            self._is_current.clear()
            self._updating = asyncio.create_task(self._update(), name="update the index")

    async def close(self) -> None:
        """Write what is left, and end the thread. Nothing may be called afterwards."""
        if self._timer is not None:
            self._timer.cancel()
        if self._updating is not None:
            self._updating.cancel()
            await asyncio.wait([self._updating])
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._in_thread(self._close, self._take_changes(), self._is_up_to_date())
        self._thread.shutdown(wait=False)

    def _is_up_to_date(self) -> bool:
        updating = self._updating
        if updating is None:
            return False
        # A comparison that is cut short has made nothing worse.
        return self._is_current.is_set() if updating.cancelled() else updating.result()

    # --- changes ---

    def put_run(self, run: AnyRun, stamp: Stamp | None) -> None:
        """Show a run from now on as it is here. Call it when the run is durable.

        Parameters
        ----------
        run : Run or RunSummary
            The run; only a `Run` has an event to search in.
        stamp : Stamp or None
            The state of the run's file with this content. None costs the reading of that file at
            the next start.
        """
        if self._updating is not None:
            self._changes.runs[run.id] = run, stamp
            if self._timer is None:
                self._plan_writing()

    def put_email(self, email: Email, stamp: Stamp | None) -> None:
        """Show an email from now on as it is here; as `put_run`."""
        if self._updating is not None:
            self._changes.emails[email.id] = email, stamp
            if self._timer is None:
                self._plan_writing()

    def remove_runs(self, run_ids: Sequence[str]) -> None:
        """Show runs and their emails no more. Call it when their files are removed."""
        if self._updating is not None:
            self._changes.remove_runs(run_ids)
            self._plan_writing()

    # --- queries ---

    async def runs(self, query: RunQuery) -> list[RunSummary]:
        """Return summaries of runs, newest first.

        Raises
        ------
        IndexUnavailableError
            The index can't be made; as for all queries.
        """
        return await self._ask(lambda database: database.runs(query))

    async def emails(
        self, *, run_id: str | None = None, before: str | None = None, limit: int = 50
    ) -> list[EmailSummary]:
        """Return summaries of emails, newest first.

        Parameters
        ----------
        run_id : str, optional
            Only emails of this run.
        before : str, optional
            Only emails older than the one with this id; none if there is no such email.
        limit : int
            Maximum number of emails.
        """
        query = EmailQuery(run_id, before, limit)
        return await self._ask(lambda database: database.emails(query))

    async def counts(self, query: CountQuery = ALL) -> Counts:
        """Count runs by workflow and status, and those of each day."""
        return await self._ask(lambda database: database.counts(query))

    async def oldest_queued(self) -> datetime | None:
        """Return since when the queued run that waits longest is queued."""
        return await self._ask(IndexDatabase.oldest_queued)

    async def email_counts(self) -> dict[str, int]:
        """Return the numbers of emails by status."""
        return await self._ask(IndexDatabase.email_counts)

    async def ended_before(
        self, moment: datetime, limit: int, after: str | None = None
    ) -> list[str]:
        """Return the ids of runs that ended before a time and have no queued email.

        They are sorted, greater than `after`, and at most `limit`.
        """
        return await self._ask(lambda database: database.ended_before(moment, limit, after))

    async def _ask(self, question: Callable[[IndexDatabase], T]) -> T:
        failure: Exception | None = None
        for _ in range(ATTEMPTS):
            self.start()
            updating = self._updating
            assert updating is not None  # noqa: S101  `start` has set it
            if await self._can_answer(updating):
                try:
                    return await self._step(self._answer, question)
                except IndexUnavailableError:
                    raise
                except Exception as error:  # noqa: BLE001  it is logged
                    failure = error
            self._forget(updating)
        raise IndexUnavailableError(UNAVAILABLE) from failure

    async def _can_answer(self, updating: asyncio.Task[bool]) -> bool:
        """Wait until the index is up to date; return whether that is possible."""
        is_current = asyncio.ensure_future(self._is_current.wait())
        try:
            await asyncio.wait([updating, is_current], return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_current.cancel()
        return not updating.done() or updating.result()

    # --- keeping up with the files ---

    async def _update(self) -> bool:
        """Bring the index up to date; return whether that was possible, and never raise.

        The next query would get an exception too, and so would all after it.
        """
        for _ in range(ATTEMPTS):
            with suppress(Exception):  # it is logged
                if await self._in_thread(self._open):
                    self._is_current.set()
                await self._compare("runs", self._source.run_stamps())
                await self._compare("emails", self._source.email_stamps())
                return True
        return False

    async def _compare(self, kind: Kind, stamps: Iterator[tuple[str, Stamp]]) -> None:
        """Read the records whose files differ from the index, and remove those without a file.

        A change that is put meanwhile is newer than what was read before it, and a file that is
        read afterwards is at least as new. So the order of the steps is all that matters.
        """
        await self._step(self._database.begin_comparing)
        while await self._step(self._scan, stamps):
            pass
        await self._step(self._database.compare, kind)
        while await self._step(self._read, kind):
            pass

    def _plan_writing(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHER_SECONDS, self._begin_writing)

    def _begin_writing(self) -> None:
        self._timer = None
        if self._updating is None:
            return
        if not self._updating.done():
            self._plan_writing()  # unless the steps of the update take the changes along
        elif self._changes:
            task = asyncio.create_task(self._write_gathered(self._updating), name="write the index")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write_gathered(self, updating: asyncio.Task[bool]) -> None:
        try:
            await self._step(len, ())
        except Exception:  # noqa: BLE001  it is logged
            self._forget(updating)

    def _forget(self, updating: asyncio.Task[bool]) -> None:
        """Have the next query bring the index up to date, after a failure."""
        if self._updating is updating:
            self._updating = None
            self._changes = _Changes()

    def _take_changes(self) -> _Changes:
        changes, self._changes = self._changes, _Changes()
        return changes

    # --- in the thread ---

    async def _step(self, work: Callable[..., T], *args: Any) -> T:
        """Write the changes, then do some work, in the thread."""
        return await self._in_thread(self._carry_out, self._take_changes(), work, *args)

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await held(loop.run_in_executor(self._thread, work, *args))

    def _open(self) -> bool:
        """Open the file; return whether it is up to date, as far as the folders tell."""
        state = self._source.state()
        with self._discarding_damaged():
            return self._file.open(state)

    def _answer(self, question: Callable[[IndexDatabase], T]) -> T:
        """Answer a query; an error that is not damage costs this answer, and nothing else."""
        try:
            return question(self._database)
        except Exception as error:
            if means_damage(error):
                raise
            logger.warning("%s can't answer a query.", INDEX, exc_info=error)
            raise IndexUnavailableError(UNAVAILABLE) from error

    def _carry_out(self, changes: _Changes, work: Callable[..., T], *args: Any) -> T:
        with self._discarding_damaged():
            self._file.check()
            changes.apply(self._database)
            return work(*args)

    @contextmanager
    def _discarding_damaged(self) -> Iterator[None]:
        """Discard a damaged file; after other errors close it, as what is in it may be right."""
        try:
            yield
        except IndexUnavailableError:
            raise
        except Exception as error:
            if means_damage(error):
                logger.warning("%s is to be made anew: %s.", INDEX, error)
                with suppress(OSError):
                    self._file.discard()
            else:
                logger.warning("%s can't be brought up to date.", INDEX, exc_info=error)
                self._file.disconnect()  # the next query opens it again
            raise

    def _close(self, changes: _Changes, is_up_to_date: bool) -> None:
        if self._file.is_open:
            with suppress(Exception):  # it is logged; the next start reads the files
                state = self._source.state() if is_up_to_date else ""
                self._carry_out(changes, self._file.close, state)

    def _scan(self, stamps: Iterator[tuple[str, Stamp]]) -> bool:
        """Note the state of some files; return whether there were any."""
        found = [FoundRow(one, stamp_text(stamp)) for one, stamp in islice(stamps, ROWS_AT_ONCE)]
        self._database.put_found(found)
        return bool(found)

    def _read(self, kind: Kind) -> bool:
        """Read some files that differ; return whether there were any."""
        ids = self._database.next_differing(READ_AT_ONCE)
        if kind == "runs":
            runs = [run for run_id in ids if (run := self._source.run(run_id))]
            self._database.put_runs(row_of_run(*run) for run in runs)
            self._remove_others(kind, ids, {run.id for run, _ in runs})
        else:
            emails = [email for email_id in ids if (email := self._source.email(email_id))]
            self._database.put_emails(row_of_email(*email) for email in emails)
            self._remove_others(kind, ids, {email.id for email, _ in emails})
        return bool(ids)

    def _remove_others(self, kind: Kind, ids: list[str], found: set[str]) -> None:
        self._database.remove_records(kind, [one for one in ids if one not in found])
