"""Executes runs: one task per run takes a kernel and executes steps until the run pauses or ends."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from jupyter_pdflow.engine.live_outputs import Showing
from jupyter_pdflow.engine.local_queue import Admission, Claims, Slot, WaitingRun, WaitingRuns, Work
from jupyter_pdflow.engine.queue import Queue
from jupyter_pdflow.engine.updates import RetriedUpdates, RunUpdates, log_failure
from jupyter_pdflow.exceptions import GatewayError, GatewayUnavailableError, PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel, StepResult
from jupyter_pdflow.kernels.outputs import OutputCollector
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.slots import VersionKey
from jupyter_pdflow.rules.execution import is_alone
from jupyter_pdflow.rules.run import Error, Outcome, Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.threads import in_slices

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""How long a stop waits for the steps that are executing."""

INTERRUPTED_SECONDS = 1.0
"""How long an interrupted step may take to clean up."""


class HandedOut:
    """A run that a queue has handed out, as it was read then.

    Attributes
    ----------
    run : Run or None
        None until it is read.
    taken : asyncio.Future of bool
        Whether the run's step has begun; False if the run is to be handed out again.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class PreparationError(Exception):
    """No kernel could be prepared for a run, so its step fails; the cause says why."""


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
    queue : Queue, optional
        What hands out the runs that are ready. Without one, this process makes all runs ready, and
        executes them.
    limits : Limits
        How soon a failed write is tried again.
    """

    def __init__(
        self,
        runs: RunUpdates,
        pool: KernelPool,
        on_begin: Callable[[float], object],
        *,
        queue: Queue | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._runs = runs
        self._updates = RetriedUpdates(runs, limits)
        self._pool = pool
        self._queue = queue
        self._stopping = False
        self._works: dict[str, Work] = {}
        self._handed_out: dict[str, HandedOut] = {}
        self._one_left = asyncio.Event()
        self._waiting = WaitingRuns(pool, self._version_of, self._start_queued)
        self._on_begin = on_begin
        self._admission = Admission()
        self._claims = Claims()
        # References to tasks: the event loop alone would not keep them alive.
        self._interrupts: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether any run is queued or executing."""
        return bool(self._works or self._waiting or self._updates.tasks)

    @property
    def executing(self) -> dict[str, Run]:
        """The runs whose step has begun, as it was stored last; among them those in their setup."""
        return {work.run_id: work.run for work in self._works.values() if work.run and work.begun}

    @property
    def showing(self) -> dict[str, Showing]:
        """What the steps have shown so far whose outcome is not stored yet, by their runs."""
        return {work.run_id: work.showing for work in self._works.values() if work.showing}

    def showing_of(self, run_id: str) -> Showing | None:
        """Return what the step of a run has shown so far, if this process executes it."""
        work = self._works.get(run_id)
        return None if work is None else work.showing

    @property
    def storing(self) -> set[str]:
        """The ids of the runs that have no kernel, and whose outcome is not stored yet."""
        return set(self._updates.tasks.values())

    async def open(self, ready: Callable[[], Awaitable[list[str]]]) -> None:
        """Begin to execute runs.

        Parameters
        ----------
        ready : callable
            Returns the ids of the runs that are ready; called if no queue hands them out.
        """
        if self._queue is not None:
            self._queue.open(self.work, self.wait_for_room)
        else:
            async for run_id in in_slices(await ready()):
                self.enqueue(run_id)

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
        if self._stopping or not run.ready or run.id in self._works or is_alone(run):
            return None
        if self._queue is not None and run.queue not in self._queue.names:
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
        """Execute a run that is ready as soon as a kernel is free, unless the server stops.

        If there is a queue, it hands out the run.
        """
        if self._queue is None and run_id not in self._works and not self._stopping:
            self._waiting.add(run_id)

    async def work(self, run_id: str) -> bool:
        """Execute a run that a queue hands out; return when its step has begun.

        Returns
        -------
        bool
            Whether the step has begun, or the run is not ready. False if no kernel is free, or the
            run still has its last one: the run is to be handed out again.
        """
        if self._stopping or self._is_full or run_id in self._works or run_id in self._handed_out:
            return False
        handed_out = self._handed_out[run_id] = HandedOut()
        try:
            run = handed_out.run = await self._ready(run_id)
            if run is not None:
                await self._waiting.add_of(run_id, _version_key(run))
            return run is None or await handed_out.taken
        finally:
            del self._handed_out[run_id]
            if run_id in self._waiting:
                self._waiting.remove(run_id)
            self._one_left.set()

    async def wait_for_room(self) -> None:
        """Wait until this process can execute another run."""
        while self._is_full and not self._stopping:
            self._one_left.clear()
            await self._one_left.wait()

    @property
    def _is_full(self) -> bool:
        return len({*self._works, *self._handed_out}) >= self._pool.max_kernels

    def _answer_queue(self, run_id: str, *, taken: bool) -> None:
        """Tell `work` that the step of a run has begun, or that it is to be handed out again."""
        handed_out = self._handed_out.get(run_id)
        if handed_out is not None and not handed_out.taken.done():
            handed_out.taken.set_result(taken)

    def execute(self, run: Run, kernel: Kernel) -> None:
        """Execute a run whose step has begun, in a kernel from `claim`."""
        # `executes` at once: `interrupt` and `close` find the kernel before the task has begun.
        self._start(Work(run.id, Slot(kernel), time.monotonic(), run, executes=True))
        self._claims.end(run.id)

    def _start_queued(self, waited: WaitingRun, kernel: Kernel | None) -> None:
        self._start(Work(waited.run_id, Slot(kernel), waited.since))

    def _start(self, work: Work) -> None:
        self._works[work.run_id] = work
        work.task = asyncio.create_task(self._run(work), name=f"run {work.run_id}")

    def interrupt(self, run_id: str) -> None:
        """Interrupt the kernel that executes a run, or end one that is being prepared for it."""
        work = self._works.get(run_id)
        if work is None:
            return
        work.cancel()
        if work.executes and work.slot.kernel is not None:
            interrupting = work.slot.kernel.interrupt()
            task = asyncio.create_task(interrupting, name=f"interrupt {run_id}")
            self._interrupts.add(task)
            task.add_done_callback(self._interrupts.discard)

    def dequeue(self, run_id: str) -> None:
        """Take a run that has ended out of the queue for a kernel."""
        if run_id in self._waiting:
            self._waiting.remove(run_id)
            self._answer_queue(run_id, taken=True)
        if run_id in self._works:
            self._works[run_id].cancel()

    async def stop(self) -> None:
        """Begin no further step, and wait a short time for those that are executing."""
        await self.drain(GRACE_SECONDS)

    async def drain(self, seconds: float | None = None) -> None:
        """Begin no further step, and wait for those that are executing, without limit if None."""
        await self._begin_no_more()
        for work in self._works.values():
            work.cancel()
        if tasks := [*self._tasks(), *self._updates.tasks]:
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self) -> None:
        """Requeue the runs whose steps have not ended, and end the kernels."""
        await self._begin_no_more()
        executing = {work.slot.kernel: work.run for work in self._works.values() if work.executes}
        # Stored before the interrupt: what an interrupted step returns then counts no more, as it
        # is of an earlier attempt.
        for run in executing.values():
            await self._updates.requeue(run)
        interrupts = [kernel.interrupt(INTERRUPTED_SECONDS) for kernel in executing if kernel]
        await asyncio.gather(*interrupts, return_exceptions=True)
        await _cancel([*self._tasks(), *self._interrupts])
        await self._updates.close()
        if self._queue is not None:
            await self._queue.close()
        await self._pool.shutdown()

    async def _begin_no_more(self) -> None:
        self._stopping = True
        self._one_left.set()
        self._updates.begin_next = False
        if self._queue is not None:
            await self._queue.stop()
        await self._claims.wait_ended()
        self._pool.stop()
        self._waiting.stop()
        for run_id in self._handed_out.keys() - self._works.keys():
            self._answer_queue(run_id, taken=False)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [work.task for work in self._works.values() if work.task is not None]

    async def _ready(self, run_id: str) -> Run | None:
        """Return a run that waits for a kernel; None if it can't be executed."""
        try:
            run = await self._updates.run(run_id)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one run, others continue
            log_failure(run_id, error)
            return None
        return run if run.ready else None

    async def _version_of(self, run_id: str) -> VersionKey | None:
        """Return the version of a run that waits for a kernel; None if it can't be executed."""
        run = await self._ready(run_id)
        return None if run is None else _version_key(run)

    # --- the task of a run ------------------------------------------------------------

    async def _run(self, work: Work) -> None:
        done = False
        try:
            await self._execute_or_fail(work)
            done = not self._stopping
        except GatewayError as error:
            self._retry(work, error)
        except Exception as error:  # noqa: BLE001  it is logged
            log_failure(work.run_id, error)
            done = True
        finally:
            if work.slot.owned:
                self._pool.give_back(work.slot.kernel)
            del self._works[work.run_id]
            self._answer_queue(work.run_id, taken=done)
            self._one_left.set()

    async def _execute_or_fail(self, work: Work) -> None:
        try:
            if work.run is not None and work.executes:
                await self._execute_claimed(work, work.run)
            else:
                await self._execute_queued(work)
        except PreparationError as error:
            # A step fails only once it has begun.
            run = await self._updates.begin(work.run_id)
            if run is not None:
                await self._updates.finish(run, StepResult(Outcome(error=_error(error.__cause__))))

    async def _execute_claimed(self, work: Work, run: Run) -> None:
        try:
            await self._execute(work, run)
        finally:
            self._admission.leave(work.run_id)

    async def _execute_queued(self, work: Work) -> None:
        handed_out = self._handed_out.get(work.run_id)
        with work.while_cancelable():
            # A run that was handed out was read then; `begin` reads it again.
            known = handed_out and handed_out.run
            run = work.run = known or await self._updates.run(work.run_id)
        if self._stopping or not run.ready:
            return
        with work.while_cancelable():
            workflow = await self._updates.workflow_of(run)
        await self._fill(work, workflow)
        async with self._admitted(work, alone=is_alone(run)):
            await self._execute(work, await self._begin(work, workflow))

    async def _execute(self, work: Work, run: Run | None) -> None:
        """Execute the steps of a run that has begun, until it pauses or ends."""
        while run is not None:
            work.run = run
            kernel = await self._exchange_stale(work, run)
            run = await self._execute_step(work, run, kernel)
            if run is not None and not is_alone(run):
                self._admission.share(run.id)

    async def _execute_step(self, work: Work, run: Run, kernel: Kernel) -> Run | None:
        work.executes = True
        if work.since is not None:  # the first step since the run was ready
            self._on_begin(time.monotonic() - work.since)
            work.since = None
        try:
            work.showing = Showing(run, OutputCollector())
            result = await kernel.execute(self._runs.execution(run), work.showing.collector)
            return await self._updates.finish(run, result)
        finally:
            work.executes, work.showing = False, None

    # --- kernels ----------------------------------------------------------------------

    @contextmanager
    def _preparing(self, work: Work) -> Iterator[None]:
        """Leave a slot to the pool, to start or prepare its kernel; it may be canceled meanwhile."""
        try:
            with work.while_cancelable(), work.slot.lent_to_pool():
                yield
        except GatewayError:
            raise
        except PDFlowError as error:
            raise PreparationError from error

    async def _fill(self, work: Work, workflow: Workflow) -> None:
        """Start a kernel in a slot, unless the slot has one."""
        if work.slot.kernel is None:
            with self._preparing(work):
                work.slot.kernel = await self._pool.start(workflow, workflow.path)

    @asynccontextmanager
    async def _admitted(self, work: Work, *, alone: bool) -> AsyncIterator[None]:
        """Wait until a run may execute, alone or beside others."""
        with work.while_cancelable():
            await self._admission.enter(work.run_id, alone=alone)
        try:
            yield
        finally:
            self._admission.leave(work.run_id)

    async def _begin(self, work: Work, workflow: Workflow) -> Run | None:
        """Begin a run's step, and run the setup if the kernel has not run it."""
        async with self._requeued_by_stop(work):
            # Begun before the setup: a setup that ends the server counts as a crash of the step.
            with work.while_cancelable():
                run = await self._updates.begin(work.run_id)
            self._answer_queue(work.run_id, taken=True)  # who executes it is stored
            if run is not None and work.slot.kernel is not None:
                work.run = run
                with self._preparing(work):
                    await self._pool.prepare(work.slot.kernel, workflow, workflow.path)
        return run

    async def _exchange_stale(self, work: Work, run: Run) -> Kernel:
        """Return the kernel of a slot, or a new one in its place if a step has left it stale."""
        kernel = work.slot.kernel
        assert kernel is not None  # noqa: S101  for the type checker: `_fill` has started it
        if kernel.is_stale:
            async with self._requeued_by_stop(work):
                with work.while_cancelable():
                    workflow = await self._updates.workflow_of(run)
                with self._preparing(work):
                    kernel = await self._pool.exchange(kernel, workflow, workflow.path)
                    work.slot.kernel = kernel
        return kernel

    @asynccontextmanager
    async def _requeued_by_stop(self, work: Work) -> AsyncIterator[None]:
        """Queue a run again that has begun, and whose preparation `stop` cancels.

        If `interrupt` cancels it, the run is canceled, and stored as such.
        """
        try:
            yield
        except asyncio.CancelledError:
            if self._stopping:
                await self._updates.requeue(work.run)
            raise

    def _retry(self, work: Work, error: GatewayError) -> None:
        """Queue a run again whose gateway has ended or can't be reached."""
        logger.warning("Run %s is queued again. %s", work.run_id, error)
        if work.run is not None:
            crashed = not isinstance(error, GatewayUnavailableError)
            self._updates.requeue_in_task(work.run, self.enqueue, crashed=crashed)


def _version_key(run: Run) -> VersionKey:
    # Interned: many runs of a version may wait.
    return sys.intern(run.workflow_id), sys.intern(run.version)


def _error(error: BaseException | None) -> Error:
    found = getattr(error, "error", None)
    if isinstance(found, Error):
        return found
    return Error(ename=type(error).__name__, evalue=str(error))


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
