"""The processes that steps have started, as the server sees them."""

from __future__ import annotations

import ctypes
import sys
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
