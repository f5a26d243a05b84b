"""Carries runs on: applies the rules, stores the result, then sees to the effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ulid import ULID

from jupyter_pdflow.engine.drivers import Drivers
from jupyter_pdflow.engine.letters import StoredLetter
from jupyter_pdflow.engine.mailbox import Mailbox
from jupyter_pdflow.engine.timers import Timers, utc_now
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    CancelPause,
    Deliver,
    Effect,
    End,
    Event,
    Execute,
    Expire,
    Finish,
    Interrupt,
    Recover,
    Resume,
    Wake,
)
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.moves import Move, apply, new_run, waiting_for
from jupyter_pdflow.rules.run import By, Execution, Outcome, Request, Run, RunStatus
from jupyter_pdflow.rules.workflow import Source, Workflow
from jupyter_pdflow.store.base import Output, Store

PRUNE_EVERY = 3600.0
"""Seconds between looks for finished runs that are old enough to go."""

RETRY_AFTER = timedelta(seconds=2)
"""Until a due run that couldn't be stored is tried again, for instance when the disk is full."""


class Engine:
    """All that can be done to runs. What a method changed is durable when it returns.

    Every change is made without awaiting, on the event loop's thread: two requests can't
    interleave, so the first of a resume, a cancel and a timer wins, and the others see it.

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
    keep_days : float or None
        After how many days finished runs are removed; None keeps them.
    """

    def __init__(
        self,
        store: Store,
        pool: KernelPool,
        mailbox: Mailbox,
        links_for: Callable[[str, str, int], tuple[str, str]],
        on_change: Callable[[Run], None],
        *,
        keep_days: float | None = None,
        log: logging.Logger,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._mailbox = mailbox
        self._links_for = links_for
        self._on_change = on_change
        self._keep_days = keep_days
        self._log = log
        self._clock = clock
        self._timers = Timers(self._on_due, clock)
        self._drivers = Drivers(self, pool, log)
        self._pruning: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Take up the runs as the last server left them; overdue timers fire at once."""
        self._mailbox.open()
        for run in self._store.active():
            self._apply(run, [Recover()])
        self._prune()

    async def close(self) -> None:
        """Stop all that is going on; runs that were executing are executed again at `open`."""
        if self._pruning is not None:
            self._pruning.cancel()
        self._timers.close()
        await self._drivers.close()
        await self._mailbox.close()

    @property
    def busy(self) -> bool:
        """Whether a run is queued or running."""
        return self._drivers.busy

    # --- workflows ---

    def deploy(self, path: str, source: Source) -> tuple[Workflow, bool]:
        """Make `source` the newest version of the notebook at `path`.

        Returns
        -------
        workflow : Workflow
            The version that new runs now use.
        changed : bool
            Whether that is another one than before.
        """
        return self._store.deploy(path, source, self._clock())

    def workflows(self) -> list[Workflow]:
        """Get the newest version of each workflow."""
        return self._store.workflows()

    def workflow(self, workflow_id: str, version: str | None = None) -> Workflow:
        """Get one version of a workflow, the newest by default; `NotFoundError` if unknown."""
        return self._store.workflow(workflow_id, version)

    # --- runs ---

    def start(self, workflow_id: str, event: Any = None) -> Run:
        """Start a run of the newest version of a workflow; `NotFoundError` if unknown."""
        workflow = self._store.workflow(workflow_id)
        return self._commit(None, new_run(str(ULID()), workflow, event, self._clock()))

    def run(self, run_id: str) -> Run:
        """Read a run; `NotFoundError` where there is none."""
        return self._store.get(run_id)

    def runs(
        self,
        status: RunStatus | None = None,
        workflow: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Run]:
        """Read runs, newest first, from the one before the run id `before` on."""
        return self._store.page(status=status, workflow_id=workflow, limit=limit, before=before)

    def outputs(self, run_id: str) -> dict[str, list[Output]]:
        """Read what the steps of a run showed; `NotFoundError` where there is no such run."""
        return self._store.outputs(self._store.get(run_id).id)

    def resume(self, run_id: str, by: By, request: Request) -> Run:
        """Resume a paused run.

        Raises
        ------
        NotFoundError, NotPausedError
        """
        pause = waiting_for(self._store.get(run_id))
        return self.resume_pause(run_id, pause.step, pause.execution, by, request)

    def cancel(self, run_id: str, by: By, reason: str | None = None) -> Run:
        """Cancel a run, whatever it is doing.

        Raises
        ------
        NotFoundError, RunEndedError
        """
        return self.move(run_id, Cancel(by=by, reason=reason))

    def resume_pause(self, run_id: str, step: str, execution: int, by: By, request: Request) -> Run:
        """Resume the pause of one execution of a step, or keep the request for its end.

        Returns
        -------
        Run
            Its ``early`` is set where the step is still running and the request was kept.

        Raises
        ------
        NotFoundError, AlreadyDecidedError
        """
        event = Resume(step=step, execution=execution, by=by, request=request)
        return self.move(run_id, event)

    def cancel_pause(self, run_id: str, step: str, execution: int, by: By, request: Request) -> Run:
        """Cancel the run at the pause of one execution of a step; else as `resume_pause`."""
        event = CancelPause(step=step, execution=execution, by=by, request=request)
        return self.move(run_id, event)

    # --- mail ---

    def letters(self) -> list[StoredLetter]:
        """List the mails that steps have made, newest first."""
        return self._mailbox.letters()

    def letter(self, letter_id: str) -> StoredLetter:
        """Get one mail; `NotFoundError` where there is none."""
        return self._mailbox.letter(letter_id)

    # --- what drives a run ---

    def move(self, run_id: str, *events: Event) -> Run:
        """Move a run by events that happen at once, with one durable write."""
        return self._apply(self._store.get(run_id), list(events))

    def begin(self, run_id: str) -> Run:
        """Say that a kernel takes up the run's current step."""
        return self.move(run_id, Begin())

    def finish(self, run: Run, outcome: Outcome, outputs: list[Output]) -> Run:
        """Store what a step came to and showed; where another step follows, it is begun."""
        step = run.current.name
        self._store.put_outputs(run.id, step, run.execution, outputs)
        finish = Finish(step=step, execution=run.execution, attempt=run.attempt, outcome=outcome)
        return self.move(run.id, finish, Begin())

    def execution(self, run: Run) -> Execution:
        """Describe the run's current execution for the kernel that carries it out."""
        return execution_of(run, *self._links_for(run.id, run.current.name, run.execution))

    def workflow_of(self, run: Run) -> Workflow:
        """Get the version that a run was started with."""
        return self._store.workflow(run.workflow_id, run.version)

    def _apply(self, run: Run, events: list[Event]) -> Run:
        now, before, effects = self._clock(), run, list[Effect]()
        for event in events:
            run, more = apply(run, event, now)
            effects += more
        return self._commit(before, Move(run, tuple(effects)))

    def _commit(self, before: Run | None, move: Move) -> Run:
        run = move.run
        if run is not before:
            self._store.put(run)
            if run.pause is None:
                self._timers.unset(run.id)
        for effect in move.effects:
            self._see_to(run, effect)
        if run is not before:
            self._on_change(run)
        return run

    def _see_to(self, run: Run, effect: Effect) -> None:
        match effect:
            case Execute() if run.status == "queued":
                self._drivers.start(run.id)
            case Wake(at=at) if run.pause is not None:
                self._timers.set(run.id, at)
            case Interrupt():
                self._drivers.interrupt(run.id)
            case Deliver(letters=letters):
                self._mailbox.accept(letters)
            case End():
                self._drivers.forget(run.id)
                self._store.finish(run.id)

    def _on_due(self, run_id: str) -> None:
        try:
            pause = self._store.get(run_id).pause
            if pause is not None:
                self.move(run_id, Expire(step=pause.step, execution=pause.execution))
        except OSError:
            self._log.exception("Run %s can't be woken; retrying.", run_id)
            self._timers.set(run_id, self._clock() + RETRY_AFTER)

    def _prune(self) -> None:
        if self._keep_days is None:
            return
        self._store.prune(self._clock() - timedelta(days=self._keep_days))
        loop = asyncio.get_running_loop()
        self._pruning = loop.call_later(PRUNE_EVERY, self._prune)
