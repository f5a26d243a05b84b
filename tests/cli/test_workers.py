"""``jupyter pdflow workers`` on a server of its own store, and on one of a shared store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_pdflow.stores.postgres.migrate import migrate
from tests.cli.commands import call
from tests.cluster import Cluster
from tests.postgres import postgres_server
from tests.servers import JupyterServer

ECHO = '%%step echo\ndef handler(pd):\n    return pd.steps["trigger"]["event"]'
WORKER_NAME = "[red]:cat:[/]"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with postgres_server() as postgres:
        url = postgres.database()
        migrate(url)
        with Cluster(tmp_path, url) as made:
            yield made


def test_the_server_is_the_worker_of_its_own_store(server: JupyterServer) -> None:
    done = call(server, "workers")
    assert (done.returncode, done.stderr) == (0, "")
    header, line, counts = done.stdout.splitlines()
    assert header.split() == ["WORKER", "HOST", "QUEUES", "KERNELS", "BUSY", "SEEN"]
    (worker,) = json.loads(call(server, "workers", "--json").stdout)["workers"]
    kernels = str(worker["kernels"])
    assert line.split()[:5] == [worker["name"], worker["host"], "default", kernels, "0"]
    assert counts == "0 queued, 0 running, 0 paused."


def test_without_a_worker_it_says_what_to_do(cluster: Cluster) -> None:
    front = cluster.front()
    front.run(front.deploy("echo", [ECHO]))
    done = call(front, "workers")
    assert (done.returncode, done.stderr) == (0, "")
    advice, counts = done.stdout.splitlines()
    assert advice == "No worker: start one with `jupyter pdflow worker`."
    since = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+"
    assert re.fullmatch(rf"1 queued \(the first since {since}\), 0 running, 0 paused\.", counts)
    cluster.worker("--name", WORKER_NAME)
    cluster.wait_workers()
    _, line, _ = call(front, "workers").stdout.splitlines()
    assert line.startswith(f"{WORKER_NAME} ")
