"""Carries runs on: applies the rules, stores the result, then sees to the effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.executor import Executor
from jupyter_pdflow.engine.pending_writes import (
    Ids,
    PendingWrites,
    RunLocks,
    StorageHealth,
)
from jupyter_pdflow.engine.scheduler import Pruning, Scheduler
from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.message import Email
from jupyter_pdflow.mail.outbox import Mailbox
from jupyter_pdflow.rules.decisions import current_pause
from jupyter_pdflow.rules.events import (
    MAX_CRASHES,
    Archive,
    Begin,
    Cancel,
    CancelPause,
    Deliver,
    Effect,
    Event,
    Execute,
    Expire,
    Finish,
    Interrupt,
    Recover,
    Requeue,
    Resume,
    SetTimer,
)
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.run import Actor, Execution, Outcome, Request, Run, RunStatus
from jupyter_pdflow.rules.transitions import Transition, apply, new_run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores.base import Output, RunSummary, Store
from jupyter_pdflow.stores.tinydb.folders import RunFolders
from jupyter_pdflow.stores.tinydb.storage import in_slices

logger = logging.getLogger(__name__)

HANDED_OVER_SECONDS = 0.5
"""How long a list of emails waits at most for those of runs that have just been stored."""


class Service:
    """All that can be done to runs. What a method changed is durable when it returns.

    Changes of one run take turns: each is stored before the next is looked at. So the first of a
    resume, a cancel and a timer wins, and the others see it.

    Parameters
    ----------
    store : Store
        Where runs and workflows are kept.
    pool : KernelPool
        The kernels that execute steps.
    mailbox : Mailbox
        Takes the mails that steps have asked for.
    links_for : callable
        Makes the resume and the cancel URL of (run id, step, execution).
    on_change : callable
        Called with a run each time it has changed.
    folders : RunFolders
        Where steps keep files.
    keep_days : float or None
        After how many days finished runs are removed; None keeps them.
    max_crashes : int
        After how many crashes of its server a step is not executed again.
    limits : Limits
        How often what fails is tried again, and how much is done at once.
    """

    def __init__(
        self,
        store: Store,
        pool: KernelPool,
        mailbox: Mailbox,
        links_for: Callable[[str, str, int], tuple[str, str]],
        on_change: Callable[[Run], None],
        *,
        folders: RunFolders,
        keep_days: float | None = None,
        max_crashes: int = MAX_CRASHES,
        clock: Callable[[], datetime] = utc_now,
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._store = store
        self._max_crashes = max_crashes
        self._mailbox = mailbox
        self._folders = folders
        self._links_for = links_for
        self._on_change = on_change
        self._clock = clock
        self._scheduler = Scheduler(self._expire, clock, limits=limits)
        self._storage = StorageHealth()
        self._locks = RunLocks()
        self._pending = PendingWrites(self._storage, self._locks, limits=limits)
        self._executor = Executor(self, pool, self._storage, limits=limits)
        self._ids = Ids()
        self._surveying: asyncio.Task[None] | None = None
        self._pruning = Pruning(
            store, mailbox, folders, keep_days=keep_days, clock=clock, limits=limits
        )

    async def open(self) -> None:
        """Take up the runs as the last server left them; overdue timers fire at once."""
        await self._mailbox.open()
        async for run in in_slices(self._store.active()):
            await self._recover(run)
        self._surveying = asyncio.create_task(self._survey(), name="find out which runs ended")
        self._pruning.open()
        for workflow in sorted(self.workflows(), key=lambda known: known.created_at)[-1:]:
            self._executor.prestart(workflow)

    async def _survey(self) -> None:
        """Find the newest run: the ids of later ones are greater. Links need not wait for that."""
        while True:
            try:
                newest = await self._store.page(limit=1)
            except OSError as error:
                self._storage.begins(error)
                await asyncio.sleep(self._limits.storage_retry_seconds)
            else:
                self._ids = Ids(after=[run.id for run in newest])
                return

    async def _recover(self, run: Run) -> None:
        """Take up one run; whatever is wrong with it stays with it."""
        try:
            await self._apply(run, [Recover(max_crashes=self._max_crashes)])
        except OSError:
            raise
        except Exception:
            logger.exception("Run %s can't be taken up; the others go on.", run.id)

    async def stop(self) -> None:
        """Begin no step any more, and give those that are executing a short time to end."""
        await self._executor.stop()

    async def close(self) -> None:
        """Stop all that is going on; runs that were executing are executed again at `open`."""
        if self._surveying is not None:
            self._surveying.cancel()
            await asyncio.wait([self._surveying])
        await self._pruning.close()
        self._scheduler.close()
        await self._executor.close()
        await self._locks.over()
        await self._pending.close()
        await self._mailbox.close()
        await self._store.close()

    @property
    def busy(self) -> bool:
        """Whether a run is queued or running."""
        return self._executor.busy

    # --- workflows ---

    async def deploy(self, path: str, source: Source) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns
        -------
        workflow : Workflow
            The version that new runs now use.
        changed : bool
            Whether that is another one than before.
        """
        return await self._store.deploy(path, source, self._clock())

    def workflows(self) -> list[Workflow]:
        """Get the newest version of each workflow."""
        return self._store.workflows()

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Get one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return self._store.workflow(workflow_id, version)

    # --- runs ---

    async def start(self, workflow_id: str, event: Any = None) -> Run:
        """Start a run of the newest version of a workflow; `NotFoundError` if unknown."""
        if self._surveying is not None:
            await asyncio.shield(self._surveying)
        workflow, now = self._store.workflow(workflow_id), self._clock()
        move = new_run(self._ids.new(now), workflow, event, now)
        async with self._locks.of(move.run.id):
            return await self._commit(None, move)

    def run(self, run_id: str) -> Run:
        """Read a run; `NotFoundError` where there is none."""
        return self._store.get(run_id)

    async def runs(
        self,
        status: RunStatus | None = None,
        workflow: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Read what lists show of runs, newest first, from before the run id `before` on."""
        return await self._store.page(
            status=status, workflow_id=workflow, limit=limit, before=before
        )

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Read what the steps of a run showed; `NotFoundError` where there is no such run."""
        return self._store.outputs(self._store.get(run_id).id)

    async def resume(self, run_id: str, by: Actor, request: Request) -> Run:
        """Resume a paused run.

        Raises
        ------
        NotFoundError, NotPausedError
        """
        async with self._locks.of(run_id):
            run = self._store.get(run_id)
            pause = current_pause(run)
            resume = Resume(step=pause.step, execution=pause.execution, by=by, request=request)
            return await self._apply(run, [resume])

    async def cancel(self, run_id: str, by: Actor, reason: str | None = None) -> Run:
        """Cancel a run, whatever it is doing.

        Raises
        ------
        NotFoundError, RunEndedError
        """
        return await self.move(run_id, Cancel(by=by, reason=reason))

    async def resume_pause(
        self, run_id: str, step: str, execution: int, by: Actor, request: Request
    ) -> Run:
        """Resume the pause of one execution of a step, or keep the request for its end.

        Returns
        -------
        Run
            Its ``pending_request`` is set where the step is still running and the request was kept.

        Raises
        ------
        NotFoundError, AlreadyDecidedError
        """
        event = Resume(step=step, execution=execution, by=by, request=request)
        return await self.move(run_id, event)

    async def cancel_pause(
        self, run_id: str, step: str, execution: int, by: Actor, request: Request
    ) -> Run:
        """Cancel the run at the pause of one execution of a step; else as `resume_pause`."""
        event = CancelPause(step=step, execution=execution, by=by, request=request)
        return await self.move(run_id, event)

    # --- mail ---

    async def emails(self) -> list[Email]:
        """List the mails that steps have made, newest first.

        A run is seen as it now is a moment before its mails are handed over; that is waited for,
        unless the storage takes long.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDED_OVER_SECONDS):
                await self._locks.over()
        return await self._mailbox.emails()

    def email(self, email_id: str) -> Email:
        """Get one mail; `NotFoundError` where there is none."""
        return self._mailbox.email(email_id)

    # --- what drives a run ---

    async def move(self, run_id: str, *events: Event) -> Run:
        """Move a run by events that happen at once, with one durable write."""
        async with self._locks.of(run_id):
            return await self._apply(self._store.get(run_id), list(events))

    async def begin(self, run_id: str) -> Run:
        """Say that a kernel takes up the run's current step."""
        return await self.move(run_id, Begin())

    async def finish(
        self, run: Run, outcome: Outcome, outputs: list[Output], *, go_on: bool = True
    ) -> Run:
        """Store what a step came to and showed; to `go_on` is to begin the next at once."""
        step = run.current.name
        await self._store.put_outputs(run.id, step, run.execution, outputs)
        finish = Finish(step=step, execution=run.execution, attempt=run.attempt, outcome=outcome)
        return await self.move(run.id, finish, *([Begin()] if go_on else []))

    async def requeue(self, run_id: str, *, crashed: bool = False) -> Run:
        """Queue a run again whose step can't be waited for.

        Parameters
        ----------
        run_id : str
        crashed : bool
            Whether what executed the step ended without an answer, such as a gateway.
        """
        return await self.move(run_id, Requeue(crashed=crashed, max_crashes=self._max_crashes))

    def execution(self, run: Run) -> Execution:
        """Describe the run's current execution for the kernel that carries it out."""
        links = self._links_for(run.id, run.current.name, run.execution)
        return execution_of(run, *links, files_dir=self._folders.name, files_id=self._folders.id)

    def workflow_of(self, run: Run) -> Workflow:
        """Get the version that a run was started with."""
        return self._store.workflow(run.workflow_id, run.version)

    async def _apply(self, run: Run, events: list[Event]) -> Run:
        now, before, effects = self._clock(), run, list[Effect]()
        for event in events:
            run, more = apply(run, event, now)
            effects += more
        return await self._commit(before, Transition(run, tuple(effects)))

    async def _commit(self, before: Run | None, move: Transition) -> Run:
        kernel = self._executor.take(move.run) if _wants_kernel(move) else None
        run = move.run if kernel is None else apply(move.run, Begin(), self._clock()).run
        if run is not before:
            await self._put(run, move.effects, kernel)
        for effect in move.effects:
            await self._perform(run, effect, kernel)
        if run is not before:
            asyncio.get_running_loop().call_soon(self._on_change, run)
        return run

    async def _put(self, run: Run, effects: tuple[Effect, ...], kernel: Kernel | None) -> None:
        to_deliver = any(isinstance(effect, Deliver) for effect in effects)
        put = self._store.finish if run.ended and not to_deliver else self._store.put
        try:
            await self._pending.flush(run.id)
            await put(run)
        except BaseException:
            self._executor.give_back(run.id, kernel)
            raise
        self._storage.is_over()
        if run.pause is None and run.not_before is None:
            self._scheduler.unset(run.id)

    async def _perform(self, run: Run, effect: Effect, kernel: Kernel | None) -> None:
        match effect:
            case Execute() if run.status == "queued" or kernel is not None:
                self._executor.start(run, kernel)
            case SetTimer(at=at) if run.pause is not None or run.not_before is not None:
                self._scheduler.set(run.id, at)
            case Interrupt():
                self._executor.interrupt(run.id)
            case Deliver(emails=emails):
                await self._pending.do(run.id, partial(self._mailbox.accept, emails))
            case Archive():
                self._executor.forget(run.id)
                await self._pending.do(run.id, partial(self._store.finish, run))

    async def _expire(self, run_id: str) -> None:
        try:
            run = self._store.get(run_id)
            await self.move(run_id, Expire(step=run.current.name, execution=run.execution))
        except OSError as error:
            self._storage.begins(error)
            self._scheduler.set(
                run_id, self._clock() + timedelta(seconds=self._limits.storage_retry_seconds)
            )
        except PDFlowError as error:
            logger.error("Run %s can't be woken: %s", run_id, error)
        except Exception:
            logger.exception("Run %s can't be woken; the others go on.", run_id)


def _wants_kernel(move: Transition) -> bool:
    """Whether a step is to be executed: with a warm kernel its begin needs no second write."""
    return move.run.status == "queued" and Execute() in move.effects
