"""Bodies of requests to links of a real server: compressed, too large, incomplete."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers import JupyterServer

Paused = Callable[..., Any]
TIMEOUT = 0.6
LARGE = 123456789012345678901234567890
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    arguments = [f"--PDFlow.body_timeout_seconds={TIMEOUT}"]
    with JupyterServer(tmp_path_factory.mktemp("bodies"), arguments) as running:
        yield running


def url(run: Any) -> str:
    return str(run["pause"]["resume_url"])


def request_seen(server: JupyterServer, run: Any) -> Any:
    """Return the request that the run's last step saw."""
    ended = server.wait_run(run["id"], "succeeded")
    return ended["steps"][1]["exports"]["$return_value"]


async def send_half(server: JupyterServer, run: Any, head: str, body: bytes = b"") -> Any:
    """Send the beginning of a request to the run's link; return the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    path = url(run).removeprefix(server.url)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n".encode() + body)
    return reader, writer


# --- incomplete --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 10", b""),
        ("Content-Length: 10", b"12345"),
        ("Transfer-Encoding: chunked", b""),
        ("Transfer-Encoding: chunked", b"5\r\n12345\r\n"),
        ("Content-Length: 10\r\nExpect: 100-continue", b""),
    ],
)
async def test_a_body_that_stops_times_out(
    server: JupyterServer, paused: Paused, head: str, body: bytes
) -> None:
    run = await asyncio.to_thread(paused)
    reader, writer = await send_half(server, run, head, body)
    begun = time.monotonic()
    answer = await asyncio.wait_for(reader.read(), 20)  # until the server closes the connection
    assert time.monotonic() - begun > TIMEOUT / 2
    lines = answer.removeprefix(b"HTTP/1.1 100 (Continue)\r\n\r\n").decode()
    assert lines.startswith("HTTP/1.1 408 ")
    assert '"reason":"timeout"' in lines
    assert "the pause stays" in lines
    writer.close()
    assert await asyncio.to_thread(server.get_run, run["id"]) == run


async def test_a_slow_body_has_a_deadline(server: JupyterServer, paused: Paused) -> None:
    run = await asyncio.to_thread(paused)
    reader, writer = await send_half(server, run, "Content-Length: 100000")
    answer = asyncio.create_task(reader.readline())
    begun = time.monotonic()
    while not answer.done() and time.monotonic() - begun < 60:
        writer.write(b"x")
        await asyncio.sleep(TIMEOUT / 20)
    assert (await answer).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun > 2 * TIMEOUT
    writer.close()
    assert await asyncio.to_thread(server.get_run, run["id"]) == run


async def test_a_client_that_disconnects_changes_nothing(
    server: JupyterServer, paused: Paused
) -> None:
    run = await asyncio.to_thread(paused)
    _, writer = await send_half(server, run, "Content-Length: 10", b"12345")
    writer.close()
    await writer.wait_closed()
    slow = await send_half(server, run, "Content-Length: 10", b"12345")
    await asyncio.wait_for(slow[0].read(), 20)
    slow[1].close()
    assert await asyncio.to_thread(server.get_run, run["id"]) == run
    assert "Traceback" not in server.log()


async def test_a_slow_body_is_used_when_it_is_complete(
    server: JupyterServer, paused: Paused
) -> None:
    run = await asyncio.to_thread(paused)
    reader, writer = await send_half(server, run, "Content-Length: 4\r\nContent-Type: text/plain")
    for byte in (b"s", b"l", b"o", b"w"):
        await asyncio.sleep(TIMEOUT / 20)
        writer.write(byte)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert (await asyncio.to_thread(request_seen, server, run))["body"] == "slow"


# --- compressed -----------------------------------------------------------------------------


def test_a_step_sees_a_decompressed_body(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    compressed = {**JSON, "Content-Encoding": "gzip"}
    answer = server.http.post(url(run), content=gzip.compress(b'{"ok": [1]}'), headers=compressed)
    assert answer.status_code == 200
    assert request_seen(server, run)["body"] == {"ok": [1]}


def test_a_decompression_bomb_is_too_large_and_the_pause_stays(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused()
    compressed = {**JSON, "Content-Encoding": "gzip"}
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < 512 * 1024
    answer = server.http.post(url(run), content=bomb, headers=compressed)
    assert answer.status_code == 413
    assert answer.json()["reason"] == "too_large"
    assert server.get_run(run["id"]) == run


# --- large integers ---------------------------------------------------------------------

SAY = """%%step say
def handler(pd):
    body = pd.steps["ask"]["$resume_data"]["body"]
    return [str(body["id"]), str(pd.steps.trigger.event["id"])]
"""
ASK = "%%step ask\ndef handler(pd):\n    pd.flow.suspend()"


@pytest.mark.parametrize("route", ["link", "api"])
def test_a_large_integer_is_kept(server: JupyterServer, route: str) -> None:
    workflow = server.deploy("large", [ASK, SAY])
    run = server.wait_run(server.run(workflow, {"id": LARGE})["id"], "paused")
    assert run["event"] == {"id": LARGE}
    server.restart()
    if route == "link":
        answer = server.http.post(url(run), json={"id": LARGE + 1})
    else:
        answer = server.api("POST", f"/runs/{run['id']}/resume", {"data": {"id": LARGE + 1}})
    assert answer.status_code == 200
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$resume_data"]["body"] == {"id": LARGE + 1}
    assert ended["steps"][1]["exports"]["$return_value"] == [str(LARGE + 1), str(LARGE)]
