"""The lock of a data directory: one server at a time."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until


@pytest.fixture
def first(tmp_path: Path) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path / "first") as running:
        yield running


@pytest.fixture
def second(tmp_path: Path, first: JupyterServer) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path / "second", data_dir=first.data_dir) as running:
        yield running


def is_open(server: JupyterServer) -> bool:
    return server.api("GET", "/runs").status_code == 200


def test_the_data_directory_is_private_and_names_its_holder(first: JupyterServer) -> None:
    assert first.data_dir.stat().st_mode & 0o777 == 0o700
    holder = json.loads((first.data_dir / "lock.json").read_text())
    assert first.process is not None
    assert holder["pid"] == first.process.pid
    assert holder["url"].rstrip("/") == first.url
    assert holder["host"] == socket.gethostname()
    first.stop()
    assert not (first.data_dir / "lock.json").exists()


def test_a_second_server_names_the_holder(first: JupyterServer, second: JupyterServer) -> None:
    assert first.process is not None
    run = first.run(first.deploy("flow", [ASK, TELL]))
    run = first.wait_run(run["id"], "paused")
    answer = second.api("GET", "/runs")
    assert (answer.status_code, answer.json()["reason"]) == (503, "locked")
    assert first.url in answer.json()["message"]
    assert f"process {first.process.pid} " in answer.json()["message"]
    public = second.http.post(run["pause"]["resume_url"].replace(first.url, second.url))
    assert public.status_code == 503
    assert "is in use by the server at" in second.log()
    assert first.get_run(run["id"]) == run
    assert second.http.get("/api/status", headers=second.headers).status_code == 200


def holder_pid(server: JupyterServer) -> int:
    return int(json.loads((server.data_dir / "lock.json").read_text())["pid"])


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_second_server_takes_over(first: JupyterServer, second: JupyterServer, how: str) -> None:
    run = first.run(first.deploy("flow", [ASK, TELL]))
    run = first.wait_run(run["id"], "paused")
    assert not is_open(second)
    getattr(first, how)()
    wait_until(
        lambda: "workflows now run on this server" in second.log(),
        "the server opens the data directory",
    )
    assert second.process is not None
    assert holder_pid(second) == second.process.pid
    link = run["pause"]["resume_url"].replace(first.url, second.url)
    assert second.http.post(link).status_code == 200
    second.wait_run(run["id"], "succeeded")
    first.start()
    assert not is_open(first)


def test_kernels_know_the_data_directory(first: JupyterServer) -> None:
    source = "%%step where\ndef handler(pd):\n    import os\n    return os.environ['JUPYTER_PDFLOW_DATA_DIR']"
    run = first.wait_run(first.run(first.deploy("where", [source]))["id"], "succeeded")
    assert run["steps"][0]["exports"]["$return_value"] == str(first.data_dir)


def test_a_wrong_trait_is_named_without_its_password(tmp_path: Path) -> None:
    with JupyterServer(tmp_path, ["--PDFlow.smtp_url=ftp://me:pa55word@host"]) as server:
        answer = server.api("GET", "/runs")
        assert answer.status_code == 503
        assert answer.json()["reason"] == "bad_configuration"
        assert "PDFlow.smtp_url has to be like smtp://" in answer.json()["message"]
        assert "PDFlow.smtp_url has to be like smtp://" in server.log()
        assert "pa55word" not in server.log()
