"""The public URL that a database has for all processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_pdflow.stores.postgres.migrate import migrate
from tests.cluster import DATABASE
from tests.servers import JupyterServer
from tests.worker.test_cluster import APPROVAL

pytestmark = pytest.mark.server


def test_links_are_answered_at_the_stored_public_url(tmp_path: Path, database: str) -> None:
    migrate(database, "https://flows.example/")
    with JupyterServer(tmp_path, env={DATABASE: database}) as server:
        run = server.run(server.deploy("approval", APPROVAL))
        paused = server.wait_run(run["id"], "paused")
        path = paused["pause"]["resume_url"].removeprefix("https://flows.example")
        assert path.startswith("/pdflow/")
        headers = {"Host": "flows.example"}
        assert server.http.post(f"{server.url}{path}", headers=headers).status_code == 200
        server.wait_run(run["id"], "succeeded")
