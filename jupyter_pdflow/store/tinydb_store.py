"""The store that keeps everything in TinyDB files below one data directory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.store.base import Output
from jupyter_pdflow.store.runs import Runs
from jupyter_pdflow.store.step_outputs import StepOutputs
from jupyter_pdflow.store.summaries import RunSummary
from jupyter_pdflow.store.threads import in_thread
from jupyter_pdflow.store.workflows import Workflows
from jupyter_pdflow.store.writer import Writer


class TinyDBStore:
    """A `Store` in files; the caller holds the data directory's lock.

    Parameters
    ----------
    data_dir : Path
        The directory; made where it is missing.
    log : logging.Logger
        Where damaged files are reported.
    """

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._writer = Writer(data_dir, log)
        self._runs = Runs(data_dir, log, self._writer.write)
        self._workflows = Workflows(data_dir, log)
        self._outputs = StepOutputs(data_dir, log)

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
