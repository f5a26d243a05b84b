from __future__ import annotations

from datetime import timedelta

import pytest

from jupyter_pdflow.exceptions import AlreadyDecidedError, NotPausedError, RunEndedError
from jupyter_pdflow.rules.events import (
    Archive,
    Begin,
    Cancel,
    Deliver,
    Execute,
    Expire,
    Interrupt,
    SetTimer,
)
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT, execution_of
from jupyter_pdflow.rules.run import Mail, PauseCall
from jupyter_pdflow.rules.transitions import apply, waiting_for
from tests.rules.support import (
    DAY_MS,
    HOUR_MS,
    START,
    RunDriver,
    boom,
    leave,
    rerun,
    resume_of,
    suspend,
)


def statuses(play: RunDriver) -> list[str]:
    return [step.status for step in play.run.steps]


class TestSteps:
    def test_run_through(self) -> None:
        play = RunDriver("a", "b")
        assert play.run.status == "queued"
        assert play.effects == (Execute(),)
        play.step(exports={"$return_value": 1})
        assert (play.run.status, play.run.position) == ("queued", 1)
        play.step(exports={"$return_value": 2})
        assert play.run.status == "succeeded"
        assert play.effects == (Archive(),)
        assert [step.exports for step in play.run.steps] == [
            {"$return_value": 1},
            {"$return_value": 2},
        ]

    def test_a_step_is_told_what_came_before(self) -> None:
        play = RunDriver("a", "b", event={"n": 1})
        play.step(exports={"$return_value": 1})
        execution = execution_of(play.run, "R", "C")
        assert (execution.step, execution.id, execution.event) == ("b", "r-1", {"n": 1})
        assert execution.steps == {"a": {"$return_value": 1}}
        assert (execution.runs, execution.attempt, execution.called_back) == (1, 1, False)
        assert (execution.resume_url, execution.cancel_url) == ("R", "C")

    def test_failure_ends_the_run_and_drops_its_pause(self) -> None:
        play = RunDriver()
        play.step(**boom(), **suspend(), exports={"kept": 1})
        assert play.run.status == "failed"
        assert play.run.pause is None
        assert play.run.error is not None
        assert (play.run.error.evalue, play.run.error.step) == ("boom", "a")
        assert play.run.steps[0].exports == {"kept": 1}
        assert statuses(play) == ["failed", "skipped"]

    def test_exit_ends_the_run_as_succeeded(self) -> None:
        play = RunDriver()
        play.step(**leave("enough"))
        assert (play.run.status, play.run.reason) == ("succeeded", "enough")
        assert statuses(play) == ["succeeded", "skipped"]

    def test_too_large_exports_fail_the_step(self) -> None:
        play = RunDriver()
        play.step(exports={"$return_value": "x" * (EXPORTS_LIMIT - 100)})
        assert play.run.status == "queued"
        play.step(exports={"more": "x" * 200})
        assert play.run.status == "failed"
        assert play.run.error is not None
        assert "6,000,000" in play.run.error.evalue

    def test_the_context_of_a_rerun_counts_as_the_exports_do(self) -> None:
        play = RunDriver()
        half = "x" * (EXPORTS_LIMIT // 2)
        play.step(exports={"$return_value": half}, **rerun(context=half[:-100]))
        assert play.run.status == "paused"
        play.time_out()
        play.step(exports={"$return_value": half}, **rerun(context=half))
        assert play.run.status == "failed"
        assert play.run.error is not None
        assert "the context of a rerun included" in play.run.error.evalue

    def test_mails_are_delivered_once_the_outcome_is_there_even_of_a_failed_step(self) -> None:
        play = RunDriver()
        play.step(**boom(), mails=[Mail(subject="help"), Mail(subject="again")])
        deliver = play.effects[0]
        assert isinstance(deliver, Deliver)
        assert [email.id for email in deliver.emails] == ["r-1-0-0", "r-1-0-1"]
        assert {email.step for email in deliver.emails} == {"a"}
        assert play.run.outbox == deliver.emails


class TestSuspend:
    def test_resumed_with_data(self) -> None:
        play = RunDriver()
        play.step(**suspend(), exports={"$return_value": 1})
        assert play.run.status == "paused"
        assert play.effects == (SetTimer(START + timedelta(milliseconds=DAY_MS)),)
        play.wait(5000).resume(ok=True)
        assert play.run.steps[0].exports == {
            "$return_value": 1,
            "$resume_data": {"body": {"ok": True}},
        }
        assert (play.run.status, play.run.position, play.run.execution) == ("queued", 1, 2)
        assert play.run.usage.paused_ms == 5000

    def test_timed_out_resumes_with_none(self) -> None:
        play = RunDriver()
        play.step(**suspend(1000))
        play.time_out()
        assert play.run.steps[0].exports == {"$resume_data": None}
        assert (play.run.status, play.run.position) == ("queued", 1)

    def test_not_yet_due_keeps_its_own_deadline(self) -> None:
        play = RunDriver()
        play.step(**suspend(1000))
        before = play.run
        play.wait(999).send(Expire(step="a", execution=1))
        assert play.run is before
        assert play.effects == (SetTimer(START + timedelta(seconds=1)),)

    @pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "canceled"), ("fail", "failed")])
    def test_on_timeout(self, on_timeout: str, status: str) -> None:
        play = RunDriver()
        play.step(**suspend(1000, on_timeout=on_timeout))
        play.time_out()
        assert play.run.status == status
        assert statuses(play) == [status, "skipped"]

    def test_at_the_last_step(self) -> None:
        play = RunDriver("a")
        play.step(**suspend())
        play.resume(ok=1)
        assert play.run.status == "succeeded"
        assert play.run.usage.credits == 2

    def test_canceled_by_link(self) -> None:
        play = RunDriver()
        play.step(**suspend())
        play.cancel_by_link()
        assert play.run.status == "canceled"
        assert statuses(play) == ["canceled", "skipped"]

    def test_delay_goes_on_without_resume_data_unless_someone_resumes(self) -> None:
        play = RunDriver()
        play.step(flow=PauseCall(kind="delay", ms=10))
        play.time_out()
        assert play.run.steps[0].exports == {}
        play.step(flow=PauseCall(kind="delay", ms=10))
        play.resume(now=1)
        assert play.run.steps[1].exports == {"$resume_data": {"body": {"now": 1}}}


class TestRerun:
    """The seed's examples, told as events."""

    def test_timer_driven_step_sees_runs_one_to_max_retries_plus_one(self) -> None:
        play = RunDriver()
        seen = []
        while play.run.position == 0:
            seen.append(execution_of(play.run).runs)
            play.step(**rerun(max_retries=3), exports={"n": len(seen)})
            if play.run.pause is not None:
                play.time_out()
        assert seen == [1, 2, 3, 4]
        assert play.run.steps[0].exports == {"n": 4}
        assert play.run.status == "queued"

    @pytest.mark.parametrize(
        ("max_retries", "numbers"),
        [(1, [1, 3]), (2, [1, 2, 4]), (3, [1, 2, 3, 5]), (0, [1])],
    )
    def test_a_callback_never_lands_on_max_retries_plus_one(
        self, max_retries: int, numbers: list[int]
    ) -> None:
        play = RunDriver()
        seen = []
        while play.run.position == 0:
            seen.append(execution_of(play.run).runs)
            play.step(**rerun(max_retries=max_retries))
            if play.run.pause is not None:
                play.resume(done=True)
        assert seen == numbers

    def test_timer_with_one_retry_is_two_and_callback_is_three(self) -> None:
        timer, callback = RunDriver(), RunDriver()
        for play in (timer, callback):
            play.step(**rerun(max_retries=1))
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
        play = RunDriver()
        play.step(**rerun(context={"hello": "world"}))
        play.time_out()
        assert execution_of(play.run).context == {"hello": "world"}
        play.step()
        assert execution_of(play.run).context is None

    def test_callback_request_is_gone_at_the_next_execution(self) -> None:
        play = RunDriver()
        play.step(**rerun())
        play.resume(n=1)
        play.step(**rerun())
        play.time_out()
        assert execution_of(play.run).callback_request is None
        assert not execution_of(play.run).called_back

    def test_canceled_while_waiting_for_a_rerun(self) -> None:
        play = RunDriver()
        play.step(**rerun())
        play.cancel_by_link()
        assert play.run.status == "canceled"


class TestFirstOneWins:
    def test_late_requests_are_told_how_and_when(self) -> None:
        play = RunDriver()
        play.step(**suspend())
        event = resume_of(play.run)
        play.wait(1000).send(event)
        before = play.run
        with pytest.raises(AlreadyDecidedError, match=r"already resumed by a link at 2026-") as e:
            apply(play.run, event, play.now)
        assert e.value.decision.at == play.now
        assert play.run is before

    def test_timer_after_resume_is_ignored(self) -> None:
        play = RunDriver()
        play.step(**suspend(1000))
        play.wait(1000).resume()
        before = play.run
        play.send(Expire(step="a", execution=1))
        assert play.run is before

    def test_resume_after_timer_is_refused(self) -> None:
        play = RunDriver()
        play.step(**suspend(1000))
        event = resume_of(play.run)
        play.time_out()
        with pytest.raises(AlreadyDecidedError, match="timed out"):
            play.send(event)

    def test_a_link_of_an_earlier_execution_does_not_feed_the_next_approval(self) -> None:
        play = RunDriver()
        play.step(**suspend())
        first = resume_of(play.run)
        play.send(first)
        play.step(**suspend())
        with pytest.raises(AlreadyDecidedError):
            play.send(first)
        assert play.run.status == "paused"

    def test_a_link_of_a_step_that_did_not_pause(self) -> None:
        play = RunDriver()
        event = resume_of(play.run)
        play.step()
        with pytest.raises(AlreadyDecidedError, match="not waiting any more"):
            play.send(event)

    def test_resume_by_id_needs_a_pause(self) -> None:
        play = RunDriver()
        with pytest.raises(NotPausedError, match="queued"):
            waiting_for(play.run)
        play.step(**suspend())
        assert waiting_for(play.run).step == "a"


class TestEarly:
    def test_resume_is_kept_and_applied_at_the_end(self) -> None:
        play = RunDriver()
        play.send(Begin())
        play.resume(early=True)
        assert play.run.status == "running"
        assert play.run.pending_request is not None
        play.send(play.finished(**suspend()))
        assert (play.run.status, play.run.position) == ("queued", 1)
        assert play.run.steps[0].exports == {"$resume_data": {"body": {"early": True}}}
        assert play.run.pending_request is None

    def test_only_the_first_early_request_counts(self) -> None:
        play = RunDriver()
        play.send(Begin())
        play.resume(first=True)
        with pytest.raises(AlreadyDecidedError):
            play.cancel_by_link()
        play.send(play.finished(**suspend()))
        assert play.run.status == "queued"

    def test_cancel_is_kept_and_applied_at_the_end(self) -> None:
        play = RunDriver()
        play.send(Begin())
        play.cancel_by_link()
        assert play.run.status == "running"
        play.send(play.finished(**suspend(), exports={"x": 1}))
        assert play.run.status == "canceled"
        assert play.run.steps[0].exports == {"x": 1}

    def test_without_a_pause_it_is_dropped(self) -> None:
        play = RunDriver()
        play.send(Begin())
        play.resume(early=True)
        play.send(play.finished())
        assert play.run.pending_request is None
        assert play.run.steps[0].exports == {}

    def test_an_early_callback_reruns_at_once(self) -> None:
        play = RunDriver()
        play.send(Begin())
        play.resume(early=True)
        play.send(play.finished(**rerun(max_retries=1)))
        assert execution_of(play.run).runs == 3
        assert execution_of(play.run).called_back


class TestCancel:
    def test_running_is_interrupted_and_its_outcome_does_not_count(self) -> None:
        play = RunDriver()
        play.send(Begin())
        finish = play.finished(exports={"late": 1})
        play.send(Cancel(by="api", reason="no"))
        assert Interrupt() in play.effects
        assert (play.run.status, play.run.reason) == ("canceled", "no")
        before = play.run
        play.send(finish)
        assert play.run is before

    def test_queued_costs_nothing(self) -> None:
        play = RunDriver()
        play.send(Cancel(by="api"))
        assert play.run.usage.credits == 0
        assert play.effects == (Archive(),)

    def test_ended(self) -> None:
        play = RunDriver("a")
        play.step()
        with pytest.raises(RunEndedError, match="succeeded"):
            play.send(Cancel(by="api"))


class TestCredits:
    def test_one_per_started_thirty_seconds_of_each_segment(self) -> None:
        play = RunDriver("a", "b")
        play.step(took=20_000, **suspend())
        assert play.run.usage.credits == 1
        play.wait(DAY_MS // 2).resume()
        play.step(took=30_001)
        usage = play.run.usage
        assert (usage.credits, usage.compute_ms, usage.paused_ms) == (3, 50_001, DAY_MS // 2)

    def test_steps_of_one_segment_share_it(self) -> None:
        play = RunDriver("a", "b", "c")
        for _ in range(3):
            play.step(took=9_000)
        assert (play.run.usage.credits, play.run.usage.compute_ms) == (1, 27_000)

    def test_waiting_for_a_kernel_is_free(self) -> None:
        play = RunDriver("a")
        play.wait(100_000).step(took=10)
        assert play.run.usage.compute_ms == 10

    def test_a_clock_set_back_leaves_the_times_in_order(self) -> None:
        play = RunDriver("a", "b")
        play.step(took=1_000, **suspend())
        play.wait(-HOUR_MS).resume()
        play.wait(10).step(took=10)
        run = play.run
        assert run.ended_at is not None
        assert run.created_at <= run.ended_at == run.updated_at
        for step in run.steps:
            assert step.started_at is not None
            assert step.ended_at is not None
            assert step.started_at <= step.ended_at
        assert (run.usage.compute_ms, run.usage.paused_ms) == (1_010, 0)

    def test_a_clock_set_back_counts_nothing(self) -> None:
        play = RunDriver("a")
        play.send(Begin())
        play.wait(-HOUR_MS).send(play.finished())
        assert (play.run.usage.compute_ms, play.run.usage.credits) == (0, 1)
