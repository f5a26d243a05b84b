"""The transitions of a run, event by event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jupyter_pdflow.exceptions import AlreadyDecidedError, NotPausedError, RunEndedError
from jupyter_pdflow.rules.decisions import DECISION, current_pause
from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    Execute,
    Expire,
    Interrupt,
)
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT, execution_of
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import EmailRequest, Starter
from jupyter_pdflow.rules.transitions import apply, apply_all, new_run
from tests.rules.support import (
    DAY_MS,
    HOUR_MS,
    START,
    RunDriver,
    exit_run,
    failure,
    rerun,
    resume_of,
    suspend,
    workflow,
)


def statuses(driver: RunDriver) -> list[str]:
    return [step.status for step in driver.run.steps]


class TestSteps:
    def test_run_through(self) -> None:
        driver = RunDriver("a", "b")
        assert driver.run.status == "queued"
        assert driver.effects == (Execute(),)
        driver.step(exports={"$return_value": 1})
        assert (driver.run.status, driver.run.position) == ("queued", 1)
        driver.step(exports={"$return_value": 2})
        assert driver.run.status == "succeeded"
        assert driver.effects == ()
        assert [step.exports for step in driver.run.steps] == [
            {"$return_value": 1},
            {"$return_value": 2},
        ]

    def test_a_new_run_says_by_what_it_was_started(self) -> None:
        assert RunDriver().run.started_by == Starter(via="api")
        started = new_run("r", workflow("a"), None, START, "cli").run
        assert started.started_by == Starter(via="cli", name=None)

    def test_execution_has_the_event_and_earlier_exports(self) -> None:
        driver = RunDriver("a", "b", event={"n": 1})
        driver.step(exports={"$return_value": 1})
        execution = execution_of(driver.run, "R", "C")
        assert (execution.step, execution.id, execution.event) == ("b", "r-1", {"n": 1})
        assert execution.steps == {"a": {"$return_value": 1}}
        assert (execution.runs, execution.attempt, execution.called_back) == (1, 1, False)
        assert (execution.resume_url, execution.cancel_url) == ("R", "C")

    def test_failure_ends_the_run_and_drops_its_pause(self) -> None:
        driver = RunDriver()
        driver.step(**failure(), **suspend(), exports={"kept": 1})
        assert driver.run.status == "failed"
        assert driver.run.pause is None
        assert driver.run.error is not None
        assert (driver.run.error.evalue, driver.run.error.step) == ("boom", "a")
        assert driver.run.steps[0].exports == {"kept": 1}
        assert statuses(driver) == ["failed", "skipped"]

    def test_exit_ends_the_run_as_succeeded(self) -> None:
        driver = RunDriver()
        driver.step(**exit_run("enough"))
        assert (driver.run.status, driver.run.reason) == ("succeeded", "enough")
        assert statuses(driver) == ["succeeded", "skipped"]

    def test_too_large_exports_fail_the_step(self) -> None:
        driver = RunDriver()
        driver.step(exports={"$return_value": "x" * (EXPORTS_LIMIT - 100)})
        assert driver.run.status == "queued"
        driver.step(exports={"more": "x" * 200})
        assert driver.run.status == "failed"
        assert driver.run.error is not None
        assert "6,000,000" in driver.run.error.evalue

    def test_the_context_of_a_rerun_counts_as_the_exports_do(self) -> None:
        driver = RunDriver()
        half = "x" * (EXPORTS_LIMIT // 2)
        driver.step(exports={"$return_value": half}, **rerun(context=half[:-100]))
        assert driver.run.status == "paused"
        driver.time_out()
        driver.step(exports={"$return_value": half}, **rerun(context=half))
        assert driver.run.status == "failed"
        assert driver.run.error is not None
        assert "the context of a rerun included" in driver.run.error.evalue

    def test_emails_are_delivered_also_of_a_failed_step(self) -> None:
        driver = RunDriver()
        driver.step(
            **failure(), emails=[EmailRequest(subject="help"), EmailRequest(subject="again")]
        )
        outbox = driver.run.outbox
        assert [email.id for email in outbox] == ["r-1-0-0", "r-1-0-1"]
        assert {email.step for email in outbox} == {"a"}

    def test_emails_that_the_store_has_not_taken_over_stay(self) -> None:
        driver = RunDriver("a", "b", "c")
        driver.step(emails=[EmailRequest(subject="first")])
        driver.step(emails=[EmailRequest(subject="second")])
        driver.step()
        subjects = [message.email.subject for message in driver.run.outbox]
        assert subjects == ["first", "second"]


class TestHistory:
    def test_events_that_happen_at_once_are_one_transition(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        whole = apply_all(driver.run, [driver.finished(), Begin(owner="x")], driver.now)
        assert (whole.run.status, whole.run.position, whole.run.owner) == ("running", 1, "x")
        assert [entry.event for entry in whole.entries] == ["finish", "begin"]
        assert [entry.step for entry in whole.entries] == ["a", "b"]

    def test_an_event_that_changes_nothing_has_no_entry(self) -> None:
        driver = RunDriver()
        assert apply_all(driver.run, [driver.requeued()], driver.now) == (driver.run, (), ())

    def test_a_late_finish_does_not_begin_the_next_attempt(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        late = driver.finished()
        driver.send(driver.lapsed())
        assert driver.run.ready
        assert apply_all(driver.run, [late, Begin()], driver.now) == (driver.run, (), ())


class TestSuspend:
    def test_resumed_with_data(self) -> None:
        driver = RunDriver()
        driver.step(**suspend(), exports={"$return_value": 1})
        assert driver.run.status == "paused"
        assert driver.run.wakes_at == START + timedelta(milliseconds=DAY_MS)
        driver.wait(5000).resume(ok=True)
        exports = dict(driver.run.steps[0].exports)
        assert exports.pop(DECISION)["outcome"] == "resumed"
        assert exports == {"$return_value": 1, "$resume_data": {"body": {"ok": True}}}
        assert (driver.run.status, driver.run.position, driver.run.execution) == ("queued", 1, 2)
        assert driver.run.usage.paused_ms == 5000

    def test_timed_out_resumes_with_none(self) -> None:
        driver = RunDriver()
        driver.step(**suspend(1000))
        driver.time_out()
        exports = dict(driver.run.steps[0].exports)
        assert exports.pop(DECISION)["outcome"] == "timed_out"
        assert exports == {"$resume_data": None}
        assert (driver.run.status, driver.run.position) == ("queued", 1)

    def test_not_yet_due_keeps_its_own_deadline(self) -> None:
        driver = RunDriver()
        driver.step(**suspend(1000))
        before = driver.run
        driver.wait(999).send(Expire(step="a", execution=1))
        assert driver.run is before
        assert driver.run.wakes_at == START + timedelta(seconds=1)

    @pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "canceled"), ("fail", "failed")])
    def test_on_timeout(self, on_timeout: str, status: str) -> None:
        driver = RunDriver()
        driver.step(**suspend(1000, on_timeout=on_timeout))
        driver.time_out()
        assert driver.run.status == status
        assert statuses(driver) == [status, "skipped"]

    def test_at_the_last_step(self) -> None:
        driver = RunDriver("a")
        driver.step(**suspend())
        driver.resume(ok=1)
        assert driver.run.status == "succeeded"
        assert driver.run.usage.credits == 2

    def test_canceled_by_link(self) -> None:
        driver = RunDriver()
        driver.step(**suspend())
        driver.cancel_by_link()
        assert driver.run.status == "canceled"
        assert statuses(driver) == ["canceled", "skipped"]

    def test_delay_has_resume_data_only_if_it_is_resumed(self) -> None:
        driver = RunDriver()
        driver.step(flow=PauseCall(kind="delay", ms=10))
        driver.time_out()
        assert driver.run.steps[0].exports == {}
        driver.step(flow=PauseCall(kind="delay", ms=10))
        driver.resume(now=1)
        assert driver.run.steps[1].exports == {"$resume_data": {"body": {"now": 1}}}


class TestRerun:
    """The seed's examples as events."""

    def test_timer_driven_step_sees_runs_one_to_max_retries_plus_one(self) -> None:
        driver = RunDriver()
        seen = []
        while driver.run.position == 0:
            seen.append(execution_of(driver.run).runs)
            driver.step(**rerun(max_retries=3), exports={"n": len(seen)})
            if driver.run.pause is not None:
                driver.time_out()
        assert seen == [1, 2, 3, 4]
        assert driver.run.steps[0].exports == {"n": 4}
        assert driver.run.status == "queued"

    @pytest.mark.parametrize(
        ("max_retries", "numbers"),
        [(1, [1, 3]), (2, [1, 2, 4]), (3, [1, 2, 3, 5]), (0, [1])],
    )
    def test_a_callback_never_lands_on_max_retries_plus_one(
        self, max_retries: int, numbers: list[int]
    ) -> None:
        driver = RunDriver()
        seen = []
        while driver.run.position == 0:
            seen.append(execution_of(driver.run).runs)
            driver.step(**rerun(max_retries=max_retries))
            if driver.run.pause is not None:
                driver.resume(done=True)
        assert seen == numbers

    def test_timer_with_one_retry_is_two_and_callback_is_three(self) -> None:
        timer, callback = RunDriver(), RunDriver()
        for driver in (timer, callback):
            driver.step(**rerun(max_retries=1))
        timer.time_out()
        callback.resume(done=True)
        assert execution_of(timer.run).runs == 2
        assert execution_of(callback.run).runs == 3
        assert execution_of(callback.run).callback_request == {"body": {"done": True}}
        assert (execution_of(timer.run).called_back, execution_of(callback.run).called_back) == (
            False,
            True,
        )

    def test_context_is_that_of_the_last_rerun_of_this_step(self) -> None:
        driver = RunDriver()
        driver.step(**rerun(context={"hello": "world"}))
        driver.time_out()
        assert execution_of(driver.run).context == {"hello": "world"}
        driver.step()
        assert execution_of(driver.run).context is None

    def test_callback_request_is_gone_at_the_next_execution(self) -> None:
        driver = RunDriver()
        driver.step(**rerun())
        driver.resume(n=1)
        driver.step(**rerun())
        driver.time_out()
        assert execution_of(driver.run).callback_request is None
        assert not execution_of(driver.run).called_back

    def test_canceled_while_waiting_for_a_rerun(self) -> None:
        driver = RunDriver()
        driver.step(**rerun())
        driver.cancel_by_link()
        assert driver.run.status == "canceled"


class TestFirstEventDecides:
    def test_later_request_raises_with_the_decision(self) -> None:
        driver = RunDriver()
        driver.step(**suspend())
        event = resume_of(driver.run)
        driver.wait(1000).send(event)
        before = driver.run
        with pytest.raises(AlreadyDecidedError, match=r"already resumed by a link at 2026-") as e:
            apply(driver.run, event, driver.now)
        assert e.value.decision.at == driver.now
        assert driver.run is before

    def test_timer_after_resume_is_ignored(self) -> None:
        driver = RunDriver()
        driver.step(**suspend(1000))
        driver.wait(1000).resume()
        before = driver.run
        driver.send(Expire(step="a", execution=1))
        assert driver.run is before

    def test_resume_after_timer_is_refused(self) -> None:
        driver = RunDriver()
        driver.step(**suspend(1000))
        event = resume_of(driver.run)
        driver.time_out()
        with pytest.raises(AlreadyDecidedError, match="timed out"):
            driver.send(event)

    def test_link_of_an_earlier_execution_does_not_resume_the_next_pause(self) -> None:
        driver = RunDriver()
        driver.step(**suspend())
        first = resume_of(driver.run)
        driver.send(first)
        driver.step(**suspend())
        with pytest.raises(AlreadyDecidedError):
            driver.send(first)
        assert driver.run.status == "paused"

    def test_link_of_a_step_that_did_not_pause(self) -> None:
        driver = RunDriver()
        event = resume_of(driver.run)
        driver.step()
        with pytest.raises(AlreadyDecidedError, match="not waiting any more"):
            driver.send(event)

    def test_resume_by_id_needs_a_pause(self) -> None:
        driver = RunDriver()
        with pytest.raises(NotPausedError, match="queued"):
            current_pause(driver.run)
        driver.step(**suspend())
        assert current_pause(driver.run).step == "a"


class TestPendingRequest:
    def test_resume_is_applied_when_the_step_ends(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.resume(early=True)
        assert driver.run.status == "running"
        assert driver.run.pending_request is not None
        driver.send(driver.finished(**suspend()))
        assert (driver.run.status, driver.run.position) == ("queued", 1)
        assert driver.run.steps[0].exports["$resume_data"] == {"body": {"early": True}}
        assert driver.run.pending_request is None

    def test_only_the_first_request_counts(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.resume(first=True)
        with pytest.raises(AlreadyDecidedError):
            driver.cancel_by_link()
        driver.send(driver.finished(**suspend()))
        assert driver.run.status == "queued"

    def test_cancel_is_applied_when_the_step_ends(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.cancel_by_link()
        assert driver.run.status == "running"
        driver.send(driver.finished(**suspend(), exports={"x": 1}))
        assert driver.run.status == "canceled"
        assert driver.run.steps[0].exports["x"] == 1

    def test_request_is_dropped_without_a_pause(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.resume(early=True)
        driver.send(driver.finished())
        assert driver.run.pending_request is None
        assert driver.run.steps[0].exports == {}

    def test_callback_reruns_at_once(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.resume(early=True)
        driver.send(driver.finished(**rerun(max_retries=1)))
        assert execution_of(driver.run).runs == 3
        assert execution_of(driver.run).called_back


class TestCancel:
    def test_running_is_interrupted_and_its_outcome_does_not_count(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        finish = driver.finished(exports={"late": 1})
        driver.send(Cancel(by="api", reason="no"))
        assert Interrupt() in driver.effects
        assert (driver.run.status, driver.run.reason) == ("canceled", "no")
        before = driver.run
        driver.send(finish)
        assert driver.run is before

    def test_queued_run_costs_no_credit(self) -> None:
        driver = RunDriver()
        driver.send(Cancel(by="api"))
        assert driver.run.usage.credits == 0
        assert driver.effects == ()

    def test_ended(self) -> None:
        driver = RunDriver("a")
        driver.step()
        with pytest.raises(RunEndedError, match="succeeded"):
            driver.send(Cancel(by="api"))


class TestCredits:
    def test_one_per_started_thirty_seconds_of_each_segment(self) -> None:
        driver = RunDriver("a", "b")
        driver.step(took=20_000, **suspend())
        assert driver.run.usage.credits == 1
        driver.wait(DAY_MS // 2).resume()
        driver.step(took=30_001)
        usage = driver.run.usage
        assert (usage.credits, usage.compute_ms, usage.paused_ms) == (3, 50_001, DAY_MS // 2)

    def test_steps_of_one_segment_share_it(self) -> None:
        driver = RunDriver("a", "b", "c")
        for _ in range(3):
            driver.step(took=9_000)
        assert (driver.run.usage.credits, driver.run.usage.compute_ms) == (1, 27_000)

    def test_waiting_for_a_kernel_is_free(self) -> None:
        driver = RunDriver("a")
        driver.wait(100_000).step(took=10)
        assert driver.run.usage.compute_ms == 10

    def test_a_clock_set_back_leaves_the_times_in_order(self) -> None:
        driver = RunDriver("a", "b")
        driver.step(took=1_000, **suspend())
        driver.wait(-HOUR_MS).resume()
        driver.wait(10).step(took=10)
        run = driver.run
        assert run.ended_at is not None
        assert run.created_at <= run.ended_at == run.updated_at
        for step in run.steps:
            assert step.started_at is not None
            assert step.ended_at is not None
            assert step.started_at <= step.ended_at
        assert (run.usage.compute_ms, run.usage.paused_ms) == (1_010, 0)

    def test_a_clock_set_back_counts_nothing(self) -> None:
        driver = RunDriver("a")
        driver.send(Begin())
        driver.wait(-HOUR_MS).send(driver.finished())
        assert (driver.run.usage.compute_ms, driver.run.usage.credits) == (0, 1)
