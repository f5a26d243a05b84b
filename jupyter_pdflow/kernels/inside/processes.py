"""The processes and threads that a step has started or left running."""

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

psutil: Any = untyped_psutil

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux, see prctl(2)."""

END_SECONDS = 1.0


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, where the system can do that.

    So a daemon that a step has started stays among the descendants of its kernel.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_descendants(pid: int) -> None:
    """Kill all processes that descend from this one, and wait a moment for their end.

    Not found are those that have been adopted by another process: daemons, on systems other than
    Linux.
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


EXECUTOR_SECONDS = 0.1
"""How long the threads of the loop's executor may take to end."""

_HARMLESS_THREADS = frozenset({"tqdm", "ipykernel", "zmq", "traitlets", "debugpy", "pydevd"})
"""Packages whose threads do nothing by themselves."""


class Leftovers:
    """Compares what runs now with what ran when this was made, at a step's beginning."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._tasks = asyncio.all_tasks()
        self._children = set(_children())
        self._executor = _executor()

    def found(self) -> list[str]:
        """Describe what has been left, such as ``the thread 'Thread-3 (work)'``."""
        if self._executor is None:
            _shut_down_executor()
        return [*self._left_threads(), *self._left_tasks(), *self._left_children()]

    def _left_threads(self) -> Iterator[str]:
        for thread in threading.enumerate():
            package = type(thread).__module__.partition(".")[0]
            is_known = thread in self._threads or thread in _threads_of(self._executor)
            if not is_known and package not in _HARMLESS_THREADS:
                yield f"the thread {thread.name!r}"

    def _left_tasks(self) -> Iterator[str]:
        for task in asyncio.all_tasks() - self._tasks:
            yield f"the task {task.get_name()!r}"

    def _left_children(self) -> Iterator[str]:
        for pid in _children():
            if pid not in self._children and not _is_tracker(pid):
                yield f"the process {pid} ({_name_of(pid)})"


def _executor() -> Any:
    """Get what the loop has made for ``asyncio.to_thread``, if it was used."""
    return getattr(asyncio.get_running_loop(), "_default_executor", None)


def _threads_of(executor: Any) -> Any:
    return getattr(executor, "_threads", ())


def _shut_down_executor() -> None:
    """End the idle threads of ``asyncio.to_thread``, as the end of a script's loop does."""
    executor, loop = _executor(), asyncio.get_running_loop()
    if executor is None:
        return
    vars(loop)["_default_executor"] = None  # a new one is made when needed
    executor.shutdown(wait=False, cancel_futures=True)
    for thread in list(_threads_of(executor)):
        thread.join(EXECUTOR_SECONDS)


def _children() -> Iterator[int]:
    """List the child processes, without a search among all processes where that can be."""
    if not hasattr(os, "waitid"):
        return
    with suppress(ChildProcessError):  # there is none
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        for child in psutil.Process().children():
            if child.status() != psutil.STATUS_ZOMBIE:
                yield child.pid


def _is_tracker(pid: int) -> bool:
    """Whether a process is the one by which multiprocessing cleans up at the kernel's end."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    return pid == getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)


def _name_of(pid: int) -> str:
    with suppress(psutil.Error):
        return str(psutil.Process(pid).name())
    return "?"
