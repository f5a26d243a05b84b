"""Makes the API's answers: runs, workflows, emails, files, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http.client import responses
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct, convert
from msgspec.structs import asdict
from tornado.web import HTTPError

from jupyter_pdflow import models
from jupyter_pdflow.exceptions import InvalidAnswerError, PDFlowError
from jupyter_pdflow.mail.asks import PERSONAL_LINK, with_text
from jupyter_pdflow.markdown import to_html
from jupyter_pdflow.rules.approvals import ask_of
from jupyter_pdflow.rules.decisions import VIA, decision_message, timestamp
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.pauses import Decider, Decision, Pause, Resolution
from jupyter_pdflow.rules.run import STATUSES, Error, Run, Starter, Step
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.server.health import Snapshot
from jupyter_pdflow.stores import (
    Email,
    PauseSummary,
    RunSummary,
    StepSummary,
    VersionSummary,
    WorkerState,
)
from jupyter_pdflow.stores.counts import Counts, DayCounts
from jupyter_pdflow.stores.folders import RunFile

Model = TypeVar("Model", bound=Struct)

LinksFor: TypeAlias = Callable[[str, str, int], tuple[str, str]]
"""Returns the resume and the cancel URL of a run's id, a step and its execution."""

Numbers: TypeAlias = Mapping[tuple[str, str], int]
"""The numbers of versions, by the workflow's id and the version's hash."""

OUTCOMES: dict[Resolution, models.DecisionOutcome] = {
    "approved": "approved",
    "resumed": "resumed",
    "rejected": "rejected",
    "canceled": "canceled",
    "timed_out": "timed_out",
}
"""The outcomes of pauses. The other resolutions are of executions that did not pause."""

LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""About the latest time that a datetime can hold."""

REASONS = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    503: "unavailable",
}
"""The ``reason`` of an error of Tornado or Jupyter, by HTTP status."""


# --- runs ---


def run_view(run: Run, links_for: LinksFor, numbers: Numbers) -> models.Run:
    """Return a run with its event and its steps' exports."""
    steps = tuple(_extended(models.Step, _step(step), exports=step.exports) for step in run.steps)
    item = run_item(run, links_for, numbers)
    return _extended(models.Run, item, event=run.event, steps=steps)


def run_item(run: Run | RunSummary, links_for: LinksFor, numbers: Numbers) -> models.RunItem:
    """Return a run as a list shows it, without its event and its steps' exports."""
    return models.RunItem(
        id=run.id,
        title=run.title,
        workflow_id=run.workflow_id,
        workflow_name=run.workflow_name,
        version=run.version,
        version_number=numbers.get((run.workflow_id, run.version)),
        status=run.status,
        attempt=run.attempt,
        replay_of=None,
        started_by=_starter(run.started_by),
        steps=tuple(map(_step, run.steps)),
        pause=_pause(run.id, run.pause, links_for),
        decisions=[_decision(each) for each in run.decisions if each.resolution in OUTCOMES],
        usage=models.Usage(
            credits=run.usage.credits,
            compute_ms=run.usage.compute_ms,
            paused_ms=run.usage.paused_ms,
        ),
        reason=run.reason,
        error=_error(run.error),
        created_at=timestamp(run.created_at),
        updated_at=timestamp(run.updated_at),
        ended_at=_optional_timestamp(run.ended_at),
    )


def run_items(
    runs: Iterable[RunSummary], links_for: LinksFor, numbers: Numbers
) -> list[models.RunItem]:
    """Return runs as a list shows them."""
    return [run_item(run, links_for, numbers) for run in runs]


def _extended(kind: type[Model], item: Struct, **more: Any) -> Model:
    """Return a record of a subclass of the item's class: its fields, and more."""
    return kind(**{**asdict(item), **more})


def _step(step: Step | StepSummary) -> models.StepItem:
    return models.StepItem(
        name=step.name,
        status=step.status,
        runs=step.runs,
        attempts=step.attempts,
        error=_error(step.error),
        started_at=_optional_timestamp(step.started_at),
        ended_at=_optional_timestamp(step.ended_at),
    )


def _pause(
    run_id: str, pause: Pause | PauseSummary | None, links_for: LinksFor
) -> models.Pause | None:
    if pause is None:
        return None
    resume_url, cancel_url = links_for(run_id, pause.step, pause.execution)
    ask = ask_of(pause)
    return models.Pause(
        kind=pause.kind,
        step=pause.step,
        since=timestamp(pause.since),
        deadline=timestamp(pause.deadline),
        on_timeout=pause.on_timeout,
        message=ask.message,
        message_html=None if ask.message is None else to_html(ask.message),
        form=ask.form,
        approvers=list(ask.approvers),
        required=ask.required,
        waiting_for=list(pause.waiting_for),
        on_reject=ask.on_reject,
        approvals=list(map(_decider, pause.approvals)),
        undelivered=pause.undelivered,
        resume_url=resume_url,
        cancel_url=cancel_url,
    )


def _decision(decision: Decision) -> models.Decision:
    deciders = list(map(_decider, decision.deciders))
    if not deciders and decision.by is not None:  # of an older version
        deciders = [_decider(Decider(via=decision.by, at=decision.at))]
    outcome = OUTCOMES[decision.resolution]
    return models.Decision(
        step=decision.step, outcome=outcome, at=timestamp(decision.at), by=deciders
    )


def _decider(decider: Decider) -> models.Decider:
    return models.Decider(
        name=decider.name,
        via=VIA[decider.via],
        verified=decider.verified,
        at=timestamp(decider.at),
        note=decider.note,
    )


def inbox_item(run: RunSummary) -> models.InboxItem:
    """Return a paused run as an inbox shows it."""
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: an inbox has paused runs
    ask = ask_of(pause)
    return models.InboxItem(
        run_id=run.id,
        workflow=run.workflow_name,
        step=pause.step,
        title=run.title,
        message=ask.message,
        message_html=None if ask.message is None else to_html(ask.message),
        form=ask.form,
        since=timestamp(pause.since),
        deadline=timestamp(pause.deadline),
        on_timeout=pause.on_timeout,
        approvers=list(ask.approvers),
        required=ask.required,
        decided=list(map(_decider, pause.approvals)),
        undelivered=pause.undelivered,
    )


def _starter(starter: Starter | None) -> models.Starter | None:
    return models.Starter(name=starter.name, via=VIA[starter.via]) if starter else None


def _error(error: Error | None) -> models.StepError | None:
    if error is None:
        return None
    return models.StepError(
        message=f"{error.ename}: {error.evalue}" if error.evalue else error.ename,
        ename=error.ename,
        evalue=error.evalue,
        traceback=error.traceback,
        step=error.step,
    )


def _optional_timestamp(at: datetime | None) -> str | None:
    return timestamp(at) if at else None


def run_counts(counts: Counts) -> models.RunCounts:
    """Return numbers of runs."""
    listed = [(one, counts.workflows[one]) for one in counts.listed()]
    listed.sort(key=lambda pair: (pair[1].name.casefold(), pair[0]))
    return models.RunCounts(
        statuses=_statuses(counts.statuses),
        waiting=counts.waiting,
        workflows=[
            models.WorkflowCounts(
                id=workflow_id,
                name=workflow.name,
                statuses=_statuses(workflow.statuses),
                waiting=workflow.waiting,
                days=list(map(_day, workflow.days)),
            )
            for workflow_id, workflow in listed
        ],
    )


def _statuses(counts: dict[str, int]) -> models.StatusCounts:
    return models.StatusCounts(**{status: counts.get(status, 0) for status in STATUSES})


def _day(counts: DayCounts) -> models.DayCounts:
    return models.DayCounts(**{**counts._asdict(), "day": counts.day.isoformat()})


# --- workflows, emails, files, history ---


def workflow_view(workflow: Workflow, warnings: list[str] | None = None) -> models.Workflow:
    """Return a workflow with the names of its steps, and the warnings of its deploy."""
    return models.Workflow(
        id=workflow.id,
        name=workflow.name,
        version=workflow.version,
        number=workflow.number,
        path=workflow.path,
        steps=workflow.step_names,
        created_at=timestamp(workflow.created_at),
        warnings=warnings or [],
    )


def version_item(version: VersionSummary) -> models.VersionItem:
    """Return a version as a list shows it."""
    return models.VersionItem(
        version=version.version,
        number=version.number,
        created_at=timestamp(version.created_at),
        current=version.current,
    )


def version_view(workflow: Workflow) -> models.Version:
    """Return a version of a workflow with its code."""
    source = convert(workflow.source, models.VersionSource, from_attributes=True)
    return _extended(models.Version, workflow_view(workflow), source=source)


def email_view(email: Email) -> models.Email:
    """Return an email with its status, without the links of one to an approver."""
    if email.ask is not None:
        email = with_text(email, email.ask, PERSONAL_LINK, PERSONAL_LINK)
    return models.Email(
        id=email.id,
        run_id=email.run_id,
        step=email.step,
        to=email.to,
        subject=email.subject,
        text=email.text,
        html=email.html,
        status=email.status,
        error=email.error,
        created_at=timestamp(email.created_at),
    )


def file_view(file: RunFile) -> models.RunFile:
    """Return a file of a run."""
    # A step can set a file's time to any number of seconds.
    seconds = min(max(file.modified, 0.0), LAST_SECOND)
    modified_at = timestamp(datetime.fromtimestamp(seconds, UTC))
    return models.RunFile(path=file.path, size=file.size, modified_at=modified_at)


def history_view(number: int, entry: HistoryEntry) -> models.HistoryEntry:
    """Return an entry of a run's history."""
    return models.HistoryEntry(
        n=number,
        at=timestamp(entry.at),
        event=entry.event,
        step=entry.step,
        execution=entry.execution,
        attempt=entry.attempt,
        by=entry.by,
        via=None if entry.via is None else VIA[entry.via],
        note=entry.note,
    )


def health_view(snapshot: Snapshot) -> models.Health:
    """Return how the server and its workers are doing."""
    return models.Health(
        status="ok" if snapshot.available else "unavailable",
        store=snapshot.store,
        workers=[_worker(worker) for worker in snapshot.workers],
        queued=snapshot.runs.get("queued", 0),
        running=snapshot.runs.get("running", 0),
        paused=snapshot.runs.get("paused", 0),
        oldest_queued_at=_optional_timestamp(snapshot.oldest_queued_at),
    )


def _worker(worker: WorkerState) -> models.Worker:
    return models.Worker(
        name=worker.name,
        host=worker.host,
        queues=worker.queues,
        kernels=worker.kernels,
        busy=worker.busy,
        seen_at=timestamp(worker.seen_at),
    )


def decision_view(decision: Decision, workflow_name: str) -> models.Decided:
    """Return how a pause was decided, for the answer to a link that was used too late."""
    ended = decision.resolution == "rejected" and not decision.continued
    return models.Decided(
        message=decision_message(decision),
        reason="already_decided",
        status="canceled" if ended else decision.resolution,
        decided_by=decision.by,
        decided_at=timestamp(decision.at),
        workflow=workflow_name,
        step=decision.step,
    )


# --- errors ---


def error_response(status: int, error: BaseException | None) -> tuple[int, models.Error]:
    """Return the status and the body of the answer to a request that failed.

    Parameters
    ----------
    status : int
        The status that Tornado would answer with.
    error : BaseException or None
        The exception that ended the request.
    """
    if isinstance(error, InvalidAnswerError):
        errors = [
            models.FieldError(field=each.field, message=each.message) for each in error.errors
        ]
        invalid = models.AnswerError(message=str(error), reason=error.reason, errors=errors)
        return error.status, invalid
    if isinstance(error, PDFlowError):
        return error.status, models.Error(message=str(error), reason=error.reason)
    if isinstance(error, OSError):
        message = (
            f"The data directory can't be used: {error.strerror or error}. Nothing was changed."
        )
        return 503, models.Error(message=message, reason="storage")
    if isinstance(error, HTTPError):
        message = _log_message(error) or responses.get(status, "Error")
    else:
        message = "Something went wrong in the server; its log has the details."
    return status, models.Error(message=message, reason=REASONS.get(status, "error"))


def _log_message(error: HTTPError) -> str:
    # Tornado doubles the percent signs of a message without arguments, so format it always.
    return error.log_message % error.args if error.log_message else ""
