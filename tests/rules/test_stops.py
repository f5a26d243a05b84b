"""A server that stops, and the next one that takes its runs up."""

from __future__ import annotations

from datetime import timedelta

from jupyter_pdflow.rules.events import (
    Archive,
    Begin,
    Cancel,
    Deliver,
    Execute,
    Expire,
    Recover,
    Requeue,
    SetTimer,
)
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.run import Mail
from jupyter_pdflow.rules.transitions import is_alone
from tests.rules.support import DAY_MS, START, RunDriver, resume_of, suspend


class TestHalt:
    def test_running_is_at_rest_with_its_compute_time_counted(self) -> None:
        play = RunDriver()
        play.send(Begin())
        late = play.finished(exports={"too": "late"})
        play.wait(40_000).send(Requeue())
        run = play.run
        assert (run.status, run.attempt, run.steps[0].status) == ("queued", 2, "pending")
        assert (run.usage.compute_ms, run.usage.credits) == (40_000, 2)
        assert play.effects == ()
        play.send(late)
        assert play.run is run

    def test_the_next_server_executes_it_as_the_second_attempt(self) -> None:
        play = RunDriver("a")
        play.send(Begin())
        play.wait(1_000).send(Requeue())
        play.wait(DAY_MS).send(Recover())
        assert play.effects == (Execute(),)
        assert execution_of(play.run).attempt == 2
        play.step(took=10)
        assert (play.run.status, play.run.usage.compute_ms) == ("succeeded", 1_010)

    def test_a_request_kept_for_the_steps_end_stays_kept(self) -> None:
        play = RunDriver()
        play.send(Begin())
        play.resume(early=True)
        play.send(Requeue(), Recover())
        play.step(**suspend())
        assert play.run.steps[0].exports["$resume_data"] == {"body": {"early": True}}

    def test_at_rest_it_counts_for_nothing(self) -> None:
        play = RunDriver()
        play.step(**suspend())
        before = play.run
        assert play.send(Requeue()) is before


class TestRecover:
    def test_running_is_executed_again_from_its_beginning(self) -> None:
        play = RunDriver()
        play.send(Begin())
        lost = play.finished(exports={"from": "the dead"})
        play.send(Recover())
        assert (play.run.status, play.run.attempt) == ("queued", 2)
        assert play.effects == (Execute(),)
        play.send(Begin())
        play.send(lost)
        assert play.run.status == "running"
        play.send(play.finished())
        assert (play.run.position, play.run.attempt) == (1, 1)

    def test_links_of_the_first_attempt_still_count(self) -> None:
        play = RunDriver()
        play.send(Begin())
        event = resume_of(play.run)
        play.send(Recover(), Begin())
        play.send(play.finished(**suspend()), event)
        assert play.run.position == 1

    def test_paused_keeps_its_deadline(self) -> None:
        play = RunDriver()
        play.step(**suspend(1000))
        before = play.run
        play.wait(5000).send(Recover())
        assert play.run is before
        assert play.effects == (SetTimer(START + timedelta(seconds=1)),)

    def test_mails_that_may_not_have_been_handed_over_are_handed_over_again(self) -> None:
        play = RunDriver()
        play.step(**suspend(), mails=[Mail(subject="please")])
        play.send(Recover())
        assert play.effects[0] == Deliver(play.run.outbox)


class TestCrashes:
    @staticmethod
    def crash(play: RunDriver) -> None:
        play.send(Begin())
        play.send(Recover())

    def test_after_the_first_it_is_executed_again_at_once(self) -> None:
        play = RunDriver()
        self.crash(play)
        assert (play.run.status, play.run.crashes, is_alone(play.run)) == ("queued", 1, False)
        assert play.effects == (Execute(),)

    def test_after_the_second_it_waits_and_is_executed_alone(self) -> None:
        play = RunDriver()
        self.crash(play)
        self.crash(play)
        due = START + timedelta(seconds=10)
        assert (play.run.status, play.run.not_before, is_alone(play.run)) == ("queued", due, True)
        assert play.effects == (SetTimer(due),)
        before = play.run
        assert play.send(Begin()) is before
        assert play.wait(9_000).send(Recover()) is before
        assert play.effects == (SetTimer(due),)
        play.wait(1_000).send(Expire(step="a", execution=1))
        assert play.effects == (Execute(),)
        play.send(Begin())
        assert (play.run.status, play.run.attempt) == ("running", 3)

    def test_after_the_third_it_fails_in_words(self) -> None:
        play = RunDriver()
        self.crash(play)
        self.crash(play)
        play.wait(10_000).send(Expire(step="a", execution=1))
        self.crash(play)
        assert (play.run.status, play.effects) == ("failed", (Archive(),))
        assert play.run.error is not None
        assert play.run.error.evalue.startswith(
            "The server or its gateway ended 3 times while it executed step 'a'"
        )

    def test_the_number_is_the_owners_and_waits_grow(self) -> None:
        play = RunDriver()
        waits = []
        for _ in range(4):
            play.send(Begin(), Recover(max_crashes=5))
            if play.run.not_before is not None:
                waits.append(play.run.not_before - play.now)
                play.now = play.run.not_before
                play.send(Expire(step="a", execution=1))
        assert [wait.total_seconds() for wait in waits] == [10, 20, 40]
        play.send(Begin(), Recover(max_crashes=5))
        assert play.run.status == "failed"

    def test_a_stop_in_order_counts_for_none(self) -> None:
        play = RunDriver()
        for _ in range(5):
            play.send(Begin(), Requeue())
        assert (play.run.attempt, play.run.crashes, play.run.status) == (6, 0, "queued")

    def test_a_gateway_that_ended_counts_as_a_server_does(self) -> None:
        play = RunDriver()
        play.send(Begin(), Requeue(crashed=True))
        assert (play.run.crashes, play.effects) == (1, (Execute(),))

    def test_each_execution_has_its_own(self) -> None:
        play = RunDriver()
        self.crash(play)
        play.step(**suspend())
        play.resume()
        assert play.run.crashes == 0
        self.crash(play)
        assert play.run.crashes == 1

    def test_a_run_that_waits_can_be_canceled_and_keeps_a_request(self) -> None:
        play = RunDriver()
        self.crash(play)
        self.crash(play)
        play.resume(early=True)
        assert play.run.pending_request is not None
        play.send(Cancel(by="api"))
        assert (play.run.status, play.run.not_before) == ("canceled", None)
