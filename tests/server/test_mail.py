"""`pd.send.email` from a production run: a real server, a real SMTP peer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.support import Inbox, smtp_server
from tests.servers import JupyterServer, wait_until

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


class ClickingInbox(Inbox):
    """Opens the first link of a mail before it even accepts it, as quick people do."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        reply = await super().handle_DATA(server, session, envelope)
        link = re.search(r"http\S+/resume/\S+", text_of(self.mails[-1]))
        if link:
            async with httpx.AsyncClient(trust_env=False) as client:
                self.answers.append((await client.post(link[0])).status_code)
        return reply


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
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


def mails_of(server: JupyterServer, run_id: str) -> list[dict[str, Any]]:
    mails = server.api("GET", "/mail").json()
    return [mail for mail in mails if mail["run_id"] == run_id]


def sent(server: JupyterServer, run_id: str) -> list[dict[str, Any]]:
    def all_sent() -> list[dict[str, Any]]:
        mails = mails_of(server, run_id)
        return mails if all(mail["status"] == "sent" for mail in mails) else []

    return wait_until(all_sent, "the mails are sent")


def test_a_link_works_when_its_mail_arrives(server: JupyterServer, inbox: ClickingInbox) -> None:
    run = server.run(server.deploy("ask", [ASK]))
    server.wait_run(run["id"], "succeeded")
    assert wait_until(lambda: inbox.answers, "the link is opened") == [200]
    mail = sent(server, run["id"])[0]
    assert (mail["to"], mail["step"], mail["error"]) == (["owner@example.org"], "ask", None)
    assert mail["subject"] == "Please approve this important workflow"
    assert mail["html"].startswith("<a href=")
    assert server.api("GET", f"/mail/{mail['id']}").json() == mail


def test_a_failing_step_sends_its_mails_too(server: JupyterServer, inbox: Inbox) -> None:
    run = server.run(server.deploy("alert", [ALERT]))
    server.wait_run(run["id"], "failed")
    assert sent(server, run["id"])[0]["to"] == ["a@example.org", "b@example.org"]
    assert inbox.envelopes[-1][1] == ["a@example.org", "b@example.org"]


def test_unknown_mail(server: JupyterServer) -> None:
    answer = server.api("GET", "/mail/nope")
    assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")


def test_without_smtp_mails_are_files(tmp_path: Path) -> None:
    with JupyterServer(tmp_path) as server:
        run = server.wait_run(server.run(server.deploy("ask", [ASK]))["id"], "paused")
        mail = mails_of(server, run["id"])[0]
        assert (mail["status"], mail["to"]) == ("kept", [])
        content = (server.data_dir / "mail" / f"{mail['id']}.eml").read_text()
        assert "Please approve" in content
        link = re.search(r"http\S+/resume/\S+", mail["text"])
        assert link
        assert link[0] == run["pause"]["resume_url"]


def test_a_run_that_is_seen_as_paused_has_its_mail_in_the_list(tmp_path: Path) -> None:
    with JupyterServer(tmp_path) as alone:
        workflow = alone.deploy("ask", [ASK])
        for _ in range(30):
            run_id = alone.run(workflow)["id"]
            while alone.get_run(run_id)["status"] != "paused":
                pass
            assert run_id in {mail["run_id"] for mail in alone.api("GET", "/mail").json()}
