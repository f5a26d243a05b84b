"""What an examination of a data directory knows and finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jupyter_pdflow.mail.message import Email
from jupyter_pdflow.maintenance.datadir import DataDir
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores.tinydb.records import quarantine
from jupyter_pdflow.stores.tinydb.store import Versions


class Fix(NamedTuple):
    """A repair that can do no harm; `done` says what `do` did."""

    do: Callable[[], object]
    done: str


def aside(path: Path) -> Fix:
    """Make the cure for what can't be used: to set it aside, as a server does."""
    return Fix(partial(quarantine, path), f"Set {shown(path)} aside.")


def shown(path: Path) -> str:
    """Write a path as one line, whatever is in its name."""
    return ascii(str(path))[1:-1]


class Finding(NamedTuple):
    """Something that was found; one that is not `grave` is only worth knowing."""

    problem: str
    advice: str
    fix: Fix | None = None
    grave: bool = True


@dataclass
class Inventory:
    """What lies in a data directory, as far as it can be read.

    Attributes
    ----------
    data : DataDir
        The directory.
    holder : str or None
        Who works on it.
    active, finished : dict
        The runs by id, None for one that can't be read. Of the finished ones only those are
        kept that have not ended or are active too: there may be many.
    """

    data: DataDir
    holder: str | None
    active: dict[str, Run | None] = field(default_factory=dict)
    finished: dict[str, Run | None] = field(default_factory=dict)
    workflows: dict[str, Versions] = field(default_factory=dict)
    emails: list[Email] = field(default_factory=list)

    @property
    def waiting(self) -> list[Run]:
        """The active runs that have not ended."""
        return [run for run in self.active.values() if run is not None and not run.ended]
