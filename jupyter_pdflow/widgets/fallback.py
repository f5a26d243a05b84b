"""Runs and steps as text and HTML, for terminals, converters and pages without widgets.

A link of a run lets its holder resume or cancel that run, and notebooks are shared. So links are
never written here, and their secrets are removed from exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, TypeAlias

from jupyter_pdflow.formatting import (
    Fallback,
    elapsed,
    exports_fallback,
    format_duration,
    local_time,
    pause_text,
    without_secrets,
)
from jupyter_pdflow.pd.exports import tree_html

View: TypeAlias = dict[str, Any]
"""A run, a step or a workflow, as the API shows it."""

NO_RUNS = "There is no production run yet; start one with `%pdflow run`."
_CELL_STYLE = "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0"


def run_fallback(run: View) -> Fallback:
    """Return a run and its steps."""
    title = f"Run {run['id']} of {run['workflow_name']}: {run_state(run)}"
    rows = [(step["name"], step_state(step)) for step in run["steps"]]
    end = _usage(run)
    text = [title, *(f"  {name}: {state}" for name, state in rows), end]
    table = _table(("Step", "State"), ((_bold(name), escape(state)) for name, state in rows))
    exports = {step["name"]: step["exports"] for step in run["steps"] if step.get("exports")}
    tree = tree_html(_redacted(exports), "Exports") if exports else ""
    html = f"<p>{escape(title)}</p>{table}{_collapsed(tree)}<p><small>{escape(end)}</small></p>"
    return "\n".join(text), html


def step_fallback(run: View, name: str) -> Fallback:
    """Return one step of a run."""
    step = next(step for step in run["steps"] if step["name"] == name)
    is_paused = run["pause"] is not None and run["pause"]["step"] == name
    state = run_state(run) if is_paused else step_state(step)
    title = f"Step {name} in run {run['id']} of {run['workflow_name']}: {state}"
    exports = _redacted(step.get("exports") or {})
    text, html = exports_fallback(name, exports) if exports else ("", "")
    end = _as_of(run)
    html = f"<p>{escape(title)}</p>{html}<p><small>{escape(end)}</small></p>"
    return "\n".join(filter(None, [title, text, end])), html


def runs_fallback(runs: Sequence[View], empty: str = NO_RUNS) -> Fallback:
    """Return runs as a table, in the order given, or the text `empty` if there are none."""
    if not runs:
        return empty, f"<p>{escape(empty)}</p>"
    rows = [
        (run["id"], run["workflow_name"], run_state(run), local_time(run["created_at"]))
        for run in runs
    ]
    text = "\n".join("  ".join(row) for row in rows)
    cells = ((f"<code>{escape(first)}</code>", *map(escape, rest)) for first, *rest in rows)
    return text, _table(("Run", "Workflow", "State", "Started"), cells)


def run_state(run: View) -> str:
    """Return a run's status, with what it waits for or why it ended."""
    if run["pause"]:
        return f"paused at step {run['pause']['step']}: {pause_text(run['pause'])}"
    if run["error"]:
        return f"{run['status']}: {run['error']['message']}"
    return f"{run['status']}: {run['reason']}" if run["reason"] else str(run["status"])


def step_state(step: View) -> str:
    """Return a step's status, with its time and its error."""
    text = str(step["status"])
    if step["runs"] > 1:
        text += f", run {step['runs']}"
    if step["ended_at"]:
        text += f" after {format_duration(elapsed(step))}"
    elif step["started_at"]:
        text += f" since {local_time(step['started_at'])}"
    return f"{text}: {step['error']['message']}" if step["error"] else text


def _usage(run: View) -> str:
    usage = run["usage"]
    credit = "credit" if usage["credits"] == 1 else "credits"
    paused = format_duration(timedelta(milliseconds=usage["paused_ms"]))
    return f"{usage['credits']} {credit}, {paused} paused; {_as_of(run, 'as of')}"


def _as_of(run: View, start: str = "As of") -> str:
    last = "its end" if run["status"] in ("succeeded", "failed", "canceled") else "last change"
    now = local_time(datetime.now(UTC).isoformat())
    return f"{start} {now} ({last}: {local_time(run['updated_at'])})"


def _redacted(value: Any) -> Any:
    """Return a JSON value without the secrets of links that a step has exported."""
    if isinstance(value, str):
        return without_secrets(value, "…")
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def _bold(text: str) -> str:
    return f"<b>{escape(text)}</b>"


def _collapsed(tree: str) -> str:
    return tree.replace("<details open", "<details", 1)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; the cells are HTML already."""
    head = "".join(f'<th scope="col" style="{_CELL_STYLE}">{name}</th>' for name in headings)
    lines = (
        "<tr>" + "".join(f'<td style="{_CELL_STYLE}">{cell}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
