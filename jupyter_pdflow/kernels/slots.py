"""The slots of a pool, and which of the requests that wait gets the next kernel.

A slot is the right to have one kernel. A request for a version of a workflow is granted an idle
kernel that is warm for this version, or a free slot to start a kernel in. Versions take turns, so
that no version waits for the many runs of another. A kernel's turn lasts some seconds: within it,
the kernel serves the requests for its own version first, since starting another kernel takes as
long as hundreds of short steps.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeAlias, TypeVar

from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.rules.workflow import Workflow

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

VersionKey: TypeAlias = tuple[str, str]
"""The id of a workflow, and a version of it."""


def version_key(workflow: Workflow) -> VersionKey:
    """Return what identifies a version of a workflow."""
    return workflow.id, workflow.version


class SlotRequest(Protocol):
    """A request that waits.

    Attributes
    ----------
    version : tuple of str
        The version to execute.
    """

    version: VersionKey

    def grant(self, kernel: Kernel | None) -> bool:
        """Take an idle kernel, or None for a slot; return whether the request still wants it.

        Called at most once. It must not call the pool.
        """
        ...


class Slots:
    """The slots of a pool, and the requests that wait for one.

    Parameters
    ----------
    maximum : int
        Number of slots.
    turn_seconds : float
        How long a kernel serves requests for its own version while others wait.

    Attributes
    ----------
    maximum : int
        0 once the pool stops: no slot is granted then.
    used : int
        Number of slots that are taken, also by kernels that start or end.
    """

    def __init__(self, maximum: int, turn_seconds: float) -> None:
        self.used = 0
        self.maximum = maximum
        self._turn_seconds = turn_seconds
        self._turn_ends: dict[Kernel, float] = {}
        self._queue: FairQueue[VersionKey, SlotRequest] = FairQueue()

    @property
    def has_free(self) -> bool:
        """Whether there is a free slot."""
        return self.used < self.maximum

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._queue)

    def add(self, request: SlotRequest) -> None:
        """Add a request behind those for the same version."""
        self._queue.put(request.version, request)

    def withdraw(self, request: SlotRequest) -> None:
        """Remove a request, if it still waits."""
        self._queue.remove(request.version, request)

    def drop_all(self) -> None:
        """Remove all requests that wait."""
        self._queue = FairQueue()

    def grant_free(self) -> None:
        """Grant the free slots to the requests whose turn it is."""
        while self._queue and self.has_free:
            if self._queue.take().grant(None):
                self.used += 1

    def grant(self, kernel: Kernel) -> bool:
        """Grant an idle kernel to the next request for its version, while the kernel has its turn.

        Returns
        -------
        bool
            Whether a request got the kernel.
        """
        if kernel.workflow is None or not kernel.alive:
            return False
        version = version_key(kernel.workflow)
        is_over = asyncio.get_running_loop().time() > self._turn_ends[kernel]
        if is_over and self._queue.has_others(version) and not self._queue.is_turn_of(version):
            return False
        while (request := self._next_of(version)) is not None:
            if request.grant(kernel):
                return True
        return False

    def begin_turn(self, kernel: Kernel) -> None:
        """Begin the turn of a kernel that has just started."""
        self._turn_ends[kernel] = asyncio.get_running_loop().time() + self._turn_seconds

    def end_turn(self, kernel: Kernel) -> None:
        """End the turn of a kernel that is closed; its slot is taken until it has ended."""
        self._turn_ends.pop(kernel, None)

    def _next_of(self, version: VersionKey) -> SlotRequest | None:
        """Take out the next request for a version."""
        is_turn = self._queue.is_turn_of(version)
        return self._queue.take() if is_turn else self._queue.take_of(version)


class FairQueue(Generic[K, T]):
    """First in, first out for each key, and key after key in turn; no operation depends on the size.

    Items are hashable, and each is there once.
    """

    def __init__(self) -> None:
        self._by_key: OrderedDict[K, OrderedDict[T, None]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, key: K, item: T) -> None:
        """Add an item behind those of its key."""
        self._by_key.setdefault(key, OrderedDict())[item] = None
        self._length += 1

    def take(self) -> T:
        """Take out the item whose turn it is; its key is then the last."""
        key = next(iter(self._by_key))
        self._by_key.move_to_end(key)
        return self._pop(key)

    def take_of(self, key: K) -> T | None:
        """Take out the first item of a key out of turn; None if the key has no item."""
        return self._pop(key) if key in self._by_key else None

    def has_others(self, key: K) -> bool:
        """Whether items of other keys wait."""
        return len(self._by_key) > (key in self._by_key)

    def is_turn_of(self, key: K) -> bool:
        """Whether the item whose turn it is has this key."""
        return next(iter(self._by_key), None) == key

    def remove(self, key: K, item: T) -> None:
        """Remove an item, if it is there."""
        if item in self._by_key.get(key, ()):
            self._removed(key, item)

    def _pop(self, key: K) -> T:
        item = next(iter(self._by_key[key]))
        self._removed(key, item)
        return item

    def _removed(self, key: K, item: T) -> None:
        items = self._by_key[key]
        del items[item]
        self._length -= 1
        if not items:
            del self._by_key[key]
