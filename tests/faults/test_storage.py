"""The storage fails and works again: requests get a clear error, and nothing is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.disks import (
    BLOCK,
    FileSizeLimit,
    FullDisk,
    ReadOnly,
    can_mount,
    small_disk,
    without_root_override,
)
from tests.servers import JupyterServer, wait_until

FAULTS: list[Any] = [FileSizeLimit(), *([FullDisk()] if can_mount() else [])]
NAMES = [type(fault).__name__ for fault in FAULTS]

ASK = """%%step ask
def handler(pd):
    urls = pd.flow.suspend(pd.steps.trigger.event["ms"])
    pd.send.email(subject="Please", text=urls["resume_url"])
"""
TELL = """%%step tell
def handler(pd):
    return pd.steps["ask"]["$resume_data"]
"""
WORK = """%%step work
def handler(pd):
    import pathlib, time
    folder = pathlib.Path(pd.steps.trigger.event["folder"])
    with (folder / "begun").open("a") as file:
        file.write("begun ")
    while not (folder / "go").exists():
        time.sleep(0.02)
    pd.send.email(subject="Done")
    print("worked")
    return "worked"
"""
LAST = """%%step last
def handler(pd):
    return pd.steps.get("work", {}).get("$return_value")
"""
LONG = 600_000
PADDING = "x" * BLOCK
"""With this in its event, each state of a run needs a new block."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("storage")
    with (
        small_disk(folder / "data"),
        JupyterServer(
            folder, ["--PDFlow.max_kernels=2"], prefix=without_root_override()
        ) as running,
    ):
        yield running


def event(**fields: Any) -> dict[str, Any]:
    return {**fields, "padding": PADDING}


def ask(server: JupyterServer, timeout: int) -> Any:
    workflow = server.deploy("ask", [ASK, TELL])
    return server.wait_run(server.run(workflow, event(ms=timeout))["id"], "paused")


def work(server: JupyterServer, folder: Path) -> Any:
    run = server.run(server.deploy("work", [WORK, LAST]), event(folder=str(folder)))
    wait_until((folder / "begun").exists, "the step is executing")
    return run


def content(server: JupyterServer) -> dict[str, bytes]:
    """Return the contents of all files, except the one that fills the disk, and the index."""
    found = (path for path in server.data_dir.rglob("*.*") if path.is_file())
    files = [path for path in found if not path.name.startswith("index.sqlite")]
    return {str(path): path.read_bytes() for path in files}


def is_refused(answer: httpx.Response) -> bool:
    assert answer.status_code == 503, answer.text
    assert answer.json()["reason"] == "storage"
    assert "Nothing was changed" in answer.json()["message"]
    return True


def subjects(server: JupyterServer, run_id: str) -> list[str]:
    emails = server.api("GET", "/mail").json()
    return [email["subject"] for email in emails if email["run_id"] == run_id]


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_a_failed_write_changes_nothing_and_is_made_later(
    server: JupyterServer, fault: Any, tmp_path: Path
) -> None:
    waiting, working = ask(server, LONG), work(server, tmp_path)
    # Last, on the warm kernel: the fault has to come before its deadline.
    expiring = ask(server, 1500)
    link = waiting["pause"]["resume_url"]
    fault.start(server)
    time.sleep(0.5)
    fault.start(server)  # the index has been given up, which made some room
    before, logged = content(server), len(server.log())
    try:
        assert is_refused(server.http.post(link, json={"yes": 1}))
        page = server.http.post(link, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert page.status_code == 503
        assert is_refused(server.api("POST", f"/runs/{waiting['id']}/cancel", {}))
        assert is_refused(server.api("POST", "/workflows/ask/runs", {"event": event(ms=LONG)}))
        changed = server.root / "work.ipynb"
        changed.write_text(changed.read_text().replace("worked", "changed"))
        assert is_refused(server.api("POST", "/workflows", {"path": "work.ipynb"}))
        (tmp_path / "go").touch()
        deadline = datetime.fromisoformat(expiring["pause"]["deadline"])
        wait_until(lambda: datetime.now(UTC) > deadline, "a deadline is past")
        assert server.get_run(waiting["id"]) == waiting
        assert server.get_run(expiring["id"]) == expiring
        assert server.get_run(working["id"])["status"] == "running"
        assert content(server) == before
    finally:
        fault.end(server)
    ended = server.wait_run(expiring["id"], "succeeded")
    assert ended["steps"][0]["exports"]["$resume_data"] is None
    ended = server.wait_run(working["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"] == "worked"
    assert (tmp_path / "begun").read_text() == "begun "
    assert subjects(server, working["id"]) == ["Done"]
    assert server.get_run(waiting["id"]) == waiting
    assert server.http.post(link, json={"yes": 2}).status_code == 200
    ended = server.wait_run(waiting["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"]["body"] == {"yes": 2}
    wait_until(lambda: os.listdir(server.data_dir / "active") == [], "all are in finished/")
    assert "The data directory can be written again" in server.log()[logged:]


def test_folders_that_can_not_be_written(server: JupyterServer, tmp_path: Path) -> None:
    waiting, other, working = ask(server, LONG), ask(server, LONG), work(server, tmp_path)
    active, finished = server.data_dir / "active", server.data_dir / "finished"
    moved = set(os.listdir(finished))
    fault = ReadOnly()
    fault.start(server)
    try:
        before = content(server)
        assert is_refused(server.api("POST", f"/runs/{waiting['id']}/cancel", {}))
        assert is_refused(server.api("POST", "/workflows/ask/runs", {"event": event(ms=LONG)}))
        assert content(server) == before
        assert server.get_run(waiting["id"]) == waiting
        (tmp_path / "go").touch()
        # Its file is appended, so the decision is stored; the end waits.
        link = waiting["pause"]["resume_url"]
        assert server.http.post(link, json={"yes": 1}).status_code == 200
        assert server.http.post(link, json={"yes": 2}).status_code == 410
        assert server.get_run(other["id"]) == other
        assert {path.stem for path in active.iterdir()} == {
            run["id"] for run in (waiting, other, working)
        }
        assert set(os.listdir(finished)) == moved
    finally:
        fault.end(server)
    ended = server.wait_run(waiting["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"]["body"] == {"yes": 1}
    assert server.wait_run(working["id"], "succeeded")["steps"][0]["runs"] == 1
    assert (tmp_path / "begun").read_text() == "begun "
    assert subjects(server, working["id"]) == ["Done"]
    assert server.api("POST", f"/runs/{other['id']}/cancel", {}).status_code == 200
    wait_until(lambda: os.listdir(active) == [], "all are in finished/")


def test_emails_that_can_not_be_stored_do_not_stop_their_runs(
    server: JupyterServer, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    asking, working = server.deploy("ask", [ASK, TELL]), server.deploy("work", [LAST, WORK])
    logged, active = len(server.log()), server.data_dir / "active"
    fault = ReadOnly("mail", "mail/queued", "mail/done")
    fault.start(server)
    try:
        waiting = server.wait_run(server.run(asking, event(ms=LONG))["id"], "paused")
        over = server.wait_run(server.run(working, event(folder=str(tmp_path)))["id"], "succeeded")
        assert server.http.post(waiting["pause"]["resume_url"]).status_code == 200
        server.wait_run(waiting["id"], "succeeded")
        assert subjects(server, waiting["id"]) == subjects(server, over["id"]) == []
        assert {path.stem for path in active.iterdir()} == {waiting["id"], over["id"]}
    finally:
        fault.end(server)
    wait_until(lambda: os.listdir(active) == [], "both are in finished/")
    assert subjects(server, waiting["id"]) == ["Please"]
    assert subjects(server, over["id"]) == ["Done"]
    assert "The data directory can't be used" in server.log()[logged:]


def test_a_run_that_can_not_be_stored_as_finished_has_not_ended(server: JupyterServer) -> None:
    waiting = ask(server, LONG)
    fault = ReadOnly("finished")
    fault.start(server)
    try:
        assert is_refused(server.api("POST", f"/runs/{waiting['id']}/cancel", {}))
        assert server.get_run(waiting["id"]) == waiting
    finally:
        fault.end(server)
    assert server.http.post(waiting["pause"]["cancel_url"]).status_code == 200
    assert os.listdir(server.data_dir / "active") == []


def test_a_server_that_starts_on_failing_storage_works_once_it_is_repaired(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o500)
    data_dir = parent / "data"
    with JupyterServer(tmp_path, data_dir=data_dir, prefix=without_root_override()) as server:
        assert is_refused(server.api("GET", "/runs"))
        assert "Workflows don't run on this server yet" in server.log()
        parent.chmod(0o700)
        wait_until((data_dir / "active").exists, "the server tries again")
        assert server.api("GET", "/runs").json() == []
        assert data_dir.stat().st_mode & 0o777 == 0o700
