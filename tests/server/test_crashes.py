"""Steps that kill their server, and steps that were executing at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import JupyterServer, wait_until

CULPRIT = """%%step culprit
def handler(pd):
    import os, pathlib, signal, time
    with open("culprit", "a") as file:
        file.write(f"{pd.context.attempt}\\n")
    while pathlib.Path("innocent").read_text().count("\\n") < min(pd.context.attempt, 2):
        time.sleep(0.02)
    os.kill(int(os.environ["JPY_PARENT_PID"]), signal.SIGKILL)
    time.sleep(60)
"""
INNOCENT = """%%step innocent
def handler(pd):
    import pathlib, time
    with open("innocent", "a") as file:
        file.write(f"{pd.context.attempt}\\n")
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    return pd.context.attempt
"""
KILLING_SETUP = """import os, signal, time
with open("setup", "a") as file:
    file.write("x")
os.kill(int(os.environ["JPY_PARENT_PID"]), signal.SIGKILL)
time.sleep(60)
"""
WAITING_SETUP = """import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""
DONE = """%%step done
def handler(pd):
    return pd.context.attempt
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path, ["--PDFlow.max_kernels=3"]) as running:
        yield running


def restart_killed(server: JupyterServer) -> None:
    """Wait until a step has killed the server, and start it again."""
    process = server.process
    assert process is not None
    wait_until(lambda: process.poll() is not None, "the server has died", 40)
    server.kill()
    server.start()


def test_only_the_step_that_kills_the_server_fails(server: JupyterServer) -> None:
    innocent = server.run(server.deploy("innocent", [INNOCENT]))
    wait_until((server.root / "innocent").exists, "the innocent step is executing")
    culprit = server.run(server.deploy("culprit", [CULPRIT]))
    restart_killed(server)
    restart_killed(server)
    for run in (innocent, culprit):
        assert server.get_run(run["id"])["status"] == "queued"
    other = server.run(server.deploy("other", [DONE]))
    assert server.wait_run(other["id"], "succeeded")
    (server.root / "go").touch()
    restart_killed(server)
    ended = server.wait_run(culprit["id"], "failed")
    assert ended["error"]["ename"] == "ServerDied"
    assert "ended 3 times while it executed step 'culprit'" in ended["error"]["message"]
    assert (server.root / "culprit").read_text() == "1\n2\n3\n"
    assert server.wait_run(innocent["id"], "succeeded")["steps"][0]["status"] == "succeeded"


def test_a_setup_that_kills_the_server_fails(server: JupyterServer) -> None:
    run = server.run(server.deploy("setup", [KILLING_SETUP, DONE]))
    for _ in range(3):
        restart_killed(server)
    ended = server.wait_run(run["id"], "failed")
    assert "ended 3 times" in ended["error"]["message"]
    assert (server.root / "setup").read_text() == "xxx"


def test_a_run_is_running_while_its_setup_runs(server: JupyterServer) -> None:
    run = server.run(server.deploy("setup", [WAITING_SETUP, DONE]))
    wait_until((server.root / "begun").exists, "the setup runs")
    assert server.get_run(run["id"])["status"] == "running"
    (server.root / "go").touch()
    server.wait_run(run["id"], "succeeded")


def test_a_run_can_be_canceled_while_its_setup_runs(tmp_path: Path) -> None:
    with JupyterServer(tmp_path, ["--PDFlow.max_kernels=1"]) as server:
        run = server.run(server.deploy("setup", [WAITING_SETUP, DONE]))
        wait_until((server.root / "begun").exists, "the setup runs")
        assert server.api("POST", f"/runs/{run['id']}/cancel").json()["status"] == "canceled"
        other: Any = server.run(server.deploy("other", [DONE]))
        assert server.wait_run(other["id"], "succeeded")
        assert server.get_run(run["id"])["status"] == "canceled"


def test_a_stop_while_a_setup_runs_counts_no_crash(server: JupyterServer) -> None:
    run = server.run(server.deploy("setup", [WAITING_SETUP, DONE]))
    wait_until((server.root / "begun").exists, "the setup runs")
    server.stop()
    stored = (server.data_dir / "active" / f"{run['id']}.jsonl").read_text().splitlines()[-1]
    assert '"status":"queued"' in stored
    assert '"crashes":0' in stored
    (server.root / "go").touch()
    server.start()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$return_value"] == 2


def test_an_outcome_that_can_not_be_stored_fails_its_step(server: JupyterServer) -> None:
    odd = """%%step odd
def handler(pd):
    from jupyter_pdflow.rules.pauses import PauseCall
    pd.flow.call = PauseCall(kind="delay", ms=10**18)
"""
    ended = server.wait_run(server.run(server.deploy("odd", [odd]))["id"], "failed")
    assert ended["error"]["message"].startswith("InvalidOutcome: The outcome of the step can't")
    assert ended["error"]["step"] == "odd"
