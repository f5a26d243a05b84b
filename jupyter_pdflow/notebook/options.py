"""The options of a workflow, which line magics in its setup state: ``%queue``.

They are read from the notebook and not executed, so only a literal one counts. One that would not
count is refused, as its author relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from jupyter_pdflow.exceptions import NotebookError
from jupyter_pdflow.notebook.steps import Header, find_headers
from jupyter_pdflow.rules.workflow import DEFAULT_QUEUE

OPTIONS = ("queue",)
"""The names of the magics."""

QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Matches the name of a queue."""

_QUEUE = re.compile(rf"%queue[ \t]+(?P<name>{QUEUE_NAME.pattern})[ \t]*")


class OptionCell(NamedTuple):
    """A code cell that may state options.

    Attributes
    ----------
    number : int
        Its number in the notebook.
    source : str
        Its source; of a step, with an empty line in place of its header.
    is_setup : bool
        Whether options count in it.
    """

    number: int
    source: str
    is_setup: bool


def queue_of(cells: Iterable[OptionCell]) -> str:
    """Return the queue that a notebook names, or the default.

    Raises
    ------
    NotebookError
        A ``%queue`` would not count, or there are two.
    """
    found: str | None = None
    for cell in cells:
        for header in find_headers(cell.source, OPTIONS):
            match = _QUEUE.fullmatch(cell.source.splitlines()[header.line - 1])
            if match is None or not cell.is_setup:
                raise NotebookError(_refusal(cell, header))
            if found is not None:
                msg = f"Cell {cell.number} of the notebook names a queue again; remove one %queue."
                raise NotebookError(msg)
            found = match["name"]
    return found or DEFAULT_QUEUE


def check_queue(line: str) -> str:
    """Return the name of a queue in what follows ``%queue``.

    Raises
    ------
    NotebookError
        It is no name of a queue.
    """
    name = line.strip()
    if not QUEUE_NAME.fullmatch(name):
        msg = "Write `%queue NAME`; a name has letters, digits, dots, dashes and underscores."
        raise NotebookError(msg)
    return name


def _refusal(cell: OptionCell, header: Header) -> str:
    return (
        f"Cell {cell.number} of the notebook has `{header.text}` in line {header.line}, which would "
        "not count: write `%queue NAME` as a line of its own in a cell above the first step, where "
        "NAME has letters, digits, dots, dashes and underscores."
    )
