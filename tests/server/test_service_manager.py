"""How the services of a database are opened: again after any error, and by one attempt at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jupyter_pdflow.exceptions import SchemaError, StorageUnavailableError
from jupyter_pdflow.server import services as services_module
from jupyter_pdflow.server.services import ServiceManager, Services
from jupyter_pdflow.stores import RunChange
from tests.waiting import until


class FakeServices:
    """Services that are opened; `changes` is what their service's method does."""

    def __init__(self) -> None:
        self.is_closed = False
        self.service = SimpleNamespace(changes=self.changes, stop=self.stop)

    async def changes(self) -> AsyncIterator[RunChange]:
        async def none() -> AsyncIterator[RunChange]:
            await asyncio.Event().wait()
            yield cast("RunChange", None)

        return none()

    async def open(self) -> None: ...

    async def stop(self) -> None: ...

    async def close(self) -> None:
        self.is_closed = True


def manager(build: Callable[[], Any]) -> ServiceManager:
    async def built() -> Services:
        return cast("Services", await build())

    return ServiceManager(None, built, lambda _: None, url="http://localhost/")


async def test_services_are_opened_once_the_tables_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services_module, "RETRY_SECONDS", 0.01)
    errors: list[Exception] = [SchemaError("The tables are missing.")] * 3

    async def build() -> FakeServices:
        if errors:
            raise errors.pop()
        return FakeServices()

    made = manager(build)
    made.start()
    await until(lambda: made.opened)
    await made.close()


async def test_requests_do_not_wait_for_each_other_s_attempts() -> None:
    async def build() -> FakeServices:
        await asyncio.sleep(0.2)
        msg = "The database can't be used."
        raise StorageUnavailableError(msg)

    made = manager(build)
    began = time.monotonic()
    answers = await asyncio.gather(*(made.services() for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageUnavailableError}
    assert time.monotonic() - began < 1


async def test_services_that_are_given_up_before_they_are_open_are_closed() -> None:
    built = FakeServices()

    async def wait() -> AsyncIterator[RunChange]:
        await asyncio.Event().wait()
        raise AssertionError

    async def build() -> FakeServices:
        built.service.changes = wait
        return built

    made = manager(build)
    made.start()
    await asyncio.sleep(0.01)
    await made.close()
    assert built.is_closed
