"""What the commands do to a data directory while no server holds it: doctor, export and import.

`doctor` checks and repairs, `transfer` exports and imports runs, `archive` is the file that carries
them. Which files these are is declared in `jupyter_pdflow.stores.tinydb.layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Progress = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes items on one by one, for a progress bar."""
