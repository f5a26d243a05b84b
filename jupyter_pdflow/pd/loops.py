"""Run the author's synchronous code as in a script, outside the kernel's running event loop.

On Pipedream a plain script calls the handler, so ``asyncio.run(…)`` and
``asyncio.get_event_loop().run_until_complete(…)`` are common in handlers. A kernel calls it within
a task, where asyncio refuses both. `outside_loop` hides the running loop meanwhile, and provides a
current loop of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from jupyter_pdflow.ipykernel_compat import (
    EventLoopPolicy,
    get_event_loop_policy,
    set_event_loop_policy,
    set_running_loop,
    swap_current_task,
)

GRACE_SECONDS = 1.0
"""Maximum time that unfinished tasks of a step have to end once they are canceled."""


def outside_loop() -> AbstractContextManager[asyncio.AbstractEventLoop]:
    """Return a context manager that hides the running event loop from synchronous code.

    Within the context no loop is running, and the script's loop is the current one. The context's
    value is the hidden loop.
    """
    return _OutsideLoop()


@contextmanager
def canceling_tasks() -> Iterator[None]:
    """Cancel the tasks that a step has left unfinished in the script's loop when the step ends.

    That loop is kept for later steps. Without this, the tasks would continue in the next one.
    """
    try:
        yield
    finally:
        _cancel_tasks()


def _cancel_tasks() -> None:
    loop = _script_loops.kept_loop
    if loop is None or loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        with outside_loop():
            loop.run_until_complete(asyncio.wait(tasks, timeout=GRACE_SECONDS))


def is_switching(frame: FrameType) -> bool:
    """Whether a frame belongs to this module, whose work an interrupt must not end halfway."""
    return frame.f_code.co_filename == __file__


class _Local(threading.local):
    """The state of one thread."""

    # nest_asyncio reads the current loop as `policy._local._loop`, so both names are needed.
    _loop: asyncio.AbstractEventLoop | None = None
    is_outside = False


class _ScriptLoops(EventLoopPolicy):  # type: ignore[misc]
    """An event loop policy that gives synchronous code of steps a current loop, as a script has.

    The loop is made when it is first asked for. It is kept for later steps, because the author may
    keep it in a global, and replaced if the author has closed it. Threads that are not within
    `outside_loop` use the policy that was set before.
    """

    def __init__(self) -> None:
        self.local = self._local = _Local()
        self.kept_loop: asyncio.AbstractEventLoop | None = None
        self.original: Any = None
        atexit.register(self._close)

    def get_event_loop(self) -> Any:
        if not self.local.is_outside:
            return self.original.get_event_loop()
        if self.local._loop is None or self.local._loop.is_closed():
            self.local._loop = self._open_loop()
        return self.local._loop

    def set_event_loop(self, loop: Any) -> None:
        if self.local.is_outside:
            self.local._loop = loop
        else:
            self.original.set_event_loop(loop)

    def new_event_loop(self) -> Any:
        return self.original.new_event_loop()

    def get_child_watcher(self) -> Any:
        return self.original.get_child_watcher()

    def set_child_watcher(self, watcher: Any) -> None:
        self.original.set_child_watcher(watcher)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self.kept_loop is None or self.kept_loop.is_closed():
            self.kept_loop = self.new_event_loop()
        return self.kept_loop

    def _close(self) -> None:
        """Close the loop when Python ends; else it warns that it was not closed."""
        if self.kept_loop is not None and not self.kept_loop.is_running():
            self.kept_loop.close()


_script_loops = _ScriptLoops()


class _OutsideLoop:
    """Hides the running loop, the current task and the policy, and restores them.

    ``asyncio._set_running_loop`` is the function that asyncio offers to implementations of loops.
    """

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        self.policy, local = get_event_loop_policy(), _script_loops.local
        self.before = local._loop, local.is_outside
        if self.policy is not _script_loops:
            _script_loops.original = self.policy
            set_event_loop_policy(_script_loops)
        local._loop, local.is_outside = None, True
        swap_current_task(self.loop, None)
        set_running_loop(None)
        return self.loop

    def __exit__(self, *_: object) -> None:
        set_running_loop(self.loop)
        swap_current_task(self.loop, self.task)
        local = _script_loops.local
        local._loop, local.is_outside = self.before
        # Another policy was set by the author, as a script may; it stays.
        if get_event_loop_policy() is _script_loops:
            set_event_loop_policy(self.policy)
