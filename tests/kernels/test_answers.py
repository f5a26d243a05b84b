"""Each reply is that of its own request, whatever a step forks or writes to foreign descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import psutil
import pytest

from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.messages import WorkerReply
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.kernels.slots import version_key
from jupyter_pdflow.settings import LIMITS, Limits
from tests.kernels.conftest import execution, handler, until, workflow


@pytest.fixture(params=["socket", "messages"])
async def kernel(
    request: pytest.FixtureRequest, manager: Any, app: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Kernel]:
    """Start a kernel that gets frames on its socket, or in messages like one on another machine."""
    if request.param == "messages":
        monkeypatch.setattr(Kernel, "_socket_path", lambda kernel: None)
    kernel = await Kernel.start(manager, "python3", "")
    yield kernel
    await kernel.close()


async def returned(kernel: Kernel, flow: Any, step: str) -> Any:
    outcome, *_ = await kernel.execute(execution(flow, step))
    assert outcome.error is None, outcome.error
    return outcome.exports.get("$return_value")


ENDS = {
    "return 'secret' if child == 0 else [child, os.getpid()]": 0,
    "if child == 0: raise ValueError('in the child')\nreturn [child, os.getpid()]": 1,
    "if child == 0: raise SystemExit(7)\nreturn [child, os.getpid()]": 7,
    "if child == 0: print('secret')\nreturn [child, os.getpid()]": 0,
}
"""The ends of handlers whose child process continues, with the exit status of the child."""


@pytest.mark.parametrize("seconds", [0, 0.3])
async def test_child_that_returns_from_a_handler_sends_no_reply(
    kernel: Kernel, seconds: float
) -> None:
    fork = f"import os, time\nchild = os.fork()\nif child == 0: time.sleep({seconds})\n"
    wait = "import os\nreturn [os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]), os.getpid()]"
    flow = workflow(*[handler(part) for end in ENDS for part in (fork + end, wait)])
    await kernel.prepare(flow)
    steps = iter(flow.step_names)
    for code in ENDS.values():
        child, pid = await returned(kernel, flow, next(steps))
        assert await returned(kernel, flow, next(steps)) == [code, pid]
        assert not psutil.pid_exists(child)
    assert kernel.alive


async def test_child_that_would_reply_first_sends_no_reply(kernel: Kernel) -> None:
    body = "import os\nchild = os.fork()\nif child: os.waitpid(child, 0)\nreturn child == 0"
    flow = workflow(handler(body), handler("return 'next'"))
    await kernel.prepare(flow)
    for _ in range(5):
        assert await returned(kernel, flow, "a") is False
        assert await returned(kernel, flow, "b") == "next"


ASYNC = """
import asyncio, os, time
async def handler(pd):
    child = os.fork()
    for _ in range(5):
        await asyncio.sleep(0.01)
    {end}
"""


async def test_child_of_an_async_handler_ends_at_its_await(kernel: Kernel) -> None:
    body = ASYNC.format(end="return [child, os.waitpid(child, 0)[0], os.getpid()]")
    flow = workflow(body, handler("import os\nreturn os.getpid()"))
    await kernel.prepare(flow)
    child, waited_for, pid = await returned(kernel, flow, "a")
    assert child == waited_for
    assert await returned(kernel, flow, "b") == pid


async def test_child_forked_by_a_body_or_the_setup_ends_with_it(kernel: Kernel) -> None:
    forks = "import os\nif (child := os.fork()):\n    os.waitpid(child, 0)\n"
    flow = workflow(forks + handler("return 1"), forks + handler("return 2"), setup=(forks,))
    await kernel.prepare(flow)
    assert await returned(kernel, flow, "b") == 2
    assert await returned(kernel, flow, "a") == 1
    assert psutil.Process(kernel_pid(kernel)).children() == []


def kernel_pid(kernel: Kernel) -> int:
    return int(kernel._process.provisioner.pid)


PROCESSES = """
import multiprocessing, subprocess, sys
fork = multiprocessing.get_context("fork")

def double(n):
    print("in a child", flush=True)
    return 2 * n

def put(queue):
    queue.put("put")

def handler(pd):
    with fork.Pool(2) as pool:
        doubled = pool.map(double, [1, 2, 3])
    queue = fork.Queue()
    process = fork.Process(target=put, args=(queue,))
    process.start()
    found = queue.get()
    process.join()
    printed = subprocess.run([sys.executable, "-c", "print('printed')"], capture_output=True, text=True)
    prepared = subprocess.run(["true"], preexec_fn=lambda: None)
    return [doubled, found, process.exitcode, printed.stdout, prepared.returncode]
"""


async def test_processes_of_a_handler_work_as_in_a_script(kernel: Kernel) -> None:
    flow = workflow(PROCESSES, handler("return 'next'"))
    await kernel.prepare(flow)
    expected = [[2, 4, 6], "put", 0, "printed\n", 0]
    for _ in range(2):
        assert await returned(kernel, flow, "a") == expected
        assert await returned(kernel, flow, "b") == "next"


async def test_two_runs_on_one_warm_kernel_have_their_own_values(pool: KernelPool) -> None:
    body = """
    import os, time
    def handler(pd):
        if os.fork() == 0:
            time.sleep(0.3)
        return pd.steps.trigger.event
    """
    flow = workflow(
        body, "import time\n" + handler("time.sleep(0.6)\nreturn pd.steps.trigger.event")
    )
    for step, event in [("a", "secret of the first"), ("b", "second"), ("a", "3"), ("b", "4")]:
        kernel = await pool.acquire(flow, "")
        outcome, *_ = await kernel.execute(execution(flow, step, event=event))
        pool.release(kernel)
        assert outcome.exports == {"$return_value": event}


# --- foreign bytes on the socket ------------------------------------------------------

FIND_SOCKET = """
import os, socket, stat

def worker_socket():
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        except OSError:
            continue
        if is_socket:
            found = socket.socket(fileno=os.dup(fd))
            try:
                if found.family == socket.AF_UNIX and found.getsockname().endswith(".sock"):
                    found.getpeername()
                    return fd
            except (OSError, AttributeError, TypeError):
                pass
            finally:
                found.close()
"""


def writing(garbage: str) -> str:
    """Return a step whose handler writes to the socket of its kernel."""
    return FIND_SOCKET + handler(f"os.write(worker_socket(), {garbage})\nreturn 'the value'")


@pytest.fixture
async def with_socket(
    manager: Any, app: Any, request: pytest.FixtureRequest
) -> AsyncIterator[Kernel]:
    kernel = await Kernel.start(manager, "python3", "", getattr(request, "param", LIMITS))
    yield kernel
    await kernel.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"x",
        b"\x00\x00\x10\x00",
        b"\xff\xff\xff\xff",
        b"not a frame\n",
        b"\n",
        b"{}\n",
        b'{"id": 5}\n',
        b'{"id": "other"',
        b"[" * 100_000 + b"\n",
        b'"\xff"\n',
    ],
)
async def test_garbage_on_the_socket_fails_the_step_with_a_clear_error(
    with_socket: Kernel, garbage: bytes
) -> None:
    flow = workflow(writing(repr(garbage)))
    await with_socket.prepare(flow)
    outcome, *_ = await asyncio.wait_for(with_socket.execute(execution(flow)), 10)
    assert outcome.error is not None
    assert outcome.error.ename == "KernelDied"
    assert "its answer could not be read" in outcome.error.evalue
    assert not with_socket.alive


@pytest.mark.parametrize("with_socket", [Limits(reply_bytes=10_000)], indirect=True)
async def test_frame_above_the_limit_fails_the_step(with_socket: Kernel) -> None:
    flow = workflow(writing("b'x' * 100_000"))
    await with_socket.prepare(flow)
    outcome, *_ = await asyncio.wait_for(with_socket.execute(execution(flow)), 10)
    assert outcome.error is not None
    assert "its answer could not be read" in outcome.error.evalue


async def test_replies_to_other_requests_are_dropped(with_socket: Kernel) -> None:
    others = b"".join(
        msgspec.json.encode(
            WorkerReply(id=name, data=msgspec.Raw(b'{"exports":{"$return_value":1}}'))
        )
        + b"\n"
        for name in ("", "other")
    )
    flow = workflow(writing(repr(others)), handler("return 'next'"))
    await with_socket.prepare(flow)
    assert await returned(with_socket, flow, "a") == "the value"
    assert await returned(with_socket, flow, "b") == "next"


async def test_reply_of_another_type_fails_the_step(with_socket: Kernel) -> None:
    body = """
    import msgspec
    from jupyter_pdflow.kernels.inside import listener
    from jupyter_pdflow.settings import Limits
    from jupyter_pdflow.kernels.messages import WorkerReply

    def encoded(reply):
        return msgspec.json.encode(WorkerReply(id=reply.id, data=msgspec.Raw(b'{"exports": 7}')))

    def handler(pd):
        listener._encoded = encoded
    """
    flow = workflow(body)
    await with_socket.prepare(flow)
    assert await returned(with_socket, flow, "a") is None
    outcome, *_ = await with_socket.execute(execution(flow))
    assert outcome.error is not None
    assert "its answer could not be read" in outcome.error.evalue
    assert not with_socket.alive


async def test_handler_that_closes_all_files_fails_with_a_clear_error(with_socket: Kernel) -> None:
    flow = workflow(handler("import os\nos.closerange(3, 300)\nreturn 1"))
    await with_socket.prepare(flow)
    outcome, *_ = await asyncio.wait_for(with_socket.execute(execution(flow)), 20)
    assert outcome.error is not None
    assert outcome.error.ename == "KernelDied"
    assert not with_socket.alive


async def test_garbage_on_the_socket_between_two_steps_ends_the_kernel(
    pool: KernelPool,
) -> None:
    later = """
import threading, time

def write():
    time.sleep(0.2)
    os.write(worker_socket(), b"x" + bytes([10]))

def handler(pd):
    threading.Thread(target=write).start()
"""
    flow = workflow(FIND_SOCKET + later)
    kernel = await pool.acquire(flow, "")
    await kernel.execute(execution(flow))
    pool.release(kernel)
    await until(lambda: not kernel.alive, "the kernel is taken for dead")
    assert pool.take(version_key(flow)) is None


async def test_reply_above_the_limit_fails_the_step(with_socket: Kernel) -> None:
    body = """
    from jupyter_pdflow.kernels.inside import listener
    from jupyter_pdflow.settings import Limits
    def handler(pd):
        listener.LIMITS = Limits(reply_bytes=1000)
        return "x" * 1000
    """
    flow = workflow(body, handler("return 'next'"))
    await with_socket.prepare(flow)
    outcome, *_ = await with_socket.execute(execution(flow))
    assert outcome.error is not None
    assert outcome.error.ename == "ExportError"
    assert "the limit is 1,000" in outcome.error.evalue
    assert await returned(with_socket, flow, "b") == "next"
