"""Traces one warm resume inside a server: ``python -m benchmarks.trace [--checkout PATH]``.

It prints each call of a function of the package, from the request's handler until a message is
given to the kernel's socket, with the totals. Times include the cost of recording, several times
that of the calls.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from benchmarks import profiler
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure, Figures, Goal
from benchmarks.http_client import Connection
from benchmarks.product import APPROVAL, Product, serving, temporary_folder
from tests.servers import wait_until

WARM_UP = 10
CONFIG = Path(profiler.__file__)
INDENT = "  "


class Call(Struct, frozen=True):
    """A call of a function of the package, or by the package of one in C.

    Attributes
    ----------
    at : int
        Nanoseconds.
    depth : int
        The number of the package's functions that were on the stack.
    thread : int
    c_function : str
        The name of a function in C; the other fields are empty then.
    event : str
        The event's type if the function is `rules.transitions.apply`.
    """

    at: int
    depth: int
    thread: int
    c_function: str = ""
    file: str = ""
    function: str = ""
    line: int = 0
    event: str = ""


class Opened(Struct, frozen=True):
    """A file that was opened, to read it only or not."""

    path: str
    reads: bool


class Trace(Struct, frozen=True):
    """A traced resume.

    Attributes
    ----------
    package : str
        The folder of the package.
    calls : list of Call
    opened : list of Opened
    reads : int
        How often the store returned a run, from a file or from its memory.
    """

    package: str
    calls: list[Call]
    opened: list[Opened]
    reads: int

    @property
    def python_calls(self) -> list[Call]:
        """The calls of functions of the package."""
        return [call for call in self.calls if not call.c_function]


def trace(checkout: Checkout) -> tuple[Trace, str]:
    """Trace one resume on a checkout's server; return also the run's id."""
    with temporary_folder() as folder:
        log = folder / "profile.json"
        env = {profiler.VARIABLE: str(log)}
        args = ("--PDFlow.max_kernels=1", f"--config={CONFIG}")
        with serving(folder, *args, checkout=checkout, env=env) as product:
            workflow = product.server.deploy("approval", APPROVAL)["id"]
            for _ in range(WARM_UP):
                product.first_line_ms(product.paused(workflow))
            run_id = _traced(product, workflow)
            wait_until(log.exists, "the resume was traced until the kernel's socket")
        return msgspec.json.decode(log.read_bytes(), type=Trace), run_id


def measure(quick: bool, checkouts: Sequence[Checkout] = (THIS,)) -> Figures:  # noqa: ARG001
    """Count what one resume calls; that is the same each time."""
    for checkout in checkouts:
        traced, _ = trace(checkout)
        calls = traced.python_calls
        applied = Counter(call.event for call in calls if call.event)
        counts = {
            "calls of the package's functions": (len(calls), 80),
            "files with these functions": (len({call.file for call in calls}), 15),
            "reads of the run from the store": (traced.reads, 1),
            "calls of apply per event": (max(applied.values(), default=0), 1),
        }
        for name, (count, limit) in counts.items():
            goals = (Goal("p50", limit),) if checkout == THIS else ()
            yield Figure(checkout.label(name), "", [float(count)], checkout.role, goals)


def _traced(product: Product, workflow: str) -> str:
    """Resume a run by a request that the profiler records; return its id."""
    run = product.paused(workflow)
    headers = {**product.server.headers, profiler.HEADER: "1"}
    with Connection(product.server.url, headers) as connection:
        path = urlsplit(run["pause"]["resume_url"]).path
        connection.request("POST", path, {"approved": True}).json()
    run_id: str = product.wait(run["id"], "succeeded")["id"]
    return run_id


def totals(traced: Trace, run_id: str) -> dict[str, str]:
    """Return what the calls amount to."""
    calls = traced.python_calls
    applied = Counter(call.event for call in calls if call.event)
    c_functions = Counter(call.c_function for call in traced.calls if call.c_function)
    packages = [_place(traced, call).partition("/")[0] for call in calls]
    return {
        "calls": str(len(calls)),
        "distinct functions": str(len({(c.file, c.function, c.line) for c in calls})),
        "distinct files": str(len({c.file for c in calls})),
        "changes from package to package": str(len(list(groupby(packages))) - 1),
        "deepest nesting": str(1 + max(c.depth for c in calls)),
        "reads of the run from the store": str(traced.reads),
        "files opened to read the run": str(_opened(traced, run_id)),
        "calls of apply": _counts(applied),
        "calls in C": _counts(c_functions),
    }


def _opened(traced: Trace, run_id: str) -> int:
    return sum(run_id in one.path and one.reads for one in traced.opened)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"


def lines(traced: Trace) -> Iterator[str]:
    """Format the calls in the order of time, indented by their nesting."""
    loop, began = traced.calls[0].thread, traced.calls[0].at
    for call in traced.calls:
        what = f"· {call.c_function}" if call.c_function else _place(traced, call)
        thread = "" if call.thread == loop else "thread: "
        yield f"{(call.at - began) / 1000:6.0f} µs  {INDENT * call.depth}{thread}{what}"


def _place(traced: Trace, call: Call) -> str:
    file = call.file.removeprefix(traced.package)
    event = f" ({call.event})" if call.event else ""
    return f"{file}:{call.line} {call.function}{event}"


def report(traced: Trace, run_id: str, to: TextIO) -> None:
    """Print the calls and the totals."""
    for line in lines(traced):
        print(line, file=to)
    print(file=to)
    for name, value in totals(traced, run_id).items():
        print(f"{name}: {value}", file=to)


def main() -> None:
    """Trace a resume on a checkout, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trace", description=__doc__)
    parser.add_argument("--checkout", type=Path, help="the checkout to trace; by default, this one")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to a file")
    options = parser.parse_args()
    traced, run_id = trace(THIS if options.checkout is None else Checkout.at(options.checkout))
    if options.output is None:
        report(traced, run_id, sys.stdout)
        return
    with options.output.open("w", encoding="utf-8") as file:
        report(traced, run_id, file)


if __name__ == "__main__":
    main()
