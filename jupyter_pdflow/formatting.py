"""How statuses, times, durations and runs read, for the CLI and widgets alike.

A link of a run lets its holder resume or cancel that run, and notebooks are shared. So links are
never written here, and their secrets are removed from exports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_pdflow.exceptions import FieldError
from jupyter_pdflow.markdown import to_text
from jupyter_pdflow.models import (
    Decider,
    Email,
    InboxItem,
    Pause,
    PauseKind,
    Run,
    RunFile,
    RunItem,
    StepItem,
    Via,
)
from jupyter_pdflow.rules.approvals import listed
from jupyter_pdflow.rules.form_fields import Field, fields_of
from jupyter_pdflow.rules.form_values import Kind, text_of
from jupyter_pdflow.rules.pauses import OnTimeout
from jupyter_pdflow.rules.titles import first_line

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

KIND_TEXTS: dict[Kind, str] = {
    "text": "text",
    "textarea": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "date": "date",
    "datetime": "date and time",
    "email": "email address",
    "url": "address",
    "select": "one of {choices}",
    "multiselect": "any of {choices}",
}
"""What a field of a form takes."""

WAYS: dict[Via, str] = {
    "link": "with a link",
    "jupyter": "from JupyterLab",
    "api": "through the API",
    "cli": "from the command line",
    "timer": "",
}
PERSONAL_LINK = "with a personal link"
"""By which way an answer came."""

TIMEOUT_TEXTS: dict[OnTimeout, str] = {
    "resume": "the run continues",
    "cancel": "the run is canceled",
    "fail": "the run fails",
}
"""What happens at a deadline."""

VALUE_LIMIT = 500
"""Maximum number of characters of an export's JSON in plain text."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
"""Seconds of a minute, an hour and a day."""

_LINK = re.compile(r"(pdflow/+(?:resume|cancel)/+)[^\s\"'<>?#&]+", re.IGNORECASE)


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
    """Return the status of a step as a line; with what its pause asks, if the run is paused at it."""
    pause = run.pause
    if pause and pause.step == step.name:
        return [f"{_name_of(step)}: {pause_text(pause)}", *pause_lines(pause)]
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


def pause_lines(pause: Pause) -> list[str]:
    """Return what a pause asks, and its links, as lines."""
    return [*(f"  {line}".rstrip() for line in ask_lines(pause)), *link_lines(pause)]


def link_lines(pause: Pause) -> list[str]:
    """Return both links of a pause as lines; no lines if they are hidden, or decide nothing."""
    if not pause.resume_url or pause.approvers:
        return []
    return [f"  resume: {pause.resume_url}", f"  cancel: {pause.cancel_url}"]


def version_text(number: int | None, version: str) -> str:
    """Return the name of a version: its number, if it is known, and its hash."""
    return f"version {version}" if number is None else f"version {number} ({version})"


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


def email_lines(emails: list[Email]) -> list[str]:
    """Return to whom each email of a run goes, its subject and what became of it, oldest first."""
    lines = []
    for email in reversed(emails):
        error = f": {email.error}" if email.error else ""
        lines.append(f"email to {', '.join(email.to)}: {email.subject} ({email.status}{error})")
    return lines


def traceback_text(run: RunItem) -> str:
    """Return the traceback of a failed run, or its error's message; empty if it has not failed."""
    error = run.error
    if not error:
        return ""
    return "\n".join(error.traceback) or error.message


# --- what is asked, and who has decided -----------------------------------------------


def ask_lines(pause: Pause) -> list[str]:
    """Return what a pause asks, of whom, and who has answered, as lines; none if it asks nothing."""
    message = to_text(pause.message or "").splitlines()
    return [*message, *form_lines(pause.form), *_approver_lines(pause)]


def form_lines(form: dict[str, Any] | None) -> list[str]:
    """Return the fields of a form as lines, by the names that an answer has; none without a form."""
    if form is None:
        return []
    return ["fields of the answer:", *(f"  {_field_text(field)}" for field in fields_of(form))]


def _field_text(field: Field) -> str:
    parts = [
        KIND_TEXTS[field.kind].format(choices=", ".join(map(text_of, field.options))),
        "" if field.minimum is None else f"at least {text_of(field.minimum)}",
        "" if field.maximum is None else f"at most {text_of(field.maximum)}",
        "required" if field.required else "",
        "" if field.default in (None, "") else f"default {short_json(field.default)}",
    ]
    return f"{field.name}: {', '.join(filter(None, parts))}"


def _approver_lines(pause: Pause) -> list[str]:
    if not pause.approvers:
        return []
    approved = [f"approved {_by_text(each)}" for each in pause.approvals]
    waiting = [f"waits for {listed(pause.waiting_for)}"] if approved and pause.waiting_for else []
    required = required_text(pause.approvers, pause.required)
    return [required, *approved, *waiting, *undelivered_lines(pause.undelivered)]


def required_text(approvers: Sequence[str], required: int) -> str:
    """Return by whom a pause has to be approved, as a part of a sentence."""
    if required == 1:
        return f"to be approved by {listed(approvers)}"
    return f"to be approved by {required} of {', '.join(approvers)}"


def undelivered_lines(undelivered: dict[str, str]) -> list[str]:
    """Return the emails to approvers that can't be sent as lines."""
    return [f"the email to {to} can't be sent: {why}" for to, why in undelivered.items()]


def field_error_lines(errors: Sequence[FieldError]) -> list[str]:
    """Return what is wrong with each field of an answer as lines."""
    return [f"{field}: {message}" if field else message for field, message in errors]


def missing_text(pause: Pause) -> str:
    """Return how many approvals are missing, as a sentence's end."""
    number = pause.required - len(pause.approvals)
    return "one more has to approve" if number == 1 else f"{number} more have to approve"


def decision_lines(run: RunItem) -> list[str]:
    """Return how each pause of a run was decided, by whom and when; a line for each person."""
    lines: list[str] = []
    for decision in run.decisions:
        outcome = decision.outcome.replace("_", " ")
        ends = [_by_text(each) for each in decision.by] or [f"at {local_time(decision.at)}"]
        lines += [f"{decision.step}: {outcome} {end}" for end in ends]
    return lines


def _by_text(decider: Decider) -> str:
    """Return who has answered, by which way, when, and the note."""
    name = f"by {_line_of(decider.name)}" if decider.name else ""
    is_personal = decider.via == "link" and decider.name is not None
    way = PERSONAL_LINK if is_personal else WAYS[decider.via]
    text = " ".join(filter(None, [name, way, f"at {local_time(decider.at)}"]))
    return f"{text}: {_line_of(decider.note)}" if decider.note else text


def _line_of(text: str) -> str:
    """Return a text of a client on one line, without what a terminal would obey."""
    return " ".join(to_text(text).split())


def inbox_lines(item: InboxItem, now: datetime) -> list[str]:
    """Return a pause that waits for a person as lines: what is asked, until when, and the run."""
    title, message = item.title or item.workflow, first_line(item.message)
    left = format_duration(max(timedelta(), parse_time(item.deadline) - now))
    return [
        _line_of(title),
        *([f"  {message}"] if message not in (None, title) else []),
        f"  {item.workflow}, step {item.step}",
        f"  {left} left, until {local_time(item.deadline)}; then {TIMEOUT_TEXTS[item.on_timeout]}",
        *(f"  {line}" for line in undelivered_lines(item.undelivered)),
        f"  run {item.run_id}",
    ]


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


# --- states and values ----------------------------------------------------------------


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


def short_json(value: Any) -> str:
    """Return a value as JSON of at most about `VALUE_LIMIT` characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text):,} characters)"


def without_secrets(text: str, mark: str) -> str:
    """Return the text with `mark` in place of the token of each link to resume or cancel."""
    return _LINK.sub(lambda link: f"{link[1]}{mark}", text)
