"""What is stored: workflows, runs and their emails, as clients read, deploy and remove them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime

from jupyter_pdflow.engine.counting import Counting
from jupyter_pdflow.exceptions import PDFlowError, StorageUnavailableError
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.approvals import may_decide
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.people import Directory, Person
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores import (
    Email,
    RunChange,
    RunQuery,
    RunSummary,
    VersionSummary,
    check_ended,
)
from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.counts import CountQuery, Counts

INBOX_RUNS = 100
"""Maximum number of runs in an inbox."""

VERSIONS_LISTED = 100
"""Maximum number of versions in a list."""

INBOX_SEARCHED = 5_000
"""Maximum number of suspended runs that are looked at for an inbox."""


class Catalog:
    """Workflows, runs and their emails; the state of a run is changed by `Service` only.

    Parameters
    ----------
    directory : Directory
        Who is one person, and who belongs to a group.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        directory: Directory,
        clock: Callable[[], datetime],
        limits: Limits,
    ) -> None:
        self.directory = directory
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._limits = limits
        self._counting = Counting(store.counts)

    # --- workflows ---

    async def deploy(self, path: str, source: Source) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns the version, and whether new runs used another one before. Stored: the version.
        """
        return await self._store.deploy(path, source, self._clock())

    async def workflows(self) -> list[Workflow]:
        """Return the newest version of each workflow."""
        return await self._store.workflows()

    async def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return await self._store.workflow(workflow_id, version)

    async def workflow_of(self, run: Run) -> Workflow:
        """Return the version that a run was started with; `NotFoundError` if it is missing."""
        return await self._store.workflow(run.workflow_id, run.version)

    async def deployed(self, path: str) -> Workflow | None:
        """Return the newest version of the notebook at `path`, or None if it has none."""
        return await self._store.deployed(path)

    async def versions(self, workflow_id: str) -> list[VersionSummary]:
        """Return the newest versions of a workflow, newest first; `NotFoundError` if unknown."""
        return await self._store.versions(workflow_id, VERSIONS_LISTED)

    async def version_numbers(self, runs: Iterable[Run | RunSummary]) -> dict[tuple[str, str], int]:
        """Return the numbers of the versions of runs, by workflow and hash, if they are known."""
        versions = {(run.workflow_id, run.version) for run in runs}
        try:
            return await self._store.version_numbers(versions)
        except StorageUnavailableError:
            # What was stored a moment ago must not be answered for as an error.
            return {}

    # --- runs ---

    async def run(self, run_id: str) -> Run:
        """Return a run as it is stored; `NotFoundError` if unknown."""
        return await self._store.get(run_id)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
        return await self._store.history(run_id)

    async def runs(self, query: RunQuery) -> list[RunSummary]:
        """Return summaries of runs, newest first."""
        return await self._store.list(query)

    async def counts(self, query: CountQuery) -> Counts:
        """Return numbers of runs by workflow and status, and those of each day."""
        return await self._counting.counts(query)

    async def changes(self) -> AsyncIterator[RunChange]:
        """Return an iterator over the changes of runs from now on; `aclose` it in the end."""
        return await self._store.changes()

    async def inbox(self, person: Person) -> list[RunSummary]:
        """Return the paused runs that wait for a person, newest first.

        Those without approvers wait for everyone. At most `INBOX_RUNS` of the newest
        `INBOX_SEARCHED` suspended runs.
        """
        found, before, searched = list[RunSummary](), None, 0
        while len(found) < INBOX_RUNS and searched < INBOX_SEARCHED:
            query = RunQuery(status="paused", pause="suspend", before=before, limit=INBOX_RUNS)
            runs = await self._store.list(query)
            found += [run for run in runs if self._waits_for(run, person)]
            searched += len(runs)
            if len(runs) < INBOX_RUNS:
                break
            before = runs[-1].id
        return found[:INBOX_RUNS]

    def _waits_for(self, run: RunSummary, person: Person) -> bool:
        return run.pause is not None and may_decide(run.pause, person, self.directory)

    async def delete(self, run_id: str) -> None:
        """Remove a run that has ended, with its files, outputs and emails.

        Raises
        ------
        NotFoundError, RunActiveError
            There is no such run, or it has not ended.
        """
        run = await self._store.get(run_id)
        check_ended(run)
        failed = await self.delete_all([run.id])
        if failed:
            raise failed[run.id]

    async def delete_all(self, run_ids: Sequence[str]) -> dict[str, PDFlowError]:
        """Remove runs that have ended; return those that could not be removed, with the error."""
        return await self._store.delete(run_ids)

    # --- emails ---

    async def emails(self, run_id: str | None = None) -> list[Email]:
        """Return the newest emails of steps, newest first; only those of a run, if one is given."""
        await self._outbox.wait_kept()
        return await self._store.emails(self._limits.emails_listed, run_id)

    async def email(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if unknown."""
        await self._outbox.wait_kept()
        return await self._store.email(email_id)
