"""What the store on PostgreSQL does beside the conformance suite."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from traceback import format_exception

import psycopg
import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotFoundError, StorageUnavailableError
from jupyter_pdflow.stores import RunQuery
from jupyter_pdflow.stores.counts import Counts
from jupyter_pdflow.stores.folders import RunFolders
from jupyter_pdflow.stores.postgres import jobs
from jupyter_pdflow.stores.postgres.migrate import migrate
from jupyter_pdflow.stores.postgres.schema import migrations
from jupyter_pdflow.stores.postgres.shared import read_shared
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.postgres import PostgresServer
from tests.rules.support import START
from tests.stores.conformance import HOUR, created, ended, paused, run_of, source


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()


async def test_changes_of_runs_with_long_names_are_told(store: PostgresStore) -> None:
    changes = await store.changes()
    run = replace(run_of(1), workflow_name="\N{SNOWMAN}" * 9_000, workflow_id="w" * 9_000)
    run = replace(run, steps=(replace(run.steps[0], name="s" * 9_000), run.steps[1]))
    await store.create(run)
    async with asyncio.timeout(10):
        told = await anext(changes)
    assert (told.run_id, told.step) == (run.id, "s" * 200)


@pytest.mark.parametrize("text", ["\0", "\ud800"], ids=["NUL", "surrogate"])
async def test_what_no_column_can_hold_is_not_found(store: PostgresStore, text: str) -> None:
    await created(store)
    assert await store.list(RunQuery(before=text, limit=9)) == []
    assert await store.list(RunQuery(workflow_id=text, limit=9)) == []
    assert await store.schedule_marks(text) == {}
    with pytest.raises(NotFoundError):
        await store.workflow(text)


async def test_an_email_that_can_not_be_read_keeps_no_other_from_being_sent(
    store: PostgresStore, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    await paused(store, 1, 9_000, "one", "two")
    unreadable, other = sorted(email.id for email in await store.emails(9))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        statement = "UPDATE pdflow.emails SET record = '{}' WHERE id = %s"
        await connection.execute(statement, (unreadable,))
    due = await store.due_emails(START + timedelta(days=1), 9, START + timedelta(days=2))
    assert [email.id for email in due] == [other]
    assert [email.id for email in await store.emails(9)] == [other]
    assert unreadable in caplog.text


async def test_the_log_of_jobs_is_removed_in_parts(
    store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PRUNED_AT_ONCE", 2)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO pdflow.pgqueuer_log (created, job_id, status, priority, entrypoint) "
            "SELECT now() - make_interval(hours => n), n, 'successful', 0, 'x' "
            "FROM generate_series(0, 5) AS n"
        )
        await store.remove_expired(START)
        rows = await connection.execute("SELECT job_id FROM pdflow.pgqueuer_log")
        assert await rows.fetchall() == [(0,)]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:se%zzcret@127.0.0.1/x",
        "postgresql://u:se cret@127.0.0.1/x",
        "postgresql://u:p@secret@127.0.0.1/x",
        "postgresql://u:secret@[::1/x",
    ],
)
async def test_a_connection_string_is_in_no_error(url: str) -> None:
    with pytest.raises(StorageUnavailableError) as raised:
        await read_shared(url)
    text = "".join(format_exception(raised.value))
    assert "cret" not in text


async def test_a_run_whose_files_stay_can_be_deleted_again(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = RunFolders(tmp_path)
    store = PostgresStore(database, folders)
    await store.open()
    try:
        run = await ended(store)
        (tmp_path / run.id).mkdir()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patch:
            patch.setattr(os, "rmdir", refuse)
            failed = await store.delete([run.id])
        assert isinstance(failed[run.id], StorageUnavailableError)
        assert await store.get(run.id) == run
        assert await store.delete([run.id]) == {}
        assert not (tmp_path / run.id).exists()
    finally:
        await store.close()


async def test_two_processes_never_give_one_number_twice(
    store: PostgresStore, database: str
) -> None:
    other = PostgresStore(database)
    await other.open()
    try:
        found = await asyncio.gather(
            *(
                each.deploy("flow.ipynb", source(str(number)), START)
                for number in range(10)
                for each in (store, other)
            )
        )
    finally:
        await other.close()
    numbers = {workflow.version: set[int]() for workflow, _ in found}
    for workflow, _ in found:
        numbers[workflow.version].add(workflow.number)
    assert sorted(*zip(*numbers.values(), strict=True)) == list(range(1, 11))


async def test_a_deploy_replaces_a_damaged_version(store: PostgresStore, database: str) -> None:
    first, _ = await store.deploy("flow.ipynb", source("1"), START)
    await store.deploy("flow.ipynb", source("2"), START)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        statement = "UPDATE pdflow.versions SET record = '{}' WHERE number = 1"
        await connection.execute(statement)
    assert await store.deploy("flow.ipynb", source("1"), START + HOUR) == (first, True)
    assert await store.workflow(first.id) == first


OLD_VERSIONS = [
    ("a", "v3", rb'{"id":"a","path":"\u0000","created_at":"2026-01-01T10:00:00Z"}'),
    ("a", "v1", rb'{"id":"a","created_at":"2026-01-01T10:00:00.5Z"}'),
    ("a", "v2", rb'{"name":"\"created_at\":\"9\"}","created_at":"2026-01-01T12:00:01+02:00"}'),
    ("a", "v4", b"\xff\0"),
    ("b", "v1", rb'{"id":"b","created_at":"2026-01-01T10:00:00Z"}'),
]


def test_stored_versions_get_numbers_by_time(postgres: PostgresServer) -> None:
    url = postgres.database()
    first, *_ = migrations()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA pdflow")
        connection.execute("CREATE TABLE pdflow.schema_version (version integer NOT NULL)")
        connection.execute("INSERT INTO pdflow.schema_version VALUES (1)")
        connection.execute(first.encode())
        for workflow_id in ("a", "b"):
            row = (workflow_id, f"{workflow_id}.ipynb", "v1")
            connection.execute("INSERT INTO pdflow.workflows VALUES (%s, %s, %s)", row)
        for row in OLD_VERSIONS:
            connection.execute("INSERT INTO pdflow.versions VALUES (%s, %s, %s)", row)
    assert migrate(url)[0] == 1
    with psycopg.connect(url) as connection:
        statement = "SELECT workflow_id, version, number FROM pdflow.versions ORDER BY 1, 3"
        assert connection.execute(statement).fetchall() == [
            ("a", "v3", 1),
            ("a", "v1", 2),
            ("a", "v2", 3),
            ("a", "v4", 4),
            ("b", "v1", 1),
        ]


async def test_a_count_that_takes_too_long_is_given_up_in_words(
    store: PostgresStore, database: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("LOCK TABLE pdflow.runs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StorageUnavailableError, match="took more than 3 s; count those of one"):
            await store.counts()
    assert store.available
    assert await store.counts() == Counts()
