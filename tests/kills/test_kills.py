"""A server is killed 20 times under load; ``python -m tests.kills`` does that 300 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.harness import kill_and_check

KILLS = 20
SEED = 6


@pytest.mark.timeout(900)
def test_nothing_is_lost(tmp_path: Path) -> None:
    report = kill_and_check(tmp_path, KILLS, SEED, print)
    assert sum(report.kills.values()) == KILLS
    assert report.answered > KILLS
