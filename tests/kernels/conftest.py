"""Real kernels, started by the manager that a Jupyter server would give its production runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.manager import close_manager, production_manager
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.run import Execution
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow, version_of
from jupyter_pdflow.settings import LIMITS, Limits


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerApp]:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    app = ServerApp(root_dir=str(tmp_path), log_level="ERROR")
    app.init_configurables()
    app.init_event_logger()
    yield app
    app.kernel_manager.context.destroy(linger=0)


@pytest.fixture
def manager(app: ServerApp) -> Iterator[Any]:
    manager = production_manager(app)
    yield manager
    close_manager(manager)


@pytest.fixture
async def make_pool(manager: Any) -> AsyncIterator[Callable[..., KernelPool]]:
    pools, before = [], psutil.Process().children()

    def make(
        max_kernels: int = 2,
        idle_seconds: float = 60,
        prestarted_kernels: int = 0,
        limits: Limits = LIMITS,
    ) -> KernelPool:
        pool = KernelPool(
            manager,
            max_kernels=max_kernels,
            idle_seconds=idle_seconds,
            prestarted_kernels=prestarted_kernels,
            limits=limits,
        )
        pools.append(pool)
        return pool

    yield make
    try:
        for pool in pools:
            await pool.shutdown()
    finally:
        leaks = end_children(before)
    assert leaks == []


def end_children(before: list[psutil.Process]) -> list[str]:
    """End the child processes that a test has left, so that only this test fails; name them.

    Those that were there before belong to another test, or to a library: jedi keeps one.
    """
    children = [child for child in psutil.Process().children() if child not in before]
    names = [described(child) for child in children]
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=10)  # it reaps those that had ended, too
    return names


def described(process: psutil.Process) -> str:
    try:
        return f"{process.pid} ({process.status()}): {process.cmdline()}"
    except psutil.Error as error:
        return str(error)


@pytest.fixture
def pool(make_pool: Callable[..., KernelPool]) -> KernelPool:
    return make_pool()


def workflow(*bodies: str, setup: tuple[str, ...] = (), name: str = "w") -> Workflow:
    """Make a workflow whose steps are named a, b, c …"""
    steps = [
        StepSource(name=chr(ord("a") + index), source=dedent(body))
        for index, body in enumerate(bodies)
    ]
    source = Source(kernel_name="python3", setup=tuple(map(dedent, setup)), steps=tuple(steps))
    return Workflow(
        id=name,
        name=name,
        version=version_of(source),
        path=f"{name}.ipynb",
        source=source,
        created_at=datetime.now(UTC),
    )


def execution(workflow: Workflow, step: str = "a", **fields: Any) -> Execution:
    fields = {"resume_url": "http://resume", "cancel_url": "http://cancel", **fields}
    return Execution(
        id="r-1",
        run_id="r",
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        version=workflow.version,
        step=step,
        ts=datetime.now(UTC),
        **fields,
    )


def handler(body: str) -> str:
    return "def handler(pd):\n" + "\n".join("    " + line for line in dedent(body).splitlines())


async def until(check: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    """Wait until a check returns a true value, and return the value."""
    end = asyncio.get_running_loop().time() + timeout
    while not (found := check()):
        assert asyncio.get_running_loop().time() < end, f"not within {timeout} s: {what}"
        await asyncio.sleep(0.02)
    return found


def process_of(kernel: Kernel) -> psutil.Process:
    return psutil.Process(kernel._process.provisioner.pid)
