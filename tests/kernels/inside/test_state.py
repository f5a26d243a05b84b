"""Every step starts from the state right after the setup, and a step that changes it is warned."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.slots import version_key
from jupyter_pdflow.rules.workflow import ModuleSource, Source, StepSource, Workflow, version_of
from tests.kernels.conftest import execution, handler, process_of, workflow
from tests.waiting import until

SETUP = """
import collections, logging, os, random, sys, threading, warnings
import numpy as np
names = ["a"]
config = {"rate": 0.1}
tags = {"x"}
X = np.zeros(10)
rng = np.random.default_rng(1)
class Account:
    total = 0
account = Account()
def make():
    count = 0
    def increment():
        nonlocal count
        count += 1
    return increment
counter = make()
def remember(item, seen=[]):
    seen.append(item)
"""


async def run(kernel: Kernel, flow: Workflow, step: str = "a", **fields: Any) -> tuple[Any, str]:
    outcome, outputs, *_ = await kernel.execute(execution(flow, step, **fields))
    assert outcome.error is None, outcome.error
    warnings = "".join(output["text"] for output in outputs if output.get("name") == "stderr")
    return outcome.exports.get("$return_value"), warnings


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("names.append(1)", "names"),
        ("config['rate'] = 2", "config"),
        ("tags.add('y')", "tags"),
        ("X[3] = 1", "X"),
        ("account.balance = 1", "account"),
        ("Account.total += 1", "Account"),
        ("counter()", "counter"),
        ("remember(1)", "remember"),
    ],
)
async def test_a_change_causes_a_warning_and_makes_the_kernel_stale(
    pool: KernelPool, code: str, name: str
) -> None:
    flow = workflow(handler(code), setup=(SETUP,))
    kernel = await pool.acquire(flow, "")
    _, warnings = await run(kernel, flow)
    assert kernel.is_stale
    assert warnings.startswith(f"Warning: `{name}` was made by the setup and changed by this step")
    assert "Export it, or save it below `pd.files`." in warnings
    pool.release(kernel)
    fresh = await pool.acquire(flow, "")
    assert fresh is not kernel
    pool.release(fresh)


@pytest.mark.parametrize(
    "code",
    [
        "os.chdir('/')",
        "os.environ['NEW'] = '1'; os.environ.pop('HOME', None)",
        "sys.path.insert(0, '/nowhere')",
        "logging.getLogger().addHandler(logging.StreamHandler())",
        "logging.getLogger('new').addHandler(logging.StreamHandler())",
        "warnings.simplefilter('ignore')",
        "import colorsys, json.tool",
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as p; p.plot([1]); p.close()",
        "names[:] = ['a']; config['rate'] = 0.1",
        "import subprocess; subprocess.run(['true'])",
        "t = threading.Thread(target=print); t.start(); t.join()",
        "from concurrent.futures import ThreadPoolExecutor as P\nwith P(2) as p: p.submit(int).result()",
    ],
)
async def test_changes_that_are_restored_leave_the_kernel_as_it_was(
    pool: KernelPool, code: str
) -> None:
    look = """
    h = [type(h).__name__ for h in logging.getLogger().handlers + logging.getLogger("new").handlers]
    return [os.getcwd(), dict(os.environ), sys.path, h, [str(f) for f in warnings.filters], names, config]
    """
    flow = workflow(handler(look), handler(code), setup=(SETUP,))
    kernel = await pool.acquire(flow, "")
    before, _ = await run(kernel, flow, "a")
    _, warnings = await run(kernel, flow, "b", steps={"a": {}})
    assert warnings == ""
    assert not kernel.is_stale
    after, _ = await run(kernel, flow, "a")
    assert after == before
    pool.release(kernel)


DRAW = "return [random.random(), np.random.rand(), np.random.randn(), rng.random()]"


async def test_random_states_that_the_setup_has_set_are_restored(pool: KernelPool) -> None:
    flow = workflow(handler(DRAW), setup=(SETUP, "random.seed(3); np.random.seed(3)"))
    kernel = await pool.acquire(flow, "")
    draws = [(await run(kernel, flow))[0] for _ in range(3)]
    assert draws[0] == draws[1] == draws[2]
    assert not kernel.is_stale
    pool.release(kernel)


async def test_random_states_that_the_setup_has_not_set_are_seeded_anew(pool: KernelPool) -> None:
    again = handler("random.seed(7); np.random.seed(7)")
    flow = workflow(handler(DRAW), again, setup=(SETUP,))
    kernel = await pool.acquire(flow, "")
    draws = []
    for _ in range(3):
        draws.append((await run(kernel, flow))[0])
        await run(kernel, flow, "b", steps={"a": {}})
    assert len({draw[0] for draw in draws}) == len({draw[1] for draw in draws}) == 3
    assert len({draw[3] for draw in draws}) == 1
    pool.release(kernel)


@pytest.mark.parametrize(
    ("code", "left"),
    [
        (
            "t = threading.Thread(target=threading.Event().wait, daemon=True, name='mine'); t.start()",
            "the thread 'mine'",
        ),
        ("import subprocess; subprocess.Popen(['sleep', '60'])", "the process"),
        (
            "import concurrent.futures as c; p = c.ThreadPoolExecutor(1); p.submit(int).result(); Account.p = p",
            "the thread 'ThreadPoolExecutor-",
        ),
    ],
)
async def test_threads_and_processes_left_running_cause_a_warning(
    pool: KernelPool, code: str, left: str
) -> None:
    flow = workflow(handler(code), setup=(SETUP,))
    kernel = await pool.acquire(flow, "")
    _, warnings = await run(kernel, flow)
    assert f"Warning: This step has left {left}" in warnings
    assert kernel.is_stale
    pool.release(kernel)


async def test_a_task_that_is_left_causes_a_warning_and_threads_of_the_loop_do_not(
    pool: KernelPool,
) -> None:
    tasks = """
    import asyncio
    async def handler(pd):
        await asyncio.to_thread(int)
        if pd.steps.trigger.event:
            asyncio.create_task(asyncio.sleep(60), name="mine")
    """
    flow = workflow(tasks)
    kernel = await pool.acquire(flow, "")
    assert await run(kernel, flow) == (None, "")
    assert not kernel.is_stale
    _, warnings = await run(kernel, flow, event={"leave": True})
    assert "This step has left the task 'mine' running" in warnings
    pool.release(kernel)


async def test_a_global_that_a_handler_sets_causes_a_warning_and_is_removed(
    pool: KernelPool,
) -> None:
    first = "def handler(pd):\n    global limit, extra\n    limit, extra = 5, 6"
    flow = workflow(first, handler("return [limit, 'extra' in globals()]"), setup=("limit = 1",))
    kernel = await pool.acquire(flow, "")
    _, warnings = await run(kernel, flow)
    assert [line.partition(";")[0] for line in warnings.splitlines()] == [
        "Warning: The handler has set the global `limit`",
        "Warning: The handler has set the global `extra`",
    ]
    assert not kernel.is_stale
    assert (await run(kernel, flow, "b", steps={"a": {}}))[0] == [1, False]
    pool.release(kernel)


async def test_names_that_are_kept_may_change(pool: KernelPool) -> None:
    setup = "%load_ext jupyter_pdflow\n%keep cache\ncache = {}\nother = {}"
    flow = workflow(handler("cache[1] = 2; return len(cache)"), setup=(setup,))
    kernel = await pool.acquire(flow, "")
    assert await run(kernel, flow) == (1, "")
    assert not kernel.is_stale
    pool.release(kernel)


async def test_names_that_the_cell_of_a_step_defines_are_watched_too(pool: KernelPool) -> None:
    first = "cache = []\ndef handler(pd): pass"
    flow = workflow(first, handler("cache.append(1); return len(cache)"))
    kernel = await pool.acquire(flow, "")
    value, warnings = await run(kernel, flow, "b", steps={"a": {}})
    assert value == 1
    assert "`cache` was made by the cell of step 'a' and changed by this step" in warnings
    pool.release(kernel)


async def test_a_cell_that_changes_the_setup_does_so_once_in_each_kernel(pool: KernelPool) -> None:
    first = "names.append('b')\ndef handler(pd): return names"
    flow = workflow(first, handler("return list(names)"), setup=("names = ['a']",))
    for _ in range(2):
        kernel = await pool.acquire(flow, "")
        value, warnings = await run(kernel, flow, "b", steps={"a": {}})
        assert (value, warnings, kernel.is_stale) == (["a", "b"], "", True)
        pool.release(kernel)


async def test_local_modules_are_watched_and_those_of_a_step_are_imported_again(
    pool: KernelPool, tmp_path: Path
) -> None:
    helpers = ModuleSource(
        name="helpers", path="helpers.py", source="cache = []\ndef add(): cache.append(1)"
    )
    late = ModuleSource(name="late", path="late.py", source="seen = []")
    steps = (
        StepSource(
            name="a",
            source="def handler(pd):\n    import late\n    late.seen.append(1)\n    return late.seen",
        ),
        StepSource(name="b", source="def handler(pd):\n    helpers.add()"),
    )
    source = Source(
        kernel_name="python3", setup=("import helpers",), steps=steps, modules=(helpers, late)
    )
    flow = Workflow(
        id="w",
        name="w",
        version=version_of(source),
        path="w.ipynb",
        source=source,
        created_at=workflow("").created_at,
    )
    kernel = await pool.acquire(flow, "")
    for _ in range(2):
        assert await run(kernel, flow) == ([1], "")
    _, warnings = await run(kernel, flow, "b", steps={"a": {}})
    assert (
        "`helpers` was made by the setup and changed by this step (in `helpers.cache`)" in warnings
    )
    pool.release(kernel)


async def test_a_fresh_kernel_is_prepared_in_the_background(make_pool: Any) -> None:
    pool = make_pool(max_kernels=1)
    flow = workflow(handler("names.append(1); return names"), setup=("names = []",))
    kernel = await pool.acquire(flow, "")
    await run(kernel, flow)
    pool.release(kernel)
    await until(lambda: pool._idle, 20)
    fresh = pool.take(version_key(flow))
    assert fresh is not None
    assert (await run(fresh, flow))[0] == [1]
    pool.release(fresh)


@pytest.mark.skipif(sys.platform != "linux", reason="daemons are found on Linux only")
async def test_processes_of_a_step_end_when_it_is_interrupted(
    pool: KernelPool, tmp_path: Path
) -> None:
    code = f"""
    import os, subprocess, time
    child = subprocess.Popen(["sleep", "600"])
    group = subprocess.Popen(["sleep", "601"], start_new_session=True)
    os.system("setsid sleep 602 >/dev/null 2>&1 &")
    time.sleep(0.2)
    open({str(tmp_path / "started")!r}, "w").write(f"{{child.pid}} {{group.pid}}")
    time.sleep(60)
    """
    flow = workflow(handler(code))
    kernel = await pool.acquire(flow, "")
    executing = asyncio.create_task(kernel.execute(execution(flow, "a")))
    await until((tmp_path / "started").exists, 20)
    pids = [int(pid) for pid in (tmp_path / "started").read_text().split()]
    daemons = [p.pid for p in process_of(kernel).children() if p.cmdline() == ["sleep", "602"]]
    assert len(daemons) == 1
    await kernel.interrupt()
    outcome, *_ = await executing
    assert outcome.error is not None
    pool.release(kernel)
    await until(lambda: not any(_runs(pid) for pid in [*pids, *daemons]), 10)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
