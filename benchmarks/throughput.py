"""Runs per second: from the start until all are paused, from the resume until all are completed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.baselines import executed, posted, written
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.http_client import post_all
from benchmarks.peers import langgraph, restate
from benchmarks.product import APPROVAL, Product, serving, temporary_folder

RUNS, QUICK = 1000, 100
ROUNDS, QUICK_ROUNDS = 5, 2
KERNELS = 2
POLL_SECONDS = 0.2


PAUSED, AGAIN, COMPLETED = "started → paused", "resumed → paused", "resumed → completed"
RATIO = 1.3
"""The goal beside another checkout, as a multiple of its rate."""

TWICE = (*APPROVAL[:2], APPROVAL[1].replace("ask", "ask_again"), *APPROVAL[2:])
"""A workflow that pauses twice."""


class Rates(NamedTuple):
    """Runs per second."""

    paused: float
    paused_again: float
    completed: float


def measure(quick: bool, checkouts: Sequence[Checkout] = (THIS,)) -> Figures:
    """Measure runs per second with warm kernels; checkouts have turns, of one round each."""
    runs, rounds = (QUICK, QUICK_ROUNDS) if quick else (RUNS, ROUNDS)
    rates: dict[Checkout, list[Rates]] = {checkout: [] for checkout in checkouts}
    with temporary_folder() as folder, ExitStack() as stack:
        servers = {one: stack.enter_context(_warmed(folder, one)) for one in checkouts}
        for _ in range(rounds):
            for checkout, product in servers.items():
                rates[checkout].append(_round(product, runs))
        for checkout in checkouts:
            yield from _figures(checkout, checkouts, rates[checkout])
        for baseline in (*executed(runs), posted(runs), written(folder, runs)):
            yield _per_second(baseline)
    with temporary_folder() as folder:
        yield from restate.rates(folder, runs, rounds)
        yield from langgraph.rates(folder, runs)


@contextmanager
def _warmed(folder: Path, checkout: Checkout) -> Iterator[Product]:
    place = folder / (checkout.name or "this")
    kernels = f"--PDFlow.max_kernels={KERNELS}"
    with serving(place, kernels, checkout=checkout) as product:
        _round(product, 10 * KERNELS)
        yield product


def _figures(checkout: Checkout, checkouts: Sequence[Checkout], rates: list[Rates]) -> Figures:
    limits = {PAUSED: 300, AGAIN: None, COMPLETED: 400}
    for (name, limit), found in zip(limits.items(), zip(*rates, strict=True), strict=True):
        goals = [] if limit is None else [Goal("p50", at_least=limit)]
        others = [one for one in checkouts if one != THIS]
        goals += [Goal("p50", at_least=RATIO, of=other.label(name)) for other in others]
        kept = tuple(goals) if checkout == THIS else ()
        yield Figure(checkout.label(name), "runs/s", list(found), checkout.role, kept)


def _round(product: Product, runs: int) -> Rates:
    """Start runs, then resume them; the same with runs that pause again. Return the rates."""
    approval, twice = (
        product.server.deploy(name, cells)["id"]
        for name, cells in (("approval", APPROVAL), ("twice", TWICE))
    )
    paused = _started(product, approval, runs)
    completed = _resumed(product, runs, "succeeded")
    _started(product, twice, runs)
    again = _resumed(product, runs, "paused")
    _resumed(product, runs, "succeeded")
    return Rates(paused, again, completed)


def _started(product: Product, workflow: str, runs: int) -> float:
    """Start runs; return how many are paused per second."""
    starts = [(f"/pdflow/api/workflows/{workflow}/runs", {"event": None})] * runs
    began = _post_all(product, starts)
    return runs / (_last_change(_finished(product, "paused", runs)) - began)


def _resumed(product: Product, runs: int, status: str) -> float:
    """Resume all paused runs; return how many have the status then per second."""
    paused = [
        product.api("GET", f"/runs/{run['id']}") for run in _finished(product, "paused", runs)
    ]
    links = [(urlsplit(run["pause"]["resume_url"]).path, {"ok": True}) for run in paused]
    began = _post_all(product, links)
    return runs / (_last_change(_finished(product, status, runs)) - began)


def _post_all(product: Product, requests: Sequence[tuple[str, Any]]) -> float:
    """Send all requests; return when the first was sent."""
    return min(post_all(product.server.url, requests, product.server.headers)) / 1e9


def _finished(product: Product, status: str, count: int) -> list[Any]:
    """Wait until no run is queued or running, and return the newest runs with a status."""
    while any(product.api("GET", f"/runs?status={s}&limit=1") for s in ("queued", "running")):
        time.sleep(POLL_SECONDS)
    runs: list[Any] = []
    while len(runs) < count:
        before = f"&before={runs[-1]['id']}" if runs else ""
        runs += product.api("GET", f"/runs?status={status}&limit={min(500, count)}{before}")
    return runs[:count]


def _last_change(runs: list[Any]) -> float:
    """Return when the last of the runs was stored, as the runs say, so that polling adds nothing."""
    return max(datetime.fromisoformat(run["updated_at"]).timestamp() for run in runs)


def _per_second(figure: Figure) -> Figure:
    """Return the rate of a figure in milliseconds."""
    rate = 1000 * len(figure.samples) / sum(figure.samples)
    return Figure(f"{figure.name}, one after another", "1/s", [rate], figure.role)
