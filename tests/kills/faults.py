"""A Jupyter configuration file that kills its own server at a chosen moment.

The file that ``PDFLOW_TEST_FAULT`` names says which: with ``POINT:N`` in it, the server dies
at the N-th time that it gets to POINT; without the file it lives.

=======  =====================================================================
temp     a temporary file is on the disk, and not renamed yet
rename   it is renamed, and nothing else has happened
filing   a file that goes to another folder, of a run or of a mail, has not left its old one yet
filed    it has, and nothing else has happened
answer   all is stored, and the request is not answered yet
=======  =====================================================================

It is also the program of the server's writer, which takes its server along.
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
"""So many writes within some seconds are a load, under which a process of its own writes."""


class Fault:
    """Counts how often a process gets to the point at which the server is to die."""

    def __init__(self, file: Path) -> None:
        self.victims = [os.getpid()]
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
                for victim in self.victims:
                    os.kill(victim, signal.SIGKILL)


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


def dying(finish: Any) -> Any:
    def finish_or_die(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.request.method != "GET":
            _fault.reached("answer")
        return finish(self, *args, **kwargs)

    return finish_or_die


def beset_files() -> None:
    os.replace = replace
    Path.unlink = unlink  # type: ignore[method-assign]


def beset_server() -> None:
    from jupyter_pdflow.server.api.base_handler import PDFlowAPIHandler
    from jupyter_pdflow.server.links.handler import LinkHandler

    beset_files()
    for handler in (PDFlowAPIHandler, LinkHandler):
        handler.finish = dying(handler.finish)  # type: ignore[method-assign]
    writer.MANY = int(os.environ[LOAD_VARIABLE])
    writer_process.COMMAND = (sys.executable, "-P", __file__)


if __name__ == "__main__":
    _fault.victims.insert(0, os.getppid())
    beset_files()
    writer_process.main(Path(sys.argv[1]))
elif VARIABLE in os.environ:
    beset_server()
