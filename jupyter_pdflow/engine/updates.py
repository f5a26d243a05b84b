"""What an executor stores of the runs that it executes, tried again until the storage takes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

from jupyter_pdflow.exceptions import (
    ConflictError,
    PDFlowError,
    StorageUnavailableError,
    StoredFileError,
)
from jupyter_pdflow.kernels.kernel import StepResult
from jupyter_pdflow.rules.run import Error, Execution, Outcome, Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import Limits

logger = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_SECONDS = 1.0
"""How long a close waits for what is being stored."""


class RunUpdates(Protocol):
    """What an executor needs of the service: the runs to execute, and to store their changes.

    Methods that change a run may be called again if they raise `StorageUnavailableError` or
    `StoredFileError`, because the storage fails, or `ConflictError`.
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

    async def begin(self, run_id: str) -> Run | None:
        """Store that a kernel has begun the run's current step.

        Returns the run if this process executes it now.
        """
        ...

    async def finish(self, run: Run, result: StepResult, *, begin_next: bool = True) -> Run | None:
        """Store the outcome of a step and what it has shown, and the begin of the next one if `begin_next`.

        Returns the run if this process executes its next step now.
        """
        ...

    async def requeue(self, run: Run, *, crashed: bool = False) -> Run:
        """Queue a run again whose attempt was not finished, and return it as it is stored."""
        ...


class RetriedUpdates:
    """Stores what happens to runs; a kernel's work is not thrown away because the storage fails.

    Parameters
    ----------
    runs : RunUpdates
        The service.
    limits : Limits
        How soon a failed write is tried again.

    Attributes
    ----------
    begin_next : bool
        Whether the end of a step begins the next one; False once the server stops.
    tasks : dict of asyncio.Task to str
        What is stored when its run has no kernel any more, and the run's id.
    """

    def __init__(self, runs: RunUpdates, limits: Limits) -> None:
        self.begin_next = True
        self.tasks: dict[asyncio.Task[None], str] = {}
        self._runs = runs
        self._limits = limits

    async def run(self, run_id: str) -> Run:
        """Return a run."""
        return await self._stored(partial(self._runs.run, run_id))

    async def workflow_of(self, run: Run) -> Workflow:
        """Return the version that a run was started with."""
        return await self._stored(partial(self._runs.workflow_of, run))

    async def begin(self, run_id: str) -> Run | None:
        """Store the begin of a step, as `RunUpdates.begin`."""
        return await self._stored(partial(self._runs.begin, run_id))

    async def finish(self, run: Run, result: StepResult) -> Run | None:
        """Store an outcome; return the run if its next step has begun.

        If the run's file can't be read, a task of its own tries again: one file must keep no
        kernel from other runs.
        """
        try:
            return await self._finish(run, result)
        except StoredFileError as error:
            logger.error(
                "The outcome of step %s of run %s is kept in memory until it can be stored. %s",
                *(run.current.name, run.id, error),
            )
            self._keep_trying(run, self._finish(run, result, StoredFileError))
            return None

    async def requeue(self, run: Run | None) -> None:
        """Queue the attempt of a run again, if it has begun; log what keeps it from being stored."""
        try:
            if run is not None:
                await self._runs.requeue(run)
        except PDFlowError as error:
            logger.error("Run %s can't be queued again: %s", run and run.id, error)

    def requeue_in_task(self, run: Run, enqueue: Callable[[str], object], *, crashed: bool) -> None:
        """Queue the attempt of a run again and then enqueue the run, once its task has ended."""
        self._keep_trying(run, self._requeue(run, enqueue, crashed=crashed))

    async def close(self) -> None:
        """Wait a short time for the tasks, then cancel them.

        Runs that they do not store as queued count as crashed at the next start.
        """
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=CLOSE_SECONDS)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _finish(
        self, run: Run, result: StepResult, *retried: type[PDFlowError]
    ) -> Run | None:
        """Store an outcome; one that the rules or the store can't take fails the step.

        A step can make its kernel answer anything. After a retry of `retried`, no kernel is left
        for the next step.
        """
        finish = partial(self._runs.finish, run)
        try:
            return await self._stored(
                # Asked at each attempt: the server may stop while the storage fails.
                lambda: finish(result, begin_next=self.begin_next and not retried),
                *retried,
            )
        except PDFlowError:
            raise
        except Exception as error:
            logger.exception(
                "The outcome of step %s of run %s can't be stored.", run.current.name, run.id
            )
            text = f"The outcome of the step can't be stored ({error!r}); see the server's log."
            invalid = Outcome(error=Error(ename="InvalidOutcome", evalue=text))
            return await self._stored(partial(finish, StepResult(invalid)), *retried)

    async def _requeue(self, run: Run, enqueue: Callable[[str], object], *, crashed: bool) -> None:
        requeue = partial(self._runs.requeue, run, crashed=crashed)
        stored = await self._stored(requeue, StoredFileError)
        # A run that has to wait is enqueued when it is due.
        if stored.ready:
            enqueue(stored.id)

    async def _stored(self, change: Callable[[], Awaitable[T]], *retried: type[PDFlowError]) -> T:
        """Make a change, and try until the storage takes it, also after errors of `retried`."""
        while True:
            try:
                return await change()
            except ConflictError:
                await asyncio.sleep(0)
            except PDFlowError as error:
                if not isinstance(error, (StorageUnavailableError, *retried)):
                    raise
                await asyncio.sleep(self._limits.storage_retry_seconds)

    def _keep_trying(self, run: Run, storing: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(_logged(run.id, storing), name=f"store run {run.id}")
        self.tasks[task] = run.id
        task.add_done_callback(self.tasks.pop)


async def _logged(run_id: str, storing: Coroutine[Any, Any, object]) -> None:
    try:
        await storing
    except Exception as error:  # noqa: BLE001  it is logged
        log_failure(run_id, error)


def log_failure(run_id: str, error: Exception) -> None:
    """Log what keeps a run from being continued."""
    if isinstance(error, PDFlowError):
        logger.error(
            "Run %s can't continue; the server tries again at its next start. %s", run_id, error
        )
    else:
        logger.error(
            "Run %s failed unexpectedly; the server continues it at its next start.",
            run_id,
            exc_info=error,
        )
