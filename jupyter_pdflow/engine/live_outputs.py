"""What the steps that this process executes have shown so far: for its views, and for others'."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.kernels.outputs import OutputCollector
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import KeptOutputs, StepOutputs
from jupyter_pdflow.stores.base import Store

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
"""Time between two times that other processes are shown what has changed."""


class Showing(NamedTuple):
    """An attempt that is executed, and what its kernel collects of it."""

    run: Run
    collector: OutputCollector

    @property
    def tag(self) -> str:
        """What changes when the attempt shows something; ASCII, as HTTP headers are."""
        return f"{self.run.execution}.{self.run.attempt}.{self.collector.version}"

    def outputs(self, *, shown: bool = True) -> StepOutputs:
        """Return what it has shown so far; nothing of that without `shown`."""
        return StepOutputs(
            step=self.run.current.name,
            execution=self.run.execution,
            attempt=self.run.attempt,
            outputs=self.collector.finish() if shown else [],
        )


def with_live(kept: KeptOutputs, run: Run, live: StepOutputs | None) -> KeptOutputs:
    """Return the outputs of a run with those of its step that is executed.

    Parameters
    ----------
    kept : KeptOutputs
        What is stored.
    run : Run
        The run as it was before `kept` was read.
    live : StepOutputs or None
        What the step has shown so far, if this process executes it; else it is `KeptOutputs.live`.
    """
    # A canceled step is interrupted, and what it has shown is stored then.
    if run.status not in ("running", "canceled"):
        return kept
    shown = kept.shown
    if run.status == "running":
        shown = [each for each in shown if not each.is_of(run) or each.attempt == run.attempt]
    for found in (live, kept.live):
        is_current = found is not None and found.is_of(run) and found.attempt == run.attempt
        if found is not None and is_current and not any(each.is_of(run) for each in shown):
            shown = [*shown, found]
    return replace(kept, shown=shown)


class LiveOutputs:
    """Shows other processes what changes of the steps that this process executes.

    It is done in a task of its own, which no step waits for. What could not be stored is tried again.

    Parameters
    ----------
    store : Store
    showing : callable
        Returns the attempts that this process executes, by the ids of their runs.
    """

    def __init__(self, store: Store, showing: Callable[[], Mapping[str, Showing]]) -> None:
        self._store = store
        self._showing = showing
        self._stored: dict[str, tuple[Showing, int]] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin, if other processes share the store."""
        if self._store.lease_seconds is not None:
            self._task = asyncio.create_task(self._store_repeatedly(), name="show live outputs")

    async def close(self) -> None:
        """End, and remove what is stored."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with suppress(PDFlowError):  # another process removes it later
            for run_id in [*self._stored]:
                await self._store_changes(run_id, None)

    async def _store_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            showing = dict(self._showing())
            for run_id in [*showing.keys() | self._stored.keys()]:
                try:
                    await self._store_changes(run_id, showing.get(run_id))
                except PDFlowError as error:
                    logger.debug("Live outputs of run %s can't be stored: %s", run_id, error)
                except Exception:
                    logger.exception("Live outputs of run %s can't be stored", run_id)

    async def _store_changes(self, run_id: str, now: Showing | None) -> None:
        before, version = self._stored.get(run_id, (None, 0))
        if before is not None and before is not now:
            del self._stored[run_id]
            await self._store.remove_live(run_id, before.outputs(shown=False))
            version = 0
        if now is not None and now.collector.version != version:
            version = now.collector.version
            # Noted before it is stored, which may succeed without an answer.
            self._stored[run_id] = now, -1
            await self._store.put_live(run_id, now.outputs())
            self._stored[run_id] = now, version
