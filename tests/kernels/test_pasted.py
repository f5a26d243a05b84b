"""Pasted code in production kernels: it runs as in a script."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jupyter_pdflow.kernels.pool import KernelPool
from tests.kernels.conftest import execution, handler, until, workflow
from tests.kernels.inside.test_worker import run, value_of

SETUP = """\
import asyncio

async def double(n):
    await asyncio.sleep(0)
    return 2 * n

values = [
    asyncio.run(double(1)),
    asyncio.get_event_loop().run_until_complete(double(2)),
    asyncio.run(double(3)),
    asyncio.get_event_loop().run_until_complete(double(4)),
]
loop = asyncio.get_event_loop()
"""
BODY = """\
more = [asyncio.get_event_loop().run_until_complete(double(5)), asyncio.run(double(6))]
kept = asyncio.get_event_loop()

def handler(pd):
    both = [kept.run_until_complete(double(7)), loop.run_until_complete(double(8))]
    last = [asyncio.run(double(9)), asyncio.get_event_loop().run_until_complete(double(10))]
    return values + more + both + last
"""


async def test_asyncio_as_in_a_script_in_setup_step_cell_and_handler(pool: KernelPool) -> None:
    awaits = handler("return [values[0], kept.run_until_complete(double(21))]")
    flow = workflow(BODY, "await double(1)\n" + awaits, setup=(SETUP,))
    kernel = await pool.acquire(flow, "")
    for _ in range(2):
        outcome, *_ = await kernel.execute(execution(flow))
        assert outcome.exports == {"$return_value": list(range(2, 22, 2))}
        outcome, *_ = await kernel.execute(execution(flow, "b"))
        assert outcome.exports == {"$return_value": [2, 42]}
    pool.release(kernel)


async def test_a_loop_that_a_handler_closes_is_replaced(pool: KernelPool) -> None:
    body = handler(
        """
        import asyncio
        loop = asyncio.get_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return "closed"
        """
    )
    flow = workflow(body)
    for _ in range(2):
        assert await value_of(pool, flow) == "closed"


async def test_tasks_that_a_step_leaves_are_not_continued(pool: KernelPool) -> None:
    body = """
    import asyncio

    async def later():
        await asyncio.sleep(0)
        print("continued")

    def handler(pd):
        asyncio.ensure_future(later())
    """
    then = handler(
        "import asyncio\nasyncio.get_event_loop().run_until_complete(asyncio.sleep(0.01))"
    )
    flow = workflow(body, then)
    assert (await run(pool, flow)).outputs == []
    assert (await run(pool, flow, "b")).outputs == []


WAIT = """\
import asyncio
from pathlib import Path

async def wait():
    Path("waiting").touch()
    await asyncio.sleep(60)

"""


@pytest.mark.parametrize(
    "stuck",
    [
        "asyncio.run(wait())\n" + handler("pass"),
        "asyncio.get_event_loop().run_until_complete(wait())\n" + handler("pass"),
        handler("asyncio.run(wait())"),
        handler("asyncio.get_event_loop().run_until_complete(wait())"),
        handler("return asyncio.ensure_future(wait())"),
    ],
)
async def test_an_interrupt_ends_code_that_runs_in_a_loop(
    pool: KernelPool, tmp_path: Path, stuck: str
) -> None:
    then = handler("return asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, 'ok'))")
    flow = workflow(then, WAIT + stuck, setup=("import asyncio",))
    kernel = await pool.acquire(flow, "")
    executing = asyncio.create_task(kernel.execute(execution(flow, "b")))
    await until((tmp_path / "waiting").exists, "the loop waits")
    await kernel.interrupt(5)
    outcome, *_ = await executing
    assert outcome.error is not None
    assert outcome.error.ename == "KeyboardInterrupt"
    assert (await kernel.execute(execution(flow))).outcome.exports == {"$return_value": "ok"}
    pool.release(kernel)


MAIN = """\
made = []
if __name__ == "__main__":
    made.append("main")
    raise SystemExit
else:
    made.append("else")
if "__main__" == __name__: 1 / 0
if not made:
    made.append("empty")
elif __name__ == "__main__":
    made.append("elif main")
else:
    made.append("full")
if __name__ == "__main__" and made: 1 / 0

def handler(pd):
    return [made, __name__]
"""


async def test_main_blocks_are_removed_from_steps(pool: KernelPool) -> None:
    assert await value_of(pool, workflow(MAIN)) == [["else", "full"], "__main__"]


async def test_removed_main_blocks_keep_line_numbers(pool: KernelPool) -> None:
    outcome, *_ = await run(pool, workflow("if __name__ == '__main__':\n    pass\n\n1 / 0"))
    assert outcome.error is not None
    assert 'File "<step a>", line 5' in "".join(outcome.error.traceback)


async def test_main_blocks_of_the_setup_run(pool: KernelPool) -> None:
    setup = ("if __name__ == '__main__':\n    made = 'main'",)
    assert await value_of(pool, workflow(handler("return made"), setup=setup)) == "main"
