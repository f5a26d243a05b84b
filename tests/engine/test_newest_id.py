"""Starts wait a short time for the id of the newest run, whatever the store does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from jupyter_client.multikernelmanager import AsyncMultiKernelManager

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine import service as service_module
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.workflow import Source, StepSource
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.rules.support import no_links

Newest = Callable[[], Awaitable[str | None]]
Open = Callable[[Newest], Awaitable[Service]]

NEWEST = "01Z8F1FT4TCH0KP3RZPQ2DMJ33"
SOURCE = Source(kernel_name="python3", setup=(), steps=(StepSource(name="a", source=""),))


@pytest.fixture
async def open_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    """Yield a function that opens a service on a store whose `newest` is as given."""
    opened: list[Service] = []

    async def open_service(newest: Newest) -> Service:
        store = TinyDBStore(tmp_path)
        monkeypatch.setattr(store, "newest", newest)
        outbox = Outbox(store, None, mail_from="", mail_to=[], clock=utc_now, links_for=no_links)
        service = Service(
            store,
            KernelPool(AsyncMultiKernelManager(), max_kernels=0, idle_seconds=1),
            outbox,
            lambda *_: ("", ""),
            folders=RunFolders(tmp_path / FILES),
            limits=Limits(storage_retry_seconds=0.02),
        )
        opened.append(service)
        await service.open()
        return service

    yield open_service
    for service in opened:
        await service.close()


async def started(service: Service) -> str:
    """Start a run, in a short time; return its id."""
    workflow, _ = await service.deploy("flow.ipynb", SOURCE)
    async with asyncio.timeout(5):
        return (await service.start(workflow.id)).id


@pytest.mark.parametrize("error", [StorageUnavailableError("full"), AttributeError("unexpected")])
async def test_the_newest_id_is_read_again_after_an_error(
    open_service: Open, error: Exception
) -> None:
    errors = [error, error]

    async def newest() -> str:
        if errors:
            raise errors.pop()
        return NEWEST

    assert await started(await open_service(newest)) > NEWEST
    assert not errors


async def hanging() -> str | None:
    for _ in range(4):
        with suppress(asyncio.CancelledError):  # a thread that reads can't be canceled
            await asyncio.sleep(0.5)
    return None


async def failing() -> str | None:
    raise AttributeError


@pytest.mark.parametrize("newest", [hanging, failing])
async def test_starts_follow_the_clock_if_the_newest_id_can_not_be_read(
    open_service: Open,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    newest: Newest,
) -> None:
    monkeypatch.setattr(service_module, "NEWEST_SECONDS", 0.2, raising=False)
    service = await open_service(newest)
    with caplog.at_level(logging.ERROR):
        first, second = await started(service), await started(service)
    assert first < second
    assert caplog.text.count("The newest run can't be found") == 1
