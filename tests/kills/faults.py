"""A Jupyter configuration file that kills its own server at a chosen moment.

``PDFLOW_TEST_FAULT`` names a file. With ``POINT:N`` in that file, the server dies the N-th time
that it reaches POINT. Without the file the server lives.

=======  =====================================================================
append   a line is written to the file of a run, and not synced yet
sync     it was synced, and nothing else has happened
temp     a temporary file is written, and not renamed yet
rename   it was renamed, and nothing else has happened
moving   the file of a run or an email is about to be moved or removed from a folder
moved    it was, and nothing else has happened
answer   all is stored, and the request is not answered yet
=======  =====================================================================
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "PDFLOW_TEST_FAULT"


class Fault:
    """Counts how often the server reaches the point at which it has to die."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._armed = ""
        self._left = 0

    def reached(self, point: str) -> None:
        armed = ""
        with suppress(FileNotFoundError):
            armed = self._file.read_text()
        chosen, _, number = armed.partition(":")
        if armed != self._armed:
            self._armed, self._left = armed, int(number)
        if chosen == point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_fault = Fault(Path(os.environ.get(VARIABLE, os.devnull)))
_replace = os.replace
_unlink = Path.unlink


def replace(source: Any, target: Any) -> None:
    before, after = ("temp", "rename") if Path(source).suffix == ".tmp" else ("moving", "moved")
    _fault.reached(before)
    _replace(source, target)
    _fault.reached(after)


def unlink(self: Path, missing_ok: bool = False) -> None:
    is_record = self.suffix in (".json", ".jsonl")
    if is_record:
        _fault.reached("moving")
    _unlink(self, missing_ok)
    if is_record:
        _fault.reached("moved")


def die_after(function: Callable[..., Any], point: str) -> Callable[..., Any]:
    def function_and_die(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        _fault.reached(point)
        return found

    return function_and_die


def die_before(finish: Any) -> Any:
    def finish_or_die(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.request.method != "GET":
            _fault.reached("answer")
        return finish(self, *args, **kwargs)

    return finish_or_die


def patch_server() -> None:
    from jupyter_pdflow.server.api.base_handler import PDFlowAPIHandler
    from jupyter_pdflow.server.links.handler import LinkHandler
    from jupyter_pdflow.stores.tinydb.appended import AppendedFile

    os.replace = replace
    Path.unlink = unlink  # type: ignore[method-assign]
    AppendedFile.append = die_after(AppendedFile.append, "append")  # type: ignore[method-assign]
    AppendedFile.sync = die_after(AppendedFile.sync, "sync")  # type: ignore[method-assign]
    for handler in (PDFlowAPIHandler, LinkHandler):
        handler.finish = die_before(handler.finish)  # type: ignore[method-assign]


if VARIABLE in os.environ:
    patch_server()
