"""Where R goes: the time between the stations on the way of a resume."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from pathlib import Path

from benchmarks import tracepoints
from benchmarks.baselines import baselines
from benchmarks.figures import Figure, Figures
from benchmarks.product import Product, temporary_folder
from benchmarks.tracepoints import STATIONS
from benchmarks.warm import resumes
from tests.servers import JupyterServer

SAMPLES, QUICK = 500, 60
CONFIG = Path(tracepoints.__file__)

Times = dict[str, list[int]]


def measure(quick: bool) -> Figures:
    """Let the server of a `warm` measure write down its stations."""
    count = QUICK if quick else SAMPLES
    with temporary_folder() as folder:
        log = folder / "stations"
        server = JupyterServer(
            folder,
            ["--PDFlow.max_kernels=1", f"--config={CONFIG}"],
            env={tracepoints.VARIABLE: str(log)},
        )
        with server:
            product = Product(server)
            ends = [(sent, line) for sent, _, line in resumes(product, count)]
            product.connection.close()
        yield from _legs(ends, _read(log))
        yield from baselines(folder, count)


def _legs(ends: list[tuple[int, int]], times: Times) -> Figures:
    ways = [[sent, *_between(sent, line, times), line] for sent, line in ends]
    legs = zip(*([b - a for a, b in pairwise(way)] for way in ways), strict=True)
    for (begin, end), found in zip(pairwise(STATIONS), legs, strict=True):
        yield Figure(f"{begin} → {end}", "ms", [leg / 1e6 for leg in found])
    yield Figure("R, all of it", "ms", [(line - sent) / 1e6 for sent, line in ends])


def _between(sent: int, line: int, times: Times) -> list[int]:
    """Find when each station was reached first after a request was sent."""
    found = [times[name][bisect_left(times[name], sent)] for name in STATIONS[1:-1]]
    assert found == sorted(found), "the stations have another order"
    assert found[-1] < line, "a station was missed"
    return found


def _read(log: Path) -> Times:
    times: Times = {}
    for line in log.read_text().splitlines():
        station, at = line.split("\t")
        times.setdefault(station, []).append(int(at))
    return {station: sorted(found) for station, found in times.items()}
