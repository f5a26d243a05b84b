"""A process that the author's code has forked must not go on as a second kernel."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jupyter_pdflow.handler.tracebacks import trim

_loops: list[asyncio.AbstractEventLoop] = []
"""The running loops that the author's code was called from."""


@contextmanager
def ending_forks() -> Iterator[None]:
    """End a child process, made by `os.fork` inside, that would leave this context.

    The child is a copy of the kernel: it would answer in the kernel's place, and read what is
    sent to it. As at the end of a script, its exit status says whether it raised.
    """
    pid, loop = os.getpid(), asyncio.get_running_loop()
    _loops.append(loop)
    error: BaseException | None = None
    try:
        yield
    except BaseException as exception:
        error = exception
        raise
    finally:
        if os.getpid() != pid:
            _end(error)
        _loops.remove(loop)


def _end(error: BaseException | None = None) -> None:
    """End this process at once: its threads, sockets and exit handlers are the kernel's."""
    status = _status(error)
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        code = error.code
        return code & 0xFF if isinstance(code, int) else int(code is not None)
    with suppress(Exception):
        traceback.print_exception(trim(error))
    return 1


def _in_child() -> None:
    """End a child that awaits: the loop that it would go back to is the kernel's."""
    for loop in _loops:
        loop.call_soon(_end)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
