"""Links that are clicked at two front ends at once, at the moment of their timeout.

``python -m tests.worker.races --links 10000`` does that for long.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.cluster import Cluster
from tests.postgres import postgres_server
from tests.servers import JupyterServer, wait_until

AT_ONCE = 50
TIMEOUT_MS = 6_000
CELLS = (
    "%load_ext jupyter_pdflow",
    '%%step ask\ndef handler(pd):\n    pd.flow.suspend(pd.steps["trigger"]["event"])',
    '%%step done\ndef handler(pd):\n    return pd.steps["ask"]["$resume_data"]',
)


def race(
    cluster: Cluster, links: int, at_once: int = AT_ONCE, timeout_ms: int = TIMEOUT_MS
) -> Counter[str]:
    """Let front ends and timers race for links; return who has won how often.

    A busy machine needs more time until the links of all runs are known.

    Raises
    ------
    AssertionError
        A link has two winners, or none, or another one than its clients were told.
    """
    workflow = cluster.fronts[0].deploy("race", CELLS)
    winners: Counter[str] = Counter()
    for start in range(0, links, at_once):
        count = min(at_once, links - start)
        runs = [cluster.fronts[0].run(workflow, timeout_ms)["id"] for _ in range(count)]
        with ThreadPoolExecutor(2 * at_once) as pool:
            winners.update(pool.map(lambda run_id: _race_for(cluster.fronts, run_id), runs))
    return winners


def _race_for(fronts: list[JupyterServer], run_id: str) -> str:
    paused = fronts[0].wait_run(run_id, "paused")
    deadline = datetime.fromisoformat(paused["pause"]["deadline"])
    path = paused["pause"]["resume_url"].removeprefix(fronts[0].url)
    with ThreadPoolExecutor(len(fronts)) as pool:
        clicks = [pool.submit(_click, front, path, deadline) for front in fronts[:2]]
        statuses = [click.result() for click in clicks]
    ended = fronts[-1].wait_run(run_id, "succeeded")
    given: Any = ended["steps"][0]["exports"]["$resume_data"]
    accepted = [number for number, status in enumerate(statuses) if status == 200]
    assert set(statuses) <= {200, 410}, statuses
    assert len(accepted) <= 1, f"two winners: {ended}"
    expected = {"at": f"127.0.0.1:{fronts[accepted[0]].port}"} if accepted else None
    assert (given and given["body"]) == expected, f"another winner than {statuses}: {ended}"
    return f"front end {accepted[0]}" if accepted else "timer"


def _click(front: JupyterServer, path: str, at: datetime) -> int:
    with httpx.Client(trust_env=False, verify=False, timeout=60) as client:
        time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds() - 0.004))
        answer = client.post(f"{front.url}{path}", json={"at": f"127.0.0.1:{front.port}"})
        return answer.status_code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--timeout-ms", type=int, default=TIMEOUT_MS)
    options = parser.parse_args()
    from jupyter_pdflow.stores.postgres.migrate import migrate

    with tempfile.TemporaryDirectory() as folder, postgres_server(fsync="on") as postgres:
        database = postgres.database()
        migrate(database)
        with Cluster(Path(folder), database) as cluster:
            for _ in range(2):
                cluster.front()
            cluster.worker(kernels=4)
            wait_until(cluster.wait_workers, "a worker")
            print(race(cluster, options.links, options.at_once, options.timeout_ms))


if __name__ == "__main__":
    main()
