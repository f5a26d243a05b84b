"""Run benchmarks: ``python -m benchmarks NAME…``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.archive import DEFAULT, key_of, load, result_of, save
from benchmarks.checkouts import THIS, Checkout
from benchmarks.figures import Figure
from benchmarks.tables import terminal_table

MEASURES = {
    "warm": "R with a warm kernel: the request to a resume link until the next step's first line",
    "path": "the parts of that time",
    "waiting": "what 0 to 100,000 waiting runs cost: R, start, memory, kernels, CPU, pages",
    "throughput": "runs per second, started until paused and resumed until completed",
    "durable": "the durable write of a transition",
    "held": "how long the event loop is held beside 100,000 finished runs and 50,000 emails",
    "index": "the index of 100,000 runs and 50,000 emails: made, compared, asked",
    "trace": "what a resume calls in the server until its message is on the kernel's socket",
    "steps": "a step of a longer run",
    "cold": "R with no warm kernel",
    "timers": "how late timers are",
    "postgres": "R, waiting runs, timers and workers on PostgreSQL, beside TinyDB",
    "imports": "what the package adds to the start of a kernel",
}
COMPARED = ("warm", "throughput", "durable", "held", "trace", "waiting")
"""The measures that can be run against another checkout."""

REPORT = "report"


def main() -> None:
    """Run the named measures, one after another; show and store the figures."""
    options = _options()
    console = Console()
    if options.names == [REPORT]:
        report.write(load(options.json or DEFAULT), MEASURES)
        return
    checkouts = (THIS,) if options.against is None else (THIS, options.against)
    for name in options.names or (COMPARED if options.against else MEASURES):
        figures = _measure(name, options.quick, checkouts, console)
        console.print(terminal_table(MEASURES[name], figures))
        path = options.json or (None if options.quick else DEFAULT)
        if path is not None:
            key = key_of(name, checkouts[-1].name)
            save(path, {key: result_of(figures, quick=options.quick)})


def _measure(
    name: str, quick: bool, checkouts: Sequence[Checkout], console: Console
) -> list[Figure]:
    figures: list[Figure] = []
    measure = import_module(f"benchmarks.{name}").measure
    with console.status(name) as status:
        for figure in measure(quick, checkouts) if name in COMPARED else measure(quick):
            figures.append(figure)
            status.update(f"{name}: {figure.name} {figure.p50:.3g} {figure.unit}")
    return figures


def _options() -> argparse.Namespace:
    known = {**MEASURES, REPORT: "write the stored figures into README.md, and draw the picture"}
    lines = "\n".join(f"  {name:<12}{what}" for name, what in known.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measure speed and cost; without names, run all measures:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="few samples; stored with --json only")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help=f"store the figures here, not in {DEFAULT.name}"
    )
    parser.add_argument(
        "--against",
        type=_other_checkout,
        metavar="PATH",
        help=f"measure another checkout in turns with this one; for {', '.join(COMPARED)}",
    )
    options = parser.parse_args()
    if options.against and not set(options.names) <= set(COMPARED):
        parser.error(f"Only {', '.join(COMPARED)} can be run against another checkout.")
    unknown = set(options.names) - set(MEASURES)
    if unknown and options.names != [REPORT]:
        parser.error(f"There is no measure {', '.join(sorted(unknown))}.")
    return options


def _other_checkout(path: str) -> Checkout:
    try:
        return Checkout.at(Path(path))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
