"""What a stored record has to be beyond its types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from jupyter_pdflow.mail.message import Email, flaw_of_email
from jupyter_pdflow.rules.run import Decision, EmailRequest, OutboxMessage, Run, Step, Usage
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow
from jupyter_pdflow.stores.tinydb.store import (
    RunOutputs,
    Shown,
    Versions,
    flaw_of_outputs,
    flaw_of_versions,
)
from jupyter_pdflow.stores.tinydb.validation import (
    flaw_of_run,
    flaw_of_workflow,
    is_email_id,
    is_id,
    is_writable,
)
from tests.rules.support import START, RunDriver, suspend, workflow

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  that is what is wrong with it
DEEP: Any = 0
for _ in range(300):
    DEEP = [DEEP]


def paused() -> Run:
    return RunDriver("a", "b").step(**suspend())


def email(**fields: Any) -> OutboxMessage:
    given = {"id": "r-1-0-0", "run_id": "r", "step": "a", "created_at": START}
    return OutboxMessage(**{**given, **fields}, email=EmailRequest(subject="s"))


WRONG_RUNS: dict[str, dict[str, Any]] = {
    "no steps": {"steps": ()},
    "a step that is not there": {"position": 2},
    "a step before the first": {"position": -1},
    "two steps of the same name": {"steps": (Step(name="a"), Step(name="a"))},
    "a step without a name": {"steps": (Step(name="a"), Step(name=""))},
    "a step that is no identifier": {"steps": (Step(name="a"), Step(name="b c"))},
    "a step named trigger": {"steps": (Step(name="a"), Step(name="trigger"))},
    "a time without a zone": {"updated_at": NAIVE},
    "a step's time without a zone": {"steps": (Step(name="a", started_at=NAIVE), Step(name="b"))},
    "a decision's time": {
        "decisions": (Decision(step="a", execution=1, resolution="resumed", by=None, at=NAIVE),)
    },
    "a time that can't be told in UTC": {
        "created_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-23)))
    },
    "a time before all others": {"created_at": datetime.min.replace(tzinfo=UTC)},
    "a negative count": {"usage": Usage(credits=-1)},
    "a count that is no number of JSON's": {"attempt": 10**30},
    "no pause": {"pause": None},
    "a pause that is none": {"status": "running"},
    "a pause elsewhere": {"position": 1},
    "a pause of another execution": {"execution": 2},
    "data that can't be shown": {"event": DEEP},
    "exports that can't be shown": {"steps": (Step(name="a", exports={"x": DEEP}), Step(name="b"))},
    "a mail that climbs": {"outbox": [email(id="../../../pwn")]},
    "a mail of another run": {"outbox": [email(run_id="x")]},
    "a mail whose id is another run's": {"outbox": [email(id="x-1-0-0")]},
    "a mail twice": {"outbox": [email(), email()]},
    "a mail's time": {"outbox": [email(created_at=NAIVE)]},
    "a workflow elsewhere": {"workflow_id": "../w"},
    "an id that is none": {"id": "../r"},
}


@pytest.mark.parametrize("what", WRONG_RUNS)
def test_runs(what: str) -> None:
    assert flaw_of_run(paused()) is None
    flaw = flaw_of_run(replace(paused(), **WRONG_RUNS[what]))
    assert flaw is not None
    assert flaw.isprintable()


def test_what_is_odd_and_right() -> None:
    run = replace(
        paused(),
        event={"big": 10**40, "text": "\x00\u2028"},
        outbox=[email(), email(id="r-1-0-1")],
        created_at=START.astimezone(timezone(timedelta(hours=14))),
    )
    assert flaw_of_run(run) is None


def test_deadlines() -> None:
    run = paused()
    assert run.pause is not None
    for wrong in (NAIVE, datetime.max.replace(tzinfo=UTC)):
        flaw = flaw_of_run(replace(run, pause=replace(run.pause, deadline=wrong)))
        assert flaw == "its deadline has no time zone, or is not from 1970 to 2999"


WRONG_WORKFLOWS: dict[str, dict[str, Any]] = {
    "no steps": {"source": Source(kernel_name="python3", setup=(), steps=())},
    "two steps of the same name": {
        "source": Source(
            kernel_name="python3", setup=(), steps=(StepSource(name="a", source=""),) * 2
        )
    },
    "a kernel with two lines": {
        "source": Source(kernel_name="a\nb", setup=(), steps=(StepSource(name="a", source=""),))
    },
    "a notebook above": {"path": "../flow.ipynb"},
    "a notebook above, in a way of Windows": {"path": "a\\..\\..\\flow.ipynb"},
    "a notebook anywhere": {"path": "/etc/flow.ipynb"},
    "no notebook": {"path": ""},
    "a path that no system takes": {"path": "a\0.ipynb"},
    "a time without a zone": {"created_at": NAIVE},
    "an id that climbs": {"id": "../w"},
}


@pytest.mark.parametrize("what", WRONG_WORKFLOWS)
def test_workflows(what: str) -> None:
    right = workflow("a")
    assert flaw_of_workflow(right) is None
    wrong = replace(right, **WRONG_WORKFLOWS[what])
    assert flaw_of_workflow(wrong) is not None
    assert flaw_of_versions(Versions(id=wrong.id, newest="v1", versions={"v1": wrong})) is not None


def test_versions() -> None:
    right = workflow("a")
    kept = Versions(id="w", newest="v1", versions={"v1": right})
    assert flaw_of_versions(kept) is None
    assert flaw_of_versions(replace(kept, versions={})) is not None
    assert flaw_of_versions(replace(kept, newest="v2")) == "its newest version is missing"
    assert flaw_of_versions(replace(kept, versions={**kept.versions, "v2": right})) is not None
    assert flaw_of_versions(replace(kept, id="x")) is not None


@pytest.mark.parametrize("name", ["日本.ipynb", "a\u200db.ipynb", "a\nb.ipynb", "a b/c&d.ipynb"])
def test_every_name_of_a_notebook_that_can_be_deployed(name: str) -> None:
    flow: Workflow = replace(workflow("a"), path=name, name=name.removesuffix(".ipynb"))
    assert flaw_of_workflow(flow) is None


def test_emails() -> None:
    right = Email(
        id="r-1-0-0", run_id="r", step="a", to=["bob@"], subject="a\nb", text="", html=None,
        created_at=START,
    )  # fmt: skip
    assert flaw_of_email(right) is None, "that it can't be sent is another matter"
    for wrong in ({"created_at": NAIVE}, {"attempts": -1}, {"run_id": "x"}):
        assert flaw_of_email(replace(right, **wrong)) is not None


def test_outputs() -> None:
    shown = Shown(step="a", execution=1, outputs=[{"output_type": "x"}])
    assert flaw_of_outputs(RunOutputs(id="r", shown=[shown])) is None
    for wrong in ({"execution": -1}, {"outputs": [{"x": DEEP}]}):
        assert flaw_of_outputs(RunOutputs(id="r", shown=[replace(shown, **wrong)])) is not None


def test_ids() -> None:
    assert is_id("01M828N3F2GEN1A6NYMWAP04FB")
    assert is_id("my-flow-2")
    assert not any(map(is_id, ("", ".", "..", "a/b", "a\\b", "-a", "a\n", "a.b", "é", "x" * 201)))
    assert is_email_id("r-1-0-0", "r")
    for wrong in ("r-1-0", "r-1-0-0-0", "r-1-0-x", "rx-1-0-0", "r-1-0-0\n", "r-1-0-٣", ""):
        assert not is_email_id(wrong, "r"), wrong


def test_deep_and_large() -> None:
    assert is_writable([10**40, {"x": [2**64]}])
    assert not is_writable(DEEP)
    assert not is_writable([10**40, DEEP])
