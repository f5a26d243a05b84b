"""Damaged files are quarantined and reported, and other runs continue."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.maintenance.doctor import examine, repair
from jupyter_pdflow.stores.tinydb.layout import DataDir
from tests.faults.disks import without_root_override
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until


def damage(path: Path) -> None:
    """Leave a whole line that is no JSON."""
    path.write_bytes(path.read_bytes()[:100] + b"\n")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_notebook(path: Path) -> None:
    path.write_text('{"cells": [], "nbformat": 4}')


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "photo.jpg").touch()


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere.jsonl")


def forbid(path: Path) -> None:
    path.chmod(0o000)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def rename(path: Path) -> None:
    path.rename(path.with_name("copy of a run.jsonl"))


DAMAGES: list[Callable[[Path], None]] = [
    damage,
    write_notebook,
    make_directory,
    link_to_itself,
    link_to_nowhere,
    forbid,
    make_pipe,
    rename,
]
NEVER_WRITTEN = [cut_off, empty]
"""What a crash makes of a file whose first line was not yet answered for."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path_factory.mktemp("files"), prefix=without_root_override()) as running:
        yield running


def paused(server: JupyterServer, name: str = "flow") -> Any:
    return server.wait_run(server.run(server.deploy(name, [ASK, TELL]))["id"], "paused")


def resumed(server: JupyterServer, run: Any) -> bool:
    assert server.get_run(run["id"]) == run
    assert server.http.post(run["pause"]["resume_url"], json={"ok": 1}).status_code == 200
    ended = server.wait_run(run["id"], "succeeded")
    return bool(ended["steps"][1]["exports"]["$return_value"]["body"] == {"ok": 1})


def test_damaged_files_of_runs(server: JupyterServer) -> None:
    good = paused(server)
    bad = [paused(server) for _ in DAMAGES]
    new = [paused(server) for _ in NEVER_WRITTEN]
    over = paused(server)
    server.api("POST", f"/runs/{over['id']}/cancel", {})
    server.kill()
    active = server.data_dir / "active"
    for run, change in zip([*bad, *new], [*DAMAGES, *NEVER_WRITTEN], strict=True):
        change(active / f"{run['id']}.jsonl")
    damage(server.data_dir / "finished" / f"{over['id']}.jsonl")
    (active / "x.jsonl.tmp").mkdir()
    logged = len(server.log())
    server.start()
    assert [run["id"] for run in server.api("GET", "/runs").json()] == [good["id"]]
    assert resumed(server, good)
    for run in [*bad, *new]:
        assert server.api("GET", f"/runs/{run['id']}").status_code == 404
        assert server.http.post(run["pause"]["resume_url"]).status_code == 404
    assert server.api("GET", f"/runs/{over['id']}").json()["reason"] == "unreadable"
    assert server.log()[logged:].count("It is set aside as") == len(bad)
    left = {path.name for path in active.iterdir()} - {"x.jsonl.tmp"}
    assert len(left) == len(bad)
    assert all(name.endswith(".unreadable") for name in left)
    server.restart()
    assert {path.name for path in active.iterdir()} - {"x.jsonl.tmp"} == left


def test_a_run_whose_file_is_damaged_while_it_is_paused(server: JupyterServer) -> None:
    good, bad = paused(server), paused(server)
    path = server.data_dir / "active" / f"{bad['id']}.jsonl"
    content = path.read_bytes()
    damage(path)
    answer = server.http.post(bad["pause"]["resume_url"])
    assert (answer.status_code, answer.json()["reason"]) == (500, "unreadable")
    assert resumed(server, good)
    path.write_bytes(content)
    assert resumed(server, bad)


def test_runs_of_a_workflow_whose_file_is_damaged(server: JupyterServer) -> None:
    run, other = paused(server, "damaged"), paused(server, "undamaged")
    path = server.data_dir / "workflows" / "damaged.json"
    content = path.read_bytes()
    server.kill()
    damage(path)
    server.start()
    assert resumed(server, other)
    assert server.api("GET", "/workflows/damaged").status_code == 404
    assert server.get_run(run["id"]) == {**run, "version_number": None}
    assert server.http.post(run["pause"]["resume_url"], json={"ok": 1}).status_code == 200
    wait_until(
        lambda: f"Run {run['id']} can't continue" in server.log(),
        "the log says why it stays queued",
    )
    assert server.get_run(run["id"])["status"] == "queued"
    path.write_bytes(content)
    server.restart()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"]["body"] == {"ok": 1}


# --- valid as JSON, and not as a record -----------------------------------------------

WRONG_RUNS: dict[str, dict[str, Any]] = {
    "a step that it does not have": {"position": 9},
    "no steps": {"steps": []},
    "a time without a zone": {"updated_at": "2026-01-01T00:00:00"},
    "an email whose id is a path": {
        "outbox": [
            {"id": "../../../pwn", "run_id": "x", "step": "ask", "mail": {"subject": "s"},
             "created_at": "2026-01-01T00:00:00Z"}
        ]
    },
    "no pause": {"pause": None},
    "a number that is too large": {"attempt": 10**40},
}  # fmt: skip
WRONG_DEADLINES = ["2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59"]


def set_fields(path: Path, **fields: Any) -> None:
    """Change fields of a stored record, in the last line of its file."""
    *before, line = path.read_text().splitlines()
    content = json.loads(line)
    next(iter(content.values()))["1"].update(fields)
    path.write_text("\n".join([*before, json.dumps(content), ""]))


def test_files_with_flaws(server: JupyterServer) -> None:
    good, over, done = paused(server), paused(server), paused(server)
    bad = [paused(server) for _ in [*WRONG_RUNS, *WRONG_DEADLINES]]
    for run in (over, done):
        assert server.http.post(run["pause"]["resume_url"]).status_code == 200
        server.wait_run(run["id"], "succeeded")
    paused(server, "no-newest")
    paused(server, "no-versions")
    server.kill()
    active, workflows = server.data_dir / "active", server.data_dir / "workflows"
    for run, fields in zip(bad, WRONG_RUNS.values(), strict=False):
        set_fields(active / f"{run['id']}.jsonl", **fields)
    for run, deadline in zip(bad[len(WRONG_RUNS) :], WRONG_DEADLINES, strict=True):
        set_fields(
            active / f"{run['id']}.jsonl", pause={**stored_pause(active, run), "deadline": deadline}
        )
    set_fields(
        server.data_dir / "finished" / f"{over['id']}.jsonl", updated_at="2026-01-01T00:00:00"
    )
    set_fields(workflows / "no-newest.json", newest="x")
    set_fields(workflows / "no-versions.json", versions={})
    (server.data_dir / "lock.json").write_text("[" * 9999)
    (server.data_dir / "imported_keys.json").write_text('{"x": 1}')
    (server.data_dir / "inputs.toml").write_text("a = " + "[" * 9999)
    named = "\n".join(finding.problem for finding in examine(DataDir(server.data_dir)).findings)
    server.start()

    shown = [run["id"] for run in server.api("GET", "/runs").json()]
    assert good["id"] in shown
    assert done["id"] in shown
    for path in ("/runs", "/runs?status=succeeded", "/workflows", "/mail"):
        assert server.api("GET", path).status_code == 200
    assert server.api("GET", "/workflows/no-newest").status_code == 404
    for run in bad:
        assert run["id"] not in shown
        assert f"active/{run['id']}.jsonl" in named
        assert (active / f"{run['id']}.jsonl.unreadable").exists()
        assert server.api("GET", f"/runs/{run['id']}").status_code == 404
        assert server.http.post(run["pause"]["resume_url"]).status_code == 404
    for name in ("workflows/no-newest.json", "workflows/no-versions.json", "imported_keys.json"):
        assert name in named
        assert (server.data_dir / f"{name}.unreadable").exists()
    assert server.api("GET", f"/runs/{over['id']}").json()["reason"] == "unreadable"
    assert server.http.post(over["pause"]["resume_url"]).json()["reason"] == "unreadable"
    assert server.http.post(done["pause"]["resume_url"]).status_code == 410
    assert resumed(server, good)
    assert not (server.data_dir.parent / "pwn.json").exists()


def stored_pause(active: Path, run: Any) -> Any:
    line = (active / f"{run['id']}.jsonl").read_bytes().splitlines()[-1]
    return json.loads(line)["run"]["1"]["pause"]


def test_a_quarantined_file_that_was_repaired_is_put_back(server: JupyterServer) -> None:
    run = paused(server)
    path = server.data_dir / "active" / f"{run['id']}.jsonl"
    server.kill()
    content = path.read_bytes()
    set_fields(path, position=9)
    server.start()
    assert server.api("GET", f"/runs/{run['id']}").status_code == 404
    server.kill()
    path.with_name(f"{path.name}.unreadable").write_bytes(content)
    assert f"Put active/{path.name}.unreadable back in its place." in repair(
        DataDir(server.data_dir)
    )
    server.start()
    assert resumed(server, run)
