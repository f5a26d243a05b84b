"""Synchronous code of the author's runs as in a script: no event loop runs around it."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

GRACE = 1.0
"""Seconds that tasks which are left over get to end when they are canceled."""

# Since Python 3.14 policies are deprecated under their public names.
_events: Any = asyncio.events
_get_policy: Callable[[], Any] = getattr(
    _events, "_get_event_loop_policy", asyncio.get_event_loop_policy
)
_set_policy: Callable[[Any], None] = getattr(
    _events, "_set_event_loop_policy", asyncio.set_event_loop_policy
)
_Policy: Any = getattr(_events, "_AbstractEventLoopPolicy", None) or asyncio.AbstractEventLoopPolicy


def _no_swap(_loop: asyncio.AbstractEventLoop, _task: asyncio.Task[Any] | None) -> None:
    """Before Python 3.12, tasks are told apart by their loop."""


_swap_task: Callable[..., Any] = getattr(asyncio.tasks, "_swap_current_task", _no_swap)


def outside_loop() -> AbstractContextManager[asyncio.AbstractEventLoop]:
    """Hide the running event loop, a kernel's, from synchronous code; gives that loop.

    On Pipedream a handler is called by a plain script, and ``asyncio.run`` in it is common, as
    is ``asyncio.get_event_loop().run_until_complete``. In a kernel it is called from a task,
    where neither works.
    """
    return _OutsideLoop()


@contextmanager
def canceling_tasks() -> Iterator[None]:
    """Cancel in the end what a step left unfinished, so that no later one goes on with it."""
    try:
        yield
    finally:
        _cancel_tasks()


def _cancel_tasks() -> None:
    loop = _script_loops.own
    if loop is None or loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        with outside_loop():
            loop.run_until_complete(asyncio.wait(tasks, timeout=GRACE))


def is_switching(frame: FrameType) -> bool:
    """Whether this code is at work, which must not end halfway."""
    return frame.f_code.co_filename == __file__


class _Local(threading.local):
    """A thread's state; `_loop` is where nest_asyncio looks for the current loop."""

    _loop: asyncio.AbstractEventLoop | None = None
    is_outside = False


class _ScriptLoops(_Policy):  # type: ignore[misc]
    """What the current event loop is, as in a script: one that is made when first asked for.

    It is the same one in all steps, as the author may keep it in a global, until someone
    closes it. Threads that are not `outside_loop` have what they had before.
    """

    def __init__(self) -> None:
        self.local = self._local = _Local()
        self.own: asyncio.AbstractEventLoop | None = None
        self.beneath: Any = None
        atexit.register(self._close)

    def get_event_loop(self) -> Any:
        if not self.local.is_outside:
            return self.beneath.get_event_loop()
        if self.local._loop is None or self.local._loop.is_closed():
            self.local._loop = self._own_loop()
        return self.local._loop

    def set_event_loop(self, loop: Any) -> None:
        if self.local.is_outside:
            self.local._loop = loop
        else:
            self.beneath.set_event_loop(loop)

    def new_event_loop(self) -> Any:
        return self.beneath.new_event_loop()

    def get_child_watcher(self) -> Any:
        return self.beneath.get_child_watcher()

    def set_child_watcher(self, watcher: Any) -> None:
        self.beneath.set_child_watcher(watcher)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self.own is None or self.own.is_closed():
            self.own = self.new_event_loop()
        return self.own

    def _close(self) -> None:
        if self.own is not None and not self.own.is_running():
            self.own.close()


_script_loops = _ScriptLoops()


class _OutsideLoop:
    """Takes the running loop and the policy away, and gives them back.

    ``_set_running_loop`` is what asyncio offers to those who run loops; since Python 3.12 the
    task is kept apart.
    """

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        self.policy, local = _get_policy(), _script_loops.local
        self.before = local._loop, local.is_outside
        if self.policy is not _script_loops:
            _script_loops.beneath = self.policy
            _set_policy(_script_loops)
        local._loop, local.is_outside = None, True
        _swap_task(self.loop, None)
        asyncio._set_running_loop(None)
        return self.loop

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(self.loop)
        _swap_task(self.loop, self.task)
        local = _script_loops.local
        local._loop, local.is_outside = self.before
        if _get_policy() is _script_loops:  # another one in its place is the author's, and stays
            _set_policy(self.policy)
