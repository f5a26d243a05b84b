"""R: from sending the request to a resume link until the next step's first line, warm kernel."""

from __future__ import annotations

import socket
import time

from benchmarks.baselines import baselines
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.peers import langgraph, restate
from benchmarks.product import APPROVAL, Product, returned, serving, temporary_folder

SAMPLES, QUICK = 500, 60
WARM_UP = 10
SECONDS = 60.0


def measure(quick: bool) -> Figures:
    """Measure R, one run at a time: without a rest, and after a rest."""
    count = QUICK if quick else SAMPLES
    with temporary_folder() as folder, serving(folder, "--PDFlow.max_kernels=1") as product:
        found = resumes(product, count)
        first_lines = [(line - sent) / 1e6 for sent, _, line in found]
        answers = [(back - sent) / 1e6 for sent, back, _ in found]
        peers = (Goal("p50", 0.75, of=peer) for peer in ("Restate", restate.SUSPENDED))
        goals = (Goal("p50", 2.2), Goal("p99", 5.0), *peers)
        yield Figure("R, warm", "ms", first_lines, goals=goals)
        yield Figure("the link's answer is back", "ms", answers)
        workflow = product.server.deploy("rested", APPROVAL)["id"]
        rested = [_after_a_rest(product, workflow) for _ in range(count + WARM_UP)]
        yield Figure("R, after 20 ms of rest", "ms", rested[WARM_UP:])
    with temporary_folder() as folder:
        yield from baselines(folder, count)
        yield from restate.resumes(folder, count)
        yield from langgraph.resumes(folder, count)


def resumes(product: Product, count: int) -> list[tuple[int, int, int]]:
    """Resume paused runs one after another; handlers send the time of their first line by UDP.

    Returns
    -------
    list of (int, int, int)
        `time.time_ns()` when the request was sent, when it was answered, and in the next step's
        first line.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as signals:
        signals.bind(("127.0.0.1", 0))
        signals.settimeout(SECONDS)
        cells = _sending_cells(signals.getsockname()[1])
        workflow = product.server.deploy("approval", cells)["id"]
        runs = [product.paused(workflow) for _ in range(count + WARM_UP)]
        return [_resume(product, run, signals) for run in runs][WARM_UP:]


def _sending_cells(port: int) -> tuple[str, ...]:
    setup, ask, go = APPROVAL
    socket_there = "import socket\nhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    tell = f"    here.sendto(str(now).encode(), ('127.0.0.1', {port}))\n    return now\n"
    return (f"{setup}\n{socket_there}", ask, go.replace("    return now\n", tell))


def _resume(product: Product, run: dict[str, str], signals: socket.socket) -> tuple[int, int, int]:
    sent, answer = product.resume(run)
    back = time.time_ns()
    answer.json()
    first_line = int(signals.recv(64))
    product.wait(run["id"], "succeeded", poll_seconds=0)
    return sent, back, first_line


def _after_a_rest(product: Product, workflow: str) -> float:
    sent, answer = product.resume(run := product.paused(workflow))
    answer.json()
    return float(returned(product.wait(run["id"], "succeeded"), "go") - sent) / 1e6
