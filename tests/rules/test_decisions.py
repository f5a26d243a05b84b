"""What someone is told who comes after a pause was settled, or never came to be."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.rules.decisions import decided_words, decision_on
from jupyter_pdflow.rules.events import Cancel
from tests.rules.support import RunDriver, boom, leave, suspend


@pytest.mark.parametrize(
    ("outcome", "how", "words"),
    [
        (boom(), "failed", "is not waiting any more: its run failed at 2026-01-01 00:00:05 UTC."),
        (leave(), "exited", "is not waiting any more: its run ended early at 2026-01-01 00:00:05"),
        ({}, "not_paused", "is not waiting any more at 2026-01-01 00:00:05 UTC."),
    ],
)
def test_a_step_that_did_not_pause(outcome: Any, how: str, words: str) -> None:
    play = RunDriver()
    run = play.step(took=5000, **outcome)
    decision = decision_on(run, "a", 1)
    assert decision is not None
    assert (decision.how, decision.by, decision.at) == (how, None, run.updated_at)
    assert decided_words(decision).startswith(f"Step 'a' {words}")


def test_the_last_step_of_a_run_that_succeeded() -> None:
    play = RunDriver("a")
    decision = decision_on(play.step(took=5000), "a", 1)
    assert decision is not None
    assert decided_words(decision) == (
        "Step 'a' is not waiting any more: its run succeeded at 2026-01-01 00:00:05 UTC."
    )


def test_a_canceled_run() -> None:
    play = RunDriver()
    play.step(took=1000)
    decision = decision_on(play.send(Cancel(by="api")), "a", 1)
    assert decision is not None
    assert decided_words(decision) == "Step 'a' was already canceled at 2026-01-01 00:00:01 UTC."


def test_how_a_run_ended_does_not_hide_how_its_pause_was_decided() -> None:
    play = RunDriver()
    play.step(**suspend())
    play.resume()
    decision = decision_on(play.step(**boom()), "a", 1)
    assert decision is not None
    assert decision.how == "resumed"
