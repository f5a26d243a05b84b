"""Ten thousand timers that are due in the same second, and two hundred event streams."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from tornado.websocket import WebSocketClientConnection
from ulid import ULID

from tests.faults.disks import small_disk
from tests.server.conftest import ASK, TELL
from tests.server.test_events import next_event, subscribe
from tests.servers import JupyterServer, wait_until

TIMERS = 10_000
STREAMS = 200
UNANSWERED = """%%step ask
def handler(pd):
    pd.flow.suspend(3_600_000, on_timeout="cancel")
"""


def paused(server: JupyterServer, *cells: str) -> Any:
    run = server.run(server.deploy("flow", cells))
    return server.wait_run(run["id"], "paused")


def copy_to_many(path: Path, due: datetime) -> None:
    """Replace a run's file by many copies with their own ids, due in the same second."""
    content = path.read_bytes().splitlines()[-1]
    old = orjson.dumps(stored(path)["pause"]["deadline"])
    path.unlink()
    for number in range(TIMERS):
        copy, deadline = str(ULID()), due + timedelta(microseconds=100 * number)
        text = content.replace(old, orjson.dumps(deadline)).replace(
            path.stem.encode(), copy.encode()
        )
        path.with_name(f"{copy}.jsonl").write_bytes(text + b"\n")


def stored(path: Path) -> Any:
    return orjson.loads(path.read_bytes().splitlines()[-1])["run"]["1"]


@pytest.fixture
def server_in_memory(tmp_path: Path) -> Iterator[JupyterServer]:
    """A server whose data is in memory, if possible: the disk would take most of the time."""
    with small_disk(tmp_path / "data", 100_000), JupyterServer(tmp_path) as running:
        yield running


@pytest.mark.timeout(600)
def test_ten_thousand_timers_in_the_same_second(server_in_memory: JupyterServer) -> None:
    server = server_in_memory
    late, waiting = paused(server, UNANSWERED), paused(server, ASK, TELL)
    active, finished = server.data_dir / "active", server.data_dir / "finished"
    server.kill()
    copy_to_many(active / f"{late['id']}.jsonl", datetime.now(UTC) + timedelta(seconds=5))
    server.start()
    wait_until(lambda: len(os.listdir(finished)) > 0, "the first one fires")
    assert server.http.post(waiting["pause"]["resume_url"]).status_code == 200
    server.wait_run(waiting["id"], "succeeded")
    assert len(os.listdir(finished)) < TIMERS, "the link was answered after all timers"
    wait_until(lambda: not os.listdir(active), "all fire", timeout=300)
    runs = [stored(path) for path in finished.iterdir()]
    assert len(runs) == TIMERS + 1
    for run in runs:
        assert run["id"] == waiting["id"] or run["status"] == "canceled"
        assert len(run["decisions"]) == 1
    assert server.api("GET", f"/runs/{waiting['id']}").json()["status"] == "succeeded"
    assert "Traceback" not in server.log()


async def test_two_hundred_event_streams(server: JupyterServer) -> None:
    await asyncio.to_thread(paused, server, ASK)
    assert server.process is not None
    process = server.process
    before = descriptors(process)
    sockets = [await subscribe(server) for _ in range(STREAMS)]
    run = await asyncio.to_thread(paused, server, ASK)
    seen = [await until_paused(socket) for socket in sockets]
    assert {event["run_id"] for event in seen} == {run["id"]}
    for number, socket in enumerate(sockets):
        if number % 2:
            socket.close()
        else:
            drop(socket)
    await asyncio.to_thread(
        wait_until, lambda: descriptors(process) <= before, "all file descriptors are freed"
    )
    await asyncio.to_thread(server.http.post, run["pause"]["resume_url"])
    await asyncio.to_thread(server.wait_run, run["id"], "succeeded")


def descriptors(process: psutil.Popen) -> int:
    """Return the number of open file descriptors other than those of files, such as runs'."""
    return process.num_fds() - len(process.open_files())


async def until_paused(socket: WebSocketClientConnection) -> Any:
    while True:
        event = await next_event(socket)
        if event["status"] == "paused":
            return event


def drop(socket: WebSocketClientConnection) -> None:
    """End a connection without a close frame, as a laptop does that goes to sleep."""
    assert socket.protocol is not None
    assert socket.protocol.stream is not None
    socket.protocol.stream.close()
    socket.close()
