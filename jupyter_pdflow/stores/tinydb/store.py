"""The store on TinyDB: runs, workflow versions and the outputs of steps."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace
from slugify import slugify

from jupyter_pdflow.exceptions import NotFoundError, StoredFileError
from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.rules.workflow import Source, Workflow, version_of
from jupyter_pdflow.stores.base import Output, RunSummary
from jupyter_pdflow.stores.tinydb.records import Records, RecordType
from jupyter_pdflow.stores.tinydb.runs import Runs
from jupyter_pdflow.stores.tinydb.storage import in_thread
from jupyter_pdflow.stores.tinydb.validation import flaw_of_values, flaw_of_workflow, is_writable
from jupyter_pdflow.stores.tinydb.writer import Writer

logger = logging.getLogger(__name__)

EXECUTIONS_KEPT = 20
"""Of a step that runs again and again, the outputs of this many executions are kept."""


class Shown(Struct, frozen=True, kw_only=True):
    """The outputs of one execution of a step."""

    step: str
    execution: int
    outputs: list[Output]


class RunOutputs(Struct, frozen=True, kw_only=True):
    """The outputs of a run, oldest first, and how many executions were dropped by step."""

    id: str
    shown: list[Shown] = []
    dropped: dict[str, int] = {}


def flaw_of_outputs(kept: RunOutputs) -> str | None:
    """Say what is wrong with stored outputs; None if nothing is."""
    writable = is_writable([shown.outputs for shown in kept.shown])
    return flaw_of_values(kept) or (None if writable else "its data can't be written again")


RUN_OUTPUTS = RecordType(RunOutputs, "outputs", flaw_of_outputs)
"""How the outputs of a run are stored."""


class StepOutputs:
    """The outputs of a data directory, ``outputs/<run>.json``."""

    def __init__(self, data_dir: Path) -> None:
        self._records = Records(data_dir / "outputs", RUN_OUTPUTS)

    def get(self, run_id: str) -> dict[str, list[Output]]:
        """Read a run's outputs by step name; says where some were dropped."""
        kept = self._read(run_id)
        found = {step: [_dropped_note(count)] for step, count in kept.dropped.items()}
        for shown in kept.shown:
            found.setdefault(shown.step, []).extend(shown.outputs)
        return found

    async def put(self, run_id: str, step: str, execution: int, outputs: list[Output]) -> None:
        """Keep the outputs of one execution, in place of an earlier attempt's."""
        kept = self._read(run_id, to_replace=True)
        others = [s for s in kept.shown if (s.step, s.execution) != (step, execution)]
        if not outputs and len(others) == len(kept.shown):
            return
        shown = [*others, Shown(step=step, execution=execution, outputs=outputs)]
        await self._records.put(run_id, _bounded(replace(kept, shown=shown), step))

    def remove(self, run_id: str) -> None:
        """Forget a run's outputs."""
        self._records.path(run_id).unlink(missing_ok=True)

    def _read(self, run_id: str, *, to_replace: bool = False) -> RunOutputs:
        """Read a run's outputs; what can't be read is not overwritten, but set aside."""
        if not self._records.has(run_id):
            return RunOutputs(id=run_id)
        try:
            return self._records.get(run_id)
        except StoredFileError as error:
            logger.error("The outputs of run %s are lost: %s", run_id, error)
            if to_replace:
                self._records.set_aside(run_id, error)
            return RunOutputs(id=run_id)


def _bounded(kept: RunOutputs, step: str) -> RunOutputs:
    """Drop the oldest execution of a step when it has one too many."""
    of_step = [shown for shown in kept.shown if shown.step == step]
    if len(of_step) <= EXECUTIONS_KEPT:
        return kept
    dropped = {**kept.dropped, step: kept.dropped.get(step, 0) + 1}
    shown = [shown for shown in kept.shown if shown is not of_step[0]]
    return replace(kept, shown=shown, dropped=dropped)


def _dropped_note(count: int) -> Output:
    text = f"[The outputs of the first {count} executions of this step were dropped.]\n"
    return {"output_type": "stream", "name": "stderr", "text": text}


class Versions(Struct, frozen=True, kw_only=True):
    """All versions of one workflow; `newest` names the one that new runs use."""

    id: str
    newest: str
    versions: dict[str, Workflow]


def flaw_of_versions(known: Versions) -> str | None:
    """Say what is wrong with a stored workflow; None if nothing is."""
    if known.newest not in known.versions:
        return "its newest version is missing"
    for version, workflow in known.versions.items():
        if (workflow.id, workflow.version) != (known.id, version):
            return f"version {version[:80]!r} is that of another workflow, or another version"
        flaw = flaw_of_workflow(workflow)
        if flaw is not None:
            return f"version {version!r}: {flaw}"
    return None


WORKFLOW = RecordType(Versions, "workflow", flaw_of_versions)
"""How a workflow is stored."""


class Workflows:
    """The workflows of a data directory, ``workflows/<id>.json``, all held in memory."""

    def __init__(self, data_dir: Path) -> None:
        self._records = Records(data_dir / "workflows", WORKFLOW)
        self._known = {known.id: known for known in self._records.all()}
        self._deploying = asyncio.Lock()

    async def deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns
        -------
        workflow : Workflow
            The version that new runs now use.
        changed : bool
            Whether new runs used another one before.
        """
        async with self._deploying:
            return await self._deploy(path, source, now)

    async def _deploy(self, path: str, source: Source, now: datetime) -> tuple[Workflow, bool]:
        workflow_id, version = self._id_for(path), version_of(source)
        known = self._known.get(workflow_id) or self._left_alone(workflow_id)
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
        await self._keep(known, workflow)
        return workflow, True

    def all(self) -> list[Workflow]:
        """Get the newest version of each workflow, by id."""
        return [known.versions[known.newest] for _, known in sorted(self._known.items())]

    def get(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Get one version of a workflow, the newest by default.

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

    async def _keep(self, known: Versions | None, workflow: Workflow) -> None:
        version = workflow.version
        if known is None:
            known = Versions(id=workflow.id, newest=version, versions={})
        versions = {**known.versions, version: workflow}
        known = replace(known, newest=version, versions=versions)
        await self._records.put(known.id, known)
        self._known[known.id] = known

    def _left_alone(self, workflow_id: str) -> Versions | None:
        """Read a file that was not read when the server started, instead of overwriting it.

        Raises
        ------
        StoredFileError
            It can't be read: a newer version of this package wrote it, for instance.
        """
        return self._records.get(workflow_id) if self._records.has(workflow_id) else None

    def _id_for(self, path: str) -> str:
        """Make a slug of a path; two paths never share one."""
        slug = slugify(path.removesuffix(".ipynb"), max_length=80) or "workflow"
        known = self._known.get(slug)
        if known is None or known.versions[known.newest].path == path:
            return slug
        return f"{slug}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


class TinyDBStore:
    """A `Store` in files; the caller holds the data directory's lock.

    Parameters
    ----------
    data_dir : Path
        The directory; made where it is missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._writer = Writer(data_dir)
        self._runs = Runs(data_dir, self._writer.write)
        self._workflows = Workflows(data_dir)
        self._outputs = StepOutputs(data_dir)

    def active(self) -> Iterator[Run]:
        """Read all runs that have not been filed as finished; call it once, first."""
        return self._runs.active()

    async def survey(self) -> None:
        """Learn which runs have ended, once; what needs to know it waits for that."""
        await self._runs.survey()

    def get(self, run_id: str) -> Run:
        """Read a run; `NotFoundError` where there is none."""
        return self._runs.get(run_id)

    async def put(self, run: Run) -> None:
        """Store a run as it now is."""
        await self._runs.put(run)

    async def finish(self, run: Run) -> None:
        """Store a run that has ended among the finished ones; may be called again."""
        await self._runs.finish(run)

    async def page(
        self,
        *,
        status: RunStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Read what lists show of runs, newest first, from before the run id `before` on."""
        return await self._runs.page(
            status=status, workflow_id=workflow_id, limit=limit, before=before
        )

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Read a run's outputs by step name."""
        return self._outputs.get(run_id)

    async def put_outputs(
        self, run_id: str, step: str, execution: int, outputs: list[Output]
    ) -> None:
        """Keep the outputs of one execution of a step."""
        await self._outputs.put(run_id, step, execution, outputs)

    async def ended_before(self, moment: datetime) -> list[str]:
        """List the ids of runs that ended before that time, oldest first."""
        return await self._runs.ended_before(moment)

    async def remove(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        """Remove runs that have ended, their outputs first; return those that could not go."""
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
        """Make `source` the newest version of a notebook; the bool says whether it changed."""
        return await self._workflows.deploy(path, source, now)

    def workflows(self) -> list[Workflow]:
        """Get the newest version of each workflow, by id."""
        return self._workflows.all()

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Get one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return self._workflows.get(workflow_id, version)

    async def close(self) -> None:
        """End what writing has started; nothing is written any more."""
        await self._writer.close()
