"""Fixtures that open data directories and indexes, and close them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.settings import Limits
from jupyter_pdflow.stores.tinydb.index import Index
from jupyter_pdflow.stores.tinydb.runs import Runs
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from jupyter_pdflow.stores.tinydb.writer import WriterThread
from tests.stores.tinydb.indexed import MemorySource, OpenIndex

SOON = Limits(storage_retry_seconds=0.02)

OpenRuns = Callable[[], tuple[Runs, list[Run]]]


class OpenStore(Protocol):
    """Opens a data directory; if it is open, closes it, and does something `between` the two."""

    def __call__(
        self, data_dir: Path, between: Callable[[], object] = ...
    ) -> Awaitable[TinyDBStore]: ...


class Reopen(Protocol):
    """Opens the test's data directory as `OpenStore`."""

    def __call__(self, between: Callable[[], object] = ...) -> Awaitable[TinyDBStore]: ...


def nothing() -> None:
    """Do nothing."""


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    stores: dict[Path, TinyDBStore] = {}

    async def open_store(data_dir: Path, between: Callable[[], object] = nothing) -> TinyDBStore:
        if data_dir in stores:
            await stores.pop(data_dir).close()
        between()
        store = stores[data_dir] = TinyDBStore(data_dir, limits=SOON)
        await store.open()
        return store

    yield open_store
    for store in stores.values():
        await store.close()


@pytest.fixture
def reopen(tmp_path: Path, open_store: OpenStore) -> Reopen:
    return lambda between=nothing: open_store(tmp_path, between)


@pytest.fixture
async def writer() -> AsyncIterator[WriterThread]:
    writer = WriterThread()
    yield writer
    await writer.close()


@pytest.fixture
def open_runs(tmp_path: Path, writer: WriterThread) -> OpenRuns:
    """Return a function that opens the runs of the test's data directory, and reads the active."""

    def open_runs() -> tuple[Runs, list[Run]]:
        runs = Runs(tmp_path, writer)
        return runs, list(runs.open(runs.recover()))

    return open_runs


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
async def open_index(tmp_path: Path, source: MemorySource) -> AsyncIterator[OpenIndex]:
    opened = []

    def make(given_source: Any = source, folder: Path = tmp_path) -> Index:
        index = Index(folder, given_source)
        opened.append(index)
        index.start()
        return index

    yield make
    for index in opened:
        source.gate.set()
        if not index._thread._shutdown:
            await index.close()
