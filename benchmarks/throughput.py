"""Runs per second: from the start until all are paused, from the resume until all are completed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from benchmarks.baselines import executed, posted, written
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.http_client import post_all
from benchmarks.peers import langgraph, restate
from benchmarks.product import APPROVAL, Product, serving, temporary_folder

RUNS, QUICK = 1000, 100
ROUNDS, QUICK_ROUNDS = 5, 2
KERNELS = 2
POLL_SECONDS = 0.2


def measure(quick: bool) -> Figures:
    """Measure runs per second with warm kernels."""
    runs, rounds = (QUICK, QUICK_ROUNDS) if quick else (RUNS, ROUNDS)
    with (
        temporary_folder() as folder,
        serving(folder, f"--PDFlow.max_kernels={KERNELS}") as product,
    ):
        workflow = product.server.deploy("approval", APPROVAL)["id"]
        _round(product, workflow, 10 * KERNELS)
        rates = [_round(product, workflow, runs) for _ in range(rounds)]
        paused, completed = zip(*rates, strict=True)
        yield Figure("started → paused", "runs/s", list(paused), goals=(_at_least(300),))
        yield Figure("resumed → completed", "runs/s", list(completed), goals=(_at_least(400),))
        for baseline in (*executed(runs), posted(runs), written(folder, runs)):
            yield _per_second(baseline)
    with temporary_folder() as folder:
        yield from restate.rates(folder, runs, rounds)
        yield from langgraph.rates(folder, runs)


def _at_least(rate: float) -> Goal:
    return Goal("p50", at_least=rate)


def _round(product: Product, workflow: str, runs: int) -> tuple[float, float]:
    """Start runs, then resume them; return both rates."""
    starts = [(f"/pdflow/api/workflows/{workflow}/runs", {"event": None})] * runs
    began = _post_all(product, starts)
    waiting = _finished(product, "paused", runs)
    paused = runs / (_last_change(waiting) - began)
    links = [(urlsplit(run["pause"]["resume_url"]).path, {"ok": True}) for run in waiting]
    began = _post_all(product, links)
    completed = runs / (_last_change(_finished(product, "succeeded", runs)) - began)
    return paused, completed


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
