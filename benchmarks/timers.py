"""How late timers are: from a pause's deadline until the step's first line."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, NamedTuple

from benchmarks.baselines import executed, written
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.product import Product, returned, serving, temporary_folder

TOGETHER, QUICK_TOGETHER = 200, 50
ROUNDS, QUICK_ROUNDS = 5, 1
ALONE, QUICK_ALONE = 200, 20
SECONDS_TO_PAUSE = 6.0
SECONDS_ALONE = 0.5
TIMES_LONGER = (1, 2, 4, 8)
"""By these factors a run gets more time to pause, until it does in time."""

POLL_SECONDS = 0.02
UNDER_WAY = ("queued", "running")
DECIDED, IN_TURN = "decided", "decided in its turn"

POLL = (
    "import time",
    """%%step poll
def handler(pd):
    now = time.time_ns()
    if pd.context.run.runs == 1:
        pd.flow.rerun(max(1, round(pd.steps["trigger"]["event"]["at"] - time.time() * 1000)))
    return now
""",
)
"""A workflow whose step runs again at the time in the event, in ms."""


class Late(NamedTuple):
    """Milliseconds from the deadline: to the decision, without and with the queue, and first line."""

    decided: float
    in_turn: float
    first_line: float


def measure(quick: bool) -> Figures:
    """Measure one timer alone, and many that are due at once."""
    with temporary_folder() as folder, serving(folder) as product:
        yield from of_server(product, quick)
        alone = QUICK_ALONE if quick else ALONE
        yield from executed(alone)
        yield written(folder, alone)


def of_server(product: Product, quick: bool, goal_ms: tuple[float, float] = (3.0, 10.0)) -> Figures:
    """Measure one timer alone, and many that are due at once, of a server."""
    workflow = product.server.deploy("poll", POLL)["id"]
    _late(product, workflow, 10, 1.0)
    alone = QUICK_ALONE if quick else ALONE
    one = [_late(product, workflow, 1, SECONDS_ALONE)[0] for _ in range(alone)]
    yield from _figures("one alone", one, DECIDED, goal_ms[0])
    many: list[Late] = []
    together = QUICK_TOGETHER if quick else TOGETHER
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        many += _late(product, workflow, together, SECONDS_TO_PAUSE)
    yield from _figures(f"{together} together", many, IN_TURN, goal_ms[1])


def _figures(name: str, found: list[Late], goal_on: str, limit: float) -> Figures:
    goals = (Goal("p99", limit),)
    samples = {DECIDED: [late.decided for late in found]}
    if goal_on == IN_TURN:
        samples[IN_TURN] = [late.in_turn for late in found]
    samples["first line"] = [late.first_line for late in found]
    for what, times in samples.items():
        of_figure = goals if what == goal_on else ()
        yield Figure(f"{name}: deadline → {what}", "ms", times, goals=of_figure)


def _late(product: Product, workflow: str, count: int, seconds: float) -> list[Late]:
    """Let `count` runs be due in `seconds`; return how late each was.

    On a busy machine, that is tried again with more time.

    Raises
    ------
    RuntimeError
        Some were never seen as paused before they were due.
    """
    for times in TIMES_LONGER:
        found = _attempt(product, workflow, count, seconds * times)
        if found is not None:
            return found
    msg = "Runs are not paused in time: the machine is busy, or SECONDS_… are too short."
    raise RuntimeError(msg)


def _attempt(product: Product, workflow: str, count: int, seconds: float) -> list[Late] | None:
    """Return how late each run was, or None if one was due before it was seen as paused."""
    event = {"at": (time.time() + seconds) * 1000}
    ids = [product.start(workflow, event) for _ in range(count)]
    deadlines = [found for run_id in ids if (found := _deadline(product, run_id)) is not None]
    time.sleep(max(0.0, event["at"] / 1000 - time.time() + 0.1))
    runs = [product.wait(run_id, "succeeded") for run_id in ids]
    return _lateness(product, runs, deadlines) if len(deadlines) == count else None


def _lateness(product: Product, runs: list[Any], deadlines: list[datetime]) -> list[Late]:
    """Return how late runs were. Without the queue, a run is not decided before the one before."""
    first_lines = [returned(run, "poll") / 1e6 for run in runs]
    decided = [_decided(product, run["id"]) for run in runs]
    due = [deadline.timestamp() * 1e3 for deadline in deadlines]
    found, before = [], 0.0
    for at, deadline, first_line in sorted(zip(decided, due, first_lines, strict=True)):
        found.append(Late(at - deadline, at - max(deadline, before), first_line - deadline))
        before = at
    return found


def _decided(product: Product, run_id: str) -> float:
    decision = product.stored(run_id)["decisions"][-1]
    return datetime.fromisoformat(decision["at"]).timestamp() * 1e3


def _deadline(product: Product, run_id: str) -> datetime | None:
    """Wait until a run is paused and return the stored deadline, or None if it has passed."""
    while product.api("GET", f"/runs/{run_id}")["status"] in UNDER_WAY:
        time.sleep(POLL_SECONDS)
    pause = product.stored(run_id).get("pause")
    return None if pause is None else datetime.fromisoformat(pause["deadline"])
