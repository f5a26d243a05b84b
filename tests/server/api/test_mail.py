"""Emails of production runs: a real Jupyter server and a real SMTP server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.support import Inbox, smtp_server
from tests.servers import STOP_SECONDS, JupyterServer, wait_until

ASK = """%%step ask
def handler(pd):
    urls = pd.flow.suspend()
    pd.send.email(
        subject="Please approve this important workflow",
        text=f"Approve: {urls['resume_url']}\\nCancel: {urls['cancel_url']}",
        html=f'<a href="{urls["resume_url"]}">Approve</a>',
    )
"""
ALERT = """%%step alert
def handler(pd):
    pd.send.email(subject="It broke", to=["a@example.org", "b@example.org"])
    raise ValueError("broken")
"""


TO = """%%step to
def handler(pd):
    pd.send.email("First", to="a@example.org")
    pd.send.email("Second", to=pd.steps["trigger"]["event"])
    pd.flow.suspend()
"""
BAD = ["bob@", ".@", " :@", "a,<@", "a@example.org\r\nBcc: b@example.org", ["a@example.org", "b@"]]


class ClickingInbox(Inbox):
    """Opens the first link of each email before it accepts the email."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        reply = await super().handle_DATA(server, session, envelope)
        link = re.search(r"http\S+/resume/\S+", text_of(self.emails[-1]))
        if link:
            async with httpx.AsyncClient(trust_env=False) as client:
                self.answers.append((await client.post(link[0])).status_code)
        return reply


def text_of(email: EmailMessage) -> str:
    body = email.get_body(("plain",))
    return body.get_content() if body else ""


@pytest.fixture(scope="module")
def inbox() -> ClickingInbox:
    return ClickingInbox()


@pytest.fixture(scope="module")
def server(inbox: ClickingInbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    smtp = smtp_server(inbox)
    smtp.start()
    arguments = [
        f"--PDFlow.smtp_url=smtp://127.0.0.1:{smtp.port}",
        "--PDFlow.mail_from=flows@example.org",
        "--PDFlow.mail_to=owner@example.org",
    ]
    with JupyterServer(tmp_path_factory.mktemp("mail"), arguments) as running:
        yield running
    smtp.stop()


def emails_of(server: JupyterServer, run_id: str) -> list[dict[str, Any]]:
    emails = server.api("GET", "/mail").json()
    return [email for email in emails if email["run_id"] == run_id]


def sent(server: JupyterServer, run_id: str) -> list[dict[str, Any]]:
    def all_sent() -> list[dict[str, Any]]:
        emails = emails_of(server, run_id)
        return emails if all(email["status"] == "sent" for email in emails) else []

    return wait_until(all_sent, "the emails are sent")


def test_a_link_works_when_its_email_arrives(server: JupyterServer, inbox: ClickingInbox) -> None:
    run = server.run(server.deploy("ask", [ASK]))
    server.wait_run(run["id"], "succeeded")
    assert wait_until(lambda: inbox.answers, "the link is opened") == [200]
    email = sent(server, run["id"])[0]
    assert (email["to"], email["step"], email["error"]) == (["owner@example.org"], "ask", None)
    assert email["subject"] == "Please approve this important workflow"
    assert email["html"].startswith("<a href=")
    assert server.api("GET", f"/mail/{email['id']}").json() == email


def test_a_failed_step_sends_its_emails(server: JupyterServer, inbox: Inbox) -> None:
    run = server.run(server.deploy("alert", [ALERT]))
    server.wait_run(run["id"], "failed")
    assert sent(server, run["id"])[0]["to"] == ["a@example.org", "b@example.org"]
    assert inbox.envelopes[-1][1] == ["a@example.org", "b@example.org"]


@pytest.mark.parametrize("to", BAD, ids=ascii)
def test_an_invalid_address_fails_its_step(server: JupyterServer, to: Any) -> None:
    run = server.run(server.deploy("to", [TO]), to)
    failed = server.wait_run(run["id"], "failed")
    assert failed["error"]["ename"] == "ValueError"
    wrong = to[-1] if isinstance(to, list) else to
    assert f"to: {wrong!r} is not an email address" in failed["error"]["evalue"]
    assert [email["subject"] for email in sent(server, run["id"])] == ["First"]


def test_a_refused_recipient_is_named(server: JupyterServer, inbox: Inbox) -> None:
    inbox.refusals = {"c@example.org": ["550 no such user"]}
    run = server.run(server.deploy("to", [TO]), ["a@example.org", "c@example.org"])
    server.wait_run(run["id"], "paused")

    def second() -> Any:
        emails = {email["subject"]: email for email in emails_of(server, run["id"])}
        return emails["Second"] if emails["Second"]["status"] != "queued" else None

    email = wait_until(second, "the second email is sent or failed")
    assert email["status"] == "failed"
    assert "c@example.org (550 no such user). The other recipients have it." in email["error"]


def test_an_unknown_email_is_not_found(server: JupyterServer) -> None:
    answer = server.api("GET", "/mail/nope")
    assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")


def test_emails_are_kept_as_files_without_an_smtp_server(tmp_path: Path) -> None:
    with JupyterServer(tmp_path) as server:
        run = server.wait_run(server.run(server.deploy("ask", [ASK]))["id"], "paused")
        wait_until(lambda: emails_of(server, run["id"])[0]["status"] == "kept", "it is kept")
        email = emails_of(server, run["id"])[0]
        assert email["to"] == []
        content = (server.data_dir / "mail" / f"{email['id']}.eml").read_text()
        assert "Please approve" in content
        link = re.search(r"http\S+/resume/\S+", email["text"])
        assert link
        assert link[0] == run["pause"]["resume_url"]


def test_the_email_of_a_paused_run_is_in_the_list(tmp_path: Path) -> None:
    with JupyterServer(tmp_path) as alone:
        workflow = alone.deploy("ask", [ASK])
        for _ in range(30):
            run_id = alone.run(workflow)["id"]
            while alone.get_run(run_id)["status"] != "paused":
                pass
            assert run_id in {email["run_id"] for email in alone.api("GET", "/mail").json()}


@pytest.mark.parametrize("smtp", [True, False], ids=["smtp", "files"])
def test_a_stored_email_with_an_invalid_address_fails_alone(tmp_path: Path, smtp: bool) -> None:
    arguments = ["--PDFlow.smtp_url=smtp://127.0.0.1:9"] if smtp else []
    with JupyterServer(tmp_path, arguments) as server:
        workflow = server.deploy("ask", [ASK.replace("html", "to='bob@example.org', html")])
        run, other = [server.wait_run(server.run(workflow)["id"], "paused") for _ in range(2)]
        server.stop()
        email_id = f"{run['id']}-1-0-0"
        for path in (server.data_dir / "mail").rglob(f"{email_id}.*"):
            path.unlink()  # it is in the run's outbox only
        outbox = server.data_dir / "active" / f"{run['id']}.jsonl"
        outbox.write_bytes(outbox.read_bytes().replace(b'"bob@example.org"', b'"bob@"'))
        for path in (server.data_dir / "mail" / "queued").glob(f"{other['id']}*"):
            path.write_bytes(path.read_bytes().replace(b'"bob@example.org"', b'".@"'))
        server.start()
        wait_until(lambda: emails_of(server, run["id"])[0]["status"] == "failed", "it has failed")
        assert "'bob@' is not an email address" in emails_of(server, run["id"])[0]["error"]
        assert emails_of(server, other["id"])[0]["status"] == ("failed" if smtp else "kept")
        assert server.http.post(other["pause"]["resume_url"]).status_code == 200
        assert server.api("POST", f"/runs/{run['id']}/cancel").status_code == 200
        server.wait_run(other["id"], "succeeded")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < STOP_SECONDS
