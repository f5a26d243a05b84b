"""A Hypothesis state machine: people answer by all ways, time passes, and a model says who decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyter_pdflow.exceptions import (
    AlreadyAnsweredError,
    AlreadyDecidedError,
    ApproversOnlyError,
    InvalidAnswerError,
)
from jupyter_pdflow.rules.approvals import EMAILS_PER_PERSON
from jupyter_pdflow.rules.decisions import DECISION
from jupyter_pdflow.rules.events import Begin, CancelPause, Event, Expire, Finish, Resume
from jupyter_pdflow.rules.pauses import Actor, Ask
from jupyter_pdflow.rules.people import Directory, Person
from jupyter_pdflow.rules.run import Outcome
from jupyter_pdflow.rules.transitions import apply
from jupyter_pdflow.stores.validation import flaw_of_run
from tests.rules.support import RunDriver, suspend

DIRECTORY = Directory(
    people={"ada": "ada@example.org"}, groups={"team": ["carl", "dora@example.org"]}
)
PEOPLE = {
    "ada": Person(name="ada", verified=True),
    "ada by link": Person(name="ada@example.org"),
    "bob by link": Person(name="bob@example.org"),
    "carl": Person(name="Carl", verified=True),
    "dora by link": Person(name="dora@example.org"),
    "eve of the team": Person(name="eve", verified=True, groups=("Team",)),
    "boss": Person(name="boss", verified=True),
    "stranger": Person(name="mallory", verified=True),
    "nobody": Person(),
}
WHO = {name: name.split(" ")[0] for name in PEOPLE}
"""Who it is: two of them are one person."""

MAY = {
    ("ada",): {"ada"},
    ("ada", "bob@example.org"): {"ada", "bob"},
    ("ada@example.org", "group:team"): {"ada", "carl", "dora", "eve"},
    (): set(WHO.values()),
}
FORM = {"type": "object", "properties": {"drop": {"type": "integer"}}, "required": ["drop"]}
ways: Any = st.sampled_from(["link", "button", "api", "cli"])
people: Any = st.sampled_from(sorted(PEOPLE))
answers = st.sampled_from([{"drop": 7}, {"drop": "7"}, {"drop": "many"}, {}, None])


class Asking(RuleBasedStateMachine):
    """A run that asks, and who has approved by the model."""

    @initialize(
        approvers=st.sampled_from(sorted(MAY)),
        required=st.integers(1, 2),
        form=st.sampled_from([None, FORM]),
        on_reject=st.sampled_from(["cancel", "resume"]),
        remind=st.sampled_from([None, 1_000]),
        escalates=st.booleans(),
    )
    def ask(self, approvers: tuple[str, ...], required: int, escalates: bool, **more: Any) -> None:
        self.driver = RunDriver()
        if not approvers or (len(approvers) < required and "group:team" not in approvers):
            required = 1
        remind = more.pop("remind")
        later = {"escalate_ms": 2_500, "escalate_to": ("boss",)} if escalates and approvers else {}
        self.asked = Ask(
            message="?",
            approvers=approvers,
            required=required,
            remind_ms=remind if approvers else None,
            **later,
            **more,
        )
        self.may = set(MAY[approvers])
        self.approved: set[str] = set()
        self.early: tuple[str, bool, Any] | None = None
        self.outcome: str | None = None
        self.driver.send(Begin())

    @property
    def waits(self) -> bool:
        return self.driver.run.pause is not None

    def send(self, event: Event) -> type[Exception] | None:
        before = self.driver.run
        try:
            self.driver.run = apply(before, event, self.driver.now).run
        except (
            AlreadyAnsweredError,
            AlreadyDecidedError,
            ApproversOnlyError,
            InvalidAnswerError,
        ) as error:
            assert self.driver.run is before
            return type(error)
        return None

    def expected(self, who: str, rejects: bool, body: Any) -> type[Exception] | None:
        """Return what the model says of a request, and what it makes of the pause."""
        name = WHO[who]
        if self.outcome is not None:
            return AlreadyDecidedError
        if name not in self.may:
            return ApproversOnlyError
        if self.asked.approvers and name in self.approved:
            return AlreadyAnsweredError
        if rejects:
            self.outcome = "rejected"
            return None
        if self.asked.form and (body is None or str(body.get("drop")) != "7"):
            return InvalidAnswerError
        self.approved.add(name)
        if not self.asked.approvers:
            self.outcome = "resumed"
        elif len(self.approved) >= self.asked.required:
            self.outcome = "approved"
        return None

    @rule(who=people, by=ways, rejects=st.booleans(), body=answers)
    def answer(self, who: str, by: Actor, rejects: bool, body: Any) -> None:
        kind: Any = CancelPause if rejects else Resume
        event = kind(
            step="a",
            execution=1,
            by=by,
            request={"body": body},
            person=PEOPLE[who],
            directory=DIRECTORY,
        )
        found = self.send(event)
        if self.driver.run.status == "running":
            assert found is (None if self.early is None else AlreadyDecidedError)
            self.early = self.early or (who, rejects, body)
        else:
            assert found is self.expected(who, rejects, body)

    @precondition(lambda self: self.driver.run.status == "running")
    @rule()
    def pause(self) -> None:
        flow = suspend(10_000, on_timeout="cancel", ask=self.asked)["flow"]
        outcome = Outcome(flow=flow)
        self.send(Finish(step="a", execution=1, attempt=1, outcome=outcome, directory=DIRECTORY))
        if self.early is not None:
            self.expected(*self.early)

    @rule(ms=st.integers(0, 3_000))
    def wait(self, ms: int) -> None:
        self.driver.wait(ms)

    @precondition(lambda self: self.waits)
    @rule()
    def expire(self) -> None:
        pause = self.driver.run.pause
        assert pause is not None
        now = self.driver.now
        if now >= pause.deadline:
            self.outcome = "timed_out"
        elif pause.remind_at is not None and now >= pause.remind_at:
            pass
        elif pause.escalate_at is not None and now >= pause.escalate_at:
            self.may.add("boss")
        self.send(Expire(step="a", execution=1, directory=DIRECTORY))

    @invariant()
    def the_model_agrees(self) -> None:
        run = self.driver.run
        if run.status == "running":
            return
        assert self.waits == (self.outcome is None)
        if self.outcome is None:
            assert run.pause is not None
            assert len(run.pause.approvals) == len(self.approved if self.asked.approvers else ())
            return
        decision = run.steps[0].exports[DECISION]
        assert decision["outcome"] == self.outcome
        ends = self.outcome == "timed_out" or self.asked.on_reject == "cancel"
        canceled = self.outcome in ("timed_out", "rejected") and ends
        assert run.status == ("canceled" if canceled else "queued")
        if self.outcome == "approved":
            assert len({each["name"].lower() for each in decision["by"]}) == self.asked.required

    @invariant()
    def nobody_gets_too_many_emails(self) -> None:
        run = self.driver.run
        recipients = [each.ask.person for each in run.outbox if each.ask]
        assert all(recipients.count(one) <= EMAILS_PER_PERSON for one in recipients)
        assert len({each.id for each in run.outbox}) == len(run.outbox)

    @invariant()
    def it_wakes_in_time_and_can_be_stored(self) -> None:
        run = self.driver.run
        assert flaw_of_run(run) is None
        if run.pause is not None:
            times = [run.pause.deadline, run.pause.remind_at, run.pause.escalate_at]
            assert run.wakes_at == min(at for at in times if at is not None)
            assert run.pause.deadline == run.pause.since + timedelta(seconds=10)


Asking.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestAsking = Asking.TestCase
