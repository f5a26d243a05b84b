"""The private API of a real server."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import nbformat
import orjson
import pytest

from jupyter_pdflow.server.api.handlers import ROUTES
from jupyter_pdflow.server.executed_notebook import INVALID_OUTPUT_TEXT
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, write_notebook

Paused = Callable[..., Any]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


def error(answer: Any, status: int, reason: str) -> str:
    """Check that an answer is this error; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    view = answer.json()
    assert set(view) == {"message", "reason"}
    assert view["reason"] == reason
    return str(view["message"])


# --- authentication ---------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in ROUTES])
@pytest.mark.parametrize("method", METHODS)
def test_unauthenticated_requests_are_refused(
    server: JupyterServer, pattern: str, method: str
) -> None:
    path = pattern.replace("([^/]+)", "x").replace("(?:/.*)?", "/x")
    for headers in ({}, {"Authorization": "token wrong"}):
        answer = server.http.request(method, path, headers=headers)
        assert answer.status_code in (403, 405), f"{answer.status_code} {answer.text}"


def test_a_cookie_without_an_xsrf_value_changes_nothing(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused()
    path = f"/pdflow/api/runs/{run['id']}"
    with server.client() as browser:
        browser.get("/api/status", params={"token": server.token})
        assert browser.get(path, headers={"Referer": server.url}).status_code == 200
        for origin in (server.url, "https://evil.example"):
            refused = browser.post(f"{path}/resume", json={}, headers={"Origin": origin})
            assert refused.status_code in (403, 404)
        assert server.get_run(run["id"]) == run
        xsrf = {"Cookie": "; ".join([*cookies(browser), "_xsrf=x"]), "X-XSRFToken": "x"}
        allowed = browser.post(f"{path}/resume", json={}, headers={**xsrf, "Origin": server.url})
        assert allowed.status_code == 200


def cookies(browser: httpx.Client) -> list[str]:
    return [f"{name}={value}" for name, value in browser.cookies.items()]


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 130, "x" * 10_000, "a%00b", "%00", "x%0a", "…"])
def test_malformed_ids_are_not_found(server: JupyterServer, name: str) -> None:
    for path in ("/mail/{}", "/runs/{}", "/runs/{}/notebook", "/workflows/{}"):
        error(server.api("GET", path.format(name)), 404, "not_found")
    for path in ("/runs/{}/resume", "/runs/{}/cancel", "/workflows/{}/runs"):
        error(server.api("POST", path.format(name), {}), 404, "not_found")
    for query in ("before", "workflow"):
        assert server.api("GET", f"/runs?{query}={name}").status_code in (200, 400, 404)


def test_unknown_routes_and_methods(server: JupyterServer) -> None:
    error(server.api("GET", "/nothing"), 404, "not_found")
    error(server.api("GET", "/runs/unknown"), 404, "not_found")
    error(server.api("GET", "/workflows/unknown"), 404, "not_found")
    error(server.api("POST", "/workflows/unknown/runs"), 404, "not_found")
    error(server.api("POST", "/runs/unknown/resume"), 404, "not_found")
    error(server.api("POST", "/runs/unknown/cancel"), 404, "not_found")
    error(server.api("GET", "/runs/unknown/notebook"), 404, "not_found")
    error(server.api("GET", "/runs/..%2f..%2flock"), 404, "not_found")
    error(server.api("GET", "/mail/..%2f..%2flock"), 404, "not_found")
    for name in ("x" * 300, "%00", "%2e%2e", "%ff", "%ed%a0%80", "a%5cb", "é" * 150):
        for path in (f"/mail/{name}", f"/runs/{name}", f"/workflows/{name}"):
            answer = server.api("GET", path)
            assert answer.status_code in {400, 404}, path
            assert len(answer.content) < 1_000
    error(server.api("DELETE", "/runs"), 405, "method_not_allowed")


# --- workflows ------------------------------------------------------------------------


def test_a_deploy_makes_a_new_version_only_of_a_changed_notebook(server: JupyterServer) -> None:
    path = server.root / "reports" / "weekly.ipynb"
    write_notebook(path, [ASK, TELL])
    first = server.api("POST", "/workflows", {"path": "reports/weekly.ipynb"})
    assert first.status_code == 201
    workflow = first.json()
    assert workflow["name"] == "weekly"
    assert workflow["path"] == "reports/weekly.ipynb"
    assert workflow["steps"] == ["ask", "tell"]
    assert first.headers["Location"] == f"/pdflow/api/workflows/{workflow['id']}"

    again = server.api("POST", "/workflows", {"path": "/reports/./weekly.ipynb"})
    assert (again.status_code, again.json()) == (200, workflow)

    write_notebook(path, ["x = 1", ASK, TELL])
    changed = server.api("POST", "/workflows", {"path": "reports/weekly.ipynb"})
    assert changed.status_code == 201
    assert changed.json()["id"] == workflow["id"]
    assert changed.json()["version"] != workflow["version"]
    assert server.api("GET", f"/workflows/{workflow['id']}").json() == changed.json()
    assert changed.json() in server.api("GET", "/workflows").json()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 400, "bad_request"),
        ({"path": 3}, 400, "bad_request"),
        ({"path": "a.ipynb", "extra": 1}, 400, "bad_request"),
        ([], 400, "bad_request"),
        ({"path": "notes.txt"}, 400, "bad_request"),
        ({"path": "missing.ipynb"}, 404, "not_found"),
        ({"path": "../outside.ipynb"}, 404, "not_found"),
        ({"path": "/../../outside.ipynb"}, 404, "not_found"),
        ({"path": "broken.ipynb"}, 422, "bad_notebook"),
        ({"path": "folder.ipynb"}, 422, "bad_notebook"),
        ({"path": "nosteps.ipynb"}, 422, "bad_notebook"),
        ({"path": "ghost.ipynb"}, 422, "bad_kernelspec"),
    ],
)
def test_a_deploy_is_refused(server: JupyterServer, body: Any, status: int, reason: str) -> None:
    write_notebook(server.root.parent / "outside.ipynb", [ASK])
    write_notebook(server.root / "nosteps.ipynb", ["x = 1"])
    write_notebook(server.root / "ghost.ipynb", [ASK], kernel_name="no-such-kernel")
    (server.root / "broken.ipynb").write_text("{")
    (server.root / "folder.ipynb").mkdir(exist_ok=True)
    before = server.api("GET", "/workflows").json()
    error(server.api("POST", "/workflows", body), status, reason)
    assert server.api("GET", "/workflows").json() == before


# --- runs -----------------------------------------------------------------------------


@pytest.mark.parametrize("event", [None, 0, "text", [1, [2]], {"a": {"b": None}}])
def test_an_event_is_any_json(server: JupyterServer, paused: Paused, event: Any) -> None:
    run = paused(event)
    assert run["event"] == event
    assert run["steps"][0]["exports"] == {"$return_value": {"asked": event}}


def test_a_run_is_shown_with_all_its_fields(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    answer = server.api("POST", f"/workflows/{run['workflow_id']}/runs", headers={"Host": "[::1]"})
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/pdflow/api/runs/{answer.json()['id']}"
    assert run["status"] == "paused"
    assert run["workflow_name"] == "approval"
    pause = run["pause"]
    assert (pause["kind"], pause["step"]) == ("suspend", "ask")
    wait = datetime.fromisoformat(pause["deadline"]) - datetime.fromisoformat(run["updated_at"])
    assert wait.total_seconds() == 24 * 3600
    assert pause["resume_url"].startswith(f"{server.url}/pdflow/resume/")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", run["created_at"])
    assert run["usage"]["credits"] == 1
    assert [step["status"] for step in run["steps"]] == ["paused", "pending"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"event": 1, "more": 2}', b"[" * 2000, b"\xff"])
def test_a_malformed_start_starts_no_run(
    server: JupyterServer, paused: Paused, body: bytes
) -> None:
    workflow_id = paused()["workflow_id"]
    before = server.api("GET", "/runs").json()
    answer = server.api("POST", f"/workflows/{workflow_id}/runs", content=body)
    error(answer, 400, "bad_request")
    deep = b'{"event": ' + b"[" * 240 + b"]" * 240 + b"}"
    answer = server.api("POST", f"/workflows/{workflow_id}/runs", content=deep)
    assert "nested too deeply" in error(answer, 400, "bad_request")
    assert server.api("GET", "/runs").json() == before


def test_runs_are_listed_newest_first_and_in_pages(server: JupyterServer, paused: Paused) -> None:
    mine = [paused(number)["id"] for number in range(5)]
    workflow_id = server.get_run(mine[0])["workflow_id"]
    found, url = list[str](), f"/runs?limit=2&status=paused&workflow={workflow_id}"
    while url and len(found) < 5:
        answer = server.api("GET", url)
        assert len(answer.json()) <= 2
        assert not any("event" in run or "exports" in run["steps"][0] for run in answer.json())
        found += [run["id"] for run in answer.json()]
        following = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        url = following[1].removeprefix("/pdflow/api") if following else ""
    assert found[:5] == mine[::-1]
    assert server.api("GET", "/runs?status=succeeded&workflow=none").json() == []
    assert "Link" not in server.api("GET", "/runs?limit=500").headers


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=501", "limit=x", "limit=-1", "limit=" + "9" * 5000, "status=done"),
        *("search=" + "a%20" * 33, "search=" + "a" * 1_001),
    ],
    ids=lambda query: query[:20],
)
def test_a_malformed_query_is_named(server: JupyterServer, query: str) -> None:
    message = error(server.api("GET", f"/runs?{query}"), 400, "bad_request")
    assert message.startswith(query.partition("=")[0])


def test_a_long_search_is_answered(server: JupyterServer) -> None:
    assert server.api("GET", "/runs?search=" + "a%20" * 32).status_code == 200
    assert server.api("GET", "/runs?search=" + "a" * 1_000).json() == []


def test_a_step_sees_a_resume_as_a_request(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    resume = f"/runs/{run['id']}/resume"
    answer = server.api("POST", f"{resume}?token={server.token}", {"data": {"ok": 1}})
    assert answer.status_code == 200
    assert answer.json()["id"] == run["id"]
    ended = server.wait_run(run["id"], "succeeded")
    request = ended["steps"][1]["exports"]["$return_value"]
    assert request["method"] == "POST"
    assert request["path"] == f"/pdflow/api{resume}"
    assert request["body"] == {"ok": 1}
    assert server.token not in str(request)

    message = error(server.api("POST", resume, {}), 409, "not_paused")
    assert "succeeded" in message
    error(server.api("POST", f"/runs/{run['id']}/cancel"), 409, "ended")
    assert server.get_run(run["id"]) == ended


def test_a_resume_by_a_button_is_recorded_as_such(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    assert server.api("POST", f"/runs/{run['id']}/resume", {"by": "button"}).is_success
    late = server.http.post(run["pause"]["resume_url"])
    assert late.json()["decided_by"] == "button"
    error(server.api("POST", f"/runs/{run['id']}/resume", {"by": "magic"}), 400, "bad_request")


def test_a_canceled_run_has_the_reason(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    answer = server.api("POST", f"/runs/{run['id']}/cancel", {"reason": "No longer needed"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "canceled"
    assert server.get_run(run["id"])["reason"] == "No longer needed"


def test_a_reason_that_is_too_long_is_refused(server: JupyterServer, paused: Paused) -> None:
    path = f"/runs/{paused()['id']}"
    message = error(
        server.api("POST", f"{path}/cancel", {"reason": "x" * 5_000_000}), 400, "bad_request"
    )
    assert message == "reason may have 1,000 characters at most, not 5,000,000."
    assert server.api("GET", path).json()["status"] == "paused"
    canceled = server.api("POST", f"{path}/cancel", {"reason": "é" * 1_000})
    assert canceled.json()["reason"] == "é" * 1_000


def test_a_failed_step_has_its_error(server: JupyterServer) -> None:
    workflow = server.deploy(
        "broken-step", ["%%step bad\ndef handler(pd):\n    raise ValueError('x')"]
    )
    run = server.wait_run(server.run(workflow)["id"], "failed")
    step_error = run["error"]
    assert step_error["message"] == "ValueError: x"
    assert (step_error["ename"], step_error["evalue"]) == ("ValueError", "x")
    assert step_error["step"] == "bad"
    assert any("raise ValueError" in line for line in step_error["traceback"])
    assert run["steps"][0]["error"]["ename"] == "ValueError"


def test_a_run_is_sent_as_a_notebook(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    answer = server.api("GET", f"/runs/{run['id']}/notebook")
    assert answer.headers["Content-Type"] == "application/x-ipynb+json"
    assert f"approval-{run['id']}.ipynb" in answer.headers["Content-Disposition"]
    notebook = nbformat.reads(answer.text, as_version=4)
    nbformat.validate(notebook)
    header, setup, ask, _, tell = notebook.cells
    assert run["id"] in header.source
    assert setup.source == "import os"
    assert ask.source.startswith("%%step ask\ndef handler(pd):")
    assert ask.outputs == [{"output_type": "stream", "name": "stdout", "text": "asked\n"}]
    assert tell.outputs == []
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.pdflow.run_id == run["id"]


def test_an_invalid_output_is_replaced_and_the_others_stay(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused()
    path = server.data_dir / "outputs" / f"{run['id']}.json"
    stored = orjson.loads(path.read_bytes())
    stored["outputs"]["1"]["shown"][0]["outputs"].insert(0, {"output_type": "bogus"})
    path.write_bytes(orjson.dumps(stored))
    answer = server.api("GET", f"/runs/{run['id']}/notebook")
    assert answer.status_code == 200
    notebook = nbformat.reads(answer.text, as_version=4)
    nbformat.validate(notebook)
    assert [output.text for output in notebook.cells[2].outputs] == [INVALID_OUTPUT_TEXT, "asked\n"]


def test_an_executed_notebook_can_be_deployed(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    text = server.api("GET", f"/runs/{run['id']}/notebook").text
    (server.root / "again.ipynb").write_text(text)
    again = server.api("POST", "/workflows", {"path": "again.ipynb"}).json()
    assert again["version"] == run["version"]
