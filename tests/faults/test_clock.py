"""The clock jumps by an hour, and the SMTP server is down for an hour."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.stores.tinydb.storage import parse_record
from tests.engine.support import Inbox, smtp_server
from tests.servers import JupyterServer, wait_until

CONFIG = Path(__file__).with_name("clock.py")
HOUR = 3600
MINUTE_MS = 60_000

ASK = """%%step ask
def handler(pd):
    pd.flow.suspend(int(pd.steps.trigger.event))
"""
TELL = """%%step tell
def handler(pd):
    return pd.context.run.runs
"""
POLL = """%%step poll
def handler(pd):
    import pathlib
    folder = pathlib.Path(pd.steps.trigger.event)
    with (folder / "seen").open("a") as file:
        file.write(f"{pd.context.run.runs} ")
    if not (folder / "done").exists():
        pd.flow.rerun(200, None, 1000)
    return pd.context.run.runs
"""
MAIL = """%%step mail
def handler(pd):
    pd.send.email(subject="Please", to="a@example.org")
"""


class Machine:
    """A server and its clock."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.clock = folder / "clock"
        self.server = JupyterServer(
            folder / "server",
            ["--config", str(CONFIG), *args],
            env={"PDFLOW_TEST_CLOCK": str(self.clock)},
        )

    def set_clock(self, ahead: int) -> None:
        """Set the server's clock `ahead` seconds ahead of the real one."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(ahead))
        new.replace(self.clock)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    with machine.server:
        yield machine


def ask(server: JupyterServer, timeout: int) -> Any:
    workflow = server.deploy("ask", [ASK, TELL])
    return server.wait_run(server.run(workflow, timeout)["id"], "paused")


def poll(server: JupyterServer, folder: Path) -> Any:
    return server.run(server.deploy("poll", [POLL]), str(folder))


def seen(folder: Path) -> list[str]:
    path = folder / "seen"
    return path.read_text().split() if path.exists() else []


def wait_for_reruns(folder: Path) -> None:
    before = len(seen(folder))
    wait_until(lambda: len(seen(folder)) > before + 1, "the step runs twice more")


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_in_order(run: Any) -> bool:
    """Return whether the times of a run are in order, and its usage is not negative."""
    times = [(run["created_at"], run["updated_at"])]
    times += [(step["started_at"], step["ended_at"]) for step in run["steps"]]
    usage = run["usage"]
    return all(time_of(a) <= time_of(b) for a, b in times if a and b) and all(
        usage[name] >= 0 for name in ("compute_ms", "paused_ms", "credits")
    )


def test_a_clock_that_jumps(machine: Machine, tmp_path: Path) -> None:
    server = machine.server
    soon, late = ask(server, 30 * MINUTE_MS), ask(server, 90 * MINUTE_MS)
    polling = poll(server, tmp_path)
    wait_for_reruns(tmp_path)

    machine.set_clock(HOUR)
    timed_out = server.wait_run(soon["id"], "succeeded")
    assert server.get_run(late["id"]) == late
    wait_for_reruns(tmp_path)
    ahead = ask(server, 10 * MINUTE_MS)

    machine.set_clock(0)
    wait_until(lambda: server.get_run(polling["id"])["pause"], "the poll is paused")
    assert server.get_run(late["id"]) == late
    assert server.get_run(ahead["id"]) == ahead
    fresh = ask(server, 10 * MINUTE_MS)
    server.api("POST", f"/runs/{polling['id']}/resume", {"data": 1})
    wait_for_reruns(tmp_path)
    server.kill()
    server.start()
    assert server.get_run(late["id"]) == late
    assert server.get_run(soon["id"]) == timed_out
    after = ask(server, 10 * MINUTE_MS)
    made = [run["id"] for run in (soon, late, polling, ahead, fresh, after)]
    assert made == sorted(made)

    machine.set_clock(-HOUR)
    assert server.http.post(ahead["pause"]["resume_url"]).status_code == 200
    ended = [timed_out, server.wait_run(ahead["id"], "succeeded")]
    assert server.get_run(late["id"]) == late

    machine.set_clock(2 * HOUR)
    (tmp_path / "done").touch()
    ended += [server.wait_run(run["id"], "succeeded") for run in (late, fresh, after, polling)]
    assert all(map(is_in_order, ended))
    assert [run["steps"][1]["exports"]["$return_value"] for run in ended[:-1]] == [1] * 5
    numbers = list(map(int, seen(tmp_path)))
    assert numbers == sorted(numbers)
    assert len(numbers) <= len(set(numbers)) + 1, "only the kill may repeat an execution"
    waited = time_of(late["pause"]["deadline"]) - time_of(late["created_at"])
    assert waited >= timedelta(minutes=90)
    assert server.http.post(soon["pause"]["resume_url"]).status_code == 410


def email_of(server: JupyterServer) -> Any:
    return server.api("GET", "/mail").json()[0]


def attempts(server: JupyterServer) -> int:
    """Return the stored number of attempts; the next attempt is scheduled after it is stored.

    It is 0 if the email is not stored yet: a run is visible a moment before its emails are.
    """
    queued = list((server.data_dir / "mail" / "queued").glob("*.json"))
    stored = [parse_record(path.read_bytes(), "mail", path.name) for path in queued]
    return sum(int(email["attempts"]) for email in stored)


def test_an_hour_without_the_smtp_server(tmp_path: Path) -> None:
    inbox = Inbox()
    smtp = smtp_server(inbox)
    machine = Machine(tmp_path, f"--PDFlow.smtp_url=smtp://127.0.0.1:{smtp.port}")
    with machine.server as server:
        run = server.run(server.deploy("mail", [MAIL]))
        server.wait_run(run["id"], "succeeded")
        wait_until(lambda: attempts(server) == 1, "an attempt is made")
        for number in range(1, 4):
            machine.set_clock(number * HOUR // 3)
            wait_until(lambda before=number: attempts(server) > before, "another attempt is made")  # type: ignore[misc]
        assert email_of(server)["status"] == "queued"
        assert email_of(server)["error"]
        server.restart()
        wait_until(lambda: attempts(server) == 5, "another attempt is made at the start")
        smtp.start()
        try:
            machine.set_clock(2 * HOUR)
            wait_until(lambda: email_of(server)["status"] == "sent", "the email is delivered")
        finally:
            smtp.stop()
        assert [found["Subject"] for found in inbox.emails] == ["Please"]
        assert os.listdir(server.data_dir / "mail" / "queued") == []
