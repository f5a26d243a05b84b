"""A Jupyter configuration file that records when a resume reaches each tracepoint.

When the server ends, it writes them to the file that ``PDFLOW_TRACEPOINTS`` names: a tracepoint
and `time.time_ns()` per line.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.kernels.connection import Connection
from jupyter_pdflow.server.links.handler import LinkHandler
from jupyter_pdflow.stores.tinydb.writer import WriterThread

VARIABLE = "PDFLOW_TRACEPOINTS"
TRACEPOINTS = ("sent", "handler", "engine", "disk", "on disk", "kernel", "first line")
"""The tracepoints of a resume, in order; the client records the first and the last one."""

_times: list[str] = []


def record(tracepoint: str) -> None:
    """Record the time at a tracepoint."""
    _times.append(f"{tracepoint}\t{time.time_ns()}\n")


def recorded(function: Callable[..., Any], tracepoint: str) -> Callable[..., Any]:
    """Return a function that records its calls at a tracepoint."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        record(tracepoint)
        return function(*args, **kwargs)

    return wrapper


def recorded_both(
    function: Callable[..., Awaitable[Any]], before: str, after: str
) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that records when it is called and when it returns."""

    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        record(before)
        found = await function(*args, **kwargs)
        record(after)
        return found

    return wrapper


if VARIABLE in os.environ:
    LinkHandler.initialize = recorded(LinkHandler.initialize, "handler")  # type: ignore[method-assign]
    Service.resume_pause = recorded(Service.resume_pause, "engine")  # type: ignore[method-assign]
    WriterThread.write = recorded_both(WriterThread.write, "disk", "on disk")  # type: ignore[method-assign, assignment]
    Connection.request = recorded(Connection.request, "kernel")  # type: ignore[method-assign]
    atexit.register(lambda: Path(os.environ[VARIABLE]).write_text("".join(_times)))
