"""Jupyter events and activity that runs cause."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_pdflow.server.app import SCHEMA, SCHEMA_ID
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until

BUSY = """%%step busy
def handler(pd):
    import pathlib, time
    while not pathlib.Path("enough").exists():
        time.sleep(0.02)
    pd.flow.suspend()
"""


async def subscribe(server: JupyterServer) -> WebSocketClientConnection:
    url = server.url.replace("http", "ws", 1) + "/api/events/subscribe"
    return await websocket_connect(HTTPRequest(url, headers=server.headers))


async def next_event(socket: WebSocketClientConnection) -> Any:
    while True:
        message = await asyncio.wait_for(socket.read_message(), 20)
        assert message is not None
        event = json.loads(message)
        if event["schema_id"] == SCHEMA_ID:
            return event


async def test_each_change_of_a_run_is_an_event(server: JupyterServer) -> None:
    workflow = await asyncio.to_thread(server.deploy, "events", [ASK, TELL])
    socket = await subscribe(server)
    run = await asyncio.to_thread(server.run, workflow, {"secret": "data"})
    events = [await next_event(socket)]
    while events[-1]["status"] != "paused":
        events.append(await next_event(socket))
    paused = await asyncio.to_thread(server.get_run, run["id"])
    await asyncio.to_thread(server.http.post, paused["pause"]["resume_url"])
    while events[-1]["status"] != "succeeded":
        events.append(await next_event(socket))
    socket.close()

    statuses = [event["status"] for event in events]
    assert statuses[:3] == ["queued", "running", "paused"]
    assert {event["run_id"] for event in events} == {run["id"]}
    paused_event = events[2]
    assert paused_event["step"] == "ask"
    assert paused_event["pause_kind"] == "suspend"
    assert paused_event["deadline"] == paused["pause"]["deadline"]
    assert paused_event["updated_at"] == paused["updated_at"]
    assert events[-1]["pause_kind"] is None
    token = paused["pause"]["resume_url"].rpartition("/")[2]
    assert token not in str(events)
    assert "secret" not in str(events)
    described = yaml.safe_load(SCHEMA.read_text())["properties"]
    for event in events:
        assert set(described) <= set(event)
        Draft202012Validator({"properties": described}).validate(event)


def last_activity(server: JupyterServer) -> datetime:
    status = server.http.get("/api/status?no_track_activity=1", headers=server.headers)
    return datetime.fromisoformat(status.json()["last_activity"])


def test_a_run_counts_as_activity_until_it_pauses(server: JupyterServer) -> None:
    run = server.run(server.deploy("busy", [BUSY]))
    server.wait_run(run["id"], "running")
    begun = last_activity(server)
    wait_until(lambda: last_activity(server) > begun, "the server reports activity")
    (server.root / "enough").touch()
    server.wait_run(run["id"], "paused")
    waits = last_activity(server)
    now = datetime.now(waits.tzinfo)
    wait_until(lambda: (datetime.now(waits.tzinfo) - now).total_seconds() > 2.5, "time passes")
    assert last_activity(server) == waits
