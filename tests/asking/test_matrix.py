"""Each way to decide under each condition, on both stores: nobody else decides, by no path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path as FilePath
from typing import Any
from uuid import uuid4

import pytest

from jupyter_pdflow.stores.postgres.migrate import migrate
from tests.asking.paths import (
    ADA,
    BARE,
    BOB,
    GROUPS,
    PATHS,
    PEOPLE,
    PERSONAL,
    SIGNED_IN,
    Path,
    Pause,
)
from tests.cluster import DATABASE
from tests.engine.support import Inbox, smtp_server
from tests.identity import ARGUMENTS, ENVIRONMENT
from tests.postgres import PostgresServer
from tests.servers import JupyterServer, wait_until
from tests.stores.postgres.conftest import postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.server

ASK = """%%step ask
def handler(pd):
    import os, time
    event = pd.steps.trigger.event
    urls = pd.flow.suspend(**event["ask"])
    pd.export("urls", [urls["resume_url"], urls["cancel_url"]])
    if "started" in event:
        with open(event["started"], "w") as file:
            file.write(" ".join(urls.values()))
        while not os.path.exists(event["go"]):
            time.sleep(0.02)
"""
DONE = "%%step done\ndef handler(pd):\n    return pd.steps['ask']['$decision']['outcome']\n"
FORM = {
    "type": "object",
    "properties": {"drop": {"type": "integer", "minimum": 1}, "why": {"type": "string"}},
    "required": ["drop"],
}
LATE = {409, 410, 303, 400}
"""What a path answers of a pause that is decided; the CLI's answers are 400."""


class Asking:
    """A server, its mail, and the workflow that asks."""

    def __init__(self, server: JupyterServer, inbox: Inbox) -> None:
        self.server = server
        self.inbox = inbox
        self.workflow = server.deploy("ask", ("%load_ext jupyter_pdflow", ASK, DONE))

    def paused(self, **ask: Any) -> Pause:
        """Start a run that asks, and return its pause with the links of its emails."""
        marker = uuid4().hex
        ask = {"timeout": 3_600_000, "message": f"Ship {marker}?", **ask}
        run_id = self.server.run(self.workflow, {"ask": ask})["id"]
        run = self.server.wait_run(run_id, "paused")
        pause = Pause(self.server, run_id, tuple(run["steps"][0]["exports"]["urls"]))
        asked = [one for one in ask.get("approvers", ()) if "@" in one]
        asked += [ADA] * ("group:finance" in ask.get("approvers", ()))
        for address in asked:
            pause.personal[address] = self.links_for(address, marker)
        return pause

    def links_for(self, address: str, marker: str) -> tuple[str, str]:
        def found() -> EmailMessage | None:
            emails = [each for each in list(self.inbox.emails) if marker in _text(each)]
            return next((each for each in emails if each["To"] == address), None)

        text = _text(wait_until(found, f"the email to {address}"))
        (resume,) = re.findall(r"http\S+/pdflow/resume/\S+", text)
        (cancel,) = re.findall(r"http\S+/pdflow/cancel/\S+", text)
        return resume, cancel


def _text(email: EmailMessage) -> str:
    body = email.get_body(("plain",))
    return "" if body is None else str(body.get_content())


@pytest.fixture(scope="module", params=["tinydb", "postgresql"])
def asking(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asking]:
    inbox = Inbox()
    smtp = smtp_server(inbox)
    smtp.start()
    arguments = [
        *ARGUMENTS,
        f"--PDFlow.smtp_url=smtp://127.0.0.1:{smtp.port}",
        f"--PDFlow.people={PEOPLE}",
        f"--PDFlow.groups={GROUPS}",
    ]
    environment = dict(ENVIRONMENT)
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        environment[DATABASE] = server.database()
        migrate(environment[DATABASE], "http://127.0.0.1:9")
    made = JupyterServer(tmp_path_factory.mktemp("asking"), arguments, env=environment)
    if request.param == "postgresql":
        made.args.append(f"--PDFlow.public_url={made.url}/")
    try:
        with made:
            yield Asking(made, inbox)
    finally:
        smtp.stop()


def decision_of(pause: Pause) -> Any:
    (decision,) = pause.run["decisions"]
    return decision


def check_decided(pause: Pause, path: Path, outcome: str) -> None:
    """Check what is known afterwards: who, how, and what the next step sees."""
    run = pause.server.wait_run(pause.run_id, "canceled" if outcome == "rejected" else "succeeded")
    decision = decision_of(pause)
    assert decision["outcome"] == outcome
    last = decision["by"][-1]
    assert (last["via"], last["name"]) == (path.via, path.person)
    assert last["verified"] == (path.person not in (None, ADA))
    assert run["steps"][0]["exports"]["$decision"] == decision


EVERYONE = pytest.mark.parametrize("path", PATHS, ids=str)
PEOPLE_ONLY = pytest.mark.parametrize("path", PERSONAL + SIGNED_IN, ids=str)
ASKED = [ADA, "operator"]
"""One of them sends by each path: ada is one person with ada@example.org."""


# --- without approvers -----------------------------------------------------------------


@pytest.mark.parametrize("path", BARE + SIGNED_IN, ids=str)
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_open(asking: Asking, path: Path, decision: Any) -> None:
    pause = asking.paused()
    assert path.act(pause, decision, None, None).status in (200, 303)
    check_decided(pause, path, "resumed" if decision == "approve" else "rejected")


@pytest.mark.parametrize("path", BARE + SIGNED_IN, ids=str)
def test_an_invalid_answer_keeps_the_pause(asking: Asking, path: Path) -> None:
    pause = asking.paused(form=FORM)
    for wrong in ({}, {"drop": "many"}, {"drop": "0"}):
        result = path.act(pause, "approve", wrong, None)
        assert result.status in (422, 400), result.text
        assert pause.run["status"] == "paused"
        assert pause.run["decisions"] == []
    assert path.act(pause, "approve", {"drop": "7", "why": ""}, None).status in (200, 303)
    run = pause.server.wait_run(pause.run_id, "succeeded")
    assert run["steps"][0]["exports"]["$resume_data"]["body"] == {"drop": 7}


@pytest.mark.parametrize("path", [path for path in BARE if "query" not in path.name], ids=str)
def test_an_answer_in_the_link_is_one_of_all_shapes(asking: Asking, path: Path) -> None:
    pause = asking.paused(form=FORM)
    pause.urls = (f"{pause.urls[0]}?drop=7", pause.urls[1])
    if "page" in path.name:
        page = pause.server.http.get(pause.urls[0], headers={"Sec-Fetch-Mode": "navigate"})
        assert 'value="7"' in page.text
        answer = {"drop": "7"}
    else:
        answer = None
    assert path.act(pause, "approve", answer, None).status == 200
    run = pause.server.wait_run(pause.run_id, "succeeded")
    assert run["steps"][0]["exports"]["$resume_data"]["body"] == {"drop": 7}


# --- with approvers ---------------------------------------------------------------------


@PEOPLE_ONLY
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_an_approver(asking: Asking, path: Path, decision: Any) -> None:
    pause = asking.paused(approvers=ASKED)
    noted = None if "query" in path.name else "looks fine"
    assert path.act(pause, decision, None, noted).status in (200, 303)
    check_decided(pause, path, "approved" if decision == "approve" else "rejected")
    assert decision_of(pause)["by"][-1]["note"] == noted


@EVERYONE
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_stranger(asking: Asking, path: Path, decision: Any) -> None:
    pause = asking.paused(approvers=[BOB])
    if path.person == ADA:  # a link of hers, for another pause, in the place of bob's
        pause.personal[ADA] = asking.paused(approvers=[ADA]).personal[ADA]
    result = path.act(pause, decision, None, None)
    if path.person != ADA:
        assert result.status in (403, 400), result.text
        assert BOB in result.text
    run = pause.run
    assert (run["status"], run["decisions"], run["pause"]["approvals"]) == ("paused", [], [])


@pytest.mark.parametrize("path", BARE, ids=str)
def test_links_of_the_step_decide_nothing(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=ASKED)
    result = path.act(pause, "approve", None, None)
    assert result.status == 403
    if "page" not in path.name:
        assert result.json["reason"] == "approvers_only"
    elif "without" in path.name:
        assert "/pdflow/inbox" in result.text
    assert pause.run["status"] == "paused"


@PEOPLE_ONLY
def test_a_group(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=["group:finance"])
    result = path.act(pause, "approve", None, None)
    if path.person == "operator":
        assert result.status in (403, 400)
        assert pause.run["status"] == "paused"
        return
    assert result.status in (200, 303)
    check_decided(pause, path, "approved")


@PEOPLE_ONLY
def test_a_quorum(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=[*ASKED, BOB], required=2)
    result = path.act(pause, "approve", None, None)
    assert result.status in (200, 303)
    if path in PERSONAL and "page" not in path.name:
        assert result.json == {"status": "counted", "missing": 1}
    assert pause.run["status"] == "paused"
    again = path.act(pause, "approve", None, None)
    assert again.status in {410, 303, 400}, again.text
    run = pause.run
    assert [each["name"] for each in run["pause"]["approvals"]] == [path.person]
    # By another way of the same person, too.
    other = {"ada": PERSONAL[0], ADA: SIGNED_IN[0]}.get(str(path.person))
    if other is not None:
        assert other.act(pause, "approve", None, None).status == 410
        assert other.act(pause, "reject", None, None).status == 410
    assert pause.run["status"] == "paused"
    pause.server.http.post(pause.personal[BOB][0]).raise_for_status()
    pause.server.wait_run(pause.run_id, "succeeded")
    assert [each["name"] for each in decision_of(pause)["by"]] == [path.person, BOB]


@PEOPLE_ONLY
def test_one_rejection_decides(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=[*ASKED, BOB], required=2)
    pause.server.http.post(pause.personal[BOB][0]).raise_for_status()
    assert path.act(pause, "reject", None, None).status in (200, 303)
    check_decided(pause, path, "rejected")


@PEOPLE_ONLY
def test_an_approver_with_an_invalid_answer(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=ASKED, form=FORM)
    assert path.act(pause, "approve", {"drop": "many"}, None).status in (422, 400)
    assert pause.run["pause"]["approvals"] == []
    assert path.act(pause, "approve", {"drop": "7"}, None).status in (200, 303)
    check_decided(pause, path, "approved")


@EVERYONE
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_decided(asking: Asking, path: Path, decision: Any) -> None:
    pause = asking.paused(approvers=[ADA, BOB, "operator"])
    pause.server.http.post(pause.personal[BOB][0]).raise_for_status()
    before = pause.server.wait_run(pause.run_id, "succeeded")
    assert path.act(pause, decision, None, None).status in LATE
    assert pause.run == before


@EVERYONE
def test_expired(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=ASKED, timeout=1_500)
    pause.server.wait_run(pause.run_id, "canceled")
    assert path.act(pause, "approve", None, None).status in LATE
    decision = decision_of(pause)
    assert (decision["outcome"], [each["via"] for each in decision["by"]]) == (
        "timed_out",
        ["timer"],
    )


# --- early, restarted, and what everybody sees ------------------------------------------


@pytest.mark.parametrize("path", BARE, ids=str)
@pytest.mark.parametrize(
    "case",
    [
        ({}, None, True),
        ({"form": FORM}, {"drop": "7"}, True),
        ({"form": FORM}, {"drop": "many"}, False),
        ({"approvers": [BOB]}, None, False),
    ],
)
def test_early(asking: Asking, path: Path, case: tuple[Any, Any, bool], tmp_path: FilePath) -> None:
    ask, answer, counts = case
    started, go = tmp_path / "started", tmp_path / "go"
    event = {"ask": ask, "started": str(started), "go": str(go)}
    run_id = asking.server.run(asking.workflow, event)["id"]
    urls = wait_until(
        lambda: started.exists() and started.read_text().split(), "the step has its links"
    )
    pause = Pause(asking.server, run_id, (urls[0], urls[1]))
    assert path.act(pause, "approve", answer, None).status == 202
    go.touch()
    run = asking.server.wait_run(run_id, "succeeded" if counts else "paused")
    history = asking.server.api("GET", f"/runs/{run_id}/history").json()
    assert ("drop" in [each["event"] for each in history]) == (not counts)
    assert bool(run["decisions"]) == counts


@PEOPLE_ONLY
def test_restarted_in_between(asking: Asking, path: Path) -> None:
    pause = asking.paused(approvers=[*ASKED, BOB], required=2)
    pause.server.http.post(pause.personal[BOB][0]).raise_for_status()
    asking.server.restart()
    assert [each["name"] for each in pause.run["pause"]["approvals"]] == [BOB]
    assert path.act(pause, "approve", None, None).status in (200, 303)
    check_decided(pause, path, "approved")


@pytest.mark.parametrize("route", ["resume", "reject"])
def test_a_button_decides_only_the_pause_that_was_seen(asking: Asking, route: str) -> None:
    pause = asking.paused()
    body = {"since": "2026-01-01T00:00:00.000Z"}
    refused = asking.server.api("POST", f"/runs/{pause.run_id}/{route}", body)
    assert (refused.status_code, refused.json()["reason"]) == (409, "not_paused")
    assert pause.run["status"] == "paused"
    body = {"since": pause.run["pause"]["since"]}
    answer = asking.server.api("POST", f"/runs/{pause.run_id}/{route}", body)
    assert answer.status_code == 200


def test_personal_links_are_shown_to_nobody(asking: Asking) -> None:
    pause = asking.paused(approvers=[ADA])
    token = pause.personal[ADA][0].rpartition("/")[2]
    for route in ("/mail", "/inbox", f"/runs/{pause.run_id}", f"/runs/{pause.run_id}/history"):
        answer = asking.server.api("GET", route)
        assert answer.status_code == 200
        assert token not in answer.text
    emails = asking.server.api("GET", "/mail").json()
    (email,) = [each for each in emails if each["run_id"] == pause.run_id]
    assert email["text"].count("[personal link]") == 2
    assert token not in asking.server.log()


def test_a_reminder_that_arrives_ends_the_note_about_an_email_that_did_not(asking: Asking) -> None:
    asking.inbox.refusals["late@example.org"] = ["550 No such user"]
    run_id = asking.server.run(
        asking.workflow, {"ask": {"approvers": ["late@example.org"], "remind": 2_000}}
    )["id"]

    def undelivered() -> Any:
        return asking.server.get_run(run_id)["pause"]["undelivered"]

    asking.server.wait_run(run_id, "paused")
    wait_until(undelivered, "the email has failed")
    wait_until(lambda: not undelivered(), "the reminder was sent")


def test_an_email_that_is_sent_again(asking: Asking) -> None:
    asking.inbox.refusals["again@example.org"] = ["550 No such user"] * 2
    run_id = asking.server.run(asking.workflow, {"ask": {"approvers": ["again@example.org"]}})["id"]

    def email() -> Any:
        emails = asking.server.api("GET", "/mail").json()
        return next((each for each in emails if each["run_id"] == run_id), None)

    for _ in range(2):
        failed = wait_until(lambda: (found := email()) and found["error"] and found, "it fails")
        assert asking.server.get_run(run_id)["pause"]["undelivered"] != {}
        assert asking.server.api("POST", f"/mail/{failed['id']}/retry").status_code == 200
    wait_until(lambda: email()["status"] == "sent", "it is sent")
    assert asking.server.get_run(run_id)["pause"]["undelivered"] == {}
