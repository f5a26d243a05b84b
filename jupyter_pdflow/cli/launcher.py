"""A Jupyter server for one run, where none is running."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_pdflow.client import Client, server_of
from jupyter_pdflow.exceptions import ServerNotFoundError

EXTENSIONS = {
    "jupyter_pdflow": True,
    **dict.fromkeys(("jupyterlab", "jupyter_lsp", "notebook", "notebook_shim"), False),
}
"""No one looks at this server, and JupyterLab would double the time that it takes to start."""
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1


class TemporaryServer:
    """A child ``python -m jupyter_server`` that serves one folder on 127.0.0.1.

    Parameters
    ----------
    root : pathlib.Path
        The folder to serve.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = _log_file()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def wait(self) -> Client:
        """Wait until the server answers.

        Raises
        ------
        ServerNotFoundError
            It did not start; the message says where its log is.
        ApiError
            It answers with an error, such as another server holding the data directory.
        """
        patience = time.monotonic() + START_SECONDS
        while time.monotonic() < patience and self._process.poll() is None:
            client = server_of(self.pid)
            if client:
                client.get("runs", limit=1)
                return client
            time.sleep(POLL_SECONDS)
        self.stop(keep_log=True)
        msg = f"The Jupyter server did not start; its log is {self.log}."
        raise ServerNotFoundError(msg)

    def stop(self, *, keep_log: bool = False) -> None:
        """Stop the server; its runs are kept."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not keep_log:
            self.log.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[bytes]:
        root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        with self.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603  our own interpreter, no shell
                [
                    *(sys.executable, "-m", "jupyter_server"),
                    *("--no-browser", "--ServerApp.ip=127.0.0.1"),
                    f"--ServerApp.jpserver_extensions={EXTENSIONS}",
                    *(f"--ServerApp.root_dir={self.root}", *root),
                ],
                cwd=self.root,
                env={**os.environ, "JUPYTER_TOKEN": secrets.token_hex(24)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _log_file() -> Path:
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix="pdflow-server-", suffix=".log", dir=folder)
    os.close(number)
    return Path(name)
