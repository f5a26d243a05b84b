"""A Hypothesis state machine: random events, and invariants that hold after each."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_pdflow.exceptions import AlreadyDecidedError, RunEndedError
from jupyter_pdflow.rules.events import (
    MAX_CRASHES,
    Begin,
    Cancel,
    CancelPause,
    Event,
    Execute,
    Expire,
    Finish,
    LeaseLapsed,
    Requeue,
)
from jupyter_pdflow.rules.events import Resume as ResumeEvent
from jupyter_pdflow.rules.execution import execution_of, is_alone
from jupyter_pdflow.rules.pauses import Decision, PauseCall
from jupyter_pdflow.rules.run import Error, ExitCall, Outcome, Run
from jupyter_pdflow.rules.transitions import apply
from jupyter_pdflow.stores.validation import flaw_of_run
from tests.rules.support import HOUR_MS, RunDriver

STEPS = ("a", "b", "c")
pause_keys = st.tuples(st.sampled_from(STEPS), st.integers(1, 6))
pauses = st.builds(
    PauseCall,
    kind=st.sampled_from(["suspend", "rerun", "delay"]),
    ms=st.integers(1, 5000),
    on_timeout=st.sampled_from(["resume", "cancel", "fail"]),
    max_retries=st.integers(0, 3),
)
outcomes = st.builds(
    Outcome,
    exports=st.dictionaries(st.sampled_from(["x", "$return_value"]), st.integers(-99, 99)),
    flow=st.one_of(st.none(), pauses, pauses, st.builds(ExitCall)),
    error=st.one_of(st.none(), st.none(), st.none(), st.just(Error(ename="E", evalue="e"))),
)


class AnyRun(RuleBasedStateMachine):
    """A run, and the counts and decisions that its invariants are compared with."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = RunDriver(*STEPS)
        self.pauses_ended = 0
        self.decisions: dict[tuple[str, int], Decision] = {}

    @property
    def run(self) -> Run:
        return self.driver.run

    def send(self, event: Event) -> bool:
        """Send an event and return whether it changed the run."""
        before = self.run
        try:
            self.driver.send(event)
        except (AlreadyDecidedError, RunEndedError):
            assert self.run is before
            return False
        if before.ended:
            assert self.run is before
        if self.run.execution > before.execution:
            assert self.run.execution == before.execution + 1
            self.pauses_ended += 1
        for decision in self.run.decisions:
            pause_key = (decision.step, decision.execution)
            assert self.decisions.setdefault(pause_key, decision) == decision
        return self.run is not before

    @rule(ms=st.one_of(st.integers(-1000, 40_000), st.sampled_from([-HOUR_MS, HOUR_MS])))
    def wait(self, ms: int) -> None:
        self.driver.wait(ms)

    @rule()
    def begin(self) -> None:
        run = self.run
        assert self.send(Begin()) == (run.status == "queued" and run.not_before is None)

    @rule(outcome=outcomes)
    def finish(self, outcome: Outcome) -> None:
        run = self.run
        event = Finish(
            step=run.current.name, execution=run.execution, attempt=run.attempt, outcome=outcome
        )
        assert self.send(event) == (run.status == "running")

    @rule(outcome=outcomes, pause_key=pause_keys, attempt=st.integers(1, 3))
    def finish_of_some_execution(
        self, outcome: Outcome, pause_key: tuple[str, int], attempt: int
    ) -> None:
        step, execution = pause_key
        event = Finish(step=step, execution=execution, attempt=attempt, outcome=outcome)
        run = self.run
        current = (run.current.name, run.execution, run.attempt)
        counts = run.status == "running" and current == (*pause_key, attempt)
        assert self.send(event) == counts

    @rule(pause_key=pause_keys, data=st.integers(0, 9))
    def resume(self, pause_key: tuple[str, int], data: int) -> None:
        step, execution = pause_key
        self.settle(
            ResumeEvent(step=step, execution=execution, by="link", request={"body": data}),
            pause_key,
        )

    @rule(pause_key=pause_keys)
    def cancel_by_link(self, pause_key: tuple[str, int]) -> None:
        step, execution = pause_key
        self.settle(CancelPause(step=step, execution=execution, by="link"), pause_key)

    @precondition(lambda self: self.run.pause is not None)
    @rule(data=st.integers(0, 9))
    def resume_pause(self, data: int) -> None:
        assert self.run.pause is not None
        pause = self.run.pause
        self.resume((pause.step, pause.execution), data)

    def settle(self, event: Event, pause_key: tuple[str, int]) -> None:
        run = self.run
        waiting = run.pause is not None and (run.pause.step, run.pause.execution) == pause_key
        is_current = (run.current.name, run.execution) == pause_key
        may_be_kept = (
            run.status in ("queued", "running") and is_current and run.pending_request is None
        )
        assert self.send(event) == (waiting or may_be_kept)

    @rule(pause_key=pause_keys)
    def expire(self, pause_key: tuple[str, int]) -> None:
        step, execution = pause_key
        run = self.run
        deadline = run.pause.deadline if run.pause else run.not_before
        due = deadline is not None and self.driver.now >= deadline
        is_current = (run.current.name, run.execution) == pause_key
        assert self.send(Expire(step=step, execution=execution)) == (due and is_current)

    @precondition(lambda self: self.run.pause is not None)
    @rule()
    def pause_times_out(self) -> None:
        pause = self.run.pause
        assert pause is not None
        self.driver.now = max(self.driver.now, pause.deadline)
        self.expire((pause.step, pause.execution))

    @rule()
    def cancel(self) -> None:
        ended = self.run.ended
        assert self.send(Cancel(by="api")) == (not ended)

    @rule(crashed=st.sampled_from([False, None, True]))
    def server_stops_or_crashes(self, crashed: bool | None) -> None:
        driver = self.driver
        event = driver.lapsed() if crashed is None else driver.requeued(crashed=crashed)
        self.server_ends(event, self.run)

    @rule(
        kind=st.sampled_from([LeaseLapsed, Requeue]),
        pause_key=pause_keys,
        attempt=st.integers(1, 3),
    )
    def some_server_ends(
        self, kind: type[LeaseLapsed | Requeue], pause_key: tuple[str, int], attempt: int
    ) -> None:
        before = self.run
        current = (before.current.name, before.execution, before.attempt)
        event = kind(step=pause_key[0], execution=pause_key[1], attempt=attempt)
        if current == (*pause_key, attempt):
            self.server_ends(event, before)
        else:
            assert not self.send(event)

    def server_ends(self, event: Event, before: Run) -> None:
        changed = self.send(event)
        assert changed == (before.status == "running")
        if not changed:
            return
        assert self.run.attempt == before.attempt + 1
        crashed = not isinstance(event, Requeue) or event.crashed
        assert self.run.crashes == before.crashes + crashed
        given_up = self.run.crashes == MAX_CRASHES and crashed
        assert self.run.current.status == ("failed" if given_up else "pending")

    @precondition(lambda self: self.run.not_before is not None)
    @rule()
    def wait_after_a_crash_ends(self) -> None:
        assert self.run.not_before is not None
        self.driver.now = max(self.driver.now, self.run.not_before)
        self.expire((self.run.current.name, self.run.execution))
        assert self.driver.effects == (Execute(),)

    @invariant()
    def status_and_pause_agree(self) -> None:
        run = self.run
        assert (run.status == "paused") == (run.pause is not None)
        if run.pause is not None:
            assert (run.current.name, run.execution) == (run.pause.step, run.pause.execution)
            assert run.current.status == "paused"
        assert run.pending_request is None or run.status in ("queued", "running")
        assert run.ended == (run.ended_at is not None)

    @invariant()
    def what_wakes_or_owns_it_fits_its_status(self) -> None:
        run = self.run
        assert (run.owner is not None) == (run.status == "running")
        waits = run.status == "paused" or (run.status == "queued" and not run.ready)
        assert (run.wakes_at is not None) == waits

    @invariant()
    def run_can_be_stored(self) -> None:
        assert flaw_of_run(self.run) is None

    @invariant()
    def only_steps_that_crashed_wait_to_begin(self) -> None:
        run = self.run
        assert run.crashes < MAX_CRASHES or run.ended
        assert run.not_before is None or (run.status, is_alone(run)) == ("queued", True)

    @invariant()
    def steps_are_done_in_order(self) -> None:
        run = self.run
        assert all(step.status == "succeeded" for step in run.steps[: run.position])
        after = {step.status for step in run.steps[run.position + 1 :]}
        assert after <= ({"skipped"} if run.ended else {"pending"})

    @invariant()
    def usage_and_counts_add_up(self) -> None:
        run = self.run
        assert run.usage.compute_ms >= 0
        assert run.usage.paused_ms >= 0
        assert run.execution == self.pauses_ended + 1
        assert run.usage.credits * 30_000 >= run.usage.compute_ms
        if run.status == "succeeded":
            assert run.usage.credits >= run.execution
        assert sum(step.reruns for step in run.steps) <= self.pauses_ended

    @invariant()
    def no_duration_is_negative(self) -> None:
        run = self.run
        assert run.created_at <= run.updated_at
        assert run.ended_at in (None, run.updated_at)
        for step in run.steps:
            if step.ended_at is not None and step.started_at is not None:
                assert step.started_at <= step.ended_at

    @invariant()
    def counts_of_executions_are_plausible(self) -> None:
        run = self.run
        for step in run.steps:
            assert step.runs >= step.reruns
        if run.status in ("queued", "running"):
            assert run.current.attempts == run.attempt - (run.status == "queued")
        execution = execution_of(run)
        assert execution.runs >= 1
        assert (execution.callback_request is not None) <= execution.called_back

    @invariant()
    def ended_run_ignores_events(self) -> None:
        if not self.run.ended:
            return
        run = self.run
        assert run.error is not None or run.status != "failed"
        for event in (Begin(), Expire(step=run.current.name, execution=run.execution)):
            assert apply(run, event, self.driver.now).run is run


AnyRun.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyRun = AnyRun.TestCase
