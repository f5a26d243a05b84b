"""What the REST API sends and takes, as records.

Server, client, CLI and widgets share them, and ``scripts/openapi.py`` makes the schemas of
``server/api/openapi.yaml`` from them, with their docstrings as descriptions. A client ignores
fields that it does not know, so that it works with a newer server.

Times are RFC 3339 in UTC, with milliseconds. Durations are milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field

from jupyter_pdflow.rules.history import NOTE_LIMIT
from jupyter_pdflow.rules.pauses import Actor, OnReject, OnTimeout, Resolution
from jupyter_pdflow.rules.run import REASON_LIMIT, RunStatus, StepStatus

Time: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Day: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Url: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Number: TypeAlias = Annotated[int, Meta(ge=1)]
Note: TypeAlias = Annotated[str, Meta(extra_json_schema={"maxLength": NOTE_LIMIT})]
Reason: TypeAlias = Annotated[str, Meta(extra_json_schema={"maxLength": REASON_LIMIT})]

PauseKind: TypeAlias = Literal["suspend", "rerun", "delay", "retry"]
Via: TypeAlias = Literal["link", "jupyter", "api", "cli", "timer"]
DecisionOutcome: TypeAlias = Literal["approved", "resumed", "rejected", "timed_out", "canceled"]
EmailStatus: TypeAlias = Literal["queued", "sent", "failed", "kept"]
Caller: TypeAlias = Literal["api", "button", "cli"]


# --- runs -----------------------------------------------------------------------------


class StepError(Struct, frozen=True, kw_only=True):
    """Why a step failed.

    Attributes
    ----------
    message : str
        The class and the message of the exception.
    ename : str
        The name of the exception's class.
    evalue : str
        The exception's message.
    traceback : list of str
        The lines of the frames in the author's code.
    step : str or None
        The step that failed.
    """

    message: str
    ename: str
    evalue: str
    traceback: list[str]
    step: str | None


class StepItem(Struct, frozen=True, kw_only=True):
    """A step of a run in a list, without its exports.

    Attributes
    ----------
    runs : int
        ``pd.context.run.runs`` of the latest execution; 0 before the first.
    attempts : int
        How often the latest execution has begun; more than once after a crash or a stop.
    """

    name: str
    status: StepStatus
    runs: Count
    attempts: Count
    error: StepError | None
    started_at: Time | None
    ended_at: Time | None


class Step(StepItem, frozen=True, kw_only=True):
    """A step of a run.

    Attributes
    ----------
    exports : dict
        Exports by name, including ``$return_value`` and ``$resume_data``.
    """

    exports: dict[str, Any]


class Decider(Struct, frozen=True, kw_only=True):
    """By whom, and by what, a pause was decided.

    Attributes
    ----------
    name : str or None
        The person, if known.
    via : str
        The way by which the decision came.
    verified : bool
        Whether the person was signed in with that name.
    note : str or None
        What the person has added.
    """

    name: str | None
    via: Via
    verified: bool
    at: Time
    note: str | None


class Pause(Struct, frozen=True, kw_only=True):
    """What a paused run waits for.

    Attributes
    ----------
    since : str
        When the pause began.
    deadline : str
        When the pause ends without an answer.
    on_timeout : str
        What happens at the deadline.
    message : str or None
        What is asked, as Markdown.
    form : dict or None
        The JSON Schema of the answer.
    approvers : list of str
        Who may decide; empty for everyone who has a link, or may execute.
    required : int
        How many of them have to approve.
    waiting_for : list of str
        The approvers who have not answered yet.
    message_html : str or None
        The message as HTML that is safe to show.
    on_reject : str
        Whether a rejection ends the run, or lets it continue.
    approvals : list of Decider
        Who has approved so far.
    undelivered : dict of str to str
        Why an approver's email can't be sent, by address.
    resume_url, cancel_url : str or None
        Null for users who may not execute, and if the pause has no links.
    """

    kind: PauseKind
    step: str
    since: Time
    deadline: Time
    on_timeout: OnTimeout
    message: str | None
    form: dict[str, Any] | None
    approvers: list[str]
    required: Number
    waiting_for: list[str]
    message_html: str | None
    on_reject: OnReject
    approvals: list[Decider]
    undelivered: dict[str, str]
    resume_url: Url | None
    cancel_url: Url | None


class Decision(Struct, frozen=True, kw_only=True):
    """How a pause of a run was decided.

    Attributes
    ----------
    outcome : str
        ``approved`` in place of ``resumed`` if the pause has approvers.
    """

    step: str
    outcome: DecisionOutcome
    at: Time
    by: list[Decider]


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

    credits: Count
    compute_ms: Count
    paused_ms: Count


class Starter(Struct, frozen=True, kw_only=True):
    """By whom, and by what, a run was started.

    Attributes
    ----------
    name : str or None
        The person, if known.
    """

    name: str | None
    via: Via


class RunItem(Struct, frozen=True, kw_only=True):
    """A run in a list, without its event and exports.

    Attributes
    ----------
    id : str
        Ids sort by the time of the start.
    title : str or None
        One line: the subject of the newest email, else the first short values of the event.
    version : str
        The version of the workflow that the run was started with.
    version_number : int or None
        The number of that version; null if it is not known here.
    attempt : int
        How often the current execution has begun, or is about to.
    replay_of : str or None
        The run that this one repeats.
    started_by : Starter or None
        Null for runs of older versions.
    decisions : list of Decision
        The newest decided pauses, oldest first; at most 100.
    reason : str or None
        The reason that was given for the cancel or the early exit.
    """

    id: str
    title: str | None
    workflow_id: str
    workflow_name: str
    version: str
    version_number: Number | None
    status: RunStatus
    attempt: Number
    replay_of: str | None
    started_by: Starter | None
    steps: tuple[StepItem, ...]
    pause: Pause | None
    decisions: list[Decision]
    usage: Usage
    reason: str | None
    error: StepError | None
    created_at: Time
    updated_at: Time
    ended_at: Time | None


class Run(RunItem, frozen=True, kw_only=True):
    """A run with its event and exports.

    Attributes
    ----------
    event : JSON value
        The event that the run was started with; any JSON.
    """

    event: Any
    steps: tuple[Step, ...]


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """What happened to a run.

    Attributes
    ----------
    n : int
        The number of the entry.
    event : str
        ``start``, ``begin``, ``finish``, ``resume``, ``expire``, ``cancel``, ``requeue`` or
        ``lapse``.
    by : str or None
        The person, if known.
    via : str or None
        The way by which the event came.
    note : str or None
        One sentence more.
    """

    n: Number
    at: Time
    event: str
    step: str
    execution: Number
    attempt: Number
    by: str | None
    via: Via | None
    note: str | None


class RunChange(Struct, frozen=True, kw_only=True):
    """The data of a Jupyter event about a run that has changed, see ``server/run-event.yaml``.

    Attributes
    ----------
    step : str
        The step that is executed, waits or is next; the last step of a run that has ended.
    """

    run_id: str
    workflow_id: str
    workflow_name: str
    status: RunStatus
    step: str
    pause_kind: PauseKind | None
    deadline: Time | None
    updated_at: Time


class StatusCounts(Struct, frozen=True, kw_only=True):
    """Numbers of runs by status."""

    queued: Count
    running: Count
    paused: Count
    succeeded: Count
    failed: Count
    canceled: Count


class DayCounts(Struct, frozen=True, kw_only=True):
    """Numbers of runs that were created on one day, by what became of them.

    Attributes
    ----------
    active : int
        Runs that have not ended.
    """

    day: Day
    succeeded: Count
    failed: Count
    canceled: Count
    active: Count


class WorkflowCounts(Struct, frozen=True, kw_only=True):
    """Numbers of runs of one workflow.

    Attributes
    ----------
    id : str
        The workflow's id.
    name : str
        The workflow's name; its id if the workflow is gone.
    waiting : int
        Runs that are paused until a person or a request answers: in a ``suspend``.
    days : list of DayCounts
        Those of the last 14 days that have runs, oldest first.
    """

    id: str
    name: str
    statuses: StatusCounts
    waiting: Count
    days: list[DayCounts]


class RunCounts(Struct, frozen=True, kw_only=True):
    """Numbers of runs, of all workflows and of each.

    Attributes
    ----------
    waiting : int
        Runs that are paused until a person or a request answers: in a ``suspend``.
    workflows : list of WorkflowCounts
        Workflows that have runs, sorted by name; at most the 200 with the newest runs.
    """

    statuses: StatusCounts
    waiting: Count
    workflows: list[WorkflowCounts]


class RunFile(Struct, frozen=True, kw_only=True):
    """A file that a step has saved below ``pd.files``.

    Attributes
    ----------
    path : str
        The path below ``pd.files``, with forward slashes.
    size : int
        Number of bytes.
    """

    path: str
    size: Count
    modified_at: Time


# --- workflows, emails, the server ----------------------------------------------------


class Workflow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a workflow, the newest one unless another is asked for.

    Attributes
    ----------
    id : str
        A slug of the notebook's path.
    name : str
        The notebook's file name without ``.ipynb``.
    version : str
        A hash of the setup, the steps, their local modules and the kernel's name.
    number : int
        1 for the version that was first deployed, 2 for the second, and so on.
    steps : list of str
        The names of the steps, in order.
    created_at : str
        When the version was first deployed.
    warnings : list of str
        Only in the answer to a deploy, and only if there are any: one sentence for each import
        whose local module is only known when the import runs.
    """

    id: str
    name: str
    version: str
    number: Number
    path: str
    steps: Annotated[list[str], Meta(min_length=1)]
    created_at: Time
    warnings: list[str] = []


class VersionItem(Struct, frozen=True, kw_only=True):
    """A version in the list of a workflow's versions.

    Attributes
    ----------
    created_at : str
        When the version was first deployed.
    current : bool
        Whether new runs use it.
    """

    version: str
    number: Number
    created_at: Time
    current: bool


class StepSource(Struct, frozen=True, kw_only=True):
    """The code of a step.

    Attributes
    ----------
    source : str
        The step's cell below its first line.
    """

    name: str
    source: str


class ModuleSource(Struct, frozen=True, kw_only=True):
    """The code of a local module.

    Attributes
    ----------
    path : str
        Its path, relative to the notebook's folder.
    """

    name: str
    path: str
    source: str


class VersionSource(Struct, frozen=True, kw_only=True):
    """The code of a version.

    Attributes
    ----------
    kernel_name : str
        The name of the notebook's kernelspec.
    queue : str
        The queue that runs wait in.
    setup : list of str
        The setup cells, in order.
    steps : list of StepSource
        The steps, in order.
    modules : list of ModuleSource
        The local modules that are imported, sorted by name.
    """

    kernel_name: str
    queue: str
    setup: list[str]
    steps: list[StepSource]
    modules: list[ModuleSource]


class Version(Workflow, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a workflow with its code."""

    source: VersionSource


class Deployment(Struct, frozen=True, kw_only=True):
    """What the server knows about a notebook, as it is saved now.

    Attributes
    ----------
    workflow : Workflow or None
        The newest version; null if the notebook is not deployed.
    version : str or None
        The version that a deploy would make; null if the notebook can't be deployed.
    edited : bool
        Whether the notebook, or a local module that it imports, differs from the newest version.
    problem : str or None
        Why the notebook can't be deployed. Only a deploy checks that the kernel works.
    """

    path: str
    workflow: Workflow | None
    version: str | None
    edited: bool
    problem: str | None


class Email(Struct, frozen=True, kw_only=True):
    """An email of a step.

    Attributes
    ----------
    status : str
        ``sent``: to all recipients. ``failed``: at least one recipient did not get it, and
        ``error`` names the recipients and the cause. ``kept``: no SMTP server is configured.
    """

    id: str
    run_id: str
    step: str
    to: list[str]
    subject: str
    text: str
    html: str | None
    status: EmailStatus
    error: str | None
    created_at: Time


class Worker(Struct, frozen=True, kw_only=True):
    """A process that executes steps.

    Attributes
    ----------
    queues : list of str
        The queues that it takes runs from.
    kernels : int
        Maximum number of its kernels.
    busy : int
        Number of steps that it executes now.
    seen_at : str
        When it has last reported.
    """

    name: str
    host: str
    queues: list[str]
    kernels: Count
    busy: Count
    seen_at: Time


class Health(Struct, frozen=True, kw_only=True):
    """The state of the server and its workers.

    Attributes
    ----------
    status : str
        ``unavailable`` if the store can't be used.
    store : str
        The kind of the store.
    queued, running, paused : int
        Number of runs with that status.
    oldest_queued_at : str or None
        Since when the first of the queued runs waits.
    """

    status: Literal["ok", "unavailable"]
    store: str
    workers: list[Worker]
    queued: Count
    running: Count
    paused: Count
    oldest_queued_at: Time | None


# --- errors and answers of links ------------------------------------------------------


class Error(Struct, frozen=True, kw_only=True):
    """Why a request was refused.

    Attributes
    ----------
    message : str
        A message for people.
    reason : str
        A name for programs, such as ``not_found``.
    """

    message: str
    reason: str


class FieldError(Struct, frozen=True, kw_only=True):
    """What is wrong with one field of an answer.

    Attributes
    ----------
    field : str
        The name of the field; empty for the whole answer.
    """

    field: str
    message: str


class AnswerError(Error, frozen=True, kw_only=True):
    """An answer that does not match the form of its pause, which stays."""

    errors: list[FieldError]


class Counted(Struct, frozen=True, kw_only=True):
    """An approval that is counted, while more are required.

    Attributes
    ----------
    missing : int
        How many more have to approve.
    """

    status: Literal["counted"]
    missing: Number


class Acted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a link did.

    Attributes
    ----------
    message : str
        Only for links of test mode.
    """

    status: Literal["resumed", "rejected", "canceled", "accepted", "test"]
    workflow: str | None
    step: str | None
    message: str = ""


class Decided(Struct, frozen=True, kw_only=True):
    """How a pause was decided before its link was used.

    Attributes
    ----------
    status : str
        How the pause was decided. If the step did not pause: how the run ended, or ``not_paused``
        if it still runs.
    """

    message: str
    reason: Literal["already_decided"]
    status: Resolution
    decided_by: Actor | None
    decided_at: Time
    workflow: str
    step: str


# --- bodies of requests ---------------------------------------------------------------


class InboxItem(Struct, frozen=True, kw_only=True):
    """A pause that waits for the person who asks.

    Attributes
    ----------
    workflow : str
        The name of the workflow.
    message : str or None
        What is asked, as Markdown.
    message_html : str or None
        The message as HTML that is safe to show.
    form : dict or None
        The JSON Schema of the answer.
    decided : list of Decider
        Who has approved so far.
    undelivered : dict of str to str
        Why an approver's email can't be sent, by address.
    """

    run_id: str
    workflow: str
    step: str
    title: str | None
    message: str | None
    message_html: str | None
    form: dict[str, Any] | None
    since: Time
    deadline: Time
    on_timeout: OnTimeout
    approvers: list[str]
    required: Number
    decided: list[Decider]
    undelivered: dict[str, str]


class DeployBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request to deploy a notebook.

    Attributes
    ----------
    path : str
        The notebook's path in Jupyter's contents API.
    """

    path: str


class StartBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a request to start a run.

    Attributes
    ----------
    event : JSON value
        Any JSON. Steps read it from ``pd.steps["trigger"]["event"]``.
    by : str
        Whether a program, a person in Jupyter or the command line sends the request.
    """

    event: Any = field(default_factory=dict)
    by: Caller = "api"


class ResumeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a request to resume a run.

    Attributes
    ----------
    data : JSON value
        Any JSON. It is the ``body`` of the request that the step gets.
    note : str or None
        What the person adds.
    since : str or None
        The ``since`` of the pause that is meant. A later pause is not decided then (409).
    by : str
        Whether a program, a person in Jupyter or the command line sends the request.
    """

    data: Any = None
    note: Note | None = None
    since: Time | None = None
    by: Caller = "api"


class RejectBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a request to reject what a run asks.

    Attributes
    ----------
    note : str or None
        What the person adds.
    since : str or None
        The ``since`` of the pause that is meant. A later pause is not decided then (409).
    by : str
        Whether a program, a person in Jupyter or the command line sends the request.
    """

    note: Note | None = None
    since: Time | None = None
    by: Caller = "api"


class CancelBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a request to cancel a run.

    Attributes
    ----------
    reason : str or None
        The ``reason`` of the run.
    by : str
        Whether a program, a person in Jupyter or the command line sends the request.
    """

    reason: Reason | None = None
    by: Caller = "api"
