"""What every queue of processes that share a store has to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from jupyter_pdflow.engine import pgqueuer_queue
from jupyter_pdflow.engine.pgqueuer_queue import PgQueuerQueue
from jupyter_pdflow.engine.queue import Queue
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import apply
from jupyter_pdflow.stores.postgres.store import PostgresStore
from tests.engine.queues.plain_queue import PlainQueue
from tests.rules.support import START
from tests.stores.conformance import run_of
from tests.waiting import until

Make = Callable[..., "Process"]


class Process:
    """A process that begins the steps it is handed; `room` is how many more it takes."""

    def __init__(self, queue: Queue, store: PostgresStore, room: int) -> None:
        self.queue = queue
        self.store = store
        self.room = room
        self.handed: list[str] = []
        self.begun: list[str] = []
        self.has_room = asyncio.Event()
        if room:
            self.has_room.set()

    async def execute(self, run_id: str) -> bool:
        self.handed.append(run_id)
        if not self.room:
            return False
        self.take()
        async with self.store.transaction(run_id) as transaction:
            begun = apply(transaction.run, Begin(owner=self.store.owner), START)
            if begun.run is not transaction.run:
                await transaction.commit(begun.run, begun.entries)
                self.begun.append(run_id)
                return True
        self.add_room()
        return True

    def take(self) -> None:
        self.room -= 1
        if not self.room:
            self.has_room.clear()

    def add_room(self, count: int = 1) -> None:
        self.room += count
        self.has_room.set()

    def open(self) -> None:
        self.queue.open(self.execute, self.has_room.wait)


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=[PgQueuerQueue, PlainQueue])
async def make(
    request: pytest.FixtureRequest, database: str, store: PostgresStore
) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make(room: int = 4, names: tuple[str, ...] = ("default",), **options: Any) -> Process:
            queue = request.param(database, names, options.pop("kernels", max(room, 1)))
            stack.push_async_callback(queue.close)
            process = Process(queue, store, room)
            process.open()
            return process

        yield make


async def ready(store: PostgresStore, number: int, **fields: Any) -> Run:
    run = replace(run_of(number), **fields)
    return await store.create(run)


async def test_each_run_is_begun_by_one_process(make: Make, store: PostgresStore) -> None:
    runs = [await ready(store, number) for number in range(20)]
    processes = [make(10), make(10), make(10)]
    await until(lambda: sum(len(each.begun) for each in processes) == len(runs))
    begun = Counter(run_id for each in processes for run_id in each.begun)
    assert begun == dict.fromkeys((run.id for run in runs), 1)
    late = await ready(store, 50)
    await until(lambda: any(late.id in each.begun for each in processes))


async def test_none_is_handed_out_without_room(make: Make, store: PostgresStore) -> None:
    process = make(1)
    first, second = [await ready(store, number) for number in range(2)]
    await until(lambda: process.begun == [first.id])
    await asyncio.sleep(0.5)
    assert process.handed == [first.id]
    other = make(1)  # what one has no room for, another one takes
    await until(lambda: other.begun == [second.id])
    third = await ready(store, 2)
    process.add_room()
    await until(lambda: process.begun == [first.id, third.id])


async def test_a_run_that_is_refused_is_handed_out_again(make: Make, store: PostgresStore) -> None:
    process = make(0)
    run = await ready(store, 0)
    process.has_room.set()  # a claim has taken it meanwhile
    await until(lambda: len(process.handed) > 1)
    assert process.begun == []
    process.add_room()
    await until(lambda: process.begun == [run.id])


async def test_an_error_costs_no_run(
    make: Make, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = True

    async def execute(self: Process, run_id: str) -> bool:
        if failing:
            self.handed.append(run_id)
            raise ZeroDivisionError
        return await execute_well(self, run_id)

    execute_well = Process.execute
    monkeypatch.setattr(Process, "execute", execute)
    process = make()
    run = await ready(store, 0)
    await until(lambda: len(process.handed) > 1)
    failing = False
    await until(lambda: process.begun == [run.id])


async def test_workflows_take_turns(make: Make, store: PostgresStore) -> None:
    for number in range(100):
        await ready(store, number)
    few = [await ready(store, number, workflow_id="x") for number in range(200, 203)]
    process = make(1, kernels=1)
    while len(process.begun) < 10:
        await until(lambda: not process.room)
        process.add_room()
    assert {run.id for run in few} < set(process.begun[:8])


async def test_queues_are_apart(make: Make, store: PostgresStore) -> None:
    gpu = make(names=("gpu",))
    run = await ready(store, 0, queue="gpu")
    other = await ready(store, 1)
    await until(lambda: gpu.begun == [run.id])
    await asyncio.sleep(0.3)
    assert gpu.handed == [run.id]
    both = make(names=("gpu", "default"))
    await until(lambda: both.begun == [other.id])


async def test_a_stopped_queue_hands_out_nothing(make: Make, store: PostgresStore) -> None:
    process = make()
    first = await ready(store, 0)
    await until(lambda: process.begun == [first.id])
    await process.queue.stop()
    await ready(store, 1)
    await asyncio.sleep(0.3)
    assert process.handed == [first.id]


async def test_it_outlives_its_connections(make: Make, store: PostgresStore, database: str) -> None:
    process = make()
    first = await ready(store, 0)
    await until(lambda: process.begun == [first.id])
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await asyncio.sleep(0.2)  # the server ends them soon, not at once
    second = await ready(store, 1)
    await until(lambda: process.begun == [first.id, second.id])


async def test_a_missing_job_is_added(make: Make, store: PostgresStore, database: str) -> None:
    run = await ready(store, 0)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("DELETE FROM pdflow.pgqueuer")
        store._restored_at = -1e9
        await store.lapsed(START, 10)
        rows = await connection.execute("SELECT convert_from(payload, 'UTF8') FROM pdflow.pgqueuer")
        assert await rows.fetchall() == [(run.id,)]
        store._restored_at = -1e9
        await store.lapsed(START, 10)
        rows = await connection.execute("SELECT count(*) FROM pdflow.pgqueuer")
        assert await rows.fetchall() == [(1,)]
    process = make()
    await until(lambda: process.begun == [run.id])


async def test_parameters_that_asyncpg_does_not_know_are_left_out(
    database: str, store: PostgresStore
) -> None:
    url = f"{database}?connect_timeout=5&channel_binding=prefer&application_name=x"
    queue = PgQueuerQueue(url, ["default"], 1)
    process = Process(queue, store, 1)
    process.open()
    try:
        run = await ready(store, 0)
        await until(lambda: process.begun == [run.id])
    finally:
        await queue.close()


async def test_what_keeps_runs_from_being_handed_out_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgqueuer_queue, "RESTART_DELAY", timedelta(seconds=0.01))
    queue = PgQueuerQueue("postgresql://u:secret@127.0.0.1:1/x", ["default"], 1)
    Process(queue, PostgresStore("postgresql://127.0.0.1:1/x"), 1).open()
    await asyncio.sleep(0.3)
    await queue.close()
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


async def test_a_queue_that_nobody_executes_keeps_no_workflow_waiting(
    store: PostgresStore, database: str
) -> None:
    await ready(store, 0, queue="gpu")
    runs = [await ready(store, number) for number in range(1, 5)]
    for run in runs[:2]:
        async with store.transaction(run.id) as transaction:
            begun = apply(transaction.run, Begin(owner=store.owner), START)
            await transaction.commit(begun.run, begun.entries)
    await ready(store, 5, workflow_id="x")
    async with await psycopg.AsyncConnection.connect(database) as connection:
        rows = await connection.execute(
            "SELECT id FROM pdflow.runs WHERE queue = 'default' AND rank IS NOT NULL "
            "ORDER BY rank, id"
        )
        found = [run_id async for (run_id,) in rows]
    assert found == [runs[2].id, run_of(5).id, runs[3].id]
