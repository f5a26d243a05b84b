"""What the API answers: runs, workflows, emails, errors, and a run as a notebook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http.client import responses
from typing import Any, TypeAlias

import nbformat
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.mail.message import Email
from jupyter_pdflow.rules.run import Decision, Error, Pause, Run, Step
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.stores.base import PauseSummary, RunSummary, StepSummary
from jupyter_pdflow.stores.tinydb.folders import RunFile

REASONS = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    503: "unavailable",
}


def error_answer(status: int, error: BaseException | None) -> tuple[int, dict[str, Any]]:
    """Tell the status and the body of the answer to a request that failed.

    Parameters
    ----------
    status : int
        The status that Tornado would answer with.
    error : BaseException or None
        What went wrong.
    """
    if isinstance(error, PDFlowError):
        return error.status, {"message": str(error), "reason": error.reason}
    if isinstance(error, OSError):
        words = f"The data directory can't be used: {error.strerror or error}. Nothing was changed."
        return 503, {"message": words, "reason": "storage"}
    if isinstance(error, HTTPError):
        words = _words(error) or responses.get(status, "Error")
        return status, {"message": words, "reason": REASONS.get(status, "error")}
    words = "Something went wrong in the server; its log says what."
    return status, {"message": words, "reason": REASONS.get(status, "error")}


def _words(error: HTTPError) -> str:
    # Tornado doubles the percent signs of a message without arguments.
    return error.log_message % error.args if error.log_message else ""


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
        "status": decision.resolution,
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


v4: Any = nbformat.v4
NOT_SHOWN = "[An output of this step is not one that a notebook can hold.]\n"


def executed_notebook(run: Run, workflow: Workflow, outputs: dict[str, list[Any]]) -> Any:
    """Write a run as a notebook: a header, the setup, and each step with its outputs.

    Parameters
    ----------
    run : Run
        The run.
    workflow : Workflow
        The version of the workflow that the run was started with.
    outputs : dict
        Outputs as nbformat has them, by step name.
    """
    source = workflow.source
    cells = [v4.new_markdown_cell(_header(run, workflow))]
    cells += [v4.new_code_cell(text, metadata={"tags": ["setup"]}) for text in source.setup]
    for step in source.steps:
        cells.append(
            v4.new_code_cell(
                f"%%step {step.name}\n{step.source}", outputs=_nodes(outputs, step.name)
            )
        )
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return v4.new_notebook(cells=cells, metadata=_metadata(run, workflow))


def written(notebook: Any) -> str:
    """Write a notebook as the text of an ``.ipynb`` file; raises what `nbformat.writes` does."""
    text: str = v4.writes(notebook)
    return text


def _header(run: Run, workflow: Workflow) -> str:
    rows = {
        "Run": f"`{run.id}`",
        "Version": f"`{run.version}`",
        "Notebook": f"`{workflow.path}`",
        "Status": run.status,
        "Started": stamp(run.created_at),
        "Ended" if run.ended else "Last change": stamp(run.ended_at or run.updated_at),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"# {run.workflow_name}\n\n| | |\n|---|---|\n{table}\n"


def _metadata(run: Run, workflow: Workflow) -> dict[str, Any]:
    kernel = workflow.source.kernel_name
    return {
        "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
        "language_info": {"name": "python"},
        "pdflow": {
            "run_id": run.id,
            "workflow_id": run.workflow_id,
            "version": run.version,
            "status": run.status,
        },
    }


def _nodes(outputs: dict[str, list[Any]], step: str) -> list[Any]:
    return [_node(output) for output in outputs.get(step, [])]


def _node(output: Any) -> Any:
    """Return an output as nbformat has it; one that is none does not cost the others."""
    from_dict: Any = nbformat.from_dict
    node = from_dict(output)
    if isinstance(node, dict) and _is_valid(node):
        return node
    return v4.new_output("stream", name="stderr", text=NOT_SHOWN)


def _is_valid(node: dict[str, Any]) -> bool:
    try:
        nbformat.validate(node, ref="output", version=4)
    except (nbformat.ValidationError, RecursionError):
        return False
    return True
