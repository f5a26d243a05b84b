"""A Jupyter configuration file that kills its own server at a chosen moment.

``PDFLOW_TEST_FAULT`` is ``POINT:N``: the server dies at the N-th time that it gets to POINT.

=======  =====================================================================
temp     the temporary file is on the disk, and not renamed yet
rename   it is renamed, and nothing else has happened
filing   the file of a run that has ended is not in its new folder yet
filed    it is, and nothing else has happened
answer   all is stored, and the request is not answered yet
=======  =====================================================================
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from jupyter_pdflow.server.api import PDFlowAPIHandler
from jupyter_pdflow.server.links import LinkHandler

POINTS = ("temp", "rename", "filing", "filed", "answer")
_point, _, _number = os.environ.get("PDFLOW_TEST_FAULT", "none:0").partition(":")
_left = int(_number)


def reached(point: str) -> None:
    global _left  # noqa: PLW0603
    if point == _point:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


_replace = Path.replace


def replace(self: Path, target: Any) -> Any:
    before, after = ("temp", "rename") if self.suffix == ".tmp" else ("filing", "filed")
    reached(before)
    found = _replace(self, target)
    reached(after)
    return found


def dying(finish: Any) -> Any:
    def finish_or_die(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.request.method != "GET":
            reached("answer")
        return finish(self, *args, **kwargs)

    return finish_or_die


Path.replace = replace  # type: ignore[method-assign]
for handler in (PDFlowAPIHandler, LinkHandler):
    handler.finish = dying(handler.finish)  # type: ignore[method-assign]
