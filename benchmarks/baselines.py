"""Baselines: a message to a kernel, a POST, and a durable write, without the product."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from benchmarks.figures import Figure, Figures
from benchmarks.http_client import Connection

WARM_UP = 10
CONTENT = b"x" * 2048

TORNADO = """
import asyncio, sys
from tornado import web

class Handler(web.RequestHandler):
    def post(self):
        self.finish({"ok": True})

async def main():
    web.Application([("/", Handler)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""


def baselines(folder: Path, count: int) -> Figures:
    """Measure all baselines."""
    yield from executed(count)
    yield posted(count)
    yield written(folder, count)


def executed(count: int) -> Figures:
    """Send execute_requests to a warm kernel with jupyter_client."""
    with bare_kernel() as client:
        execute(client, "from time import time_ns")
        times = [_execute(client) for _ in range(count + WARM_UP)][WARM_UP:]
    begun, back = zip(*times, strict=True)
    yield Figure("execute_request, first line", "ms", list(begun), "baseline")
    yield Figure("execute_request, reply", "ms", list(back), "baseline")


def posted(count: int) -> Figure:
    """Send POSTs to a tornado handler in another process that does nothing."""
    with _tornado() as url, Connection(url) as connection:
        times = [_post(connection) for _ in range(count + WARM_UP)][WARM_UP:]
    return Figure("tornado POST, answer", "ms", times, "baseline")


def written(folder: Path, count: int) -> Figure:
    """Write 2 KB durably: temporary file, fsync, rename, fsync of the directory."""
    times = [replaced(folder / "written", CONTENT) for _ in range(count)]
    return Figure("atomic write of 2 KB", "ms", times, "baseline")


@contextmanager
def bare_kernel() -> Iterator[Any]:
    """Start a kernel with jupyter_client's defaults; yield its client when it is ready."""
    manager = KernelManager()
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: Any, code: str, expression: str = "None") -> str:
    """Run code in a kernel and return the repr of an expression."""
    message = client.execute(code, user_expressions={"it": expression})
    while True:
        reply = client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == message:
            break
    if reply["content"]["status"] != "ok":
        msg = f"{reply['content']['ename']}: {reply['content']['evalue']}"
        raise RuntimeError(msg)
    text: str = reply["content"]["user_expressions"]["it"]["data"]["text/plain"]
    return text


def _execute(client: Any) -> tuple[float, float]:
    began = time.time_ns()
    first_line = int(execute(client, "first_line = time_ns()", "first_line"))
    back = time.time_ns()
    return (first_line - began) / 1e6, (back - began) / 1e6


@contextmanager
def _tornado() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", TORNADO, str(port)])
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _post(connection: Connection) -> float:
    began = connection.send("POST", "/", {"approved": True})
    connection.receive().json()
    return (time.time_ns() - began) / 1e6


def replaced(path: Path, content: bytes) -> float:
    """Replace a file atomically and durably; return the milliseconds that took."""
    began = time.perf_counter_ns()
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    return (time.perf_counter_ns() - began) / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 60.0) -> None:
    """Wait until a process listens on a port."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
