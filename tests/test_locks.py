"""Changes of one record are made one after another."""

from __future__ import annotations

import asyncio
import gc

from jupyter_pdflow.threads import Locks


async def test_changes_of_one_record_take_turns_and_those_of_others_do_not_wait() -> None:
    locks, log, go = Locks(), list[str](), asyncio.Event()

    async def change(name: str, text: str) -> None:
        async with locks.of(name):
            log.append(f"{text} begins")
            await go.wait()
            log.append(f"{text} ends")

    changes = [change("a", "first"), change("a", "second"), change("b", "other")]
    tasks = [asyncio.create_task(each) for each in changes]
    await asyncio.sleep(0)
    assert log == ["first begins", "other begins"]
    go.set()
    await locks.wait_released()
    assert log[-2:] == ["second begins", "second ends"]
    await asyncio.gather(*tasks)


async def test_locks_that_are_not_used_are_freed() -> None:
    locks = Locks()
    async with locks.of("a"):
        pass
    gc.collect()
    assert len(locks._locks) == 0
