"""Kernels and gateways that die, freeze or are unavailable, and servers that leave kernels behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from tests.gateway.conftest import TOUCH_MARK, Pair, step
from tests.servers import wait_until, write_notebook

LONG = step(TOUCH_MARK + "time.sleep(pd.steps.trigger.event or 0)\nreturn pd.context.attempt")


@pytest.fixture(autouse=True)
def both_run(pair: Pair) -> Iterator[None]:
    """Start the gateway and the server again after a test that has ended one."""
    yield
    if pair.gateway.process is None:
        pair.gateway.start()
    if pair.server.process is None:
        pair.server.start()


def test_kernels_that_die_fail_their_steps_and_free_their_slots(pair: Pair) -> None:
    workflow = pair.server.deploy("dies", [step("import os\nos.kill(os.getpid(), 9)")])
    for _ in range(2):
        run = pair.end(pair.server.run(workflow))
        assert run["error"]["ename"] == "KernelDied"
        assert run["error"]["evalue"] == (
            "The kernel died while it executed step 'work': its gateway has restarted it."
        )
    assert (
        pair.end(pair.server.run(pair.server.deploy("lives", [step("return 1")])))["error"] is None
    )
    wait_until(lambda: len(pair.gateway.kernel_ids()) == 1, "the gateway ends the dead kernels")
    assert pair.registered_kernel_ids() == pair.gateway.kernel_ids()


def test_kernel_that_dies_in_the_setup_fails_the_run(pair: Pair) -> None:
    cells = ["import os\nos._exit(3)", step("return 1")]
    run = pair.end(pair.server.run(pair.server.deploy("setup", cells)))
    assert run["error"]["ename"] == "KernelError"
    assert "died while it ran the setup: its gateway has restarted it" in run["error"]["evalue"]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_warm_kernel_that_died_while_idle_fails_no_run(pair: Pair, is_restarted: bool) -> None:
    workflow = pair.server.deploy("warm", [step("import os\nreturn os.getpid()")])
    pid = pair.end(pair.server.run(workflow))["steps"][0]["exports"]["$return_value"]
    times = pair.gateway.log().count("restarted")
    psutil.Process(pid).kill()
    if is_restarted:
        wait_until(lambda: pair.gateway.log().count("restarted") > times, "it is restarted")
    run = pair.end(pair.server.run(workflow))
    assert run["status"] == "succeeded"
    assert run["steps"][0]["exports"]["$return_value"] != pid


def delete(pair: Pair) -> None:
    for kernel_id in pair.gateway.kernel_ids():
        httpx.delete(f"{pair.gateway.url}/api/kernels/{kernel_id}", trust_env=False, timeout=30)


def restart(pair: Pair) -> None:
    for kernel_id in pair.gateway.kernel_ids():
        url = f"{pair.gateway.url}/api/kernels/{kernel_id}/restart"
        httpx.post(url, trust_env=False, timeout=30)


@pytest.mark.parametrize(
    ("end", "reason"),
    [(delete, "its gateway no longer has it"), (restart, "restarted")],
)
def test_kernel_that_another_client_ends_at_the_gateway(
    pair: Pair, end: Callable[[Pair], None], reason: str
) -> None:
    run = pair.begin(pair.server.deploy("long", [LONG]), 60)
    end(pair)
    run = pair.end(run)
    assert run["error"]["ename"] == "KernelDied"
    assert reason in run["error"]["evalue"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_gateway_that_ends_and_comes_back(pair: Pair, number: signal.Signals) -> None:
    workflow = pair.server.deploy("long", [LONG])
    one = pair.server.deploy("one", [step("return 1")])
    run = pair.begin(workflow, 3)
    pair.gateway.end(number)
    pair.server.wait_run(run["id"], "queued")
    other = pair.server.run(one)
    assert pair.server.get_run(other["id"])["status"] == "queued"
    wait_until(lambda: "Runs wait for the kernel gateway." in pair.server.log(), "the log says so")
    answer = pair.server.api("POST", "/workflows", {"path": "one.ipynb"})
    assert answer.status_code in (200, 503)
    canceled = pair.server.run(one)
    pair.server.api("POST", f"/runs/{canceled['id']}/cancel", {})
    pair.gateway.start()
    assert pair.end(run)["steps"][0]["exports"] == {"$return_value": 2}
    assert pair.end(other)["status"] == "succeeded"
    assert pair.server.get_run(canceled["id"])["status"] == "canceled"
    assert "The kernel gateway starts kernels again" in pair.server.log()


def test_gateway_that_ends_while_kernels_are_idle(pair: Pair) -> None:
    workflow = pair.server.deploy("one", [step("return 1")])
    pair.end(pair.server.run(workflow))
    pair.gateway.kill()
    run = pair.server.run(workflow)
    pair.gateway.start()
    assert pair.end(run)["status"] == "succeeded"


def test_deploy_while_the_gateway_is_unavailable_is_refused_with_a_clear_error(pair: Pair) -> None:
    spec = pair.gateway.add_kernelspec("unseen")
    pair.gateway.kill()
    write_notebook(pair.server.root / "unseen.ipynb", [step("return 1")], "unseen")
    answer = pair.server.api("POST", "/workflows", {"path": "unseen.ipynb"})
    assert (answer.status_code, answer.json()["reason"]) == (503, "gateway")
    assert "Check that it runs" in answer.json()["message"]
    pair.gateway.start()
    assert pair.server.api("POST", "/workflows", {"path": "unseen.ipynb"}).status_code == 201
    spec.unlink()


def test_gateway_that_freezes_for_a_moment_fails_no_run(pair: Pair) -> None:
    run = pair.begin(pair.server.deploy("long", [LONG]), 2)
    assert pair.gateway.process is not None
    pair.gateway.process.suspend()
    with pytest.raises(TimeoutError):
        wait_until(lambda: pair.server.get_run(run["id"])["status"] != "running", "it ends", 4)
    pair.gateway.process.resume()
    assert pair.end(run)["steps"][0]["exports"] == {"$return_value": 1}


def test_gateway_that_freezes_counts_as_ended_and_its_kernel_is_ended_later(pair: Pair) -> None:
    run = pair.begin(pair.server.deploy("long", [LONG]), 2)
    [left] = pair.gateway.kernel_ids()
    assert pair.gateway.process is not None
    pair.gateway.process.suspend()
    pair.server.wait_run(run["id"], "queued", 60)
    pair.gateway.process.resume()
    assert pair.end(run, 90)["steps"][0]["exports"] == {"$return_value": 2}
    wait_until(lambda: left not in pair.gateway.kernel_ids(), "the kernel is ended", 60)


def test_cancel_while_the_gateway_is_frozen_frees_the_slot(pair: Pair) -> None:
    run = pair.begin(pair.server.deploy("long", [LONG]), 60)
    assert pair.gateway.process is not None
    pair.gateway.process.suspend()
    pair.server.api("POST", f"/runs/{run['id']}/cancel", {})
    assert pair.server.get_run(run["id"])["status"] == "canceled"
    pair.gateway.process.resume()
    other = pair.server.run(pair.server.deploy("one", [step("return 1")]))
    assert pair.end(other)["status"] == "succeeded"


def test_kernels_of_a_server_that_was_killed_are_ended_at_its_next_start(pair: Pair) -> None:
    run = pair.begin(pair.server.deploy("long", [LONG]), 3)
    left = pair.gateway.kernel_ids()
    assert left
    pair.server.kill()
    assert pair.gateway.kernel_ids() == left
    [folder] = (pair.server.data_dir / "gateway_kernels").iterdir()
    for name in ("00000000-0000-0000-0000-000000000000", "not an id.txt", "a" * 200):
        (folder / name).write_bytes(b"\x00garbage")
    (folder / "folder").mkdir()
    pair.server.start()
    assert pair.end(run)["steps"][0]["exports"] == {"$return_value": 2}
    assert not set(left) & set(pair.gateway.kernel_ids())
    assert set(pair.gateway.kernel_ids()) <= set(pair.registered_kernel_ids())


def test_server_whose_gateway_is_unavailable_starts_and_its_runs_wait(pair: Pair) -> None:
    workflow = pair.server.deploy("pauses", [step("pd.flow.suspend()"), step("return 1", "b")])
    run = pair.server.wait_run(pair.server.run(workflow)["id"], "paused")
    pair.server.stop()
    pair.gateway.kill()
    pair.server.start()
    pair.server.api("POST", f"/runs/{run['id']}/resume", {})
    pair.server.wait_run(run["id"], "queued")
    pair.gateway.start()
    assert pair.end(run)["status"] == "succeeded"


def test_server_stops_while_its_gateway_is_unavailable(pair: Pair) -> None:
    pair.end(pair.server.run(pair.server.deploy("one", [step("return 1")])))
    pair.gateway.kill()
    process = pair.server.process
    assert process is not None
    process.terminate()
    process.wait(15)
    pair.server.stop()


def test_run_whose_setup_ends_its_gateway_each_time_fails(pair: Pair) -> None:
    setup = "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)"
    run = pair.server.run(pair.server.deploy("ends", [setup, step("return 1")]))

    def has_ended() -> bool:
        if pair.gateway.process is not None and pair.gateway.process.poll() is not None:
            pair.gateway.end()
            pair.gateway.start()
        return pair.server.get_run(run["id"])["status"] == "failed"

    wait_until(has_ended, "the run fails", 90)
    assert "ended 3 times while it executed step 'work'" in pair.end(run)["error"]["evalue"]
    assert pair.end(pair.server.run(pair.server.deploy("one", [step("return 1")])))["error"] is None
