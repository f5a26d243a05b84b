"""What a worker's step has shown so far, at a front end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cluster import Cluster, cluster
from tests.server.api.test_outputs import FIRST, WAITS, texts
from tests.servers import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


@pytest.fixture
def made(tmp_path: Path, database: str) -> Iterator[Cluster]:
    with cluster(tmp_path, database) as found:
        yield found


def rows(made: Cluster) -> int:
    with psycopg.connect(made.database) as connection:
        row = connection.execute("SELECT count(*) FROM pdflow.live_outputs").fetchone()
    assert row is not None
    return int(row[0])


def test_prints_of_a_worker_s_step_are_there_while_it_is_executed(
    made: Cluster, tmp_path: Path
) -> None:
    front, go = made.front(), tmp_path / "go"
    workflow = front.deploy("waits", [FIRST, WAITS])
    made.worker()
    made.wait_workers()
    run = front.run(workflow, {"go": str(go)})
    shown = {"first": "one\n", "waits": "attempt 1\n"}
    wait_until(lambda: texts(front, run) == shown, "the step has printed", 60)
    tag = tag_of(front, run)
    assert front.get_run(run["id"])["status"] == "running"
    assert not_modified(front, run, tag)
    go.touch()
    front.wait_run(run["id"], "succeeded")
    assert not not_modified(front, run, tag)
    assert texts(front, run) == {"first": "one\n", "waits": "attempt 1\nend\n"}
    wait_until(lambda: rows(made) == 0, "the live outputs are removed")


def test_a_killed_worker_leaves_no_outputs_of_its_attempt(made: Cluster, tmp_path: Path) -> None:
    front, go = made.front(), tmp_path / "go"
    workflow = front.deploy("waits", [WAITS])
    made.worker()
    made.wait_workers()
    run = front.run(workflow, {"go": str(go)})
    wait_until(lambda: texts(front, run) == {"waits": "attempt 1\n"}, "it has printed", 60)
    made.workers[0].kill()
    made.worker()
    wait_until(lambda: front.get_run(run["id"])["steps"][0]["attempts"] == 2, "it begins again", 90)
    assert "attempt 1" not in texts(front, run).get("waits", "")
    wait_until(lambda: texts(front, run) == {"waits": "attempt 2\n"}, "it has printed", 60)
    go.touch()
    front.wait_run(run["id"], "succeeded")
    assert texts(front, run) == {"waits": "attempt 2\nend\n"}
    wait_until(lambda: rows(made) == 0, "the live outputs are removed")


def tag_of(front: Any, run: Any) -> str:
    return str(front.api("GET", f"/runs/{run['id']}/outputs").headers["ETag"])


def not_modified(front: Any, run: Any, tag: str) -> bool:
    headers = {"If-None-Match": tag}
    answer = front.api("GET", f"/runs/{run['id']}/outputs", headers=headers)
    return bool(answer.status_code == 304)
