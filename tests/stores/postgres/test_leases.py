"""Leases on PostgreSQL: what may go wrong elsewhere costs a process none of its leases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from msgspec.structs import replace

from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.postgres import database as database_module
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.rules.support import START
from tests.stores.conformance import change, created


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database, max_connections=2, lease=timedelta(seconds=0.1))
    await store.open()
    yield store
    await store.close()


async def running(store: PostgresStore, number: int) -> Run:
    return await change(store, (await created(store, number)).id, Begin(owner=store.owner))


async def test_only_the_given_runs_are_renewed(store: PostgresStore) -> None:
    """So the lease of a run that is not executed lapses, while its process lives."""
    run, lost = await running(store, 1), await running(store, 2)
    assert await store.renew([run.id, "unknown"]) == [run.id]
    await asyncio.sleep(0.2)
    store._lease = timedelta(minutes=1)
    assert await store.renew([run.id]) == [run.id]
    assert [lapsed.run_id for lapsed in await store.lapsed(START, 9)] == [lost.id]


async def test_a_locked_row_costs_no_other_lease(store: PostgresStore) -> None:
    run, locked = await running(store, 1), await running(store, 2)
    async with store.transaction(locked.id):
        assert await store.renew([run.id, locked.id]) == [run.id]


async def test_leases_are_renewed_beside_any_number_of_requests(store: PostgresStore) -> None:
    async def request() -> None:
        async with store.database.connection() as connection:
            await connection.execute("SELECT pg_sleep(1)")

    run = await running(store, 1)
    requests = [asyncio.create_task(request()) for _ in range(4)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    assert await store.renew([run.id]) == [run.id]
    assert time.monotonic() - began < 0.5
    await asyncio.gather(*requests)


async def test_a_run_that_can_not_be_read_keeps_no_other_from_being_taken_over(
    store: PostgresStore, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable, run = await running(store, 1), await running(store, 2)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        statement = "UPDATE pdflow.runs SET record = %s WHERE id = %s"
        await connection.execute(statement, (b"{}", unreadable.id))
    await asyncio.sleep(0.2)
    assert [lapsed.run_id for lapsed in await store.lapsed(START, 9)] == [run.id]
    assert unreadable.id in caplog.text


async def test_a_process_that_stops_in_a_transaction_keeps_no_run_locked(
    store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**database_module.OPTIONS}
    assert "idle_in_transaction_session_timeout=10000" in options["options"]
    options["options"] = options["options"].replace("timeout=10000", "timeout=300")
    monkeypatch.setattr(database_module, "OPTIONS", options)
    stopped = PostgresStore(database)
    await stopped.open()
    run = await created(store, 1)
    renamed = replace(run, title="x")
    with pytest.raises(StorageUnavailableError):
        await _stop_in_transaction(stopped, store, renamed)
    assert await store.get(run.id) == renamed
    await stopped.close()


async def _stop_in_transaction(stopped: PostgresStore, store: PostgresStore, run: Run) -> None:
    async with stopped.transaction(run.id) as late:
        async with store.transaction(run.id) as transaction:
            await transaction.commit(run)
        await late.commit(replace(run, title="late"))
