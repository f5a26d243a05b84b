"""``PDFlow.keep_days`` on a real server."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import JupyterServer, wait_until

SHOW = """%%step show
def handler(pd):
    print("shown")
    pd.send.email(subject="Look")
    if pd.steps.trigger.event:
        pd.flow.suspend()
"""
LONG_AGO = time.time() - 3600


@pytest.fixture
def server(tmp_path: Path) -> JupyterServer:
    return JupyterServer(tmp_path, ["--PDFlow.keep_days=0.01"])


def age(server: JupyterServer, run_id: str) -> None:
    for path in server.data_dir.rglob(f"{run_id}*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def traces(server: JupyterServer, run: dict[str, Any]) -> int:
    return len(list(server.data_dir.rglob(f"{run['id']}*")))


def test_only_old_finished_runs_go(server: JupyterServer) -> None:
    with server:
        workflow = server.deploy("show", [SHOW])
        ended = [server.wait_run(server.run(workflow)["id"], "succeeded") for _ in range(2)]
        paused = server.wait_run(server.run(workflow, event=1)["id"], "paused")
        old, new = ended
        wait_until(lambda: traces(server, old) == 4, "all of a run is stored")
        age(server, old["id"])
        age(server, paused["id"])
        server.restart()
        wait_until(lambda: traces(server, old) == 0, "the old run is removed")
        assert [run["id"] for run in server.api("GET", "/runs").json()] == [paused["id"], new["id"]]
        assert server.api("GET", f"/runs/{old['id']}").status_code == 404
        assert traces(server, new) == 4
        mails = server.api("GET", "/mail").json()
        assert {mail["run_id"] for mail in mails} == {paused["id"], new["id"]}
        link = paused["pause"]["resume_url"]
        assert server.http.post(link).status_code == 200
        server.wait_run(paused["id"], "succeeded")
        assert server.api("GET", "/workflows").json()[0]["version"] == workflow["version"]
