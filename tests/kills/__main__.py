"""Run the kill test for long: ``python -m tests.kills --kills 300 --seed 1``.

With ``--cluster``, parts of a cluster on PostgreSQL fail.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.kills.harness import Report, kill_and_check


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"{options.kills} kills, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = _run(Path(folder), options)
    print(report)


def _run(folder: Path, options: argparse.Namespace) -> Report:
    if not options.cluster:
        return kill_and_check(folder, options.kills, options.seed, show)
    from tests.kills.cluster import fail_and_check
    from tests.postgres import postgres_server

    with postgres_server(fsync="on") as postgres:
        return fail_and_check(folder, postgres, options.kills, options.seed, show)


def show(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
