"""What the API shows of workflows, runs and mails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from jupyter_pdflow.mail.message import Email
from jupyter_pdflow.rules.run import Decision, Error, Pause, Run, Step
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.store.folders import RunFile
from jupyter_pdflow.store.summaries import PauseSummary, RunSummary, StepSummary

View: TypeAlias = dict[str, Any]
LinksFor: TypeAlias = Callable[[str, str, int], tuple[str, str]]
LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def stamp(at: datetime) -> str:
    """Write an instant as RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def workflow_view(workflow: Workflow) -> View:
    """Show a workflow: id, name, version, path and the names of its steps."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "version": workflow.version,
        "path": workflow.path,
        "steps": workflow.step_names,
        "created_at": stamp(workflow.created_at),
    }


def run_view(run: Run, links_for: LinksFor) -> View:
    """Show a run whole."""
    view = run_item(run, links_for)
    steps = [{**_step(step), "exports": step.exports} for step in run.steps]
    return {**view, "event": run.event, "steps": steps}


def run_item(run: Run | RunSummary, links_for: LinksFor) -> View:
    """Show a run in a list: without its event and its steps' exports."""
    return {
        "id": run.id,
        "workflow_id": run.workflow_id,
        "workflow_name": run.workflow_name,
        "version": run.version,
        "status": run.status,
        "steps": [_step(step) for step in run.steps],
        "pause": _pause(run, run.pause, links_for) if run.pause else None,
        "usage": {
            "credits": run.usage.credits,
            "compute_ms": run.usage.compute_ms,
            "paused_ms": run.usage.paused_ms,
        },
        "error": _error(run.error),
        "reason": run.reason,
        "created_at": stamp(run.created_at),
        "updated_at": stamp(run.updated_at),
    }


def mail_view(email: Email) -> View:
    """Show a mail and what became of it."""
    return {
        "id": email.id,
        "run_id": email.run_id,
        "step": email.step,
        "to": email.to,
        "subject": email.subject,
        "text": email.text,
        "html": email.html,
        "status": email.status,
        "error": email.error,
        "created_at": stamp(email.created_at),
    }


def file_view(file: RunFile) -> View:
    """Show a file of a run; its time may be any, as a step can set it."""
    seconds = min(max(file.modified, 0.0), LAST_SECOND)
    modified_at = stamp(datetime.fromtimestamp(seconds, UTC))
    return {"path": file.path, "size": file.size, "modified_at": modified_at}


def decision_view(decision: Decision, workflow_name: str) -> View:
    """Show how a pause was settled, for a link that comes too late."""
    return {
        "status": decision.how,
        "decided_by": decision.by,
        "decided_at": stamp(decision.at),
        "workflow": workflow_name,
        "step": decision.step,
    }


def _step(step: Step | StepSummary) -> View:
    return {
        "name": step.name,
        "status": step.status,
        "runs": step.runs,
        "error": _error(step.error),
        "started_at": _maybe(step.started_at),
        "ended_at": _maybe(step.ended_at),
    }


def _pause(run: Run | RunSummary, pause: Pause | PauseSummary, links_for: LinksFor) -> View:
    resume_url, cancel_url = links_for(run.id, pause.step, pause.execution)
    return {
        "kind": pause.kind,
        "step": pause.step,
        "deadline": stamp(pause.deadline),
        "resume_url": resume_url,
        "cancel_url": cancel_url,
    }


def _error(error: Error | None) -> View | None:
    if error is None:
        return None
    return {
        "message": f"{error.ename}: {error.evalue}" if error.evalue else error.ename,
        "ename": error.ename,
        "evalue": error.evalue,
        "traceback": error.traceback,
        "step": error.step,
    }


def _maybe(at: datetime | None) -> str | None:
    return stamp(at) if at else None
