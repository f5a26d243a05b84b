"""The service: loads runs, changes them by the rules, commits them, then performs the effects."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.catalog import Catalog
from jupyter_pdflow.engine.executor import Executor
from jupyter_pdflow.engine.leases import Leases
from jupyter_pdflow.engine.live_outputs import LiveOutputs, with_live
from jupyter_pdflow.engine.local_queue import Ids
from jupyter_pdflow.engine.queue import Queue
from jupyter_pdflow.engine.scheduler import Pruning, Scheduler
from jupyter_pdflow.kernels.kernel import Kernel, StepResult
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.decisions import current_pause
from jupyter_pdflow.rules.events import (
    MAX_CRASHES,
    Answer,
    Begin,
    Cancel,
    CancelPause,
    EmailFailed,
    Event,
    Execute,
    Expire,
    Finish,
    Interrupt,
    LeaseLapsed,
    Requeue,
    Resume,
)
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.pauses import Actor, AskEmail
from jupyter_pdflow.rules.people import NO_DIRECTORY, UNKNOWN, Directory, Person
from jupyter_pdflow.rules.run import Execution, Run
from jupyter_pdflow.rules.transitions import Transition, apply, apply_all, is_of_attempt, new_run
from jupyter_pdflow.rules.workflow import DEFAULT_QUEUE
from jupyter_pdflow.settings import LIMITS, Limits
from jupyter_pdflow.stores import (
    Email,
    IdempotencyKey,
    KeptOutputs,
    Lapsed,
    StepOutputs,
    WorkerState,
)
from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.folders import RunFolders
from jupyter_pdflow.threads import held

logger = logging.getLogger(__name__)

NEWEST_SECONDS = 5.0
"""Maximum time that starts wait for the id of the newest run, after the server has started."""


class Service(Catalog):
    """Starts, resumes and cancels runs; reads them as a `Catalog`.

    Each change of a run is stored before the next change of that run is looked at. So the first
    of a resume, a cancel and a timer wins, and the others are applied to its result.

    What a method has stored when it returns, as its docstring says, survives a crash and a power
    cut. A method that raises, be it `StorageUnavailableError`, has stored nothing. What follows
    from a stored change is derived from the stored runs at the next `open`, if the server ends too
    early.

    Parameters
    ----------
    links_for : callable
        Returns the resume and the cancel URL of (run id, step, execution).
    on_begin : callable
        Called with the seconds for which a run was ready, when its step is given to a kernel.
    on_failed : callable
        Called with each run that failed, by the process that has stored that.
    on_lapsed : callable
        Called with each run whose attempt this process has taken over from one that was gone.
    queue : Queue, optional
        What hands out runs to this process, if several processes share the store.
    worker_name : str
        The name of this process in lists of workers.
    directory : Directory
        Who is one person, and who belongs to a group.
    """

    def __init__(
        self,
        store: Store,
        pool: KernelPool,
        outbox: Outbox,
        links_for: Callable[[str, str, int], tuple[str, str]],
        *,
        folders: RunFolders,
        keep_days: float | None = None,
        max_crashes: int = MAX_CRASHES,
        on_begin: Callable[[float], object] = lambda _: None,
        on_failed: Callable[[Run], object] = lambda _: None,
        on_lapsed: Callable[[Run], object] = lambda _: None,
        queue: Queue | None = None,
        worker_name: str = "",
        directory: Directory = NO_DIRECTORY,
        clock: Callable[[], datetime] = utc_now,
        limits: Limits = LIMITS,
    ) -> None:
        super().__init__(store, outbox, directory, clock, limits)
        self._max_crashes = max_crashes
        outbox.on_answered = self._note_email
        self._folders = folders
        self._links_for = links_for
        self._scheduler = Scheduler(store, self._expire, clock, limits=limits)
        self._pool = pool
        self._worker_name = worker_name or f"{socket.gethostname()}:{os.getpid()}"
        self._queues = [DEFAULT_QUEUE] if queue is None else list(queue.names)
        self._executor = Executor(self, pool, on_begin, queue=queue, limits=limits)
        self._leases = Leases(
            store,
            executing=lambda: self._executor.executing,
            storing=lambda: self._executor.storing,
            interrupt=self._executor.interrupt,
            take_over=self._take_over,
            worker=lambda: self.worker() if pool.max_kernels else None,
            clock=clock,
        )
        self._live = LiveOutputs(store, lambda: self._executor.showing)
        self._on_failed = on_failed
        self._on_lapsed = on_lapsed
        self._begin = Begin(owner=store.owner)
        self._ids = Ids()
        self._reading_newest: asyncio.Task[None] | None = None
        self._pruning = Pruning(
            store, self.delete_all, keep_days=keep_days, clock=clock, limits=limits
        )

    async def open(self) -> None:
        """Take up the runs as the last server left them; overdue runs expire at once.

        Stored: each run whose step was executing, as queued again, or as failed after too many
        crashes. After a `StorageUnavailableError`, which may come halfway, make another `Service`.
        """
        await self._store.open()
        await self._leases.open()
        self._live.open()
        await self._executor.open(self._store.ready)
        # In a task: it may read a large folder, and links and paused runs do not need it.
        self._reading_newest = asyncio.create_task(self._read_newest(), name="read the newest id")
        self._scheduler.open()
        self._outbox.open()
        self._pruning.open()
        for workflow in sorted(await self.workflows(), key=lambda known: known.created_at)[-1:]:
            self._executor.prestart(workflow)

    async def _read_newest(self) -> None:
        """Read the id of the newest run, so that ids of new runs are greater.

        Starts wait for this, so it ends in any case. Without that id, new ones follow the clock.
        """
        loop = asyncio.get_running_loop()
        ends, failure = loop.time() + NEWEST_SECONDS, None
        while (left := ends - loop.time()) > 0:
            reading = asyncio.ensure_future(self._store.newest())
            try:
                # Not `asyncio.timeout`: a call that is canceled may end late, or not at all.
                await asyncio.wait([reading], timeout=left)
                if not reading.done():
                    break
                newest = reading.result()
            except Exception as error:  # noqa: BLE001  it is logged
                failure = error
                await asyncio.sleep(self._limits.storage_retry_seconds)
            else:
                shared = self._store.lease_seconds is not None
                self._ids = Ids(after=[newest] if newest else [], shared=shared)
                return
            finally:
                reading.cancel()
        logger.error(
            "The newest run can't be found. If the clock was set back, lists show new runs after "
            "older ones.",
            exc_info=failure,
        )

    async def _take_over(self, lapsed: Lapsed) -> None:
        event = LeaseLapsed(
            step=lapsed.step,
            execution=lapsed.execution,
            attempt=lapsed.attempt,
            max_crashes=self._max_crashes,
        )
        self._on_lapsed(await self._apply(lapsed.run_id, event))

    async def drain(self) -> None:
        """Begin no further step, and wait until those that are executing have ended."""
        await self._executor.drain()

    async def stop(self) -> None:
        """Begin no further step, and wait a short time for outcomes. Stored: those that came."""
        await self._executor.stop()

    async def close(self) -> None:
        """End all work. Stored: runs whose steps are executing, as queued."""
        if self._reading_newest is not None:
            self._reading_newest.cancel()
            await asyncio.wait([self._reading_newest])
        await self._counting.close()
        await self._pruning.close()
        await self._scheduler.close()
        await self._executor.close()
        await self._leases.close()
        await self._live.close()
        await self._outbox.close()
        await self._store.close()

    @property
    def busy(self) -> bool:
        """Whether a run is queued or running."""
        return self._executor.busy

    def worker(self) -> WorkerState:
        """Return how this process is doing."""
        return WorkerState(
            name=self._worker_name,
            host=socket.gethostname(),
            queues=self._queues,
            kernels=self._pool.max_kernels,
            busy=len(self._executor.executing),
            seen_at=self._clock(),
        )

    async def workers(self) -> list[WorkerState]:
        """Return the processes that execute steps."""
        if self._store.lease_seconds is None:
            return [self.worker()]
        return await self._store.workers()

    # --- runs ---

    async def start(
        self,
        workflow_id: str,
        event: Any = None,
        by: Actor = "api",
        key: IdempotencyKey | None = None,
    ) -> Run:
        """Start a run of the newest version of a workflow; `NotFoundError` if unknown.

        If a run was started with the same key, that run is returned. Stored: the run, as queued or
        as running.
        """
        if self._reading_newest is not None:
            # Shielded: other starts wait for the same task.
            await asyncio.shield(self._reading_newest)
        workflow, now = await self._store.workflow(workflow_id), self._clock()
        transition = new_run(self._ids.new(now), workflow, event, now, by)
        return await self._commit(transition, partial(self._store.create, key=key))

    async def outputs(self, run_id: str) -> KeptOutputs:
        """Return the outputs of a run, those of a step under way too; `NotFoundError` if unknown."""
        run = await self._store.get(run_id)
        # Before what is stored: an outcome that is stored in between is found there.
        showing = self._executor.showing_of(run_id)
        live = showing and showing.outputs()
        return with_live(await self._store.outputs(run.id), run, live)

    async def outputs_tag(self, run_id: str) -> str:
        """Return a text that changes when a run's outputs do; `NotFoundError` if it is unknown."""
        showing = self._executor.showing_of(run_id)
        live = showing.tag if showing else ""
        return f"{await self._store.outputs_tag(run_id)}.{live}"

    async def resume(self, run_id: str, answer: Answer, *, since: str | None = None) -> Run:
        """Resume, or approve, the pause of a run; only the one that began at `since`, if given.

        Stored: the decision and the run's next state, or the approval if more are required. Raises
        `NotFoundError`, `NotPausedError`, or what `rules.approvals` raises.
        """
        return await self._apply(run_id, lambda run: self._on_pause(run, Resume, answer, since))

    async def reject(self, run_id: str, answer: Answer, *, since: str | None = None) -> Run:
        """Reject what the pause of a run asks; as `resume`."""
        return await self._apply(
            run_id, lambda run: self._on_pause(run, CancelPause, answer, since)
        )

    async def cancel(
        self, run_id: str, by: Actor, reason: str | None = None, person: Person = UNKNOWN
    ) -> Run:
        """Cancel a run and interrupt its step; `NotFoundError` or `RunEndedError` if not possible.

        Stored: the run as canceled.
        """
        return await self._apply(run_id, Cancel(by=by, reason=reason, person=person))

    async def resume_pause(self, run_id: str, step: str, execution: int, answer: Answer) -> Run:
        """Resume, or approve, the pause of one execution of a step.

        Stored: as for `resume`. If the step is queued or running, the request is stored instead, as
        the run's ``pending_request``, for the step's end. Raises `NotFoundError`,
        `AlreadyDecidedError`, or what `rules.approvals` raises.
        """
        return await self._apply(run_id, self._on(step, execution, Resume, answer))

    async def cancel_pause(self, run_id: str, step: str, execution: int, answer: Answer) -> Run:
        """Cancel, or reject, the pause of one execution of a step; as `resume_pause`."""
        return await self._apply(run_id, self._on(step, execution, CancelPause, answer))

    def _on_pause(
        self, run: Run, event: type[Resume | CancelPause], answer: Answer, since: str | None
    ) -> Event:
        pause = current_pause(run, since)
        return self._on(pause.step, pause.execution, event, answer)

    def _on(
        self, step: str, execution: int, event: type[Resume | CancelPause], answer: Answer
    ) -> Event:
        given = answer._asdict()
        return event(step=step, execution=execution, directory=self.directory, **given)

    # --- emails ---

    async def retry_email(self, email_id: str) -> Email:
        """Send an email again that has failed; `NotFoundError`, or `NotFailedError` if it has not.

        Stored: the email as queued.
        """
        return await self._outbox.retry(await self._store.email(email_id))

    # --- what the executor calls ---

    async def begin(self, run_id: str) -> Run | None:
        """Begin a run's current step, if the run is queued and due. Stored: the run as running.

        Returns the run if this process executes it now.
        """
        return self._own(await self._apply(run_id, self._begin))

    async def finish(self, run: Run, result: StepResult, *, begin_next: bool = True) -> Run | None:
        """Finish the current step of a run, and begin the next one if `begin_next`.

        Stored: the outputs, the outcome and the run's next state. Outcomes of earlier attempts do
        not count; of a step that was canceled, the outputs are stored. Returns the run if this
        process executes its next step now.
        """
        step = run.current.name
        finish = Finish(
            step=step,
            execution=run.execution,
            attempt=run.attempt,
            outcome=result.outcome,
            directory=self.directory,
        )
        events = [finish, self._begin] if begin_next else [finish]
        shown = StepOutputs(
            step=step,
            execution=run.execution,
            attempt=run.attempt,
            outputs=list(result.outputs),
            widgets=dict(result.widgets),
        )
        return self._own(await self._apply(run.id, *events, outputs=shown))

    def _own(self, run: Run) -> Run | None:
        return run if run.owner == self._begin.owner else None

    async def requeue(self, run: Run, *, crashed: bool = False) -> Run:
        """Queue a run again whose attempt was not finished; `crashed` if its gateway has ended.

        Stored: the run as queued, or as failed after too many crashes. Another attempt than that
        of `run` is not changed.
        """
        event = Requeue(
            step=run.current.name,
            execution=run.execution,
            attempt=run.attempt,
            crashed=crashed,
            max_crashes=self._max_crashes,
        )
        return await self._apply(run.id, event)

    def execution(self, run: Run) -> Execution:
        """Describe the run's current execution for the kernel that carries it out."""
        links = self._links_for(run.id, run.current.name, run.execution)
        return execution_of(run, *links, files_dir=self._folders.name, files_id=self._folders.id)

    # --- load, apply, commit, perform ---

    async def _apply(
        self,
        run_id: str,
        *events: Event | Callable[[Run], Event],
        outputs: StepOutputs | None = None,
    ) -> Run:
        """Apply events that happen at once to a run, and return its next state.

        Stored: that state, by one commit. Raises as `Store.get` and `rules.transitions.apply`.
        """
        async with self._store.transaction(run_id) as transaction:
            run, now = transaction.run, self._clock()
            given = [event(run) if callable(event) else event for event in events]
            transition = apply_all(run, given, now)
            if transition.run is not run:
                commit = partial(transaction.commit, outputs=outputs)
                return await self._commit(transition, commit)
            if outputs is not None and is_of_attempt(run, given[0]):
                await transaction.commit(run, outputs=outputs)
            return run

    async def _commit(
        self,
        transition: Transition,
        commit: Callable[[Run, Sequence[HistoryEntry]], Awaitable[Run | None]],
    ) -> Run:
        """Commit a transition, and perform what follows; return the run as it is stored.

        A caller that is canceled waits until both are done.
        """
        return await held(asyncio.create_task(self._commit_and_perform(transition, commit)))

    async def _commit_and_perform(
        self,
        transition: Transition,
        commit: Callable[[Run, Sequence[HistoryEntry]], Awaitable[Run | None]],
    ) -> Run:
        kernel = self._executor.claim(transition.run) if Execute() in transition.effects else None
        if kernel is not None:
            # One commit stores the change and the begin of the step.
            begun = apply(transition.run, self._begin, self._clock())
            transition = Transition(
                begun.run, transition.effects, (*transition.entries, *begun.entries)
            )
        try:
            other = await commit(transition.run, transition.entries)
        except BaseException:
            self._executor.give_back(transition.run.id, kernel)
            raise
        if other is not None and other is not transition.run:  # it was started before
            self._executor.give_back(transition.run.id, kernel)
            return other
        self._perform(transition, kernel)
        return transition.run

    def _perform(self, transition: Transition, kernel: Kernel | None) -> None:
        """Perform what follows from a transition that is stored."""
        run = transition.run
        if Interrupt() in transition.effects:
            self._executor.interrupt(run.id)
        if run.ended:
            self._executor.dequeue(run.id)
        if run.status == "failed":
            self._on_failed(run)
        if kernel is not None:
            self._executor.execute(run, kernel)
        elif run.ready and Execute() in transition.effects:
            self._executor.enqueue(run.id)
        if run.wakes_at is not None:
            self._scheduler.wake(run.wakes_at)
        if run.outbox:
            self._outbox.wake()

    async def _expire(self, run_id: str) -> None:
        await self._apply(
            run_id,
            lambda run: Expire(
                step=run.current.name, execution=run.execution, directory=self.directory
            ),
        )

    async def _note_email(self, email: Email, ask: AskEmail) -> None:
        """Note in its run whether an email to an approver could be sent."""
        event = EmailFailed(
            step=email.step,
            execution=ask.execution,
            address=ask.person,
            error=email.error if email.status == "failed" else None,
        )
        await self._apply(email.run_id, event)
