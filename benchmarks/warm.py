"""R: from sending the request to a resume link until the next step's first line, warm kernel."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.baselines import baselines
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.peers import langgraph, restate
from benchmarks.product import APPROVAL, Product, returned, serving, temporary_folder

SAMPLES, QUICK = 500, 60
WARM_UP = 10
SECONDS = 60.0
TURN = 50
"""Number of samples that are taken on one server before the next one has its turn."""

MIN_TURNS = 2
MAX_KERNELS = "--PDFlow.max_kernels=1"
R = "R, warm"

Resume = tuple[int, int, int]
"""`time.time_ns()` when the request was sent, when it was answered, and in the first line."""


class Resumer:
    """Resumes runs of one server; handlers send the time of their first line by UDP."""

    def __init__(self, product: Product, signals: socket.socket) -> None:
        self._product = product
        self._signals = signals
        cells = _sending_cells(signals.getsockname()[1])
        self._workflow = product.server.deploy("approval", cells)["id"]
        self._rested = product.server.deploy("rested", APPROVAL)["id"]

    def resumes(self, count: int) -> list[Resume]:
        """Resume paused runs one after another."""
        runs = [self._product.paused(self._workflow) for _ in range(count + WARM_UP)]
        return [self._resume(run) for run in runs][WARM_UP:]

    def rested(self, count: int) -> list[float]:
        """Start and resume runs in turn, after 20 ms of rest; return R in milliseconds."""
        return [self._after_a_rest() for _ in range(count + WARM_UP)][WARM_UP:]

    def _resume(self, run: dict[str, str]) -> Resume:
        sent, answer = self._product.resume(run)
        back = time.time_ns()
        answer.json()
        first_line = int(self._signals.recv(64))
        self._product.wait(run["id"], "succeeded", poll_seconds=0)
        return sent, back, first_line

    def _after_a_rest(self) -> float:
        sent, answer = self._product.resume(run := self._product.paused(self._rested))
        answer.json()
        run = self._product.wait(run["id"], "succeeded")
        return float(returned(run, "go") - sent) / 1e6


def measure(quick: bool, checkouts: Sequence[Checkout] = (THIS,)) -> Figures:
    """Measure R, one run at a time: without a rest, and after a rest. Checkouts have turns."""
    count = QUICK if quick else SAMPLES
    turns = max(MIN_TURNS, count // TURN)
    found: dict[Checkout, list[Resume]] = {checkout: [] for checkout in checkouts}
    rested: dict[Checkout, list[float]] = {checkout: [] for checkout in checkouts}
    with temporary_folder() as folder, ExitStack() as stack:
        resumers = {one: stack.enter_context(_resuming(folder, one)) for one in checkouts}
        for _ in range(turns):
            for checkout, resumer in resumers.items():
                found[checkout] += resumer.resumes(count // turns)
        for _ in range(turns):
            for checkout, resumer in resumers.items():
                rested[checkout] += resumer.rested(count // turns)
    for checkout in checkouts:
        yield from _figures(checkout, checkouts, found[checkout], rested[checkout])
    with temporary_folder() as folder:
        yield from baselines(folder, count)
        yield from restate.resumes(folder, count)
        yield from langgraph.resumes(folder, count)


def resumes(product: Product, count: int) -> list[Resume]:
    """Resume runs of a server."""
    with udp_signals() as signals:
        return Resumer(product, signals).resumes(count)


def _figures(
    checkout: Checkout, checkouts: Sequence[Checkout], found: list[Resume], rested: list[float]
) -> Figures:
    role, goals = checkout.role, _goals(checkouts) if checkout == THIS else ()
    first_lines = [(line - sent) / 1e6 for sent, _, line in found]
    answers = [(back - sent) / 1e6 for sent, back, _ in found]
    yield Figure(checkout.label(R), "ms", first_lines, role, goals)
    yield Figure(checkout.label("the link's answer is back"), "ms", answers, role)
    yield Figure(checkout.label("R, after 20 ms of rest"), "ms", rested, role)


def _goals(checkouts: Sequence[Checkout]) -> tuple[Goal, ...]:
    others = [Goal("p50", 0.75, of=other.label(R)) for other in checkouts if other != THIS]
    peers = (Goal("p50", 1.2, of="Restate"), Goal("p50", 0.55, of=restate.SUSPENDED))
    return (Goal("p50", 2.2), Goal("p99", 5.0), *others, *peers)


@contextmanager
def _resuming(folder: Path, checkout: Checkout) -> Iterator[Resumer]:
    place = folder / (checkout.name or "this")
    with udp_signals() as signals, serving(place, MAX_KERNELS, checkout=checkout) as product:
        yield Resumer(product, signals)


@contextmanager
def udp_signals() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as signals:
        signals.bind(("127.0.0.1", 0))
        signals.settimeout(SECONDS)
        yield signals


def _sending_cells(port: int) -> tuple[str, ...]:
    setup, ask, go = APPROVAL
    socket_there = "import socket\nhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    tell = f"    here.sendto(str(now).encode(), ('127.0.0.1', {port}))\n    return now\n"
    return (f"{setup}\n{socket_there}", ask, go.replace("    return now\n", tell))
