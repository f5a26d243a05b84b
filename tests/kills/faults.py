"""A Jupyter configuration file that kills its own server at a chosen moment.

``PDFLOW_TEST_FAULT`` names a file. With ``POINT:N`` in that file, the server dies the N-th time
that it reaches POINT. Without the file the server lives.

=======  =====================================================================
temp     a temporary file is written, and not renamed yet
rename   it was renamed, and nothing else has happened
filing   the file of a run or an email is about to be moved or removed from a folder
filed    it was, and nothing else has happened
answer   all is stored, and the request is not answered yet
=======  =====================================================================

This is also the program of the server's writer process, which kills its server too.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_pdflow.stores.tinydb import writer
from jupyter_pdflow.stores.tinydb import writer as writer_process

VARIABLE = "PDFLOW_TEST_FAULT"
LOAD_VARIABLE = "PDFLOW_TEST_LOAD"
"""The variable with the number of writes within some seconds from which on a process writes."""


class Fault:
    """Counts how often a process reaches the point at which the server has to die."""

    def __init__(self, file: Path) -> None:
        self.pids = [os.getpid()]
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
                for pid in self.pids:
                    os.kill(pid, signal.SIGKILL)


_fault = Fault(Path(os.environ.get(VARIABLE, os.devnull)))
_replace = os.replace
_unlink = Path.unlink


def replace(source: Any, target: Any) -> None:
    before, after = ("temp", "rename") if Path(source).suffix == ".tmp" else ("filing", "filed")
    _fault.reached(before)
    _replace(source, target)
    _fault.reached(after)


def unlink(self: Path, missing_ok: bool = False) -> None:
    if self.suffix == ".json":
        _fault.reached("filing")
    _unlink(self, missing_ok)
    if self.suffix == ".json":
        _fault.reached("filed")


def die_before(finish: Any) -> Any:
    def finish_or_die(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.request.method != "GET":
            _fault.reached("answer")
        return finish(self, *args, **kwargs)

    return finish_or_die


def patch_files() -> None:
    os.replace = replace
    Path.unlink = unlink  # type: ignore[method-assign]


def patch_server() -> None:
    from jupyter_pdflow.server.api.base_handler import PDFlowAPIHandler
    from jupyter_pdflow.server.links.handler import LinkHandler

    patch_files()
    for handler in (PDFlowAPIHandler, LinkHandler):
        handler.finish = die_before(handler.finish)  # type: ignore[method-assign]
    writer.MANY = int(os.environ[LOAD_VARIABLE])
    writer_process.COMMAND = (sys.executable, "-P", __file__)


if __name__ == "__main__":
    _fault.pids.insert(0, os.getppid())
    patch_files()
    writer_process.main(Path(sys.argv[1]))
elif VARIABLE in os.environ:
    patch_server()
