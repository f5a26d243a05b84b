"""A server that starts after another was killed or stopped: nothing is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.servers import JupyterServer, wait_until

ASK = """%%step ask
def handler(pd):
    return {"links": pd.flow.suspend(TIMEOUT)}
"""
TELL = """%%step tell
def handler(pd):
    return [pd.steps.ask["$resume_data"], pd.context.attempt, pd.context.id]
"""
SLOW = """%%step slow
def handler(pd):
    import pathlib, time
    with open("attempts", "a") as file:
        file.write(f"{pd.context.attempt} {pd.context.id}\\n")
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    return pd.context.attempt
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path) as running:
        yield running


def flow(server: JupyterServer, timeout: int = 60_000, *steps: str) -> Any:
    return server.deploy("flow", [f"TIMEOUT = {timeout}", *(steps or (ASK, TELL))])


def paused(server: JupyterServer, timeout: int = 60_000) -> Any:
    return server.wait_run(server.run(flow(server, timeout))["id"], "paused")


def files(server: JupyterServer, folder: str) -> list[str]:
    return sorted(os.listdir(server.data_dir / folder))


def test_paused_runs_are_paused_as_before_and_their_links_work(server: JupyterServer) -> None:
    run = paused(server)
    server.kill()
    server.start()
    after = server.get_run(run["id"])
    assert after == run
    answer = server.http.post(run["pause"]["resume_url"], json={"ok": True})
    assert answer.status_code == 200
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"][0]["body"] == {"ok": True}


def test_no_kernel_is_held_while_runs_wait(tmp_path: Path) -> None:
    with JupyterServer(tmp_path, ["--PDFlow.idle_kernel_seconds=0.2"]) as server:
        paused(server)
        wait_until(lambda: not server.kernels(), "all kernels are gone")


def test_kernels_of_a_killed_server_end(server: JupyterServer) -> None:
    paused(server)
    kernels = server.kernels()
    assert kernels
    server.kill()
    wait_until(
        lambda: not any(k.is_running() and k.status() != "zombie" for k in kernels), "kernels end"
    )


def test_overdue_timers_fire_at_start(server: JupyterServer) -> None:
    run = paused(server, 1500)
    server.kill()
    deadline = datetime.fromisoformat(run["pause"]["deadline"])
    wait_until(lambda: datetime.now(UTC) > deadline, "the deadline is past")
    server.start()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$resume_data"] is None
    assert server.http.get(run["pause"]["resume_url"]).status_code == 410


def test_an_interrupted_step_is_executed_again_from_its_beginning(
    server: JupyterServer,
) -> None:
    run = server.run(flow(server, 1, SLOW))
    attempts = server.root / "attempts"
    wait_until(lambda: attempts.exists() and attempts.read_text(), "the step has begun")
    server.kill()
    server.start()
    wait_until(lambda: len(attempts.read_text().splitlines()) == 2, "the step has begun again")
    (server.root / "go").touch()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$return_value"] == 2
    first, second = attempts.read_text().splitlines()
    assert (first[0], second[0]) == ("1", "2")
    assert first[2:] == second[2:]


def test_a_graceful_stop_loses_nothing(server: JupyterServer) -> None:
    run = server.run(flow(server, 1, SLOW))
    attempts = server.root / "attempts"
    wait_until(lambda: attempts.exists() and attempts.read_text(), "the step has begun")
    server.restart()
    (server.root / "go").touch()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$return_value"] == 2


def test_a_pending_request_survives_a_kill(server: JupyterServer) -> None:
    early = """%%step early
def handler(pd):
    import json, pathlib, time
    links = pd.flow.suspend()
    pathlib.Path("links").write_text(json.dumps(links))
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
"""
    run = server.run(flow(server, 1, early))
    links = server.root / "links"
    wait_until(lambda: links.exists() and links.read_text(), "the step made its links")
    resume_url = json.loads(links.read_text())["resume_url"]
    assert server.http.post(resume_url, json={"early": 1}).status_code == 202
    server.kill()
    server.start()
    (server.root / "go").touch()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$resume_data"]["body"] == {"early": 1}


def test_queued_runs_survive_a_kill(tmp_path: Path) -> None:
    with JupyterServer(tmp_path, ["--PDFlow.max_kernels=1"]) as server:
        workflow = flow(server, 1, SLOW)
        runs = [server.run(workflow) for _ in range(3)]
        wait_until((server.root / "attempts").exists, "the first has begun")
        server.kill()
        server.start()
        (server.root / "go").touch()
        attempts = [
            server.wait_run(run["id"], "succeeded")["steps"][0]["exports"]["$return_value"]
            for run in runs
        ]
        assert attempts == [2, 1, 1]


def test_a_run_finishes_on_the_version_that_it_started_with(server: JupyterServer) -> None:
    run = paused(server)
    changed = flow(server, 60_000, ASK, TELL.replace("return [", "return ['new', "))
    assert changed["version"] != run["version"]
    (server.root / "flow.ipynb").unlink()
    server.kill()
    server.start()
    server.http.post(run["pause"]["resume_url"])
    old = server.wait_run(run["id"], "succeeded")
    assert (old["version"], len(old["steps"][1]["exports"]["$return_value"])) == (run["version"], 3)
    new = server.wait_run(server.run(changed)["id"], "paused")
    server.http.post(new["pause"]["resume_url"])
    ended = server.wait_run(new["id"], "succeeded")
    assert (new["version"], ended["steps"][1]["exports"]["$return_value"][0]) == (
        changed["version"],
        "new",
    )


def test_ended_runs_are_moved_and_damaged_files_are_set_aside(server: JupyterServer) -> None:
    run, other = paused(server), paused(server)
    server.api("POST", f"/runs/{run['id']}/cancel", {"reason": "enough"})
    assert files(server, "finished") == [f"{run['id']}.jsonl"]
    server.kill()
    damaged = server.data_dir / "active" / f"{other['id']}.jsonl"
    damaged.write_bytes(damaged.read_bytes()[:100] + b"\n")
    server.start()
    # The server answers before it has read all runs.
    aside = [f"{other['id']}.jsonl.unreadable"]
    wait_until(lambda: files(server, "active") == aside, "the damaged run is set aside")
    assert server.api("GET", f"/runs/{other['id']}").status_code == 404
    assert server.get_run(run["id"])["reason"] == "enough"
    assert "set aside" in server.log()
