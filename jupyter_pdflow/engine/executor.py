"""Executes runs: one task per run takes a kernel and executes steps until the run pauses or ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from jupyter_pdflow.engine.queue import Admission, Claims, Slot
from jupyter_pdflow.exceptions import (
    GatewayError,
    GatewayUnavailableError,
    PDFlowError,
    StorageUnavailableError,
)
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.execution import is_alone
from jupyter_pdflow.rules.run import Error, Execution, Outcome, Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Output

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""How long a stop waits for the steps that are executing."""

INTERRUPTED_SECONDS = 1.0
"""How long an interrupted step may take to clean up."""


class RunUpdates(Protocol):
    """What an executor needs of the service: the runs to execute, and to store their changes.

    Methods that change a run return the changed run. They raise `StorageUnavailableError` if the
    storage fails, and may be called again then.
    """

    async def run(self, run_id: str) -> Run:
        """Return a run."""
        ...

    async def workflow_of(self, run: Run) -> Workflow:
        """Return the version that a run was started with."""
        ...

    def execution(self, run: Run) -> Execution:
        """Describe the run's current execution for the kernel that carries it out."""
        ...

    async def begin(self, run_id: str) -> Run:
        """Store that a kernel has begun the run's current step."""
        ...

    async def finish(
        self, run: Run, outcome: Outcome, outputs: list[Output], *, begin_next: bool = True
    ) -> Run:
        """Store the outcome of a step, and the begin of the next one if `begin_next`."""
        ...

    async def requeue(self, run_id: str, *, crashed: bool = False) -> Run:
        """Queue a run again whose step was not finished."""
        ...


class Executor:
    """Executes the steps of runs in kernels. A paused run has no task and no kernel.

    Parameters
    ----------
    runs : RunUpdates
        The service.
    pool : KernelPool
        The kernels.
    on_begin : callable
        Called with the seconds for which a run was ready, when its step is given to a kernel.
    limits : Limits
        How soon a failed write is tried again.
    """

    def __init__(
        self,
        runs: RunUpdates,
        pool: KernelPool,
        on_begin: Callable[[float], object],
        *,
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._runs = runs
        self._pool = pool
        self._stopping = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._queued: set[str] = set()
        self._preparing: set[str] = set()
        self._kernels: dict[str, Kernel] = {}
        self._on_begin = on_begin
        self._ready_at: dict[str, float] = {}
        self._admission = Admission()
        self._claims = Claims()
        # References to tasks: the event loop alone would not keep them alive.
        self._interrupts: set[asyncio.Task[None]] = set()
        self._requeues: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether any run is queued or executing."""
        return bool(self._tasks)

    @property
    def executing(self) -> int:
        """Number of runs that are executing."""
        return len(self._kernels)

    def prestart(self, workflow: Workflow) -> None:
        """Start a kernel in advance for runs of a workflow."""
        self._pool.prestart(workflow.source.kernel_name)

    def claim(self, run: Run) -> Kernel | None:
        """Take a kernel that is warm for a run which is about to be stored as ready.

        So one commit can store that the run is ready and that its step has begun.

        Returns
        -------
        Kernel or None
            A kernel that has to go to `execute` or `give_back`; None if the run has to queue.
        """
        if self._stopping or not run.ready or run.id in self._tasks or is_alone(run):
            return None
        if not self._admission.try_enter():
            return None
        kernel = self._pool.take((run.workflow_id, run.version))
        if kernel is None:
            self._admission.leave(run.id)
        else:
            self._claims.add(run.id)
        return kernel

    def give_back(self, run_id: str, kernel: Kernel | None) -> None:
        """Return a kernel from `claim` to the pool, if one was taken."""
        if kernel is not None:
            self._admission.leave(run_id)
            self._pool.release(kernel)
            self._claims.end(run_id)

    def enqueue(self, run_id: str) -> None:
        """Execute a run that is ready as soon as a kernel is free, unless the server stops."""
        if run_id not in self._tasks and not self._stopping:
            self._start(run_id, self._run_queued(run_id))

    def execute(self, run: Run, kernel: Kernel) -> None:
        """Execute a run whose step has begun, in a kernel from `claim`."""
        # At once, so that `interrupt` and `close` find the kernel before the task has begun.
        self._kernels[run.id] = kernel
        self._start(run.id, self._run_warm(run, kernel))
        self._claims.end(run.id)

    def _start(self, run_id: str, execution: Coroutine[Any, Any, None]) -> None:
        self._ready_at[run_id] = time.monotonic()
        task = asyncio.create_task(self._run(run_id, execution), name=f"run {run_id}")
        self._tasks[run_id] = task

    def interrupt(self, run_id: str) -> None:
        """Interrupt the kernel that executes a run, or end one that is being prepared for it."""
        if run_id in self._preparing:
            self._tasks[run_id].cancel()
        kernel = self._kernels.get(run_id)
        if kernel is not None:
            task = asyncio.create_task(kernel.interrupt(), name=f"interrupt {run_id}")
            self._interrupts.add(task)
            task.add_done_callback(self._interrupts.discard)

    def dequeue(self, run_id: str) -> None:
        """Take a run that has ended out of the queue for a kernel."""
        if run_id in self._queued:
            self._tasks[run_id].cancel()

    async def stop(self) -> None:
        """Begin no further step, and wait a short time for those that are executing."""
        self._stopping = True
        await self._claims.wait_ended()
        for run_id in self._queued | self._preparing:
            self._tasks[run_id].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=GRACE_SECONDS)

    async def close(self) -> None:
        """Requeue the runs whose steps have not ended, and end the kernels."""
        self._stopping = True
        await self._claims.wait_ended()
        kernels = dict(self._kernels)
        # Stored before the interrupt: what an interrupted step returns then counts no more, as it
        # is of an earlier attempt.
        for run_id in kernels:
            await self._requeue(run_id)
        interrupts = [kernel.interrupt(INTERRUPTED_SECONDS) for kernel in kernels.values()]
        await asyncio.gather(*interrupts, return_exceptions=True)
        tasks = [*self._tasks.values(), *self._interrupts, *self._requeues]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.shutdown()

    # --- the task of a run ------------------------------------------------------------

    async def _run(self, run_id: str, execution: Coroutine[Any, Any, None]) -> None:
        try:
            await execution
        except GatewayError as error:
            self._retry(run_id, error)
        except PDFlowError as error:
            logger.error(
                "Run %s can't continue; the server tries again at its next start. %s", run_id, error
            )
        except Exception:
            logger.exception(
                "Run %s failed unexpectedly; the server continues it at its next start.", run_id
            )
        finally:
            execution.close()
            self._ready_at.pop(run_id, None)
            del self._tasks[run_id]

    async def _run_warm(self, run: Run, kernel: Kernel) -> None:
        slot = Slot(kernel)
        try:
            await self._execute(slot, run)
        finally:
            self._kernels.pop(run.id, None)
            self._admission.leave(run.id)
            self._give_back(slot)

    async def _run_queued(self, run_id: str) -> None:
        run = await self._stored(partial(self._runs.run, run_id))
        workflow, alone = await self._runs.workflow_of(run), is_alone(run)
        async with self._slot(run_id, workflow) as slot:
            try:
                await self._fill(run_id, slot, workflow)
                async with self._admitted(run_id, alone=alone):
                    run = await self._begin(run_id, slot, workflow)
                    await self._execute(slot, run)
            except GatewayError:
                raise
            except PDFlowError as error:
                # No kernel could be prepared. A step fails only once it has begun.
                run = await self._stored(partial(self._runs.begin, run_id))
                await self._store_outcome(run, Outcome(error=_error(error)), [])

    async def _execute(self, slot: Slot, run: Run) -> None:
        """Execute the steps of a run that has begun, until it pauses or ends."""
        while run.status == "running" and slot.kernel is not None:
            try:
                kernel = await self._exchange_stale(slot, run)
            except GatewayError:
                raise
            except PDFlowError as error:
                await self._store_outcome(run, Outcome(error=_error(error)), [])
                return
            run = await self._execute_step(kernel, run)
            if not is_alone(run):
                self._admission.share(run.id)

    async def _execute_step(self, kernel: Kernel, run: Run) -> Run:
        self._kernels[run.id] = kernel
        if run.id in self._ready_at:  # the first step since the run was ready
            self._on_begin(time.monotonic() - self._ready_at.pop(run.id))
        try:
            result = await kernel.execute(self._runs.execution(run))
            return await self._store_outcome(run, result.outcome, result.outputs)
        finally:
            self._kernels.pop(run.id, None)

    # --- kernels ----------------------------------------------------------------------

    @asynccontextmanager
    async def _slot(self, run_id: str, workflow: Workflow) -> AsyncIterator[Slot]:
        """Wait for a kernel that is warm for a version, or for a slot to start one in."""
        slot = Slot(await self._while_queued(run_id, self._pool.reserve(workflow)))
        try:
            yield slot
        finally:
            self._give_back(slot)

    def _give_back(self, slot: Slot) -> None:
        if slot.owned:
            self._pool.give_back(slot.kernel)

    async def _fill(self, run_id: str, slot: Slot, workflow: Workflow) -> None:
        """Start a kernel in a slot, unless the slot has one."""
        if slot.kernel is None:
            starting = self._pool.start(workflow, workflow.path)
            with slot.lent_to_pool():
                slot.kernel = await self._while_queued(run_id, starting)

    @asynccontextmanager
    async def _admitted(self, run_id: str, *, alone: bool) -> AsyncIterator[None]:
        """Wait until a run may execute, alone or beside others."""
        await self._while_queued(run_id, self._admission.enter(run_id, alone=alone))
        try:
            yield
        finally:
            self._admission.leave(run_id)

    async def _while_queued(self, run_id: str, waiting: Awaitable[T]) -> T:
        self._queued.add(run_id)
        try:
            return await waiting
        finally:
            self._queued.discard(run_id)

    async def _begin(self, run_id: str, slot: Slot, workflow: Workflow) -> Run:
        """Begin a run's step, and run the setup if the kernel has not run it."""
        async with self._preparing_for(run_id):
            # Begun before the setup: a setup that ends the server counts as a crash of the step.
            run = await self._stored(partial(self._runs.begin, run_id))
            if run.status == "running" and slot.kernel is not None:
                with slot.lent_to_pool():
                    await self._pool.prepare(slot.kernel, workflow, workflow.path)
        return run

    async def _exchange_stale(self, slot: Slot, run: Run) -> Kernel:
        """Return the kernel of a slot, or a new one in its place if a step has left it stale."""
        kernel = slot.kernel
        assert kernel is not None  # noqa: S101  for the type checker: the caller has checked it
        if kernel.is_stale:
            workflow = await self._runs.workflow_of(run)
            async with self._preparing_for(run.id):
                with slot.lent_to_pool():
                    kernel = await self._pool.exchange(kernel, workflow, workflow.path)
                    slot.kernel = kernel
        return kernel

    @asynccontextmanager
    async def _preparing_for(self, run_id: str) -> AsyncIterator[None]:
        """Let `interrupt` and `stop` cancel the preparation of a run's kernel."""
        self._preparing.add(run_id)
        try:
            yield
        except asyncio.CancelledError:
            # By `stop`, the run has begun and has to be queued again. By `interrupt`, it is
            # canceled, and stored as such.
            if self._stopping:
                await self._requeue(run_id)
            raise
        finally:
            self._preparing.discard(run_id)

    # --- storing ----------------------------------------------------------------------

    async def _store_outcome(self, run: Run, outcome: Outcome, outputs: list[Output]) -> Run:
        """Store an outcome, and begin the next step unless the server stops.

        An outcome that the rules or the store can't take fails the step: a step can make its
        kernel answer anything.
        """
        finish = partial(self._runs.finish, run, outcome, outputs)
        try:
            # Asked at each attempt: the server may stop while the storage fails.
            return await self._stored(lambda: finish(begin_next=not self._stopping))
        except PDFlowError:
            raise
        except Exception as error:
            logger.exception(
                "The outcome of step %s of run %s can't be stored.", run.current.name, run.id
            )
            text = f"The outcome of the step can't be stored ({error!r}); see the server's log."
            invalid = Outcome(error=Error(ename="InvalidOutcome", evalue=text))
            return await self._stored(partial(self._runs.finish, run, invalid, []))

    async def _stored(self, change: Callable[[], Awaitable[Run]]) -> Run:
        """Make a change, and try until the storage takes it: a kernel's work is not thrown away."""
        while True:
            try:
                return await change()
            except StorageUnavailableError:
                await asyncio.sleep(self._limits.storage_retry_seconds)

    async def _requeue(self, run_id: str) -> None:
        try:
            await self._runs.requeue(run_id)
        except PDFlowError as error:
            logger.error("Run %s can't be queued again: %s", run_id, error)

    def _retry(self, run_id: str, error: GatewayError) -> None:
        """Queue a run again whose gateway has ended or can't be reached.

        In a task of its own: `enqueue` refuses a run whose present task has not ended.
        """
        logger.warning("Run %s is queued again. %s", run_id, error)
        crashed = not isinstance(error, GatewayUnavailableError)
        task = asyncio.create_task(
            self._requeue_and_start(run_id, crashed), name=f"requeue {run_id}"
        )
        self._requeues.add(task)
        task.add_done_callback(self._requeues.discard)

    async def _requeue_and_start(self, run_id: str, crashed: bool) -> None:
        try:
            run = await self._stored(partial(self._runs.requeue, run_id, crashed=crashed))
        except PDFlowError as error:
            logger.error("Run %s can't be queued again: %s", run_id, error)
        else:
            # A run that has to wait is enqueued when it is due.
            if run.ready:
                self.enqueue(run.id)


def _error(error: PDFlowError) -> Error:
    found = getattr(error, "error", None)
    if isinstance(found, Error):
        return found
    return Error(ename=type(error).__name__, evalue=str(error))
