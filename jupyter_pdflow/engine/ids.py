"""Ids that sort by the time at which they were made, whatever the clock does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ulid import ULID

LATEST = int(ULID.from_datetime(datetime(3000, 1, 1, tzinfo=UTC)))
"""An id from here on was made up: counting on from one could run out of ids."""


class Ids:
    """Makes ULIDs; each is greater than all before it, even when the clock was set back.

    Parameters
    ----------
    after : sequence of str
        Ids that were made before; foreign ones are ignored.
    """

    def __init__(self, after: Sequence[str] = ()) -> None:
        self._last = max(map(_number, after), default=0)

    def new(self, now: datetime) -> str:
        """Make the next id."""
        self._last = max(int(ULID.from_datetime(now)), self._last + 1)
        return str(ULID.from_int(self._last))


def _number(run_id: str) -> int:
    try:
        number = int(ULID.from_str(run_id))
    except ValueError:
        return 0
    return number if number < LATEST else 0
