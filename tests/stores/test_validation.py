"""Stored records are checked beyond their types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from jupyter_pdflow.rules.pauses import Decision
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage, Run, Step, Usage
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow
from jupyter_pdflow.stores import Email, StepOutputs
from jupyter_pdflow.stores.tinydb.record_types import (
    SCHEDULE,
    RunOutputs,
    ScheduleRecord,
    Versions,
    flaw_of_email,
    flaw_of_outputs,
    flaw_of_versions,
)
from jupyter_pdflow.stores.validation import (
    flaw_of_run,
    flaw_of_values,
    flaw_of_workflow,
    is_email_id,
    is_id,
    is_writable,
)
from tests.rules.support import START, RunDriver, suspend, workflow

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  the flaw that is tested
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
    "a step whose name is not an identifier": {"steps": (Step(name="a"), Step(name="b c"))},
    "a step named trigger": {"steps": (Step(name="a"), Step(name="trigger"))},
    "a time without a zone": {"updated_at": NAIVE},
    "a step's time without a zone": {"steps": (Step(name="a", started_at=NAIVE), Step(name="b"))},
    "a decision's time without a zone": {
        "decisions": (Decision(step="a", execution=1, resolution="resumed", by=None, at=NAIVE),)
    },
    "a time that overflows in UTC": {
        "created_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-23)))
    },
    "the earliest time": {"created_at": datetime.min.replace(tzinfo=UTC)},
    "a negative count": {"usage": Usage(credits=-1)},
    "a count that JSON readers can't hold exactly": {"attempt": 10**30},
    "no pause": {"pause": None},
    "a pause of a running run": {"status": "running"},
    "a pause at another step": {"position": 1},
    "a pause of another execution": {"execution": 2},
    "an event that is nested too deeply": {"event": DEEP},
    "exports that are nested too deeply": {
        "steps": (Step(name="a", exports={"x": DEEP}), Step(name="b"))
    },
    "an email whose id is a path": {"outbox": [email(id="../../../pwn")]},
    "an email of another run": {"outbox": [email(run_id="x")]},
    "an email with the id of another run's": {"outbox": [email(id="x-1-0-0")]},
    "an email twice": {"outbox": [email(), email()]},
    "an email's time without a zone": {"outbox": [email(created_at=NAIVE)]},
    "a workflow id that is a path": {"workflow_id": "../w"},
    "an id that is a path": {"id": "../r"},
}


@pytest.mark.parametrize("what", WRONG_RUNS)
def test_flaws_of_runs(what: str) -> None:
    assert flaw_of_run(paused()) is None
    flaw = flaw_of_run(replace(paused(), **WRONG_RUNS[what]))
    assert flaw is not None
    assert flaw.isprintable()


def test_unusual_values_are_valid() -> None:
    run = replace(
        paused(),
        event={"big": 10**40, "text": "\x00\u2028"},
        outbox=[email(), email(id="r-1-0-1")],
        created_at=START.astimezone(timezone(timedelta(hours=14))),
    )
    assert flaw_of_run(run) is None


def test_flaws_of_deadlines() -> None:
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
    "a notebook above, as Windows writes it": {"path": "a\\..\\..\\flow.ipynb"},
    "an absolute path": {"path": "/etc/flow.ipynb"},
    "an empty path": {"path": ""},
    "a path with a null character": {"path": "a\0.ipynb"},
    "a time without a zone": {"created_at": NAIVE},
    "an id that is a path": {"id": "../w"},
}


@pytest.mark.parametrize("what", WRONG_WORKFLOWS)
def test_flaws_of_workflows(what: str) -> None:
    right = workflow("a")
    assert flaw_of_workflow(right) is None
    wrong = replace(right, **WRONG_WORKFLOWS[what])
    assert flaw_of_workflow(wrong) is not None
    assert flaw_of_versions(Versions(id=wrong.id, newest="v1", versions={"v1": wrong})) is not None


def test_flaws_of_versions() -> None:
    right = workflow("a")
    kept = Versions(id="w", newest="v1", versions={"v1": right})
    assert flaw_of_versions(kept) is None
    assert flaw_of_versions(replace(kept, versions={})) is not None
    assert flaw_of_versions(replace(kept, newest="v2")) == "its newest version is missing"
    assert flaw_of_versions(replace(kept, versions={**kept.versions, "v2": right})) is not None
    assert flaw_of_versions(replace(kept, id="x")) is not None


@pytest.mark.parametrize("name", ["日本.ipynb", "a\u200db.ipynb", "a\nb.ipynb", "a b/c&d.ipynb"])
def test_names_of_notebooks(name: str) -> None:
    flow: Workflow = replace(workflow("a"), path=name, name=name.removesuffix(".ipynb"))
    assert flaw_of_workflow(flow) is None


def test_flaws_of_emails() -> None:
    right = Email(
        id="r-1-0-0", run_id="r", step="a", to=["bob@"], subject="a\nb", text="", html=None,
        created_at=START,
    )  # fmt: skip
    assert flaw_of_email(right) is None, "an invalid recipient is not a flaw of the file"
    for wrong in ({"created_at": NAIVE}, {"attempts": -1}, {"run_id": "x"}):
        assert flaw_of_email(replace(right, **wrong)) is not None


def test_flaws_of_outputs() -> None:
    outputs = StepOutputs(step="a", execution=1, outputs=[{"output_type": "x"}])
    assert flaw_of_outputs(RunOutputs(id="r", shown=[outputs])) is None
    for wrong in ({"execution": -1}, {"outputs": [{"x": DEEP}]}):
        assert flaw_of_outputs(RunOutputs(id="r", shown=[replace(outputs, **wrong)])) is not None


class Held(Struct):
    at: datetime | None = None


class Kept(Struct):
    """A record with containers of each kind."""

    times: dict[str, datetime] = {}
    spans: tuple[tuple[datetime, datetime], ...] = ()
    counts: dict[str, int] = {}
    numbers: tuple[int, ...] = ()
    lists: dict[str, list[Held | None]] = {}
    texts: dict[int, str] = {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"times": {"a": START, "b": NAIVE}},
        {"spans": ((START, START), (START, NAIVE))},
        {"counts": {"a": 1, "b": -1}},
        {"numbers": (1, 2**60)},
        {"lists": {"a": [None, Held(START), Held(NAIVE)]}},
    ],
)
def test_values_in_containers_are_checked(wrong: dict[str, Any]) -> None:
    right = Kept(
        times={"a": START},
        spans=((START, START),),
        counts={"a": 1},
        numbers=(1, 2),
        lists={"a": [None, Held(START), Held()]},
        texts={-1: "a"},
    )
    assert flaw_of_values(right) is None
    flaw = flaw_of_values(replace(right, **wrong))
    assert flaw is not None
    assert flaw.startswith(f"its {'at' if 'lists' in wrong else next(iter(wrong))} ")


def test_flaws_of_stored_starts() -> None:
    marks = ScheduleRecord(id="w", marks={"nightly": START})
    assert SCHEDULE.flaw(marks) is None
    assert SCHEDULE.flaw(replace(marks, marks={"nightly": NAIVE})) is not None
    assert flaw_of_outputs(RunOutputs(id="r", dropped={"a": -1})) is not None


def test_valid_ids() -> None:
    assert is_id("01M828N3F2GEN1A6NYMWAP04FB")
    assert is_id("my-flow-2")
    assert not any(map(is_id, ("", ".", "..", "a/b", "a\\b", "-a", "a\n", "a.b", "é", "x" * 201)))
    assert is_email_id("r-1-0-0", "r")
    for wrong in ("r-1-0", "r-1-0-0-0", "r-1-0-x", "rx-1-0-0", "r-1-0-0\n", "r-1-0-٣", ""):
        assert not is_email_id(wrong, "r"), wrong


def test_data_that_is_too_deep_can_not_be_written() -> None:
    assert is_writable([10**40, {"x": [2**64]}])
    assert not is_writable(DEEP)
    assert not is_writable([10**40, DEEP])
