"""`call_handler` returns an outcome for each kind of handler, error and interrupt."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import Awaitable
from typing import Any

import pytest

from jupyter_pdflow.kernels.inside.cell import interrupts
from jupyter_pdflow.pd.call import call_handler
from jupyter_pdflow.pd.pd import Pd
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import EmailRequest, Outcome


class Callable_:  # noqa: N801
    async def __call__(self, pd: Pd) -> str:
        await asyncio.sleep(0)
        return pd.context.workflow_name


async def later(word: str, pd: Pd) -> str:
    return word


def awaitable(pd: Pd) -> Awaitable[str]:
    return asyncio.ensure_future(later("W", pd))


@pytest.mark.parametrize(
    "handler",
    [
        lambda pd: pd.context.workflow_name,
        lambda pd, extra=None: "W",
        lambda *args: "W",
        Callable_(),
        functools.partial(later, "W"),
        awaitable,
    ],
)
async def test_all_kinds_of_handlers(pd: Pd, handler: Any) -> None:
    assert await call_handler(handler, pd) == Outcome(exports={"$return_value": "W"})
    assert pd.exception is None


async def test_nothing_returned_is_nothing_exported(pd: Pd) -> None:
    assert await call_handler(lambda pd: None, pd) == Outcome()


async def test_outcome_has_exports_emails_and_the_pause(pd: Pd) -> None:
    def handler(pd: Any) -> Any:
        pd.export("a", 1)
        pd.send.email("Hi")
        pd.flow.delay(5)
        return {"a": 2}

    assert await call_handler(handler, pd) == Outcome(
        exports={"a": 1, "$return_value": {"a": 2}},
        emails=[EmailRequest(subject="Hi")],
        flow=PauseCall(kind="delay", ms=5),
    )


async def test_error_keeps_emails_and_exports_and_its_chain(pd: Pd) -> None:
    def cause() -> None:
        {}["missing"]

    async def handler(pd: Any) -> None:
        pd.export("a", 1)
        pd.send.email("Hi")
        try:
            cause()
        except KeyError as error:
            raise ValueError("no") from error  # noqa: EM101

    outcome = await call_handler(handler, pd)
    assert (outcome.exports, outcome.emails) == ({"a": 1}, [EmailRequest(subject="Hi")])
    assert outcome.error is not None
    assert (outcome.error.ename, outcome.error.evalue) == ("ValueError", "no")
    lines = outcome.error.traceback
    functions = [line.rpartition(" ")[2] for line in lines if line.startswith("  File")]
    assert functions == ["handler", "cause", "handler"]
    assert "The above exception was the direct cause of the following exception:" in lines
    assert isinstance(pd.exception, ValueError)
    assert pd.exception.__traceback__ is not None
    assert pd.exception.__traceback__.tb_frame.f_code.co_name == "handler"


async def test_error_inside_a_call_of_pd_shows_where_the_author_called_it(pd: Pd) -> None:
    def handler(pd: Any) -> None:
        pd.flow.suspend(0)

    error = (await call_handler(handler, pd)).error
    assert error is not None
    frames = [line for line in error.traceback if line.startswith("  File")]
    assert len(frames) == 1
    assert __file__ in frames[0]


def exits(pd: Any) -> None:
    raise SystemExit(3)


def interrupt(pd: Any) -> None:
    raise KeyboardInterrupt


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise OSError


def unprintable(pd: Any) -> None:
    raise Unprintable


@pytest.mark.parametrize(
    ("handler", "ename", "evalue"),
    [
        (exits, "SystemExit", "3"),
        (interrupt, "KeyboardInterrupt", ""),
        (unprintable, "Unprintable", "<its str() failed>"),
        (lambda: 1, "StepError", "handler must take one argument, as in def handler(pd)"),
        (lambda a, b: 1, "StepError", "handler must take one argument, as in def handler(pd)"),
        (7, "StepError", "handler must be a function, not int"),
        (lambda pd: {1}, "ExportError", "$return_value is a set, which JSON can't hold"),
        (lambda pd: "x" * 6_000_001, "ExportError", "The exports of this step take 6,000,"),
    ],
)
async def test_errors(pd: Pd, handler: Any, ename: str, evalue: str) -> None:
    outcome = await call_handler(handler, pd)
    assert outcome.error is not None
    assert outcome.error.ename == ename
    assert outcome.error.evalue.startswith(evalue)
    assert outcome.exports == {}
    assert type(pd.exception).__name__ == ename


async def test_interrupt_of_a_handler_that_awaits_is_a_keyboard_interrupt(pd: Pd) -> None:
    async def handler(pd: Any) -> None:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    async def call() -> Outcome:
        with interrupts():
            return await call_handler(handler, pd)

    outcome = await asyncio.create_task(call())
    assert outcome.error is not None
    assert outcome.error.ename == "KeyboardInterrupt"


async def raises_canceled(pd: Any) -> None:
    raise asyncio.CancelledError


def raises_canceled_at_once(pd: Any) -> None:
    raise asyncio.CancelledError


async def awaits_canceled(pd: Any) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def awaits_canceled_task(pd: Any) -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


async def cancels_itself(pd: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)


async def times_out(pd: Any) -> None:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(60)


async def waits_too_long(pd: Any) -> None:
    await asyncio.wait_for(asyncio.sleep(60), 0.01)


async def fails_in_a_group(pd: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(awaits_canceled_task(pd))
        raise ValueError


@pytest.mark.parametrize(
    ("handler", "ename"),
    [
        (raises_canceled, "CancelledError"),
        (raises_canceled_at_once, "CancelledError"),
        (awaits_canceled, "CancelledError"),
        (awaits_canceled_task, "CancelledError"),
        (cancels_itself, "CancelledError"),
        (times_out, "TimeoutError"),
        (waits_too_long, "TimeoutError"),
        (fails_in_a_group, "ExceptionGroup"),
        (lambda pd: asyncio.run(awaits_canceled(pd)), "CancelledError"),
        (lambda pd: asyncio.run(times_out(pd)), "TimeoutError"),
    ],
)
async def test_canceling_without_an_interrupt_is_as_in_a_script(
    pd: Pd, handler: Any, ename: str
) -> None:
    with pytest.raises(BaseException) as raised:
        await asyncio.create_task(_as_in_a_script(handler))
    assert type(raised.value).__name__ == ename
    outcome = await asyncio.create_task(call_handler(handler, pd))
    assert outcome.error is not None
    assert outcome.error.ename == ename


async def _as_in_a_script(handler: Any) -> None:
    await asyncio.to_thread(_script, handler)


def _script(handler: Any) -> None:
    result = handler(None)
    if asyncio.iscoroutine(result):
        asyncio.run(result)


async def test_canceled_task_of_a_group_is_ignored(pd: Pd) -> None:
    async def handler(pd: Any) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(awaits_canceled(pd))
        return "continued"

    assert await call_handler(handler, pd) == Outcome(exports={"$return_value": "continued"})


async def test_error_text_is_bounded_and_storable(pd: Pd) -> None:
    def handler(pd: Any) -> None:
        raise ValueError("\ud800" + "x" * 1_000_000)

    error = (await call_handler(handler, pd)).error
    assert error is not None
    assert len(error.evalue) < 30_000
    assert sum(map(len, error.traceback)) < 30_000
    error.evalue.encode()
    "".join(error.traceback).encode()
