"""What waiting runs cost: R, start, memory, kernels and CPU beside none and beside 100,000."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.baselines import executed, written
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.product import Product, serving, temporary_folder
from benchmarks.seeding import seed

COUNTS, QUICK_COUNTS = (0, 1_000, 10_000, 100_000), (0, 1_000)
SAMPLES, QUICK = 500, 40
STARTS, QUICK_STARTS = 5, 1
BLOCK = 20
"""So many samples are taken on one server before the next has its turn."""

IDLE_SECONDS, QUICK_IDLE_SECONDS = 20.0, 5.0


class Place(NamedTuple):
    """A server, and how many runs wait in it."""

    product: Product
    workflow: str
    count: int

    @property
    def process(self) -> psutil.Process:
        found = self.product.server.process
        assert found is not None
        return found


def measure(quick: bool) -> Figures:
    """Everything that might grow with the number of waiting runs."""
    counts = QUICK_COUNTS if quick else COUNTS
    samples = QUICK if quick else SAMPLES
    with temporary_folder() as folder, ExitStack() as stack:
        workflows = {count: seed(folder / str(count), count) for count in counts}
        yield from _starts(folder, counts, QUICK_STARTS if quick else STARTS)
        places = [
            Place(stack.enter_context(serving(folder / str(count))), workflows[count], count)
            for count in counts
        ]
        yield from _memory(places)
        yield from _idle(places, QUICK_IDLE_SECONDS if quick else IDLE_SECONDS)
        yield from _pages([places[0], places[-1]], samples)
        yield from _resumes(places, samples)
        yield from executed(samples)
        yield written(folder, samples)


def r_name(count: int) -> str:
    """Name R beside that many waiting runs."""
    return f"R beside {count:,}"


def _starts(folder: Path, counts: tuple[int, ...], rounds: int) -> Figures:
    """From the start of the process to the first answered request of the API."""
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


def _memory(places: list[Place]) -> Figures:
    """Resident memory after the start."""
    for place in places:
        place.product.api("GET", "/runs?limit=1")
    resident = {place.count: place.process.memory_info().rss for place in places}
    for count, found in resident.items():
        yield Figure(f"resident memory beside {count:,}", "MB", [found / 2**20])
    most = places[-1].count
    each = (resident[most] - resident[0]) / most / 1024
    yield Figure("memory of a waiting run", "KB", [each], goals=(Goal("p50", 1.0),))


def _idle(places: list[Place], seconds: float) -> Figures:
    """Kernels, and the share of a core that a server takes while all its runs wait."""
    before = [_cpu_seconds(place.process) for place in places]
    time.sleep(seconds)
    for place, used in zip(places, before, strict=True):
        share = (_cpu_seconds(place.process) - used) / seconds * 100
        is_most = place is places[-1]
        goals = (Goal("p50", 0.5),) if is_most else ()
        yield Figure(f"CPU while {place.count:,} wait", "% of a core", [share], goals=goals)
        if is_most:
            kernels = [float(len(place.process.children(recursive=True)))]
            name = f"kernels while {place.count:,} wait"
            yield Figure(name, "", kernels, goals=(Goal("p50", 0),))


def _cpu_seconds(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


def _pages(places: list[Place], samples: int) -> Figures:
    """Answers of the API: a page of runs, a page of paused ones, a page far back, one run."""
    for place in places:
        newest = place.product.api("GET", "/runs?limit=500")
        ids = [run["id"] for run in newest] or [_paused(place)]
        middle = ids[-1] if len(ids) > 1 else ids[0]
        requests = {
            "GET /runs": ["/runs"],
            "GET /runs?status=paused": ["/runs?status=paused"],
            "GET /runs?before=": [f"/runs?before={middle}"],
            "GET /runs/ID": [f"/runs/{run_id}" for run_id in ids],
        }
        goals = (Goal("p50", 5.0),) if place is places[-1] else ()
        for name, paths in requests.items():
            times = [_get(place.product, random.choice(paths)) for _ in range(samples)]
            yield Figure(f"{name} beside {place.count:,}", "ms", times, goals=goals)


def _paused(place: Place) -> str:
    run_id: str = place.product.paused(place.workflow)["id"]
    return run_id


def _get(product: Product, path: str) -> float:
    began = product.connection.send("GET", f"/pdflow/api{path}")
    answer: Any = product.connection.receive()
    took = (time.time_ns() - began) / 1e6
    answer.json()
    return took


def _resumes(places: list[Place], samples: int) -> Figures:
    """R on all servers by turns, so that what else the machine does meets all of them."""
    times: dict[int, list[float]] = {place.count: [] for place in places}
    for place in places:
        _block(place)
    for _ in range(samples // BLOCK):
        for place in places:
            _block(place, size=1)
            times[place.count] += _block(place)
    none = r_name(places[0].count)
    for count, found in times.items():
        goals = (Goal("p50", 1.1, of=none),) if count else ()
        yield Figure(r_name(count), "ms", found, goals=goals)


def _block(place: Place, size: int = BLOCK) -> list[float]:
    product = place.product
    return [product.first_line_ms(product.paused(place.workflow)) for _ in range(size)]
