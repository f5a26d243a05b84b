"""The processes, threads and tasks that a step has started or left running."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil as untyped_psutil

from jupyter_pdflow.ipykernel_compat import (
    default_executor,
    executor_threads,
    forget_default_executor,
    resource_tracker_pid,
)

psutil: Any = untyped_psutil

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux, see prctl(2)."""

END_SECONDS = 1.0
"""How long to wait for killed processes to end."""

EXECUTOR_SECONDS = 0.1
"""How long each thread of the loop's executor may take to end."""

_HARMLESS_THREADS = frozenset({"tqdm", "ipykernel", "zmq", "traitlets", "debugpy", "pydevd"})
"""Packages whose threads run no code of the author's."""


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; only Linux can do that.

    So a daemon that a step has started stays among the descendants of its kernel.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_descendants(pid: int) -> None:
    """Kill all processes that descend from this one, and wait a moment for their end.

    On systems other than Linux, daemons have been adopted by another process and are not found.
    """
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    for process in found:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(found, timeout=END_SECONDS)


class Leftovers:
    """Finds what a step leaves running; make one before the step, and call `found` after it."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._tasks = asyncio.all_tasks()
        self._children = set(_children())
        self._executor = default_executor(asyncio.get_running_loop())

    def found(self) -> list[str]:
        """Return a description of each leftover, such as ``the thread 'Thread-3 (work)'``."""
        # An executor that was there before the step belongs to the setup.
        if self._executor is None:
            _shut_down_executor()
        return [*self._left_threads(), *self._left_tasks(), *self._left_children()]

    def _left_threads(self) -> Iterator[str]:
        for thread in threading.enumerate():
            package = type(thread).__module__.partition(".")[0]
            is_known = thread in self._threads or thread in executor_threads(self._executor)
            if not is_known and package not in _HARMLESS_THREADS:
                yield f"the thread {thread.name!r}"

    def _left_tasks(self) -> Iterator[str]:
        for task in asyncio.all_tasks() - self._tasks:
            yield f"the task {task.get_name()!r}"

    def _left_children(self) -> Iterator[str]:
        for pid in _children():
            if pid not in self._children and pid != resource_tracker_pid():
                yield f"the process {pid} ({_name_of(pid)})"


def _shut_down_executor() -> None:
    """End the idle threads of ``asyncio.to_thread``, as the end of a script's loop does."""
    loop = asyncio.get_running_loop()
    executor = default_executor(loop)
    if executor is None:
        return
    forget_default_executor(loop)
    executor.shutdown(wait=False, cancel_futures=True)
    for thread in list(executor_threads(executor)):
        thread.join(EXECUTOR_SECONDS)


def _children() -> Iterator[int]:
    """Yield the ids of child processes that run; search for them only if there are any."""
    if not hasattr(os, "waitid"):
        return
    # psutil looks at every process of the system. `waitid` fails at once without any children, and
    # WNOWAIT leaves a child's exit status to the author's code.
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        for child in psutil.Process().children():
            if child.status() != psutil.STATUS_ZOMBIE:
                yield child.pid


def _name_of(pid: int) -> str:
    with suppress(psutil.Error):
        return str(psutil.Process(pid).name())
    return "?"
