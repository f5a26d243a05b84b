"""The external service of the examples: it starts jobs, and answers a job's status."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx


class Service:
    """A real HTTP service on a free port.

    Attributes
    ----------
    statuses : list of str
        The answers of ``GET /status``, in order; ``PENDING`` when there are no more.
    jobs : list
        The JSON bodies that ``POST /jobs`` received.
    early_request : dict or None
        JSON to send to a job's ``resume_url`` before its POST is answered.
    """

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.jobs: list[dict[str, str]] = []
        self.early_request: dict[str, Any] | None = None
        self.early_answers: list[int] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def reset(self) -> None:
        """Reset all attributes for the next test."""
        self.statuses, self.jobs, self.early_request, self.early_answers = [], [], None, []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def status(self) -> dict[str, str]:
        """Answer ``GET /status``."""
        return {"status": self.statuses.pop(0) if self.statuses else "PENDING"}

    def start_job(self, links: dict[str, str]) -> dict[str, str]:
        """Answer ``POST /jobs``."""
        if self.early_request is not None:
            answer = httpx.post(links["resume_url"], json=self.early_request, trust_env=False)
            self.early_answers.append(answer.status_code)
        self.jobs.append(links)
        return {"started": "yes"}

    def _handler(service) -> type[BaseHTTPRequestHandler]:  # noqa: N805  the handler has a self
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(service.status())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(service.start_job(json.loads(body)))

            def _answer(self, data: dict[str, str]) -> None:
                body = json.dumps(data).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler
