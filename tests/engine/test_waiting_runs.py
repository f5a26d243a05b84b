"""Thousands of runs that wait for a kernel are ids, take turns by version, and hold nothing up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.local_queue import Ids, WaitingRuns
from jupyter_pdflow.kernels.slots import FairQueue
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.transitions import apply, new_run
from tests.engine.fakes import Engine, deploy
from tests.stores.memory import Data
from tests.waiting import until

MANY = 20_000


async def stored_runs(engine: Engine, name: str, count: int, ids: Ids) -> list[str]:
    """Store queued runs of a workflow of that name, as an earlier server has left them."""
    workflow = await deploy(engine.store, name)
    now = utc_now()
    runs = [new_run(ids.new(now), workflow, None, now).run for _ in range(count)]
    engine.store.data.runs |= {run.id: run for run in runs}
    return [run.id for run in runs]


def waiting_of(engine: Engine) -> WaitingRuns:
    return engine.service._executor._waiting


async def test_runs_that_wait_have_no_task_and_let_others_run(tmp_path: Path) -> None:
    engine = Engine(tmp_path, Data(), max_kernels=0)
    run_ids = await stored_runs(engine, "w", MANY, Ids())
    await engine.service.open()
    waiting = waiting_of(engine)
    assert len(waiting) == MANY
    pieces = [engine.store.loads]
    while engine.store.loads < MANY:
        assert len(asyncio.all_tasks()) < 20
        await asyncio.sleep(0)
        pieces.append(engine.store.loads)
    assert len(set(pieces)) > 5, "all runs were read in one go"
    assert engine.pool._slots.waiting == len(waiting) == MANY
    assert engine.service.busy
    await engine.service.cancel(run_ids[MANY // 2], "api")
    assert engine.pool._slots.waiting == len(waiting) == MANY - 1
    await engine.service.stop()
    assert engine.pool._slots.waiting == len(waiting) == 0
    await engine.service.close()


async def test_versions_take_turns_and_only_granted_runs_have_tasks(tmp_path: Path) -> None:
    engine = Engine(tmp_path, Data(), max_kernels=2, kernel_turn_seconds=0.0)
    ids = Ids()
    many = await stored_runs(engine, "many", 200, ids)
    few = await stored_runs(engine, "few", 2, ids)
    most = 0

    async def step() -> None:
        nonlocal most
        most = max(most, len(engine.service._executor._works))
        await asyncio.sleep(0.001)

    engine.pool.step = step
    await engine.service.open()
    await until(lambda: not engine.service.busy)
    order = engine.pool.executed
    assert [run_id for run_id in order if run_id in few] == few
    assert max(map(order.index, few)) < 50, "the few runs wait behind the many"
    assert sorted(order) == sorted(many + few)
    assert most <= 2
    await engine.service.close()


async def test_a_run_that_ends_before_it_is_read_is_not_requested(tmp_path: Path) -> None:
    engine = Engine(tmp_path, Data(), max_kernels=0)
    first, second = await stored_runs(engine, "w", 2, Ids())
    await engine.service.open()
    run = engine.store.data.runs[first]
    engine.store.data.runs[first] = apply(run, Cancel(by="api"), run.updated_at).run
    await until(lambda: engine.store.loads == 2)
    waiting = waiting_of(engine)
    assert first not in waiting
    assert second in waiting
    engine.service._executor.enqueue(second)
    assert len(waiting) == engine.pool._slots.waiting == 1
    await engine.service.close()


def test_removing_an_item_looks_at_no_other() -> None:
    class Item:
        compared = 0

        def __eq__(self, other: object) -> bool:
            Item.compared += 1
            return self is other

        __hash__ = object.__hash__

    items: list[Any] = [Item() for _ in range(1_000)]
    queue: FairQueue[str, Any] = FairQueue()
    for item in items:
        queue.put("a", item)
    for item in reversed(items):
        queue.remove("a", item)
    assert (len(queue), Item.compared) == (0, 0)
