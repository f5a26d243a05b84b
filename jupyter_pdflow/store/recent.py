"""The records that were read or written last, kept in memory up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from jupyter_pdflow.store.orders import Stamp

BYTES = 4 * 2**20
"""Maximum size of the files of all records kept; as objects they take about six times as much."""


class Recent:
    """Records by their files, used as long as these are the same: changes come in bursts.

    The newest one is kept whatever its size, so that a large run is not read at each change.

    Parameters
    ----------
    limit : int
        Maximum size in bytes of the files of the records kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[Stamp, Any]] = OrderedDict()

    def get(self, path: str, stamp: Stamp) -> Any:
        """Return the record of a file in that state, or None."""
        kept = self._kept.get(path)
        if kept is None or kept[0] != stamp:
            return None
        self._kept.move_to_end(path)
        return kept[1]

    def keep(self, path: str, stamp: Stamp, record: Any) -> None:
        """Keep the record of a file in that state, and drop the oldest ones beyond the limit."""
        self._drop(path)
        self._kept[path] = stamp, record
        self._size += _bytes(stamp)
        while self._size > self._limit and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, path: str) -> None:
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._size -= _bytes(kept[0])


def _bytes(stamp: Stamp) -> int:
    return stamp[2]


RECENT = Recent(BYTES)
"""Shared by all directories of records of this process."""
