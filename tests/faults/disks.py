"""Faults of storage that the operating system makes: a full disk, a limit, read-only folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.servers import JupyterServer

KILOBYTES = 2048
BLOCK = 4096
FILLER = "filler"


def without_root_override() -> list[str]:
    """Return the command by which root is refused what folders' modes forbid; empty for others."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def can_mount() -> bool:
    """Return whether the tests may mount a file system."""
    run = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return run.returncode == 0 and os.geteuid() == 0


@contextmanager
def small_disk(path: Path, kilobytes: int = KILOBYTES) -> Iterator[None]:
    """Mount a small file system in memory at `path`, or make a folder if that is not allowed."""
    path.mkdir(parents=True)
    if not can_mount():
        yield
        return
    options = f"size={kilobytes}k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "pdflow", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


class FullDisk:
    """No space is left on the device of the data directory.

    What was allocated for the end of a file can still be written, up to `BLOCK` bytes.
    """

    def start(self, server: JupyterServer) -> None:
        with (server.data_dir / FILLER).open("ab", buffering=0) as file:
            for size in (BLOCK, 1):
                self._fill(file.fileno(), size)

    def _fill(self, fd: int, size: int) -> None:
        try:
            while True:
                os.write(fd, bytes(size))
        except OSError:
            return

    def end(self, server: JupyterServer) -> None:
        (server.data_dir / FILLER).unlink()


class FileSizeLimit:
    """The server's process may not write to files."""

    def start(self, server: JupyterServer) -> None:
        self._limit(server, 0)

    def end(self, server: JupyterServer) -> None:
        self._limit(server, psutil.RLIM_INFINITY)

    def _limit(self, server: JupyterServer, size: int) -> None:
        assert server.process is not None
        _, hard = server.process.rlimit(psutil.RLIMIT_FSIZE)
        server.process.rlimit(psutil.RLIMIT_FSIZE, (size, hard))


class ReadOnly:
    """All folders of the data directory, or the named ones, can't be written.

    No file can be made, moved or removed there; one that exists can be appended.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def start(self, server: JupyterServer) -> None:
        self._set_mode(server, 0o500)

    def end(self, server: JupyterServer) -> None:
        self._set_mode(server, 0o700)

    def _set_mode(self, server: JupyterServer, mode: int) -> None:
        every = [path for path in server.data_dir.rglob("*") if path.is_dir()]
        for path in [server.data_dir / name for name in self._names] or every:
            path.chmod(mode)
