"""``PDFlow.keep_days`` on a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, DataDir
from tests.servers import JupyterServer, wait_until

SHOW = """%%step show
def handler(pd):
    print("shown")
    pd.send.email(subject="Look")
    if pd.steps.trigger.event:
        pd.flow.suspend()
"""
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def server(tmp_path: Path) -> JupyterServer:
    return JupyterServer(tmp_path, ["--PDFlow.keep_days=0.01"])


def age(server: JupyterServer, run_id: str) -> None:
    """Make a run an old one that ended long ago, if it has ended; the server is stopped."""
    data = DataDir(server.data_dir)
    run, history = data.read_run(run_id), data.history_of_run(run_id)
    ended_at = LONG_AGO if run.ended else None
    old = replace(run, created_at=LONG_AGO, updated_at=LONG_AGO, ended_at=ended_at)
    data.write(FINISHED if run.ended else ACTIVE, run_id, old, history)


def traces(server: JupyterServer, run: dict[str, Any]) -> int:
    return len(list(server.data_dir.rglob(f"{run['id']}*")))


def test_only_old_finished_runs_go(server: JupyterServer) -> None:
    with server:
        workflow = server.deploy("show", [SHOW])
        ended = [server.wait_run(server.run(workflow)["id"], "succeeded") for _ in range(2)]
        paused = server.wait_run(server.run(workflow, event=1)["id"], "paused")
        old, new = ended
        wait_until(lambda: traces(server, old) == 4, "all of a run is stored")
        server.stop()
        age(server, old["id"])
        age(server, paused["id"])
        server.start()
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
