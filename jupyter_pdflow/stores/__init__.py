"""Where runs are kept: the records that a store takes and returns, beside runs and workflows."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal, NamedTuple

from msgspec import Struct, convert, field
from slugify import slugify

from jupyter_pdflow.exceptions import NotFoundError, RunActiveError, StorageUnavailableError
from jupyter_pdflow.rules.pauses import Ask, AskEmail, Decider, Decision, OnTimeout, PauseKind
from jupyter_pdflow.rules.run import (
    Error,
    OutboxMessage,
    Run,
    RunStatus,
    Starter,
    StepStatus,
    Usage,
)

QUOTED = 100
"""Maximum number of characters of an invalid id that a message quotes."""

HISTORY_KEPT = 1_000
"""Maximum number of history entries of one run that are kept."""

EXECUTIONS_KEPT = 20
"""Maximum number of executions of one step whose outputs are kept."""


class StepSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Step` without its exports."""

    name: str
    status: StepStatus = "pending"
    runs: int = 0
    attempts: int = 0
    error: Error | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class PauseSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Pause` without its context."""

    kind: PauseKind
    step: str
    execution: int
    since: datetime
    deadline: datetime
    on_timeout: OnTimeout = "resume"
    ask: Ask | None = None
    approvals: tuple[Decider, ...] = ()
    waiting_for: tuple[str, ...] = ()
    undelivered: dict[str, str] = {}


class RunSummary(Struct, frozen=True, kw_only=True, gc=False):
    """A `Run` without the fields that authors and clients may make large."""

    id: str
    workflow_id: str
    workflow_name: str
    version: str
    steps: tuple[StepSummary, ...]
    created_at: datetime
    updated_at: datetime
    title: str | None = None
    started_by: Starter | None = None
    status: RunStatus = "queued"
    attempt: int = 1
    pause: PauseSummary | None = None
    decisions: tuple[Decision, ...] = ()
    usage: Usage = field(default_factory=Usage)
    error: Error | None = None
    reason: str | None = None
    ended_at: datetime | None = None


def summary_of(run: Run | RunSummary) -> RunSummary:
    """Return the summary of a run."""
    return convert(run, RunSummary, from_attributes=True)


def workflow_ids(path: str) -> tuple[str, str]:
    """Return the id that the workflow of a notebook's path gets, and that if the first is taken.

    Two paths never have the same second one.
    """
    slug = slugify(path.removesuffix(".ipynb"), max_length=80) or "workflow"
    return slug, f"{slug}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


class VersionSummary(Struct, frozen=True, kw_only=True):
    """A version of a workflow, without its code.

    Attributes
    ----------
    created_at : datetime
        When the version was first deployed.
    current : bool
        Whether new runs use it.
    """

    version: str
    number: int
    created_at: datetime
    current: bool


Output = dict[str, Any]
"""An output of a notebook cell, as nbformat has it."""


def dropped_note(count: int) -> Output:
    """Return the output that stands for those that were dropped."""
    text = f"[The outputs of the first {count} executions of this step were dropped.]\n"
    return {"output_type": "stream", "name": "stderr", "text": text}


class Email(Struct, frozen=True, kw_only=True):
    """An email and its delivery.

    Attributes
    ----------
    status : str
        ``queued`` until it is ``sent`` to all recipients or has ``failed`` for at least one;
        ``kept`` as a file if no SMTP server is configured.
    error : str or None
        Why the latest attempt failed.
    attempts : int
        Number of attempts to send it.
    ask : AskEmail or None
        What an email to an approver is about; its text is written when it is sent.
    answers : dict
        The recipients that need no further attempt, with None if they have the email, or with the
        server's reason for the refusal.
    """

    id: str
    run_id: str
    step: str
    to: list[str]
    subject: str
    text: str
    html: str | None
    created_at: datetime
    status: Literal["queued", "sent", "failed", "kept"] = "queued"
    error: str | None = None
    attempts: int = 0
    answers: dict[str, str | None] = {}
    ask: AskEmail | None = None


def email_of(message: OutboxMessage) -> Email:
    """Return an email of an outbox as it is queued."""
    email = message.email
    return Email(
        id=message.id,
        run_id=message.run_id,
        step=message.step,
        to=email.to,
        subject=email.subject,
        text=email.text,
        html=email.html,
        created_at=message.created_at,
        ask=message.ask,
    )


def run_of(email_id: str) -> str:
    """Return the id of the run that an email belongs to; its own id begins with it."""
    return email_id.rsplit("-", 3)[0]


class WorkerState(Struct, frozen=True, kw_only=True):
    """A process that executes steps.

    Attributes
    ----------
    kernels : int
        Number of kernels that it may have at a time.
    busy : int
        Number of them that are executing a step.
    seen_at : datetime
        When it was last known to be alive.
    """

    name: str
    host: str
    queues: list[str]
    kernels: int
    busy: int
    seen_at: datetime


class StepOutputs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outputs of one execution of a step, which replace those of an earlier attempt.

    Attributes
    ----------
    attempt : int
        The attempt that they are of; 0 if an older version has stored them.
    widgets : dict
        The widgets that it has made, as a notebook's metadata has them.
    """

    step: str
    execution: int
    outputs: list[Output]
    attempt: int = 0
    widgets: dict[str, Any] = {}

    def is_of(self, run: Run) -> bool:
        """Return whether they are of the current execution of a run."""
        return (self.step, self.execution) == (run.current.name, run.execution)


class KeptOutputs(Struct, frozen=True, kw_only=True):
    """The outputs that are kept of a run.

    Attributes
    ----------
    shown : list of StepOutputs
        Those of each execution, oldest first.
    dropped : dict of str to int
        Number of executions whose outputs were dropped, by step.
    live : StepOutputs or None
        What an attempt, perhaps an earlier one, has shown while it was executed.
    """

    shown: list[StepOutputs] = []
    dropped: dict[str, int] = {}
    live: StepOutputs | None = None

    def by_step(self) -> dict[str, list[Output]]:
        """Return the outputs by step name, with a note if some were dropped."""
        found = {step: [dropped_note(count)] for step, count in self.dropped.items()}
        for execution in self.shown:
            found.setdefault(execution.step, []).extend(execution.outputs)
        return found

    def widgets(self) -> dict[str, Any]:
        """Return the widgets of all executions, by the ids of their models."""
        found: dict[str, Any] = {}
        for execution in self.shown:
            found.update(execution.widgets)
        return found


class RunChange(Struct, frozen=True, kw_only=True):
    """A change of a run, as live views follow it; without data and links of the run.

    Attributes
    ----------
    step : str
        The step that is executed, paused or next.
    pause_kind, deadline
        Of its pause, or None.
    """

    run_id: str
    workflow_id: str
    workflow_name: str
    status: RunStatus
    step: str
    pause_kind: PauseKind | None
    deadline: datetime | None
    updated_at: datetime


def change_of(run: Run) -> RunChange:
    """Return what live views are told about a run that has changed."""
    pause = run.pause
    return RunChange(
        run_id=run.id,
        workflow_id=run.workflow_id,
        workflow_name=run.workflow_name,
        status=run.status,
        step=run.current.name,
        pause_kind=pause.kind if pause else None,
        deadline=pause.deadline if pause else None,
        updated_at=run.updated_at,
    )


def unknown_run(run_id: str) -> NotFoundError:
    """Return the error for a run that is not stored."""
    return NotFoundError(f"There is no run {run_id[:QUOTED]!r}.")


def unknown_workflow(workflow_id: str, version: str | None = None) -> NotFoundError:
    """Return the error for a workflow, or a version of it, that is not stored."""
    return NotFoundError(
        f"There is no workflow {workflow_id!r}" + (f" {version}." if version else ".")
    )


def check_ended(run: Run) -> None:
    """Check that a run has ended, and so may be removed; `RunActiveError` if it has not."""
    if not run.ended:
        msg = f"Run {run.id} is {run.status}; cancel it first, or wait until it has ended."
        raise RunActiveError(msg)


def not_removed(run_id: str, error: OSError) -> StorageUnavailableError:
    """Return the error for a run of which a file can't be removed."""
    reason = error.strerror or error
    msg = f"Run {run_id} can't be removed completely: {reason}; remove it again later."
    return StorageUnavailableError(msg)


class Lapsed(NamedTuple):
    """An attempt of a run whose executing process is gone."""

    run_id: str
    step: str
    execution: int
    attempt: int


class IdempotencyKey(Struct, frozen=True, kw_only=True):
    """The key of a request that starts a run, so that the request can be repeated.

    Attributes
    ----------
    scope : str
        What the key belongs to, such as the id of a workflow.
    key : str
        The client's text.
    expires_at : datetime
        Until when the same key gives the same run.
    """

    scope: str
    key: str
    expires_at: datetime

    def digest(self) -> bytes:
        """Return what a store keeps the key by, 32 bytes: the client's text may be anything."""
        text = f"{self.scope}\0{self.key}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).digest()


class ScheduleMark(Struct, frozen=True, kw_only=True):
    """The time for which a schedule has started a run last."""

    workflow_id: str
    trigger_id: str
    at: datetime


MAX_SEARCH_WORDS = 32
"""Maximum number of words of a search."""

MAX_SEARCH_CHARACTERS = 1_000
"""Maximum number of characters of a search."""


class RunQuery(Struct, frozen=True, kw_only=True):
    """Which runs to list; None for all.

    Attributes
    ----------
    pause : str or None
        Only runs that are paused in this way.
    search : str or None
        Only runs with these words in their titles, events or the names of their workflows, and the
        run with this id. Words beyond `MAX_SEARCH_WORDS` and characters beyond
        `MAX_SEARCH_CHARACTERS` are ignored.
    since : datetime or None
        Only runs that were created then or later.
    until : datetime or None
        Only runs that were created earlier than this.
    before : str or None
        Only runs that come after this one in the list of the query.
    limit : int
        Maximum number of runs.
    """

    status: RunStatus | None = None
    workflow_id: str | None = None
    pause: PauseKind | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = 50
