"""The store on TinyDB: runs, workflow versions and the outputs of steps."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec.structs import replace
from slugify import slugify

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.rules.workflow import Source, Workflow, version_of
from jupyter_pdflow.stores import Output, RunSummary
from jupyter_pdflow.stores.tinydb.layout import OUTPUTS, WORKFLOWS
from jupyter_pdflow.stores.tinydb.record_types import (
    RUN_OUTPUTS,
    WORKFLOW,
    ExecutionOutputs,
    RunOutputs,
    Versions,
)
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.runs import Runs
from jupyter_pdflow.stores.tinydb.storage import in_thread
from jupyter_pdflow.stores.tinydb.writer import WriterThread

logger = logging.getLogger(__name__)

EXECUTIONS_KEPT = 20
"""Maximum number of executions of one step whose outputs are kept."""


class StepOutputs:
    """The outputs of the runs of a data directory: ``outputs/<run>.json``."""

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / OUTPUTS.name, RUN_OUTPUTS, writer)

    def get(self, run_id: str) -> dict[str, list[Output]]:
        """Return a run's outputs by step name, with a note if some were dropped."""
        kept = self._read(run_id)
        found = {step: [_dropped_note(count)] for step, count in kept.dropped.items()}
        for execution in kept.shown:
            found.setdefault(execution.step, []).extend(execution.outputs)
        return found

    async def put(self, run_id: str, step: str, execution: int, outputs: list[Output]) -> None:
        """Store the outputs of one execution, in place of those of an earlier attempt."""
        kept = self._read(run_id, to_replace=True)
        others = [s for s in kept.shown if (s.step, s.execution) != (step, execution)]
        if not outputs and len(others) == len(kept.shown):
            return  # nothing to store or to replace: most steps show nothing
        shown = [*others, ExecutionOutputs(step=step, execution=execution, outputs=outputs)]
        await self._records.put(run_id, _bounded(replace(kept, shown=shown), step))

    def remove(self, run_id: str) -> None:
        """Remove a run's outputs."""
        self._records.unlink(run_id)

    def _read(self, run_id: str, *, to_replace: bool = False) -> RunOutputs:
        """Return a run's outputs; if its file can't be read, none.

        Before such a file is replaced, it is quarantined.
        """
        if not self._records.has(run_id):
            return RunOutputs(id=run_id)
        try:
            return self._records.get(run_id)
        except StoredFileError as error:
            logger.error("The outputs of run %s can't be read: %s", run_id, error)
            if to_replace:
                self._records.quarantine(run_id, error)
            return RunOutputs(id=run_id)


def _bounded(kept: RunOutputs, step: str) -> RunOutputs:
    """Drop the oldest execution of a step if there are more than `EXECUTIONS_KEPT`."""
    of_step = [execution for execution in kept.shown if execution.step == step]
    if len(of_step) <= EXECUTIONS_KEPT:
        return kept
    dropped = {**kept.dropped, step: kept.dropped.get(step, 0) + 1}
    shown = [execution for execution in kept.shown if execution is not of_step[0]]
    return replace(kept, shown=shown, dropped=dropped)


def _dropped_note(count: int) -> Output:
    text = f"[The outputs of the first {count} executions of this step were dropped.]\n"
    return {"output_type": "stream", "name": "stderr", "text": text}


class Workflows:
    """The workflows of a data directory: ``workflows/<id>.json``, and all of them in memory."""

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / WORKFLOWS.name, WORKFLOW, writer)
        self._known = {known.id: known for known in self._records.all()}
        self._deploying = asyncio.Lock()

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns the version, and whether it was not the newest before.
        """
        async with self._deploying:
            return await self._deploy(path, source, now)

    async def _deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        workflow_id, version = self._id_for(path), version_of(source)
        known = self._known.get(workflow_id) or self._not_loaded(workflow_id)
        if known is not None and known.newest == version:
            return known.versions[version], False
        workflow = Workflow(
            id=workflow_id,
            name=PurePosixPath(path).stem,
            version=version,
            path=path,
            source=source,
            created_at=now,
        )
        await self._store_version(known, workflow)
        return workflow, True

    def all(self) -> list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        return [known.versions[known.newest] for _, known in sorted(self._known.items())]

    def get(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default.

        Raises
        ------
        NotFoundError
            There is no such workflow or version.
        """
        known = self._known.get(workflow_id)
        workflow = known.versions.get(version or known.newest) if known else None
        if workflow is None:
            msg = f"There is no workflow {workflow_id!r}" + (f" {version}." if version else ".")
            raise NotFoundError(msg)
        return workflow

    async def _store_version(self, known: Versions | None, workflow: Workflow) -> None:
        version = workflow.version
        if known is None:
            known = Versions(id=workflow.id, newest=version, versions={})
        versions = {**known.versions, version: workflow}
        known = replace(known, newest=version, versions=versions)
        await self._records.put(known.id, known)
        self._known[known.id] = known

    def _not_loaded(self, workflow_id: str) -> Versions | None:
        """Return a workflow whose file was not loaded at the start, or None if it has no file.

        Such a file must not be overwritten: a newer version of this package may have written it.

        Raises
        ------
        StoredFileError
            The file can't be read.
        """
        return self._records.get(workflow_id) if self._records.has(workflow_id) else None

    def _id_for(self, path: str) -> str:
        """Return the id of the workflow of a path; two paths never have the same one."""
        slug = slugify(path.removesuffix(".ipynb"), max_length=80) or "workflow"
        known = self._known.get(slug)
        if known is None or known.versions[known.newest].path == path:
            return slug
        return f"{slug}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


class TinyDBStore:
    """A `Store` in TinyDB files; the caller holds the data directory's lock.

    Parameters
    ----------
    data_dir : Path
        The directory; made if it is missing.
    writer : WriterThread, optional
        Makes the writes; ended by `close`.
    """

    def __init__(self, data_dir: Path, writer: WriterThread | None = None) -> None:
        self._writer = writer or WriterThread()
        self._runs = Runs(data_dir, self._writer)
        self._workflows = Workflows(data_dir, self._writer)
        self._outputs = StepOutputs(data_dir, self._writer)

    def active(self) -> Iterator[Run]:
        """Read all runs that were not stored by `finish`. Call it once, before all else."""
        return self._runs.active()

    def get(self, run_id: str) -> Run:
        """Return a run; `NotFoundError` if it is unknown, `StoredFileError` if unreadable."""
        return self._runs.get(run_id)

    async def put(self, run: Run, entries: Sequence[HistoryEntry] = ()) -> None:
        """Store a run that has not ended, or whose emails are not handed over."""
        await self._runs.put(run, entries)

    async def finish(self, run: Run, entries: Sequence[HistoryEntry] = ()) -> None:
        """Store a run that has ended, so that `active` returns it no more; may be repeated."""
        await self._runs.finish(run, entries)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
        return await self._runs.history(run_id)

    async def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first, with ids before `before`."""
        return await self._runs.page(
            status=status, workflow_id=workflow_id, limit=limit, before=before
        )

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Return the outputs of a run by step name; empty if it has none."""
        return self._outputs.get(run_id)

    async def put_outputs(
        self, run_id: str, step: str, execution: int, outputs: list[Output]
    ) -> None:
        """Store the outputs of one execution of a step, in place of those of an earlier attempt."""
        await self._outputs.put(run_id, step, execution, outputs)

    async def ended_before(self, moment: datetime) -> list[str]:
        """Return the ids of runs that ended before a time, oldest first."""
        return await self._runs.ended_before(moment)

    async def remove(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        """Remove runs that have ended, and their outputs first; return those that failed."""
        failed = await in_thread(self._unlink, run_ids)
        self._runs.forget([run_id for run_id in run_ids if run_id not in failed])
        return failed

    def _unlink(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        failed = {}
        for run_id in run_ids:
            try:
                self._outputs.remove(run_id)
                self._runs.unlink(run_id)
            except OSError as error:
                failed[run_id] = error
        return failed

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`; return it, and whether new."""
        return await self._workflows.deploy(path, source, now)

    def workflows(self) -> list[Workflow]:
        """Return the newest version of each workflow, sorted by the workflow's id."""
        return self._workflows.all()

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return self._workflows.get(workflow_id, version)

    async def close(self) -> None:
        """End the thread that writes. Nothing may be written afterwards."""
        await self._writer.close()
