"""A Jupyter configuration file that records when the server's event loop is held.

A timer of the event loop is due every `BEAT_SECONDS`; one that is late by more than `LATE_SECONDS`
is recorded, with the function of the package in which the loop was seen meanwhile. When the server
ends, it writes them to the file that ``PDFLOW_HEARTBEAT`` names, one JSON object per line. The file
must not import the package or other modules of `benchmarks`: it is loaded into the server of any
checkout.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import threading
import time
from collections import Counter
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

VARIABLE = "PDFLOW_HEARTBEAT"
BEAT_SECONDS = 0.002
LATE_SECONDS = 0.002
WATCH_SECONDS = 0.01
"""How often another thread looks where the loop is while it is late."""

PACKAGE = f"{os.sep}jupyter_pdflow{os.sep}"


class Heartbeat:
    """The timer of one event loop, and the delays that it has seen.

    Parameters
    ----------
    loop : AbstractEventLoop
        The loop, whose thread is the current one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.late: list[dict[str, Any]] = []
        self._loop = loop
        self._thread = threading.get_ident()
        self._seen: Counter[str] = Counter()
        self._due = loop.time()

    def start(self) -> None:
        """Start the timer, and the thread that watches it."""
        self._beat()
        threading.Thread(target=self._watch, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        now = self._loop.time()
        if now - self._due > LATE_SECONDS:
            where = self._seen.most_common(1)
            self.late.append(
                {
                    "at": time.time_ns(),
                    "ms": (now - self._due) * 1000,
                    "where": where[0][0] if where else "",
                }
            )
        self._seen.clear()
        self._due = now + BEAT_SECONDS
        self._loop.call_at(self._due, self._beat)

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            if self._loop.time() > self._due + WATCH_SECONDS:
                frame = sys._current_frames().get(self._thread)
                self._seen[_function(frame)] += 1


def _function(frame: FrameType | None) -> str:
    """Return the innermost function of the package on a stack, or an empty text."""
    while frame is not None:
        code = frame.f_code
        if PACKAGE in code.co_filename:
            return f"{code.co_filename.rpartition(PACKAGE)[2]} {code.co_qualname}"
        frame = frame.f_back
    return ""


def _install(log: Path) -> None:
    """Start a heartbeat when the server's loop runs; it runs for moments before, too."""
    run_forever = asyncio.BaseEventLoop.run_forever
    heartbeats: dict[int, Heartbeat] = {}

    @wraps(run_forever)
    def with_heartbeat(loop: asyncio.BaseEventLoop) -> None:
        if threading.current_thread() is threading.main_thread() and id(loop) not in heartbeats:
            heartbeats[id(loop)] = Heartbeat(loop)
            loop.call_soon(heartbeats[id(loop)].start)
        run_forever(loop)

    def write() -> None:
        lines = [json.dumps(late) for heart in heartbeats.values() for late in heart.late]
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    asyncio.BaseEventLoop.run_forever = with_heartbeat  # type: ignore[method-assign, assignment]
    atexit.register(write)


if VARIABLE in os.environ:
    _install(Path(os.environ[VARIABLE]))
