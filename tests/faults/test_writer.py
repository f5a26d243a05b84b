"""The process that writes runs under load starts, may die, and ends with the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from jupyter_pdflow.stores.tinydb import writer as writer_process
from tests.servers import JupyterServer, wait_until

STEPS = [
    """%%step ask
def handler(pd):
    pd.flow.suspend()
""",
    """%%step tell
def handler(pd):
    return pd.steps["ask"]["$resume_data"]["body"]
""",
]
RUNS = 120


def writers(server: JupyterServer) -> list[psutil.Process]:
    return [child for child in server.kernels() if writer_process.__name__ in child.cmdline()]


def test_nothing_is_lost_if_the_process_dies(tmp_path: Path) -> None:
    with (
        JupyterServer(tmp_path, ["--PDFlow.max_kernels=2"]) as server,
        ThreadPoolExecutor(4) as clients,
    ):
        workflow = server.deploy("flow", STEPS)
        starting = [clients.submit(server.run, workflow) for _ in range(RUNS)]
        wait_until(lambda: writers(server), "a process writes")
        writers(server)[0].kill()
        waiting = [server.wait_run(start.result()["id"], "paused") for start in starting]
        assert "written by threads for a while" in server.log()

        def resume(run: Any) -> int:
            return server.http.post(run["pause"]["resume_url"], json=run["id"]).status_code

        assert set(clients.map(resume, waiting)) == {200}
        for run in waiting:
            ended = server.wait_run(run["id"], "succeeded")
            assert ended["steps"][1]["exports"]["$return_value"] == run["id"]
        assert not list(server.data_dir.rglob("*.tmp"))


def test_the_process_has_ended_when_the_server_has_stopped(tmp_path: Path) -> None:
    with JupyterServer(tmp_path, ["--PDFlow.max_kernels=1"]) as server:
        workflow = server.deploy("flow", STEPS)
        runs = [server.run(workflow)["id"] for _ in range(RUNS)]
        wait_until(lambda: writers(server), "a process writes")
        process = writers(server)[0]
        server.stop()
        assert not process.is_running()
        assert not (server.data_dir / "spare").exists()
        server.start()
        for run_id in runs:
            server.wait_run(run_id, "paused")
