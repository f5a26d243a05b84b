"""``GET /runs/{id}/history``: what has happened to a run."""

from __future__ import annotations

from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer


def test_history_of_a_run(server: JupyterServer) -> None:
    workflow = server.deploy("told", [ASK, TELL])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    server.http.post(run["pause"]["resume_url"], json={"secret": "body"}).raise_for_status()
    server.wait_run(run["id"], "succeeded")
    history = server.api("GET", f"/runs/{run['id']}/history").json()
    assert [entry["n"] for entry in history] == list(range(1, len(history) + 1))
    events = [(entry["event"], entry["step"], entry["via"]) for entry in history]
    assert events == [
        ("start", "ask", "api"),
        ("begin", "ask", None),
        ("finish", "ask", None),
        ("resume", "ask", "link"),
        ("begin", "tell", None),
        ("finish", "tell", None),
    ]
    assert "It pauses: suspend, until" in history[2]["note"]
    assert "secret" not in str(history)


def test_history_survives_a_restart(server: JupyterServer) -> None:
    workflow = server.deploy("kept", [ASK, TELL])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    server.kill()
    server.start()
    answer = server.api("POST", f"/runs/{run['id']}/cancel", {"reason": "not needed"})
    assert answer.is_success
    history = server.api("GET", f"/runs/{run['id']}/history").json()
    assert [entry["event"] for entry in history] == ["start", "begin", "finish", "cancel"]
    assert (history[-1]["via"], history[-1]["note"]) == ("api", "not needed")


def test_history_of_an_unknown_run(server: JupyterServer) -> None:
    assert server.api("GET", "/runs/01J00000000000000000000000/history").status_code == 404
