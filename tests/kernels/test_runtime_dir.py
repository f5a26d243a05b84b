"""Runtime directories are private, and those of killed servers are removed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from jupyter_pdflow.kernels.manager import RuntimeDirectory

DIE = """
import os, sys
from pathlib import Path
from jupyter_pdflow.kernels.manager import RuntimeDirectory
made = RuntimeDirectory(Path(sys.argv[1]))
(made.path / "kernel-ipc-1").touch()
os.kill(os.getpid(), 9)
"""


def test_directory_is_private_and_can_be_removed(tmp_path: Path) -> None:
    made = RuntimeDirectory(tmp_path)
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "kernel.json").touch()
    made.remove()
    assert list(tmp_path.iterdir()) == []


def test_directories_of_killed_servers_are_removed_and_no_others(tmp_path: Path) -> None:
    alive = RuntimeDirectory(tmp_path)
    foreign = tmp_path / "pdflow-foreign"
    foreign.mkdir()
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], check=False)
        assert killed.returncode == -signal.SIGKILL
    made = RuntimeDirectory(tmp_path)
    assert set(tmp_path.iterdir()) == {alive.path, foreign, made.path}
    for directory in (alive, made):
        directory.remove()
