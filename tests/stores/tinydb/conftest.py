"""Fixtures that open stores and indexes, and close them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.tinydb.index import Index
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.stores.tinydb.indexed import MemorySource, OpenIndex

OpenActive = Callable[[Path], tuple[TinyDBStore, list[Run]]]


@pytest.fixture
async def open_active() -> AsyncIterator[OpenActive]:
    """Yield a function that opens a data directory; it returns the store and its active runs."""
    stores = []

    def open_store(data_dir: Path) -> tuple[TinyDBStore, list[Run]]:
        store = TinyDBStore(data_dir)
        stores.append(store)
        return store, list(store.active())

    yield open_store
    for store in stores:
        await store.close()


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
