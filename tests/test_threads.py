"""Work in threads: the event loop continues, and a canceled caller waits for the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jupyter_pdflow.threads import in_thread


async def test_the_event_loop_continues_meanwhile() -> None:
    go = threading.Event()
    working = asyncio.create_task(in_thread(go.wait, 10))
    await asyncio.sleep(0)
    go.set()
    assert await working


async def test_errors_are_raised_in_the_caller() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "x")


async def test_a_canceled_caller_waits_until_the_work_is_done() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(10)
        done.set()

    working = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    working.cancel()
    await asyncio.sleep(0.01)
    assert not working.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert done.is_set()


async def test_a_timeout_around_it_is_a_timeout() -> None:
    done = threading.Event()

    def work() -> None:
        done.wait(0.1)
        done.set()

    async def work_and_sleep() -> None:
        await in_thread(work)
        await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work_and_sleep(), 0.01)
    assert done.is_set()
    await asyncio.sleep(0)  # it is not canceled any more
