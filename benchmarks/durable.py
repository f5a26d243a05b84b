"""The durable write of a transition: from its first system call until its last sync."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from benchmarks import syscalls
from benchmarks.baselines import replaced
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.files import newest_state
from benchmarks.product import APPROVAL, Product, serving, temporary_folder

SAMPLES, QUICK = 200, 20
WARM_UP = 5
REST_SECONDS = 0.3
"""A checkout may write in another way when much is written."""

CONFIG = Path(syscalls.__file__)
WRITE = "durable write of a transition"
REPLACEMENT = "atomic replacement of the same run"


class Call(Struct, frozen=True):
    """A system call of a thread, with the times of `time.time_ns()`."""

    name: str
    thread: int
    begin: int
    end: int


class Window(NamedTuple):
    """When a resume was sent and when it was answered, in nanoseconds."""

    begin: int
    end: int


class Resumed:
    """A server whose writes are recorded, and when runs were resumed."""

    def __init__(self, product: Product, log: Path) -> None:
        self._product = product
        self._log = log
        self._workflow = product.server.deploy("approval", APPROVAL)["id"]
        self._windows: list[Window] = []

    def resume(self) -> bytes:
        """Resume a run; return the state that was stored before."""
        run = self._product.paused(self._workflow)
        state = newest_state(self._product.server.data_dir, run["id"])
        sent, answer = self._product.resume(run)
        self._windows.append(Window(sent, time.time_ns()))
        answer.json()
        self._product.wait(run["id"], "succeeded")
        time.sleep(REST_SECONDS)
        return state

    def writes(self) -> list[float]:
        """Return the milliseconds that each resume was written for; the server has ended."""
        lines = self._log.read_bytes().splitlines()
        calls = [msgspec.json.decode(line, type=Call) for line in lines]
        return [_first_write(calls, window) for window in self._windows[WARM_UP:]]


def measure(quick: bool, checkouts: Sequence[Checkout] = (THIS,)) -> Figures:
    """Measure single resumes at rest, with a replacement of the same bytes after each."""
    count = QUICK if quick else SAMPLES
    replacements: list[float] = []
    with temporary_folder() as folder:
        with ExitStack() as stack:
            servers = {one: stack.enter_context(_recorded(folder, one)) for one in checkouts}
            for _ in range(count + WARM_UP):
                states = {one: server.resume() for one, server in servers.items()}
                replacements.append(replaced(folder / "replaced", states[THIS]))
        for checkout, server in servers.items():
            goals = (Goal("p50", 0.55, of=REPLACEMENT),) if checkout == THIS else ()
            yield Figure(checkout.label(WRITE), "ms", server.writes(), checkout.role, goals)
        yield Figure(REPLACEMENT, "ms", replacements[WARM_UP:], "baseline")


@contextmanager
def _recorded(folder: Path, checkout: Checkout) -> Iterator[Resumed]:
    place = folder / (checkout.name or "this")
    log = folder / f"{checkout.name or 'this'}.jsonl"
    env = {syscalls.VARIABLE: str(log)}
    args = ("--PDFlow.max_kernels=1", f"--config={CONFIG}")
    with serving(place, *args, checkout=checkout, env=env) as product:
        yield Resumed(product, log)


def _first_write(calls: list[Call], window: Window) -> float:
    """Return the milliseconds from the first write until the last sync before the next write."""
    within = [call for call in calls if window.begin < call.begin and call.end < window.end]
    sync = next(call for call in within if call.name in syscalls.SYNCS)
    found: list[Call] = []
    for call in (call for call in within if call.thread == sync.thread):
        if call.name in syscalls.WRITES and any(one.name in syscalls.SYNCS for one in found):
            break
        found.append(call)
    return (found[-1].end - found[0].begin) / 1e6
