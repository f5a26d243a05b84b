"""Clients that start, resume, call back, cancel and redeploy, and note answers in the ledger."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx

from tests.kills.flows import cells
from tests.kills.ledger import Ledger
from tests.servers import JupyterServer

CLIENTS = 3
WAITING = 20


class ServerDied(Exception):  # noqa: N818
    """The server died before it answered a request."""


class Client:
    """A client with its own random numbers."""

    def __init__(self, server: JupyterServer, ledger: Ledger, seed: str) -> None:
        self.server = server
        self.ledger = ledger
        self.random = random.Random(seed)
        self.http = httpx.Client(headers=server.headers, trust_env=False, verify=False, timeout=30)

    def run(self, stop: threading.Event) -> None:
        """Send requests until `stop` is set or the server dies."""
        try:
            while not stop.is_set():
                self.act()
        except ServerDied:
            return
        finally:
            self.http.close()

    def act(self) -> None:
        """Do one thing, some more often than others."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self.start, 8),
            (self.resume, 16),
            (self.cancel, 2),
            (self.redeploy, 1),
        ]
        choices, weights = zip(*actions, strict=True)
        self.random.choices(choices, weights)[0]()

    def start(self) -> None:
        """Start a run of the newest version, unless many runs are paused or queued."""
        for status in ("paused", "queued"):
            if len(self.ask("GET", f"/runs?status={status}&limit={WAITING}")) == WAITING:
                return
        event = self.new_id()
        with self.ledger.lock:
            self.ledger.starts[event] = None
        run = self.ask("POST", "/workflows/flow/runs", {"event": event})
        self.ledger.add(run)

    def resume(self) -> None:
        """Send a payload to the resume link of a paused run."""
        run = self.paused_run()
        if run is None:
            return
        link = run["pause"]["resume_url"]
        payload = self.new_id()
        entry = self.ledger.runs[run["id"]]
        with self.ledger.lock:
            entry.sent[payload] = (link, None)
        status = self.send("POST", link, json={"id": payload}).status_code
        assert status in (200, 202, 410), status
        with self.ledger.lock:
            entry.sent[payload] = (link, status)

    def cancel(self) -> None:
        """Cancel a paused run, by its link or by the API."""
        run = self.paused_run()
        if run is None:
            return
        entry = self.ledger.runs[run["id"]]
        entry.cancel_tried = True
        if self.random.random() < 0.5:
            answer = self.send("DELETE", run["pause"]["cancel_url"])
        else:
            answer = self.send("POST", self.api(f"/runs/{run['id']}/cancel"), json={})
        assert answer.status_code in (200, 202, 409, 410), answer.text
        if answer.status_code == 200:
            entry.canceled = True

    def redeploy(self) -> None:
        """Deploy a new version of the notebook."""
        deploy(self.server, self.ledger, self.new_id(), self.send)

    def paused_run(self) -> dict[str, Any] | None:
        """Return a random run that was paused a moment ago, or None."""
        canceled = self.ledger.canceled()
        runs = self.ask("GET", "/runs?status=paused&limit=20")
        if not runs:
            return None
        run: dict[str, Any] = self.random.choice(runs)
        if run["id"] not in self.ledger.runs:
            self.ledger.add(self.ask("GET", f"/runs/{run['id']}"))
        self.ledger.check_again(run, canceled)
        return run

    def new_id(self) -> str:
        return str(UUID(int=self.random.getrandbits(128)))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.send(method, self.api(path), json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def api(self, path: str) -> str:
        return f"{self.server.url}/pdflow/api{path}"

    def send(self, method: str, url: str, json: Any = None) -> httpx.Response:
        try:
            return self.http.request(method, url, json=json)
        except httpx.TransportError as error:
            raise ServerDied from error


def deploy(
    server: JupyterServer, ledger: Ledger, mark: str, send: Callable[..., httpx.Response]
) -> None:
    """Write the notebook with a mark and deploy it."""
    from tests.servers import write_notebook

    with ledger.lock:
        write_notebook(server.root / "flow.ipynb", cells(mark))
        ledger.marks.add(mark)
        answer = send("POST", f"{server.url}/pdflow/api/workflows", json={"path": "flow.ipynb"})
        assert answer.is_success, answer.text
