"""The examination of a PostgreSQL database, on a real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.maintenance.database import DatabaseReport, examine_database
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import new_run
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow
from jupyter_pdflow.stores import WorkerState
from jupyter_pdflow.stores.postgres.migrate import migrate
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.cluster import COMMAND
from tests.postgres import PostgresServer
from tests.servers import isolated_environment
from tests.stores.conformance import change, finish, suspended
from tests.stores.postgres.conftest import database, postgres

__all__ = ["database", "postgres"]

PUBLIC = "http://flows.example"
OLD = "clock_timestamp() - interval '2 hours'"


class Sample:
    """A database with a workflow, a queued, a paused and an ended run, and a worker."""

    def __init__(self, store: PostgresStore, url: str, workflow: Workflow) -> None:
        self.store = store
        self.url = url
        self.workflow = workflow

    async def run(self, run_id: str) -> Run:
        return await self.store.create(new_run(run_id, self.workflow, None, utc_now()).run)

    async def step(self, run_id: str, outcome: Any = None) -> Run:
        run = await change(self.store, run_id, Begin(owner=self.store.owner))
        return await change(self.store, run_id, finish(run, outcome))

    async def worker(self, *queues: str) -> None:
        now = utc_now()
        worker = WorkerState(name="w", host="h", queues=[*queues], kernels=1, busy=0, seen_at=now)
        await self.store.renew([], worker)

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.url) as connection:
            assert connection.execute(sql.encode()).rowcount > 0


@pytest.fixture
async def sample(database: str) -> AsyncIterator[Sample]:
    await asyncio.to_thread(migrate, database, PUBLIC)
    store = PostgresStore(database)
    await store.open()
    steps = tuple(StepSource(name=name, source="def handler(pd): ...") for name in "ab")
    source = Source(kernel_name="python3", setup=(), steps=steps)
    workflow, _ = await store.deploy("w.ipynb", source, utc_now())
    made = Sample(store, database, workflow)
    for run_id in ("ended", "paused", "queued"):
        await made.run(run_id)
    await made.step("ended")
    await made.step("ended")
    await made.step("paused", suspended(3_600_000, "Please approve"))
    await made.worker("default")
    yield made
    await store.close()


def problems(report: DatabaseReport) -> list[str]:
    return [finding.problem for finding in report.findings if finding.grave]


def notes(report: DatabaseReport) -> list[str]:
    return [finding.problem for finding in report.findings if not finding.grave]


async def test_nothing_is_wrong(sample: Sample) -> None:
    report = await examine_database(sample.url)
    assert report.findings == []
    assert report.counts == {
        "queued": 1, "running": 0, "paused": 1, "finished": 1, "workflows": 1, "emails": 1,
        "read": 3,
    }  # fmt: skip


async def test_progress_is_told_of_each_run(sample: Sample) -> None:
    watched: list[str] = []

    def watch(items: Sequence[str]) -> Sequence[str]:
        watched.extend(items)
        return items

    await examine_database(sample.url, watch, everything=True)
    assert watched == ["queued", "paused", "ended"]


async def test_a_database_that_can_not_be_used(postgres: PostgresServer) -> None:
    empty = postgres.database()
    for url, expected in (
        ("postgresql://pdflow:hush@127.0.0.1:1/x", "can't be used"),
        (postgres.url("no_such_database"), "does not exist"),
        (empty, "The tables of the database are missing"),
    ):
        report = await examine_database(url)
        assert report.counts == {}
        (problem,) = problems(report)
        assert expected in problem
        assert "hush" not in problem + report.findings[0].advice
    await asyncio.to_thread(migrate, empty)
    with psycopg.connect(empty) as connection:
        connection.execute("INSERT INTO pdflow.schema_version VALUES (99)")
    assert "version 99" in problems(await examine_database(empty))[0]


async def test_no_keys(sample: Sample) -> None:
    sample.execute("DELETE FROM pdflow.settings WHERE name = 'link_keys'")
    assert problems(await examine_database(sample.url)) == [
        "The database has no keys for links. Run `jupyter pdflow migrate`."
    ]


async def test_no_public_url(sample: Sample) -> None:
    sample.execute("DELETE FROM pdflow.settings WHERE name = 'public_url'")
    (problem,) = problems(await examine_database(sample.url))
    assert "no public URL" in problem
    assert problems(await examine_database(sample.url, public_url=PUBLIC)) == []


async def test_no_worker_and_a_queue_without_one(sample: Sample) -> None:
    await sample.worker("gpu")
    expected = "Nothing executes the queue 'default', in which 1 run waits."
    assert problems(await examine_database(sample.url)) == [expected]
    sample.execute(f"UPDATE pdflow.workers SET seen_at = {OLD}")
    assert problems(await examine_database(sample.url)) == [expected]
    await sample.step("queued", suspended())
    report = await examine_database(sample.url)
    assert problems(report) == []
    assert notes(report) == ["No process with kernels was seen in the last minute."]


async def test_a_lease_that_lapsed_long_ago(sample: Sample) -> None:
    await change(sample.store, "queued", Begin(owner="gone"))
    sample.execute(
        "UPDATE pdflow.runs SET lease_until = clock_timestamp() - interval '5 s' "
        "WHERE id = 'queued'"
    )
    assert problems(await examine_database(sample.url)) == []
    sample.execute(f"UPDATE pdflow.runs SET lease_until = {OLD} WHERE id = 'queued'")
    (problem,) = problems(await examine_database(sample.url))
    assert problem.startswith("No process took over the steps of a worker that is gone: queued; ")
    assert problem.endswith("2 h ago.")


async def test_overdue_runs(sample: Sample) -> None:
    for number in range(4):
        await sample.run(f"late-{number}")
        await sample.step(f"late-{number}", suspended())
    sample.execute(f"UPDATE pdflow.runs SET due_at = {OLD} WHERE id LIKE 'late-%'")
    (problem,) = problems(await examine_database(sample.url))
    assert problem.startswith("Overdue: late-")
    assert " and 1 more; " in problem


async def test_a_ready_run_without_a_job(sample: Sample) -> None:
    sample.execute("DELETE FROM pdflow.pgqueuer")
    assert problems(await examine_database(sample.url)) == []  # it is new
    sample.execute(f"UPDATE pdflow.runs SET updated_at = {OLD} WHERE id = 'queued'")
    (problem,) = problems(await examine_database(sample.url))
    assert problem.startswith("Ready runs without a job: queued; ")
    await sample.store.lapsed(utc_now(), 1)


@pytest.mark.parametrize("record", [b"", b"{", b'{"id": "paused"}', b"\xff", b"[" * 100_000])
async def test_a_run_that_can_not_be_read(sample: Sample, record: bytes) -> None:
    sample.execute(f"UPDATE pdflow.runs SET record = '\\x{record.hex()}' WHERE id = 'paused'")
    (problem,) = problems(await examine_database(sample.url))
    assert problem.startswith("Run paused can't be ")


async def test_a_run_in_the_row_of_another(sample: Sample) -> None:
    sample.execute(
        "UPDATE pdflow.runs SET record = (SELECT record FROM pdflow.runs WHERE "
        "id = 'queued') WHERE id = 'paused'"
    )
    assert problems(await examine_database(sample.url)) == [
        "Run paused can't be used: it is a copy of another run."
    ]


@pytest.mark.parametrize("change", ["DELETE FROM", "UPDATE"])
async def test_a_version_that_can_not_be_used(sample: Sample, change: str) -> None:
    record = " SET record = '{}'" if change == "UPDATE" else ""
    sample.execute(f"{change} pdflow.versions{record}")
    found = problems(await examine_database(sample.url))
    assert [problem.partition(":")[0] for problem in found] == [
        "Run queued can't continue",
        "Run paused can't continue",
    ]


async def test_emails(sample: Sample) -> None:
    sample.execute(f"UPDATE pdflow.emails SET created_at = {OLD}")
    report = await examine_database(sample.url)
    assert problems(report) == []
    assert notes(report) == ["Emails queued for more than an hour: 1; the first was made 2 h ago."]
    sample.execute("UPDATE pdflow.emails SET record = '{'")
    (problem,) = problems(await examine_database(sample.url))
    assert problem.startswith("Emails can't be read: ")


# --- the command ------------------------------------------------------------------------


def doctor(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [*COMMAND, "doctor", *arguments],
        cwd=folder,
        env=isolated_environment(folder, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


async def test_the_command(sample: Sample, tmp_path: Path) -> None:
    port = sample.url.partition("127.0.0.1:")[2].partition("/")[0]
    name = sample.url.rpartition("/")[2]
    status, output = doctor(tmp_path, JUPYTER_PDFLOW_DATABASE_URL=sample.url)
    counts = "runs: 1 queued, 0 running, 1 paused, 1 finished; 1 workflow, 1 email; 3 runs read"
    assert (status, output) == (0, f"127.0.0.1:{port}/{name}: {counts}\nNo problems.\n")
    sample.execute("DELETE FROM pdflow.settings WHERE name = 'public_url'")
    status, output = doctor(tmp_path, "--json", "--all", "--database-url", sample.url)
    found = json.loads(output)
    assert (status, found["counts"]["read"], len(found["findings"])) == (1, 3, 1)
    assert doctor(tmp_path, "--repair", "--database-url", sample.url)[0] == 2
    status, output = doctor(
        tmp_path, f"--data-dir={tmp_path}", JUPYTER_PDFLOW_DATABASE_URL=sample.url
    )
    assert output.startswith(f"{tmp_path}: runs: 0 queued")
    status, output = doctor(tmp_path, "--database-url", "postgresql://a:hush%zz@127.0.0.1/x")
    assert (status, "hush" in output) == (2, False)
    status, output = doctor(tmp_path, "--database-url", "postgresql://a:hush@127.0.0.1:1/x")
    assert (status, "hush" in output) == (1, False)
    assert output.startswith("127.0.0.1:1/x: not usable.\nProblem: ")
