"""A minimal HTTP client, so that the client adds little to what is measured."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import orjson

CONNECTIONS = 8
HEAD_END = b"\r\n\r\n"


class Answer(NamedTuple):
    """A status code and the body."""

    status: int
    body: bytes

    def check(self) -> bytes:
        """Return the body; raise `RuntimeError` unless the status is a success."""
        if not 200 <= self.status < 300:
            msg = f"{self.status} {self.body[:500]!r}"
            raise RuntimeError(msg)
        return self.body

    def json(self) -> Any:
        """Return the parsed body; raise `RuntimeError` unless the status is a success."""
        return orjson.loads(self.check())


class Connection:
    """One keep-alive connection with TCP_NODELAY that sends each request by one write.

    It reads only answers with a Content-Length; `timeout` is in seconds.
    """

    def __init__(
        self, url: str, headers: dict[str, str] | None = None, timeout: float = 60.0
    ) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        lines = {"Host": parts.netloc, "Content-Type": "application/json", **(headers or {})}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._socket = socket.create_connection(self._address, timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request, with a JSON body if one is given, and return the answer."""
        self.send(method, path, body)
        return self.receive()

    def send(self, method: str, path: str, body: Any = None) -> int:
        """Send a request; return `time.time_ns()` of the moment before its bytes were sent."""
        content = b"" if body is None else orjson.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(content)}\r\n\r\n"
        message = head.encode() + content
        began = time.time_ns()
        self._socket.sendall(message)
        return began

    def receive(self) -> Answer:
        """Return the answer to the oldest unanswered request."""
        received = b""
        while HEAD_END not in received:
            received += self._more()
        head, _, body = received.partition(HEAD_END)
        length = _content_length(head)
        while len(body) < length:
            body += self._more()
        return Answer(int(head[9:12]), body)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _more(self) -> bytes:
        received = self._socket.recv(1 << 16)
        if not received:
            msg = "The server closed the connection."
            raise ConnectionError(msg)
        return received


def post_all(
    url: str, requests: Sequence[tuple[str, Any]], headers: dict[str, str] | None = None
) -> list[int]:
    """Send POSTs on several connections, on each connection one after another.

    Returns the results of `Connection.send`.
    """
    shares = [requests[number::CONNECTIONS] for number in range(CONNECTIONS)]

    def send(share: Sequence[tuple[str, Any]]) -> list[int]:
        with Connection(url, headers) as connection:
            return [_post(connection, path, body) for path, body in share]

    with ThreadPoolExecutor(CONNECTIONS) as senders:
        return [sent for share in senders.map(send, shares) for sent in share]


def _post(connection: Connection, path: str, body: Any) -> int:
    sent = connection.send("POST", path, body)
    connection.receive().check()
    return sent


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    msg = f"An answer without a Content-Length: {head!r}"
    raise RuntimeError(msg)
