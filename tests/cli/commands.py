"""The command ``jupyter pdflow`` in real processes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.servers import JupyterServer, wait_until

JUPYTER = str(Path(sys.executable).with_name("jupyter"))
RUN_ID = re.compile(r"\bRun ([0-9A-Za-z]{26})\b")
SECONDS = 60


def call(
    server: JupyterServer, *arguments: str, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``jupyter pdflow …`` to its end, as a user of this server's machine would.

    With a token, as the person who has that token.
    """
    named = {"JUPYTER_PDFLOW_URL": server.url, "JUPYTER_PDFLOW_TOKEN": token or ""}
    return subprocess.run(
        [JUPYTER, "pdflow", *arguments],
        cwd=server.root,
        env=server.env if token is None else {**server.env, **named},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class RunningCommand:
    """A running command, and its output so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        """All output, both streams."""
        return "".join(self.lines)

    def find(self, pattern: str) -> str:
        """Wait for output that matches and return the first group."""
        found = wait_until(lambda: re.search(pattern, self.text), f"{pattern} in {self}", 40)
        return found[1]

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return status

    def __repr__(self) -> str:
        return self.text

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


@contextlib.contextmanager
def started(server: JupyterServer, *arguments: str) -> Iterator[RunningCommand]:
    """Start ``jupyter pdflow …``, and stop it at the end of the block."""
    env = {**server.env, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [JUPYTER, "pdflow", *arguments],
        cwd=server.root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        command = RunningCommand(process)
        try:
            yield command
        finally:
            if process.poll() is None:
                process.terminate()
            command.wait()


@contextlib.contextmanager
def on_terminal(server: JupyterServer, *arguments: str) -> Iterator[RunningCommand]:
    """Start ``jupyter pdflow …`` on a terminal of 80 columns."""
    ours, theirs = os.openpty()
    env = {**server.env, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [JUPYTER, "pdflow", *arguments],
        cwd=server.root,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=True,
        start_new_session=True,
    )
    os.close(theirs)
    process.stdout = _lines_of(ours)  # type: ignore[assignment]
    command = RunningCommand(process)
    try:
        yield command
    finally:
        if process.poll() is None:
            process.terminate()
        command.wait()


def _lines_of(terminal: int) -> Iterator[str]:
    """Read what is written to a terminal until its last user closes it."""
    with open(terminal, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        while data := stream.read(4096):
            yield data.decode(errors="replace")
