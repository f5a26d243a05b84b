"""Who may decide a pause, who has, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jupyter_pdflow.exceptions import (
    AlreadyAnsweredError,
    AlreadyDecidedError,
    ApproversOnlyError,
    InvalidAnswerError,
)
from jupyter_pdflow.rules.approvals import EMAILS_PER_PERSON, missing
from jupyter_pdflow.rules.decisions import DECISION
from jupyter_pdflow.rules.events import (
    Begin,
    Cancel,
    CancelPause,
    EmailFailed,
    Expire,
    Finish,
    Resume,
)
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.pauses import Actor, Ask, Decider, Pause
from jupyter_pdflow.rules.people import Directory, Person
from jupyter_pdflow.rules.run import Outcome
from jupyter_pdflow.rules.transitions import Transition, apply
from tests.rules.support import DAY_MS, HOUR_MS, START, RunDriver, suspend

DIRECTORY = Directory(
    people={"Ada": "ada@example.org"}, groups={"Finance": ["carl", "dora@example.org"]}
)
FORM = {"type": "object", "properties": {"drop": {"type": "integer"}}, "required": ["drop"]}


class Asked(RunDriver):
    """A run that is paused with a question, and the requests of people."""

    def __init__(self, directory: Directory = DIRECTORY, **ask: Any) -> None:
        super().__init__()
        self.directory = directory
        self.entries: list[HistoryEntry] = []
        self.on_timeout = ask.pop("on_timeout", "cancel")
        self.asked = Ask(**ask)
        self.send(Begin())

    def paused(self) -> Asked:
        flow = suspend(on_timeout=self.on_timeout, ask=self.asked)["flow"]
        run = self.run
        self.do(
            Finish(
                step="a",
                execution=1,
                attempt=run.attempt,
                outcome=Outcome(flow=flow),
                directory=self.directory,
            )
        )
        return self

    def do(self, event: Any) -> Transition:
        transition = apply(self.run, event, self.now)
        self.run, self.effects = transition.run, transition.effects
        self.entries += transition.entries
        return transition

    def approve(
        self, name: str | None, by: Actor = "api", body: Any = None, **more: Any
    ) -> Transition:
        person = Person(name=name, verified=by != "link", groups=more.pop("groups", ()))
        request = {"body": body, **more.pop("request", {})}
        return self.do(
            Resume(
                step="a",
                execution=1,
                by=by,
                request=request,
                person=person,
                directory=self.directory,
                **more,
            )
        )

    def reject(
        self, name: str | None, by: Actor = "link", note: str | None = None, **request: Any
    ) -> Transition:
        person = Person(name=name, verified=by != "link")
        return self.do(
            CancelPause(
                step="a",
                execution=1,
                by=by,
                request={"body": None, **request},
                person=person,
                note=note,
                directory=self.directory,
            )
        )

    def due(self) -> Transition:
        assert self.run.wakes_at is not None
        self.now = self.run.wakes_at
        return self.do(Expire(step="a", execution=1, directory=self.directory))

    @property
    def pause(self) -> Pause:
        assert self.run.pause is not None
        return self.run.pause

    @property
    def outcome(self) -> str:
        return str(self.run.steps[0].exports[DECISION]["outcome"])

    def emails(self) -> list[tuple[str, str]]:
        """Return the kinds and the recipients of the emails to approvers."""
        return [(each.ask.kind, each.ask.person) for each in self.run.outbox if each.ask]


@pytest.mark.parametrize("name", ["ada", "ADA", " ada ", "ada@example.org", "Ada@Example.org"])
def test_one_person_has_many_names(name: str) -> None:
    asked = Asked(approvers=("Ada",)).paused()
    asked.approve(name)
    assert asked.outcome == "approved"


@pytest.mark.parametrize("name", [None, "", "bob", "ada@example.com", "group:finance", "carl"])
def test_others_decide_nothing(name: str | None) -> None:
    asked = Asked(approvers=("ada", "bob@example.org")).paused()
    before = asked.run
    for refused in (asked.approve, asked.reject):
        with pytest.raises(ApproversOnlyError, match=r"Only ada or bob@example\.org can decide"):
            refused(name)
    assert asked.run is before


def test_a_group_has_members_and_what_the_provider_says() -> None:
    for person, groups in (("Carl", ()), ("dora@example.org", ()), ("eve", ("FINANCE",))):
        asked = Asked(approvers=("group:finance",)).paused()
        asked.approve(person, groups=groups)
        assert asked.outcome == "approved"
    asked = Asked(approvers=("group:finance",)).paused()
    with pytest.raises(ApproversOnlyError):
        asked.approve("eve", groups=("sales",))
    assert asked.emails() == [("ask", "dora@example.org")]


def test_each_counts_once_by_whatever_way() -> None:
    asked = Asked(approvers=("ada", "bob", "group:finance"), required=2).paused()
    asked.approve("ada", "button", note="looks good")
    assert (asked.run.status, missing(asked.pause)) == ("paused", 1)
    assert asked.pause.waiting_for == ("bob", "group:finance")
    for again in (asked.approve, asked.reject):
        with pytest.raises(AlreadyAnsweredError, match=r"already; one more has to approve\."):
            again("ada@example.org", "link")
    asked.wait(60_000).approve("bob", "cli")
    decision = asked.run.steps[0].exports[DECISION]
    assert decision == {
        "step": "a",
        "outcome": "approved",
        "at": "2026-01-01T00:01:00.000Z",
        "by": [
            {
                "name": "ada",
                "via": "jupyter",
                "verified": True,
                "at": "2026-01-01T00:00:00.000Z",
                "note": "looks good",
            },
            {
                "name": "bob",
                "via": "cli",
                "verified": True,
                "at": "2026-01-01T00:01:00.000Z",
                "note": None,
            },
        ],
    }
    assert [(each.event, each.by, each.via) for each in asked.entries[-2:]] == [
        ("approve", "ada", "button"),
        ("approve", "bob", "cli"),
    ]
    with pytest.raises(AlreadyDecidedError, match="was already approved by ada and bob"):
        asked.approve("carl")


def test_one_rejection_decides() -> None:
    asked = Asked(approvers=("ada", "bob"), required=2).paused()
    asked.approve("ada")
    asked.reject("bob", note="too much")
    assert (asked.run.status, asked.outcome, asked.run.reason) == (
        "canceled",
        "rejected",
        "too much",
    )
    assert asked.run.decisions[0].deciders == (
        Decider(via="link", at=START, name="bob", note="too much"),
    )


def test_a_rejection_may_let_the_run_continue() -> None:
    asked = Asked(approvers=("ada",), on_reject="resume").paused()
    asked.reject("ada")
    assert (asked.run.status, asked.run.position, asked.outcome) == ("queued", 1, "rejected")
    assert asked.run.steps[0].exports["$resume_data"] == {"body": None}


def test_a_rejection_brings_no_answer_that_nobody_has_checked() -> None:
    asked = Asked(form=FORM, on_reject="resume").paused()
    asked.reject(None, body="{", body_error="The body is not JSON.")
    assert asked.run.steps[0].exports["$resume_data"] == {"body": None}
    asked = Asked(message="Ship it?", on_reject="resume").paused()
    asked.reject(None, body={"why": "late"})
    assert asked.run.steps[0].exports["$resume_data"] == {"body": {"why": "late"}}


def test_without_approvers_the_first_decides() -> None:
    asked = Asked(message="Ship it?").paused()
    asked.approve(None, "link")
    assert asked.outcome == "resumed"
    asked = Asked(message="Ship it?").paused()
    asked.reject(None)
    assert (asked.run.status, asked.outcome) == ("canceled", "rejected")


def test_the_operator_can_cancel_and_never_approves() -> None:
    asked = Asked(approvers=("ada",)).paused()
    asked.do(Cancel(by="button", reason="wrong run", person=Person(name="eve", verified=True)))
    assert (asked.run.status, asked.outcome, asked.run.reason) == (
        "canceled",
        "canceled",
        "wrong run",
    )


def test_an_answer_has_to_match_the_form() -> None:
    asked = Asked(form=FORM).paused()
    before = asked.run
    for body in ({}, None, {"drop": "many"}, [1], "7"):
        with pytest.raises(InvalidAnswerError):
            asked.approve(None, "link", body)
    assert asked.run is before
    asked.approve(None, "link", {"drop": "7"})
    assert asked.run.steps[0].exports["$resume_data"]["body"] == {"drop": 7}


def test_a_query_is_an_answer_if_there_is_no_body() -> None:
    asked = Asked(form=FORM).paused()
    asked.approve(None, "link", request={"query": {"drop": "7"}})
    assert asked.run.steps[0].exports["$resume_data"]["body"] == {"drop": 7}


# --- a request that comes before the pause ---------------------------------------------


def test_an_early_request_counts_if_it_meets_the_conditions() -> None:
    asked = Asked(form=FORM)
    asked.approve(None, "link", {"drop": 7})
    asked.paused()
    assert asked.outcome == "resumed"
    asked = Asked(approvers=("ada", "bob"), required=2)
    asked.approve("ada", "api")
    asked.paused()
    assert [each.name for each in asked.pause.approvals] == ["ada"]


@pytest.mark.parametrize("rejects", [False, True])
def test_an_early_request_that_does_not_is_dropped(rejects: bool) -> None:
    asked = Asked(approvers=("ada",))
    (asked.reject if rejects else asked.approve)(None, "link")
    asked.paused()
    assert asked.run.status == "paused"
    assert asked.run.pending_request is None
    entry = asked.entries[-1]
    assert (entry.event, entry.via) == ("drop", "link")
    assert "does not count: Only ada can decide this" in (entry.note or "")
    asked.approve("ada")
    assert asked.outcome == "approved"


def test_an_early_answer_that_is_invalid_is_dropped() -> None:
    asked = Asked(form=FORM)
    asked.approve(None, "link", {"drop": "many"})
    asked.paused()
    assert asked.run.status == "paused"
    assert asked.entries[-1].event == "drop"


# --- who is told ----------------------------------------------------------------------


def test_each_address_is_asked_once() -> None:
    asked = Asked(
        message="Pay **40 €**?\nIt is for Carl.",
        approvers=("ada", "ada@example.org", "carl", "group:finance", "bob@example.org"),
    ).paused()
    assert asked.emails() == [
        ("ask", "ada@example.org"),
        ("ask", "dora@example.org"),
        ("ask", "bob@example.org"),
    ]
    first = asked.run.outbox[0]
    assert (first.email.subject, first.email.to) == (
        "Please decide: Pay 40 €?",
        ["ada@example.org"],
    )
    assert first.ask is not None
    assert (first.ask.message, first.ask.execution) == ("Pay **40 €**?\nIt is for Carl.", 1)
    assert len({each.id for each in asked.run.outbox}) == 3


def test_those_who_have_not_answered_are_reminded() -> None:
    asked = Asked(approvers=("ada", "bob@example.org"), required=2, remind_ms=HOUR_MS).paused()
    asked.due()
    assert asked.now == START + timedelta(hours=1)
    asked.approve("ada")
    asked.due()
    assert asked.now == START + timedelta(hours=2)
    kinds = asked.emails()
    assert kinds[2:] == [
        ("reminder", "ada@example.org"),
        ("reminder", "bob@example.org"),
        ("reminder", "bob@example.org"),
    ]
    assert len({each.id for each in asked.run.outbox}) == len(kinds)
    assert [each.event for each in asked.entries if each.event == "remind"] == ["remind"] * 2


def test_reminders_end() -> None:
    asked = Asked(approvers=("ada",), remind_ms=1).paused()
    while asked.run.wakes_at != asked.pause.deadline:
        asked.due()
    assert len(asked.emails()) == EMAILS_PER_PERSON
    asked.due()
    assert (asked.run.status, asked.outcome) == ("canceled", "timed_out")


def test_more_approvers_join_after_a_time() -> None:
    asked = Asked(
        approvers=("ada",), escalate_ms=HOUR_MS, escalate_to=("boss@example.org", "ada")
    ).paused()
    with pytest.raises(ApproversOnlyError):
        asked.approve("boss@example.org", "link")
    asked.due()
    assert asked.pause.waiting_for == ("ada", "boss@example.org")
    assert asked.emails() == [("ask", "ada@example.org"), ("escalation", "boss@example.org")]
    assert asked.run.wakes_at == asked.pause.deadline
    asked.approve("boss@example.org", "link")
    assert asked.outcome == "approved"


def test_who_joins_is_not_reminded_at_once() -> None:
    asked = Asked(
        approvers=("ada",),
        remind_ms=HOUR_MS,
        escalate_ms=HOUR_MS,
        escalate_to=("boss@example.org",),
    ).paused()
    asked.due()
    asked.due()
    assert asked.emails()[1:] == [
        ("reminder", "ada@example.org"),
        ("escalation", "boss@example.org"),
    ]
    assert asked.run.wakes_at == START + timedelta(hours=2)


def test_what_is_due_of_a_decided_pause_changes_nothing() -> None:
    asked = Asked(approvers=("ada",), remind_ms=1, escalate_ms=1, escalate_to=("bob",)).paused()
    asked.approve("ada")
    before = asked.run
    asked.wait(DAY_MS).do(Expire(step="a", execution=1, directory=DIRECTORY))
    assert asked.run is before


def test_an_email_that_fails_is_noted_until_one_is_sent() -> None:
    asked = Asked(approvers=("bob@example.org",)).paused()
    failed = EmailFailed(step="a", execution=1, address="bob@example.org", error="550 no")
    asked.do(failed)
    assert asked.pause.undelivered == {"bob@example.org": "550 no"}
    assert asked.entries[-1].event == "email"
    before = asked.run
    asked.do(failed)
    assert asked.run is before
    asked.do(EmailFailed(step="a", execution=1, address="bob@example.org", error=None))
    assert asked.pause.undelivered == {}


def test_names_of_one_person_do_not_make_several() -> None:
    with pytest.raises(ValueError, match="required must be from 1 to 1, as some approvers are"):
        Asked(approvers=("ada", "Ada@example.org"), required=2).paused()
    Asked(approvers=("ada", "Ada@example.org", "group:finance"), required=2).paused()


# --- what a kernel says ---------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        {"approvers": ("ada",), "required": 2},
        {"approvers": ("ada", "ADA"), "required": 2},
        {"approvers": ("ada",), "required": 0},
        {"required": 2},
        {"remind_ms": 5},
        {"approvers": ("ada",), "remind_ms": -5},
        {"approvers": ("ada",), "escalate_ms": 10**15, "escalate_to": ("bob",)},
        {"approvers": ("a\nb",)},
        {"approvers": ("",)},
        {"approvers": ("x@",)},
        {"approvers": tuple(f"a{number}" for number in range(101))},
        {"message": "x" * 10_001},
        {"form": {"type": "object", "properties": {"x": {"type": "object"}}}},
    ],
)
def test_what_can_not_be_asked_is_refused(ask: dict[str, Any]) -> None:
    asked = Asked(**ask)
    with pytest.raises(ValueError, match=r"\w"):
        asked.paused()
