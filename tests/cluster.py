"""Real front ends and workers that share a database, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil

from tests.servers import STOP_SECONDS, JupyterServer, isolated_environment, wait_until

COMMAND = (
    sys.executable,
    "-c",
    "import sys; from jupyter_pdflow.cli import main; sys.exit(main())",
)
DATABASE = "JUPYTER_PDFLOW_DATABASE_URL"


class Worker:
    """A ``jupyter pdflow worker`` in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        database: str,
        name: str,
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.log_path = folder / "worker.log"
        self.env = isolated_environment(folder, {DATABASE: database, **(env or {})})
        self.args = [*COMMAND, "worker", "--name", name, f"--PDFlow.data_dir={folder}", *args]
        self.process: psutil.Popen | None = None
        self._children: list[psutil.Process] = []

    def start(self) -> Self:
        with self.log_path.open("ab") as log:
            self.process = psutil.Popen(
                self.args,
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self._children += self.process.children(recursive=True)
        self.process.send_signal(number)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait until the process has ended; return its exit status."""
        assert self.process is not None
        status = int(self.process.wait(timeout))
        self.process = None
        return status

    def kill(self) -> None:
        """Kill the process, and wait until its kernels have noticed that."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """Stop the process as a service manager does, twice if need be; kill what it has left."""
        if self.process is not None and self.process.poll() is None:
            self.send_signal(signal.SIGCONT)
            self.send_signal(signal.SIGTERM)
            self.send_signal(signal.SIGTERM)
            try:
                self.wait()
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                self.kill()
        self.process = None
        for child in self._children:
            if child.is_running():
                child.kill()
        psutil.wait_procs(self._children, timeout=5)
        self._children = []

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Cluster:
    """Front ends and workers of one database."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database
        self.fronts: list[JupyterServer] = []
        self.workers: list[Worker] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.stop()
        self._stack.close()

    def front(self, *args: str, kernels: int = 0, **kw: Any) -> JupyterServer:
        """Start a front end; its first one is where links lead to."""
        folder = self.folder / f"front-{len(self.fronts)}"
        folder.mkdir(parents=True)
        server = JupyterServer(folder, env={DATABASE: self.database, **kw.pop("env", {})}, **kw)
        public = (self.fronts or [server])[0].url
        server.args += [f"--PDFlow.max_kernels={kernels}", f"--PDFlow.public_url={public}/", *args]
        self.fronts.append(self._stack.enter_context(server))
        return server

    def worker(self, *args: str, kernels: int = 1, **kw: Any) -> Worker:
        """Start a worker."""
        name = f"worker-{len(self.workers)}"
        folder = self.folder / name
        folder.mkdir(parents=True)
        public = f"--PDFlow.public_url={self.fronts[0].url}/"
        given = ["--kernels", str(kernels), public, *args]
        worker = Worker(folder, self.database, name, given, **kw)
        self.workers.append(worker)
        return worker.start()

    def wait_workers(self, count: int | None = None, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Wait until the first front end knows of that many workers, by default of all."""
        wanted = len(self.workers) if count is None else count

        def listed() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.fronts[0].api("GET", "/health").json()["workers"]
            return found

        wait_until(lambda: len(listed()) == wanted, f"{wanted} workers", timeout)
        return listed()


@contextmanager
def cluster(folder: Path, database: str) -> Iterator[Cluster]:
    with Cluster(folder, database) as made:
        yield made


assert os.name == "posix", "PostgreSQL is tested on POSIX only."
