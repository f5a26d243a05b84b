"""Who may execute beside whom."""

from __future__ import annotations

import asyncio

from jupyter_pdflow.engine.executor import Admission


async def settled(*tasks: asyncio.Task[None]) -> list[bool]:
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


def entering(admission: Admission, name: str, *, alone: bool = False) -> asyncio.Task[None]:
    return asyncio.create_task(admission.enter(name, alone=alone))


async def test_one_that_is_alone_waits_for_all_and_all_wait_for_it() -> None:
    admission = Admission()
    await admission.enter("a", alone=False)
    assert admission.try_enter()
    suspect, late = entering(admission, "x", alone=True), entering(admission, "b")
    assert await settled(suspect, late) == [False, False]
    assert not admission.try_enter()
    admission.leave("a")
    assert await settled(suspect, late) == [False, False]
    admission.leave("warm")
    assert await settled(suspect, late) == [True, False]
    admission.leave("x")
    assert await settled(late) == [True]
    assert admission.try_enter()


async def test_two_that_want_to_be_alone_take_turns() -> None:
    admission = Admission()
    first, second = entering(admission, "x", alone=True), entering(admission, "y", alone=True)
    assert await settled(first, second) == [True, False]
    admission.leave("x")
    assert await settled(second) == [True]


async def test_others_may_execute_once_the_step_that_was_alone_is_over() -> None:
    admission = Admission()
    await admission.enter("x", alone=True)
    other = entering(admission, "a")
    admission.share("a")
    assert await settled(other) == [False]
    admission.share("x")
    assert await settled(other) == [True]


async def test_one_that_gives_up_waiting_holds_up_nobody() -> None:
    admission = Admission()
    await admission.enter("a", alone=False)
    suspect = entering(admission, "x", alone=True)
    assert await settled(suspect) == [False]
    suspect.cancel()
    assert await settled(suspect) == [True]
    assert admission.try_enter()
