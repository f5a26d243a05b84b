"""Fixtures: data directories, made with and without real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.maintenance.sample_data import SampleData, make_sample_data
from tests.maintenance.server_data import ServerData, make_server_data


@pytest.fixture
def sample(tmp_path: Path) -> SampleData:
    """Make a data directory with a paused and a finished run."""
    return make_sample_data(tmp_path / "data")


@pytest.fixture(scope="session")
def server_data(tmp_path_factory: pytest.TempPathFactory) -> ServerData:
    """Return a data directory that real servers have made; tests copy it and do not change it."""
    return make_server_data(tmp_path_factory.mktemp("server_data"))
