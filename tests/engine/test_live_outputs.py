"""Which outputs are shown of a run whose step is executed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jupyter_pdflow.engine.live_outputs import with_live
from jupyter_pdflow.rules.events import Begin, Cancel
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import KeptOutputs, StepOutputs
from tests.rules.support import RunDriver


def shown(text: str, **more: Any) -> StepOutputs:
    return StepOutputs(
        **{"step": "a", "execution": 1, "attempt": 1, "outputs": [{"t": text}], **more}
    )


def texts(run: Run, kept: KeptOutputs, live: StepOutputs | None = None) -> list[str]:
    return [each.outputs[0]["t"] for each in with_live(kept, run, live).shown]


@pytest.fixture
def run() -> Run:
    """Return a run whose second attempt executes step a."""
    driver = RunDriver("a", "b")
    driver.send(Begin())
    driver.send(driver.requeued(), Begin())
    assert (driver.run.status, driver.run.attempt) == ("running", 2)
    return driver.run


def test_an_earlier_attempt_is_not_shown(run: Run) -> None:
    kept = KeptOutputs(shown=[shown("first"), shown("old", attempt=0)], live=shown("live"))
    assert texts(run, kept) == []
    assert texts(run, kept, shown("late")) == []


def test_the_current_attempt_is_shown_once(run: Run) -> None:
    stored, live = shown("stored", attempt=2), shown("live", attempt=2)
    assert texts(run, KeptOutputs(live=live)) == ["live"]
    assert texts(run, KeptOutputs(live=replace(live, outputs=[{"t": "row"}])), live) == ["live"]
    # Its outcome was stored after the run was read.
    assert texts(run, KeptOutputs(shown=[stored], live=live), live) == ["stored"]


def test_other_executions_stay(run: Run) -> None:
    other = [shown("before", execution=0), shown("b", step="b")]
    assert texts(run, KeptOutputs(shown=other), shown("now", attempt=2)) == ["before", "b", "now"]


def test_a_canceled_step_is_shown_until_it_is_stored() -> None:
    driver = RunDriver("a")
    run = driver.send(Begin(), Cancel(by="api"))
    assert run.status == "canceled"
    assert texts(run, KeptOutputs(), shown("live")) == ["live"]
    assert texts(run, KeptOutputs(shown=[shown("stored")]), shown("live")) == ["stored"]


def test_an_ended_step_has_nothing_live() -> None:
    driver = RunDriver("a")
    driver.step()
    assert texts(driver.run, KeptOutputs(live=shown("left")), shown("left")) == []
