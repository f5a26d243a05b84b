"""The store on TinyDB does what every store has to do."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.stores.conformance import StoreConformance


class TestTinyDBStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def data_dir(self, tmp_path: Path) -> None:
        self._data_dir = tmp_path

    def make(self) -> Store:
        return TinyDBStore(self._data_dir)

    @contextmanager
    def broken(self, store: Store) -> Iterator[None]:
        """Let the operating system refuse every write to a file."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
