"""One task per run that is under way: it takes a kernel and executes steps until a pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from jupyter_pdflow.engine.debts import RETRY_AFTER, Trouble
from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.run import Error, Outcome, Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.store.base import Output

if TYPE_CHECKING:
    from jupyter_pdflow.engine.engine import Engine

GRACE_SECONDS = 5.0
"""How long a server that is told to stop waits for the steps that are executing."""

INTERRUPTED_SECONDS = 1.0
"""How long a step that was interrupted then may take to clean up."""


class Drivers:
    """Drives the runs of an engine through kernels; a paused run has none and costs nothing."""

    def __init__(
        self, engine: Engine, pool: KernelPool, trouble: Trouble, log: logging.Logger
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._trouble = trouble
        self._log = log
        self._stopping = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._queued: set[str] = set()
        self._kernels: dict[str, Kernel] = {}
        self._interrupts: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether any run is under way."""
        return bool(self._tasks)

    def expect(self, workflow: Workflow) -> None:
        """Get ready for runs of a workflow."""
        self._pool.expect(workflow.source.kernel_name)

    def take(self, run: Run) -> Kernel | None:
        """Take a kernel that is warm for a run, if there is one, for `start` or `give_back`."""
        if self._stopping or run.id in self._tasks:
            return None
        try:
            return self._pool.take(self._engine.workflow_of(run))
        except PDFlowError:
            return None

    def give_back(self, kernel: Kernel | None) -> None:
        """Let others have a kernel that was taken."""
        if kernel is not None:
            self._pool.release(kernel)

    def start(self, run: Run, kernel: Kernel | None = None) -> None:
        """Drive a run, unless it is being driven; when the server stops, the next start will.

        Parameters
        ----------
        run : Run
            Begun already, where a kernel comes with it.
        kernel : Kernel or None
            What `take` gave; without it, the run queues for one.
        """
        if run.id not in self._tasks and not self._stopping:
            drive = self._drive(run, kernel)
            self._tasks[run.id] = asyncio.create_task(drive, name=f"run {run.id}")

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

    async def stop(self) -> None:
        """Begin no step any more; give those that are executing a short time to end."""
        self._stopping = True
        for run_id in self._queued:
            self._tasks[run_id].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=GRACE_SECONDS)

    async def close(self) -> None:
        """Put the runs at rest whose steps have not ended; end the kernels."""
        kernels = dict(self._kernels)
        for run_id in kernels:
            await self._halt(run_id)
        interrupts = [kernel.interrupt(INTERRUPTED_SECONDS) for kernel in kernels.values()]
        await asyncio.gather(*interrupts, return_exceptions=True)
        tasks = [*self._tasks.values(), *self._interrupts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.shutdown()

    async def _halt(self, run_id: str) -> None:
        try:
            await self._engine.halt(run_id)
        except (PDFlowError, OSError) as error:
            self._log.error("Run %s can't be put at rest: %s", run_id, error)

    async def _drive(self, run: Run, kernel: Kernel | None) -> None:
        try:
            if kernel is None:
                await self._take_kernel_and_execute(run.id)
            else:
                await self._execute(kernel, run.id, partial(self._again, run.id))
        except PDFlowError as error:
            self._log.error("Run %s can't go on; the next start tries again. %s", run.id, error)
        except Exception:  # noqa: BLE001  one run's trouble must not stop the others
            self._log.exception("Run %s stops here; the next start takes it up again.", run.id)
        finally:
            del self._tasks[run.id]

    async def _again(self, run_id: str) -> Run:
        """Read a run again that has begun: someone may have cancelled it since."""
        return self._engine.run(run_id)

    async def _take_kernel_and_execute(self, run_id: str) -> None:
        if self._stopping:
            return
        workflow = self._engine.workflow_of(self._engine.run(run_id))
        begin = partial(self._engine.begin, run_id)
        try:
            kernel = self._pool.take(workflow) or await self._queue(run_id, workflow)
        except PDFlowError as error:
            run = await self._stored(begin)
            await self._store_outcome(run, Outcome(error=_error(error)), [])
            return
        await self._execute(kernel, run_id, begin)

    async def _queue(self, run_id: str, workflow: Workflow) -> Kernel:
        self._queued.add(run_id)
        try:
            return await self._pool.acquire(workflow, workflow.path)
        finally:
            self._queued.discard(run_id)

    async def _execute(
        self, kernel: Kernel, run_id: str, begun: Callable[[], Awaitable[Run]]
    ) -> None:
        """Execute the steps of the run that `begun` gives, until it pauses or ends."""
        self._kernels[run_id] = kernel
        try:
            run = await self._stored(begun)
            while run.status == "running":
                result = await kernel.execute(self._engine.execution(run))
                run = await self._store_outcome(run, result.outcome, result.outputs)
        finally:
            del self._kernels[run_id]
            self._pool.release(kernel)

    async def _store_outcome(self, run: Run, outcome: Outcome, outputs: list[Output]) -> Run:
        """Store an outcome, and begin the next step unless the server stops."""
        finish = partial(self._engine.finish, run, outcome, outputs)
        return await self._stored(lambda: finish(go_on=not self._stopping))

    async def _stored(self, change: Callable[[], Awaitable[Run]]) -> Run:
        """Make a change, however often it takes: the kernel's work is not thrown away."""
        while True:
            try:
                return await change()
            except OSError as error:
                self._trouble.begins(error)
                await asyncio.sleep(RETRY_AFTER)


def _error(error: PDFlowError) -> Error:
    found = getattr(error, "error", None)
    if isinstance(found, Error):
        return found
    return Error(ename=type(error).__name__, evalue=str(error))
