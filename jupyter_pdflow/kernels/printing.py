"""Keeping a step that prints without end from flooding the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_pdflow.kernels.messages import PRINT_LIMIT


class Printing:
    """What has been printed."""

    def __init__(self, bounds: list[_Bound]) -> None:
        self._bounds = bounds

    @property
    def used(self) -> bool:
        """Whether anything was printed."""
        return any(bound.used for bound in self._bounds)

    @property
    def dropped(self) -> int:
        """How many characters have been dropped."""
        return sum(bound.dropped for bound in self._bounds)


@contextmanager
def bounded_printing(limit: int = PRINT_LIMIT) -> Iterator[Printing]:
    """Let that number of characters through to each of stdout and stderr, and drop the others.

    The streams stay the objects that they are, as loggers and others keep hold of them.
    """
    bounds = [_Bound(stream, limit) for stream in (sys.stdout, sys.stderr)]
    try:
        yield Printing(bounds)
    finally:
        for bound in bounds:
            bound.lift()


class _Bound:
    """A limit on what one stream lets through."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._write = stream.write
        self._left = limit
        self.used = False
        self.dropped = 0
        stream.write = self.write

    def write(self, text: Any) -> Any:
        self.used = True
        size = len(text) if isinstance(text, str) else 0
        if size <= self._left:
            self._left -= size
            return self._write(text)
        if self._left:
            self._write(text[: self._left])
        self.dropped += size - self._left
        self._left = 0
        return size

    def lift(self) -> None:
        del self._stream.write
