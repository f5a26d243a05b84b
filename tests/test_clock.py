"""Deadlines, and the loop that works on what is due, on a real event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.clock import Deadlines, DueLoop
from jupyter_pdflow.settings import Limits
from tests.waiting import until

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 9))))
def test_deadlines_are_found_in_order(changes: list[tuple[str, int | None]]) -> None:
    deadlines, expected = Deadlines(), dict[str, int]()
    for key, at in changes:
        if at is None:
            deadlines.unset(key)
            expected.pop(key, None)
        else:
            deadlines.set(key, START + at * HOUR)
            expected[key] = at
    assert len(deadlines) == len(expected)
    first = min(expected.values(), default=None)
    assert deadlines.next() == (None if first is None else START + first * HOUR)
    found = deadlines.due(START + 4 * HOUR, 100, START + 100 * HOUR)
    assert sorted(found) == sorted(key for key, at in expected.items() if at <= 4)
    assert [expected[key] for key in found] == sorted(expected[key] for key in found)


def test_due_keys_are_due_again_later() -> None:
    deadlines = Deadlines()
    for number in range(5):
        deadlines.set(str(number), START)
    assert len(deadlines.due(START, 3, START + HOUR)) == 3
    assert len(deadlines.due(START, 3, START + HOUR)) == 2
    assert deadlines.due(START, 3, START + HOUR) == []
    assert deadlines.next() == START + HOUR


def test_replaced_times_are_removed() -> None:
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set("same", START + timedelta(seconds=number))
    assert len(deadlines._heap) < 200


class Worker:
    """Works on deadlines, and notes what was due."""

    def __init__(self) -> None:
        self.deadlines = Deadlines()
        self.done: list[str] = []
        self.error: Exception | None = None

    async def next_at(self) -> datetime | None:
        return self.deadlines.next()

    async def work(self, at: datetime) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        for key in self.deadlines.due(at, 4, at + HOUR):
            self.done.append(key)
            self.deadlines.unset(key)

    @asynccontextmanager
    async def loop(
        self, clock: Callable[[], datetime] = now, **limits: float
    ) -> AsyncIterator[DueLoop]:
        loop = DueLoop("test", self.next_at, self.work, clock, limits=Limits(**limits))  # type: ignore[arg-type]
        loop.open()
        yield loop
        await loop.close()

    def set(self, loop: DueLoop, key: str, at: datetime) -> None:
        self.deadlines.set(key, at)
        loop.wake(at)


async def test_due_in_order_of_time() -> None:
    worker = Worker()
    async with worker.loop() as loop:
        for name, ms in (("c", 30), ("a", 10), ("b", 20), ("past", -1000)):
            worker.set(loop, name, now() + timedelta(milliseconds=ms))
        await until(lambda: len(worker.done) == 4)
    assert worker.done == ["past", "a", "b", "c"]


async def test_never_early_and_soon() -> None:
    worker = Worker()
    async with worker.loop() as loop:
        at = now() + timedelta(milliseconds=50)
        worker.set(loop, "a", at)
        await until(lambda: worker.done)
        assert at <= now() < at + timedelta(seconds=0.5)


async def test_what_becomes_due_while_the_time_is_asked_for_is_noticed() -> None:
    worker, asked = Worker(), asyncio.Event()

    async def next_at() -> datetime | None:
        found = worker.deadlines.next()
        asked.set()
        await asyncio.sleep(0.02)  # as a database does
        return found

    worker.next_at = next_at  # type: ignore[method-assign]
    async with worker.loop(clock_check_seconds=30) as loop:
        worker.set(loop, "far", now() + HOUR)
        await asyncio.sleep(0.05)
        asked.clear()
        loop.wake(now())
        await asked.wait()
        worker.set(loop, "soon", now() + timedelta(milliseconds=100))
        await until(lambda: worker.done == ["soon"])


async def test_a_later_time_does_not_wake_the_loop() -> None:
    worker = Worker()
    async with worker.loop() as loop:
        worker.set(loop, "a", now() + timedelta(seconds=30))
        await asyncio.sleep(0.01)
        loop.wake(now() + HOUR)
        assert not loop._awake.is_set()
        loop.wake(now())
        assert loop._awake.is_set()


async def test_clock_that_is_set_forward_is_noticed() -> None:
    ahead, worker = timedelta(0), Worker()
    async with worker.loop(lambda: now() + ahead, clock_check_seconds=0.02) as loop:
        worker.set(loop, "later", now() + HOUR)
        await asyncio.sleep(0.05)
        assert worker.done == []
        ahead = HOUR
        await until(lambda: worker.done == ["later"])


async def test_after_an_error_the_work_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    worker.error = RuntimeError("boom")
    async with worker.loop(storage_retry_seconds=0.01) as loop:
        worker.set(loop, "a", now())
        await until(lambda: worker.done == ["a"])
    assert "boom" in caplog.text
