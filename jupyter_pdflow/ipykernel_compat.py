"""The private names of ipykernel, IPython and Python's standard library that this package uses.

No other module uses one; ``tests/test_ipykernel_compat.py`` checks that, and that each name still
exists. A kernel runs the author's code inside IPython, ipykernel and asyncio, and these have no
public way to do what a script's interpreter does. The module is below all others because `pd` needs
asyncio's names and must not import `kernels`.

"Known to hold" names the versions whose source has the name with the meaning that is used here.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Collection, MutableMapping
from threading import Thread
from typing import Any

# --- ipykernel ------------------------------------------------------------------------


def publish_idle_status(kernel: Any) -> None:
    """Publish that a kernel has finished the request that is its parent.

    Private name: ``ipykernel.kernelbase.Kernel._publish_status``; known to hold in ipykernel 6.29
    to 7.4. ipykernel publishes the status itself only for messages that come on its own channels,
    and ours come on a socket.
    """
    kernel._publish_status("idle", "shell")


def refuse_input(kernel: Any) -> None:
    """Have `input` and `getpass` raise ``StdinNotImplementedError`` until `restore_input`.

    Private name: ``ipykernel.ipkernel.IPythonKernel._forward_input``; known to hold in ipykernel
    6.29 to 7.4. In public it is done by an ``execute_request`` only.
    """
    kernel._forward_input(allow_stdin=False)


def restore_input(kernel: Any) -> None:
    """Undo `refuse_input`.

    Private name: ``ipykernel.ipkernel.IPythonKernel._restore_input``; known to hold in ipykernel
    6.29 to 7.4. In public it is done by an ``execute_request`` only.
    """
    kernel._restore_input()


# --- IPython --------------------------------------------------------------------------


def publish_traceback(shell: Any, kind: type[BaseException], text: str, lines: list[str]) -> None:
    """Publish an ``error`` output with these lines of a traceback.

    Private name: ``IPython.core.interactiveshell.InteractiveShell._showtraceback``, which
    ipykernel overrides; known to hold in IPython 8.12 to 9.18 and ipykernel 6.29 to 7.4. The
    public ``showtraceback`` formats an exception by itself, with the frames of this package.
    """
    shell._showtraceback(kind, text, lines)


def forget_last_traceback(shell: Any) -> None:
    """Have the reply to a failed cell carry no traceback.

    Private name: ``ipykernel.zmqshell.ZMQInteractiveShell._last_traceback``; known to hold in
    ipykernel 6.29 to 7.4. The reply has what the shell published last, and there is no public way
    to fail a cell without a traceback. The shell of a terminal ignores the attribute.
    """
    vars(shell)["_last_traceback"] = []


# --- asyncio --------------------------------------------------------------------------

_events: Any = asyncio.events

get_event_loop_policy: Callable[[], Any] = getattr(
    _events, "_get_event_loop_policy", asyncio.get_event_loop_policy
)
"""Return the policy that says which event loop is the current one.

Private name: ``asyncio.events._get_event_loop_policy``, of Python 3.14 only. There the public
function is deprecated, and its warning would be an error for users who want that.
"""

set_event_loop_policy: Callable[[Any], None] = getattr(
    _events, "_set_event_loop_policy", asyncio.set_event_loop_policy
)
"""Set that policy. Private name: ``asyncio.events._set_event_loop_policy``, of Python 3.14 only."""

EventLoopPolicy: Any = (
    getattr(_events, "_AbstractEventLoopPolicy", None) or asyncio.AbstractEventLoopPolicy
)
"""The base class of policies.

Private name: ``asyncio.events._AbstractEventLoopPolicy``, of Python 3.14 only.
"""


def set_running_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Set the event loop that this thread takes for the running one.

    Private name: ``asyncio._set_running_loop``; known to hold in Python 3.11 to 3.14, where it is
    in ``asyncio.__all__`` for the authors of event loops. `asyncio.run` refuses to start while a
    loop runs, so the kernel's has to be hidden.
    """
    asyncio._set_running_loop(loop)


def swap_current_task(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> None:
    """Set the task that a loop takes for the current one.

    Private name: ``asyncio.tasks._swap_current_task``, of Python 3.12 to 3.14. There a nested loop
    would find the kernel's task; before 3.12 the current task is found by the running loop, and
    there is nothing to do. The public ``asyncio.current_task`` only reads.
    """
    swap: Callable[..., Any] | None = getattr(asyncio.tasks, "_swap_current_task", None)
    if swap is not None:
        swap(loop, task)


def default_executor(loop: asyncio.AbstractEventLoop) -> Any:
    """Return the executor that a loop made for `asyncio.to_thread`, or None if it made none.

    Private name: ``asyncio.base_events.BaseEventLoop._default_executor``; known to hold in Python
    3.11 to 3.14. Loops of other packages, such as uvloop's, need not have it: None then. The public
    ``set_default_executor`` can't be read back.
    """
    return getattr(loop, "_default_executor", None)


def forget_default_executor(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop make a new executor when it needs one next.

    Private name: as `default_executor`. The public ``shutdown_default_executor`` refuses all later
    uses, and ``set_default_executor`` takes no None.
    """
    vars(loop)["_default_executor"] = None


# --- the rest of the standard library -------------------------------------------------


def executor_threads(executor: Any) -> Collection[Thread]:
    """Return the threads of a `concurrent.futures.ThreadPoolExecutor`; empty for another or None.

    Private name: ``ThreadPoolExecutor._threads``; known to hold in Python 3.11 to 3.14. There is no
    public way to tell these threads from the author's own.
    """
    threads: Collection[Thread] = getattr(executor, "_threads", ())
    return threads


def resource_tracker_pid() -> int | None:
    """Return the process id of the resource tracker of `multiprocessing`, or None if it has none.

    Private names: ``multiprocessing.resource_tracker._resource_tracker`` and its ``_pid``; known to
    hold in Python 3.11 to 3.14. The process starts with the first shared resource and lives until
    the kernel ends, and there is no public way to tell it from a process of the author's.
    """
    module = sys.modules.get("multiprocessing.resource_tracker")
    pid: int | None = getattr(getattr(module, "_resource_tracker", None), "_pid", None)
    return pid


def environment_data() -> MutableMapping[Any, Any]:
    """Return the dict below `os.environ`, whose keys and values may be encoded.

    Private name: ``os.environ._data``; known to hold in CPython 3.11 to 3.14. To read `os.environ`
    itself decodes each value and takes 30 times as long, after each step.
    """
    data: MutableMapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return data
