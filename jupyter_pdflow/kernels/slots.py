"""A queue in which no workflow's version waits for the many runs of another."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """First in, first out for each key, and key after key in turn."""

    def __init__(self) -> None:
        self._lines: OrderedDict[K, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def put(self, key: K, item: T) -> None:
        """Add an item behind those of its key."""
        self._lines.setdefault(key, deque()).append(item)

    def take(self) -> T:
        """Take out the item whose turn it is; its key is then the last."""
        key = next(iter(self._lines))
        self._lines.move_to_end(key)
        return self._pop(key)

    def take_of(self, key: K) -> T | None:
        """Take out the first item of a key, whoever's turn it is."""
        return self._pop(key) if key in self._lines else None

    def has_others(self, key: K) -> bool:
        """Whether items of other keys wait."""
        return len(self._lines) > (key in self._lines)

    def is_turn_of(self, key: K) -> bool:
        """Whether the item whose turn it is has this key."""
        return next(iter(self._lines), None) == key

    def _pop(self, key: K) -> T:
        line = self._lines[key]
        item = line.popleft()
        if not line:
            del self._lines[key]
        return item

    def remove(self, key: K, item: T) -> None:
        """Take an item out of turn, if it is there."""
        line = self._lines.get(key, deque())
        if item in line:
            line.remove(item)
        if not line:
            self._lines.pop(key, None)
