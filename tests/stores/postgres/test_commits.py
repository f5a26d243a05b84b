"""A commit whose answer is lost is looked up, and only what is stored counts as committed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.postgres import database as database_module
from jupyter_pdflow.stores.postgres.database import Evidence
from jupyter_pdflow.stores.postgres.migrate import migrate
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.postgres import PostgresServer, postgres_server
from tests.stores.conformance import change, run_of


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database, max_connections=1)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def crashing() -> Iterator[PostgresServer]:
    # Nothing but a commit writes to disk.
    with postgres_server(fsync="on", wal_writer_delay="10s", autovacuum="off") as server:
        yield server


async def begin(store: PostgresStore, run: Run) -> Run:
    return await change(store, run.id, Begin(owner=store.owner))


async def test_a_commit_whose_answer_is_lost_counts(
    store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the pool has no other connection."""
    run = await store.create(run_of(1))

    async def execute(self: psycopg.AsyncConnection, query: object, *args: object) -> object:
        answer = await execute_well(self, query, *args)  # type: ignore[call-overload]
        if query == "COMMIT":
            database_module._cut(self)
            await execute_well(self, "SELECT 1")
        return answer

    execute_well = psycopg.AsyncConnection.execute
    monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute)
    begun = await begin(store, run)
    monkeypatch.undo()
    assert await store.get(run.id) == begun


@pytest.mark.parametrize("others", [0, 5])
async def test_what_a_crash_has_lost_does_not_count(crashing: PostgresServer, others: int) -> None:
    """Also if another transaction has got the same id since."""
    url = crashing.database()
    await asyncio.to_thread(migrate, url)
    store = PostgresStore(url)
    await store.open()
    run = await store.create(run_of(1))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    commit = store.database.commit

    async def crash_and_commit(*arguments: Any) -> None:
        crashing.stop("immediate")
        crashing.start()
        with psycopg.connect(url, autocommit=True) as connection:
            for number in range(others):
                connection.execute("INSERT INTO pdflow.settings VALUES (%s, '')", (str(number),))
        await commit(*arguments)

    store.database.commit = crash_and_commit  # type: ignore[assignment, method-assign]
    try:
        with pytest.raises(StorageUnavailableError):
            await begin(store, run)
        assert await store.get(run.id) == run
    finally:
        await store.close()


async def test_commits_that_can_not_be_looked_up_are_given_up_in_time(
    store: PostgresStore,
) -> None:
    """However many there are."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts, and answers nothing
        port = silent.getsockname()[1]
        store.database.conninfo = f"postgresql://127.0.0.1:{port}/x"
        evidence = Evidence("SELECT", ())
        began = time.monotonic()
        lookups = [store.database._was_committed("1", evidence) for _ in range(20)]
        results = await asyncio.gather(*lookups, return_exceptions=True)
    assert {type(result) for result in results} == {StorageUnavailableError}
    assert time.monotonic() - began < 5
