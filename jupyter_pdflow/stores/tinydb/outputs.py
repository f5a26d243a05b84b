"""The outputs of steps: ``outputs/<run>.json``."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec.structs import replace

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.stores import EXECUTIONS_KEPT, KeptOutputs, StepOutputs
from jupyter_pdflow.stores.tinydb.layout import OUTPUTS
from jupyter_pdflow.stores.tinydb.record_types import RUN_OUTPUTS, RunOutputs
from jupyter_pdflow.stores.tinydb.records import Records
from jupyter_pdflow.stores.tinydb.writer import WriterThread
from jupyter_pdflow.threads import in_reader, in_thread

logger = logging.getLogger(__name__)


class Outputs:
    """The outputs of the runs of a data directory: ``outputs/<run>.json``."""

    def __init__(self, data_dir: Path, writer: WriterThread) -> None:
        self._records = Records(data_dir / OUTPUTS.name, RUN_OUTPUTS, writer)

    async def get(self, run_id: str) -> KeptOutputs:
        """Return a run's outputs."""
        kept = await in_reader(self._read, run_id)
        return KeptOutputs(shown=kept.shown, dropped=kept.dropped)

    async def tag(self, run_id: str) -> str:
        """Return a text that changes when a run's outputs do."""
        return await in_thread(self._tag, run_id)

    def _tag(self, run_id: str) -> str:
        try:
            found = self._records.path(run_id).stat()
        except FileNotFoundError:
            return ""
        return f"{found.st_ino}.{found.st_mtime_ns}.{found.st_size}"

    async def put(self, run_id: str, new: StepOutputs) -> None:
        """Store the outputs of one execution, in place of those of an earlier attempt."""
        if not new.outputs and not self._records.has(run_id):
            return  # nothing to store or to replace: most steps show nothing
        changed = await in_thread(self._with, run_id, new)  # they may be large
        if changed is not None:
            await self._records.put(run_id, *changed)

    def _with(self, run_id: str, new: StepOutputs) -> tuple[RunOutputs, bytes] | None:
        """Return a run's outputs with those of an execution, and as the content of their file.

        None if nothing changes.
        """
        kept = self._read(run_id, to_replace=True)
        others = [s for s in kept.shown if (s.step, s.execution) != (new.step, new.execution)]
        if not new.outputs and len(others) == len(kept.shown):
            return None
        record = _bounded(replace(kept, shown=[*others, new]), new.step)
        return record, RUN_OUTPUTS.dump(record)

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
            return self._records.read(run_id)
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
