"""The service: changes runs by the rules, stores them, then performs the effects."""

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
from jupyter_pdflow.engine.queue import Ids, PendingWrites, RunLocks, StorageHealth
from jupyter_pdflow.engine.scheduler import Pruning, Scheduler
from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
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
from jupyter_pdflow.rules.history import HistoryEntry, entry_of, start_entry
from jupyter_pdflow.rules.run import Actor, Execution, Outcome, Request, Run, RunStatus
from jupyter_pdflow.rules.transitions import Transition, apply, new_run
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import Email, Output, RunSummary, Store
from jupyter_pdflow.stores.tinydb.folders import RunFolders
from jupyter_pdflow.stores.tinydb.storage import in_slices

logger = logging.getLogger(__name__)

HAND_OVER_SECONDS = 0.5
"""Maximum time that a list of emails waits for those of runs that have just been stored."""


class Service:
    """Starts, resumes, cancels and reads runs.

    Each change of a run is stored before the next change of that run is looked at. So the first
    of a resume, a cancel and a timer wins, and the others are applied to its result.

    What a method has stored when it returns, as its docstring says, survives a crash and a power
    cut. A method that raises, be it `OSError` because the storage fails, has stored nothing unless
    its docstring says otherwise. What follows from a stored change is repeated at the next `open`
    if the server ends too early: executing a step, setting a timer, handing over emails, archiving.

    Parameters
    ----------
    links_for : callable
        Returns the resume and the cancel URL of (run id, step, execution).
    on_change : callable
        Called with a run after each change that was stored.
    """

    def __init__(
        self,
        store: Store,
        pool: KernelPool,
        outbox: Outbox,
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
        self._outbox = outbox
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
        self._reading_newest: asyncio.Task[None] | None = None
        self._pruning = Pruning(
            store, outbox, folders, keep_days=keep_days, clock=clock, limits=limits
        )

    async def open(self) -> None:
        """Take up the runs as the last server left them; overdue timers fire at once.

        Stored: each run whose step was executing, as queued again, or as failed after too many
        crashes. After an `OSError`, which may come halfway, make another `Service`.
        """
        await self._outbox.open()
        async for run in in_slices(self._store.active()):
            await self._recover(run)
        # In a task: it may read a large folder, and links and paused runs do not need it.
        self._reading_newest = asyncio.create_task(self._read_newest(), name="read the newest id")
        self._pruning.open()
        for workflow in sorted(self.workflows(), key=lambda known: known.created_at)[-1:]:
            self._executor.prestart(workflow)

    async def _read_newest(self) -> None:
        """Read the id of the newest run, so that ids of new runs are greater."""
        while True:
            try:
                newest = await self._store.page(limit=1)
            except OSError as error:
                self._storage.report_failure(error)
                await asyncio.sleep(self._limits.storage_retry_seconds)
            else:
                self._ids = Ids(after=[run.id for run in newest])
                return

    async def _recover(self, run: Run) -> None:
        """Take up one run; an error other than `OSError` must not keep the server from starting."""
        try:
            await self._apply(run, [Recover(max_crashes=self._max_crashes)])
        except OSError:
            raise
        except Exception:
            logger.exception("Run %s could not be recovered; the other runs continue.", run.id)

    async def stop(self) -> None:
        """Begin no further step, and wait a short time for outcomes. Stored: those that came."""
        await self._executor.stop()

    async def close(self) -> None:
        """End all work.

        Stored: runs whose steps are executing, as queued; pending writes are tried a last time.
        """
        if self._reading_newest is not None:
            self._reading_newest.cancel()
            await asyncio.wait([self._reading_newest])
        await self._pruning.close()
        self._scheduler.close()
        await self._executor.close()
        # Requests may still be changing runs: after them nothing adds a pending write.
        await self._locks.wait_released()
        await self._pending.close()
        await self._outbox.close()
        await self._store.close()

    @property
    def busy(self) -> bool:
        """Whether a run is queued or running."""
        return self._executor.busy

    # --- workflows ---

    async def deploy(self, path: str, source: Source) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns the version, and whether new runs used another one before. Stored: the version.
        """
        return await self._store.deploy(path, source, self._clock())

    def workflows(self) -> list[Workflow]:
        """Return the newest version of each workflow."""
        return self._store.workflows()

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Return one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return self._store.workflow(workflow_id, version)

    # --- runs ---

    async def start(self, workflow_id: str, event: Any = None, by: Actor = "api") -> Run:
        """Start a run of the newest version of a workflow; `NotFoundError` if unknown.

        Stored: the run, as queued or as running.
        """
        if self._reading_newest is not None:
            # Shielded: other starts wait for the same task.
            await asyncio.shield(self._reading_newest)
        workflow, now = self._store.workflow(workflow_id), self._clock()
        transition = new_run(self._ids.new(now), workflow, event, now, by)
        async with self._locks.of(transition.run.id):
            return await self._commit(None, transition, [start_entry(transition.run, now)])

    def run(self, run_id: str) -> Run:
        """Return a run as it is stored; `NotFoundError` if unknown."""
        return self._store.get(run_id)

    async def history(self, run_id: str) -> dict[int, HistoryEntry]:
        """Return the newest history entries of a run by number; `NotFoundError` if unknown."""
        return await self._store.history(run_id)

    async def runs(
        self,
        status: RunStatus | None = None,
        workflow: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first, with ids before `before`."""
        return await self._store.page(
            status=status, workflow_id=workflow, limit=limit, before=before
        )

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Return the stored outputs of a run by step name; `NotFoundError` if it is unknown."""
        return self._store.outputs(self._store.get(run_id).id)

    async def resume(self, run_id: str, by: Actor, request: Request) -> Run:
        """Resume a paused run; `NotFoundError` or `NotPausedError` if that is not possible.

        Stored: the decision and the run's next state.
        """
        async with self._locks.of(run_id):
            run = self._store.get(run_id)
            pause = current_pause(run)
            resume = Resume(step=pause.step, execution=pause.execution, by=by, request=request)
            return await self._apply(run, [resume])

    async def cancel(self, run_id: str, by: Actor, reason: str | None = None) -> Run:
        """Cancel a run and interrupt its step; `NotFoundError` or `RunEndedError` if not possible.

        Stored: the run as canceled.
        """
        return await self.apply_events(run_id, Cancel(by=by, reason=reason))

    async def resume_pause(
        self, run_id: str, step: str, execution: int, by: Actor, request: Request
    ) -> Run:
        """Resume the pause of one execution of a step.

        Stored: the decision and the run's next state. If the step is queued or running, the
        request is stored instead, as the run's ``pending_request``, for the step's end. Raises
        `NotFoundError` or `AlreadyDecidedError`.
        """
        event = Resume(step=step, execution=execution, by=by, request=request)
        return await self.apply_events(run_id, event)

    async def cancel_pause(
        self, run_id: str, step: str, execution: int, by: Actor, request: Request
    ) -> Run:
        """Cancel the run at the pause of one execution of a step.

        Stored: the run as canceled, or its ``pending_request``, as for `resume_pause`. Raises
        `NotFoundError` or `AlreadyDecidedError`.
        """
        event = CancelPause(step=step, execution=execution, by=by, request=request)
        return await self.apply_events(run_id, event)

    # --- emails ---

    async def emails(self) -> list[Email]:
        """Return the newest emails of steps, newest first."""
        # A run is visible a moment before its emails are handed over. Wait for that, a little.
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await self._locks.wait_released()
        return await self._outbox.emails()

    def email(self, email_id: str) -> Email:
        """Return one email; `NotFoundError` if unknown."""
        return self._outbox.email(email_id)

    # --- what the executor calls ---

    async def begin(self, run_id: str) -> Run:
        """Begin a run's current step, if the run is queued and due. Stored: the run as running."""
        return await self.apply_events(run_id, Begin())

    async def finish(
        self, run: Run, outcome: Outcome, outputs: list[Output], *, begin_next: bool = True
    ) -> Run:
        """Finish the current step of a run, and begin the next one if `begin_next`.

        Stored: the outputs, then, by one write, the outcome and the run's next state. If the
        second write raises `OSError`, the outputs stay. Outcomes of earlier attempts do not count.
        """
        step = run.current.name
        await self._store.put_outputs(run.id, step, run.execution, outputs)
        finish = Finish(step=step, execution=run.execution, attempt=run.attempt, outcome=outcome)
        return await self.apply_events(run.id, finish, *([Begin()] if begin_next else []))

    async def requeue(self, run_id: str, *, crashed: bool = False) -> Run:
        """Queue a run again whose step was not finished; `crashed` if its gateway has ended.

        Stored: the run as queued, or as failed after too many crashes.
        """
        requeue = Requeue(crashed=crashed, max_crashes=self._max_crashes)
        return await self.apply_events(run_id, requeue)

    def execution(self, run: Run) -> Execution:
        """Describe the run's current execution for the kernel that carries it out."""
        links = self._links_for(run.id, run.current.name, run.execution)
        return execution_of(run, *links, files_dir=self._folders.name, files_id=self._folders.id)

    def workflow_of(self, run: Run) -> Workflow:
        """Return the version that a run was started with; `NotFoundError` if it is missing."""
        return self._store.workflow(run.workflow_id, run.version)

    # --- load, apply, commit, perform ---

    async def apply_events(self, run_id: str, *events: Event) -> Run:
        """Apply events that happen at once to a run, and return its next state.

        Stored: that state, by one write. Raises `NotFoundError`, and as `rules.transitions.apply`.
        """
        async with self._locks.of(run_id):
            return await self._apply(self._store.get(run_id), list(events))

    async def _apply(self, run: Run, events: list[Event]) -> Run:
        now, before = self._clock(), run
        effects, entries = list[Effect](), list[HistoryEntry]()
        for event in events:
            after, more = apply(run, event, now)
            if after is not run:
                entries.append(entry_of(run, event, after, now))
            run, effects = after, [*effects, *more]
        return await self._commit(before, Transition(run, tuple(effects)), entries)

    async def _commit(
        self, before: Run | None, transition: Transition, entries: list[HistoryEntry]
    ) -> Run:
        # A warm kernel is taken before the write, so that one write stores the change and the
        # begin of the step.
        kernel = self._executor.take(transition.run) if _wants_kernel(transition) else None
        run = transition.run
        if kernel is not None:
            now = self._clock()
            run = apply(transition.run, Begin(), now).run
            entries.append(entry_of(transition.run, Begin(), run, now))
        if run is not before:
            await self._put(run, transition.effects, kernel, entries)
        for effect in transition.effects:
            await self._perform(run, effect, kernel)
        if run is not before:
            # Not called here: listeners would delay the answer to the request.
            asyncio.get_running_loop().call_soon(self._on_change, run)
        return run

    async def _put(
        self,
        run: Run,
        effects: tuple[Effect, ...],
        kernel: Kernel | None,
        entries: list[HistoryEntry],
    ) -> None:
        # A start recovers active runs only. So a run is not stored as finished before its emails
        # are handed over: a crash in between would lose them.
        to_deliver = any(isinstance(effect, Deliver) for effect in effects)
        put = self._store.finish if run.ended and not to_deliver else self._store.put
        try:
            # What an earlier change left over comes first: this one replaces the run's outbox.
            await self._pending.flush(run.id)
            await put(run, entries)
        except BaseException:  # a canceled task, too, must not keep the kernel
            self._executor.give_back(run.id, kernel)
            raise
        self._storage.report_success()
        if run.pause is None and run.not_before is None:
            self._scheduler.unset(run.id)

    async def _perform(self, run: Run, effect: Effect, kernel: Kernel | None) -> None:
        """Perform an effect of a transition that is stored.

        An effect is skipped if a later one of several events has made it obsolete. A running run
        without a kernel from `take` has its task already.
        """
        match effect:
            case Execute() if run.status == "queued" or kernel is not None:
                self._executor.start(run, kernel)
            case SetTimer(at=at) if run.pause is not None or run.not_before is not None:
                self._scheduler.set(run.id, at)
            case Interrupt():
                self._executor.interrupt(run.id)
            case Deliver(emails=emails):
                await self._pending.do(run.id, partial(self._outbox.accept, emails))
            case Archive():
                self._executor.dequeue(run.id)
                await self._pending.do(run.id, partial(self._store.finish, run))

    async def _expire(self, run_id: str) -> None:
        """Apply `Expire` to a run that is due; raise nothing, as the scheduler requires."""
        try:
            run = self._store.get(run_id)
            await self.apply_events(run_id, Expire(step=run.current.name, execution=run.execution))
        except OSError as error:
            self._storage.report_failure(error)
            wait = timedelta(seconds=self._limits.storage_retry_seconds)
            self._scheduler.set(run_id, self._clock() + wait)
        except PDFlowError as error:
            logger.error("The timer of run %s can't be applied: %s", run_id, error)
        except Exception:
            logger.exception("The timer of run %s can't be applied; others can.", run_id)


def _wants_kernel(transition: Transition) -> bool:
    """Return whether a step is to be executed."""
    return transition.run.status == "queued" and Execute() in transition.effects
