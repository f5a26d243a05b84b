"""Metrics for Prometheus, under Jupyter's own ``/metrics``.

Jupyter serves the process's registry, so metrics are registered when this module is imported, once
for all servers of a process. Figures of several servers are added up.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.rules.run import STATUSES
from jupyter_pdflow.server.health import Snapshot

EMAIL_STATUSES = ("queued", "failed")
"""The statuses of emails that may need attention."""

READY_BUCKETS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""Upper bounds in seconds: a warm kernel takes milliseconds, a queue for kernels takes minutes."""

READY_SECONDS = Histogram(
    "jupyter_pdflow_ready_seconds",
    "Seconds from the commit that makes a run ready, by a start or a resume for example, until its "
    "step is given to a kernel.",
    buckets=READY_BUCKETS,
)

FAILED_RUNS = Counter(
    "jupyter_pdflow_failed_runs", "Runs that have failed since the server's start.", ["workflow"]
)

LAPSED_LEASES = Counter(
    "jupyter_pdflow_lapsed_leases",
    "Attempts that this process has taken over from one that was gone, since its start.",
)

SnapshotSource = Callable[[], Snapshot | None]


class RunsCollector(Collector):
    """Turns the snapshots of the servers of this process into metrics when they are collected.

    Parameters
    ----------
    clock : callable
        Returns the current time.
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._sources: list[SnapshotSource] = []

    def add(self, source: SnapshotSource) -> Callable[[], None]:
        """Collect the snapshots of a server, too.

        Parameters
        ----------
        source : callable
            Returns the server's current snapshot, or None if there is none. It must not block.

        Returns
        -------
        callable
            Ends that; to be called when the server stops, once.
        """
        self._sources.append(source)
        return lambda: self._sources.remove(source)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics without samples."""
        return _families([], self._clock())

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics; without samples if no server has a snapshot."""
        found = [snapshot for source in self._sources if (snapshot := source()) is not None]
        return _families(found, self._clock())


def _families(snapshots: list[Snapshot], now: datetime) -> Iterator[GaugeMetricFamily]:
    yield _by_label(
        "jupyter_pdflow_runs",
        "Runs by status.",
        "status",
        [{status: one.runs.get(status, 0) for status in STATUSES} for one in snapshots],
    )
    yield _by_label(
        "jupyter_pdflow_queued_runs",
        "Queued runs by workflow.",
        "workflow",
        [one.queued for one in snapshots],
    )
    yield _by_label(
        "jupyter_pdflow_emails",
        "Emails that are not delivered, by status.",
        "status",
        [{status: one.emails.get(status, 0) for status in EMAIL_STATUSES} for one in snapshots],
    )
    yield _sum(
        "jupyter_pdflow_oldest_queued_age_seconds",
        "Seconds for which the run that waits longest for a kernel is queued; 0 if none is.",
        [max((_age(one, now) for one in snapshots), default=0.0)] if snapshots else [],
    )
    workers = [worker for one in snapshots for worker in one.workers]
    yield _sum(
        "jupyter_pdflow_kernels",
        "Kernels that workers may have at a time.",
        [worker.kernels for worker in workers],
    )
    yield _sum(
        "jupyter_pdflow_busy_kernels",
        "Kernels that are executing a step.",
        [worker.busy for worker in workers],
    )


def _by_label(name: str, text: str, label: str, counts: list[dict[str, int]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    total: Tally[str] = Tally()
    for each in counts:
        total.update(each)
    for value, count in total.items():
        family.add_metric([value], count)
    return family


def _sum(name: str, text: str, values: list[float] | list[int]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=sum(values) if values else None)


def _age(snapshot: Snapshot, now: datetime) -> float:
    since = snapshot.oldest_queued_at
    return max(0.0, (now - since).total_seconds()) if since else 0.0


COLLECTOR = RunsCollector()
"""The collector of this process; a server adds itself to it while it runs."""

REGISTRY.register(COLLECTOR)
