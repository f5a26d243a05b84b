"""What a run is: immutable records that are stored as they are.

Instants are timezone-aware UTC datetimes, durations are milliseconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

RunStatus: TypeAlias = Literal["queued", "running", "paused", "succeeded", "failed", "canceled"]
StepStatus: TypeAlias = Literal[
    "pending", "running", "paused", "succeeded", "failed", "canceled", "skipped"
]
PauseKind: TypeAlias = Literal["suspend", "rerun", "delay"]
OnTimeout: TypeAlias = Literal["resume", "cancel", "fail"]
Actor: TypeAlias = Literal["link", "button", "api", "timer"]
Resolution: TypeAlias = Literal[
    "resumed", "canceled", "timed_out", "not_paused", "failed", "exited", "succeeded"
]
Request: TypeAlias = dict[str, Any]
"""An HTTP request as handlers see it: method, path, url, query, headers, body, client_ip."""

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
    """Why a step failed, in the names of Jupyter's ``error`` output."""

    ename: str
    evalue: str
    traceback: list[str] = []
    step: str | None = None


class PauseCall(Struct, frozen=True, kw_only=True, tag="pause"):
    """A call of ``pd.flow.suspend``, ``rerun`` or ``delay``; ``ms`` is its time."""

    kind: PauseKind
    ms: int
    on_timeout: OnTimeout = "resume"
    context: Any = None
    max_retries: int = 10


class ExitCall(Struct, frozen=True, kw_only=True, tag="exit"):
    """A call of ``pd.flow.exit``."""

    exit_reason: str | None = None


class Mail(Struct, frozen=True, kw_only=True):
    """What a call of ``pd.send.email`` asked for; ``to`` may be left to the configuration."""

    subject: str
    text: str = ""
    html: str | None = None
    to: list[str] = []


class OutboxMessage(Struct, frozen=True, kw_only=True):
    """A mail of a stored outcome; its `id` is the same however often it is handed over."""

    id: str
    run_id: str
    step: str
    created_at: datetime
    mail: Mail


class Outcome(Struct, frozen=True, kw_only=True):
    """What one execution of a step came to.

    ``flow`` is the last call of ``pd.flow``; it counts only where there is no ``error``.
    """

    exports: dict[str, Any] = {}
    flow: PauseCall | ExitCall | None = None
    mails: list[Mail] = []
    error: Error | None = None


class Execution(Struct, frozen=True, kw_only=True):
    """Everything that a handler is told about the execution that it is called for.

    Attributes
    ----------
    id : str
        This execution, new at every reawakening; ``pd.context.id``.
    runs : int
        ``pd.context.run.runs``, starting at 1.
    reruns : int
        How many reruns of this step have been used up.
    called_back : bool
        Whether an HTTP request or button woke it, so that ``callback_request`` is there.
    steps : dict
        Exports of the steps before it, by step name.
    files_dir : str
        Where the folders of all runs' files are, as an absolute path.
    files_id : str
        What marks that folder, so that one of the same path elsewhere is not taken for it.
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

    ``runs`` is the number its latest execution saw; ``reruns`` counts the reruns used up.
    """

    name: str
    status: StepStatus = "pending"
    runs: int = 0
    reruns: int = 0
    exports: dict[str, Any] = {}
    error: Error | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Pause(Struct, frozen=True, kw_only=True):
    """What a paused run waits for."""

    kind: PauseKind
    step: str
    execution: int
    since: datetime
    deadline: datetime
    on_timeout: OnTimeout = "resume"
    context: Any = None
    max_retries: int = 10


class Decision(Struct, frozen=True, kw_only=True):
    """How the pause of one execution of a step was settled."""

    step: str
    execution: int
    how: Resolution
    by: Actor | None
    at: datetime


class PendingRequest(Struct, frozen=True, kw_only=True):
    """A request that came while its step was still running; applied at the step's end."""

    action: Literal["resume", "cancel"]
    by: Actor
    at: datetime
    request: Request | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """What a run has used: credits and milliseconds."""

    credits: int = 0
    compute_ms: int = 0
    paused_ms: int = 0


class Run(Struct, frozen=True, kw_only=True):
    """One run of a workflow.

    Attributes
    ----------
    position : int
        Index of the step that is executing, waiting or next.
    execution : int
        Starts at 1 and grows at every reawakening; with a step's name it identifies a link.
    attempt : int
        The number of this execution's latest begin, from 1; late answers of earlier ones are
        ignored.
    crashes : int
        How often a server or gateway ended without an answer while this execution was running.
    not_before : datetime or None
        When a queued run may begin, if it has to wait because of its crashes.
    woken_at : datetime or None
        When the execution segment under way began.
    decisions : tuple of Decision
        The newest settled pauses, at most `jupyter_pdflow.rules.transitions.DECISIONS_KEPT`.
    outbox : list of OutboxMessage
        Mails of the latest outcome; the mailbox takes each id once.
    """

    id: str
    workflow_id: str
    workflow_name: str
    version: str
    steps: tuple[Step, ...]
    created_at: datetime
    updated_at: datetime
    event: Any = None
    status: RunStatus = "queued"
    position: int = 0
    execution: int = 1
    attempt: int = 1
    crashes: int = 0
    not_before: datetime | None = None
    context: Any = None
    called_back: bool = field(default=False, name="woken")
    callback_request: Request | None = None
    woken_at: datetime | None = None
    pause: Pause | None = None
    pending_request: PendingRequest | None = field(default=None, name="early")
    decisions: tuple[Decision, ...] = ()
    usage: Usage = field(default_factory=Usage)
    error: Error | None = None
    reason: str | None = None
    ended_at: datetime | None = None
    outbox: list[OutboxMessage] = []

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to this run."""
        return self.status in ENDED

    @property
    def current(self) -> Step:
        """The step that is executing, waiting or next."""
        return self.steps[self.position]


def milliseconds(start: datetime, end: datetime) -> int:
    """Whole milliseconds from `start` to `end`, never negative."""
    return max(0, (end - start) // timedelta(milliseconds=1))


MINUTE, HOUR, DAY = 60, 3600, 86_400
YEAR_MS = 365 * 24 * 60 * 60 * 1000


def check_ms(name: str, value: object) -> int:
    """Return `value` as whole milliseconds.

    Raises
    ------
    ValueError
        It is not a number from 1 ms to one year; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number of milliseconds, not {value!r}"
        raise ValueError(msg)  # noqa: TRY004  one error for all bad times, as the docs say
    if not 1 <= value <= YEAR_MS:
        msg = f"{name} must be from 1 to {YEAR_MS:,} milliseconds (one year), not {value!r}"
        raise ValueError(msg)
    return int(value)


def duration(time: timedelta) -> str:
    """Write a time as a person says it: ``120 ms``, ``3.2 s``, ``5 min 10 s``, ``2 days 3 h``."""
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    days, rest = divmod(round(seconds), DAY)
    parts = [
        f"{days} day{'s' * (days != 1)}" if days else "",
        f"{rest // HOUR} h" if rest >= HOUR else "",
        f"{rest % HOUR // MINUTE} min" if rest % HOUR >= MINUTE else "",
        f"{rest % MINUTE} s" if rest % MINUTE else "",
    ]
    return " ".join(part for part in parts if part)


CREDIT_MS = 30_000


def credits_for(compute_ms: int) -> int:
    """Count the credits of one execution segment: one per started 30 s, at least one.

    Parameters
    ----------
    compute_ms : int
        Milliseconds from waking to pausing or ending.
    """
    return max(1, -(-compute_ms // CREDIT_MS))
