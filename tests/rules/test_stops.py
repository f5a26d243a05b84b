"""Runs whose server stops or crashes, and the server that recovers them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    Execute,
    Expire,
)
from jupyter_pdflow.rules.execution import execution_of, is_alone
from tests.rules.support import DAY_MS, START, RunDriver, rerun, resume_of, suspend


class TestRequeue:
    def test_running_is_queued_with_its_compute_time_counted(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        late = driver.finished(exports={"too": "late"})
        driver.wait(40_000).send(driver.requeued())
        run = driver.run
        assert (run.status, run.attempt, run.steps[0].status) == ("queued", 2, "pending")
        assert (run.usage.compute_ms, run.usage.credits) == (40_000, 2)
        assert driver.effects == ()
        driver.send(late)
        assert driver.run is run

    def test_the_next_server_executes_it_as_the_second_attempt(self) -> None:
        driver = RunDriver("a")
        driver.send(Begin())
        driver.wait(1_000).send(driver.requeued())
        assert driver.wait(DAY_MS).run.ready
        assert execution_of(driver.run).attempt == 2
        driver.step(took=10)
        assert (driver.run.status, driver.run.usage.compute_ms) == ("succeeded", 1_010)

    def test_a_step_counts_the_attempts_of_its_latest_execution(self) -> None:
        driver = RunDriver("a", "b")
        assert driver.run.steps[0].attempts == 0
        driver.send(Begin())
        driver.send(driver.requeued())
        assert driver.run.steps[0].attempts == 1
        driver.send(Begin())
        driver.send(driver.lapsed())
        driver.step(**rerun())
        assert (driver.run.steps[0].attempts, driver.run.attempt) == (3, 3)
        driver.time_out()
        assert (driver.run.steps[0].attempts, driver.run.attempt) == (0, 1)
        driver.step()
        assert [step.attempts for step in driver.run.steps] == [1, 0]

    def test_pending_request_is_kept(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.resume(early=True)
        driver.send(driver.requeued())
        driver.step(**suspend())
        assert driver.run.steps[0].exports["$resume_data"] == {"body": {"early": True}}

    def test_paused_is_not_changed(self) -> None:
        driver = RunDriver()
        driver.step(**suspend())
        before = driver.run
        assert driver.send(driver.requeued()) is before

    @pytest.mark.parametrize("crashed", [False, True])
    def test_it_counts_for_the_attempt_that_it_names_only(self, crashed: bool) -> None:
        driver = RunDriver()
        driver.send(Begin(owner="first"))
        requeue = driver.requeued(crashed=crashed)
        driver.send(driver.lapsed(), Begin(owner="second"))
        before = driver.run
        assert driver.send(requeue) is before


class TestLeaseLapsed:
    def test_running_is_executed_again_from_its_beginning(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        lost = driver.finished(exports={"from": "the first attempt"})
        driver.send(driver.lapsed())
        assert (driver.run.status, driver.run.attempt) == ("queued", 2)
        assert driver.effects == (Execute(),)
        driver.send(Begin())
        driver.send(lost)
        assert driver.run.status == "running"
        driver.send(driver.finished())
        assert (driver.run.position, driver.run.attempt) == (1, 1)

    def test_links_of_the_first_attempt_still_count(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        event = resume_of(driver.run)
        driver.send(driver.lapsed(), Begin())
        driver.send(driver.finished(**suspend()), event)
        assert driver.run.position == 1

    def test_paused_is_not_changed(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        lapsed = driver.lapsed()
        driver.send(driver.finished(**suspend(1000)))
        before = driver.run
        assert driver.wait(5000).send(lapsed) is before

    def test_it_counts_for_the_attempt_that_it_names_only(self) -> None:
        driver = RunDriver()
        driver.send(Begin(owner="first"))
        lapsed = driver.lapsed()
        driver.send(lapsed, Begin(owner="second"))
        before = driver.run
        assert (before.attempt, before.crashes, before.owner) == (2, 1, "second")
        assert driver.send(lapsed) is before


class TestOwner:
    def test_a_run_has_an_owner_while_it_is_running(self) -> None:
        driver = RunDriver()
        assert driver.send(Begin(owner="server")).owner == "server"
        assert driver.send(driver.finished()).owner is None
        driver.send(Begin(owner="server"))
        assert driver.send(driver.requeued()).owner is None
        driver.send(Begin(owner="server"))
        assert driver.send(Cancel(by="api")).owner is None


class TestCrashes:
    @staticmethod
    def crash(driver: RunDriver) -> None:
        driver.send(Begin())
        driver.send(driver.lapsed())

    def test_step_is_executed_again_at_once_after_its_first_crash(self) -> None:
        driver = RunDriver()
        self.crash(driver)
        assert (driver.run.status, driver.run.crashes, is_alone(driver.run)) == ("queued", 1, False)
        assert driver.effects == (Execute(),)

    def test_step_waits_and_is_executed_alone_after_its_second_crash(self) -> None:
        driver = RunDriver()
        self.crash(driver)
        self.crash(driver)
        due = START + timedelta(seconds=10)
        assert (driver.run.status, driver.run.not_before, is_alone(driver.run)) == (
            "queued",
            due,
            True,
        )
        assert (driver.effects, driver.run.wakes_at, driver.run.ready) == ((), due, False)
        before = driver.run
        assert driver.send(Begin()) is before
        assert driver.wait(9_000).send(Expire(step="a", execution=1)) is before
        driver.wait(1_000).send(Expire(step="a", execution=1))
        assert driver.effects == (Execute(),)
        driver.send(Begin())
        assert (driver.run.status, driver.run.attempt) == ("running", 3)

    def test_step_fails_after_its_third_crash(self) -> None:
        driver = RunDriver()
        self.crash(driver)
        self.crash(driver)
        driver.wait(10_000).send(Expire(step="a", execution=1))
        self.crash(driver)
        assert (driver.run.status, driver.effects) == ("failed", ())
        assert driver.run.error is not None
        assert driver.run.error.evalue.startswith(
            "The server or its gateway ended 3 times while it executed step 'a'"
        )

    def test_number_is_configurable_and_waits_grow(self) -> None:
        driver = RunDriver()
        waits = []
        for _ in range(4):
            driver.send(Begin())
            driver.send(driver.lapsed(max_crashes=5))
            if driver.run.not_before is not None:
                waits.append(driver.run.not_before - driver.now)
                driver.now = driver.run.not_before
                driver.send(Expire(step="a", execution=1))
        assert [wait.total_seconds() for wait in waits] == [10, 20, 40]
        driver.send(Begin())
        driver.send(driver.lapsed(max_crashes=5))
        assert driver.run.status == "failed"

    def test_stop_in_order_is_no_crash(self) -> None:
        driver = RunDriver()
        for _ in range(5):
            driver.send(Begin())
            driver.send(driver.requeued())
        assert (driver.run.attempt, driver.run.crashes, driver.run.status) == (6, 0, "queued")

    def test_end_of_a_gateway_is_a_crash(self) -> None:
        driver = RunDriver()
        driver.send(Begin())
        driver.send(driver.requeued(crashed=True))
        assert (driver.run.crashes, driver.effects) == (1, (Execute(),))

    def test_each_execution_counts_its_own_crashes(self) -> None:
        driver = RunDriver()
        self.crash(driver)
        driver.step(**suspend())
        driver.resume()
        assert driver.run.crashes == 0
        self.crash(driver)
        assert driver.run.crashes == 1

    def test_waiting_run_keeps_a_request_and_can_be_canceled(self) -> None:
        driver = RunDriver()
        self.crash(driver)
        self.crash(driver)
        driver.resume(early=True)
        assert driver.run.pending_request is not None
        driver.send(Cancel(by="api"))
        assert (driver.run.status, driver.run.not_before) == ("canceled", None)
