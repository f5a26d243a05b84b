"""A Jupyter configuration file that records the server's writes and syncs of files.

When the server ends, it writes them to the file that ``PDFLOW_SYSCALLS`` names, one JSON object per
line. The file must not import the package or other modules of `benchmarks`: it is loaded into the
server of any checkout.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

VARIABLE = "PDFLOW_SYSCALLS"
WRITES = ("open", "write", "writev", "pwrite", "pwritev")
SYNCS = ("fsync", "fdatasync")

_calls: list[dict[str, Any]] = []


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that records its calls, except those that open a file to read it."""
    name = function.__name__

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begin = time.time_ns()
        try:
            return function(*args, **kwargs)
        finally:
            if name != "open" or args[1] & (os.O_WRONLY | os.O_RDWR):
                thread = threading.get_ident()
                _calls.append(
                    {"name": name, "thread": thread, "begin": begin, "end": time.time_ns()}
                )

    return wrapper


if VARIABLE in os.environ:
    for call in (*WRITES, *SYNCS):
        setattr(os, call, recorded(getattr(os, call)))
    atexit.register(
        lambda: Path(os.environ[VARIABLE]).write_text(
            "".join(f"{json.dumps(call)}\n" for call in _calls)
        )
    )
