"""A service on the memory store, with kernels that a test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.kernels.kernel import Kernel, StepResult
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.run import Execution, Outcome, Run
from jupyter_pdflow.rules.workflow import Source, StepSource, Workflow
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores.folders import RunFolders
from tests.rules.support import no_links
from tests.stores.memory import Data, MemoryStore, MemoryTransaction


class FakeKernel:
    """A kernel without a process: each step returns its own name."""

    def __init__(self, pool: FakePool) -> None:
        self._pool = pool
        self.workflow: Workflow | None = None
        self.alive = True
        self.is_stale = False
        self.gateway_error = None

    @property
    def is_fresh(self) -> bool:
        return self.alive and not self.is_stale

    async def prepare(self, workflow: Workflow, _cwd: str) -> None:
        await self._pool.setup()
        self.workflow = workflow

    async def execute(self, execution: Execution, outputs: Any = None) -> StepResult:
        self._pool.executed.append(execution.run_id)
        await self._pool.step()
        return StepResult(Outcome(exports={"from": execution.step}), [])

    async def interrupt(self, grace: float = 0) -> None:
        pass

    async def close(self) -> None:
        self.alive = False


async def at_once() -> None:
    await asyncio.sleep(0)


class FakePool(KernelPool):
    """The pool, with `FakeKernel`: `setup` and `step` are what its kernels do."""

    def __init__(self, max_kernels: int, limits: Limits) -> None:
        manager = SimpleNamespace(cwd_for_path=str)
        super().__init__(manager, max_kernels=max_kernels, idle_seconds=60, limits=limits)
        self.executed: list[str] = []
        self.setup: Callable[[], Awaitable[None]] = at_once
        self.step: Callable[[], Awaitable[None]] = at_once

    async def _start_new(self, kernel_name: str, cwd_path: str) -> Kernel:
        return cast("Kernel", FakeKernel(self))


class FaultyStore(MemoryStore):
    """A memory store whose next transactions raise `faults`, one each; None is no fault."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.faults: list[PDFlowError | None] = []
        self.loads = 0

    async def get(self, run_id: str) -> Run:
        self.loads += 1
        return await super().get(run_id)

    @asynccontextmanager
    async def transaction(self, run_id: str) -> AsyncIterator[MemoryTransaction]:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        async with super().transaction(run_id) as transaction:
            yield transaction


class Engine:
    """A service that is not opened yet."""

    def __init__(self, path: Path, data: Data, max_kernels: int = 1, **limits: float) -> None:
        given = Limits(**{"storage_retry_seconds": 0.01, **limits})  # type: ignore[arg-type]
        self.store, self.pool = FaultyStore(data), FakePool(max_kernels, given)
        mail: Any = {"mail_from": "f@x.org", "mail_to": [], "clock": utc_now, "links_for": no_links}
        folders = RunFolders(path / "files")
        folders.open()
        self.service = Service(
            self.store,
            self.pool,
            Outbox(self.store, None, **mail),
            lambda *_: ("r", "c"),
            folders=folders,
            limits=given,
        )

    async def becomes(self, run_id: str, status: str) -> Run:
        async with asyncio.timeout(10):
            while (run := await self.service.run(run_id)).status != status:
                await asyncio.sleep(0.005)
        return run


async def deploy(store: MemoryStore, name: str, steps: int = 1) -> Workflow:
    sources = (StepSource(name=f"s{number}", source="") for number in range(steps))
    source = Source(kernel_name="python3", setup=(), steps=tuple(sources))
    return (await store.deploy(f"{name}.ipynb", source, utc_now()))[0]
