"""Timers on a real event loop."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from jupyter_pdflow.clock import BATCH_SECONDS, Timers
from jupyter_pdflow.settings import Limits
from tests.engine.support import until


def now() -> datetime:
    return datetime.now(UTC)


async def test_due_in_order_of_time() -> None:
    due: list[str] = []
    timers = Timers(due.append, now)
    for name, ms in (("c", 30), ("a", 10), ("b", 20), ("past", -1000)):
        timers.set(name, now() + timedelta(milliseconds=ms))
    await until(lambda: len(due) == 4)
    assert due == ["past", "a", "b", "c"]
    timers.close()


async def test_set_replaces_and_unset_removes() -> None:
    due: list[str] = []
    timers = Timers(due.append, now)
    timers.set("moved", now() + timedelta(milliseconds=10))
    timers.set("moved", now() + timedelta(milliseconds=40))
    timers.set("gone", now() + timedelta(milliseconds=10))
    timers.unset("gone")
    timers.set("between", now() + timedelta(milliseconds=20))
    await until(lambda: len(due) == 2)
    assert due == ["between", "moved"]
    timers.close()


async def test_clock_that_is_set_forward_is_noticed() -> None:
    ahead = timedelta(0)
    due: list[str] = []
    timers = Timers(due.append, lambda: now() + ahead, limits=Limits(clock_check_seconds=0.02))
    timers.set("later", now() + timedelta(hours=1))
    await asyncio.sleep(0.05)
    assert due == []
    ahead = timedelta(hours=1)
    await until(lambda: due == ["later"])
    timers.close()


async def test_error_of_one_key_does_not_stop_the_others() -> None:
    due: list[str] = []
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

    def on_due(key: str) -> None:
        if key == "1":
            raise RuntimeError(key)
        due.append(key)

    timers = Timers(on_due, now)
    for number in range(3):
        timers.set(str(number), now())
    await until(lambda: due == ["0", "2"])
    assert len(seen) == 1
    timers.close()


async def test_event_loop_is_free_between_batches() -> None:
    due: list[str] = []

    def work(key: str) -> None:
        due.append(key)
        time.sleep(BATCH_SECONDS / 2)

    timers = Timers(work, now)
    for number in range(20):
        timers.set(str(number), now() - timedelta(seconds=1))
    await until(lambda: due)
    assert 0 < len(due) < 20
    await until(lambda: len(due) == 20)
    timers.close()


async def test_replaced_times_are_removed() -> None:
    timers = Timers(lambda _: None, now)
    for number in range(10_000):
        timers.set("same", now() + timedelta(hours=1, seconds=number))
    assert len(timers._heap) < 200
    timers.close()
