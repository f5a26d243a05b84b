"""Writing to the terminal, or to a program that reads."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

from jupyter_pdflow.cli.progress import print_line

WIDE = 10_000


def console(*, wide: bool = False) -> Console:
    """Get standard output; `wide` keeps columns whole where no one looks at a screen."""
    return Console(width=WIDE if wide and not sys.stdout.isatty() else None)


def echo(text: str) -> None:
    """Write lines to standard output, as they are."""
    print_line(console(), text)


def complain(text: str) -> None:
    """Write lines to standard error, as they are."""
    print_line(Console(stderr=True), text)


def print_json(found: Any) -> None:
    """Write JSON for programs."""
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
