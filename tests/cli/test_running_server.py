"""``jupyter pdflow`` with a running server."""

from __future__ import annotations

import json
import re
import signal

import httpx
import pytest

from tests.cli.commands import RUN_ID, call, on_terminal, started
from tests.servers import JupyterServer, write_notebook

ASK = '%%step ask\ndef handler(pd):\n    pd.flow.suspend()\n    return {"asked": 1}'
SHOW = """%%step show
def handler(pd):
    print("the answer is", pd.steps["ask"]["$resume_data"]["body"])
    return pd.steps["ask"]["$resume_data"]["body"]"""
ECHO = '%%step echo\ndef handler(pd):\n    return pd.steps["trigger"]["event"]'
BOOM = "%%step boom\ndef handler(pd):\n    return wrong(pd)"
WRONG = "def wrong(pd):\n    return 1 / 0"


@pytest.fixture(scope="module", autouse=True)
def notebooks(server: JupyterServer) -> None:
    for name, cells in {"ask": [ASK, SHOW], "echo": [ECHO], "boom": [WRONG, BOOM]}.items():
        write_notebook(server.root / f"{name}.ipynb", cells)


def post(url: str, **kw: object) -> httpx.Response:
    return httpx.post(url, trust_env=False, **kw)  # type: ignore[arg-type]


def test_run_succeeds_with_its_event(server: JupyterServer) -> None:
    done = call(server, "run", "echo.ipynb", "--event", '{"id": 7}')
    assert (done.returncode, done.stderr) == (0, "")
    run = server.get_run(RUN_ID.search(done.stdout)[1])  # type: ignore[index]
    assert run["event"] == {"id": 7}
    assert re.search(r"^echo: succeeded after ", done.stdout, re.MULTILINE)
    assert re.search(rf"^Run {run['id']} succeeded: 1 credit, ", done.stdout, re.MULTILINE)


def test_run_prints_links_that_work(server: JupyterServer) -> None:
    with started(server, "run", "ask.ipynb") as command:
        resume = command.find(r"(?m)^  resume: (\S+)$")
        cancel = command.find(r"(?m)^  cancel: (\S+)$")
        assert post(resume, json="yes").status_code == 200
        assert command.wait() == 0
    assert post(cancel).status_code == 410
    assert "ask: waits for an answer, until " in command.text
    assert command.text.count(resume) == 1
    assert "show printed:\n  the answer is yes\n" in command.text


def test_run_that_fails_shows_the_authors_traceback(server: JupyterServer) -> None:
    done = call(server, "run", "boom.ipynb")
    assert done.returncode == 1
    assert "boom: failed" in done.stdout
    assert "return 1 / 0" in done.stderr
    assert "ZeroDivisionError" in done.stderr.splitlines()[-1]
    assert "jupyter_pdflow" not in done.stderr


def test_run_that_is_canceled(server: JupyterServer) -> None:
    with started(server, "run", "ask.ipynb") as command:
        run_id = command.find(RUN_ID.pattern)
        command.find(r"(?m)^  cancel: (\S+)$")
        done = call(server, "cancel", run_id, "--reason", "not today")
        assert (done.returncode, done.stdout) == (0, f"Run {run_id} is canceled.\n")
        assert command.wait() == 3
    assert f"Run {run_id} canceled (not today): " in command.text


def test_detached_run_continues(server: JupyterServer) -> None:
    done = call(server, "run", "ask.ipynb", "--detach")
    assert done.returncode == 0
    run_id = RUN_ID.search(done.stdout)[1]  # type: ignore[index]
    assert f"jupyter pdflow show {run_id}" in done.stdout
    server.wait_run(run_id, "paused")
    done = call(server, "resume", run_id, "--data", '{"ok": true}')
    assert (done.returncode, done.stdout) == (0, f"Run {run_id} is resumed.\n")
    server.wait_run(run_id, "succeeded")
    shown = call(server, "show", run_id, "--json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout) == server.get_run(run_id)
    run = json.loads(shown.stdout)
    assert run["steps"][1]["exports"]["$return_value"] == {"ok": True}
    assert run["started_by"] == {"name": None, "via": "cli"}
    assert [decider["via"] for decider in run["decisions"][0]["by"]] == ["cli"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_the_run(server: JupyterServer, number: signal.Signals) -> None:
    with started(server, "run", "ask.ipynb") as command:
        run_id = command.find(RUN_ID.pattern)
        command.find(r"  cancel: (\S+)\n")
        command.process.send_signal(number)
        assert command.wait() == 130
    assert f"Run {run_id} continues at {server.url}" in command.text
    assert "Traceback" not in command.text
    assert server.get_run(run_id)["status"] == "paused"


def test_runs_are_listed(server: JupyterServer) -> None:
    paused = server.run(server.deploy("listed", [ASK]))
    server.wait_run(paused["id"], "paused")
    filters = ("--status", "paused", "--workflow", paused["workflow_id"], "--limit", "1")
    done = call(server, "runs", *filters)
    assert done.returncode == 0
    header, line = done.stdout.splitlines()
    assert header.split() == ["RUN", "WORKFLOW", "STATUS", "STARTED", "WAITS"]
    assert line.split()[:3] == [paused["id"], paused["workflow_id"], "paused"]
    done = call(server, "runs", *filters, "--json")
    assert [run["id"] for run in json.loads(done.stdout)] == [paused["id"]]
    for named in ("listed", "listed.ipynb", str(server.root / "listed.ipynb")):
        done = call(server, "runs", "--workflow", named, "--json")
        assert [run["id"] for run in json.loads(done.stdout)] == [paused["id"]]


def test_runs_of_a_time_are_listed(server: JupyterServer) -> None:
    run = server.run(server.deploy("of-a-time", [ECHO]))
    for options, found in [
        (["--since", "1h"], [run["id"]]),
        (["--since", "2d", "--until", "1w"], []),
        (["--until", "1m"], []),
        (["--since", "2026-01-01"], [run["id"]]),
        (["--until", "2026-01-01"], []),
        (["--since", run["created_at"]], [run["id"]]),
        (["--until", run["created_at"]], []),
        (["--since", "2999-01-01T09:30"], []),
    ]:
        done = call(server, "runs", "--workflow", "of-a-time", "--json", *options)
        assert [each["id"] for each in json.loads(done.stdout)] == found, options


def test_runs_of_an_unknown_workflow_are_an_error(server: JupyterServer) -> None:
    server.deploy("one/same", [ECHO])
    server.deploy("two/same", [ECHO])
    done = call(server, "runs", "--workflow", "no-such", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jupyter pdflow: There is no workflow 'no-such'; deployed are ")
    done = call(server, "runs", "--workflow", "same")
    assert done.returncode == 2
    assert "Several workflows are named 'same'; give the id: one-same, two-same." in done.stderr


def test_a_poll_prints_its_first_links_only(server: JupyterServer) -> None:
    poll = """%%step poll
def handler(pd):
    if pd.context.run.runs < 4:
        pd.flow.rerun(1500)"""
    write_notebook(server.root / "poll.ipynb", [poll])
    done = call(server, "run", "poll.ipynb")
    assert done.returncode == 0
    assert (done.stdout.count("resume: "), done.stdout.count("cancel: ")) == (1, 1)
    assert re.search(r"(?m)^poll \(run 4\): succeeded", done.stdout)


def test_show_prints_exports_and_links(server: JupyterServer) -> None:
    run = server.wait_run(server.run(server.deploy("shown", [ASK]), {"a": "b"})["id"], "paused")
    text = call(server, "show", run["id"]).stdout
    version = f"version 1 ({run['version']})"
    for part in (run["id"], "paused", version, '{"a":"b"}', '$return_value = {"asked":1}'):
        assert part in text
    assert f"  resume: {run['pause']['resume_url']}\n" in text


def test_show_prints_the_emails_of_the_run(server: JupyterServer) -> None:
    send = '%%step send\ndef handler(pd):\n    pd.send.email("Hi [b]", to=["a@b.c", "d@e.f"])'
    run = server.run(server.deploy("sends", [send]))
    server.wait_run(run["id"], "succeeded")
    shown = call(server, "show", run["id"]).stdout
    assert "email to a@b.c, d@e.f: Hi [b] (kept)\n" in shown


def test_deploy_names_the_version(server: JupyterServer) -> None:
    done = call(server, "deploy", "ask.ipynb")
    workflows = server.api("GET", "/workflows").json()
    version = next(one["version"] for one in workflows if one["path"] == "ask.ipynb")
    assert done.returncode == 0
    assert f"Workflow ask is at version 1 ({version}): ask, show" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "echo.ipynb", "--event", "{oops"], "is not JSON"),
        (["run", "none.ipynb"], "no notebook 'none.ipynb'"),
        (["run", "bad.ipynb"], "no step"),
        (["show", "01K00000000000000000000000"], "01K00000000000000000000000"),
        (["resume", "ended"], "not paused"),
        (["cancel", "ended"], "nothing to cancel"),
        (["runs", "--limit", "0"], "'0' is not a positive whole number"),
        (["runs", "--status", "asleep"], "asleep"),
        (["runs", "--since", "soon"], "'soon' is not a time such as 2d"),
        (["runs", "--until", "-2d"], "expected one argument"),
        (["runs", "--until", "9" * 30 + "d"], "is not a time such as 2d"),
        (["fly"], "fly"),
        ([], "COMMAND"),
    ],
)
def test_refusals_are_one_line(server: JupyterServer, arguments: list[str], message: str) -> None:
    write_notebook(server.root / "bad.ipynb", ["1 + 1"])
    if arguments[1:] == ["ended"]:
        run = server.run(server.deploy("ended", [ECHO]))
        arguments = [arguments[0], server.wait_run(run["id"], "succeeded")["id"]]
    done = call(server, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_names_each_command(server: JupyterServer) -> None:
    done = call(server, "--help")
    assert done.returncode == 0
    for command in ("run", "deploy", "runs", "show", "inbox", "resume", "reject", "cancel"):
        assert re.search(rf"^    {command} +\w", done.stdout, re.MULTILINE)


def test_terminal_shows_live_progress_and_whole_links(server: JupyterServer) -> None:
    with on_terminal(server, "run", "ask.ipynb") as command:
        resume = command.find(r"  resume: (\S+)\r\n")
        command.find(r"(ask waits for an answer, 23 h 59 min 5\d s left)")
        assert post(resume, json={}).status_code == 200
        assert command.wait() == 0
    assert len(resume) > 80
    assert command.text.count("  resume: ") == 1
    assert re.search("✔.*ask.*succeeded", command.text)
