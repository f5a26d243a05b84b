"""What cells show where widgets are not drawn: plain text, and HTML that says the same.

Notebooks are shared. So links are never written here, and their secrets are removed from exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, TypeAlias

from jupyter_pdflow.formatting import (
    ask_lines,
    format_duration,
    local_time,
    run_state,
    short_json,
    step_state,
    without_secrets,
)
from jupyter_pdflow.models import Pause, Run, RunItem
from jupyter_pdflow.pd.exports import tree_html
from jupyter_pdflow.rules.run import EmailRequest

Fallback: TypeAlias = tuple[str, str]
"""Plain text, and HTML that says the same."""

NO_RUNS = (
    "There is no production run yet; start one with `%pdflow run`, or with an event: "
    '`%pdflow run {"name": "value"}`.'
)
_CELL_STYLE = "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0"
_WRAP = "white-space:pre-wrap;overflow-wrap:anywhere"
_LINE = "1px solid var(--jp-border-color1,#8888)"


def exports_fallback(step: str, exports: dict[str, Any]) -> Fallback:
    """Return a step's exports as text, with a line for each, and as an HTML tree."""
    title = f"Exports of step {step}"
    text = [f"{title}:", *(f"  {name} = {short_json(value)}" for name, value in exports.items())]
    return "\n".join(text), tree_html(exports, title)


def event_fallback(event: Any) -> Fallback:
    """Return the event of test mode as text and as an HTML tree."""
    title = "Event of test mode"
    return f"{title}: {short_json(event)}", tree_html(event, title)


def email_fallback(email: EmailRequest) -> Fallback:
    """Return an email of test mode as text and HTML; scripts in its HTML part can't run."""
    parts = [("To", ", ".join(email.to) or "(the configured owner)"), ("Subject", email.subject)]
    html_part = [] if email.html is None else ["", "HTML part:", email.html]
    lines = [f"  {name}: {value}" for name, value in parts]
    text = ["Email (not sent in test):", *lines, "", email.text, *html_part]
    head = "".join(f"<div><b>{name}:</b> {escape(value)}</div>" for name, value in parts)
    html = (
        f'<div style="border:{_LINE};border-radius:4px;padding:0.5em 1em;max-width:50em">'
        f"<div><i>Email (not sent in test)</i></div>{head}"
        f'<pre style="{_WRAP}">{escape(email.text)}</pre>{_framed(email.html)}</div>'
    )
    return "\n".join(text).rstrip(), html


def _framed(html: str | None) -> str:
    if html is None:
        return ""
    return (
        f'<iframe sandbox="" srcdoc="{escape(html)}" title="HTML part of the email" '
        f'style="width:100%;height:16em;border:{_LINE};background:white"></iframe>'
    )


def run_fallback(run: Run) -> Fallback:
    """Return a run and its steps."""
    title = f"Run {run.id} of {run.workflow_name}: {run_state(run)}"
    rows = [(step.name, step_state(step)) for step in run.steps]
    end, asked = _usage(run), _asked(run.pause)
    text = [title, *(f"  {name}: {state}" for name, state in rows), *filter(None, [asked]), end]
    table = _table(("Step", "State"), ((_bold(name), escape(state)) for name, state in rows))
    exports = {step.name: step.exports for step in run.steps if step.exports}
    tree = tree_html(_redacted(exports), "Exports") if exports else ""
    start = f"<p>{escape(title)}</p>{_paragraph(asked)}{table}"
    html = f"{start}{_collapsed(tree)}<p><small>{escape(end)}</small></p>"
    return "\n".join(text), html


def step_fallback(run: Run, name: str) -> Fallback:
    """Return one step of a run."""
    step = next(step for step in run.steps if step.name == name)
    is_paused = run.pause is not None and run.pause.step == name
    state = run_state(run) if is_paused else step_state(step)
    title = f"Step {name} in run {run.id} of {run.workflow_name}: {state}"
    exports = _redacted(step.exports)
    text, html = exports_fallback(name, exports) if exports else ("", "")
    end, asked = _as_of(run), _asked(run.pause if is_paused else None)
    html = f"<p>{escape(title)}</p>{_paragraph(asked)}{html}<p><small>{escape(end)}</small></p>"
    return "\n".join(filter(None, [title, asked, text, end])), html


def latest_step_fallback(run: Run | None, name: str) -> Fallback:
    """Return one step of a workflow's latest run; also if there is no run, or no such step."""
    if run is None:
        text = NO_RUNS
    elif name not in [step.name for step in run.steps]:
        text = f"The latest production run, {run.id}, has no step {name}."
    else:
        return step_fallback(run, name)
    return text, _paragraph(text)


def runs_fallback(runs: Sequence[RunItem], empty: str = NO_RUNS) -> Fallback:
    """Return runs as a table, in the order given, or the text `empty` if there are none."""
    if not runs:
        return empty, f"<p>{escape(empty)}</p>"
    rows = [(run.id, run.workflow_name, run_state(run), local_time(run.created_at)) for run in runs]
    text = "\n".join("  ".join(row) for row in rows)
    cells = ((f"<code>{escape(first)}</code>", *map(escape, rest)) for first, *rest in rows)
    return text, _table(("Run", "Workflow", "State", "Started"), cells)


def _asked(pause: Pause | None) -> str:
    """Return what a pause asks, without the secrets of links; empty if it asks nothing."""
    return without_secrets("\n".join(ask_lines(pause)), "…") if pause else ""


def _paragraph(text: str) -> str:
    return f'<p style="{_WRAP}">{escape(text)}</p>' if text else ""


def _usage(run: RunItem) -> str:
    usage = run.usage
    credit = "credit" if usage.credits == 1 else "credits"
    paused = format_duration(timedelta(milliseconds=usage.paused_ms))
    return f"{usage.credits} {credit}, {paused} paused; {_as_of(run, 'as of')}"


def _as_of(run: RunItem, start: str = "As of") -> str:
    last = "its end" if run.status in ("succeeded", "failed", "canceled") else "last change"
    now = local_time(datetime.now(UTC).isoformat())
    return f"{start} {now} ({last}: {local_time(run.updated_at)})"


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
