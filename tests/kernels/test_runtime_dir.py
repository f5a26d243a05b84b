"""The directories of servers that were killed don't pile up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jupyter_pdflow.kernels.manager import RuntimeDirectory

DIE = """
import os, sys
from pathlib import Path
from jupyter_pdflow.kernels.manager import PrivateDirectory
made = PrivateDirectory(Path(sys.argv[1]))
(made.path / "kernel-ipc-1").touch()
os.kill(os.getpid(), 9)
"""


def test_private_and_removed(tmp_path: Path) -> None:
    made = RuntimeDirectory(tmp_path)
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "kernel.json").touch()
    made.remove()
    assert list(tmp_path.iterdir()) == []


def test_those_of_the_dead_are_cleared_and_no_others(tmp_path: Path) -> None:
    alive = RuntimeDirectory(tmp_path)
    foreign = tmp_path / "pdflow-foreign"
    foreign.mkdir()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], check=False)
    made = RuntimeDirectory(tmp_path)
    assert set(tmp_path.iterdir()) == {alive.path, foreign, made.path}
    for directory in (alive, made):
        directory.remove()
