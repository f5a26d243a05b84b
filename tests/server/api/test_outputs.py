"""The outputs of a run while its step is executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers import JupyterServer, wait_until

WAITS = """%%step waits
import time
from pathlib import Path
def handler(pd):
    event = pd.steps["trigger"]["event"]
    print("attempt", pd.context.attempt)
    while not Path(event["go"]).exists():
        time.sleep(0.05)
    print("end")
"""
FIRST = "%%step first\ndef handler(pd):\n    print('one')"


def texts(server: JupyterServer, run: Any) -> dict[str, str]:
    """Return what each step has printed so far."""
    found = server.api("GET", f"/runs/{run['id']}/outputs").json()
    return {name: "".join(each["text"] for each in outputs) for name, outputs in found.items()}


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """Return the file that the step waits for."""
    return tmp_path / "go"


@pytest.fixture
def start(server: JupyterServer, go: Path) -> Callable[[], Any]:
    def start() -> Any:
        run = server.run(server.deploy("waits", [FIRST, WAITS]), {"go": str(go)})
        shown = {"first": "one\n", "waits": "attempt 1\n"}
        wait_until(lambda: texts(server, run) == shown, "the step has printed", 30)
        return run

    return start


def test_prints_are_there_while_the_step_is_executed(
    server: JupyterServer, start: Callable[[], Any], go: Path
) -> None:
    run = start()
    assert server.get_run(run["id"])["status"] == "running"
    go.touch()
    server.wait_run(run["id"], "succeeded")
    assert texts(server, run) == {"first": "one\n", "waits": "attempt 1\nend\n"}


def test_nothing_is_sent_again_that_has_not_changed(
    server: JupyterServer, start: Callable[[], Any], go: Path
) -> None:
    run = start()

    def get(tag: str = "") -> Any:
        return server.api("GET", f"/runs/{run['id']}/outputs", headers={"If-None-Match": tag})

    tag = get().headers["ETag"]
    unchanged = get(tag)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    go.touch()
    server.wait_run(run["id"], "succeeded")
    ended = get(tag)
    assert (ended.status_code, ended.headers["Content-Type"]) == (200, "application/json")
    assert get(ended.headers["ETag"]).status_code == 304


def test_a_canceled_step_keeps_what_it_has_shown(
    server: JupyterServer, start: Callable[[], Any]
) -> None:
    run = start()
    server.api("POST", f"/runs/{run['id']}/cancel", {})
    assert texts(server, run)["waits"].startswith("attempt 1\n")
    outputs = server.data_dir / "outputs" / f"{run['id']}.json"
    wait_until(lambda: "attempt 1" in outputs.read_text(), "the outputs are stored")
    found = server.api("GET", f"/runs/{run['id']}/outputs").json()["waits"]
    assert found[0]["text"] == "attempt 1\n"
    assert [each.get("ename") for each in found[1:]] == ["KeyboardInterrupt"]


def test_an_unknown_run_has_none(server: JupyterServer) -> None:
    answer = server.api("GET", "/runs/unknown/outputs")
    assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")


def test_a_killed_server_leaves_no_outputs_of_its_attempt(tmp_path: Path, go: Path) -> None:
    with JupyterServer(tmp_path / "own") as server:
        run = server.run(server.deploy("waits", [FIRST, WAITS]), {"go": str(go)})
        wait_until(lambda: "waits" in texts(server, run), "the step is executed", 30)
        server.kill()
        server.start()
        wait_until(lambda: "attempt 2" in texts(server, run).get("waits", ""), "it is again", 30)
        assert texts(server, run) == {"first": "one\n", "waits": "attempt 2\n"}
        go.touch()
        server.wait_run(run["id"], "succeeded")
        assert texts(server, run)["waits"] == "attempt 2\nend\n"
