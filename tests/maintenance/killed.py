"""Does the same in one directory after the other, each time killed a little later.

``python -m tests.maintenance.killed export|import DIR …``: in the n-th directory the process is
killed before (odd n) or after (even n) it renames a file for the ((n + 1) // 2)-th time, until
one is not killed. Its archive is DIR.zip. Prints how many were.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_pdflow.maintenance.datadir import DataDir
from jupyter_pdflow.maintenance.exporting import export_runs
from jupyter_pdflow.maintenance.importing import import_runs


def carry_out(command: str, path: Path) -> None:
    archive = path.with_name(f"{path.name}.zip")
    if command == "export":
        export_runs(DataDir(path), archive, [])
    else:
        import_runs(DataDir(path), archive)


class Killer:
    """Kills its own process at the n-th moment."""

    def __init__(self, moment: int) -> None:
        self.left = moment
        os.replace = self.around(os.replace)
        os.rename = self.around(os.rename)

    def around(self, move: Callable[..., None]) -> Callable[..., None]:
        def move_or_die(path: Any, to: Any) -> None:
            self.strike()
            move(path, to)
            self.strike()

        return move_or_die

    def strike(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(command: str, *paths: str) -> None:
    for moment, path in enumerate(paths, start=1):
        child = os.fork()
        if child == 0:
            Killer(moment)
            carry_out(command, Path(path))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            print(moment - 1)
            sys.exit(status)
    sys.exit("There are more moments than directories.")


if __name__ == "__main__":
    main(*sys.argv[1:])
