"""A server that stops, and the next one that takes its runs up."""

from __future__ import annotations

from datetime import timedelta

from jupyter_pdflow.rules.events import (
    Begin,
    Deliver,
    Execute,
    Halt,
    Recover,
    Wake,
)
from jupyter_pdflow.rules.execution import execution_of
from jupyter_pdflow.rules.run import Mail
from tests.rules.support import DAY_MS, START, Play, resume_of, suspend


class TestHalt:
    def test_running_is_at_rest_with_its_compute_time_counted(self) -> None:
        play = Play()
        play.send(Begin())
        late = play.finished(exports={"too": "late"})
        play.wait(40_000).send(Halt())
        run = play.run
        assert (run.status, run.attempt, run.steps[0].status) == ("queued", 2, "pending")
        assert (run.usage.compute_ms, run.usage.credits) == (40_000, 2)
        assert play.effects == ()
        play.send(late)
        assert play.run is run

    def test_the_next_server_executes_it_as_the_second_attempt(self) -> None:
        play = Play("a")
        play.send(Begin())
        play.wait(1_000).send(Halt())
        play.wait(DAY_MS).send(Recover())
        assert play.effects == (Execute(),)
        assert execution_of(play.run).attempt == 2
        play.step(took=10)
        assert (play.run.status, play.run.usage.compute_ms) == ("succeeded", 1_010)

    def test_a_request_kept_for_the_steps_end_stays_kept(self) -> None:
        play = Play()
        play.send(Begin())
        play.resume(early=True)
        play.send(Halt(), Recover())
        play.step(**suspend())
        assert play.run.steps[0].exports["$resume_data"] == {"body": {"early": True}}

    def test_at_rest_it_counts_for_nothing(self) -> None:
        play = Play()
        play.step(**suspend())
        before = play.run
        assert play.send(Halt()) is before


class TestRecover:
    def test_running_is_executed_again_from_its_beginning(self) -> None:
        play = Play()
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
        play = Play()
        play.send(Begin())
        event = resume_of(play.run)
        play.send(Recover(), Begin())
        play.send(play.finished(**suspend()), event)
        assert play.run.position == 1

    def test_paused_keeps_its_deadline(self) -> None:
        play = Play()
        play.step(**suspend(1000))
        before = play.run
        play.wait(5000).send(Recover())
        assert play.run is before
        assert play.effects == (Wake(START + timedelta(seconds=1)),)

    def test_mails_that_may_not_have_been_handed_over_are_handed_over_again(self) -> None:
        play = Play()
        play.step(**suspend(), mails=[Mail(subject="please")])
        play.send(Recover())
        assert play.effects[0] == Deliver(play.run.outbox)
