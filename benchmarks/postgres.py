"""What a database that several processes share costs: R, waiting runs, timers, a worker that dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks import timers
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.peers import dbos, restate
from benchmarks.product import Product, serving, temporary_folder
from benchmarks.warm import MAX_KERNELS, Resume, Resumer, udp_signals
from jupyter_pdflow.stores.postgres.migrate import migrate
from tests.cluster import Cluster
from tests.postgres import PostgresServer, postgres_server

SAMPLES, QUICK = 500, 60
TURN = 50
WAITING, QUICK_WAITING = 1_000_000, 20_000
DUE, QUICK_DUE = 10_000, 500
IDLE_SECONDS, QUICK_IDLE_SECONDS = 60.0, 5.0
R_TINYDB, R_LOCAL, R_QUEUE = "R, TinyDB", "R, claimed by the front end", "R, through the queue"

NAP = (
    "import time",
    "%%step nap\ndef handler(pd):\n    time.sleep(0.2)\n",
)
TIMED = (
    "import time",
    "%%step wait\ndef handler(pd):\n    return pd.flow.suspend(30 * 86_400_000)\n",
)


def measure(quick: bool) -> Figures:
    """Measure a database beside a data directory in the same run."""
    with temporary_folder() as folder, postgres_server(**SETTINGS) as postgres:
        yield from _resumes(folder / "r", postgres, QUICK if quick else SAMPLES)
        yield from dbos.resumes(postgres.database(), QUICK if quick else SAMPLES)
        yield from restate.resumes(folder, QUICK if quick else SAMPLES)
        yield from _beside_waiting(folder / "waiting", postgres, quick)
        yield from _lost_worker(folder / "lost", postgres, 2 if quick else 5)
        yield from _scaling(folder / "scaling", postgres, 40 if quick else 200)
    # A server of its own: what others have written may be on its way to the disk for minutes.
    with temporary_folder() as folder, postgres_server(**SETTINGS) as postgres:
        yield from _timers(folder, postgres, quick)


SETTINGS = {"fsync": "on", "shared_buffers": "512MB", "max_wal_size": "4GB"}


@contextmanager
def _cluster(folder: Path, postgres: PostgresServer) -> Iterator[Cluster]:
    url = postgres.database()
    migrate(url)
    with Cluster(folder, url) as cluster:
        yield cluster


# --- R --------------------------------------------------------------------------------


def _resumes(folder: Path, postgres: PostgresServer, count: int) -> Figures:
    """Measure R on TinyDB, with a local claim, and through the queue, in turns."""
    found: dict[str, list[Resume]] = {R_TINYDB: [], R_LOCAL: [], R_QUEUE: []}
    with ExitStack() as stack:
        resumers = {
            R_TINYDB: _resumer(stack, stack.enter_context(serving(folder / "t", MAX_KERNELS))),
            R_LOCAL: _resumer(stack, _local(stack, folder / "l", postgres)),
            R_QUEUE: _resumer(stack, _through_queue(stack, folder / "q", postgres)),
        }
        turns = max(2, count // TURN)
        for _ in range(turns):
            for name, resumer in resumers.items():
                found[name] += resumer.resumes(count // turns)
    goals = {R_LOCAL: 1.3, R_QUEUE: 2.5}
    for name, resumes in found.items():
        times = [(line - sent) / 1e6 for sent, _, line in resumes]
        limit = goals.get(name)
        kept = (Goal("p50", limit, of=R_TINYDB),) if limit else ()
        yield Figure(name, "ms", times, "figure" if limit else "baseline", kept)
        answers = [(back - sent) / 1e6 for sent, back, _ in resumes]
        yield Figure(f"the link's answer is back, {name[3:]}", "ms", answers)


def _resumer(stack: ExitStack, product: Product) -> Resumer:
    return Resumer(product, stack.enter_context(udp_signals()))


def _local(stack: ExitStack, folder: Path, postgres: PostgresServer) -> Product:
    cluster = stack.enter_context(_cluster(folder, postgres))
    return Product(cluster.front(kernels=1))


def _through_queue(stack: ExitStack, folder: Path, postgres: PostgresServer) -> Product:
    cluster = stack.enter_context(_cluster(folder, postgres))
    product = Product(cluster.front())
    cluster.worker(kernels=1)
    cluster.wait_workers()
    return product


# --- timers ---------------------------------------------------------------------------


def _timers(folder: Path, postgres: PostgresServer, quick: bool) -> Figures:
    """Measure how late timers are that one front end watches and executes."""
    with _cluster(folder, postgres) as cluster:
        product = Product(cluster.front(kernels=4), cluster.database)
        yield from timers.of_server(product, quick, (50.0, 50.0))


# --- beside many that wait ------------------------------------------------------------


def _beside_waiting(folder: Path, postgres: PostgresServer, quick: bool) -> Figures:
    count = 100 if quick else SAMPLES
    waiting = QUICK_WAITING if quick else WAITING
    with _cluster(folder, postgres) as cluster, udp_signals() as signals:
        product = Product(cluster.front(kernels=1))
        resumer = Resumer(product, signals)
        none, many = "R beside none", f"R beside {waiting:,}"
        yield Figure(none, "ms", _times(resumer.resumes(count)))
        template = product.paused(product.server.deploy("timed", TIMED)["id"])["id"]
        _multiply(cluster.database, template, waiting)
        yield Figure(many, "ms", _times(resumer.resumes(count)), goals=(Goal("p50", 1.2, of=none),))
        yield _idle(cluster, postgres, QUICK_IDLE_SECONDS if quick else IDLE_SECONDS)
        yield from _due(cluster, QUICK_DUE if quick else DUE)


def _times(resumes: list[Resume]) -> list[float]:
    return [(line - sent) / 1e6 for sent, _, line in resumes]


def _multiply(url: str, run_id: str, count: int) -> None:
    """Store copies of a paused run that has no deadline soon, with ids of their own."""
    columns = (
        "workflow_id, status, pause, created_at, updated_at, ended_at, due_at, owner, lease_until, queue, "
        "rank, job, summary, search"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(0, count, 50_000):
            connection.execute(
                f"INSERT INTO pdflow.runs (id, record, {columns}) "
                f"SELECT made, convert_to(replace(text, %(id)s, made), 'UTF8'), {columns} FROM "
                "(SELECT *, convert_from(record, 'UTF8') AS text, "
                "  '00' || lpad(number::text, 24, '0') AS made FROM pdflow.runs, "
                "  generate_series(%(first)s::int, %(last)s::int) AS number WHERE id = %(id)s) AS s",
                {"id": run_id, "first": start + 1, "last": min(start + 50_000, count)},
            )
        connection.execute("VACUUM ANALYZE pdflow.runs")
        connection.execute("CHECKPOINT")  # or the server writes gigabytes while it is measured


def _idle(cluster: Cluster, postgres: PostgresServer, seconds: float) -> Figure:
    """Measure the CPU time of the front end and of the database while all runs wait."""
    front = cluster.fronts[0].process
    assert front is not None
    server = psutil.Process(int((postgres.folder / "data/postmaster.pid").read_text().split()[0]))

    def used() -> float:
        processes = [psutil.Process(front.pid), server, *server.children()]
        return sum(sum(each.cpu_times()[:2]) for each in processes if each.is_running())

    time.sleep(2)
    before = used()
    time.sleep(seconds)
    share = 100 * (used() - before) / seconds
    name = "CPU of front end and database while these wait"
    return Figure(name, "% of a core", [share], goals=(Goal("p50", 1.0),))


def _due(cluster: Cluster, count: int) -> Figures:
    """Let many runs be due within one second; measure how late the decisions are."""
    with psycopg.connect(cluster.database, autocommit=True) as connection:
        start = time.time() + 3
        connection.execute(_SET_DUE, {"start": start, "count": count})
    yield Figure(
        f"{count:,} due in one second, until the last is decided",
        "s",
        [_until_decided(cluster, count, start)],
        goals=(Goal("p50", 15.0),),
    )


_SET_DUE = """
UPDATE pdflow.runs SET due_at = chosen.at, record = convert_to(regexp_replace(
    convert_from(record, 'UTF8'), '"deadline":"[^"]*"', '"deadline":"' ||
    to_char(chosen.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"'), 'UTF8')
FROM (SELECT id, to_timestamp(%(start)s) + random() * interval '1 s' AS at FROM pdflow.runs
    WHERE id LIKE '00%%' ORDER BY id LIMIT %(count)s) AS chosen WHERE runs.id = chosen.id
"""
"""Sets the deadlines of copied runs, in their records, too."""


def _until_decided(cluster: Cluster, count: int, start: float) -> float:
    while True:
        time.sleep(0.2)
        with psycopg.connect(cluster.database) as connection:
            row = connection.execute(
                "SELECT count(*), max(updated_at) FROM pdflow.runs "
                "WHERE id LIKE '00%%' AND status <> 'paused'"
            ).fetchone()
        assert row is not None
        if row[0] >= count:
            last: datetime = row[1]
            return last.timestamp() - start - 1


# --- workers --------------------------------------------------------------------------


def _lost_worker(folder: Path, postgres: PostgresServer, rounds: int) -> Figures:
    """Kill the worker that executes a run; measure until another one executes it."""
    found: list[float] = []
    with _cluster(folder, postgres) as cluster:
        product = Product(cluster.front())
        workflow = product.server.deploy("nap", ("import time", NAP[1].replace("0.2", "2")))["id"]
        for _ in range(2):
            cluster.worker(kernels=1)
        cluster.wait_workers()
        for _ in range(rounds):
            run = product.wait(product.start(workflow), "running")
            time.sleep(0.5)
            worker = next(each for each in cluster.workers if _executes(cluster, each.name))
            worker.kill()
            began = time.time()
            _until_begun_again(product, run["id"])
            found.append(time.time() - began)
            product.wait(run["id"], "succeeded")
            worker.start()
            cluster.wait_workers(timeout=120)  # the killed process is listed for a minute
    yield Figure(
        "a worker is killed, until another begins its step", "s", found, goals=(Goal("p99", 20),)
    )


def _executes(cluster: Cluster, name: str) -> bool:
    workers = cluster.fronts[0].api("GET", "/health").json()["workers"]
    return any(each["name"] == name and each["busy"] for each in workers)


def _until_begun_again(product: Product, run_id: str) -> None:
    while True:
        history: list[Any] = product.api("GET", f"/runs/{run_id}/history")
        if sum(entry["event"] == "begin" for entry in history) > 1:
            return
        time.sleep(0.05)


def _scaling(folder: Path, postgres: PostgresServer, runs: int) -> Figures:
    """Measure runs per second of steps that wait 200 ms, by the number of workers."""
    for workers in (1, 2, 4, 8):
        with _cluster(folder / str(workers), postgres) as cluster:
            product = Product(cluster.front())
            workflow = product.server.deploy("nap", NAP)["id"]
            for _ in range(workers):
                cluster.worker(kernels=2)
            cluster.wait_workers()
            _ended(product, workflow, 4 * workers)  # kernels are warm then
            began = time.time()
            _ended(product, workflow, runs)
            rate = runs / (time.time() - began)
        name = f"steps that wait 200 ms, {workers} workers of 2 kernels"
        yield Figure(name, "runs/s", [rate], note=f"at most {workers * 2 / 0.2:g}")


def _ended(product: Product, workflow: str, count: int) -> None:
    connections = [product.connect() for _ in range(4)]
    path = f"/pdflow/api/workflows/{workflow}/runs"

    def start(number: int) -> None:
        for _ in range(number, count, len(connections)):
            connections[number].request("POST", path, {"event": None}).json()

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(start, range(len(connections))))
    for connection in connections:
        connection.close()
    _wait_none(product)


def _wait_none(product: Product) -> None:
    busy: Callable[[str], Any] = lambda status: product.api("GET", f"/runs?status={status}&limit=1")
    while any(busy(status) for status in ("queued", "running")):
        time.sleep(0.05)
