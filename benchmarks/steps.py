"""The time per step of a run with many steps on a warm kernel."""

from __future__ import annotations

from benchmarks.baselines import executed, written
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.product import Product, returned, serving, temporary_folder

STEPS = 200
RUNS, QUICK = 20, 3
WARM_UP = 1
POLL_SECONDS = 1.0

CLOCK = """%%step {name}
def handler(pd):
    now = time.time_ns()
    return now
"""
NOTHING = """%%step {name}
def handler(pd):
    pass
"""


def measure(quick: bool) -> Figures:
    """Measure from the first line of the first step to that of the last one, per step."""
    runs = QUICK if quick else RUNS
    names = [f"step_{number}" for number in range(STEPS)]
    clocks = {names[0], names[-1]}
    cells = [(CLOCK if name in clocks else NOTHING).format(name=name) for name in names]
    with temporary_folder() as folder, serving(folder, "--PDFlow.max_kernels=1") as product:
        workflow = product.server.deploy("steps", ["import time", *cells])["id"]
        times = [_per_step(product, workflow, names) for _ in range(runs + WARM_UP)][WARM_UP:]
        yield Figure("a step of 200", "ms", times, goals=(Goal("p50", 2.5),))
        yield from executed(runs * 20)
        yield written(folder, runs * 20)


def _per_step(product: Product, workflow: str, names: list[str]) -> float:
    run = product.wait(product.start(workflow), "succeeded", POLL_SECONDS)
    first, last = returned(run, names[0]), returned(run, names[-1])
    return float(last - first) / 1e6 / (len(names) - 1)
