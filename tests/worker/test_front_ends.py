"""``jupyter pdflow serve`` and ``worker``: what they serve, what they refuse, and what they log."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from jupyter_pdflow.stores.postgres.migrate import migrate
from tests.cluster import COMMAND, DATABASE, Cluster, Worker, cluster
from tests.postgres import PostgresServer, postgres_server
from tests.servers import JupyterServer, isolated_environment, wait_until
from tests.worker.test_cluster import APPROVAL

PUBLIC = "http://flows.example"
DML = """
CREATE ROLE app LOGIN;
GRANT USAGE ON SCHEMA pdflow TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pdflow TO app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA pdflow TO app
"""

pytestmark = pytest.mark.server


class Serve(JupyterServer):
    """A ``jupyter pdflow serve``."""

    command = (*COMMAND[1:], "serve")


@pytest.fixture
def made(tmp_path: Path, database: str) -> Iterator[Cluster]:
    with cluster(tmp_path, database) as found:
        yield found


def serve(folder: Path, database: str) -> Serve:
    return Serve(folder, ["--PDFlow.max_kernels=0"], env={DATABASE: database}, lab=True)


def call(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command to its end; return its status and what it wrote."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=isolated_environment(folder, env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_serve_has_links_api_and_metrics_and_no_notebooks(made: Cluster, tmp_path: Path) -> None:
    migrate(made.database, PUBLIC)
    front = made.front()
    run = front.run(front.deploy("approval", APPROVAL))
    made.worker()
    paused = front.wait_run(run["id"], "paused")
    with serve(tmp_path / "serve", f"{made.database}?connect_timeout=3") as server:
        (server.root / "notes.txt").write_text("private")
        assert server.get_run(run["id"])["status"] == "paused"
        metrics = 'jupyter_pdflow_runs{status="paused"} 1.0'

        def scraped() -> str:
            return server.http.get("/metrics", headers=server.headers).text

        wait_until(lambda: metrics in scraped(), "the metrics of runs")
        for path in (
            *("/files/notes.txt", "/view/notes.txt", "/nbconvert/html/notes.txt"),
            *("/api/contents", "/api/kernels", "/api/sessions", "/api/kernelspecs", "/lab"),
        ):
            assert server.http.get(path, headers=server.headers).status_code == 404, path
        link = paused["pause"]["resume_url"].removeprefix(front.url)
        for host, status in (("evil.example", 403), ("flows.example", 200)):
            answer = server.http.get(link, headers={"Host": host, "Accept": "text/html"})
            assert answer.status_code == status, answer.text
        assert server.http.post(link, json={"ok": True}).status_code == 200
        assert server.http.post(link, json={"ok": True}).status_code == 410
        front.wait_run(run["id"], "succeeded")
        assert "Traceback" not in server.log()
        assert "Serving notebooks" not in server.log()


def test_processes_begin_to_work_when_the_tables_are_made(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    database = postgres.database()
    worker = Worker(tmp_path, database, "early").start()
    try:
        with serve(tmp_path / "serve", database) as server:
            answer = server.api("GET", "/health")
            assert (answer.status_code, answer.json()["reason"]) == (503, "bad_schema")
            wait_until(lambda: "tables" in worker.log(), "the worker says what is missing")
            migrate(database)
            wait_until(lambda: "PDFlow.public_url" in worker.log(), "no public URL is known")
            migrate(database, PUBLIC)
            listed = wait_until(lambda: server.api("GET", "/health").json()["workers"], "a worker")
            assert [each["name"] for each in listed] == ["early"]
            for log in (worker.log(), server.log()):
                assert log.count("Run `jupyter pdflow migrate`") == 1
                assert "Traceback" not in log
    finally:
        worker.stop()


def test_tables_of_a_newer_version_are_refused(database: str, tmp_path: Path) -> None:
    migrate(database, PUBLIC)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO pdflow.schema_version VALUES (99)")
    status, output = call(tmp_path, "migrate", "--database-url", database)
    assert (status, "Upgrade jupyter_pdflow" in output) == (2, True)
    with serve(tmp_path / "serve", database) as server:
        answer = server.api("GET", "/health")
        assert (answer.status_code, answer.json()["reason"]) == (503, "bad_schema")
        assert "version 99" in answer.json()["message"]
        assert server.http.get("/api/status", headers=server.headers).status_code == 200
        assert "Traceback" not in server.log()


def test_what_can_not_be_used_is_refused_without_the_password(tmp_path: Path) -> None:
    status, output = call(tmp_path, "worker")
    assert (status, "--database-url" in output, "Traceback" in output) == (2, True, False)
    status, output = call(tmp_path, "migrate")
    assert (status, "--database-url" in output) == (2, True)
    for url in (
        "mysql://user:hush@127.0.0.1/x",
        "postgresql://user:hush%zz@127.0.0.1/x",
        "postgresql://user:hush@127.0.0.1:1/x",
    ):
        status, output = call(tmp_path, "migrate", env={DATABASE: url})
        assert (status, "Traceback" in output, "hush" in output) == (2, False, False)
        assert output.count("\n") == 1


def test_an_outage_is_logged_in_a_few_lines(tmp_path: Path) -> None:
    with postgres_server() as postgres:
        database = postgres.database()
        migrate(database, PUBLIC)
        worker = Worker(tmp_path, database, "patient").start()
        try:
            with serve(tmp_path / "serve", database) as server:
                wait_until(lambda: server.api("GET", "/health").json()["workers"], "a worker")
                before = worker.log()
                postgres.stop("immediate")
                began = time.monotonic()
                assert server.api("GET", "/health").status_code == 503
                assert time.monotonic() - began < 5
                time.sleep(8)
                postgres.start()

                def answers() -> bool:
                    return server.api("GET", "/health").status_code == 200

                wait_until(answers, "the database is used again")
            lines = worker.log().removeprefix(before).splitlines()
            ours = [line for line in lines if "jupyter_pdflow." in line and line.startswith("[")]
            assert 1 <= len(ours) <= 6, ours
            assert not [line for line in lines if "error connecting" in line]
        finally:
            worker.stop()


def test_a_role_with_rights_on_rows_is_enough(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(DML)
    try:
        with cluster(tmp_path, database.replace("//pdflow@", "//app@")) as made:
            front = made.front()
            worker = made.worker()
            run = front.run(front.deploy("approval", APPROVAL))
            paused = front.wait_run(run["id"], "paused")
            assert front.http.post(paused["pause"]["resume_url"], json=1).status_code == 200
            front.wait_run(run["id"], "succeeded")
            assert front.api("DELETE", f"/runs/{run['id']}").status_code < 300
            worker.send_signal(signal.SIGTERM)
            assert worker.wait() == 0
            assert "permission" not in worker.log() + front.log()
    finally:
        with psycopg.connect(database) as connection:
            connection.execute("DROP OWNED BY app")
            connection.execute("DROP ROLE app")


def test_the_configuration_of_a_jupyter_server_is_read(made: Cluster, tmp_path: Path) -> None:
    migrate(made.database, PUBLIC)
    with serve(tmp_path / "serve", "") as server:  # its folders exist
        server.stop()
        config = Path(server.env["JUPYTER_CONFIG_DIR"])
        config.mkdir(parents=True, exist_ok=True)
        extensions = {"jupyter_pdflow": False, "jupyterlab": True}
        (config / "jupyter_server_config.json").write_text(
            json.dumps({"ServerApp": {"jpserver_extensions": extensions}})
        )
        (config / "jupyter_server_config.py").write_text(
            f"c.PDFlow.database_url = {made.database!r}\nc.PDFlow.worker_name = 'configured'\n"
        )
        worker = Worker(server.folder, "", "unused")
        worker.args = [*COMMAND, "worker"]
        worker.env = {name: value for name, value in server.env.items() if name != DATABASE}
        server.env = worker.env
        server.start()
        worker.start()
        try:
            listed = wait_until(lambda: server.api("GET", "/health").json()["workers"], "a worker")
        finally:
            worker.stop()
        assert [each["name"] for each in listed] == ["configured"]
        assert "jupyterlab |" not in worker.log() + server.log()
