"""Pauses: what a step asks, what a paused run waits for, and who has decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from jupyter_pdflow.rules.people import UNKNOWN, Person

PauseKind: TypeAlias = Literal["suspend", "rerun", "delay"]
OnTimeout: TypeAlias = Literal["resume", "cancel", "fail"]
OnReject: TypeAlias = Literal["cancel", "resume"]
AskKind: TypeAlias = Literal["ask", "reminder", "escalation"]
Actor: TypeAlias = Literal["link", "button", "api", "cli", "timer"]
Resolution: TypeAlias = Literal[
    "approved",
    "resumed",
    "rejected",
    "canceled",
    "timed_out",
    "not_paused",
    "failed",
    "exited",
    "succeeded",
]
Request: TypeAlias = dict[str, Any]
"""An HTTP request as handlers see it: method, path, url, query, headers, body, client_ip."""


YEAR_MS = 365 * 24 * 60 * 60 * 1000
"""Maximum time of a pause, in milliseconds: one year."""


class Ask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a suspend asks, and of whom.

    Attributes
    ----------
    message : str or None
        What is asked, as Markdown.
    form : dict or None
        The JSON Schema of the answer, see `jupyter_pdflow.rules.forms`.
    approvers : tuple of str
        Who may decide: user names, addresses, and groups as ``group:NAME``. Empty for everyone who
        has a link or may execute.
    required : int
        How many of them have to approve.
    on_reject : {"cancel", "resume"}
        Whether a rejection ends the run, or lets it continue.
    remind_ms : int or None
        Milliseconds between two reminders.
    escalate_ms : int or None
        Milliseconds after which `escalate_to` join the approvers.
    escalate_to : tuple of str
    """

    message: str | None = None
    form: dict[str, Any] | None = None
    approvers: tuple[str, ...] = ()
    required: int = 1
    on_reject: OnReject = "cancel"
    remind_ms: int | None = None
    escalate_ms: int | None = None
    escalate_to: tuple[str, ...] = ()


NO_ASK = Ask()


class PauseCall(Struct, frozen=True, kw_only=True, tag="pause"):
    """A call of ``pd.flow.suspend``, ``rerun`` or ``delay``.

    Attributes
    ----------
    kind : {"suspend", "rerun", "delay"}
        The method that was called.
    ms : int
        Milliseconds until the deadline of the pause.
    on_timeout : {"resume", "cancel", "fail"}
        What happens at the deadline.
    context : JSON value
        What a rerun passes to the next execution.
    max_retries : int
        Maximum number of reruns of the step.
    ask : Ask or None
        What is asked, and of whom, if a suspend says so.
    """

    kind: PauseKind
    ms: int
    on_timeout: OnTimeout = "resume"
    context: Any = None
    max_retries: int = 10
    ask: Ask | None = None


class AskEmail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an email to an approver is about.

    Attributes
    ----------
    kind : {"ask", "reminder", "escalation"}
    person : str
        The address whose personal links the email has.
    execution : int
        The execution of the step that has paused.
    title : str
        The title of the run, or the workflow's name.
    message : str or None
        What is asked, as Markdown.
    since, deadline : datetime
        When the pause began, and when it ends without an answer.
    on_timeout : {"resume", "cancel", "fail"}
    has_form : bool
        Whether the answer has fields.
    required : int
        How many approvers have to approve.
    """

    kind: AskKind
    person: str
    execution: int
    workflow_name: str
    title: str
    message: str | None = None
    since: datetime
    deadline: datetime
    on_timeout: OnTimeout = "cancel"
    has_form: bool = False
    required: int = 1


class Decider(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who has answered, and how.

    Attributes
    ----------
    via : str
        The way by which the answer came.
    at : datetime
    name : str or None
        The person, if known.
    verified : bool
        Whether the person was signed in with that name.
    note : str or None
        What the person has added.
    """

    via: Actor
    at: datetime
    name: str | None = None
    verified: bool = False
    note: str | None = None


class Pause(Struct, frozen=True, kw_only=True):
    """What a paused run waits for.

    Attributes
    ----------
    step, execution
        Which execution has paused; the pair identifies the links of this pause.
    since, deadline : datetime
        When the pause began, and when its timer is due.
    on_timeout : {"resume", "cancel", "fail"}
        What happens at the deadline.
    context : JSON value
        What a rerun passes to the next execution.
    max_retries : int
        Maximum number of reruns of the step.
    ask : Ask or None
        What is asked, and of whom; the approvers of an escalation have joined the others.
    approvals : tuple of Decider
        Who has approved so far, if more have to.
    waiting_for : tuple of str
        The approvers that have not answered; a group stays, as others of it may.
    remind_at, escalate_at : datetime or None
        When the next reminders are due, and the escalation.
    reminders : int
        How often the approvers were reminded.
    emails : int
        Number of emails to approvers, so that each has an id of its own.
    undelivered : dict of str to str
        Why an approver's latest email can't be sent, by address.
    """

    kind: PauseKind
    step: str
    execution: int
    since: datetime
    deadline: datetime
    on_timeout: OnTimeout = "resume"
    context: Any = None
    max_retries: int = 10
    ask: Ask | None = None
    approvals: tuple[Decider, ...] = ()
    waiting_for: tuple[str, ...] = ()
    remind_at: datetime | None = None
    escalate_at: datetime | None = None
    reminders: int = 0
    emails: int = 0
    undelivered: dict[str, str] = {}

    @property
    def wakes_at(self) -> datetime:
        """The earliest of its deadlines."""
        times = (self.deadline, self.remind_at, self.escalate_at)
        return min(at for at in times if at is not None)


class Decision(Struct, frozen=True, kw_only=True):
    """How, by what and when the pause of one execution of a step was decided.

    Attributes
    ----------
    by : str or None
        The way by which the decision came.
    deciders : tuple of Decider
        The people, or the timer, that have decided; empty in runs of older versions.
    asked : bool
        Whether the pause had a message, a form or approvers.
    continued : bool
        Whether the run continued after a rejection.
    """

    step: str
    execution: int
    resolution: Resolution = field(name="how")
    by: Actor | None
    at: datetime
    deciders: tuple[Decider, ...] = ()
    asked: bool = False
    continued: bool = False


class PendingRequest(Struct, frozen=True, kw_only=True):
    """A resume or cancel that came before its step had paused; it is applied when the step ends."""

    action: Literal["resume", "cancel"]
    by: Actor
    at: datetime
    request: Request | None = None
    person: Person = UNKNOWN
    note: str | None = None
