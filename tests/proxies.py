"""A TCP proxy in front of a server, whose network can be cut."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards connections to a port of 127.0.0.1, until `cut`.

    While it is cut, nothing is forwarded and no connection is closed, as if a cable was pulled.
    `mend` closes what was open, and forwards new connections.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open = threading.Event()
        self._open.set()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.mend()

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client:
            with self._lock:
                self._sockets.add(client)
            try:
                self._open.wait()
                with socket.create_connection(("127.0.0.1", self._target)) as server:
                    self._copy(client, server)
            except OSError:
                pass
            finally:
                with self._lock:
                    self._sockets.discard(client)

    def _copy(self, client: socket.socket, server: socket.socket) -> None:
        others = {client: server, server: client}
        while True:
            readable, _, _ = select.select(list(others), [], [])
            self._open.wait()
            for each in readable:
                received = each.recv(1 << 16)
                if not received:
                    return
                others[each].sendall(received)
