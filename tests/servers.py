"""Real Jupyter servers for tests, each with its own process, port, token and data directory."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

T = TypeVar("T")
START_SECONDS = 30.0
STOP_SECONDS = 15.0
LAB = ("jupyterlab", "jupyter_lsp", "notebook", "notebook_shim")
WITHOUT_LAB = f"--ServerApp.jpserver_extensions={dict.fromkeys(LAB, False)}"


def wait_until(check: Callable[[], T], what: str, timeout: float = 20.0) -> T:
    """Poll `check` until it returns a true value, and return that value.

    Raises
    ------
    TimeoutError
        The value was false for `timeout` seconds; the message names `what` was expected.
    """
    end = time.monotonic() + timeout
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            msg = f"Not within {timeout:g} s: {what}"
            raise TimeoutError(msg)
        time.sleep(0.02)


def write_notebook(path: Path, cells: Sequence[str], kernel_name: str = "python3") -> Path:
    """Write a notebook of code cells with these sources; return its path."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {
        "name": kernel_name,
        "display_name": "Python 3",
        "language": "python",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


class JupyterServer:
    """A `python -m jupyter_server` with token and XSRF check, isolated from other Jupyter files.

    Parameters
    ----------
    folder : Path
        An empty directory for all files that the server and its kernels write.
    args : sequence of str
        More command-line arguments.
    env : dict
        More environment variables.
    data_dir : Path, optional
        ``PDFlow.data_dir``, for a server that shares it with another one.
    base_url : str
        ``ServerApp.base_url``, with a slash at both ends.
    prefix : sequence of str
        A program, with its arguments, that replaces itself by the server.
    lab : bool
        Whether to load JupyterLab and its extensions, which takes seconds.
    """

    command: Sequence[str] = ("-m", "jupyter_server")
    """The arguments of Python that start the server."""

    def __init__(
        self,
        folder: Path,
        args: Sequence[str] = (),
        *,
        env: dict[str, str] | None = None,
        data_dir: Path | None = None,
        base_url: str = "/",
        prefix: Sequence[str] = (),
        lab: bool = False,
    ) -> None:
        self.folder = folder
        self.root = folder / "notebooks"
        self.data_dir = data_dir or folder / "data"
        self.log_path = folder / "server.log"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{base_url}".rstrip("/")
        self.env = isolated_environment(folder, env or {})
        self.prefix = prefix
        self.args = [*self._arguments(base_url), *([] if lab else [WITHOUT_LAB]), *args]
        self.process: psutil.Popen | None = None
        self._children: list[psutil.Process] = []
        self.http = self.client(cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])))

    # --- the process ------------------------------------------------------------------

    def start(self) -> Self:
        """Start the process and wait until it answers."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = psutil.Popen(
                [*self.prefix, sys.executable, *self.command, *self.args],
                cwd=self.root,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, f"the server answers; its log:\n{self.log()}", START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the process as a service manager does, and kill the processes that it left."""
        self._send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(self._children, timeout=0)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)
        self._children = []

    def kill(self) -> None:
        """Kill the process; its kernels have to notice that by themselves."""
        self._send_signal(signal.SIGKILL)

    def restart(self) -> Self:
        """Stop the process, and start it with the same port and data directory."""
        self.stop()
        return self.start()

    def log(self) -> str:
        """Return the log of the server since its first start."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kernels(self) -> list[psutil.Process]:
        """Return the processes that the server has started, kernels included."""
        return self.process.children(recursive=True) if self.process else []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.http.close()

    # --- requests ---------------------------------------------------------------------

    def client(self, **options: Any) -> httpx.Client:
        """Return another HTTP client. It stores cookies, as `http` does not."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=False, **options)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that authenticate a request."""
        return {"Authorization": f"token {self.token}"}

    def api(self, method: str, path: str, json: Any = None, **kw: Any) -> httpx.Response:
        """Send an authenticated request below ``/pdflow/api``, without a body if `json` is None."""
        if json is not None:
            kw["json"] = json
        headers = {**self.headers, **kw.pop("headers", {})}
        return self.http.request(method, f"/pdflow/api{path}", headers=headers, **kw)

    def deploy(self, name: str, cells: Sequence[str], kernel_name: str = "python3") -> Any:
        """Write the notebook `name` (without ``.ipynb``) and deploy it as a workflow."""
        write_notebook(self.root / f"{name}.ipynb", cells, kernel_name)
        return _data(self.api("POST", "/workflows", {"path": f"{name}.ipynb"}))

    def run(self, workflow: dict[str, Any], event: Any = None) -> Any:
        """Start a run of a deployed workflow."""
        return _data(self.api("POST", f"/workflows/{workflow['id']}/runs", {"event": event}))

    def get_run(self, run_id: str) -> Any:
        """Return a run as the API shows it."""
        return _data(self.api("GET", f"/runs/{run_id}"))

    def wait_run(self, run_id: str, status: str | Collection[str], timeout: float = 30.0) -> Any:
        """Poll until the run has this status, or one of these; return the run."""
        wanted = {status} if isinstance(status, str) else set(status)
        ended = {"succeeded", "failed", "canceled"} - wanted

        def check() -> Any:
            run = self.get_run(run_id)
            assert run["status"] not in ended, f"{run['status']}, not {wanted}: {run}"
            return run if run["status"] in wanted else None

        return wait_until(check, f"run {run_id} is {wanted}", timeout)

    # --- private -----------------------------------------------------------------------

    def _arguments(self, base_url: str) -> list[str]:
        arguments = [
            "--no-browser",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.base_url={base_url}",
            f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self.token}",
            f"--PDFlow.data_dir={self.data_dir}",
        ]
        root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        return [*arguments, *root]

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            msg = f"The server ended while starting; its log:\n{self.log()}"
            raise RuntimeError(msg)
        try:
            # Not /api/status: it waits for the gateway, if one is configured.
            return self.http.get("/api", headers=self.headers).status_code == 200
        except httpx.TransportError:
            return False

    def _send_signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait until the process has ended."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        self._children += process.children(recursive=True)
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            process.kill()
            process.wait()


def isolated_environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """Return environment variables that hide the developer's servers, settings and files."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
    home = folder / "home"
    own = {"HOME": home, "IPYTHONDIR": home / "ipython"}
    for name in ("CONFIG", "DATA", "RUNTIME"):
        own[f"JUPYTER_{name}_DIR"] = home / name.lower()
    for directory in own.values():
        directory.mkdir(parents=True, exist_ok=True)
    return {**env, **{key: str(value) for key, value in own.items()}, **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _data(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    return answer.json()
