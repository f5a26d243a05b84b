"""R without a warm kernel, compared with the start of a bare kernel."""

from __future__ import annotations

import time

from benchmarks.baselines import bare_kernel, execute
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.product import APPROVAL, Product, serving, temporary_folder
from tests.servers import wait_until

NONE_WARM = "--PDFlow.idle_kernel_seconds=0"
SAMPLES, QUICK = 30, 4
READY_SECONDS = 4.0
"""Seconds until a prestarted kernel that was taken is replaced and idle. The API does not show that."""
BARE = "bare kernel, start to first line"


def measure(quick: bool) -> Figures:
    """Alternate cold resumes with bare kernels, then resume with a prestarted kernel."""
    count = QUICK if quick else SAMPLES
    cold, bare = [], []
    with temporary_folder() as folder, serving(folder, NONE_WARM) as product:
        workflow = product.server.deploy("approval", APPROVAL)["id"]
        for _ in range(count):
            cold.append(_cold(product, workflow))
            bare.append(_bare())
    yield Figure("R, no warm kernel", "ms", cold, goals=(Goal("p50", 1.1, of=BARE),))
    yield Figure(BARE, "ms", bare, "baseline")
    with (
        temporary_folder() as folder,
        serving(folder, NONE_WARM, "--PDFlow.spare_kernels=1") as product,
    ):
        workflow = product.server.deploy("approval", APPROVAL)["id"]
        prestarted = [_cold(product, workflow, prestarted=1) for _ in range(count)]
    yield Figure("R, a prestarted kernel ready", "ms", prestarted, goals=(Goal("p50", 60),))


def _cold(product: Product, workflow: str, prestarted: int = 0) -> float:
    run = product.paused(workflow)
    time.sleep(READY_SECONDS * prestarted)
    wait_until(lambda: len(product.server.kernels()) == prestarted, "no warm kernel is left")
    return product.first_line_ms(run)


def _bare() -> float:
    began = time.time_ns()
    with bare_kernel() as client:
        first_line = execute(client, "import time; now = time.time_ns()", "now")
    return (int(first_line) - began) / 1e6
