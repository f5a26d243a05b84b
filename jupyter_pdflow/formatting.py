"""How statuses, times, durations and runs read, as text and HTML, for the CLI and widgets alike.

A link of a run lets its holder resume or cancel that run, and notebooks are shared. So links are
never written here, and their secrets are removed from exports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, TypeAlias

from jupyter_pdflow.models import Pause, PauseKind, Run, RunFile, RunItem, StepItem
from jupyter_pdflow.pd.exports import tree_html
from jupyter_pdflow.rules.run import EmailRequest

Fallback: TypeAlias = tuple[str, str]
"""Plain text, and HTML that says the same."""

ENDED = ("succeeded", "failed", "canceled")
"""Statuses of runs that have ended."""

PAUSE_TEXTS: dict[PauseKind, str] = {
    "suspend": "waits for an answer, until",
    "rerun": "runs again at a request, or at",
    "delay": "continues at",
    "retry": "is tried again at",
}
COUNTDOWN_TEXTS: dict[PauseKind, str] = {
    "suspend": "waits for an answer,",
    "rerun": "runs again at a request, or in",
    "delay": "continues in",
    "retry": "is tried again in",
}
"""What a paused run waits for, by the kind of its pause; a time follows."""

VALUE_LIMIT = 500
"""Maximum number of characters of an export's JSON in plain text."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
"""Seconds of a minute, an hour and a day."""

_LINK = re.compile(r"(pdflow/+(?:resume|cancel)/+)[^\s\"'<>?#&]+", re.IGNORECASE)
_WRAP = "white-space:pre-wrap;overflow-wrap:anywhere"
_LINE = "1px solid var(--jp-border-color1,#8888)"


# --- runs, steps and pauses -----------------------------------------------------------


def changed_lines(before: Run | None, after: Run) -> list[str]:
    """Return lines about the steps that have changed since the run was read last.

    Parameters
    ----------
    before : Run or None
        The run as the API returned it last; None at first.
    after : Run
        The run as the API returns it now.
    """
    earlier = before.steps if before else [None] * len(after.steps)
    lines: list[str] = []
    for old, new in zip(earlier, after.steps, strict=True):
        if old is None or (old.status, old.runs) != (new.status, new.runs):
            lines += _lines_of_change(new, after)
    return lines


def _lines_of_change(step: StepItem, run: RunItem) -> list[str]:
    if step.status in ("pending", "skipped"):
        return []
    lines = step_lines(step, run)
    return lines[:1] if is_repeated(step, run.pause) else lines


def is_repeated(step: StepItem, pause: Pause | None) -> bool:
    """Whether a pause is a later one of a rerun step, whose many links need not all be shown."""
    return pause is not None and pause.kind == "rerun" and step.runs > 1


def step_lines(step: StepItem, run: RunItem) -> list[str]:
    """Return the status of a step as a line; with its links, if the run is paused at it."""
    pause = run.pause
    if pause and pause.step == step.name:
        return [f"{_name_of(step)}: {pause_text(pause)}", *link_lines(pause)]
    return [f"{_name_of(step)}: {_status_text(step)}"]


def _name_of(step: StepItem) -> str:
    return f"{step.name} (run {step.runs})" if step.runs > 1 else step.name


def _status_text(step: StepItem) -> str:
    took = f" after {format_duration(elapsed(step))}" if step.ended_at else ""
    error = f": {step.error.message}" if step.error else ""
    return f"{step.status}{took}{error}"


def pause_text(pause: Pause) -> str:
    """Return what a paused run waits for, and until when."""
    return f"{PAUSE_TEXTS[pause.kind]} {local_time(pause.deadline)}"


def countdown_text(pause: Pause, now: datetime) -> str:
    """Return what a paused run waits for, and the time that is left."""
    left = format_duration(max(timedelta(), parse_time(pause.deadline) - now))
    after = " left" if pause.kind == "suspend" else ""
    return f"{COUNTDOWN_TEXTS[pause.kind]} {left}{after}"


def link_lines(pause: Pause) -> list[str]:
    """Return both links of a pause as lines, or no lines if the API has hidden the links."""
    if not pause.resume_url:
        return []
    return [f"  resume: {pause.resume_url}", f"  cancel: {pause.cancel_url}"]


def summary_line(run: RunItem) -> str:
    """Return the status of a run and what it has used, as one line."""
    usage = run.usage
    reason = f" ({run.reason})" if run.reason else ""
    credit = "credit" if usage.credits == 1 else "credits"
    return (
        f"Run {run.id} {run.status}{reason}: {usage.credits} {credit}, "
        f"{format_duration(timedelta(milliseconds=usage.compute_ms))} of computing, "
        f"{format_duration(timedelta(milliseconds=usage.paused_ms))} paused."
    )


def printed_lines(notebook: dict[str, Any]) -> list[str]:
    """Return the printed output of each step of an executed notebook as lines."""
    lines: list[str] = []
    for cell in notebook["cells"]:
        text = "".join(map(_text_of, cell.get("outputs", []))).rstrip()
        name = _joined(cell["source"]).partition("\n")[0].removeprefix("%%step ")
        if text:
            lines += [f"{name} printed:", *(f"  {line}" for line in text.splitlines())]
    return lines


def _text_of(output: dict[str, Any]) -> str:
    if "text" in output:
        return _joined(output["text"])
    shown = _joined(output.get("data", {}).get("text/plain", ""))
    return f"{shown}\n" if shown else ""


def _joined(text: str | list[str]) -> str:
    """Return a text of a notebook file, which may be a list of lines, as one str."""
    return text if isinstance(text, str) else "".join(text)


def file_lines(files: list[RunFile]) -> list[str]:
    """Return the path and size of each file that a run's steps have saved, as lines."""
    from rich.filesize import decimal

    return [f"file {file.path} ({decimal(file.size)})" for file in files]


def traceback_text(run: RunItem) -> str:
    """Return the traceback of a failed run, or its error's message; empty if it has not failed."""
    error = run.error
    if not error:
        return ""
    return "\n".join(error.traceback) or error.message


# --- times ----------------------------------------------------------------------------


def elapsed(step: StepItem, now: datetime | None = None) -> timedelta:
    """Return the time from the start of a step to its end, or to `now` if it has not ended."""
    if not step.started_at:
        return timedelta()
    end = parse_time(step.ended_at) if step.ended_at else now or datetime.now(UTC)
    return max(timedelta(), end - parse_time(step.started_at))


def parse_time(text: str) -> datetime:
    """Return a time of the API as a datetime."""
    return datetime.fromisoformat(text)


def local_time(text: str) -> str:
    """Return a time of the API in the local time zone."""
    return f"{parse_time(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def format_duration(time: timedelta) -> str:
    """Return a duration as text: ``120 ms``, ``3.2 s``, ``5 min 10 s``, ``2 days 3 h``."""
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


# --- text with HTML -------------------------------------------------------------------


def exports_fallback(step: str, exports: dict[str, Any]) -> Fallback:
    """Return a step's exports as text, with a line for each, and as an HTML tree."""
    title = f"Exports of step {step}"
    text = [f"{title}:", *(f"  {name} = {_short(value)}" for name, value in exports.items())]
    return "\n".join(text), tree_html(exports, title)


def event_fallback(event: Any) -> Fallback:
    """Return the event of test mode as text and as an HTML tree."""
    title = "Event of test mode"
    return f"{title}: {_short(event)}", tree_html(event, title)


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


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text):,} characters)"


def without_secrets(text: str, mark: str) -> str:
    """Return the text with `mark` in place of the token of each link to resume or cancel."""
    return _LINK.sub(lambda link: f"{link[1]}{mark}", text)


NO_RUNS = "There is no production run yet; start one with `%pdflow run`."
_CELL_STYLE = "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0"


def run_fallback(run: Run) -> Fallback:
    """Return a run and its steps."""
    title = f"Run {run.id} of {run.workflow_name}: {run_state(run)}"
    rows = [(step.name, step_state(step)) for step in run.steps]
    end = _usage(run)
    text = [title, *(f"  {name}: {state}" for name, state in rows), end]
    table = _table(("Step", "State"), ((_bold(name), escape(state)) for name, state in rows))
    exports = {step.name: step.exports for step in run.steps if step.exports}
    tree = tree_html(_redacted(exports), "Exports") if exports else ""
    html = f"<p>{escape(title)}</p>{table}{_collapsed(tree)}<p><small>{escape(end)}</small></p>"
    return "\n".join(text), html


def step_fallback(run: Run, name: str) -> Fallback:
    """Return one step of a run."""
    step = next(step for step in run.steps if step.name == name)
    is_paused = run.pause is not None and run.pause.step == name
    state = run_state(run) if is_paused else step_state(step)
    title = f"Step {name} in run {run.id} of {run.workflow_name}: {state}"
    exports = _redacted(step.exports)
    text, html = exports_fallback(name, exports) if exports else ("", "")
    end = _as_of(run)
    html = f"<p>{escape(title)}</p>{html}<p><small>{escape(end)}</small></p>"
    return "\n".join(filter(None, [title, text, end])), html


def runs_fallback(runs: Sequence[RunItem], empty: str = NO_RUNS) -> Fallback:
    """Return runs as a table, in the order given, or the text `empty` if there are none."""
    if not runs:
        return empty, f"<p>{escape(empty)}</p>"
    rows = [(run.id, run.workflow_name, run_state(run), local_time(run.created_at)) for run in runs]
    text = "\n".join("  ".join(row) for row in rows)
    cells = ((f"<code>{escape(first)}</code>", *map(escape, rest)) for first, *rest in rows)
    return text, _table(("Run", "Workflow", "State", "Started"), cells)


def run_state(run: RunItem) -> str:
    """Return a run's status, with what it waits for or why it ended."""
    if run.pause:
        return f"paused at step {run.pause.step}: {pause_text(run.pause)}"
    if run.error:
        return f"{run.status}: {run.error.message}"
    return f"{run.status}: {run.reason}" if run.reason else run.status


def step_state(step: StepItem) -> str:
    """Return a step's status, with its time and its error."""
    text: str = step.status
    if step.runs > 1:
        text += f", run {step.runs}"
    if step.ended_at:
        text += f" after {format_duration(elapsed(step))}"
    elif step.started_at:
        text += f" since {local_time(step.started_at)}"
    return f"{text}: {step.error.message}" if step.error else text


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
