"""How statuses, times, durations and links of runs read, for the CLI and widgets alike."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, TypeAlias

from jupyter_pdflow.pd.exports import tree_html
from jupyter_pdflow.rules.run import Mail, duration

_LINK = re.compile(r"(pdflow/+(?:resume|cancel)/+)[^\s\"'<>?#&]+", re.IGNORECASE)


def without_secrets(text: str, mark: str) -> str:
    """Put a mark in the place of the secret of each link in a text."""
    return _LINK.sub(lambda link: f"{link[1]}{mark}", text)


Fallback: TypeAlias = tuple[str, str]
"""Plain text, and HTML that says the same."""

VALUE_LIMIT = 500
"""Characters shown of an export's JSON."""
_WRAP = "white-space:pre-wrap;overflow-wrap:anywhere"
_LINE = "1px solid var(--jp-border-color1,#8888)"


def exports_fallback(step: str, exports: dict[str, Any]) -> Fallback:
    """Show a step's exports: a line each, and a tree that folds."""
    title = f"Exports of step {step}"
    text = [f"{title}:", *(f"  {name} = {_short(value)}" for name, value in exports.items())]
    return "\n".join(text), tree_html(exports, title)


def event_twins(event: Any) -> Fallback:
    """Show the event that steps are given in test mode."""
    title = "Event of test mode"
    return f"{title}: {_short(event)}", tree_html(event, title)


def mail_fallback(mail: Mail) -> Fallback:
    """Show a mail that production would send; its HTML can't run anything."""
    parts = [("To", ", ".join(mail.to) or "(the configured owner)"), ("Subject", mail.subject)]
    html_part = [] if mail.html is None else ["", "HTML part:", mail.html]
    lines = [f"  {name}: {value}" for name, value in parts]
    text = ["Mail (not sent in test):", *lines, "", mail.text, *html_part]
    head = "".join(f"<div><b>{name}:</b> {escape(value)}</div>" for name, value in parts)
    html = (
        f'<div style="border:{_LINE};border-radius:4px;padding:0.5em 1em;max-width:50em">'
        f"<div><i>Mail (not sent in test)</i></div>{head}"
        f'<pre style="{_WRAP}">{escape(mail.text)}</pre>{_framed(mail.html)}</div>'
    )
    return "\n".join(text).rstrip(), html


def _framed(html: str | None) -> str:
    if html is None:
        return ""
    return (
        f'<iframe sandbox="" srcdoc="{escape(html)}" title="HTML part of the mail" '
        f'style="width:100%;height:16em;border:{_LINE};background:white"></iframe>'
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text):,} characters)"


Run = dict[str, Any]

WAITS = {
    "suspend": "waits for an answer, until",
    "rerun": "runs again at a request, or at",
    "delay": "goes on at",
}
COUNTS_DOWN = {
    "suspend": "waits for an answer,",
    "rerun": "runs again at a request, or in",
    "delay": "goes on in",
}
ENDED = ("succeeded", "failed", "canceled")


def changes(before: Run | None, after: Run) -> list[str]:
    """Tell in lines what happened to a run between two looks at it.

    Parameters
    ----------
    before : dict or None
        The run as the API showed it earlier; None at the first look.
    after : dict
        The run as the API shows it now.
    """
    earlier = before["steps"] if before else [{}] * len(after["steps"])
    lines: list[str] = []
    for old, new in zip(earlier, after["steps"], strict=True):
        if (old.get("status"), old.get("runs", 0)) != (new["status"], new["runs"]):
            lines += _step_lines(new, after)
    return lines


def _step_lines(step: Run, run: Run) -> list[str]:
    if step["status"] in ("pending", "skipped"):
        return []
    lines = state(step, run)
    return lines[:1] if is_repeated(step, run["pause"]) else lines


def is_repeated(step: Run, pause: Run | None) -> bool:
    """Whether a pause is one of a poll whose first links have been shown; each has its own."""
    return pause is not None and pause["kind"] == "rerun" and step["runs"] > 1


def state(step: Run, run: Run) -> list[str]:
    """Say how a step of a run stands; with the links where the run waits for it."""
    pause = run["pause"]
    if pause and pause["step"] == step["name"]:
        return [f"{_named(step)}: {waits(pause)}", *links(pause)]
    return [f"{_named(step)}: {_step_state(step)}"]


def _named(step: Run) -> str:
    return f"{step['name']} (run {step['runs']})" if step["runs"] > 1 else str(step["name"])


def _step_state(step: Run) -> str:
    took = f" after {duration(elapsed(step))}" if step["ended_at"] else ""
    error = f": {step['error']['message']}" if step["error"] else ""
    return f"{step['status']}{took}{error}"


def waits(pause: Run) -> str:
    """Say what a paused run waits for, and until when."""
    return f"{WAITS[pause['kind']]} {moment(pause['deadline'])}"


def counts_down(pause: Run, now: datetime) -> str:
    """Say what a paused run waits for, and how long still."""
    left = duration(max(timedelta(), instant(pause["deadline"]) - now))
    after = " left" if pause["kind"] == "suspend" else ""
    return f"{COUNTS_DOWN[pause['kind']]} {left}{after}"


def links(pause: Run) -> list[str]:
    """Give both links of a pause, each in full on a line of its own; none if they are hidden."""
    if not pause["resume_url"]:
        return []
    return [f"  resume: {pause['resume_url']}", f"  cancel: {pause['cancel_url']}"]


def ending(run: Run) -> str:
    """Say in one line how a run stands, and what it has used."""
    usage = run["usage"]
    because = f" ({run['reason']})" if run.get("reason") else ""
    credit = "credit" if usage["credits"] == 1 else "credits"
    return (
        f"Run {run['id']} {run['status']}{because}: {usage['credits']} {credit}, "
        f"{duration(timedelta(milliseconds=usage['compute_ms']))} of computing, "
        f"{duration(timedelta(milliseconds=usage['paused_ms']))} paused."
    )


def said(notebook: dict[str, Any]) -> list[str]:
    """Give what each step of an executed notebook printed, as lines."""
    lines: list[str] = []
    for cell in notebook["cells"]:
        text = "".join(map(_text_of, cell.get("outputs", []))).rstrip()
        name = _whole(cell["source"]).partition("\n")[0].removeprefix("%%step ")
        if text:
            lines += [f"{name} printed:", *(f"  {line}" for line in text.splitlines())]
    return lines


def _text_of(output: dict[str, Any]) -> str:
    if "text" in output:
        return _whole(output["text"])
    shown = _whole(output.get("data", {}).get("text/plain", ""))
    return f"{shown}\n" if shown else ""


def _whole(text: str | list[str]) -> str:
    """Join the lines that a notebook file keeps apart."""
    return text if isinstance(text, str) else "".join(text)


def files(found: list[dict[str, Any]]) -> list[str]:
    """Name the files that a run's steps have saved, with their sizes."""
    from rich.filesize import decimal

    return [f"file {file['path']} ({decimal(file['size'])})" for file in found]


def trace(run: Run) -> str:
    """Give the author's traceback of a failed run, or at least its error."""
    error = run["error"]
    if not error:
        return ""
    return "\n".join(error.get("traceback") or []) or str(error["message"])


def elapsed(step: Run, now: datetime | None = None) -> timedelta:
    """Time since a step started, until it ended."""
    if not step["started_at"]:
        return timedelta()
    end = instant(step["ended_at"]) if step["ended_at"] else now or datetime.now(UTC)
    return max(timedelta(), end - instant(step["started_at"]))


def instant(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def moment(text: str) -> str:
    """Write a time of the API as the reader's clock shows it."""
    return f"{instant(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"
