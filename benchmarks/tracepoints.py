"""A Jupyter configuration file that has its server write down when a resume gets where.

Lines go to the file that ``PDFLOW_STATIONS`` names when the server ends: a station and
`time.time_ns()`.
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
from jupyter_pdflow.stores.tinydb.writer import Writer

VARIABLE = "PDFLOW_STATIONS"
STATIONS = ("sent", "handler", "engine", "disk", "on disk", "kernel", "first line")
"""The way of a resume; the client adds the first one and the last one."""

_times: list[str] = []


def note(station: str) -> None:
    """Write down that something got there."""
    _times.append(f"{station}\t{time.time_ns()}\n")


def noting(function: Callable[..., Any], station: str) -> Callable[..., Any]:
    """Have a function say when it is called."""

    @wraps(function)
    def noted(*args: Any, **kwargs: Any) -> Any:
        note(station)
        return function(*args, **kwargs)

    return noted


def noting_both(
    function: Callable[..., Awaitable[Any]], before: str, after: str
) -> Callable[..., Awaitable[Any]]:
    """Have a coroutine function say when it is called, and when it is done."""

    @wraps(function)
    async def noted(*args: Any, **kwargs: Any) -> Any:
        note(before)
        found = await function(*args, **kwargs)
        note(after)
        return found

    return noted


if VARIABLE in os.environ:
    LinkHandler.initialize = noting(LinkHandler.initialize, "handler")  # type: ignore[method-assign]
    Service.resume_pause = noting(Service.resume_pause, "engine")  # type: ignore[method-assign]
    Writer.write = noting_both(Writer.write, "disk", "on disk")  # type: ignore[method-assign]
    Connection.ask = noting(Connection.ask, "kernel")  # type: ignore[method-assign]
    atexit.register(lambda: Path(os.environ[VARIABLE]).write_text("".join(_times)))
