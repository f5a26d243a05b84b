"""The parts of R: the time between the tracepoints of a resume."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from pathlib import Path

from benchmarks import tracepoints
from benchmarks.baselines import baselines
from benchmarks.figures import Figure, Figures
from benchmarks.product import Product, temporary_folder
from benchmarks.tracepoints import TRACEPOINTS
from benchmarks.warm import resumes
from tests.servers import JupyterServer

SAMPLES, QUICK = 500, 60
CONFIG = Path(tracepoints.__file__)

Times = dict[str, list[int]]


def measure(quick: bool) -> Figures:
    """Resume runs as `warm` does, on a server that records tracepoints."""
    count = QUICK if quick else SAMPLES
    with temporary_folder() as folder:
        log = folder / "tracepoints"
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
    paths = [[sent, *_between(sent, line, times), line] for sent, line in ends]
    legs = zip(*([b - a for a, b in pairwise(path)] for path in paths), strict=True)
    for (begin, end), found in zip(pairwise(TRACEPOINTS), legs, strict=True):
        yield Figure(f"{begin} → {end}", "ms", [leg / 1e6 for leg in found])
    yield Figure("R, all of it", "ms", [(line - sent) / 1e6 for sent, line in ends])


def _between(sent: int, line: int, times: Times) -> list[int]:
    """Return when each tracepoint was reached first after a request was sent."""
    found = [times[name][bisect_left(times[name], sent)] for name in TRACEPOINTS[1:-1]]
    assert found == sorted(found), "the tracepoints were reached in another order"
    assert found[-1] < line, "a tracepoint was missed"
    return found


def _read(log: Path) -> Times:
    times: Times = {}
    for line in log.read_text().splitlines():
        tracepoint, at = line.split("\t")
        times.setdefault(tracepoint, []).append(int(at))
    return {tracepoint: sorted(found) for tracepoint, found in times.items()}
