"""A run that finds a warm kernel begins with the commit that makes it ready, or not at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Source, StepSource
from jupyter_pdflow.stores.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.kernels.conftest import app, make_pool, manager  # noqa: F401  fixtures
from tests.rules.support import no_links
from tests.stores.tinydb.support import failing

STEPS = (
    "def handler(pd):\n    pd.flow.suspend(pd.steps.trigger.event)",
    "def handler(pd):\n    import os\n    return os.getpid()",
)
SOURCE = Source(
    kernel_name="python3",
    setup=(),
    steps=tuple(StepSource(name=f"step_{n}", source=source) for n, source in enumerate(STEPS)),
)
Open = Callable[[], Awaitable[Service]]


@pytest.fixture
async def reopen(
    tmp_path: Path,
    make_pool: Callable[..., KernelPool],  # noqa: F811
) -> AsyncIterator[Open]:
    """Yield a function that opens a service; the one before has to be closed."""
    opened: list[Service] = []

    async def reopen() -> Service:
        data_dir = tmp_path / "flows"
        store = TinyDBStore(data_dir)
        outbox = Outbox(
            store, None, mail_from="f@x.org", mail_to=[], clock=utc_now, links_for=no_links
        )
        folders = RunFolders(data_dir / FILES)
        folders.open()
        service = Service(
            store, make_pool(max_kernels=1), outbox, lambda *_: ("r", "c"), folders=folders
        )
        await service.open()
        opened[:] = [service]
        return service

    yield reopen
    await opened[0].close()


async def becomes(service: Service, run_id: str, status: str) -> Run:
    async with asyncio.timeout(30):
        while (run := await service.run(run_id)).status != status:
            await asyncio.sleep(0.01)
    return run


async def paused(service: Service, milliseconds: int = 600_000) -> Run:
    """Pause a run; its kernel is warm then."""
    workflow, _ = await service.deploy("flow.ipynb", SOURCE)
    run = await becomes(service, (await service.start(workflow.id, milliseconds)).id, "paused")
    while service.busy:
        await asyncio.sleep(0.01)
    return run


async def resume(service: Service, run: Run) -> Run:
    return await service.resume(run.id, Answer("api", {"body": None}))


async def events(service: Service, run: Run) -> list[str]:
    return [entry.event for entry in (await service.history(run.id)).values()]


async def test_a_resume_on_a_warm_kernel_is_one_line(reopen: Open, tmp_path: Path) -> None:
    service = await reopen()
    run = await paused(service)
    path = tmp_path / "flows" / "active" / f"{run.id}.jsonl"
    lines = path.read_bytes().count(b"\n")
    resumed = await resume(service, run)
    assert resumed.status == "running"
    assert resumed.owner is not None
    assert path.read_bytes().count(b"\n") == lines + 1
    await becomes(service, run.id, "succeeded")
    assert (await events(service, run))[-3:] == ["resume", "begin", "finish"]


async def test_a_kernel_of_a_commit_that_fails_is_free_again(reopen: Open) -> None:
    service = await reopen()
    first, second = await paused(service), await paused(service)
    with failing("pwrite"):
        for _ in range(3):
            with pytest.raises(StorageUnavailableError):
                await resume(service, first)
    assert await service.run(first.id) == first
    pids = []
    for run in (first, second):
        await resume(service, run)
        ended = await becomes(service, run.id, "succeeded")
        pids.append(ended.steps[1].exports["$return_value"])
    assert len(set(pids)) == 1


async def test_of_two_runs_one_has_the_kernel_and_the_other_queues(reopen: Open) -> None:
    service = await reopen()
    runs = [await paused(service), await paused(service)]
    resumed = await asyncio.gather(*(resume(service, run) for run in runs))
    assert sorted(run.status for run in resumed) == ["queued", "running"]
    for run in runs:
        await becomes(service, run.id, "succeeded")


@pytest.mark.parametrize("stop_first", [True, False], ids=["stopped", "closed at once"])
@pytest.mark.parametrize("by_timer", [True, False], ids=["timer", "request"])
async def test_a_server_that_stops_while_the_commit_is_under_way(
    reopen: Open, monkeypatch: pytest.MonkeyPatch, stop_first: bool, by_timer: bool
) -> None:
    service = await reopen()
    await paused(service)  # the kernel is warm for the next one
    run = await paused(service, 1_000 if by_timer else 600_000)
    written, go = threading.Event(), threading.Event()

    def sync(_fd: int) -> None:
        written.set()
        go.wait(10)

    with monkeypatch.context() as patched:
        patched.setattr(appended, "sync_data", sync)
        resuming = None if by_timer else asyncio.create_task(resume(service, run))
        assert await asyncio.to_thread(written.wait, 10)
        asyncio.get_running_loop().call_later(0.3, go.set)
        if stop_first:
            await service.stop()
        await service.close()
    assert resuming is None or (await resuming).status == "running"
    service = await reopen()
    ended = await becomes(service, run.id, "succeeded")
    assert ended.crashes == 0
    assert "lapse" not in await events(service, run)
