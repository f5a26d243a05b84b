from __future__ import annotations

import asyncio
import gc

from jupyter_pdflow.engine.pending_writes import RunLocks


async def test_one_after_another_for_a_run_and_side_by_side_for_others() -> None:
    locks, told, go = RunLocks(), list[str](), asyncio.Event()

    async def change(run_id: str, name: str) -> None:
        async with locks.of(run_id):
            told.append(f"{name} begins")
            await go.wait()
            told.append(f"{name} ends")

    changes = [change("a", "first"), change("a", "second"), change("b", "other")]
    tasks = [asyncio.create_task(each) for each in changes]
    await asyncio.sleep(0)
    assert told == ["first begins", "other begins"]
    go.set()
    await locks.over()
    assert told[-2:] == ["second begins", "second ends"]
    await asyncio.gather(*tasks)


async def test_nothing_is_kept_of_runs_that_rest() -> None:
    locks = RunLocks()
    async with locks.of("a"):
        pass
    gc.collect()
    assert len(locks._locks) == 0
