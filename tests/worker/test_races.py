"""200 links, each clicked at two front ends at once; ``tests.worker.races`` does it with 10,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.worker.races import race

LINKS = 200

pytestmark = pytest.mark.server


@pytest.mark.timeout(300)
def test_each_link_has_one_winner(tmp_path: Path, database: str) -> None:
    with cluster(tmp_path, database) as made:
        for _ in range(2):
            made.front()
        made.worker(kernels=2)
        made.wait_workers()
        winners = race(made, LINKS)
    assert sum(winners.values()) == LINKS
    assert len(winners) > 1, winners
