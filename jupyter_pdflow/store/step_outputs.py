"""What the steps of a run showed, in TinyDB: one database per run that showed anything."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.store.base import Output
from jupyter_pdflow.store.records import Records, RecordType
from jupyter_pdflow.store.validation import flaw_of_values, is_writable

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

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._records = Records(data_dir / "outputs", RUN_OUTPUTS, log)
        self._log = log

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
            self._log.error("The outputs of run %s are lost: %s", run_id, error)
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
