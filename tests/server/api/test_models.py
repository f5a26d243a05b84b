"""The API's records of runs, made from stored runs, and sent by a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import convert, json
from msgspec.structs import replace

from jupyter_pdflow import models
from jupyter_pdflow.rules.events import Begin, Cancel
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.pauses import Actor, Decision, Resolution
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.api.models import history_view, run_item, run_view
from jupyter_pdflow.server.links.tokens import without_urls
from jupyter_pdflow.stores import summary_of
from tests.rules.support import START, RunDriver, failure, rerun, suspend
from tests.servers import JupyterServer

Paused = Callable[..., Any]
AT = "2026-01-01T00:00:00.000Z"
NUMBERS = {("w", "v1"): 3}


def links_for(run_id: str, step: str, execution: int) -> tuple[str, str]:
    return f"resume {run_id} {step} {execution}", f"cancel {run_id} {step} {execution}"


def sent(answer: models.RunItem) -> Any:
    """Return an answer as a client reads it."""
    return json.decode(json.encode(answer))


def view(run: Run) -> models.Run:
    return run_view(run, links_for, NUMBERS)


def test_the_number_of_an_unknown_version_is_null() -> None:
    run = RunDriver("a").run
    for numbers in ({}, {("w", "v2"): 1}, {("v", "v1"): 1}):
        assert run_item(run, links_for, numbers).version_number is None


# --- one run --------------------------------------------------------------------------


def test_a_run_has_the_fields_of_the_specification() -> None:
    driver = RunDriver("a", "b", event={"amount": 12})
    driver.step(**suspend(), exports={"n": 1})
    step = {"runs": 0, "attempts": 0, "error": None, "started_at": None, "ended_at": None}
    begun = {"name": "a", "status": "paused", "runs": 1, "attempts": 1, "started_at": AT}
    assert sent(view(driver.run)) == {
        "id": "r",
        "title": "12",
        "workflow_id": "w",
        "workflow_name": "w",
        "version": "v1",
        "version_number": 3,
        "status": "paused",
        "event": {"amount": 12},
        "attempt": 1,
        "replay_of": None,
        "started_by": {"name": None, "via": "api"},
        "steps": [
            {**step, **begun, "exports": {"n": 1}},
            {**step, "name": "b", "status": "pending", "exports": {}},
        ],
        "pause": {
            "kind": "suspend",
            "step": "a",
            "since": AT,
            "deadline": "2026-01-02T00:00:00.000Z",
            "on_timeout": "resume",
            "message": None,
            "form": None,
            "approvers": [],
            "required": 1,
            "waiting_for": [],
            "message_html": None,
            "on_reject": "cancel",
            "approvals": [],
            "undelivered": {},
            "resume_url": "resume r a 1",
            "cancel_url": "cancel r a 1",
        },
        "decisions": [],
        "usage": {"credits": 1, "compute_ms": 0, "paused_ms": 0},
        "reason": None,
        "error": None,
        "created_at": AT,
        "updated_at": AT,
        "ended_at": None,
    }


def test_a_failed_run_has_its_error_and_its_end() -> None:
    driver = RunDriver("a")
    failed = view(driver.step(took=1_500, **failure()))
    assert failed.error == failed.steps[0].error
    assert failed.error is not None
    assert failed.error.message == "ValueError: boom"
    assert failed.error.step == "a"
    assert failed.ended_at == failed.updated_at == "2026-01-01T00:00:01.500Z"


@pytest.mark.parametrize(
    ("actor", "via"),
    [("link", "link"), ("button", "jupyter"), ("api", "api"), ("cli", "cli"), ("timer", "timer")],
)
def test_each_actor_has_its_name_in_the_api(actor: Actor, via: str) -> None:
    driver = RunDriver()
    driver.step(**suspend())
    (decision,) = view(driver.send(Cancel(by=actor))).decisions
    assert (decision.step, decision.outcome, decision.at) == ("a", "canceled", AT)
    decider = models.Decider(name=None, via=decision.by[0].via, verified=False, at=AT, note=None)
    assert decision.by == [decider]
    assert decider.via == via
    entry = HistoryEntry(at=START, event="cancel", step="a", execution=1, attempt=1, via=actor)
    assert history_view(7, entry).via == via


def test_a_history_entry_without_an_actor() -> None:
    entry = HistoryEntry(at=START, event="begin", step="a", execution=1, attempt=1)
    assert history_view(7, entry).via is None


def test_decisions_are_in_order() -> None:
    driver = RunDriver()
    driver.step(**rerun())
    driver.time_out()
    driver.step(**suspend())
    found = view(driver.resume(ok=True)).decisions
    assert [(each.outcome, each.by[0].via) for each in found] == [
        ("timed_out", "timer"),
        ("resumed", "link"),
    ]


@pytest.mark.parametrize("resolution", ["not_paused", "failed", "exited", "succeeded"])
def test_a_stored_decision_on_no_pause_is_left_out(resolution: Resolution) -> None:
    decision = Decision(step="a", execution=1, resolution=resolution, by=None, at=START)
    unknown = replace(decision, resolution="resumed")
    run = replace(RunDriver().run, decisions=(decision, unknown))
    assert [(each.outcome, each.by) for each in view(run).decisions] == [("resumed", [])]


def test_attempts_of_a_step_and_of_the_run() -> None:
    driver = RunDriver("a")
    run = view(driver.send(Begin()))
    assert (run.attempt, run.steps[0].attempts) == (1, 1)


def test_a_list_shows_the_same_without_event_and_exports() -> None:
    driver = RunDriver("a", "b", event={"secret": [1]})
    run = driver.step(**suspend(), exports={"n": 1})
    item = run_item(summary_of(run), links_for, NUMBERS)
    assert item == run_item(run, links_for, NUMBERS)
    assert item == convert(view(run), models.RunItem, from_attributes=True)
    shown = sent(item)
    assert set(sent(view(run))) - set(shown) == {"event"}
    assert "exports" not in shown["steps"][0]


# --- links ----------------------------------------------------------------------------


def test_links_are_removed_for_users_who_may_not_use_them() -> None:
    run = RunDriver().step(**suspend())
    whole, item = view(run), run_item(run, links_for, NUMBERS)
    assert whole.pause is not None
    hidden = replace(whole.pause, resume_url=None, cancel_url=None)
    assert without_urls(whole) == replace(whole, pause=hidden)
    assert without_urls([item, item]) == [replace(item, pause=hidden)] * 2
    assert whole.pause.resume_url == "resume r a 1"


def test_other_answers_stay_as_they_are() -> None:
    run = view(RunDriver().run)
    error = models.Error(message="m", reason="r")
    assert without_urls(run) == run
    assert without_urls(error) is error
    assert without_urls([]) == []


# --- a real server --------------------------------------------------------------------


def test_a_server_sends_what_is_new_on_a_run(server: JupyterServer, paused: Paused) -> None:
    before = datetime.now(UTC)
    run = convert(paused({"customer": "Ada", "amount": 12}), models.Run)
    assert run.title == "Ada, 12"
    assert run.started_by == models.Starter(name=None, via="api")
    assert (run.attempt, run.steps[0].attempts, run.ended_at) == (1, 1, None)
    assert run.pause is not None
    assert before <= datetime.fromisoformat(run.pause.since) <= datetime.now(UTC)
    server.http.post(run.pause.resume_url or "").raise_for_status()
    ended = convert(server.wait_run(run.id, "succeeded"), models.Run)
    assert ended.ended_at is not None
    assert [(each.outcome, each.by[0].via) for each in ended.decisions] == [("resumed", "link")]
    listed = convert(server.api("GET", "/runs").json(), list[models.RunItem])
    assert listed[0].title == "Ada, 12"
    assert listed[0].decisions == ended.decisions


def test_the_newest_subject_is_the_title(server: JupyterServer) -> None:
    source = "%%step tell\ndef handler(pd):\n    pd.send.email(subject='Invoice 7', text='x')"
    run = server.run(server.deploy("titled", [source]), {"amount": 12})
    assert run["title"] == "12"
    assert server.wait_run(run["id"], "succeeded")["title"] == "Invoice 7"


@pytest.mark.parametrize(("by", "via"), [("api", "api"), ("button", "jupyter"), ("cli", "cli")])
def test_a_request_says_by_what_it_is_sent(
    server: JupyterServer, paused: Paused, by: str, via: str
) -> None:
    workflow = paused()["workflow_id"]
    run = server.api("POST", f"/workflows/{workflow}/runs", {"event": 1, "by": by}).json()
    assert run["started_by"] == {"name": None, "via": via}
    server.wait_run(run["id"], "paused")
    canceled = server.api("POST", f"/runs/{run['id']}/cancel", {"by": by}).json()
    assert canceled["decisions"][0]["by"][0]["via"] == via


@pytest.mark.parametrize("by", ["timer", "link", "jupyter", "", None, 1])
def test_a_request_by_anything_else_is_refused(
    server: JupyterServer, paused: Paused, by: object
) -> None:
    workflow = paused()["workflow_id"]
    answer = server.api("POST", f"/workflows/{workflow}/runs", {"event": 1, "by": by})
    assert (answer.status_code, answer.json()["reason"]) == (400, "bad_request")
