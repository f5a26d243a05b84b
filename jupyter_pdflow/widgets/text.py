"""What is shown of exports, mails and runs: each as plain text and as HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeAlias

from jupyter_pdflow.rules.run import Mail

Twins: TypeAlias = tuple[str, str]
"""Plain text, and HTML that says the same."""
View: TypeAlias = dict[str, Any]
"""A run or a step, as the API shows it."""

VALUE_LIMIT = 500
"""Characters shown of an export's JSON."""
_CELL = "text-align:left;vertical-align:top;padding:0 1em 0 0"
_CODE = "white-space:pre-wrap;overflow-wrap:anywhere"


def exports_twins(step: str, exports: dict[str, Any]) -> Twins:
    """Show a step's exports as a small table."""
    rows = [(name, _short(value)) for name, value in exports.items()]
    text = [f"Exports of step {step}:", *(f"  {name} = {value}" for name, value in rows)]
    cells = ((_head(name), f'<code style="{_CODE}">{escape(value)}</code>') for name, value in rows)
    return "\n".join(text), _table(cells, f"Exports of step {step}")


def mail_twins(mail: Mail) -> Twins:
    """Show a mail that production would send; its HTML can't run anything."""
    parts = [("To", ", ".join(mail.to) or "(the configured owner)"), ("Subject", mail.subject)]
    html_part = [] if mail.html is None else ["", "HTML part:", mail.html]
    lines = [f"  {name}: {value}" for name, value in parts]
    text = ["Mail (not sent in test):", *lines, "", mail.text, *html_part]
    head = "".join(f"<div><b>{name}:</b> {escape(value)}</div>" for name, value in parts)
    html = (
        '<div style="border:1px solid #8888;border-radius:4px;padding:0.5em 1em;max-width:50em">'
        f"<div><i>Mail (not sent in test)</i></div>{head}"
        f'<pre style="{_CODE}">{escape(mail.text)}</pre>{_framed(mail.html)}</div>'
    )
    return "\n".join(text).rstrip(), html


def run_twins(run: View) -> Twins:
    """Show a run and its steps."""
    title = f"Run {run['id']} of {run['workflow_name']}: {status_words(run)}"
    steps = [(step["name"], step_words(step)) for step in run["steps"]]
    text = [title, *(f"  {name}: {words}" for name, words in steps)]
    table = _table((_head(name), escape(words)) for name, words in steps)
    return "\n".join(text), f"<p>{escape(title)}</p>{table}{_links(run)}"


def step_twins(run: View, name: str) -> Twins:
    """Show one step of a run."""
    step = next(step for step in run["steps"] if step["name"] == name)
    here = run["pause"] is not None and run["pause"]["step"] == name
    words = status_words(run) if here else step_words(step)
    title = f"Step {name} in run {run['id']} of {run['workflow_name']}: {words}"
    exports = exports_twins(name, step["exports"]) if step.get("exports") else ("", "")
    html = f"<p>{escape(title)}</p>{_links(run) if here else ''}{exports[1]}"
    return "\n".join(filter(None, [title, exports[0]])), html


def runs_twins(runs: Sequence[View]) -> Twins:
    """Show runs as a table, in the order given."""
    if not runs:
        words = "There is no production run yet; start one with `%pdflow run`."
        return words, f"<p>{escape(words)}</p>"
    rows = [(run["id"], run["workflow_name"], status_words(run), run["created_at"]) for run in runs]
    text = "\n".join("  ".join(row) for row in rows)
    html = ((_head(first), *map(escape, rest)) for first, *rest in rows)
    return text, _table(html)


def status_words(run: View) -> str:
    """Say where a run stands."""
    if run["pause"]:
        return f"paused at step {run['pause']['step']} until {run['pause']['deadline']}"
    if run["error"]:
        return f"{run['status']}: {run['error']['message']}"
    return f"{run['status']}: {run['reason']}" if run["reason"] else str(run["status"])


def step_words(step: View) -> str:
    """Say where a step stands."""
    words = str(step["status"])
    if step["runs"] > 1:
        words += f", run {step['runs']}"
    return f"{words}: {step['error']['message']}" if step["error"] else words


def _links(run: View) -> str:
    if not run["pause"]:
        return ""
    links = [("resume link", "resume_url"), ("cancel link", "cancel_url")]
    return " · ".join(
        f'<a href="{escape(run["pause"][key])}" target="_blank" rel="noreferrer">{words}</a>'
        for words, key in links
    )


def _head(text: str) -> str:
    return f"<b>{escape(text)}</b>"


def _table(rows: Iterable[Iterable[str]], caption: str = "") -> str:
    """Make a table of cells that are HTML already."""
    lines = (
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    head = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{head}{''.join(lines)}</table>"


def _framed(html: str | None) -> str:
    if html is None:
        return ""
    return (
        f'<iframe sandbox="" srcdoc="{escape(html)}" title="HTML part of the mail" '
        'style="width:100%;height:16em;border:1px solid #8888;background:white"></iframe>'
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text):,} characters)"
