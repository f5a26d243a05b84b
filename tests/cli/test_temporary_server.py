"""``jupyter pdflow`` without a server that serves the notebook."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cli.commands import RUN_ID, call, started
from tests.servers import JupyterServer, wait_until, write_notebook

ASK = "%%step ask\ndef handler(pd):\n    pd.flow.suspend()"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[JupyterServer]:
    """A user's home with a notebook; its server is not running, but would use the same data."""
    server = JupyterServer(tmp_path, data_dir=tmp_path / "home" / "data" / "pdflow")
    write_notebook(server.root / "ask.ipynb", [ASK])
    yield server
    server.stop()
    server.http.close()


def servers_of(machine: JupyterServer) -> list[psutil.Process]:
    """Return the servers that serve this machine's folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"--ServerApp.root_dir={machine.root}" in process.cmdline():
                found.append(process)
    return found


def post(url: str) -> httpx.Response:
    return httpx.post(url, trust_env=False)


def test_run_starts_a_server_and_stops_it(machine: JupyterServer) -> None:
    with started(machine, "run", "ask.ipynb") as command:
        resume = command.find(r"  resume: (\S+)\n")
        assert len(servers_of(machine)) == 1
        assert post(resume).status_code == 200
        assert command.wait() == 0
    assert servers_of(machine) == []
    assert list((Path(machine.env["JUPYTER_RUNTIME_DIR"])).glob("pdflow-server-*")) == []


def test_interrupted_run_is_kept(machine: JupyterServer) -> None:
    with started(machine, "run", "ask.ipynb") as command:
        run_id = command.find(RUN_ID.pattern)
        resume = command.find(r"  resume: (\S+)\n")
        command.find(r"  cancel: (\S+)\n")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
    assert servers_of(machine) == []
    assert f"Run {run_id} is kept" in command.text
    assert f"--port={httpx.URL(resume).port} {machine.root}\n" in command.text
    machine.start()
    assert machine.get_run(run_id)["status"] == "paused"
    assert post(f"{machine.url}{httpx.URL(resume).path}").status_code == 200
    machine.wait_run(run_id, "succeeded")


def test_detached_server_keeps_running(machine: JupyterServer) -> None:
    done = call(machine, "run", "ask.ipynb", "--detach")
    assert done.returncode == 0
    (process,) = servers_of(machine)
    try:
        assert f"kill {process.pid}" in done.stdout
        run_id = RUN_ID.search(done.stdout)[1]  # type: ignore[index]
        wait_until(lambda: "resume: " in call(machine, "show", run_id).stdout, "paused")
        assert call(machine, "resume", run_id).returncode == 0
    finally:
        process.terminate()
        process.wait(15)


def test_data_held_by_another_server_is_refused(machine: JupyterServer, tmp_path: Path) -> None:
    machine.start()
    write_notebook(tmp_path / "elsewhere" / "ask.ipynb", [ASK])
    done = call(machine, "run", "../elsewhere/ask.ipynb")
    assert done.returncode == 2
    assert str(machine.process.pid) in done.stderr  # type: ignore[union-attr]
    assert len(done.stderr.splitlines()) == 1


def test_commands_need_a_server(machine: JupyterServer) -> None:
    for command in (["runs"], ["show", "X"], ["deploy", "ask.ipynb"]):
        done = call(machine, *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "jupyter lab" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_named_server_that_does_not_answer(machine: JupyterServer) -> None:
    machine.env["JUPYTER_PDFLOW_URL"] = machine.url
    done = call(machine, "run", "ask.ipynb")
    assert done.returncode == 2
    assert f"No Jupyter server answers at {machine.url}" in done.stderr
    assert servers_of(machine) == []


def test_named_server_is_used(machine: JupyterServer, tmp_path: Path) -> None:
    machine.start()
    client = JupyterServer(tmp_path / "client", env={"JUPYTER_PDFLOW_URL": machine.url})
    client.root.mkdir(parents=True)
    refused = call(client, "runs")
    assert (refused.returncode, "JUPYTER_PDFLOW_TOKEN" in refused.stderr) == (2, True)
    client.env["JUPYTER_PDFLOW_TOKEN"] = machine.token
    assert call(client, "run", "ask.ipynb", "--detach").returncode == 0
    client.http.close()
