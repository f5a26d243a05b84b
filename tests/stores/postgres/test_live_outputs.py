"""What a step has shown so far, as other processes see it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from msgspec.structs import replace

from jupyter_pdflow.stores import StepOutputs
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.rules.support import START
from tests.stores.conformance import TEXT, created, ended

FIRST = StepOutputs(step="a", execution=1, attempt=1, outputs=[TEXT])


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()


async def live(store: PostgresStore, run_id: str) -> StepOutputs | None:
    return (await store.outputs(run_id)).live


async def test_the_latest_attempt_is_shown(store: PostgresStore) -> None:
    run = await created(store)
    assert await live(store, run.id) is None
    await store.put_live(run.id, FIRST)
    assert await live(store, run.id) == FIRST
    tag = await store.outputs_tag(run.id)
    second = replace(FIRST, attempt=2, outputs=[])
    await store.put_live(run.id, second)
    assert await store.outputs_tag(run.id) != tag
    for late in (store.put_live, store.remove_live):  # by a process that has lost the run
        await late(run.id, FIRST)
        assert await live(store, run.id) == second
    other = replace(FIRST, step="b")
    await store.put_live(run.id, other)
    assert await live(store, run.id) == other
    await store.remove_live(run.id, other)
    assert await live(store, run.id) is None


async def test_nothing_stays_of_a_run_that_is_gone_or_is_not_executed(
    store: PostgresStore, database: str
) -> None:
    gone, paused = await ended(store, 1), await created(store, 2)
    for run in (gone, paused):
        await store.put_live(run.id, FIRST)
    assert await store.delete([gone.id]) == {}
    assert await rows(database) == 1
    await store.put_live(gone.id, FIRST)
    await store.remove_expired(START)
    assert await rows(database) == 0


async def rows(database: str) -> int:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        found = await connection.execute("SELECT count(*) FROM pdflow.live_outputs")
        row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def test_it_does_not_wait_for_a_transaction_of_the_run(store: PostgresStore) -> None:
    run = await created(store)
    async with store.transaction(run.id):
        await store.put_live(run.id, FIRST)
        assert await live(store, run.id) == FIRST
