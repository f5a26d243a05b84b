"""``jupyter pdflow`` where runs ask people: inbox, show, resume, reject."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.commands import RUN_ID, call, started
from tests.cli.identity import ARGUMENTS, ENVIRONMENT, token_of
from tests.engine.support import Inbox, smtp_server
from tests.servers import JupyterServer, wait_until, write_notebook

GONE = "gone@example.org"
ASK = """%%step ask
def handler(pd):
    given = dict(pd.steps["trigger"]["event"])
    pd.flow.suspend(message="Pay **120 EUR**?\\n\\nFor the train.", **given)
"""
TELL = '%%step tell\ndef handler(pd):\n    return pd.steps["ask"]["$resume_data"]["body"]'
FORM = {
    "type": "object",
    "properties": {
        "account": {"enum": ["travel", "other"]},
        "amount": {"type": "number", "minimum": 1, "default": 120},
    },
    "required": ["account"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server that knows names, and whose SMTP server refuses one address."""
    inbox = Inbox()
    inbox.refusals[GONE] = ["550 no such user"] * 10
    smtp = smtp_server(inbox)
    smtp.start()
    arguments = [*ARGUMENTS, f"--PDFlow.smtp_url=smtp://127.0.0.1:{smtp.port}"]
    with JupyterServer(tmp_path_factory.mktemp("asking"), arguments, env=ENVIRONMENT) as running:
        yield running
    smtp.stop()


@pytest.fixture(scope="module")
def workflow(server: JupyterServer) -> Any:
    return server.deploy("expenses", [ASK, TELL])


def asking(server: JupyterServer, workflow: Any, **arguments: Any) -> str:
    """Start a run that asks, and return its id once it is paused."""
    run = server.wait_run(server.run(workflow, arguments)["id"], "paused")
    return str(run["id"])


def call_as(server: JupyterServer, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(server, *arguments, token=token_of(name))


def test_the_inbox_lists_what_waits_for_me(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, approvers=["ada", "group:chiefs"])
    for name in ("ada", "carol"):
        done = call_as(server, name, "inbox")
        assert done.returncode == 0
        entry = done.stdout[: done.stdout.index(f"  run {run_id}\n")]
        assert entry.startswith("Pay 120 EUR?\n  expenses, step ask\n  ")
        assert " left, until " in entry
        assert "; then the run is canceled\n" in entry
        assert "jupyter pdflow reject RUN" in done.stdout
    done = call_as(server, "ada", "inbox", "--json")
    assert [item["run_id"] for item in json.loads(done.stdout)] == [run_id]
    assert call_as(server, "dave", "inbox").stdout == "Nothing waits for you.\n"
    assert call_as(server, "ada", "cancel", run_id).returncode == 0
    assert call_as(server, "ada", "inbox").stdout == "Nothing waits for you.\n"


def test_an_approval_is_counted(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, approvers=["ada", "group:chiefs", "bob"], required=2)
    done = call_as(server, "ada", "resume", run_id, "--note", "fine")
    assert (done.returncode, done.stdout) == (
        0,
        f"Run {run_id}: counted; one more has to approve.\n",
    )
    shown = call_as(server, "dave", "show", run_id).stdout
    assert "\n  Pay **120 EUR**?\n\n  For the train.\n" in shown
    assert "\n  to be approved by 2 of ada, group:chiefs, bob\n" in shown
    assert "\n  approved by ada from the command line at " in shown
    assert ": fine\n  waits for group:chiefs or bob\n" in shown
    assert "resume: " not in shown

    again = call_as(server, "ada", "resume", run_id)
    assert again.returncode == 2
    assert "You have approved this already; one more has to approve." in again.stderr
    done = call_as(server, "carol", "resume", run_id, "--data", "7")
    assert (done.returncode, done.stdout) == (0, f"Run {run_id} is approved.\n")
    run = server.wait_run(run_id, "succeeded")
    assert run["steps"][1]["exports"]["$return_value"] == 7
    lines = call_as(server, "ada", "show", run_id).stdout.splitlines()
    decided = [line for line in lines if line.startswith("ask: approved by ")]
    assert [line.split()[3] for line in decided] == ["ada", "carol"]
    assert decided[0].endswith(": fine")


def test_others_can_not_decide(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, approvers=["ada"])
    for verb in ("resume", "reject"):
        done = call_as(server, "dave", verb, run_id)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "jupyter pdflow: Only ada can decide this; not dave.\n"
        done = call(server, verb, run_id)
        assert done.returncode == 2
        assert "Only ada can decide this; you are not signed in under a name." in done.stderr
    assert server.get_run(run_id)["status"] == "paused"


def test_a_wrong_token_is_named(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow)
    done = call(server, "resume", run_id, token="wrong")
    assert done.returncode == 2
    assert "refused the token" in done.stderr


def test_each_wrong_field_of_an_answer_is_listed(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, form=FORM)
    shown = call_as(server, "ada", "show", run_id).stdout
    assert "\n    account: one of travel, other, required\n" in shown
    assert "\n    amount: number, at least 1, default 120\n" in shown
    data = '{"account": "home", "amount": 0}'
    done = call_as(server, "ada", "resume", run_id, "--data", data)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "jupyter pdflow: The answer does not match the form; the run still waits.",
        "  account: Choose one of: travel, other.",
        "  amount: Must be at least 1.",
    ]
    done = call_as(server, "ada", "resume", run_id, "--data", '{"account": "travel"}')
    assert (done.returncode, done.stdout) == (0, f"Run {run_id} is resumed.\n")
    run = server.wait_run(run_id, "succeeded")
    assert run["steps"][1]["exports"]["$return_value"] == {"account": "travel", "amount": 120}


def test_a_rejection_ends_the_run(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, approvers=["ada", "bob"], required=2)
    done = call_as(server, "bob", "reject", run_id, "--note", "too expensive")
    assert (done.returncode, done.stdout) == (0, f"Run {run_id} is rejected and canceled.\n")
    shown = call_as(server, "ada", "show", run_id).stdout
    assert "ask: rejected by bob from the command line at " in shown
    assert ": too expensive\n" in shown


def test_a_rejection_can_let_the_run_continue(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, on_reject="resume")
    done = call_as(server, "bob", "reject", run_id)
    assert (done.returncode, done.stdout) == (0, f"Run {run_id} is rejected and continues.\n")
    server.wait_run(run_id, "succeeded")


def test_nothing_is_rejected_twice(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow)
    assert call(server, "reject", run_id).returncode == 0
    done = call(server, "reject", run_id)
    assert done.returncode == 2
    assert "only a paused run can be resumed" in done.stderr


def test_emails_that_can_not_be_sent_are_shown(server: JupyterServer, workflow: Any) -> None:
    run_id = asking(server, workflow, approvers=[GONE, "ada"])
    wait_until(lambda: server.get_run(run_id)["pause"]["undelivered"], "the email has failed")
    text = f"the email to {GONE} can't be sent: "
    assert text in call_as(server, "ada", "show", run_id).stdout
    assert text in call_as(server, "ada", "inbox").stdout


def test_run_shows_what_is_asked(server: JupyterServer) -> None:
    write_notebook(server.root / "asked.ipynb", [ASK, TELL])
    event = json.dumps({"approvers": ["ada"]})
    with started(server, "run", "asked.ipynb", "--event", event) as command:
        run_id = command.find(RUN_ID.pattern)
        command.find("(to be approved by ada)\n")
        assert call_as(server, "ada", "resume", run_id).returncode == 0
        assert command.wait() == 0
    assert "  Pay **120 EUR**?\n\n  For the train.\n" in command.text
    assert "resume: " not in command.text
