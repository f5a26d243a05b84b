"""Steps execute side by side, or one step alone."""

from __future__ import annotations

import asyncio

from jupyter_pdflow.engine.local_queue import Admission


async def done_soon(*tasks: asyncio.Task[None]) -> list[bool]:
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


def enter_later(admission: Admission, name: str, *, alone: bool = False) -> asyncio.Task[None]:
    return asyncio.create_task(admission.enter(name, alone=alone))


async def test_a_step_alone_waits_for_all_others_and_they_wait_for_it() -> None:
    admission = Admission()
    await admission.enter("a", alone=False)
    assert admission.try_enter()
    suspect, late = enter_later(admission, "x", alone=True), enter_later(admission, "b")
    assert await done_soon(suspect, late) == [False, False]
    assert not admission.try_enter()
    admission.leave("a")
    assert await done_soon(suspect, late) == [False, False]
    admission.leave("warm")
    assert await done_soon(suspect, late) == [True, False]
    admission.leave("x")
    assert await done_soon(late) == [True]
    assert admission.try_enter()


async def test_two_steps_that_execute_alone_take_turns() -> None:
    admission = Admission()
    first, second = enter_later(admission, "x", alone=True), enter_later(admission, "y", alone=True)
    assert await done_soon(first, second) == [True, False]
    admission.leave("x")
    assert await done_soon(second) == [True]


async def test_others_may_execute_once_the_step_that_executed_alone_has_ended() -> None:
    admission = Admission()
    await admission.enter("x", alone=True)
    other = enter_later(admission, "a")
    admission.share("a")
    assert await done_soon(other) == [False]
    admission.share("x")
    assert await done_soon(other) == [True]


async def test_a_run_that_stops_waiting_to_execute_alone_blocks_no_other() -> None:
    admission = Admission()
    await admission.enter("a", alone=False)
    suspect = enter_later(admission, "x", alone=True)
    assert await done_soon(suspect) == [False]
    suspect.cancel()
    assert await done_soon(suspect) == [True]
    assert admission.try_enter()
