"""A fixture that opens stores, and closes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

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
