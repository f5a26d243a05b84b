"""Run the kill test for long: ``python -m tests.kills --kills 300 --seed 1``."""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.kills.harness import kill_and_check


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"{options.kills} kills, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = kill_and_check(Path(folder), options.kills, options.seed, show)
    print(report)


def show(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
