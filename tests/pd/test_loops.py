"""`outside_loop`: synchronous code runs as in a script, and the kernel's loop stays as it was."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_pdflow.pd.call import call_handler
from jupyter_pdflow.pd.loops import canceling_tasks, outside_loop
from jupyter_pdflow.pd.pd import Pd


async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


def by_run() -> int:
    return asyncio.run(double(21))


def by_current_loop() -> int:
    return asyncio.get_event_loop().run_until_complete(double(21))


def by_closed_loop() -> int:
    loop = asyncio.get_event_loop()
    try:
        return loop.run_until_complete(double(21))
    finally:
        loop.close()


def by_new_loop() -> int:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return asyncio.get_event_loop().run_until_complete(double(21))
    finally:
        loop.close()


def by_runner() -> int:
    with asyncio.Runner() as runner:
        return runner.run(double(21))


def by_subprocess() -> int:
    async def answer() -> int:
        process = await asyncio.create_subprocess_exec("echo", "42", stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        return int(out)

    return asyncio.run(answer())


def by_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(by_run()))
    thread.start()
    thread.join()
    return found[0]


WAYS = [
    by_run,
    by_current_loop,
    by_closed_loop,
    by_new_loop,
    by_runner,
    by_subprocess,
    by_thread,
]


@pytest.mark.parametrize("first", WAYS)
async def test_every_way_works_after_every_other_and_again(first: Callable[[], int]) -> None:
    policy, loop = asyncio.get_event_loop_policy(), asyncio.get_running_loop()
    for second in WAYS:
        with outside_loop():
            assert [first(), second(), first()] == [42, 42, 42]
    assert asyncio.get_event_loop() is loop
    assert asyncio.get_event_loop_policy() is policy
    assert asyncio.current_task() is not None
    assert await double(21) == 42


async def test_no_loop_is_running_and_an_open_one_is_current() -> None:
    with outside_loop() as loop:
        assert loop is not asyncio.get_event_loop()
        assert not asyncio.get_event_loop().is_running()
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
    assert loop is asyncio.get_running_loop()


async def test_loop_kept_in_a_global_can_be_used_later() -> None:
    with outside_loop():
        loop = asyncio.get_event_loop()
        task = loop.create_task(double(21))
        asyncio.run(double(1))
    with outside_loop():
        assert asyncio.get_event_loop() is loop
        assert loop.run_until_complete(task) == 42


async def test_a_loop_that_the_author_sets_is_current_only_there() -> None:
    mine = asyncio.new_event_loop()
    with outside_loop():
        asyncio.set_event_loop(mine)
        assert asyncio.get_event_loop() is mine
    with outside_loop():
        assert asyncio.get_event_loop() is not mine
    mine.close()


async def test_a_policy_that_the_author_sets_stays() -> None:
    class Policy(asyncio.DefaultEventLoopPolicy):
        made = 0

        def new_event_loop(self) -> Any:
            self.made += 1
            return super().new_event_loop()

    before, policy = asyncio.get_event_loop_policy(), Policy()
    try:
        with outside_loop():
            asyncio.set_event_loop_policy(policy)
        assert asyncio.get_event_loop_policy() is policy
        with outside_loop():
            assert by_run() == 42
        assert policy.made == 1
        assert asyncio.get_event_loop_policy() is policy
    finally:
        asyncio.set_event_loop_policy(before)


async def test_other_threads_keep_the_loops_they_had() -> None:
    started, proceed = threading.Event(), threading.Event()
    seen: list[bool] = []

    def other() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        started.set()
        proceed.wait()
        seen.append(asyncio.get_event_loop() is loop)
        loop.close()

    thread = threading.Thread(target=other)
    thread.start()
    started.wait()
    with outside_loop():
        asyncio.get_event_loop()
        proceed.set()
        thread.join()
    assert seen == [True]


async def test_unfinished_tasks_do_not_continue_in_a_later_step() -> None:
    continued: list[str] = []
    gate = asyncio.Event()

    async def later(name: str) -> None:
        await gate.wait()
        continued.append(name)

    with canceling_tasks(), outside_loop():
        asyncio.get_event_loop().create_task(later("begun"))
        by_current_loop()
        asyncio.ensure_future(later("not begun"))  # noqa: RUF006
    gate.set()
    with outside_loop():
        by_current_loop()
        by_current_loop()
    assert continued == []


@pytest.mark.parametrize(
    "handler",
    [
        lambda pd: asyncio.ensure_future(double(21)),
        lambda pd: asyncio.gather(double(21)),
        lambda pd: asyncio.get_event_loop().create_task(double(21)),
        lambda pd: double(21),
    ],
)
async def test_a_future_that_a_handler_returns_is_awaited(pd: Pd, handler: Any) -> None:
    outcome = await call_handler(handler, pd)

    assert outcome.exports["$return_value"] in (42, [42])


async def test_an_error_in_a_returned_future_is_the_handlers(pd: Pd) -> None:
    async def fail() -> None:
        raise ValueError("no")  # noqa: EM101

    outcome = await call_handler(lambda pd: asyncio.ensure_future(fail()), pd)

    assert outcome.error is not None
    assert outcome.error.ename == "ValueError"
    assert "in fail" in "".join(outcome.error.traceback)


def test_loops_are_closed_when_python_ends() -> None:
    script = """
import asyncio, logging
from jupyter_pdflow.pd.loops import outside_loop

logging.getLogger("asyncio").setLevel(logging.ERROR)  # not how long it took

async def main():
    for _ in range(3):
        with outside_loop():
            asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
            asyncio.run(asyncio.sleep(0))
            asyncio.get_event_loop()

asyncio.run(main())
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
