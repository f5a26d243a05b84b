"""Each example of Pipedream's page does in production what the page says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest

from tests.engine.support import Inbox, smtp_server
from tests.notebooks.service import Service
from tests.servers import JupyterServer, wait_until

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def running_service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def service(running_service: Service) -> Service:
    running_service.reset()
    return running_service


@pytest.fixture(scope="module")
def full_times(
    running_service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    """A server whose notebooks wait for the times of the page."""
    yield from _server(tmp_path_factory.mktemp("full_times"), _addresses(running_service))


@pytest.fixture(scope="module")
def short_times(
    running_service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    """A server whose notebooks wait for milliseconds."""
    times = {"DELAY_MS": "50", "TIMEOUT_MS": "200", "SUSPEND_MS": "200"}
    env = {**_addresses(running_service), **times}
    yield from _server(tmp_path_factory.mktemp("short_times"), env)


@pytest.fixture(scope="module")
def as_shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server that sets nothing for the notebooks, on a machine with a proxy."""
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    yield from _server(tmp_path_factory.mktemp("as_shipped"), proxy)


def _addresses(service: Service) -> dict[str, str]:
    return {
        "STATUS_URL": f"{service.url}/status",
        "CALLBACK_URL": f"{service.url}/jobs",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="module")
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture(scope="module")
def mailing(inbox: Inbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server that sends emails, and whose notebooks have short days."""
    smtp = smtp_server(inbox)
    smtp.start()
    args = [f"--PDFlow.smtp_url=smtp://127.0.0.1:{smtp.port}"]
    yield from _server(tmp_path_factory.mktemp("mailing"), {"DAY_MS": "2000"}, args)
    smtp.stop()


def _server(folder: Path, env: dict[str, str], args: Sequence[str] = ()) -> Iterator[JupyterServer]:
    server = JupyterServer(folder, args, env=env)
    shutil.copytree(NOTEBOOKS, server.root)
    with server:
        yield server


def start(server: JupyterServer, name: str, event: Any = None) -> Any:
    workflow = server.api("POST", "/workflows", {"path": f"{name}.ipynb"}).json()
    return server.run(workflow, event)


def send(url: str, method: str = "POST", **kw: Any) -> httpx.Response:
    return httpx.request(method, url, trust_env=False, **kw)


def step(run: Any, name: str) -> Any:
    return next(step for step in run["steps"] if step["name"] == name)


def returned(run: Any, name: str) -> Any:
    return step(run, name)["exports"]["$return_value"]


def waits_for(pause: Any, run: Any, time: timedelta) -> bool:
    left = datetime.fromisoformat(pause["deadline"]) - datetime.fromisoformat(run["created_at"])
    return time <= left < time + timedelta(minutes=1)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_valid_and_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].source.startswith("%load_ext jupyter_pdflow")
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_approval_emails_links_and_continues_when_resumed(full_times: JupyterServer) -> None:
    run = full_times.wait_run(start(full_times, "approval")["id"], "paused")
    pause = run["pause"]
    assert (pause["kind"], pause["step"]) == ("suspend", "ask")
    assert waits_for(pause, run, DAY)
    mail = next(m for m in full_times.api("GET", "/mail").json() if m["run_id"] == run["id"])
    assert mail["subject"] == "Please approve this important workflow"
    assert pause["resume_url"] in mail["text"]
    assert pause["cancel_url"] in mail["text"]
    answer = send(pause["resume_url"], json={"by": "Ada"})
    assert (answer.status_code, answer.json()["status"]) == (200, "resumed")
    run = full_times.wait_run(run["id"], "succeeded")
    assert step(run, "ask")["exports"]["$resume_data"]["method"] == "POST"
    assert returned(run, "publish") == {"approved": True, "body": {"by": "Ada"}}


def test_approval_is_canceled_by_its_cancel_url(full_times: JupyterServer) -> None:
    run = full_times.wait_run(start(full_times, "approval")["id"], "paused")
    assert send(run["pause"]["cancel_url"], "GET").json()["status"] == "canceled"
    run = full_times.wait_run(run["id"], "canceled")
    assert step(run, "publish")["status"] == "skipped"


def test_timeout_waits_seven_days_for_a_request(full_times: JupyterServer) -> None:
    run = full_times.wait_run(start(full_times, "timeout")["id"], "paused")
    assert waits_for(run["pause"], run, 7 * DAY)
    send(run["pause"]["resume_url"], "PUT", content="yes", headers={"Content-Type": "text/plain"})
    run = full_times.wait_run(run["id"], "succeeded")
    assert returned(run, "answer")["body"] == "yes"
    assert returned(run, "answer") == step(run, "code")["exports"]["$resume_data"]


def test_timeout_continues_without_a_request(short_times: JupyterServer) -> None:
    run = short_times.wait_run(start(short_times, "timeout")["id"], "succeeded")
    assert step(run, "code")["exports"]["$resume_data"] is None
    assert step(run, "answer")["exports"] == {}


def test_poll_ends_when_the_job_is_done(short_times: JupyterServer, service: Service) -> None:
    service.statuses = ["PENDING", "DONE"]
    run = short_times.wait_run(start(short_times, "poll")["id"], "succeeded")
    assert step(run, "poll")["runs"] == 3
    assert returned(run, "done") == {"status": "DONE"}


def test_poll_gives_up_after_its_retries(short_times: JupyterServer, service: Service) -> None:
    run = short_times.wait_run(start(short_times, "poll")["id"], "failed")
    assert step(run, "poll")["runs"] == 4
    assert "Max retries exceeded" in run["error"]["message"]
    assert step(run, "done")["status"] == "skipped"


def test_poll_waits_ten_seconds_or_for_a_request(
    full_times: JupyterServer, service: Service
) -> None:
    service.statuses = ["DONE"]
    run = full_times.wait_run(start(full_times, "poll")["id"], "paused")
    assert run["pause"]["kind"] == "rerun"
    assert waits_for(run["pause"], run, timedelta(seconds=10))
    send(run["pause"]["resume_url"])
    run = full_times.wait_run(run["id"], "succeeded")
    assert step(run, "poll")["runs"] == 2


def test_callback_reaches_the_step(full_times: JupyterServer, service: Service) -> None:
    run = full_times.wait_run(start(full_times, "callback")["id"], "paused")
    assert waits_for(run["pause"], run, DAY)
    (links,) = service.jobs
    assert links == {key: run["pause"][key] for key in ("resume_url", "cancel_url")}
    send(links["resume_url"], json={"result": 42})
    run = full_times.wait_run(run["id"], "succeeded")
    assert step(run, "job")["runs"] == 3
    assert returned(run, "result") == {"result": 42}


def test_callback_may_come_before_the_step_has_ended(
    full_times: JupyterServer, service: Service
) -> None:
    service.early_request = {"result": "early"}
    run = full_times.wait_run(start(full_times, "callback")["id"], "succeeded")
    assert service.early_answers == [202]
    assert returned(run, "result") == {"result": "early"}


def test_callback_that_never_comes_fails_the_run(
    short_times: JupyterServer, service: Service
) -> None:
    run = short_times.wait_run(start(short_times, "callback")["id"], "failed")
    wait_until(lambda: service.jobs, "the service was asked")
    assert step(run, "job")["runs"] == 2
    assert "External service never completed job" in run["error"]["message"]


def test_poll_works_as_shipped(as_shipped: JupyterServer) -> None:
    runs = [start(as_shipped, "poll") for _ in range(2)]
    for each in runs:
        run = as_shipped.wait_run(each["id"], "succeeded", timeout=60)
        assert step(run, "poll")["runs"] == 3
        assert returned(run, "done") == {"status": "DONE"}
    assert "running" not in printed(as_shipped, runs[0], "poll")


def test_callback_works_as_shipped(as_shipped: JupyterServer) -> None:
    run = as_shipped.wait_run(start(as_shipped, "callback")["id"], "succeeded")
    assert returned(run, "result") == {"result": 42}
    assert printed(as_shipped, run, "job") == ""


def printed(server: JupyterServer, run: Any, name: str) -> str:
    """Return the text that a step has written, warnings included."""
    notebook = server.api("GET", f"/runs/{run['id']}/notebook").json()
    cell = next(cell for cell in notebook["cells"] if f"%%step {name}" in "".join(cell["source"]))
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])


def test_context_is_passed_on_and_retries_are_counted(short_times: JupyterServer) -> None:
    run = short_times.wait_run(start(short_times, "context")["id"], "succeeded")
    assert returned(run, "hello") == {"hello": "world"}
    assert returned(run, "arguments") == {"runs": 3, "context": {"after": 2}}
    assert step(run, "max_retries")["runs"] == 2


# --- an expense -------------------------------------------------------------------------

ADA, BOB = "ada@example.org", "bob@example.org"
EXPENSE = {"who": "Grace", "what": "Train to Bern", "amount": 120}


class Expense:
    """A run of the example that asks for one expense, and the emails about it."""

    def __init__(self, server: JupyterServer, inbox: Inbox) -> None:
        inbox.emails.clear()
        self.server, self.inbox = server, inbox
        self.run = server.wait_run(start(server, "expenses", EXPENSE)["id"], "paused")

    def links(self, person: str, subject: str) -> dict[str, str]:
        """Wait for an email to a person, and return its links."""
        text = wait_until(lambda: self._text(person, subject), f"{subject} to {person}")
        return {name.lower(): url for name, url in re.findall(r"(?m)^(\w+): (http\S+)", text)}

    def _text(self, person: str, subject: str) -> str | None:
        for email in self.inbox.emails:
            body = email.get_body(("plain",))
            if email["To"] == person and str(email["Subject"]).startswith(subject) and body:
                return body.get_content()
        return None


def test_an_expense_is_approved_by_two_people(mailing: JupyterServer, inbox: Inbox) -> None:
    expense = Expense(mailing, inbox)
    assert (expense.run["title"], expense.run["pause"]["required"]) == ("Train to Bern", 2)
    adas = expense.links(ADA, "Please decide: Train to Bern")
    bobs = expense.links(BOB, "Please decide: Train to Bern")
    assert not {*adas.values()} & {*bobs.values(), expense.run["pause"]["resume_url"]}

    invalid = send(adas["approve"], json={"account": "holiday"})
    assert (invalid.status_code, invalid.json()["errors"][0]["field"]) == (422, "account")
    counted = send(adas["approve"], json={"account": "other"})
    assert counted.json() == {"status": "counted", "missing": 1}
    reminded = expense.links(BOB, "Reminder: Train to Bern")
    answer = {"account": "travel", "remark": "second class"}
    assert send(reminded["approve"], json=answer).json()["status"] == "resumed"

    run = mailing.wait_run(expense.run["id"], "succeeded")
    assert returned(run, "pay") == {**answer, "approved_by": [ADA, BOB]}
    decision = step(run, "ask")["exports"]["$decision"]
    assert decision["outcome"] == "approved"
    assert [by["via"] for by in decision["by"]] == ["link", "link"]
    reminders = [email for email in inbox.emails if email["Subject"].startswith("Reminder")]
    assert {email["To"] for email in reminders} == {BOB}


def test_one_rejection_ends_an_expense(mailing: JupyterServer, inbox: Inbox) -> None:
    expense = Expense(mailing, inbox)
    send(expense.links(ADA, "Please decide")["approve"], json={"account": "other"})
    rejected = send(expense.links(BOB, "Please decide")["reject"], json={"note": "too expensive"})
    assert rejected.status_code == 200
    run = mailing.wait_run(expense.run["id"], "canceled")
    assert run["decisions"][0]["outcome"] == "rejected"
    assert run["decisions"][0]["by"][0]["name"] == BOB
    assert step(run, "pay")["status"] == "skipped"


def test_the_links_of_an_expense_decide_nothing(full_times: JupyterServer) -> None:
    run = full_times.wait_run(start(full_times, "expenses", EXPENSE)["id"], "paused")
    assert waits_for(run["pause"], run, 7 * DAY)
    for link in (run["pause"]["resume_url"], run["pause"]["cancel_url"]):
        refused = send(link, json={"account": "travel"})
        assert (refused.status_code, refused.json()["reason"]) == (403, "approvers_only")
    assert full_times.get_run(run["id"])["status"] == "paused"


def test_an_expense_that_nobody_answers_is_canceled(mailing: JupyterServer, inbox: Inbox) -> None:
    expense = Expense(mailing, inbox)
    run = mailing.wait_run(expense.run["id"], "canceled", timeout=40)
    assert run["decisions"][0]["outcome"] == "timed_out"
    expense.links(ADA, "Reminder")
    expense.links(BOB, "Reminder")
