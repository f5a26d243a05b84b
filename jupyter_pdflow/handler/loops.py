"""A handler that is not ``async`` may still use ``asyncio.run``, as a script may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def outside_loop() -> Iterator[None]:
    """Hide the running event loop, a kernel's, from synchronous code.

    On Pipedream a handler is called by a plain script, and ``asyncio.run`` in it is common. In a
    kernel it is called from a task, where ``asyncio.run`` refuses to work. ``_set_running_loop``
    is what asyncio offers to those who run loops; since Python 3.12 the task is kept apart.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    swap_task: Callable[..., Any] = getattr(asyncio.tasks, "_swap_current_task", _no_swap)
    swap_task(loop, None)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        swap_task(loop, task)


def _no_swap(_loop: asyncio.AbstractEventLoop, _task: asyncio.Task[Any] | None) -> None:
    """Before Python 3.12, tasks are told apart by their loop."""
