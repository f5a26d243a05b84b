"""A data directory whenever a test needs one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.maintenance.lived import Lived, live
from tests.maintenance.support import Filled, fill


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Make a data directory with a paused and a finished run."""
    return fill(tmp_path / "data")


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Have real servers make a data directory; copy it, and leave it as it is."""
    return live(tmp_path_factory.mktemp("lived"))
