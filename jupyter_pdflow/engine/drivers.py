"""One task per run that is under way: it takes a kernel and executes steps until a pause."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.run import Error, Outcome, Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.store.base import Output

if TYPE_CHECKING:
    from jupyter_pdflow.engine.engine import Engine

RETRY_AFTER = 2.0
"""Seconds until storing an outcome is tried again, for instance when the disk is full."""


class Drivers:
    """Drives the runs of an engine through kernels; a paused run has none and costs nothing."""

    def __init__(self, engine: Engine, pool: KernelPool, log: logging.Logger) -> None:
        self._engine = engine
        self._pool = pool
        self._log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._queued: set[str] = set()
        self._kernels: dict[str, Kernel] = {}
        self._interrupts: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether any run is under way."""
        return bool(self._tasks)

    def start(self, run_id: str) -> None:
        """Drive a run, unless it is being driven."""
        if run_id not in self._tasks:
            self._tasks[run_id] = asyncio.create_task(self._drive(run_id), name=f"run {run_id}")

    def interrupt(self, run_id: str) -> None:
        """Interrupt the kernel that executes a run."""
        kernel = self._kernels.get(run_id)
        if kernel is not None:
            task = asyncio.create_task(kernel.interrupt(), name=f"interrupt {run_id}")
            self._interrupts.add(task)
            task.add_done_callback(self._interrupts.discard)

    def forget(self, run_id: str) -> None:
        """Take a run that has ended out of the queue for a kernel."""
        if run_id in self._queued:
            self._tasks[run_id].cancel()

    async def close(self) -> None:
        """Stop driving; what the kernels were doing is lost."""
        tasks = [*self._tasks.values(), *self._interrupts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.shutdown()

    async def _drive(self, run_id: str) -> None:
        try:
            await self._take_kernel_and_execute(run_id)
        except Exception:  # noqa: BLE001  one run's trouble must not stop the others
            self._log.exception("Run %s stops here; the next start takes it up again.", run_id)
        finally:
            del self._tasks[run_id]

    async def _take_kernel_and_execute(self, run_id: str) -> None:
        workflow = self._engine.workflow_of(self._engine.run(run_id))
        try:
            kernel = self._pool.take(workflow) or await self._queue(run_id, workflow)
        except PDFlowError as error:
            run = self._engine.begin(run_id)
            await self._store_outcome(run, Outcome(error=_error(error)), [])
            return
        self._kernels[run_id] = kernel
        try:
            await self._execute(run_id, kernel)
        finally:
            del self._kernels[run_id]
            self._pool.release(kernel)

    async def _queue(self, run_id: str, workflow: Workflow) -> Kernel:
        self._queued.add(run_id)
        try:
            return await self._pool.acquire(workflow, workflow.path)
        finally:
            self._queued.discard(run_id)

    async def _execute(self, run_id: str, kernel: Kernel) -> None:
        run = self._engine.begin(run_id)
        while run.status == "running":
            result = await kernel.execute(self._engine.execution(run))
            run = await self._store_outcome(run, result.outcome, result.outputs)

    async def _store_outcome(self, run: Run, outcome: Outcome, outputs: list[Output]) -> Run:
        """Store an outcome, however often it takes: the kernel's work is not thrown away."""
        while True:
            try:
                return self._engine.finish(run, outcome, outputs)
            except OSError:
                self._log.exception("The outcome of run %s can't be stored; retrying.", run.id)
                await asyncio.sleep(RETRY_AFTER)


def _error(error: PDFlowError) -> Error:
    found = getattr(error, "error", None)
    if isinstance(found, Error):
        return found
    return Error(ename=type(error).__name__, evalue=str(error))
