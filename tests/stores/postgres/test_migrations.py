"""The tables of older versions are updated with what they hold."""

from __future__ import annotations

import psycopg
import pytest
from msgspec.json import encode
from msgspec.structs import replace

from jupyter_pdflow.rules.run import Error, Run
from jupyter_pdflow.stores import RunQuery, summary_of
from jupyter_pdflow.stores.postgres.migrate import migrate
from jupyter_pdflow.stores.postgres.schema import NEWEST, migrations
from jupyter_pdflow.stores.postgres.store import PostgresStore
from jupyter_pdflow.stores.search import search_text
from jupyter_pdflow.threads import in_thread
from tests.postgres import PostgresServer
from tests.stores.conformance import SECOND, START, run_of

QUOTED = '"created_at":"1999-01-01T00:00:00Z" \\ é \0 \N{SNOWMAN}'
INSERT = """
INSERT INTO pdflow.runs (id, workflow_id, status, updated_at, queue, record, summary, search)
VALUES (%s, %s, 'queued', %s, 'default', %s, %s, %s)
"""


@pytest.fixture
def old_database(postgres: PostgresServer) -> str:
    """Return the URL of a database with the tables of version 1."""
    url = postgres.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA pdflow")
        connection.execute("CREATE TABLE pdflow.schema_version (version integer NOT NULL)")
        connection.execute(migrations()[0].encode())
        connection.execute("INSERT INTO pdflow.schema_version VALUES (1)")
    return url


def insert(url: str, run: Run, summary: bytes) -> None:
    at, search = run.created_at + 9 * SECOND, search_text(run)
    with psycopg.connect(url, autocommit=True) as connection:
        values = (run.id, run.workflow_id, at, encode(run), summary, search)
        connection.execute(INSERT, values)


async def test_runs_of_version_1_get_the_time_of_their_creation(old_database: str) -> None:
    run, damaged = run_of(1), run_of(2)
    error = Error(ename=QUOTED, evalue=QUOTED, traceback=[QUOTED])
    steps = (replace(run.steps[0], error=error), run.steps[1])
    run = replace(run, steps=steps, title=QUOTED, workflow_name=QUOTED, error=error)
    insert(old_database, run, encode(summary_of(run)))
    insert(old_database, damaged, b"\xff{}")
    assert await in_thread(migrate, old_database) == (1, NEWEST)
    assert await in_thread(migrate, old_database) == (NEWEST, NEWEST)
    with psycopg.connect(old_database) as connection:
        rows = connection.execute("SELECT id, created_at FROM pdflow.runs ORDER BY id").fetchall()
    assert rows == [(run.id, START + SECOND), (damaged.id, START + 11 * SECOND)]
    store = PostgresStore(old_database)
    await store.open()
    try:
        query = RunQuery(since=START, until=START + 2 * SECOND)
        assert [each.id for each in await store.list(query)] == [run.id]
        assert (await store.counts()).statuses == {"queued": 2}
    finally:
        await store.close()
