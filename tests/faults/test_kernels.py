"""Runs whose kernels die, hang or do not start, and runs whose steps make very much output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers import JupyterServer, wait_until

GIGABYTE = 1_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path_factory.mktemp("kernels"), ["--PDFlow.max_kernels=1"]) as server:
        yield server


def ended(server: JupyterServer, name: str, *cells: str) -> Any:
    run = server.run(server.deploy(name, cells))
    return server.wait_run(run["id"], ("succeeded", "failed"), 60)


def step(body: str, name: str = "work") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"%%step {name}\ndef handler(pd):\n{lines}\n"


def test_a_kernel_that_dies_fails_its_step_and_the_next_run_has_another_kernel(
    server: JupyterServer,
) -> None:
    run = ended(server, "dies", step("import os\nos.kill(os.getpid(), 9)"))
    assert run["status"] == "failed"
    assert run["error"]["ename"] == "KernelDied"
    assert "SIGKILL" in run["error"]["evalue"]
    assert ended(server, "lives", step("return 1"))["status"] == "succeeded"


def test_a_step_that_hangs_is_canceled_and_frees_its_kernel(server: JupyterServer) -> None:
    hang = (
        "import pathlib, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "pathlib.Path('hanging').touch()\n"
        "while True: pass"
    )
    run = server.run(server.deploy("hangs", [step(hang)]))
    wait_until((server.root / "hanging").exists, "the step hangs")
    server.api("POST", f"/runs/{run['id']}/cancel", {"reason": "it hangs"})
    assert server.get_run(run["id"])["status"] == "canceled"
    assert ended(server, "next", step("return 1"))["status"] == "succeeded"


def test_a_kernel_that_does_not_start_fails_the_run_with_its_message(server: JupyterServer) -> None:
    spec = Path(server.env["JUPYTER_DATA_DIR"], "kernels", "moody", "kernel.json")
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "moody", "language": "python"}))
    workflow = server.deploy("moody", [step("return 1")], "moody")
    argv = [sys.executable, "-c", "raise SystemExit(5)"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "moody", "language": "python"}))
    run = server.wait_run(server.run(workflow)["id"], "failed", 60)
    assert run["error"]["ename"] == "KernelError"
    assert "status 5" in run["error"]["evalue"]
    assert ended(server, "after", step("return 1"))["status"] == "succeeded"


def test_a_kernelspec_that_was_removed_fails_a_resumed_run_with_a_message(
    server: JupyterServer,
) -> None:
    spec = Path(server.env["JUPYTER_DATA_DIR"], "kernels", "seasonal", "kernel.json")
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    whole = json.dumps({"argv": argv, "display_name": "seasonal", "language": "python"})
    spec.write_text(whole)
    cells = [step("pd.flow.suspend()", "ask"), step("return 1", "use")]
    workflow = server.deploy("seasonal", cells, "seasonal")
    broken = json.dumps({"argv": ["/no/such/python"], "display_name": "s", "language": "python"})
    for content, ename, message in [
        (None, "KernelSpecError", "There is no kernelspec 'seasonal' any more; install it, or"),
        (broken, "KernelError", "The kernel 'seasonal' can't be started: "),
        ("{", "KernelError", "The kernel 'seasonal' can't be started: "),
        ("[]", "KernelError", "The kernel 'seasonal' can't be started: "),
    ]:
        spec.write_text(whole)
        run = server.wait_run(server.run(workflow)["id"], "paused", 60)
        server.stop()
        spec.write_text(content or "")
        if content is None:
            spec.unlink()
        server.start()
        assert server.get_run(run["id"])["status"] == "paused"
        server.api("POST", f"/runs/{run['id']}/resume", {"data": None})
        run = server.wait_run(run["id"], "failed", 60)
        assert run["error"]["ename"] == ename
        assert message in run["error"]["evalue"]
        assert [one["status"] for one in run["steps"]] == ["succeeded", "failed"]
    assert ended(server, "still", step("return 1"))["status"] == "succeeded"


def test_a_handler_that_prints_a_gigabyte(server: JupyterServer) -> None:
    assert server.process is not None
    before = server.process.memory_info().rss
    body = f"line = 'x' * 999_999\nfor _ in range({GIGABYTE} // 1_000_000):\n    print(line)\nreturn 'done'"
    run = ended(server, "prints", step(body))
    assert run["status"] == "succeeded"
    assert run["steps"][0]["exports"] == {"$return_value": "done"}
    cells = server.api("GET", f"/runs/{run['id']}/notebook").json()["cells"]
    texts = [output["text"] for cell in cells for output in cell.get("outputs", [])]
    assert "output of 998,000,000 more bytes was dropped" in "".join(texts[-1])
    assert sum(map(len, map("".join, texts))) < 3_000_000
    assert server.process.memory_info().rss - before < 150_000_000


def test_a_handler_that_returns_100_megabytes(server: JupyterServer) -> None:
    run = ended(server, "returns", step("return 'x' * 100_000_000"))
    assert run["status"] == "failed"
    assert run["error"]["ename"] == "ExportError"
    assert "limit is 6,000,000" in run["error"]["evalue"]
    assert sum(f.stat().st_size for f in server.data_dir.rglob("*") if f.is_file()) < 10_000_000


def test_no_kernel_is_left_when_the_server_stops(server: JupyterServer) -> None:
    ended(server, "last", step("return 1"))
    kernels = server.kernels()
    assert kernels
    server.stop()
    wait_until(lambda: not any(map(psutil.Process.is_running, kernels)), "the kernels have ended")
