"""The page ``/pdflow/inbox`` of a real server: what it lists for whom, and what its forms decide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.engine.support import Inbox, smtp_server
from tests.identity import ENVIRONMENT
from tests.server.asking import (
    APPROVERS,
    ARGUMENTS,
    FORM,
    Form,
    answer_body,
    asking,
    exports,
    invalid_fields,
    signed_in,
)
from tests.server.links.test_links import BROWSER
from tests.servers import JupyterServer, wait_until

INBOX = "/pdflow/inbox"
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
AUTHORIZER = """
from jupyter_server.auth import Authorizer

class Roles(Authorizer):
    async def is_authorized(self, handler, user, action, resource):
        return action == "read" or user.username != "reader"
"""
FIRST = """%%step first
def handler(pd):
    pd.flow.suspend(message="First?")
"""
SECOND = """%%step second
def handler(pd):
    pd.flow.suspend(message="Second?")
"""
RERUN = """%%step again
def handler(pd):
    if "callback_request" in pd.context.run:
        pd.flow.suspend(message="Again?")
    else:
        pd.flow.rerun(1_000_000)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("inbox")
    (folder / "roles.py").write_text(AUTHORIZER)
    env = {"PYTHONPATH": f"{folder}:{ENVIRONMENT['PYTHONPATH']}"}
    arguments = [*ARGUMENTS, "--ServerApp.authorizer_class=roles.Roles"]
    with JupyterServer(folder / "server", arguments, env=env) as running:
        yield running


@pytest.fixture
def ada(server: JupyterServer) -> Iterator[httpx.Client]:
    with signed_in(server, "ada") as client:
        yield client


@pytest.fixture(autouse=True)
def no_other_runs(server: JupyterServer) -> Iterator[None]:
    """Cancel the runs that a test leaves, so that inboxes are empty."""
    yield
    for run in server.api("GET", "/runs?status=paused").json():
        server.api("POST", f"/runs/{run['id']}/cancel", {})


def text_of(html: str) -> str:
    body = re.sub(r"<(style|script|title)[^>]*>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def post(client: httpx.Client, path: str, fields: Any) -> httpx.Response:
    return client.post(path, content=urlencode(fields, doseq=True), headers=FORM_TYPE)


def press(
    client: httpx.Client, fields: Any, button: str = "Approve", number: int = 0
) -> httpx.Response:
    """Open the inbox, and press a button of one of its forms."""
    form = Form(client.get(INBOX).text, number)
    to = form.to(button)
    assert to is not None
    return post(client, to, {**form.fields, **fields})


def followed(client: httpx.Client, answer: httpx.Response) -> str:
    """Follow the redirect of a form as a browser does; return the text of the page."""
    assert answer.status_code == 303
    return text_of(client.get(answer.headers["Location"]).text)


def status(server: JupyterServer, run: Any) -> str:
    return str(server.get_run(run["id"])["status"])


# --- what it lists ------------------------------------------------------------------------


def test_an_item_shows_what_is_asked(server: JupyterServer, ada: httpx.Client) -> None:
    run = asking(server, f"message='Buy *seven* crates?', form={FORM!r}, {APPROVERS}")
    answer = ada.get(INBOX)
    assert answer.status_code == 200
    text = text_of(answer.text)
    for part in (
        "Signed in as ada .",
        "Order 7",
        "Workflow order, step ask",
        "Buy seven crates?",
        "ada, bob@example.org or the group finance; 2 of them have to approve",
        run["pause"]["deadline"][:10],
        "Without an answer by then, the workflow is canceled.",
        "How many",
        "Note (optional)",
        "Approve",
        "Reject",
        "A rejection ends the workflow.",
    ):
        assert part in text
    assert "<em>seven</em>" in answer.text


def test_a_page_has_its_own_script_and_style_only(server: JupyterServer, ada: httpx.Client) -> None:
    evil = "<script>alert(1)</script> [x](javascript:alert(1))"
    asking(server, f"message={evil!r}", evil)
    answer = ada.get(INBOX)
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.text.count("<script") == 1
    assert 'href="javascript' not in answer.text
    assert not re.search(r"\son\w+=|\sstyle=", answer.text)
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_empty_inbox_says_so(ada: httpx.Client) -> None:
    assert "Nothing waits for you." in text_of(ada.get(INBOX).text)


@pytest.mark.parametrize(
    ("person", "sees"),
    [
        (("ada",), True),
        (("ADA@example.org",), True),
        (("bob@example.org",), True),
        (("cyd",), True),
        (("dan", "finance"), True),
        (("dan", "sales"), False),
        (("bob",), False),
    ],
)
def test_a_stranger_sees_nothing(
    server: JupyterServer, person: tuple[str, ...], sees: bool
) -> None:
    asking(server, f"message='Pay?', {APPROVERS}")
    with signed_in(server, *person) as client:
        text = text_of(client.get(INBOX).text)
    assert ("Pay?" in text) is sees
    assert ("Nothing waits for you." in text) is not sees


def test_what_is_asked_of_nobody_waits_for_everyone(server: JupyterServer) -> None:
    asking(server, "message='Go?'")
    with signed_in(server, "eve") as client:
        text = text_of(client.get(INBOX).text)
    assert "Go?" in text
    assert "Everyone who may execute here" in text


def test_a_pause_that_asks_nothing_is_resumed_or_canceled(server: JupyterServer) -> None:
    run = asking(server, "")
    with signed_in(server, "eve") as client:
        text = followed(client, press(client, {}, "Resume the workflow"))
    assert "Resumed by eve. Workflow “order” continues from step “ask”." in text
    assert answer_body(server, run) is None


def test_a_server_that_knows_no_names_says_so(tmp_path: Path) -> None:
    with JupyterServer(tmp_path) as plain:
        asking(plain, 'message="Pay?", approvers=["ada"]')
        asking(plain, 'message="Go?"')
        with plain.client(headers=BROWSER, follow_redirects=True) as client:
            text = text_of(client.get(f"{INBOX}?token={plain.token}").text)
            assert "This server does not know who you are" in text
            assert "Go?" in text
            assert "Pay?" not in text
            # Now signed in by the cookie, as the token is not in the forms' addresses.
            assert "Approved." in text_of(press(client, {}).text)


@pytest.fixture
def smtp() -> Iterator[Controller]:
    """Run an SMTP server that refuses bob."""
    inbox = Inbox()
    inbox.refusals["bob@example.org"] = ["550 No such user"]
    controller = smtp_server(inbox)
    controller.start()
    yield controller
    controller.stop()


def test_emails_that_can_not_be_sent_are_named(tmp_path: Path, smtp: Controller) -> None:
    arguments = [*ARGUMENTS, f"--PDFlow.smtp_url=smtp://127.0.0.1:{smtp.port}"]
    with JupyterServer(tmp_path, arguments, env=ENVIRONMENT) as mailing:
        run = asking(mailing, f"message='Pay?', {APPROVERS}")
        with signed_in(mailing, "ada") as client:

            def named() -> str | None:
                text = text_of(client.get(INBOX).text)
                return text if "Not told" in text else None

            text = wait_until(named, "the inbox names the email")
        # What a mail server says is nothing for everyone who has a link.
        shown = text_of(mailing.http.get(run["pause"]["resume_url"], headers=BROWSER).text)
        assert "Pay?" in shown
        assert "No such user" not in shown
    assert re.search(r"The email to bob@example\.org can.t be sent: .*No such user", text)


# --- who may come in ----------------------------------------------------------------------


def test_someone_who_is_not_signed_in_is_led_to_the_login(server: JupyterServer) -> None:
    run = asking(server, "message='Go?'")
    answer = server.http.get(INBOX, headers=BROWSER)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login?next=%2Fpdflow%2Finbox"
    query = urlencode({"run_id": run["id"], "step": "ask", "execution": 1, "decision": "approve"})
    assert server.http.post(f"{INBOX}?{query}", headers=BROWSER).status_code == 403
    assert status(server, run) == "paused"


def test_a_user_without_the_right_is_refused(server: JupyterServer) -> None:
    run = asking(server, "message='Secret?'")
    with signed_in(server, "reader") as client:
        answer = client.get(INBOX)
        assert answer.status_code == 403
        assert "Secret?" not in answer.text
        assert "<h1>Not possible</h1>" in answer.text
        query = urlencode(
            {"run_id": run["id"], "step": "ask", "execution": 1, "decision": "approve"}
        )
        with server.client() as stranger:
            stranger.get("/login")
            client.cookies.set("_xsrf", stranger.cookies["_xsrf"])
        fields = {"_xsrf": client.cookies["_xsrf"]}
        assert post(client, f"{INBOX}?{query}", fields).status_code == 403
    assert status(server, run) == "paused"


@pytest.mark.parametrize("given", [{}, {"_xsrf": "2|00000000|0|0"}, {"_xsrf": ""}])
def test_a_form_of_another_site_decides_nothing(
    server: JupyterServer, ada: httpx.Client, given: dict[str, str]
) -> None:
    run = asking(server, "message='Go?'")
    form = Form(ada.get(INBOX).text)
    assert set(form.fields) == {"_xsrf"}
    to = form.to("Approve")
    assert to is not None
    answer = post(ada, to, given)
    assert answer.status_code == 403
    assert "<h1>Not possible</h1>" in answer.text
    assert status(server, run) == "paused"
    # What is refused is the missing value: with it, the same request decides.
    assert post(ada, to, form.fields).status_code == 303


def test_a_foreign_origin_is_refused(server: JupyterServer, ada: httpx.Client) -> None:
    run = asking(server, "message='Go?'")
    form = Form(ada.get(INBOX).text)
    to = form.to("Approve")
    assert to is not None
    for origin in ("https://elsewhere.example", "null"):
        headers = {**FORM_TYPE, "Origin": origin}
        answer = ada.post(to, content=urlencode(form.fields), headers=headers)
        assert answer.status_code == 404
    assert status(server, run) == "paused"


# --- decisions ----------------------------------------------------------------------------


def test_an_approval_is_counted_then_decides(server: JupyterServer, ada: httpx.Client) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    text = followed(ada, press(ada, {"note": "fine"}))
    assert "Your approval is counted; one more has to approve." in text
    assert "Nothing waits for you." in text
    with signed_in(server, "cyd") as cyd:
        shown = text_of(cyd.get(INBOX).text)
        assert re.search(r"Approved so far ada , 20\S+ \S+ UTC fine", shown)
        text = followed(cyd, press(cyd, {}))
    assert "Approved by ada and cyd. Workflow “order” continues from step “ask”." in text
    by = exports(server, run)["$decision"]["by"]
    assert [(each["name"], each["via"], each["verified"], each["note"]) for each in by] == [
        ("ada", "jupyter", True, "fine"),
        ("cyd", "jupyter", True, None),
    ]


def test_a_rejection_ends_the_run(server: JupyterServer, ada: httpx.Client) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    text = followed(ada, press(ada, {"note": "no"}, "Reject"))
    assert "Rejected by ada. Workflow “order” ends at step “ask”." in text
    ended = server.wait_run(run["id"], "canceled")
    assert (ended["decisions"][0]["outcome"], ended["reason"]) == ("rejected", "no")


def test_the_answer_has_exactly_the_fields_of_the_form(
    server: JupyterServer, ada: httpx.Client
) -> None:
    run = asking(server, f"form={FORM!r}")
    fields = {"count": "3", "kind": "large", "tags": ["a", "c"], "note": "ok", "more": "x"}
    assert press(ada, fields).status_code == 303
    assert answer_body(server, run) == {
        "count": 3,
        "kind": "large",
        "tags": ["a", "c"],
        "urgent": False,
    }
    request = exports(server, run)["$resume_data"]
    assert request["query"] == {}
    assert "?" not in request["url"]
    assert request["headers"] == {"content-type": "application/x-www-form-urlencoded"}


def test_fields_may_have_the_names_that_the_page_uses(
    server: JupyterServer, ada: httpx.Client
) -> None:
    names = ["note", "run_id", "step", "execution", "decision"]
    form = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    run = asking(server, f"form={form!r}")
    values = dict.fromkeys(names, "reject")
    assert press(ada, values).status_code == 303
    assert answer_body(server, run) == values
    assert exports(server, run)["$decision"]["by"][0]["note"] is None


def test_a_form_may_be_sent_empty(server: JupyterServer, ada: httpx.Client) -> None:
    form = {"type": "object", "properties": {"go": {"type": "boolean"}}, "required": ["go"]}
    run = asking(server, f"form={form!r}")
    assert press(ada, {}).status_code == 303
    assert answer_body(server, run) == {"go": False}


def test_an_invalid_answer_is_shown_again(server: JupyterServer, ada: httpx.Client) -> None:
    run = asking(server, f"form={FORM!r}", "The one")
    asking(server, f"form={FORM!r}", "Another")
    answer = press(ada, {"count": "10", "why": "no", "note": "so far"}, number=1)
    assert answer.status_code == 422
    assert invalid_fields(answer.text) == {
        "count": "Must be at most 9.",
        "why": "Must have at least 3 characters.",
    }
    other, form = Form(answer.text, 0).html, Form(answer.text, 1).html
    assert "aria-invalid" not in other
    assert re.search(r'name="count" value="10"', form)
    assert re.search(r'name="note"[^>]*>\nso far</textarea>', form)
    assert answer.text.count(" autofocus") == 1
    ids = re.findall(r'\bid="([^"]*)"', answer.text)
    assert len(ids) == len(set(ids))
    assert status(server, run) == "paused"


def test_a_page_of_an_old_execution_decides_no_later_pause(
    server: JupyterServer, ada: httpx.Client
) -> None:
    run = server.run(server.deploy("twice", [FIRST, SECOND]))
    server.wait_run(run["id"], "paused")
    old = Form(ada.get(INBOX).text)
    to = old.to("Approve")
    assert to is not None
    assert "Approved by ada." in followed(ada, press(ada, {}))
    wait_until(lambda: "Second?" in ada.get(INBOX).text, "the second step asks")
    later = server.get_run(run["id"])

    answer = post(ada, to, old.fields)
    assert answer.status_code == 410
    assert "Step “first” of workflow “twice” was already approved by ada." in text_of(answer.text)
    assert "Second?" in answer.text
    assert server.get_run(run["id"]) == later


def test_a_form_that_names_an_earlier_execution_decides_nothing(
    server: JupyterServer, ada: httpx.Client
) -> None:
    run = server.run(server.deploy("rerun", [RERUN]))
    paused = server.wait_run(run["id"], "paused")
    server.http.post(paused["pause"]["resume_url"])
    wait_until(lambda: "Again?" in ada.get(INBOX).text, "the second execution asks")
    later = server.get_run(run["id"])
    form = Form(ada.get(INBOX).text)
    to = form.to("Approve")
    assert to is not None
    assert "execution=2" in to
    assert post(ada, to.replace("execution=2", "execution=1"), form.fields).status_code == 410
    assert server.get_run(run["id"]) == later


def test_what_can_not_be_decided_is_said_in_words(server: JupyterServer, ada: httpx.Client) -> None:
    run = asking(server, "message='Pay?', approvers=['bob@example.org']")
    ada.get(INBOX)
    fields = {"_xsrf": ada.cookies["_xsrf"]}
    named = {"run_id": run["id"], "step": "ask", "execution": "1", "decision": "approve"}

    def send(**changes: str) -> tuple[int, str]:
        answer = post(ada, f"{INBOX}?{urlencode({**named, **changes})}", fields)
        return answer.status_code, text_of(answer.text)

    code, text = send()
    assert code == 403
    assert "Only bob@example.org can decide this; not ada." in text
    code, text = send(run_id="0" * 26)
    assert code == 404
    code, text = send(decision="perhaps")
    assert code == 400
    assert "decision must be one of approve, reject, not 'perhaps'." in text
    for changes in ({"execution": "one"}, {"run_id": "../x"}, {"step": ""}):
        assert send(**changes)[0] == 400
    assert server.get_run(run["id"])["pause"] == run["pause"]


def test_the_address_after_a_decision_tells_no_more_than_is_so(
    server: JupyterServer, ada: httpx.Client
) -> None:
    run = asking(server, "message='Go?'")
    for run_id in (run["id"], "0" * 26):
        named = {"run_id": run_id, "step": "ask", "execution": 1}
        answer = ada.get(f"{INBOX}?{urlencode(named)}")
        assert answer.status_code == 200
        assert 'role="status"' not in answer.text


def test_a_server_without_the_data_says_so(server: JupyterServer, tmp_path: Path) -> None:
    second = JupyterServer(tmp_path, ARGUMENTS, env=ENVIRONMENT, data_dir=server.data_dir)
    with second, signed_in(second, "ada") as client:
        answer = client.get(INBOX)
        assert answer.status_code == 503
        assert "<h1>Not possible right now</h1>" in answer.text
        assert server.url in text_of(answer.text)


def test_a_trait_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    arguments = [*ARGUMENTS, "--PDFlow.smtp_url=http://mail.example"]
    with JupyterServer(tmp_path, arguments, env=ENVIRONMENT) as wrong:
        with signed_in(wrong, "ada") as client:
            answer = client.get(INBOX)
        assert answer.status_code == 503
        assert "PDFlow.smtp_url has to be" in text_of(answer.text)
