"""Workflows, runs and outcomes for tests of the rules, without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_pdflow.rules.events import (
    Begin,
    CancelPause,
    Effect,
    Event,
    Expire,
    Finish,
    LeaseLapsed,
    Requeue,
    Resume,
)
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import Error, ExitCall, Outcome, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def workflow(*names: str) -> Workflow:
    steps = tuple(StepSource(name=name, source="def handler(pd): ...") for name in names)
    source = Source(kernel_name="python3", setup=(), steps=steps)
    return Workflow(id="w", name="w", version="v1", path="w.ipynb", source=source, created_at=START)


class RunDriver:
    """Applies events to a run, at times of its own that only `wait` and `time_out` change."""

    def __init__(self, *names: str, event: Any = None) -> None:
        self.now = START
        transition = new_run("r", workflow(*(names or ("a", "b"))), event, self.now)
        self.run: Run = transition.run
        self.effects: tuple[Effect, ...] = transition.effects

    def send(self, *events: Event) -> Run:
        for event in events:
            transition = apply(self.run, event, self.now)
            self.run, self.effects = transition.run, transition.effects
        return self.run

    def wait(self, ms: int) -> RunDriver:
        self.now += timedelta(milliseconds=ms)
        return self

    def step(self, took: int = 0, **outcome: Any) -> Run:
        """Execute the current step, which takes `took` ms, with the fields of `outcome`."""
        self.send(Begin())
        return self.wait(took).send(self.finished(**outcome))

    def finished(self, **outcome: Any) -> Finish:
        run = self.run
        return Finish(
            step=run.current.name,
            execution=run.execution,
            attempt=run.attempt,
            outcome=Outcome(**outcome),
        )

    def lapsed(self, **more: int) -> LeaseLapsed:
        """Return the event that the server which executes the latest attempt is gone."""
        run = self.run
        return LeaseLapsed(
            step=run.current.name, execution=run.execution, attempt=run.attempt, **more
        )

    def requeued(self, **more: bool) -> Requeue:
        """Return the event that the server no longer waits for the latest attempt."""
        run = self.run
        return Requeue(step=run.current.name, execution=run.execution, attempt=run.attempt, **more)

    def resume(self, **body: Any) -> Run:
        return self.send(resume_of(self.run, **body))

    def cancel_by_link(self) -> Run:
        run = self.run
        event = CancelPause(step=run.current.name, execution=run.execution, by="link")
        return self.send(event)

    def time_out(self) -> Run:
        pause = self.run.pause
        assert pause is not None
        self.now = pause.deadline
        return self.send(Expire(step=pause.step, execution=pause.execution))


def resume_of(run: Run, **body: Any) -> Resume:
    return Resume(step=run.current.name, execution=run.execution, by="link", request={"body": body})


def suspend(ms: int = DAY_MS, **more: Any) -> dict[str, Any]:
    return {"flow": PauseCall(kind="suspend", ms=ms, **more)}


def rerun(ms: int = 1000, context: Any = None, max_retries: int = 10) -> dict[str, Any]:
    return {"flow": PauseCall(kind="rerun", ms=ms, context=context, max_retries=max_retries)}


def exit_run(reason: str | None = None) -> dict[str, Any]:
    return {"flow": ExitCall(exit_reason=reason)}


def failure() -> dict[str, Any]:
    return {"error": Error(ename="ValueError", evalue="boom")}


def no_links(*_: object) -> tuple[str, str]:
    """Return the links of an outbox whose emails have none."""
    return "", ""
