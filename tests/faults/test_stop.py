"""A server stops while steps are executing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.servers import JupyterServer, wait_until

WORK = """%%step work
def handler(pd):
    import pathlib, time
    folder = pathlib.Path(pd.steps.trigger.event)
    with (folder / "log").open("a") as file:
        file.write(f"begun {pd.context.attempt}\\n")
    try:
        while not (folder / "go").exists():
            time.sleep(0.02)
    except KeyboardInterrupt:
        with (folder / "log").open("a") as file:
            file.write("cleaned up\\n")
        raise
    pd.flow.suspend() if (folder / "pause").exists() else None
    return pd.context.attempt
"""
LAST = """%%step last
def handler(pd):
    import pathlib
    (pathlib.Path(pd.steps.trigger.event) / "last").touch()
    return pd.context.attempt
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path / "server", ["--PDFlow.max_kernels=2"]) as running:
        yield running


def begun(server: JupyterServer, folder: Path) -> Any:
    folder.mkdir()
    run = server.run(server.deploy("work", [WORK, LAST]), str(folder))
    wait_until((folder / "log").exists, "the step is executing")
    return run


def test_steps_may_end_in_the_grace_time_and_other_runs_are_queued(
    server: JupyterServer, tmp_path: Path
) -> None:
    ends, pauses = begun(server, tmp_path / "ends"), begun(server, tmp_path / "pauses")
    (tmp_path / "pauses" / "pause").touch()
    folder = tmp_path / "queued"
    folder.mkdir()
    queued = server.run(server.deploy("work", [WORK, LAST]), str(folder))
    stopping = Thread(target=server.stop)
    stopping.start()
    wait_until(lambda: "Shutting down" in server.log(), "the server stops")
    for name in ("ends", "pauses"):
        (tmp_path / name / "go").touch()
    stopping.join()
    assert not (tmp_path / "ends" / "last").exists()
    server.start()
    ended = server.wait_run(ends["id"], "succeeded")
    assert [step["exports"]["$return_value"] for step in ended["steps"]] == [1, 1]
    assert server.get_run(pauses["id"])["pause"]["step"] == "work"
    (folder / "go").touch()
    assert server.wait_run(queued["id"], "succeeded")["status"] == "succeeded"
    logs = [(tmp_path / name / "log").read_text() for name in ("ends", "pauses", "queued")]
    assert logs == ["begun 1\n"] * 3


def test_a_step_that_takes_longer_is_interrupted_and_executed_again(
    server: JupyterServer, tmp_path: Path
) -> None:
    folder = tmp_path / "slow"
    run = begun(server, folder)
    server.stop()
    stored = (server.data_dir / "active" / f"{run['id']}.jsonl").read_text().splitlines()[-1]
    assert '"status":"queued"' in stored
    assert (folder / "log").read_text() == "begun 1\ncleaned up\n"
    (folder / "go").touch()
    server.start()
    ended = server.wait_run(run["id"], "succeeded")
    assert [step["exports"]["$return_value"] for step in ended["steps"]] == [2, 1]
    assert ended["usage"]["compute_ms"] > 4_000
    assert ended["usage"]["credits"] == 2
    assert (folder / "log").read_text() == "begun 1\ncleaned up\nbegun 2\n"


def test_links_work_during_the_grace_time(server: JupyterServer, tmp_path: Path) -> None:
    first = begun(server, tmp_path / "first")
    (tmp_path / "first" / "pause").touch()
    (tmp_path / "first" / "go").touch()
    waiting = server.wait_run(first["id"], "paused")
    begun(server, tmp_path / "slow")
    stopping = Thread(target=server.stop)
    stopping.start()
    wait_until(lambda: "Shutting down" in server.log(), "the server stops")
    assert server.http.post(waiting["pause"]["resume_url"]).status_code == 200
    stopping.join()
    assert not (tmp_path / "first" / "last").exists()
    (tmp_path / "slow" / "go").touch()
    server.start()
    server.wait_run(first["id"], "succeeded")
