"""The database is away: requests are refused soon, and all continues when it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_pdflow.stores.postgres.migrate import migrate
from tests.cluster import Cluster
from tests.postgres import PostgresServer, postgres_server
from tests.proxies import Proxy
from tests.servers import JupyterServer, wait_until
from tests.worker.test_cluster import APPROVAL

REFUSED_SECONDS = 15.0
"""The server takes at most 5 s; a busy machine needs more."""

pytestmark = pytest.mark.server


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def refused(front: JupyterServer, method: str, path: str) -> None:
    """Check that a request is refused with 503 in time."""
    began = time.monotonic()
    answer = front.http.request(method, path, headers=front.headers)
    assert answer.status_code == 503, answer.text
    assert time.monotonic() - began < REFUSED_SECONDS
    assert "postgresql://" not in answer.text


def test_requests_are_refused_until_the_database_is_back(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    database = postgres.database()
    migrate(database)
    with Cluster(tmp_path, database) as made:
        front = made.front()
        made.worker()
        run = front.run(front.deploy("approval", APPROVAL))
        paused = front.wait_run(run["id"], "paused")
        link = paused["pause"]["resume_url"].removeprefix(front.url)
        postgres.stop("immediate")
        refused(front, "GET", f"/pdflow/api/runs/{run['id']}")
        refused(front, "POST", link)
        postgres.start()
        wait_until(lambda: front.http.post(link).status_code == 200, "the link works", 15)
        front.wait_run(run["id"], "succeeded")


@pytest.mark.timeout(120)
def test_requests_are_refused_while_the_network_is_cut(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    database = postgres.database()
    migrate(database)
    with (
        Proxy(postgres.port) as proxy,
        Cluster(tmp_path, database.replace(str(postgres.port), str(proxy.port))) as made,
    ):
        front = made.front(kernels=1)
        run = front.run(front.deploy("approval", APPROVAL))
        paused = front.wait_run(run["id"], "paused")
        link = paused["pause"]["resume_url"].removeprefix(front.url)
        proxy.cut()
        try:
            refused(front, "GET", f"/pdflow/api/runs/{run['id']}")
            refused(front, "POST", link)
        finally:
            proxy.mend()
        wait_until(lambda: front.http.post(link).status_code in {200, 410}, "it works", 30)
        front.wait_run(run["id"], "succeeded")
