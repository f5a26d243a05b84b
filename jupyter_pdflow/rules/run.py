"""A run and its parts as immutable records, and the units that they are measured in.

The records are stored as they are: a field with ``field(name=…)`` keeps the name that older
versions of this package have written. Instants are timezone-aware UTC datetimes. Durations are
milliseconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from jupyter_pdflow.rules.pauses import (
    Actor,
    AskEmail,
    Decision,
    Pause,
    PauseCall,
    PendingRequest,
    Request,
)
from jupyter_pdflow.rules.workflow import DEFAULT_QUEUE

RunStatus: TypeAlias = Literal["queued", "running", "paused", "succeeded", "failed", "canceled"]
StepStatus: TypeAlias = Literal[
    "pending", "running", "paused", "succeeded", "failed", "canceled", "skipped"
]

ENDED: frozenset[RunStatus] = frozenset({"succeeded", "failed", "canceled"})
STATUSES: tuple[RunStatus, ...] = (
    "queued",
    "running",
    "paused",
    "succeeded",
    "failed",
    "canceled",
)

REASON_LIMIT = 1_000
"""Maximum number of characters of the reason of a cancel or an exit, which each list shows."""


class Error(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a step failed, in the names of Jupyter's ``error`` output.

    Attributes
    ----------
    ename : str
        The name of the exception's class.
    evalue : str
        The exception's message.
    traceback : list of str
        The lines of the traceback, without those of this package.
    step : str or None
        The step that failed.
    """

    ename: str
    evalue: str
    traceback: list[str] = []
    step: str | None = None


class ExitCall(Struct, frozen=True, kw_only=True, tag="exit"):
    """A call of ``pd.flow.exit``; ``exit_reason`` is its argument."""

    exit_reason: str | None = None


class EmailRequest(Struct, frozen=True, kw_only=True):
    """The arguments of a call of ``pd.send.email``.

    Attributes
    ----------
    to : list of str
        The recipients; empty for those that the owner has configured (``PDFlow.mail_to``).
    """

    subject: str
    text: str = ""
    html: str | None = None
    to: list[str] = []


class OutboxMessage(Struct, frozen=True, kw_only=True):
    """An email of a stored outcome.

    Attributes
    ----------
    id : str
        Always the same for the same email, so that it is taken once however often it is delivered.
    ask : AskEmail or None
        What an email to an approver is about. Its text is written when it is sent, because it has
        personal links, which only that person may see.
    """

    id: str
    run_id: str
    step: str
    created_at: datetime
    email: EmailRequest = field(name="mail")
    ask: AskEmail | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """The result of one execution of a step.

    Attributes
    ----------
    exports : dict
        The step's exports by name, as plain JSON.
    flow : PauseCall or ExitCall or None
        The call of ``pd.flow`` that counts; it is ignored if there is an `error`.
    emails : list of EmailRequest
        The emails to deliver. They are delivered also if there is an `error`.
    error : Error or None
        Why the step failed.
    title : str or None
        The argument of ``pd.title``.
    """

    exports: dict[str, Any] = {}
    flow: PauseCall | ExitCall | None = None
    title: str | None = None
    emails: list[EmailRequest] = field(default_factory=list, name="mails")
    error: Error | None = None


class Execution(Struct, frozen=True, kw_only=True):
    """One execution of a step, as a kernel and the handler's ``pd`` need it.

    Attributes
    ----------
    id : str
        ``pd.context.id``; a new one for each execution.
    ts : datetime
        When the run was created.
    event : JSON value
        The event that the run was started with.
    steps : dict
        Exports of the earlier steps, by step name.
    attempt : int
        ``pd.context.attempt``, from 1.
    runs : int
        ``pd.context.run.runs``, from 1.
    reruns : int
        Number of reruns of this step that are used up.
    context : JSON value
        What the last ``pd.flow.rerun`` of this step passed.
    called_back : bool
        Whether an HTTP request or a button started this execution. Only then does
        ``pd.context.run`` have the key ``callback_request``.
    resume_url, cancel_url : str
        The two links of this execution.
    files_dir : str
        The folder that holds the files of all runs, as an absolute path.
    files_id : str
        The content of that folder's id file. A folder of the same path on another machine has
        another id or none.
    """

    id: str
    run_id: str
    workflow_id: str
    workflow_name: str
    version: str
    step: str
    ts: datetime
    event: Any = None
    steps: dict[str, dict[str, Any]] = {}
    attempt: int = 1
    runs: int = 1
    reruns: int = 0
    context: Any = None
    called_back: bool = False
    callback_request: Request | None = None
    resume_url: str = ""
    cancel_url: str = ""
    files_dir: str = ""
    files_id: str = ""


class Step(Struct, frozen=True, kw_only=True):
    """A step of a run.

    Attributes
    ----------
    runs : int
        The number that the latest execution sees as ``pd.context.run.runs``; 0 before the first.
    reruns : int
        Number of reruns that are used up, by timers and callbacks alike.
    attempts : int
        How often the latest execution has begun; 0 before the first time.
    exports : dict
        The exports of the latest execution, by name.
    """

    name: str
    status: StepStatus = "pending"
    runs: int = 0
    reruns: int = 0
    attempts: int = 0
    exports: dict[str, Any] = {}
    error: Error | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """What a run has used.

    Attributes
    ----------
    credits : int
        One per started 30 s of each execution segment.
    compute_ms : int
        Milliseconds in which steps were executed.
    paused_ms : int
        Milliseconds in which the run was paused.
    """

    credits: int = 0
    compute_ms: int = 0
    paused_ms: int = 0


class Starter(Struct, frozen=True, kw_only=True, gc=False):
    """By what a run was started, and by whom, if the name is known."""

    via: Actor
    name: str | None = None


class Run(Struct, frozen=True, kw_only=True):
    """One run of a workflow.

    Attributes
    ----------
    title : str or None
        One short line, see `jupyter_pdflow.rules.titles`. None if nothing gives one, and in runs
        of older versions.
    titled : bool
        Whether ``pd.title`` has given it.
    started_by : Starter or None
        None in runs of older versions.
    position : int
        Index of the current step: the one that is executed, paused or next.
    execution : int
        Number of the current execution, from 1; it grows by one each time that a pause ends. With
        the step's name it identifies a link.
    attempt : int
        Number of the current execution's latest attempt, from 1. Outcomes of earlier attempts are
        ignored.
    crashes : int
        How often a server or gateway ended without an answer during the current execution.
    not_before : datetime or None
        When a queued run may begin, if it has to wait after crashes.
    context : JSON value
        What the last ``pd.flow.rerun`` of the current step passed.
    called_back : bool
        Whether a request, not a timer, has started the current execution of a rerun step.
    callback_request : dict or None
        That request.
    segment_started_at : datetime or None
        When the current execution segment began. None if the run is paused, has ended, or waits
        for the first kernel of a segment.
    pending_request : PendingRequest or None
        A resume or cancel that is applied when the current step ends.
    decisions : tuple of Decision
        The newest decided pauses, at most `jupyter_pdflow.rules.decisions.DECISIONS_KEPT`.
    owner : str or None
        Who executes the run, while it is running, see `jupyter_pdflow.stores.base.Store.owner`.
    queue : str
        The queue of its workflow's version, which processes that share a store hand it out by.
    outbox : list of OutboxMessage
        Emails of outcomes that the store has not taken over yet. They are stored with the outcome.
    """

    id: str
    workflow_id: str
    workflow_name: str
    version: str
    steps: tuple[Step, ...]
    created_at: datetime
    updated_at: datetime
    event: Any = None
    title: str | None = None
    titled: bool = False
    started_by: Starter | None = None
    status: RunStatus = "queued"
    position: int = 0
    execution: int = 1
    attempt: int = 1
    crashes: int = 0
    not_before: datetime | None = None
    context: Any = None
    called_back: bool = field(default=False, name="woken")
    callback_request: Request | None = None
    segment_started_at: datetime | None = field(default=None, name="woken_at")
    pause: Pause | None = None
    pending_request: PendingRequest | None = field(default=None, name="early")
    decisions: tuple[Decision, ...] = ()
    usage: Usage = field(default_factory=Usage)
    error: Error | None = None
    reason: str | None = None
    ended_at: datetime | None = None
    owner: str | None = None
    queue: str = DEFAULT_QUEUE
    outbox: list[OutboxMessage] = []

    @property
    def wakes_at(self) -> datetime | None:
        """When the run is due for `Expire`: the earliest of its deadlines, or None."""
        return self.not_before if self.pause is None else self.pause.wakes_at

    @property
    def ready(self) -> bool:
        """Whether the current step is to be executed as soon as a kernel is free."""
        return self.status == "queued" and self.not_before is None

    @property
    def ended(self) -> bool:
        """Whether this run has ended, so that no event changes it any more."""
        return self.status in ENDED

    @property
    def current(self) -> Step:
        """The step that is executed, paused or next."""
        return self.steps[self.position]


CREDIT_MS = 30_000
"""Milliseconds of compute time that one credit pays for."""


def milliseconds(start: datetime, end: datetime) -> int:
    """Return the whole milliseconds from `start` to `end`, or 0 if `end` is earlier."""
    # The wall clock may have been set back between the two readings.
    return max(0, (end - start) // timedelta(milliseconds=1))


def credits_for(compute_ms: int) -> int:
    """Return the credits of one execution segment: one per started 30 s, at least one.

    Parameters
    ----------
    compute_ms : int
        Milliseconds from the start of the segment until the run pauses or ends.
    """
    return max(1, -(-compute_ms // CREDIT_MS))
