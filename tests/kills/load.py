"""Clients that start, resume, call back, cancel and redeploy, and write down what they hear."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx

from tests.kills.books import Books
from tests.kills.flows import cells
from tests.servers import JupyterServer

CLIENTS = 3
WAITING = 20


class Gone(Exception):  # noqa: N818
    """The server died under a request."""


class Client:
    """One client, with its own random numbers."""

    def __init__(self, server: JupyterServer, books: Books, seed: str) -> None:
        self.server = server
        self.books = books
        self.random = random.Random(seed)
        self.http = httpx.Client(headers=server.headers, trust_env=False, verify=False, timeout=30)

    def run(self, stop: threading.Event) -> None:
        """Do one thing after another until told to stop, or until the server is gone."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self.start, 8),
            (self.resume, 16),
            (self.cancel, 2),
            (self.redeploy, 1),
        ]
        choices, weights = zip(*actions, strict=True)
        try:
            while not stop.is_set():
                self.random.choices(choices, weights)[0]()
        except Gone:
            return
        finally:
            self.http.close()

    def start(self) -> None:
        """Start a run of the newest version, unless many wait for an answer or a kernel."""
        for status in ("paused", "queued"):
            if len(self.ask("GET", f"/runs?status={status}&limit={WAITING}")) == WAITING:
                return
        order = self.new_id()
        with self.books.lock:
            self.books.orders[order] = None
        run = self.ask("POST", "/workflows/flow/runs", {"event": order})
        self.books.enter(run)

    def resume(self) -> None:
        """Send a payload to the link of a run that waits, or call a rerun back."""
        run = self.waiting()
        if run is None:
            return
        link = run["pause"]["resume_url"]
        payload = self.new_id()
        book = self.books.runs[run["id"]]
        with self.books.lock:
            book.sent[payload] = (link, None)
        status = self.send("POST", link, json={"id": payload}).status_code
        assert status in (200, 202, 410), status
        with self.books.lock:
            book.sent[payload] = (link, status)

    def cancel(self) -> None:
        """Cancel a run that waits, by its link or by the API."""
        run = self.waiting()
        if run is None:
            return
        book = self.books.runs[run["id"]]
        book.cancel_tried = True
        if self.random.random() < 0.5:
            answer = self.send("DELETE", run["pause"]["cancel_url"])
        else:
            answer = self.send("POST", self.api(f"/runs/{run['id']}/cancel"), json={})
        assert answer.status_code in (200, 202, 409, 410), answer.text
        if answer.status_code == 200:
            book.canceled = True

    def redeploy(self) -> None:
        """Make a new version of the notebook."""
        deploy(self.server, self.books, self.new_id(), self.send)

    def waiting(self) -> dict[str, Any] | None:
        """Look at some run that was paused a moment ago."""
        canceled = self.books.canceled()
        runs = self.ask("GET", "/runs?status=paused&limit=20")
        if not runs:
            return None
        run: dict[str, Any] = self.random.choice(runs)
        if run["id"] not in self.books.runs:
            self.books.enter(self.ask("GET", f"/runs/{run['id']}"))
        self.books.see(run, canceled)
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
            raise Gone from error


def deploy(
    server: JupyterServer, books: Books, mark: str, send: Callable[..., httpx.Response]
) -> None:
    """Write the notebook with a mark of its own and deploy it."""
    from tests.servers import write_notebook

    with books.lock:
        write_notebook(server.root / "flow.ipynb", cells(mark))
        books.marks.add(mark)
        answer = send("POST", f"{server.url}/pdflow/api/workflows", json={"path": "flow.ipynb"})
        assert answer.is_success, answer.text
