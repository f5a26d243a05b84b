"""The answer of /health, and the metrics of one or several servers in a process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jupyter_pdflow.server import metrics
from jupyter_pdflow.server.api.models import health_view
from jupyter_pdflow.server.health import Snapshot, Snapshots
from jupyter_pdflow.server.metrics import RunsCollector
from jupyter_pdflow.stores import WorkerState

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
WORKER = WorkerState(name="a", host="h", queues=["default"], kernels=4, busy=1, seen_at=NOW)
SNAPSHOT = Snapshot(
    store="tinydb",
    available=True,
    runs={"queued": 2, "paused": 7, "failed": 1},
    queued={"orders": 2},
    oldest_queued_at=NOW - timedelta(seconds=90),
    emails={"queued": 3, "sent": 100},
    workers=[WORKER],
)
EMPTY = Snapshot(
    store="tinydb",
    available=True,
    runs={},
    queued={},
    oldest_queued_at=None,
    emails={},
    workers=[replace(WORKER, busy=0)],
)


def samples_of(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return the samples as a reader of ``/metrics`` gets them: name and labels, and value."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def collected(*snapshots: Snapshot | None) -> dict[tuple[str, ...], float]:
    registry, collector = CollectorRegistry(), RunsCollector(lambda: NOW)
    registry.register(collector)
    for snapshot in snapshots:
        collector.add(lambda snapshot=snapshot: snapshot)
    return samples_of(registry)


def test_health_has_the_documented_shape() -> None:
    assert to_builtins(health_view(SNAPSHOT)) == {
        "status": "ok",
        "store": "tinydb",
        "workers": [
            {
                "name": "a",
                "host": "h",
                "queues": ["default"],
                "kernels": 4,
                "busy": 1,
                "seen_at": "2026-11-27T12:00:00.000Z",
            }
        ],
        "queued": 2,
        "running": 0,
        "paused": 7,
        "oldest_queued_at": "2026-11-27T11:58:30.000Z",
    }
    assert health_view(replace(SNAPSHOT, available=False)).status == "unavailable"
    assert health_view(EMPTY).oldest_queued_at is None


def test_a_snapshot_becomes_metrics() -> None:
    assert collected(SNAPSHOT) == {
        ("jupyter_pdflow_runs", "queued"): 2,
        ("jupyter_pdflow_runs", "running"): 0,
        ("jupyter_pdflow_runs", "paused"): 7,
        ("jupyter_pdflow_runs", "succeeded"): 0,
        ("jupyter_pdflow_runs", "failed"): 1,
        ("jupyter_pdflow_runs", "canceled"): 0,
        ("jupyter_pdflow_queued_runs", "orders"): 2,
        ("jupyter_pdflow_emails", "queued"): 3,
        ("jupyter_pdflow_emails", "failed"): 0,
        ("jupyter_pdflow_oldest_queued_age_seconds",): 90,
        ("jupyter_pdflow_kernels",): 4,
        ("jupyter_pdflow_busy_kernels",): 1,
    }


def test_several_servers_are_added_up() -> None:
    both = collected(SNAPSHOT, EMPTY, None, SNAPSHOT)
    assert both["jupyter_pdflow_runs", "paused"] == 14
    assert both["jupyter_pdflow_queued_runs", "orders"] == 4
    assert both["jupyter_pdflow_kernels",] == 12
    assert both["jupyter_pdflow_oldest_queued_age_seconds",] == 90


@pytest.mark.parametrize("clock_seconds", [0, -3600])
def test_no_age_is_negative(clock_seconds: int) -> None:
    registry = CollectorRegistry()
    collector = RunsCollector(lambda: NOW + timedelta(seconds=clock_seconds))
    registry.register(collector)
    collector.add(lambda: EMPTY)
    collector.add(lambda: replace(EMPTY, oldest_queued_at=NOW))
    assert samples_of(registry)["jupyter_pdflow_oldest_queued_age_seconds",] == 0


def test_without_a_snapshot_there_are_no_samples() -> None:
    assert collected() == {}
    assert collected(None) == {}


def test_a_server_that_has_stopped_is_collected_no_more() -> None:
    registry, collector = CollectorRegistry(), RunsCollector(lambda: NOW)
    registry.register(collector)
    first, second = collector.add(lambda: SNAPSHOT), collector.add(lambda: SNAPSHOT)
    first()
    assert samples_of(registry)["jupyter_pdflow_runs", "paused"] == 7
    second()
    assert samples_of(registry) == {}


def test_jupyters_registry_has_all_metrics() -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    failed = value("jupyter_pdflow_failed_runs_total", workflow="metrics-test")
    fast = value("jupyter_pdflow_ready_seconds_bucket", le="0.002")
    count = value("jupyter_pdflow_ready_seconds_count")
    metrics.FAILED_RUNS.labels("metrics-test").inc()
    metrics.READY_SECONDS.observe(0.0015)
    remove = metrics.COLLECTOR.add(lambda: SNAPSHOT)
    try:
        assert value("jupyter_pdflow_runs", status="paused") >= 7
    finally:
        remove()
    assert value("jupyter_pdflow_failed_runs_total", workflow="metrics-test") == failed + 1
    assert value("jupyter_pdflow_ready_seconds_bucket", le="0.002") == fast + 1
    assert value("jupyter_pdflow_ready_seconds_count") == count + 1


def test_names_follow_the_rules_of_prometheus() -> None:
    families = list(RunsCollector().describe())
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    for family in families:
        assert family.name.startswith("jupyter_pdflow_")
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert family.documentation.endswith(".")
        assert not family.samples


def test_the_metrics_stand_beside_jupyters_own() -> None:
    """The import of both in a new process finds no name twice."""
    code = "import jupyter_pdflow.server.metrics, jupyter_server.prometheus.metrics"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class Source:
    """Makes snapshots with growing numbers of paused runs, or fails."""

    def __init__(self) -> None:
        self.made = 0
        self.fails = False

    async def make(self) -> Snapshot:
        self.made += 1
        if self.fails:
            raise TimeoutError
        return replace(SNAPSHOT, runs={"paused": self.made})


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen")


async def test_snapshots_are_made_while_they_are_read() -> None:
    source = Source()
    snapshots = Snapshots(source.make, refresh_seconds=0.01, watched_seconds=60)
    assert source.made == 0
    assert snapshots.latest() is None
    await until(lambda: source.made >= 3)
    latest = snapshots.latest()
    assert latest is not None
    assert latest.runs["paused"] >= 2
    await snapshots.close()
    made = source.made
    await asyncio.sleep(0.05)
    assert source.made == made


async def test_snapshots_end_when_nobody_reads_them_and_begin_again() -> None:
    source = Source()
    snapshots = Snapshots(source.make, refresh_seconds=0.01, watched_seconds=0.02)
    snapshots.latest()
    await until(lambda: source.made and snapshots._refreshing is None)
    made = source.made
    assert snapshots.latest() is None  # an old one would look like a new one
    await until(lambda: source.made > made)
    await snapshots.close()


async def test_a_snapshot_that_can_not_be_made_is_none(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    snapshots = Snapshots(source.make, refresh_seconds=0.01, watched_seconds=60)
    snapshots.latest()
    await until(lambda: snapshots.latest() is not None)
    source.fails, source.made = True, 0
    await until(lambda: snapshots.latest() is None)
    await until(lambda: source.made > 6)
    assert caplog.text.count("can't be read") == 1  # once, not every few seconds
    source.fails = False
    await until(lambda: snapshots.latest() is not None)
    await snapshots.close()
