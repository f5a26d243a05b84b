"""Kernels that die, hang or print without end; interrupts, outputs and transports."""

from __future__ import annotations

import asyncio
import signal
import stat
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_pdflow.exceptions import KernelError
from jupyter_pdflow.kernels.kernel import Kernel, StepResult
from jupyter_pdflow.kernels.manager import LOCK
from jupyter_pdflow.kernels.outputs import OUTPUT_LIMIT
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.slots import version_key
from tests.kernels.conftest import execution, handler, process_of, until, workflow


async def test_kernel_that_exits_fails_the_step_and_is_replaced(pool: KernelPool) -> None:
    body = "import os\nprint('exits now', flush=True)\nos._exit(3)"
    flow = workflow(handler(body), handler("return 'ok'"))
    kernel = await pool.acquire(flow, "")
    outcome, *_ = await kernel.execute(execution(flow))
    assert outcome.error is not None
    assert outcome.error.ename == "KernelDied"
    assert outcome.error.evalue == (
        "The kernel died while it executed step 'a': its process exited with status 3."
    )
    assert not kernel.alive
    pool.release(kernel)
    fresh = await pool.acquire(flow, "")
    assert fresh is not kernel
    assert (await fresh.execute(execution(flow, "b"))).outcome.error is None
    pool.release(fresh)


async def test_error_of_a_killed_kernel_names_sigkill(pool: KernelPool) -> None:
    flow = workflow(handler("while True: pass"))
    kernel = await pool.acquire(flow, "")
    executing = asyncio.create_task(kernel.execute(execution(flow)))
    await until(lambda: kernel.busy, "the step executes")
    process_of(kernel).kill()
    outcome, *_ = await executing
    assert outcome.error is not None
    assert "SIGKILL" in outcome.error.evalue
    pool.release(kernel)


async def test_warm_kernel_that_died_while_idle_is_not_taken(pool: KernelPool) -> None:
    flow = workflow(handler("return 1"))
    kernel = await pool.acquire(flow, "")
    pool.release(kernel)
    process_of(kernel).kill()
    await until(lambda: not kernel.alive, "the kernel is dead")
    assert pool.take(version_key(flow)) is None
    fresh = await pool.acquire(flow, "")
    assert (await fresh.execute(execution(flow))).outcome.error is None
    pool.release(fresh)


@pytest.mark.parametrize(
    "body",
    [
        handler("while True: pass"),
        handler("import time; time.sleep(60)"),
        handler("import subprocess; subprocess.run(['sleep', '60'], check=True)"),
        "async def handler(pd):\n    import asyncio\n    await asyncio.sleep(60)",
        "async def handler(pd):\n    while True: pass",
        "import asyncio\nasync def handler(pd):\n    await asyncio.gather(*map(asyncio.sleep, [60, 60]))",
    ],
)
async def test_interrupt_ends_a_handler_and_the_kernel_stays(pool: KernelPool, body: str) -> None:
    flow = workflow("print('started', flush=True)\n" + body, handler("return 'ok'"))
    outcome = (await _interrupted(pool, flow)).outcome
    assert outcome.error is not None
    assert outcome.error.ename == "KeyboardInterrupt"
    kernel = pool.take(version_key(flow))
    assert kernel is not None, "the kernel was killed"
    assert (await kernel.execute(execution(flow, "b"))).outcome.error is None
    pool.release(kernel)


async def test_interrupt_of_a_step_that_follows_canceled_ones(pool: KernelPool) -> None:
    body = """
    import asyncio
    print("started", flush=True)
    async def handler(pd):
        if pd.steps.trigger.event:
            await asyncio.sleep(60)
        asyncio.current_task().cancel()
        await asyncio.sleep(60)
    """
    flow = workflow(body)
    kernel = await pool.acquire(flow, "")
    for event, ename in [(0, "CancelledError"), (1, "KeyboardInterrupt"), (0, "CancelledError")]:
        executing = asyncio.create_task(kernel.execute(execution(flow, event=event)))
        if event:
            await until(lambda: kernel.busy and kernel.outputs.finish(), "the step executes")
            await kernel.interrupt()
        outcome, *_ = await asyncio.wait_for(executing, 5)
        assert outcome.error is not None
        assert outcome.error.ename == ename
    pool.release(kernel)
    assert pool.take(version_key(flow)) is kernel


async def test_handler_that_ignores_interrupts_is_killed(pool: KernelPool) -> None:
    body = """
    import time
    print("started", flush=True)
    def handler(pd):
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass
    """
    result = await _interrupted(pool, workflow(body), grace=0.3)
    assert result.outcome.error is not None
    assert result.outcome.error.ename == "KeyboardInterrupt"
    assert "killed" in result.outcome.error.evalue


async def _interrupted(pool: KernelPool, flow: Any, grace: float = 5) -> StepResult:
    kernel = await pool.acquire(flow, "")
    executing = asyncio.create_task(kernel.execute(execution(flow)))
    await until(lambda: kernel.outputs.finish() != [], "the step executes")
    await kernel.interrupt(grace)
    result = await asyncio.wait_for(executing, 5)
    pool.release(kernel)
    return result


async def test_interrupt_of_an_idle_kernel_has_no_effect(pool: KernelPool) -> None:
    flow = workflow(handler("return 1"))
    kernel = await pool.acquire(flow, "")
    await kernel.interrupt(grace=0)
    assert (await kernel.execute(execution(flow))).outcome.exports == {"$return_value": 1}
    pool.release(kernel)


async def test_kernel_whose_execution_was_canceled_is_not_used_again(pool: KernelPool) -> None:
    flow = workflow("print('started', flush=True)\n" + handler("while True: pass"))
    kernel = await pool.acquire(flow, "")
    process = process_of(kernel)
    executing = asyncio.create_task(kernel.execute(execution(flow)))
    await until(lambda: kernel.outputs.finish() != [], "the step executes")
    executing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await executing
    pool.release(kernel)
    assert pool.take(version_key(flow)) is None
    await until(lambda: has_ended(process), "the kernel has ended")


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended; Jupyter gives up reaping it if that takes more than 5 s."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_printed_text_is_limited_and_takes_no_memory_of_the_server(pool: KernelPool) -> None:
    body = handler("for _ in range(200_000):\n    print('x' * 999)\nreturn 'done'")
    flow = workflow(body)
    kernel = await pool.acquire(flow, "")
    before = psutil.Process().memory_info().rss
    outcome, outputs, *_ = await kernel.execute(execution(flow))
    pool.release(kernel)
    assert outcome.exports == {"$return_value": "done"}
    printed, notice = outputs
    assert len(printed["text"]) == OUTPUT_LIMIT
    assert notice["name"] == "stderr"
    assert notice["text"] == "… output of 198,000,000 more bytes was dropped (limit 2 MB)\n"
    assert psutil.Process().memory_info().rss - before < 80_000_000


async def test_outputs_are_those_of_a_notebook(pool: KernelPool) -> None:
    body = """
    import sys
    from IPython.display import HTML, clear_output, display
    def handler(pd):
        print("gone")
        clear_output()
        print("one"); print("two")
        print("bad", file=sys.stderr)
        handle = display(HTML("<b>old</b>"), display_id=True)
        handle.update(HTML("<b>new</b>"))
    """
    flow = workflow(body)
    kernel = await pool.acquire(flow, "")
    _, outputs, *_ = await kernel.execute(execution(flow))
    pool.release(kernel)
    assert outputs[:2] == [
        {"output_type": "stream", "name": "stdout", "text": "one\ntwo\n"},
        {"output_type": "stream", "name": "stderr", "text": "bad\n"},
    ]
    assert outputs[2]["data"]["text/html"] == "<b>new</b>"


async def test_kernels_communicate_through_private_sockets(pool: KernelPool) -> None:
    flow = workflow(handler("return 1"))
    kernel = await pool.acquire(flow, "")
    process = kernel._process
    assert process.transport == "ipc"
    folder = Path(process.connection_file).parent
    assert stat.S_IMODE(folder.stat().st_mode) & 0o777 == 0o700
    assert Path(process.connection_file).with_suffix(".sock").is_socket()
    pool.release(kernel)
    await pool.shutdown()
    assert [path.name for path in folder.iterdir()] == [LOCK]


async def test_kernel_on_another_machine_gets_messages(manager: Any, app: Any) -> None:
    manager.kernel_manager_factory = manager.kernel_manager_factory._create
    flow = workflow(
        handler("print('hello')\nreturn 1"),
        handler("1 / 0"),
        handler("import os; os._exit(4)"),
        setup=("print('setup')",),
    )
    try:
        kernel = await Kernel.start(manager, "python3", "")
    except KernelError:  # another test has taken one of its ports in between
        kernel = await Kernel.start(manager, "python3", "")
    assert kernel._process.transport == "tcp"
    await kernel.prepare(flow)
    outcome, outputs, *_ = await kernel.execute(execution(flow))
    assert outcome.exports == {"$return_value": 1}
    assert outputs == [{"output_type": "stream", "name": "stdout", "text": "hello\n"}]
    failed, *_ = await kernel.execute(execution(flow, "b"))
    assert failed.error is not None
    assert failed.error.ename == "ZeroDivisionError"
    dead, *_ = await kernel.execute(execution(flow, "c"))
    assert dead.error is not None
    assert "status 4" in dead.error.evalue
    await kernel.close()


async def test_error_of_a_kernel_ended_by_a_signal_names_the_signal(pool: KernelPool) -> None:
    flow = workflow(handler("import os, signal; os.kill(os.getpid(), signal.SIGTERM)"))
    kernel = await pool.acquire(flow, "")
    outcome, *_ = await kernel.execute(execution(flow))
    pool.release(kernel)
    assert outcome.error is not None
    assert signal.SIGTERM.name in outcome.error.evalue
