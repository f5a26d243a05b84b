"""Restate: a handler that awaits an awakeable, and the HTTP request that resolves it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from benchmarks.baselines import free_port, wait_for_port
from benchmarks.figures import Figure, Figures
from benchmarks.http_client import Connection, post_all
from benchmarks.peers import python_with

WORK = Path(__file__).with_name("restate_work.py")
SUSPENDED = "Restate, nothing held while it waits"
WARM_UP = 10
SECONDS = 60.0
SUSPENDED_SECONDS = 1.0
"""Long enough for a handler to be suspended."""

AT_ONCE = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
"""Makes the server suspend a handler at once when it waits, not after a minute."""

PORTS = ("RESTATE_INGRESS__BIND_ADDRESS", "RESTATE_ADMIN__BIND_ADDRESS", "RESTATE_BIND_ADDRESS")


class Restate:
    """A running server with the service registered."""

    def __init__(self, url: str, service: subprocess.Popen[str]) -> None:
        self.url = url
        self.connection = Connection(url)
        self._lines: dict[str, SimpleQueue[tuple[int, str]]] = {
            "waits": SimpleQueue(),
            "goes": SimpleQueue(),
        }
        threading.Thread(target=self._read, args=(service.stdout,), daemon=True).start()

    def wait(self, kind: str) -> tuple[int, str]:
        """Return the next line of a kind that the service prints: a number and a value."""
        return self._lines[kind].get(timeout=SECONDS)

    def first_line_ms(self, number: int) -> float:
        """Start a handler and resolve its awakeable; return the milliseconds until its next line."""
        self.connection.request("POST", "/Approval/ask/send", number)
        sent = self.connection.send("POST", _resolve(self.wait("waits")[1]), True)
        self.connection.receive()
        return (int(self.wait("goes")[1]) - sent) / 1e6

    def suspended(self, count: int) -> list[str]:
        """Start handlers and wait until they are suspended; return their awakeables."""
        for number in range(count):
            self.connection.request("POST", "/Approval/ask/send", number)
        names = [self.wait("waits")[1] for _ in range(count)]
        time.sleep(SUSPENDED_SECONDS)
        return names

    def next_line_ms(self, name: str) -> float:
        """Resolve an awakeable; return the milliseconds until the handler's next line."""
        sent = self.connection.send("POST", _resolve(name), True)
        self.connection.receive()
        goes = int(self.wait("goes")[1])
        assert self.wait("waits")[1] == name, "it was not suspended, or it would begin again"
        return (goes - sent) / 1e6

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            kind, number, value = line.split()
            self._lines[kind].put((int(number), value))


def resumes(folder: Path, count: int) -> Figures:
    """Measure R, if Restate is installed."""
    with _running(folder, {}) as restate:
        if restate is not None:
            times = [restate.first_line_ms(number) for number in range(count + WARM_UP)]
            yield Figure("Restate", "ms", times[WARM_UP:], "peer")
    with _running(folder / "suspended", AT_ONCE) as restate:
        if restate is not None:
            times = [restate.next_line_ms(name) for name in restate.suspended(count + WARM_UP)]
            yield Figure(SUSPENDED, "ms", times[WARM_UP:], "peer")


def rates(folder: Path, count: int, rounds: int) -> Figures:
    """Measure handlers per second from resolved to their next line, many at once."""
    with _running(folder, {}) as restate:
        if restate is not None:
            found = [_rate(restate, count) for _ in range(rounds + 1)][1:]
            yield Figure("Restate, resumed → next line", "runs/s", found, "peer")


def _rate(restate: Restate, count: int) -> float:
    post_all(restate.url, [("/Approval/ask/send", number) for number in range(count)])
    waiting = [restate.wait("waits")[1] for _ in range(count)]
    sent = post_all(restate.url, [(_resolve(name), True) for name in waiting])
    last = max(int(restate.wait("goes")[1]) for _ in range(count))
    return count / (last - min(sent)) * 1e9


def _resolve(awakeable: str) -> str:
    return f"/restate/awakeables/{awakeable}/resolve"


@contextmanager
def _running(folder: Path, options: dict[str, str]) -> Iterator[Restate | None]:
    binary, python = shutil.which("restate-server"), python_with("restate", "hypercorn")
    if binary is None or python is None:
        yield None
        return
    ingress, admin, node, port = (free_port() for _ in range(4))
    addresses = (f"127.0.0.1:{number}" for number in (ingress, admin, node))
    base = {"RESTATE_BASE_DIR": str(folder / "restate")}
    env = {**base, **dict(zip(PORTS, addresses, strict=True)), **options}
    with ExitStack() as stack:
        service = stack.enter_context(
            _process([python, "-P", str(WORK), str(port)], {}, subprocess.PIPE)
        )
        stack.enter_context(_process([binary], env, subprocess.DEVNULL))
        for number in (port, ingress, admin):
            wait_for_port(number)
        _register(admin, port)
        restate = Restate(f"http://127.0.0.1:{ingress}", service)
        yield restate
        restate.connection.close()


def _register(admin: int, port: int) -> None:
    with Connection(f"http://127.0.0.1:{admin}") as connection:
        answer = connection.request("POST", "/deployments", {"uri": f"http://127.0.0.1:{port}"})
        answer.json()


@contextmanager
def _process(
    command: Sequence[str], env: dict[str, str], stdout: int
) -> Iterator[subprocess.Popen[str]]:
    """Run a process in its own group: npm's command starts the server as a child."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # their files are removed with the folder
        process.wait()
