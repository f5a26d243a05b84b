"""``pd.files``: the folder of a run's files."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from jupyter_pdflow.exceptions import FolderError
from jupyter_pdflow.rules.run import Execution

MARK = ".id"
"""The file in ``PDFlow.files_dir`` whose text tells that folder from another of the same path."""


def run_folder(execution: Execution) -> Path:
    """Return the folder of the files of this execution's run; it is made at first use.

    A kernel on another machine may have a folder of the same path that is not the server's: what
    a step saved there, no other step would find.

    Raises
    ------
    FolderError
        This kernel does not see the server's folder.
    OSError
        The folder can't be made.
    """
    base = Path(execution.files_dir)
    if not execution.files_dir or _mark(base) != execution.files_id:
        msg = (
            f"This kernel does not see {base}, where the server keeps the files of runs; set "
            "PDFlow.files_dir to a folder that the server and all kernels see at the same path."
        )
        raise FolderError(msg)
    folder = base / execution.run_id
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _mark(base: Path) -> str | None:
    try:
        return (base / MARK).read_text("ascii")
    except (OSError, ValueError):
        return None


def session_folder() -> Path:
    """Return the folder of this session's files in test mode; it is removed when Python ends."""
    if not _made().is_dir():  # removed by hand, or by what cleans up temporary files
        _made.cache_clear()
    return _made()


@cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pdflow-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, pid: int) -> None:
    """Remove a folder, but not in a child process that was forked meanwhile."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
