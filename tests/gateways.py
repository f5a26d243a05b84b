"""Real kernel gateways for tests, each a process with a port of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx
import psutil

from tests.servers import START_SECONDS, free_port, isolated_environment, wait_until


class Gateway:
    """A `jupyter_kernel_gateway` with a home of its own, in a directory that has no notebooks.

    Parameters
    ----------
    folder : Path
        An empty directory for the files of the gateway and its kernels.
    env : dict
        Additional environment variables, which the kernels inherit.
    """

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.cwd = folder / "gateway"
        self.log_path = folder / "gateway.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = isolated_environment(folder / "gateway-home", env or {})
        inherited = ["HOME", "IPYTHONDIR", "PATH", "PYTHONPATH", *(env or {})]
        self.env["KG_ENV_PROCESS_WHITELIST"] = ",".join(inherited)
        self.process: psutil.Popen | None = None

    def start(self) -> Self:
        """Start the process, on the same port each time, and wait until it answers."""
        self.cwd.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = psutil.Popen(
                [
                    *(sys.executable, "-m", "kernel_gateway"),
                    "--KernelGatewayApp.ip=127.0.0.1",
                    f"--KernelGatewayApp.port={self.port}",
                    "--KernelGatewayApp.port_retries=0",
                    "--JupyterWebsocketPersonality.list_kernels=True",
                ],
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, f"the gateway answers; see {self.log_path}", START_SECONDS)
        return self

    def kill(self) -> None:
        """Kill the process at once; its kernels end by themselves."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process and the descendants that it leaves behind."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        family = process.children(recursive=True)
        process.send_signal(number)
        _, alive = psutil.wait_procs([process, *family], timeout=10)
        for left in alive:
            left.kill()

    def kernels(self) -> list[psutil.Process]:
        """Return the processes of its kernels."""
        return self.process.children() if self.process else []

    def kernel_ids(self) -> list[str]:
        """Return the ids of the kernels that the gateway lists."""
        models = httpx.get(f"{self.url}/api/kernels", trust_env=False, timeout=30).json()
        return [model["id"] for model in models]

    def add_kernelspec(self, name: str) -> Path:
        """Add a kernelspec that is like the default one, and return its file."""
        spec = Path(self.env["JUPYTER_DATA_DIR"], "kernels", name, "kernel.json")
        spec.parent.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
        return spec

    def log(self) -> str:
        """Return what the gateway has logged since it was first started."""
        return self.log_path.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return httpx.get(f"{self.url}/api", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
