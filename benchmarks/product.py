"""The server that is measured, a real process, and the workflow to measure with."""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import orjson
import psycopg

from benchmarks.checkouts import THIS, Checkout
from benchmarks.files import newest_state
from benchmarks.http_client import Answer, Connection
from tests.servers import JupyterServer

POLL_SECONDS = 0.02
"""Long enough that the measured work has ended before the first poll."""

TIMEOUT_SECONDS = 120.0

APPROVAL = (
    "import time",
    """%%step ask
def handler(pd):
    pd.flow.suspend(30 * 86_400_000)
""",
    """%%step go
def handler(pd):
    now = time.time_ns()
    return now
""",
)
"""A workflow of two steps: one waits for a link, the other returns the time of its first line."""


class Product:
    """A running server and one keep-alive connection to it; with `database`, its runs are there."""

    def __init__(self, server: JupyterServer, database: str | None = None) -> None:
        self.server = server
        self._database = database
        self.connection = self.connect()

    def connect(self) -> Connection:
        """Open one more keep-alive connection."""
        return Connection(self.server.url, self.server.headers)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API."""
        return self.connection.request(method, f"/pdflow/api{path}", body).json()

    def start(self, workflow: str, event: Any = None) -> str:
        """Start a run and return its id."""
        run_id: str = self.api("POST", f"/workflows/{workflow}/runs", {"event": event})["id"]
        return run_id

    def wait(self, run_id: str, status: str, poll_seconds: float = POLL_SECONDS) -> Any:
        """Poll until a run has a status, and return the run."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while True:
            time.sleep(poll_seconds)
            run = self.api("GET", f"/runs/{run_id}")
            if run["status"] == status:
                return run
            if time.monotonic() > end or run["status"] == "failed":
                msg = f"A run is not {status}: {run}"
                raise RuntimeError(msg)

    def paused(self, workflow: str) -> Any:
        """Start a run and wait until it is paused."""
        return self.wait(self.start(workflow), "paused")

    def resume(self, run: Any) -> tuple[int, Answer]:
        """Send a request to a run's resume link; return when it was sent, and the answer."""
        path = urlsplit(run["pause"]["resume_url"]).path
        sent = self.connection.send("POST", path, {"approved": True})
        return sent, self.connection.receive()

    def stored(self, run_id: str) -> Any:
        """Return a run as it is stored: the API rounds times to milliseconds."""
        if self._database is None:
            return orjson.loads(newest_state(self.server.data_dir, run_id))["run"]["1"]
        with psycopg.connect(self._database) as connection:
            found = connection.execute("SELECT record FROM pdflow.runs WHERE id = %s", (run_id,))
            (record,) = found.fetchone() or ("null",)
            return orjson.loads(record)

    def first_line_ms(self, run: Any) -> float:
        """Resume a paused run; return the milliseconds until the next step's first line."""
        sent, answer = self.resume(run)
        answer.json()
        first_line = returned(self.wait(run["id"], "succeeded"), "go")
        return float(first_line - sent) / 1e6


def returned(run: Any, step: str) -> Any:
    """Return the return value of a step of a run."""
    return next(s for s in run["steps"] if s["name"] == step)["exports"]["$return_value"]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder below TMPDIR, which should be on a disk.

    The folder is removed when the process exits: on ext4, removing files slows down the creation
    of others for a minute.
    """
    folder = TemporaryDirectory(prefix="pdflow-benchmark-")
    atexit.register(folder.cleanup)
    yield Path(folder.name)


@contextmanager
def serving(
    folder: Path, *args: str, checkout: Checkout = THIS, env: dict[str, str] | None = None
) -> Iterator[Product]:
    """Run a checkout's server in a folder, with these arguments and environment variables."""
    with JupyterServer(folder, args, env={**checkout.env, **(env or {})}) as server:
        product = Product(server)
        try:
            yield product
        finally:
            product.connection.close()
