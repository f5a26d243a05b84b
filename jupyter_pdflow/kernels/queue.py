"""A queue in which no workflow waits for the many runs of another."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First in, first out for each key, and key after key in turn."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def put(self, key: str, item: T) -> None:
        """Add an item behind those of its key."""
        self._lines.setdefault(key, deque()).append(item)

    def first(self) -> T | None:
        """Get the item whose turn it is, and leave it there."""
        return next(iter(self._lines.values()))[0] if self._lines else None

    def take(self) -> T:
        """Take out the item whose turn it is; its key is then the last."""
        key, line = self._lines.popitem(last=False)
        item = line.popleft()
        if line:
            self._lines[key] = line
        return item

    def remove(self, key: str, item: T) -> None:
        """Take an item out of turn, if it is there."""
        line = self._lines.get(key, deque())
        if item in line:
            line.remove(item)
        if not line:
            self._lines.pop(key, None)
