"""The store in memory does what every store has to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jupyter_pdflow.stores.base import Store
from tests.stores.conformance import StoreConformance
from tests.stores.memory import Data, MemoryStore


class TestMemoryStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def data(self) -> None:
        self._data = Data()

    def make(self) -> Store:
        return MemoryStore(self._data)

    @contextmanager
    def broken(self, store: Store) -> Iterator[None]:
        assert isinstance(store, MemoryStore)
        store.broken = True
        yield
        store.broken = False
