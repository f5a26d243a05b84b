"""Front ends and workers as processes: who executes, what they share, and what a loss costs."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, cluster
from tests.servers import wait_until

APPROVAL = [
    "%load_ext jupyter_pdflow",
    '%%step ask\ndef handler(pd):\n    return pd.flow.suspend(3_600_000)["resume_url"]',
    '%%step done\ndef handler(pd):\n    return pd.steps["ask"]["$resume_data"]["body"]',
]
SLOW = [
    "%load_ext jupyter_pdflow",
    '%%step slow\nimport time\ndef handler(pd):\n    time.sleep(pd.steps["trigger"]["event"])',
]

pytestmark = pytest.mark.server


@pytest.fixture
def made(tmp_path: Path, database: str) -> Iterator[Cluster]:
    with cluster(tmp_path, database) as found:
        yield found


def test_a_worker_executes_what_a_front_end_starts(made: Cluster) -> None:
    first, second = made.front(), made.front()
    workflow = first.deploy("approval", APPROVAL)
    run = first.run(workflow)
    time.sleep(0.5)
    assert first.get_run(run["id"])["status"] == "queued"
    made.worker()
    (worker,) = made.wait_workers()
    assert (worker["name"], worker["kernels"], worker["queues"]) == ("worker-0", 1, ["default"])
    paused = second.wait_run(run["id"], "paused")
    path = paused["pause"]["resume_url"].removeprefix(first.url)
    assert second.http.post(path, json={"ok": True}).status_code == 200
    ended = first.wait_run(run["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"] == {"ok": True}


def test_a_front_end_with_kernels_executes_by_itself(made: Cluster) -> None:
    front = made.front(kernels=1)
    run = front.run(front.deploy("approval", APPROVAL))
    paused = front.wait_run(run["id"], "paused")
    assert front.http.post(paused["pause"]["resume_url"], json=1).status_code == 200
    front.wait_run(run["id"], "succeeded")


def test_a_killed_worker_s_run_continues_elsewhere(made: Cluster) -> None:
    front = made.front()
    workflow = front.deploy("slow", SLOW)
    made.worker()
    made.wait_workers()
    run = front.run(workflow, 3)
    front.wait_run(run["id"], "running")
    made.workers[0].kill()
    made.worker()
    front.wait_run(run["id"], "succeeded", 60)
    history = front.api("GET", f"/runs/{run['id']}/history").json()
    assert "lapse" in {entry["event"] for entry in history}


def test_a_drained_worker_ends_its_step_first(made: Cluster) -> None:
    front = made.front()
    workflow = front.deploy("slow", SLOW)
    worker = made.worker()
    front.wait_run(front.run(workflow, 0)["id"], "succeeded")  # a kernel is warm
    run, other = front.run(workflow, 6), front.run(workflow, 0)
    front.wait_run(run["id"], "running")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert front.get_run(run["id"])["status"] == "succeeded"
    assert front.get_run(other["id"])["status"] == "queued"
    made.wait_workers(0)


def test_a_cancel_interrupts_a_step_elsewhere(made: Cluster) -> None:
    front = made.front()
    workflow = front.deploy("slow", SLOW)
    made.worker()
    run = front.run(workflow, 60)
    front.wait_run(run["id"], "running")
    assert front.api("POST", f"/runs/{run['id']}/cancel", {}).status_code == 200
    wait_until(lambda: made.wait_workers()[0]["busy"] == 0, "the lease ends")
    other = front.run(workflow, 0)
    front.wait_run(other["id"], "succeeded", 60)
