"""A Jupyter configuration file that records what one resume calls inside the server.

The recording begins when a request with the header `HEADER` reaches its handler, and ends when a
message is given to a kernel's Unix socket, in all threads that were started by then. The server
writes it as JSON to the file that ``PDFLOW_PROFILE`` names. The file must not import the package
or other modules of `benchmarks`: it is loaded into the server of any checkout.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from tornado.web import RequestHandler

VARIABLE = "PDFLOW_PROFILE"
HEADER = "X-Benchmark-Trace"

SENDS = {"send", "sendall", "sendmsg", "sendto"}
SHOWN = {
    *(f"posix.{name}" for name in ("fdatasync", "fsync", "link", "open", "pread", "pwrite")),
    *(f"posix.{name}" for name in ("read", "rename", "replace", "stat", "unlink", "write")),
    *(f"msgspec._core.{name}" for name in ("convert", "json_decode", "json_encode")),
    *("msgspec._core.to_builtins", "orjson.dumps", "orjson.loads", "io.open"),
    *("Decoder.decode", "Encoder.encode", "Connection.execute", "Cursor.execute"),
}
"""The functions in C whose calls by the package are recorded: for files, encoding and SQL."""

STORE = (f"{os.sep}store{os.sep}", f"{os.sep}stores{os.sep}")
RECORD = "Run"

_BEGIN = RequestHandler.__init__.__code__


class Profiler:
    """A profile function, see `sys.setprofile`.

    Parameters
    ----------
    package : str
        The folder of the package, with a separator at its end.
    log : Path
        Where the recording is written when it has ended.
    """

    def __init__(self, package: str, log: Path) -> None:
        self._package = package
        self._log = log
        self._is_recording = self._has_ended = False
        self._calls: list[dict[str, Any]] = []
        self._opened: list[dict[str, Any]] = []
        # Frames are kept while recording: a coroutine that goes on is not another call.
        self._frames: set[FrameType] = set()
        self._passing_on: set[FrameType | None] = set()
        self._reads = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if not self._is_recording:
            if frame.f_code is _BEGIN and event == "call" and not self._has_ended:
                self._is_recording = HEADER in frame.f_locals["request"].headers
        elif event == "call":
            self._call(frame)
        elif event == "c_call":
            self._c_call(frame, arg)
        elif event == "return" and type(arg).__name__ == RECORD:
            self._return_run(frame)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Record which files are opened; see `sys.addaudithook`."""
        if (
            self._is_recording
            and event == "open"
            and isinstance(args[0], str | bytes | os.PathLike)
        ):
            path, _, flags = args
            reads = flags & (os.O_WRONLY | os.O_RDWR) == 0
            self._opened.append({"path": os.fsdecode(path), "reads": reads})

    def _call(self, frame: FrameType) -> None:
        code = frame.f_code
        if code.co_filename.startswith(self._package) and frame not in self._frames:
            self._frames.add(frame)
            self._record(
                frame.f_back,
                file=code.co_filename,
                function=code.co_qualname,
                line=code.co_firstlineno,
                event=_event_type(frame),
            )

    def _c_call(self, frame: FrameType, called: Any) -> None:
        name = _c_name(called)
        if name in SHOWN and frame.f_code.co_filename.startswith(self._package):
            self._record(frame, c_function=name)
        if called.__name__ in SENDS and _is_to_a_path(called.__self__):
            self._record(frame, c_function="message to the kernel's socket")
            self._end()

    def _return_run(self, frame: FrameType) -> None:
        """Count the functions of the store that return a run which none of its own gave them."""
        if any(folder in frame.f_code.co_filename for folder in STORE):
            self._reads += frame not in self._passing_on
            self._passing_on.add(frame.f_back)

    def _record(self, caller: FrameType | None, **fields: Any) -> None:
        at = time.perf_counter_ns()
        depth = self._depth(caller)
        self._calls.append(
            {"at": at, "depth": depth, "thread": threading.get_native_id(), **fields}
        )

    def _depth(self, frame: FrameType | None) -> int:
        """Return the number of the package's frames among a frame and its callers."""
        depth = 0
        while frame is not None:
            depth += frame.f_code.co_filename.startswith(self._package)
            frame = frame.f_back
        return depth

    def _end(self) -> None:
        self._is_recording, self._has_ended = False, True
        self._frames.clear()
        self._passing_on.clear()
        found = {
            "package": self._package,
            "calls": self._calls,
            "opened": self._opened,
            "reads": self._reads,
        }
        self._log.write_text(json.dumps(found), encoding="utf-8")


def _event_type(frame: FrameType) -> str:
    """Return the type of the argument of `rules.transitions.apply`, else an empty text."""
    is_rules = f"{os.sep}rules{os.sep}" in frame.f_code.co_filename
    event = frame.f_locals.get("event") if is_rules and frame.f_code.co_name == "apply" else None
    return "" if event is None else type(event).__name__


def _c_name(called: Any) -> str:
    """Return the name of a function in C, with its module or with the type of its object."""
    owner = called.__self__
    return f"{getattr(owner, '__name__', type(owner).__name__)}.{called.__name__}"


def _is_to_a_path(sender: object) -> bool:
    """Return whether a socket is connected to a path, as the event loop's own pair is not."""
    is_unix = isinstance(sender, socket.socket) and sender.family == socket.AF_UNIX
    return is_unix and bool(sender.getpeername())  # type: ignore[attr-defined]


def _install(log: Path) -> None:
    spec = find_spec("jupyter_pdflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    profiler = Profiler(f"{spec.submodule_search_locations[0]}{os.sep}", log)
    sys.addaudithook(profiler.audit)
    threading.setprofile(profiler)
    sys.setprofile(profiler)


if VARIABLE in os.environ:
    _install(Path(os.environ[VARIABLE]))
