"""Exports or imports once per directory, and is killed at a later moment in each.

``python -m tests.maintenance.kill_at_renames export|import DIR …``: in the n-th directory, the
process is killed before (odd n) or after (even n) its rename number (n + 1) // 2, until one process
ends by itself. The archive of a directory is DIR.zip. Prints the number of processes killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_pdflow.maintenance.transfer import export_runs, import_runs
from jupyter_pdflow.stores.tinydb.layout import DataDir


def run_command(command: str, path: Path) -> None:
    archive = path.with_name(f"{path.name}.zip")
    if command == "export":
        export_runs(DataDir(path), archive, [])
    else:
        import_runs(DataDir(path), archive)


class Killer:
    """Kills its own process at the n-th moment, of which each rename has two."""

    def __init__(self, moment: int) -> None:
        self.left = moment
        os.replace = self.counted(os.replace)
        os.rename = self.counted(os.rename)

    def counted(self, rename: Callable[..., None]) -> Callable[..., None]:
        def rename_or_die(path: Any, to: Any) -> None:
            self.count()
            rename(path, to)
            self.count()

        return rename_or_die

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(command: str, *paths: str) -> None:
    for moment, path in enumerate(paths, start=1):
        child = os.fork()
        if child == 0:
            Killer(moment)
            run_command(command, Path(path))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            print(moment - 1)
            sys.exit(status)
    sys.exit("There are more moments than directories.")


if __name__ == "__main__":
    main(*sys.argv[1:])
