"""How long the event loop is held by lists and by removing old runs, beside many finished runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks import heartbeat
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure, Figures, Goal, Role
from benchmarks.http_client import Connection
from benchmarks.product import Product, serving, temporary_folder
from benchmarks.seeding import Sizes, seed_finished

CONFIG = Path(heartbeat.__file__)
GOAL_MS = 50.0
REPEATS = 5
PAGES = 10
IDLE_SECONDS = 2.0
SETTLE_SECONDS = 0.1
"""How long a phase goes on after its last answer: the loop may be held after an answer."""

TIMEOUT_SECONDS = 600.0
STATUSES = ("queued", "running", "paused", "succeeded", "failed", "canceled")
IDLE, REMOVING = "nothing asked", "old runs removed"


FULL = Sizes(100_000, 50_000, old=5_000, ages=(300, 200, 100))
QUICK = Sizes(600, 300, old=60, ages=(200, 100))
"""One round for each age, whose runs are removed then; older runs have gone before."""

YOUNGER_DAYS = 50
"""By this, ``keep_days`` is less than the age of the runs that a round removes."""


class Late(Struct, frozen=True):
    """When the loop had been held, for how many milliseconds, and by which function."""

    at: int
    ms: float
    where: str


class Phase(Struct):
    """What was asked of a server meanwhile.

    Attributes
    ----------
    name : str
    begin, end : int
        `time.time_ns()`.
    answers : list of float
        Milliseconds until each request was answered.
    held : Late or None
        The longest time that the loop was held.
    """

    name: str
    begin: int = 0
    end: int = 0
    answers: list[float] = msgspec.field(default_factory=list)
    held: Late | None = None


class Client:
    """Sends requests, and records how long they took."""

    def __init__(self, product: Product) -> None:
        self._connection = Connection(product.server.url, product.server.headers, TIMEOUT_SECONDS)
        self.phases: list[Phase] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the requests as those of a phase."""
        self.phases.append(Phase(name, begin=time.time_ns()))
        yield
        time.sleep(SETTLE_SECONDS)
        self.phases[-1].end = time.time_ns()

    def get(self, path: str) -> Any:
        """Send a request, and return the answer's JSON."""
        began = time.perf_counter()
        answer = self._connection.request("GET", f"/pdflow/api{path}")
        self.phases[-1].answers.append((time.perf_counter() - began) * 1000)
        return answer.json()

    def exists(self, run_id: str) -> bool:
        """Return whether there is a run."""
        return self._connection.request("GET", f"/pdflow/api/runs/{run_id}").status == 200

    def close(self) -> None:
        self._connection.close()


def measure(quick: bool, checkouts: Sequence[Checkout] = (THIS,)) -> Figures:
    """Measure on servers that are started one after another, the checkouts in turn."""
    sizes = QUICK if quick else FULL
    found: dict[Checkout, list[Phase]] = {checkout: [] for checkout in checkouts}
    with temporary_folder() as folder:
        seeded = {
            checkout: seed_finished(folder / str(number), sizes, checkout)
            for number, checkout in enumerate(checkouts)
        }
        for turn, age in enumerate(sizes.ages):
            for number, checkout in enumerate(checkouts):
                place, workflow = folder / str(number), seeded[checkout].workflow
                found[checkout] += _lists(place, checkout, workflow)
                found[checkout] += _removal(place, checkout, seeded[checkout].old[turn], age)
    for checkout, phases in found.items():
        yield from _figures(checkout, phases)


def _lists(folder: Path, checkout: Checkout, workflow: str) -> list[Phase]:
    return _asked(folder, checkout, lambda client: _list(client, workflow))


def _removal(folder: Path, checkout: Checkout, old: list[str], age: int) -> list[Phase]:
    keep = f"--PDFlow.keep_days={age - YOUNGER_DAYS}"
    return _asked(folder, checkout, lambda client: _wait_until_removed(client, old), keep)


def _asked(
    folder: Path, checkout: Checkout, ask: Callable[[Client], None], *args: str
) -> list[Phase]:
    """Start a server and ask; return the phases with what the server has recorded."""
    log = folder / "heartbeat.jsonl"
    log.unlink(missing_ok=True)
    env = {heartbeat.VARIABLE: str(log)}
    with serving(folder, f"--config={CONFIG}", *args, checkout=checkout, env=env) as product:
        client = Client(product)
        ask(client)
        client.close()
    late = [msgspec.json.decode(line, type=Late) for line in log.read_bytes().splitlines()]
    for phase in client.phases:
        within = [one for one in late if phase.begin < one.at < phase.end]
        phase.held = max(within, key=lambda one: one.ms, default=None)
    return client.phases


def _list(client: Client, workflow: str) -> None:
    """Ask for lists; the first of them comes as soon as the server has started."""
    with client.phase("GET /runs"):
        for query in ("", "?limit=500", f"?workflow={workflow}&limit=500") * REPEATS:
            client.get(f"/runs{query}")
    with client.phase("GET /runs?before="):
        for _ in range(REPEATS):
            _pages(client)
    with client.phase("GET /runs?status="):
        for status in STATUSES * REPEATS:
            client.get(f"/runs?status={status}&limit=500")
            client.get(f"/runs?status={status}&workflow={workflow}")
    with client.phase("GET /mail"):
        for _ in range(REPEATS):
            client.get(f"/mail/{client.get('/mail')[0]['id']}")
    with client.phase(IDLE):
        time.sleep(IDLE_SECONDS)


def _pages(client: Client) -> None:
    runs = client.get("/runs?limit=500")
    for _ in range(PAGES):
        if runs:
            runs = client.get(f"/runs?limit=500&before={runs[-1]['id']}")


def _wait_until_removed(client: Client, old: list[str]) -> None:
    """Wait until the server has removed old runs, as it does when it has started."""
    end = time.monotonic() + TIMEOUT_SECONDS
    some = old[:: max(1, len(old) // 20)] + old[-1:]
    with client.phase(REMOVING):
        while any(client.exists(run_id) for run_id in some):
            if time.monotonic() > end:
                msg = "Old runs are not removed."
                raise TimeoutError(msg)
            time.sleep(SETTLE_SECONDS)


def _figures(checkout: Checkout, phases: list[Phase]) -> Figures:
    role = checkout.role
    asked = [phase for phase in phases if phase.name != IDLE]
    goals = () if checkout.name else (Goal("p99", GOAL_MS),)
    yield _held(checkout.label("loop held, longest of all"), asked, role, goals)
    for name in dict.fromkeys(phase.name for phase in phases):
        named = [phase for phase in phases if phase.name == name]
        yield _held(checkout.label(f"loop held, {name}"), named, role)
        if answers := [answer for phase in named for answer in phase.answers]:
            yield Figure(checkout.label(f"{name}, answer"), "ms", answers, role)


def _held(name: str, phases: list[Phase], role: Role, goals: tuple[Goal, ...] = ()) -> Figure:
    """Return the figure of phases, with the function that held the loop the longest."""
    late = [phase.held or Late(0, 0.0, "") for phase in phases]
    where = max(late, key=lambda one: one.ms).where
    return Figure(name, "ms", [one.ms for one in late], role, goals, where)
