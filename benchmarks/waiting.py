"""What waiting runs cost: R, start, memory, kernels and CPU with 0 to 100,000 of them."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.baselines import executed, written
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.product import Product, serving, temporary_folder
from benchmarks.seeding import seed

COUNTS, QUICK_COUNTS = (0, 1_000, 10_000, 100_000), (0, 1_000)
SAMPLES, QUICK = 500, 40
STARTS, QUICK_STARTS = 5, 1
BLOCK = 20
"""Number of samples that are taken on one server before the next one has its turn."""

IDLE_SECONDS, QUICK_IDLE_SECONDS = 20.0, 5.0


SETTLE_SECONDS = 2.0
"""How long after a start memory is measured: it may read files when it answers already."""

COMPARED_STARTS = 3


class SeededServer(NamedTuple):
    """A server, and the number of runs that wait in it."""

    product: Product
    workflow: str
    waiting: int

    @property
    def process(self) -> psutil.Process:
        found = self.product.server.process
        assert found is not None
        return found


class Started(NamedTuple):
    """The seconds until a server had started, and its resident bytes a moment later."""

    seconds: float
    resident: int


def measure(quick: bool, checkouts: Sequence[Checkout] = (THIS,)) -> Figures:
    """Measure all that may grow with the number of waiting runs; of checkouts, start and memory."""
    counts = QUICK_COUNTS if quick else COUNTS
    if len(checkouts) > 1:
        yield from _compared(checkouts, counts[-1], QUICK_STARTS if quick else COMPARED_STARTS)
        return
    samples = QUICK if quick else SAMPLES
    with temporary_folder() as folder, ExitStack() as stack:
        workflows = {count: seed(folder / str(count), count) for count in counts}
        yield from _starts(folder, counts, QUICK_STARTS if quick else STARTS)
        servers = [
            SeededServer(stack.enter_context(serving(folder / str(count))), workflows[count], count)
            for count in counts
        ]
        yield from _memory(servers)
        yield from _idle(servers, QUICK_IDLE_SECONDS if quick else IDLE_SECONDS)
        yield from _pages([servers[0], servers[-1]], samples)
        yield from _resumes(servers, samples)
        yield from executed(samples)
        yield written(folder, samples)


def r_name(count: int) -> str:
    """Return the name of the figure of R beside a number of waiting runs."""
    return f"R beside {count:,}"


def _starts(folder: Path, counts: tuple[int, ...], rounds: int) -> Figures:
    """Measure from the start of the process until the API has answered a request."""
    times: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count, found in times.items():
            found.append(_start(folder / str(count)))
    for count, found in times.items():
        yield Figure(f"start beside {count:,}", "s", found)
    none, most = times[counts[0]], times[counts[-1]]
    more = [with_most - with_none for with_most, with_none in zip(most, none, strict=True)]
    name = f"start beside {counts[-1]:,}, over the start beside none"
    yield Figure(name, "s", more, goals=(Goal("p50", 2.5),))


def _start(folder: Path) -> float:
    began = time.perf_counter()
    with serving(folder) as product:
        product.api("GET", "/runs?limit=1")
        return time.perf_counter() - began


def _compared(checkouts: Sequence[Checkout], count: int, rounds: int) -> Figures:
    """Start servers of checkouts in turn, over none and over `count` waiting runs."""
    found: dict[Checkout, list[list[Started]]] = {checkout: [] for checkout in checkouts}
    with temporary_folder() as folder:
        for checkout in checkouts:
            for waiting in (0, count):
                seed(_place(folder, checkout, waiting), waiting, checkout)
        for _ in range(max(2, rounds)):
            for checkout, starts in found.items():
                places = [_place(folder, checkout, waiting) for waiting in (0, count)]
                starts.append([_started(place, checkout) for place in places])
    for checkout, starts in found.items():
        seconds = [most.seconds - none.seconds for none, most in starts]
        each = [(most.resident - none.resident) / count / 1024 for none, most in starts]
        over = checkout.label(f"start beside {count:,}, over the start beside none")
        memory = checkout.label("memory of a waiting run")
        is_this = checkout == THIS
        yield Figure(over, "s", seconds, checkout.role, (Goal("p50", 2.5),) if is_this else ())
        yield Figure(memory, "KB", each, checkout.role, (Goal("p50", 1.0),) if is_this else ())


def _place(folder: Path, checkout: Checkout, waiting: int) -> Path:
    return folder / f"{checkout.name or 'this'}-{waiting}"


def _started(folder: Path, checkout: Checkout) -> Started:
    began = time.perf_counter()
    with serving(folder, checkout=checkout) as product:
        product.api("GET", "/runs?limit=1")
        seconds = time.perf_counter() - began
        time.sleep(SETTLE_SECONDS)
        process = product.server.process
        assert process is not None
        return Started(seconds, process.memory_info().rss)


def _memory(servers: list[SeededServer]) -> Figures:
    """Measure resident memory after the start."""
    for server in servers:
        server.product.api("GET", "/runs?limit=1")
    resident = {server.waiting: server.process.memory_info().rss for server in servers}
    for count, found in resident.items():
        yield Figure(f"resident memory beside {count:,}", "MB", [found / 2**20])
    most = servers[-1].waiting
    each = (resident[most] - resident[0]) / most / 1024
    yield Figure("memory of a waiting run", "KB", [each], goals=(Goal("p50", 1.0),))


def _idle(servers: list[SeededServer], seconds: float) -> Figures:
    """Measure the CPU time and the kernels of servers while all runs wait."""
    before = [_cpu_seconds(server.process) for server in servers]
    time.sleep(seconds)
    for server, used in zip(servers, before, strict=True):
        share = (_cpu_seconds(server.process) - used) / seconds * 100
        is_most = server is servers[-1]
        goals = (Goal("p50", 0.5),) if is_most else ()
        yield Figure(f"CPU while {server.waiting:,} wait", "% of a core", [share], goals=goals)
        if is_most:
            kernels = [float(len(_family(server.process)) - 1)]
            name = f"kernels while {server.waiting:,} wait"
            yield Figure(name, "", kernels, goals=(Goal("p50", 0),))


def _cpu_seconds(process: psutil.Process) -> float:
    return sum(sum(member.cpu_times()[:2]) for member in _family(process))


def _family(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants."""
    children: list[psutil.Process] = process.children(recursive=True)  # type: ignore[no-untyped-call]
    return [process, *children]


def _pages(servers: list[SeededServer], samples: int) -> Figures:
    """Measure the API: a page of runs, of paused runs, of older runs, and one run."""
    for server in servers:
        newest = server.product.api("GET", "/runs?limit=500")
        ids = [run["id"] for run in newest] or [_paused(server)]
        middle = ids[-1] if len(ids) > 1 else ids[0]
        requests = {
            "GET /runs": ["/runs"],
            "GET /runs?status=paused": ["/runs?status=paused"],
            "GET /runs?before=": [f"/runs?before={middle}"],
            "GET /runs/ID": [f"/runs/{run_id}" for run_id in ids],
        }
        goals = (Goal("p50", 5.0),) if server is servers[-1] else ()
        for name, paths in requests.items():
            times = [_get(server.product, random.choice(paths)) for _ in range(samples)]
            yield Figure(f"{name} beside {server.waiting:,}", "ms", times, goals=goals)


def _paused(server: SeededServer) -> str:
    run_id: str = server.product.paused(server.workflow)["id"]
    return run_id


def _get(product: Product, path: str) -> float:
    began = product.connection.send("GET", f"/pdflow/api{path}")
    answer: Any = product.connection.receive()
    took = (time.time_ns() - began) / 1e6
    answer.json()
    return took


def _resumes(servers: list[SeededServer], samples: int) -> Figures:
    """Measure R on all servers in turn, so that other load on the machine affects all of them."""
    times: dict[int, list[float]] = {server.waiting: [] for server in servers}
    for server in servers:
        _block(server)
    for _ in range(samples // BLOCK):
        for server in servers:
            _block(server, size=1)
            times[server.waiting] += _block(server)
    none = r_name(servers[0].waiting)
    for count, found in times.items():
        goals = (Goal("p50", 1.1, of=none),) if count else ()
        yield Figure(r_name(count), "ms", found, goals=goals)


def _block(server: SeededServer, size: int = BLOCK) -> list[float]:
    product = server.product
    return [product.first_line_ms(product.paused(server.workflow)) for _ in range(size)]
