"""How kernels are shared, kept warm, and ended."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_pdflow.exceptions import KernelError, KernelSpecError
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.slots import FairQueue, version_key
from jupyter_pdflow.settings import Limits
from tests.kernels.conftest import execution, handler, process_of, until, workflow

MakePool = Callable[..., KernelPool]
ROOT = Path(__file__).parent.parent.parent
RETURN_ONE = handler("return 1")


def kernels() -> list[psutil.Process]:
    """Return the kernels of this process; a server of other tests may be its child, too."""
    return [each for each in psutil.Process().children() if not _is_server(each)]


def _is_server(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "jupyter_server" in process.cmdline()
    return False


async def test_take_returns_warm_kernels_of_exactly_this_version(pool: KernelPool) -> None:
    old, new = workflow(RETURN_ONE), workflow(handler("return 2"))
    assert pool.take(version_key(old)) is None
    kernel = await pool.acquire(old, "")
    assert pool.take(version_key(old)) is None
    pool.release(kernel)
    assert pool.take(version_key(new)) is None
    assert pool.take(version_key(old)) is kernel
    pool.release(kernel)


async def test_never_more_kernels_than_allowed_and_all_are_served(make_pool: MakePool) -> None:
    pool = make_pool(max_kernels=2)
    most = 0

    async def use(number: int) -> Any:
        nonlocal most
        flow = workflow(RETURN_ONE, name=f"w{number % 4}")
        kernel = await pool.acquire(flow, "")
        most = max(most, len(kernels()))
        result = await kernel.execute(execution(flow))
        pool.release(kernel)
        return result.outcome.exports["$return_value"]

    assert await asyncio.gather(*map(use, range(8))) == [1] * 8
    assert most == 2


@pytest.mark.parametrize(
    ("turn_seconds", "expected"),
    [
        (0.0, ["busy 0", "other", "busy 1", "busy 2"]),
        (60.0, ["busy 0", "busy 1", "busy 2", "other"]),
    ],
)
async def test_workflows_take_turns_of_a_length(
    make_pool: MakePool, turn_seconds: float, expected: list[str]
) -> None:
    pool = make_pool(max_kernels=1, limits=Limits(kernel_turn_seconds=turn_seconds))
    busy, other = workflow(RETURN_ONE, name="busy"), workflow(RETURN_ONE, name="other")
    order: list[str] = []

    async def use(flow: Any, label: str) -> None:
        kernel = await pool.acquire(flow, "")
        order.append(label)
        pool.release(kernel)

    kernel = await pool.acquire(busy, "")
    tasks = [asyncio.create_task(use(busy, f"busy {number}")) for number in range(3)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(use(other, "other")))
    await asyncio.sleep(0)
    pool.release(kernel)
    await asyncio.gather(*tasks)
    assert order == expected


async def test_idle_kernel_is_closed_when_another_version_needs_its_slot(
    make_pool: MakePool,
) -> None:
    pool = make_pool(max_kernels=1)
    first, second = workflow(RETURN_ONE, name="first"), workflow(RETURN_ONE, name="second")
    pool.release(await pool.acquire(first, ""))
    kernel = await pool.acquire(second, "")
    assert pool.take(version_key(first)) is None
    assert len(kernels()) == 1
    pool.release(kernel)


async def test_idle_kernels_are_culled_to_none(make_pool: MakePool) -> None:
    pool = make_pool(idle_seconds=0.2)
    one, two = await asyncio.gather(
        pool.acquire(workflow(RETURN_ONE), ""), pool.acquire(workflow(RETURN_ONE), "")
    )
    pool.release(one)
    pool.release(two)
    await until(lambda: not kernels(), "no kernel is left")
    assert pool.take(version_key(workflow(RETURN_ONE))) is None
    assert pool._timer is None


async def test_canceled_wait_loses_no_slot(make_pool: MakePool) -> None:
    pool = make_pool(max_kernels=1)
    flow, other = workflow(RETURN_ONE), workflow(RETURN_ONE, name="other")
    kernel = await pool.acquire(flow, "")
    waiting = [asyncio.create_task(pool.acquire(flow, "")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    pool.release(kernel)
    waiting[1].cancel()
    assert await asyncio.wait_for(waiting[2], 5) is kernel
    pool.release(kernel)
    starting = asyncio.create_task(pool.acquire(other, ""))
    await until(lambda: pool._slots.used == 1 and not pool._closing, "it starts")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    kernel = await asyncio.wait_for(pool.acquire(flow, ""), 10)
    pool.release(kernel)


async def test_failed_setup_frees_its_slot(make_pool: MakePool) -> None:
    pool = make_pool(max_kernels=1)
    for _ in range(2):
        with pytest.raises(KernelError):
            await pool.acquire(workflow(RETURN_ONE, setup=("1 / 0",)), "")
    kernel = await pool.acquire(workflow(RETURN_ONE), "")
    pool.release(kernel)
    pool.release(kernel)
    assert pool._slots.used == 1


async def test_kernel_that_dies_in_the_setup(pool: KernelPool) -> None:
    with pytest.raises(KernelError, match=r"died while it ran the setup: .* status 7"):
        await pool.acquire(workflow(RETURN_ONE, setup=("import os; os._exit(7)",)), "")


async def test_waiting_ends_when_the_pool_shuts_down(make_pool: MakePool) -> None:
    pool = make_pool(max_kernels=1)
    await pool.acquire(workflow(RETURN_ONE), "")
    waiting = asyncio.create_task(pool.acquire(workflow(RETURN_ONE), ""))
    await asyncio.sleep(0)
    await pool.shutdown()
    with pytest.raises(KernelError, match="stopping"):
        await waiting
    with pytest.raises(KernelError, match="stopping"):
        await pool.acquire(workflow(RETURN_ONE), "")
    assert kernels() == []


async def test_prestarted_kernel_works_in_the_directory_of_the_notebook(
    make_pool: MakePool, tmp_path: Path
) -> None:
    pool = make_pool(prestarted_kernels=1, limits=Limits(prestart_seconds=0.0))
    (tmp_path / "below").mkdir()
    body = handler("import os\nreturn [os.getpid(), os.getcwd(), next(numbers)]")
    flow = workflow(body, setup=("import itertools\nnumbers = itertools.count()",))
    pool.release(await pool.acquire(flow, ""))
    await until(lambda: pool._prestarted._ready, "a kernel is ready")
    prestarted = pool._prestarted._ready[0]
    other = workflow(body, setup=flow.source.setup, name="other")
    kernel = await pool.acquire(other, "below/other.ipynb")
    assert kernel is prestarted
    outcome, *_ = await kernel.execute(execution(other))
    assert outcome.exports["$return_value"][1:] == [str(tmp_path / "below"), 0]
    await until(lambda: pool._prestarted._ready, "the next one is ready")
    pool.release(kernel)


async def test_prestarted_kernel_that_died_is_not_taken(make_pool: MakePool) -> None:
    pool = make_pool(prestarted_kernels=1)
    pool.prestart("python3")
    await until(lambda: pool._prestarted._ready, "a kernel is ready")
    dead = pool._prestarted._ready[0]
    process_of(dead).kill()
    await until(lambda: not dead.alive, "it is dead")
    kernel = await pool.acquire(workflow(RETURN_ONE), "")
    assert kernel is not dead
    pool.release(kernel)


@pytest.mark.server
def test_kernels_leave_no_descriptors_threads_or_tasks_behind(app: Any) -> None:
    command = [sys.executable, "-m", "tests.kernels.leaks", app.root_dir]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


# --- kernelspecs ----------------------------------------------------------------------


def write_kernelspec(app: Any, name: str, *argv: str) -> None:
    folder = Path(app.root_dir, "data", "kernels", name)
    folder.mkdir(parents=True)
    spec = {"argv": [*argv], "display_name": name, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))


async def test_good_kernelspec_is_started_once(pool: KernelPool) -> None:
    await pool.check("python3")
    assert kernels() == []
    start = asyncio.get_running_loop().time()
    await pool.check("python3")
    assert asyncio.get_running_loop().time() - start < 0.05


async def test_missing_kernelspec(pool: KernelPool) -> None:
    with pytest.raises(KernelSpecError, match='There is no kernelspec "nowhere"'):
        await pool.check("nowhere")


async def test_kernelspec_without_this_package(pool: KernelPool, app: Any) -> None:
    code = "import sys; sys.modules['jupyter_pdflow'] = None; from ipykernel import kernelapp as k; k.main()"
    write_kernelspec(app, "bare", sys.executable, "-c", code, "-f", "{connection_file}")
    with pytest.raises(KernelSpecError) as caught:
        await pool.check("bare")
    assert str(caught.value) == (
        'The kernelspec "bare" has no jupyter_pdflow: install it into that environment '
        f"({sys.executable} -m pip install jupyter_pdflow)."
    )


async def test_error_for_a_kernelspec_without_ipykernel_quotes_its_stderr(
    pool: KernelPool, app: Any
) -> None:
    argv = (sys.executable, "-I", "-S", "-m", "ipykernel_launcher", "-f", "{connection_file}")
    write_kernelspec(app, "isolated", *argv)
    with pytest.raises(KernelSpecError, match=r"can't be started: .*No module named"):
        await pool.check("isolated")


async def test_kernelspec_whose_program_is_missing(pool: KernelPool, app: Any) -> None:
    write_kernelspec(app, "gone", "/nowhere/python", "-m", "ipykernel_launcher")
    with pytest.raises(KernelSpecError, match=r"can't be started: .*No such file"):
        await pool.check("gone")


# --- the queue ------------------------------------------------------------------------


def test_queue_is_first_in_first_out_within_a_key_and_fair_across() -> None:
    queue: FairQueue[str, str] = FairQueue()
    for item in ["a1", "a2", "a3", "b1", "b2", "c1"]:
        queue.put(item[0], item)
    queue.remove("a", "a2")
    queue.remove("a", "never there")
    assert queue.is_turn_of("a")
    assert len(queue) == 5
    assert [queue.take() for _ in range(5)] == ["a1", "b1", "c1", "a3", "b2"]
    assert not queue


def test_queue_returns_items_of_a_key_out_of_turn() -> None:
    queue: FairQueue[str, str] = FairQueue()
    for item in ["a1", "b1", "b2"]:
        queue.put(item[0], item)
    assert queue.has_others("a")
    assert queue.take_of("b") == "b1"
    assert queue.is_turn_of("a")
    assert queue.take() == "a1"
    assert not queue.has_others("b")
    assert queue.take_of("a") is None
