"""One task per run that is under way: it takes a kernel and executes steps until a pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from jupyter_pdflow.engine.pending_writes import StorageHealth
from jupyter_pdflow.exceptions import GatewayError, GatewayUnavailableError, PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.execution import is_alone
from jupyter_pdflow.rules.run import Error, Execution, Outcome, Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.base import Output

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""How long a server that is told to stop waits for the steps that are executing."""

INTERRUPTED_SECONDS = 1.0
"""How long a step that was interrupted then may take to clean up."""


class RunUpdates(Protocol):
    """What an executor needs of the service: the runs to execute, and to store their changes.

    Methods that change a run return it as it then is. They raise `OSError` if the storage fails,
    and may be called again then.
    """

    def run(self, run_id: str) -> Run:
        """Return a run."""
        ...

    def workflow_of(self, run: Run) -> Workflow:
        """Return the version that a run was started with."""
        ...

    def execution(self, run: Run) -> Execution:
        """Describe the run's current execution for the kernel that carries it out."""
        ...

    async def begin(self, run_id: str) -> Run:
        """Store that a kernel takes up the run's current step."""
        ...

    async def finish(
        self, run: Run, outcome: Outcome, outputs: list[Output], *, go_on: bool = True
    ) -> Run:
        """Store the outcome of a step, and the begin of the next one if `go_on`."""
        ...

    async def requeue(self, run_id: str, *, crashed: bool = False) -> Run:
        """Queue a run again whose step was not finished."""
        ...


class Admission:
    """Lets steps execute side by side, or one of them alone."""

    def __init__(self) -> None:
        self._executing = 0
        self._alone: str | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def try_enter(self) -> bool:
        """Let a run execute beside the others, if none wants to be alone."""
        if self._alone is not None:
            return False
        self._executing += 1
        return True

    async def enter(self, run_id: str, *, alone: bool) -> None:
        """Wait until a run may execute; none begins beside one that is alone, or waits for that."""
        while self._alone is not None:
            await self._change()
        if alone:
            await self._until_empty(run_id)
        self._executing += 1

    def leave(self, run_id: str) -> None:
        """Note that a run executes no more."""
        self._executing -= 1
        self.share(run_id)
        self._notify()

    def share(self, run_id: str) -> None:
        """Let others execute beside this run, if it was alone."""
        if self._alone == run_id:
            self._alone = None
            self._notify()

    async def _until_empty(self, run_id: str) -> None:
        self._alone = run_id
        try:
            while self._executing:
                await self._change()
        except BaseException:
            self.share(run_id)
            raise

    async def _change(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)


@dataclass
class Slot:
    """A place for a kernel in the pool, and the kernel that is in it, if there is one already."""

    kernel: Kernel | None
    held: bool = True

    @contextmanager
    def in_the_pool(self) -> Iterator[None]:
        """Leave the slot to the pool, which frees it if what is done meanwhile fails."""
        self.held = False
        yield
        self.held = True


class Executor:
    """Executes the steps of runs in kernels; a paused run has none and costs nothing."""

    def __init__(
        self, runs: RunUpdates, pool: KernelPool, storage: StorageHealth, *, limits: Limits = LIMITS
    ) -> None:
        self._limits = limits
        self._runs = runs
        self._pool = pool
        self._storage = storage
        self._stopping = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._queued: set[str] = set()
        self._preparing: set[str] = set()
        self._kernels: dict[str, Kernel] = {}
        self._admission = Admission()
        self._interrupts: set[asyncio.Task[None]] = set()
        self._requeues: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether any run is under way."""
        return bool(self._tasks)

    def prestart(self, workflow: Workflow) -> None:
        """Get ready for runs of a workflow."""
        self._pool.prestart(workflow.source.kernel_name)

    def take(self, run: Run) -> Kernel | None:
        """Take a kernel that is warm for a run, if there is one, for `start` or `give_back`."""
        if self._stopping or run.id in self._tasks or is_alone(run):
            return None
        if not self._admission.try_enter():
            return None
        kernel = self._warm(run)
        if kernel is None:
            self._admission.leave(run.id)
        return kernel

    def _warm(self, run: Run) -> Kernel | None:
        try:
            return self._pool.take(self._runs.workflow_of(run))
        except PDFlowError:
            return None

    def give_back(self, run_id: str, kernel: Kernel | None) -> None:
        """Let others have a kernel that was taken."""
        if kernel is not None:
            self._admission.leave(run_id)
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
            drive = self._run(run, kernel)
            self._tasks[run.id] = asyncio.create_task(drive, name=f"run {run.id}")

    def interrupt(self, run_id: str) -> None:
        """Interrupt the kernel that executes a run; one that prepares for it is ended."""
        if run_id in self._preparing:
            self._tasks[run_id].cancel()
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
        for run_id in self._queued | self._preparing:
            self._tasks[run_id].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=GRACE_SECONDS)

    async def close(self) -> None:
        """Put the runs at rest whose steps have not ended; end the kernels."""
        kernels = dict(self._kernels)
        for run_id in kernels:
            await self._requeue(run_id)
        interrupts = [kernel.interrupt(INTERRUPTED_SECONDS) for kernel in kernels.values()]
        await asyncio.gather(*interrupts, return_exceptions=True)
        tasks = [*self._tasks.values(), *self._interrupts, *self._requeues]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.shutdown()

    async def _requeue(self, run_id: str) -> None:
        try:
            await self._runs.requeue(run_id)
        except (PDFlowError, OSError) as error:
            logger.error("Run %s can't be queued again: %s", run_id, error)

    async def _run(self, run: Run, kernel: Kernel | None) -> None:
        try:
            if kernel is None:
                await self._run_queued(run.id)
            else:
                await self._run_warm(run.id, kernel)
        except GatewayError as error:
            self._retry(run.id, error)
        except PDFlowError as error:
            logger.error("Run %s can't go on; the next start tries again. %s", run.id, error)
        except Exception:
            logger.exception("Run %s stops here; the next start takes it up again.", run.id)
        finally:
            del self._tasks[run.id]

    def _retry(self, run_id: str, error: GatewayError) -> None:
        """Queue a run again whose gateway ended or is away, once it is not being driven any more."""
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
            if run.status == "queued" and run.not_before is None:
                self.start(run)

    async def _run_warm(self, run_id: str, kernel: Kernel) -> None:
        slot = Slot(kernel)
        try:
            # Read again: it may have been canceled since it began.
            await self._execute(slot, self._runs.run(run_id))
        finally:
            self._admission.leave(run_id)
            self._give_back(slot)

    async def _run_queued(self, run_id: str) -> None:
        if self._stopping:
            return
        run = self._runs.run(run_id)
        workflow, alone = self._runs.workflow_of(run), is_alone(run)
        async with self._slot(run_id, workflow) as slot:
            try:
                await self._fill(run_id, slot, workflow)
                async with self._admitted(run_id, alone=alone):
                    run = await self._begin(run_id, slot, workflow)
                    await self._execute(slot, run)
            except GatewayError:
                raise
            except PDFlowError as error:
                run = await self._stored(partial(self._runs.begin, run_id))
                await self._store_outcome(run, Outcome(error=_error(error)), [])

    async def _fill(self, run_id: str, slot: Slot, workflow: Workflow) -> None:
        """Start a kernel in a slot, unless there is one."""
        if slot.kernel is None:
            starting = self._pool.start(workflow, workflow.path)
            with slot.in_the_pool():
                slot.kernel = await self._while_queued(run_id, starting)

    async def _begin(self, run_id: str, slot: Slot, workflow: Workflow) -> Run:
        """Begin a run's step, and run the setup where the kernel has not."""
        async with self._prepared(run_id):
            run = await self._stored(partial(self._runs.begin, run_id))
            if run.status == "running" and slot.kernel is not None:
                with slot.in_the_pool():
                    await self._pool.prepare(slot.kernel, workflow, workflow.path)
        return run

    async def _fresh(self, slot: Slot, run: Run) -> Kernel:
        """Get the kernel of a slot, or a new one if a step has left it stale."""
        kernel = slot.kernel
        assert kernel is not None  # noqa: S101  for the type checker: the caller has checked it
        if kernel.is_stale:
            workflow = self._runs.workflow_of(run)
            async with self._prepared(run.id):
                with slot.in_the_pool():
                    kernel = await self._pool.exchange(kernel, workflow, workflow.path)
                    slot.kernel = kernel
        return kernel

    @asynccontextmanager
    async def _prepared(self, run_id: str) -> AsyncIterator[None]:
        """Have a run's kernel prepared; a run that is canceled meanwhile ends that."""
        self._preparing.add(run_id)
        try:
            yield
        except asyncio.CancelledError:
            if self._stopping:
                await self._requeue(run_id)
            raise
        finally:
            self._preparing.discard(run_id)

    @asynccontextmanager
    async def _slot(self, run_id: str, workflow: Workflow) -> AsyncIterator[Slot]:
        """Wait for a kernel that is warm for a version, or for a slot to start one in."""
        slot = Slot(await self._while_queued(run_id, self._pool.reserve(workflow)))
        try:
            yield slot
        finally:
            self._give_back(slot)

    def _give_back(self, slot: Slot) -> None:
        if slot.held:
            self._pool.give_back(slot.kernel)

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

    async def _execute(self, slot: Slot, run: Run) -> None:
        """Execute the steps of a run that has begun, until it pauses or ends."""
        while run.status == "running" and slot.kernel is not None:
            try:
                kernel = await self._fresh(slot, run)
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
        try:
            result = await kernel.execute(self._runs.execution(run))
            return await self._store_outcome(run, result.outcome, result.outputs)
        finally:
            del self._kernels[run.id]

    async def _store_outcome(self, run: Run, outcome: Outcome, outputs: list[Output]) -> Run:
        """Store an outcome, and begin the next step unless the server stops.

        An outcome that no rule can take fails the step: its kernel is not trusted to be right.
        """
        finish = partial(self._runs.finish, run, outcome, outputs)
        try:
            return await self._stored(lambda: finish(go_on=not self._stopping))
        except PDFlowError:
            raise
        except Exception as error:
            logger.exception("What step %s of run %s came to is odd", run.current.name, run.id)
            text = f"What the step came to can't be stored ({error!r}); the server's log says more."
            odd = Outcome(error=Error(ename="OddOutcome", evalue=text))
            return await self._stored(partial(self._runs.finish, run, odd, []))

    async def _stored(self, change: Callable[[], Awaitable[Run]]) -> Run:
        """Make a change, however often it takes: the kernel's work is not thrown away."""
        while True:
            try:
                return await change()
            except OSError as error:
                self._storage.begins(error)
                await asyncio.sleep(self._limits.storage_retry_seconds)


def _error(error: PDFlowError) -> Error:
    found = getattr(error, "error", None)
    if isinstance(found, Error):
        return found
    return Error(ename=type(error).__name__, evalue=str(error))
