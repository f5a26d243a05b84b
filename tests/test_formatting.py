"""How durations, runs, steps and pauses read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jupyter_pdflow import fallbacks, formatting, models
from jupyter_pdflow.formatting import format_duration
from jupyter_pdflow.models import PauseKind
from jupyter_pdflow.rules.events import Begin, Cancel, Resume
from jupyter_pdflow.rules.pauses import Actor, Ask
from jupyter_pdflow.rules.people import Person
from jupyter_pdflow.server.api.models import inbox_item, run_view
from jupyter_pdflow.stores import summary_of
from tests.rules.support import START, RunDriver, exit_run, failure, rerun, suspend

LINKS = ("http://h/pdflow/resume/key", "http://h/pdflow/cancel/key")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.12, "120 ms"),
        (1, "1 s"),
        (3.21, "3.2 s"),
        (60, "1 min"),
        (3599.9, "1 h"),
        (3662, "1 h 1 min 2 s"),
        (86_400, "1 day"),
        (2 * 86_400 + 10, "2 days 10 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show times in UTC, whatever the local time zone."""
    monkeypatch.setattr(
        formatting,
        "local_time",
        lambda text: f"{formatting.parse_time(text).astimezone(UTC):%Y-%m-%d %H:%M:%S %Z}",
    )


def view(driver: RunDriver) -> models.Run:
    return run_view(driver.run, lambda *_: LINKS, {})


def paused(kind: PauseKind) -> models.Pause:
    driver = RunDriver()
    driver.step(**suspend(ms=90_000))
    pause = view(driver).pause
    assert pause is not None
    return replace(pause, kind=kind)


@pytest.mark.parametrize(
    ("kind", "text", "left"),
    [
        ("suspend", "waits for an answer, until", "waits for an answer, 1 min 30 s left"),
        ("rerun", "runs again at a request, or at", "runs again at a request, or in 1 min 30 s"),
        ("delay", "continues at", "continues in 1 min 30 s"),
        ("retry", "is tried again at", "is tried again in 1 min 30 s"),
    ],
)
def test_what_a_run_waits_for(kind: PauseKind, text: str, left: str) -> None:
    pause = paused(kind)
    assert formatting.pause_text(pause) == f"{text} 2026-01-01 00:01:30 UTC"
    assert formatting.countdown_text(pause, START) == left
    late = formatting.countdown_text(pause, START + timedelta(days=1))
    assert late == left.replace("1 min 30 s", "0 ms")


def test_lines_of_what_has_changed() -> None:
    driver = RunDriver("a", "b")
    queued = view(driver)
    assert formatting.changed_lines(None, queued) == []
    driver.send(Begin())
    begun = view(driver)
    assert formatting.changed_lines(None, begun) == ["a: running"]
    assert formatting.changed_lines(queued, begun) == ["a: running"]
    assert formatting.changed_lines(begun, begun) == []
    driver.wait(1_500).send(driver.finished(**suspend()))
    waiting = view(driver)
    assert formatting.changed_lines(begun, waiting) == [
        "a: waits for an answer, until 2026-01-02 00:00:01 UTC",
        f"  resume: {LINKS[0]}",
        f"  cancel: {LINKS[1]}",
    ]
    driver.resume()
    assert formatting.changed_lines(waiting, view(driver)) == ["a: succeeded after 1.5 s"]


def test_links_of_later_reruns_are_not_shown() -> None:
    driver = RunDriver("poll")
    driver.step(**rerun(ms=1_000))
    first = view(driver)
    assert len(formatting.changed_lines(None, first)) == 3
    driver.time_out()
    driver.step(**rerun(ms=1_000))
    assert formatting.changed_lines(first, view(driver)) == [
        "poll (run 2): runs again at a request, or at 2026-01-01 00:00:02 UTC"
    ]


def test_links_that_the_server_has_hidden_are_not_shown() -> None:
    pause = replace(paused("suspend"), resume_url=None, cancel_url=None)
    assert formatting.link_lines(pause) == []


def test_the_last_line_of_a_run() -> None:
    driver = RunDriver("a")
    driver.step(took=1_500, **exit_run("nothing to do"))
    assert formatting.summary_line(view(driver)) == (
        "Run r succeeded (nothing to do): 1 credit, 1.5 s of computing, 0 ms paused."
    )


def test_the_state_of_runs() -> None:
    failed, canceled, waiting = RunDriver(), RunDriver(), RunDriver()
    failed.step(**failure())
    canceled.send(Cancel(by="api", reason="enough"))
    waiting.step(**suspend())
    assert formatting.run_state(view(failed)) == "failed: ValueError: boom"
    assert formatting.run_state(view(canceled)) == "canceled: enough"
    assert formatting.run_state(view(waiting)) == (
        "paused at step a: waits for an answer, until 2026-01-02 00:00:00 UTC"
    )
    assert formatting.run_state(view(RunDriver())) == "queued"
    assert formatting.traceback_text(view(failed)) == "ValueError: boom"
    assert formatting.traceback_text(view(canceled)) == ""


def test_the_time_that_a_step_took() -> None:
    driver = RunDriver()
    assert formatting.elapsed(view(driver).steps[0]) == timedelta()
    driver.send(Begin())
    running = view(driver).steps[0]
    assert formatting.elapsed(running, START + timedelta(seconds=3)) == timedelta(seconds=3)
    assert formatting.elapsed(running) > timedelta(seconds=3)
    assert formatting.step_state(running) == "running since 2026-01-01 00:00:00 UTC"


def test_fallbacks_of_a_run_and_a_step_have_no_links() -> None:
    driver = RunDriver("a", "b")
    driver.step(**suspend(), exports={"yes": LINKS[0], "n": 7})
    run = view(driver)
    for text, html in (fallbacks.run_fallback(run), fallbacks.step_fallback(run, "a")):
        assert "paused at step a" in text
        assert "yes" in html
        assert "key" not in text + html
    text, html = fallbacks.runs_fallback([run, run])
    assert text.count("paused at step a") == html.count("paused at step a") == 2
    assert fallbacks.runs_fallback([])[0] == fallbacks.NO_RUNS


def test_files_have_their_sizes() -> None:
    at = f"{datetime(2026, 1, 1, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"
    file = models.RunFile(path="a/b.txt", size=1_500, modified_at=at)
    assert formatting.file_lines([file]) == ["file a/b.txt (1.5 kB)"]


def test_emails_have_their_status_and_error() -> None:
    email = models.Email(
        id="r-1-0-0",
        run_id="r",
        step="a",
        to=["a@b.c", "d@e.f"],
        subject="Hi",
        text="",
        html=None,
        status="sent",
        error=None,
        created_at="2026-01-01T00:00:00.000Z",
    )
    failed = replace(email, status="failed", error="d@e.f: no such user")
    assert formatting.email_lines([failed, email]) == [
        "email to a@b.c, d@e.f: Hi (sent)",
        "email to a@b.c, d@e.f: Hi (failed: d@e.f: no such user)",
    ]


# --- asking -----------------------------------------------------------------------------

ADA, BOB = "ada@example.org", "bob@example.org"
FORM = {
    "type": "object",
    "properties": {
        "account": {"enum": ["travel", 7]},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "amount": {"type": "number", "minimum": 1, "maximum": 9.5, "default": 2},
        "paid": {"type": "boolean"},
        "remark": {"type": "string", "format": "textarea", "default": ""},
        "due": {"type": "string", "format": "date"},
    },
    "required": ["account", "due"],
}


def asking(**ask: Any) -> RunDriver:
    driver = RunDriver()
    driver.step(**suspend(ask=Ask(**ask)))
    return driver


def approve(driver: RunDriver, by: Actor, name: str | None, note: str | None = None) -> None:
    pause = driver.run.pause
    assert pause is not None
    person = Person(name=name, verified=by != "link")
    event = Resume(
        step=pause.step,
        execution=pause.execution,
        by=by,
        request={"body": None},
        person=person,
        note=note,
    )
    driver.send(event)


def pause_of(driver: RunDriver) -> models.Pause:
    pause = view(driver).pause
    assert pause is not None
    return pause


def test_the_fields_of_a_form() -> None:
    assert formatting.form_lines(None) == []
    assert formatting.form_lines(FORM) == [
        "fields of the answer:",
        "  account: one of travel, 7, required",
        "  tags: any of a, b",
        "  amount: number, at least 1, at most 9.5, default 2",
        "  paid: true or false",
        "  remark: text",
        "  due: date, required",
    ]


def test_a_message_is_shown_as_text() -> None:
    driver = asking(message="Pay **7**?\n\n\x1b[31mNow")
    assert formatting.ask_lines(pause_of(driver)) == ["Pay **7**?", "", "[31mNow"]
    assert formatting.changed_lines(None, view(driver)) == [
        "a: waits for an answer, until 2026-01-02 00:00:00 UTC",
        "  Pay **7**?",
        "",
        "  [31mNow",
        f"  resume: {LINKS[0]}",
        f"  cancel: {LINKS[1]}",
    ]


def test_who_is_asked_and_who_has_approved() -> None:
    driver = asking(approvers=(ADA, "carol", "group:chiefs"), required=3)
    assert formatting.pause_lines(pause_of(driver)) == [
        "  to be approved by 3 of ada@example.org, carol, group:chiefs"
    ]
    assert formatting.missing_text(pause_of(driver)) == "3 more have to approve"
    approve(driver, "link", ADA, "fine\nby me")
    assert formatting.missing_text(pause_of(driver)) == "2 more have to approve"
    approve(driver, "button", "Carol")
    assert formatting.missing_text(pause_of(driver)) == "one more has to approve"
    assert formatting.ask_lines(pause_of(driver))[1:] == [
        "approved by ada@example.org with a personal link at 2026-01-01 00:00:00 UTC: fine by me",
        "approved by Carol from JupyterLab at 2026-01-01 00:00:00 UTC",
        "waits for group:chiefs",
    ]


def test_one_approver_of_several_is_enough() -> None:
    pause = pause_of(asking(approvers=(ADA, BOB)))
    assert formatting.ask_lines(pause) == ["to be approved by ada@example.org or bob@example.org"]


def test_emails_that_can_not_be_sent_are_named() -> None:
    pause = replace(pause_of(asking(approvers=(ADA,))), undelivered={ADA: "no such user"})
    assert formatting.ask_lines(pause)[-1] == (
        "the email to ada@example.org can't be sent: no such user"
    )


def test_each_person_of_a_decision_has_a_line() -> None:
    driver = asking(approvers=(ADA, "carol"), required=2)
    approve(driver, "link", ADA)
    approve(driver.wait(1_000), "cli", "carol", "late")
    assert formatting.decision_lines(view(driver)) == [
        "a: approved by ada@example.org with a personal link at 2026-01-01 00:00:00 UTC",
        "a: approved by carol from the command line at 2026-01-01 00:00:01 UTC: late",
    ]


def test_decisions_without_a_name() -> None:
    resumed, expired, rejected = RunDriver(), RunDriver(), asking(message="Now?")
    resumed.step(**suspend())
    resumed.resume()
    expired.step(**suspend(1_000))
    expired.time_out()
    rejected.cancel_by_link()
    at = "2026-01-01 00:00:0"
    assert formatting.decision_lines(view(resumed)) == [f"a: resumed with a link at {at}0 UTC"]
    assert formatting.decision_lines(view(expired)) == [f"a: timed out at {at}1 UTC"]
    assert formatting.decision_lines(view(rejected)) == [f"a: rejected with a link at {at}0 UTC"]


def test_the_inbox_says_what_is_asked_and_until_when() -> None:
    driver = asking(message="# Pay **7**?\n\nFor the train.", approvers=(ADA,))
    item = inbox_item(summary_of(driver.run))
    now = START + timedelta(hours=21)
    assert formatting.inbox_lines(item, now) == [
        "Pay 7?",
        "  w, step a",
        "  3 h left, until 2026-01-02 00:00:00 UTC; then the run continues",
        "  run r",
    ]
    titled = replace(item, title="Order 17", undelivered={ADA: "no such user"})
    lines = formatting.inbox_lines(titled, now)
    assert lines[:2] == ["Order 17", "  Pay 7?"]
    assert lines[-2] == "  the email to ada@example.org can't be sent: no such user"


def test_fallbacks_show_what_is_asked_without_links() -> None:
    driver = asking(message=f"Pay <7>?\n{LINKS[0]}", approvers=(ADA,))
    run = view(driver)
    for text, html in (fallbacks.run_fallback(run), fallbacks.step_fallback(run, "a")):
        assert "Pay <7>?" in text
        assert "Pay &lt;7&gt;?" in html
        assert "to be approved by ada@example.org" in text
        assert "key" not in text + html
    assert "Pay" not in fallbacks.step_fallback(run, "b")[0]
