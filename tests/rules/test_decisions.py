"""Decisions on executions that are over, and their messages."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.rules.decisions import decision_message, decision_on
from jupyter_pdflow.rules.events import Cancel
from tests.rules.support import RunDriver, exit_run, failure, suspend


@pytest.mark.parametrize(
    ("outcome", "resolution", "message"),
    [
        (
            failure(),
            "failed",
            "is not waiting any more: its run failed at 2026-01-01 00:00:05 UTC.",
        ),
        (
            exit_run(),
            "exited",
            "is not waiting any more: its run ended early at 2026-01-01 00:00:05",
        ),
        ({}, "not_paused", "is not waiting any more at 2026-01-01 00:00:05 UTC."),
    ],
)
def test_step_that_did_not_pause(outcome: Any, resolution: str, message: str) -> None:
    driver = RunDriver()
    run = driver.step(took=5000, **outcome)
    decision = decision_on(run, "a", 1)
    assert decision is not None
    assert (decision.resolution, decision.by, decision.at) == (resolution, None, run.updated_at)
    assert decision_message(decision).startswith(f"Step 'a' {message}")


def test_last_step_of_a_succeeded_run() -> None:
    driver = RunDriver("a")
    decision = decision_on(driver.step(took=5000), "a", 1)
    assert decision is not None
    assert decision_message(decision) == (
        "Step 'a' is not waiting any more: its run succeeded at 2026-01-01 00:00:05 UTC."
    )


def test_canceled_run() -> None:
    driver = RunDriver()
    driver.step(took=1000)
    decision = decision_on(driver.send(Cancel(by="api")), "a", 1)
    assert decision is not None
    assert decision_message(decision) == "Step 'a' was already canceled at 2026-01-01 00:00:01 UTC."


def test_decision_is_kept_after_the_run_has_failed() -> None:
    driver = RunDriver()
    driver.step(**suspend())
    driver.resume()
    decision = decision_on(driver.step(**failure()), "a", 1)
    assert decision is not None
    assert decision.resolution == "resumed"
