"""Parts of a cluster fail 20 times; ``python -m tests.kills --cluster`` does it 500 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.cluster import fail_and_check
from tests.postgres import postgres_server

FAULTS = 20
SEED = 3


@pytest.mark.timeout(900)
def test_nothing_is_lost(tmp_path: Path) -> None:
    with postgres_server(fsync="on") as postgres:
        report = fail_and_check(tmp_path, postgres, FAULTS, SEED, print)
    assert sum(report.kills.values()) == FAULTS
    assert report.answered > FAULTS
