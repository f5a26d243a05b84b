"""``jupyter pdflow doctor``, ``export`` and ``import``, with real servers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import call
from tests.servers import JupyterServer, wait_until

ASK = """%%step ask
def handler(pd):
    urls = pd.flow.suspend(pd.steps.trigger.event["ms"])
    print("asked")
    pd.send.email(subject="Please approve", text=urls["resume_url"])
"""
TELL = """%%step tell
def handler(pd):
    request = pd.steps["ask"]["$resume_data"]
    return request and request["body"]
"""
HOUR = 3_600_000


@pytest.fixture
def here(tmp_path: Path) -> Iterator[JupyterServer]:
    yield from stopped(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[JupyterServer]:
    yield from stopped(tmp_path / "there")


def stopped(folder: Path) -> Iterator[JupyterServer]:
    """Yield a server that is not running yet, and stop it at the end."""
    server = JupyterServer(folder)
    server.root.mkdir(parents=True)
    yield server
    server.stop()
    server.http.close()


def run_command(server: JupyterServer, command: str, *arguments: object, status: int = 0) -> str:
    """Run a command on a server's data directory, and return what it writes."""
    done = call(server, command, *map(str, arguments), f"--data-dir={server.data_dir}")
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return done.stderr if status == 2 else done.stdout


def outputs_of(server: JupyterServer, run: dict[str, Any]) -> list[Any]:
    cells = server.api("GET", f"/runs/{run['id']}/notebook").json()["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


def make_overdue(server: JupyterServer, run: dict[str, Any]) -> None:
    file = server.data_dir / "active" / f"{run['id']}.jsonl"
    stored = json.loads(file.read_text().splitlines()[-1])
    stored["run"]["1"]["pause"]["deadline"] = "2026-01-01T00:00:00Z"
    with file.open("a") as lines:
        lines.write(json.dumps(stored) + "\n")


def test_runs_move_to_another_machine(here: JupyterServer, there: JupyterServer) -> None:
    here.start()
    workflow = here.deploy("approval", [ASK, TELL])
    waiting, late = (
        here.wait_run(here.run(workflow, {"ms": HOUR})["id"], "paused") for _ in range(2)
    )
    ended = here.wait_run(here.run(workflow, {"ms": 10})["id"], "succeeded")
    outputs, mails = outputs_of(here, waiting), here.api("GET", "/mail").json()
    history = here.api("GET", f"/runs/{waiting['id']}/history").json()
    assert [entry["event"] for entry in history] == ["start", "begin", "finish"]
    assert outputs[0]["text"] == ["asked\n"]
    assert len(mails) == 3
    assert "In use by the server at" in run_command(here, "doctor")
    assert "stop that first" in run_command(here, "export", "runs.zip", status=2)
    here.stop()

    make_overdue(here, late)
    assert "should have ended at 2026-01-01 00:00 UTC" in run_command(here, "doctor", status=1)
    assert "Copied 1 run and moved 2 runs" in run_command(here, "export", "runs.zip")
    assert "Imported 3 runs" in run_command(there, "import", here.root / "runs.zip")

    here.start()
    there.start()
    there.wait_run(late["id"], "succeeded")
    run = there.get_run(waiting["id"])
    assert run["pause"]["deadline"] == waiting["pause"]["deadline"]
    assert run["usage"]["credits"] == waiting["usage"]["credits"] == 1
    assert outputs_of(there, run) == outputs
    assert there.get_run(ended["id"]) == ended
    assert there.api("GET", f"/runs/{waiting['id']}/history").json() == history
    assert there.api("GET", "/mail").json() == mails

    link = waiting["pause"]["resume_url"]
    assert here.http.post(link).status_code == 404
    assert [each["id"] for each in here.api("GET", "/runs").json()] == [ended["id"]]
    assert there.http.post(link.replace(here.url, there.url), json="yes").status_code == 200
    run = there.wait_run(waiting["id"], "succeeded")
    assert run["steps"][1]["exports"]["$return_value"] == "yes"
    assert run["usage"]["credits"] == 2
    assert there.http.post(link.replace(here.url, there.url)).status_code == 410


SAVE = """%%step save
def handler(pd):
    (pd.files / "models").mkdir()
    (pd.files / "models" / "best.bin").write_bytes(bytes(1_500_000))
    pd.flow.suspend()
"""
LOAD = """%%step load
def handler(pd):
    return len((pd.files / "models" / "best.bin").read_bytes())
"""


def test_files_move_with_their_run_from_wherever_they_are(
    here: JupyterServer, there: JupyterServer, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    here.args.append(f"--PDFlow.files_dir={shared}")
    here.start()
    run = here.wait_run(here.run(here.deploy("saves", [SAVE, LOAD]))["id"], "paused")
    assert (shared / run["id"] / "models" / "best.bin").exists()
    assert "file models/best.bin (1.5 MB)\n" in call(here, "show", run["id"]).stdout
    here.stop()

    output = run_command(here, "export", "runs.zip")
    assert "Copied 0 runs and moved 1 run" in output
    assert "with 0 emails and 1 file." in output
    assert f"files in {shared / 'exported'}" in output
    assert not (shared / run["id"]).exists()
    elsewhere = tmp_path / "elsewhere"
    run_command(there, "import", here.root / "runs.zip", f"--files-dir={elsewhere}")
    there.args.append(f"--PDFlow.files_dir={elsewhere}")
    there.start()
    assert there.api("POST", f"/runs/{run['id']}/resume", {}).status_code == 200
    run = there.wait_run(run["id"], "succeeded")
    assert run["steps"][1]["exports"] == {"$return_value": 1_500_000}


WORK = """%%step work
def handler(pd):
    import pathlib, time
    pathlib.Path(pd.steps.trigger.event).touch()
    time.sleep(pd.steps.trigger.event == "begun" and 60)
"""


def test_runs_that_were_executing_begin_when_that_is_asked_for(
    here: JupyterServer, there: JupyterServer
) -> None:
    here.start()
    workflow = here.deploy("work", [WORK])
    running = here.run(workflow, "begun")
    wait_until((here.root / "begun").exists, "a step is executing")
    here.kill()
    run_command(here, "export", "runs.zip", running["id"])
    archive = here.root / "runs.zip"

    output = run_command(there, "import", archive)
    assert "Imported 0 runs" in output
    assert f"at once: 1 run ({running['id']}). Import the archive again with --start" in output
    there.start()
    assert there.api("GET", "/runs").json() == []
    there.stop()
    assert "Imported 1 run" in run_command(there, "import", archive, "--start")
    there.start()
    wait_until((there.root / "begun").exists, "it has begun here")


def test_an_archive_that_climbs_is_refused(here: JupyterServer, there: JupyterServer) -> None:
    here.start()
    run = here.wait_run(here.run(here.deploy("ask", [ASK, TELL]), {"ms": HOUR})["id"], "paused")
    here.stop()
    file = here.data_dir / "active" / f"{run['id']}.jsonl"
    run_command(here, "export", "right.zip")
    mail = {"id": "../../../pwn", "run_id": "x", "step": "ask", "mail": {"subject": "s"}}
    with (
        zipfile.ZipFile(here.root / "right.zip") as right,
        zipfile.ZipFile(here.root / "wrong.zip", "w") as wrong,
    ):
        for name in right.namelist():
            content = right.read(name)
            if Path(name).name == file.name and name.startswith("active/"):
                stored = json.loads(content)
                stored["run"]["1"]["outbox"] = [{**mail, "created_at": run["created_at"]}]
                content = json.dumps(stored).encode() + b"\n"
            wrong.writestr(name, content)
    error = run_command(there, "import", here.root / "wrong.zip", status=2)
    assert error.count("\n") == 1
    assert "it has emails with ids that are not its own; nothing was imported." in error
    there.start()
    assert there.api("GET", "/runs").json() == []
    assert not list(here.root.parent.parent.rglob("pwn*"))


def test_repair(here: JupyterServer) -> None:
    (here.data_dir / "active").mkdir(parents=True)
    here.data_dir.chmod(0o755)
    (here.data_dir / "active" / "x.json.tmp").touch()
    (here.data_dir / "active" / "y.jsonl").write_text("{\n")
    found = run_command(here, "doctor", status=1)
    assert "Problem: active/x.json.tmp was left half-written by a crash.\n  It is of no" in found
    assert "\n3 problems.\n3 of them can be repaired by: jupyter pdflow doctor --repair\n" in found
    repaired = run_command(here, "doctor", "--repair", status=1)
    assert "Repaired: Removed active/x.json.tmp.\n" in repaired
    assert repaired.endswith("\n1 problem.\n")
    assert (
        "Problem: active/y.jsonl.unreadable was set aside, as it could not be used: y.js"
        in repaired
    )
    (here.data_dir / "active" / "y.jsonl.unreadable").unlink()
    report = json.loads(run_command(here, "doctor", "--json"))
    assert (report["findings"], report["held_by"]) == ([], None)


def test_errors_are_one_line(here: JupyterServer) -> None:
    here.data_dir.mkdir(mode=0o700)
    for arguments, words in (
        (["import", "nope.zip"], "There is no archive 'nope.zip'."),
        (["export", "no/runs.zip", "01X"], "There is no run '01X' in "),
    ):
        error = run_command(here, *arguments, status=2)
        assert error.startswith("jupyter pdflow: ")
        assert error.count("\n") == 1
        assert words in error
