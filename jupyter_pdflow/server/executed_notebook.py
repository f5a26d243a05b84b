"""A run as an executed notebook: what it was, and each step with what it has shown and exported.

A run quotes what clients have sent: events, notes, answers. In Markdown cells such a text is shown
as it is, and is never Markdown or HTML.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from typing import Any

import nbformat

from jupyter_pdflow import models
from jupyter_pdflow.formatting import (
    PERSONAL_LINK,
    WAYS,
    elapsed,
    format_duration,
    parse_time,
)
from jupyter_pdflow.kernels.widgets import STATE, VIEW
from jupyter_pdflow.markdown import to_text
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.server.api.models import run_view
from jupyter_pdflow.stores import KeptOutputs

v4: Any = nbformat.v4

INVALID_OUTPUT_TEXT = "[An output of this step is not valid in a notebook.]\n"
"""Replaces an output that nbformat does not accept."""

VALUE_CHARACTERS = 20_000
"""Maximum number of characters of an event or of an export."""

IMAGE_CHARACTERS = 5_000_000
"""Maximum number of characters of an image among exports."""

SVG = "image/svg+xml"
RICHER = ("text/html", "text/markdown", "text/latex", "image/png", "image/jpeg", VIEW)
"""Types of outputs that JupyterLab shows in notebooks that are not trusted, as it does not SVG."""

OUTCOMES: dict[models.DecisionOutcome, str] = {
    "approved": "Approved",
    "resumed": "Resumed",
    "rejected": "Rejected",
    "canceled": "Canceled",
    "timed_out": "The time ran out",
}

_IMAGE = re.compile(
    r"data:(image/(?:png|jpeg|gif|webp|svg\+xml));base64,([A-Za-z0-9+/\s]+={0,2}\s*)"
)
_SPECIAL = re.compile(r"[\\`*_{}\[\]()#+.!|~$^=:@\'\"-]")
_LINE_ENDS = re.compile("[\x7f-\x9f\u2028\u2029]")
_SVG_TAG = re.compile(r"<svg\b[^>]*>")


def notebook_text(run: Run, workflow: Workflow, outputs: KeptOutputs) -> str:
    """Return a run as the text of an ``.ipynb`` file; raises what `nbformat.writes` raises."""
    text: str = v4.writes(executed_notebook(run, workflow, outputs))
    return text


def executed_notebook(run: Run, workflow: Workflow, outputs: KeptOutputs) -> Any:
    """Return a run as a notebook: what it was, the setup, and each step with its outputs.

    Parameters
    ----------
    run : Run
        The run.
    workflow : Workflow
        The version of the workflow that the run was started with.
    outputs : KeptOutputs
        Its outputs.
    """
    numbers = {(workflow.id, workflow.version): workflow.number}
    view = run_view(run, lambda *_: ("", ""), numbers)
    source, shown, widgets = workflow.source, outputs.by_step(), outputs.widgets()
    cells = [v4.new_markdown_cell(_header(view, workflow))]
    cells += [v4.new_code_cell(text, metadata={"tags": ["setup"]}) for text in source.setup]
    steps = {step.name: step for step in view.steps}
    for step in source.steps:
        nodes = [_output_node(output, widgets) for output in shown.get(step.name, [])]
        code, ran = f"%%step {step.name}\n{step.source}", steps.get(step.name)
        metadata = {} if ran is None else _step_metadata(ran)
        cells.append(v4.new_code_cell(code, outputs=nodes, metadata=metadata))
        about = "" if ran is None else _about_step(ran, view)
        cells += [v4.new_markdown_cell(about)] if about else []
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return v4.new_notebook(cells=cells, metadata=_metadata(run, workflow, widgets))


def _metadata(run: Run, workflow: Workflow, widgets: dict[str, Any]) -> dict[str, Any]:
    kernel = workflow.source.kernel_name
    states = {"state": widgets, "version_major": 2, "version_minor": 0}
    return {
        "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
        "language_info": {"name": "python"},
        "pdflow": {
            "run_id": run.id,
            "workflow_id": run.workflow_id,
            "version": run.version,
            "status": run.status,
        },
        **({"widgets": {STATE: states}} if widgets else {}),
    }


def _step_metadata(step: models.Step) -> dict[str, Any]:
    """Return the times of a step's cell, as JupyterLab records them."""
    names = {
        step.started_at: (
            "iopub.status.busy",
            "iopub.execute_input",
            "shell.execute_reply.started",
        ),
        step.ended_at: ("shell.execute_reply", "iopub.status.idle"),
    }
    times = {name: at for at, each in names.items() if at is not None for name in each}
    return {"execution": times} if times else {}


# --- Markdown cells -------------------------------------------------------------------


def _header(run: models.Run, workflow: Workflow) -> str:
    rows = {
        "Title": _plain(run.title or ""),
        "Run": f"`{run.id}`",
        "Version": f"`{run.version}`"
        if run.version_number is None
        else f"{run.version_number} (`{run.version}`)",
        "Notebook": _plain(workflow.path),
        "Status": _status(run),
        "Started": _started(run),
        "Ended" if run.ended_at else "Last change": _time(run.ended_at or run.updated_at),
        "Time": _times(run.usage),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items() if value)
    event = f"Event:\n\n{_json(run.event)}\n" if run.event not in (None, {}) else ""
    return f"# {_plain(run.workflow_name)}\n\n| | |\n|---|---|\n{table}\n\n{event}"


def _status(run: models.Run) -> str:
    why = run.error.message if run.error else run.reason
    return f"{run.status}: {_plain(why)}" if why else run.status


def _started(run: models.Run) -> str:
    who = run.started_by
    if who is None:
        return _time(run.created_at)
    by = f" by {_plain(who.name)}" if who.name else ""
    return " ".join(filter(None, [_time(run.created_at) + by, WAYS[who.via]]))


def _times(usage: models.Usage) -> str:
    paused = f", {_duration(usage.paused_ms)} paused" if usage.paused_ms else ""
    return f"{_duration(usage.compute_ms)} of computing{paused}"


def _about_step(step: models.Step, run: models.Run) -> str:
    """Return what is to be said of a step below its outputs; empty if it has not begun."""
    if step.started_at is None:
        return ""
    runs = f", {step.runs} times" if step.runs > 1 else ""
    took = f" after {format_duration(elapsed(step))}" if step.ended_at else ""
    error = f": {_plain(step.error.message)}" if step.error else ""
    parts = [
        f"**{_plain(step.name)}** {step.status}{took}{runs}{error}",
        "\n".join(f"- {line}" for line in _decisions(step.name, run.decisions)),
        *(_export(name, value) for name, value in step.exports.items()),
    ]
    return "\n\n".join(filter(None, parts))


def _decisions(step: str, decisions: list[models.Decision]) -> Iterator[str]:
    for decision in decisions:
        if decision.step == step:
            outcome = OUTCOMES[decision.outcome]
            is_timer = decision.outcome == "timed_out"
            people = [] if is_timer else [_by(each) for each in decision.by]
            for who in people or [f", {_time(decision.at)}"]:
                yield f"{outcome}{who}"


def _by(decider: models.Decider) -> str:
    """Return who has decided, when, by which way, and the note."""
    name = f" by {_plain(decider.name)}" if decider.name else ""
    is_personal = decider.via == "link" and decider.name is not None
    way = PERSONAL_LINK if is_personal else WAYS[decider.via]
    text = ", ".join(filter(None, [name, _time(decider.at), way]))
    text = text if name else f", {text}"
    return f"{text}: {_plain(decider.note)}" if decider.note else text


def _export(name: str, value: Any) -> str:
    image = _image(value)
    return f"Export {_plain(name)}:\n\n{image or _json(value)}"


def _image(value: Any) -> str | None:
    """Return an export that is an image, or a file that is one, as Markdown; else None."""
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        value = f"data:{value.get('content_type')};base64,{value['base64']}"
    if not isinstance(value, str) or len(value) > IMAGE_CHARACTERS:
        return None
    found = _IMAGE.fullmatch(value)
    try:
        content = b64decode(found[2]) if found else b""
    except Base64Error:
        return None
    return f"![image]({_url(found[1], content)})" if found and content else None


def _json(value: Any) -> str:
    """Return a value as JSON in a block of code."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    text = _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    left = len(text) - VALUE_CHARACTERS
    if left > 0:
        text = f"{text[:VALUE_CHARACTERS]}\n… {left:,} more characters"
    # JSON has no line that begins with a backtick, and so none that ends the block.
    return f"```json\n{text}\n```"


def _plain(text: str) -> str:
    """Return a text on one line so that Markdown shows it as it is."""
    line = " ".join(to_text(text).split()).replace("&", "&amp;")
    line = line.replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def _time(text: str) -> str:
    return f"{parse_time(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(ms: int) -> str:
    return format_duration(timedelta(milliseconds=ms))


# --- outputs --------------------------------------------------------------------------


def _output_node(output: Any, widgets: dict[str, Any]) -> Any:
    """Return an output as nbformat's node, or a message if the output is not valid."""
    from_dict: Any = nbformat.from_dict
    node = from_dict(output)
    if not isinstance(node, dict) or not _is_valid(node):
        return v4.new_output("stream", name="stderr", text=INVALID_OUTPUT_TEXT)
    if isinstance(node.get("data"), dict):
        for adapt in (_without_lost_widget(widgets), _with_svg_as_image):
            adapt(node["data"])
    return node


def _is_valid(node: dict[str, Any]) -> bool:
    try:
        nbformat.validate(node, ref="output", version=4)
    except (nbformat.ValidationError, RecursionError):
        return False
    return True


def _without_lost_widget(widgets: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def adapt(data: dict[str, Any]) -> None:
        """Leave a widget whose state is not kept to its text; front ends would show an error."""
        view = data.get(VIEW)
        if view is not None and (not isinstance(view, dict) or view.get("model_id") not in widgets):
            del data[VIEW]

    return adapt


def _with_svg_as_image(data: dict[str, Any]) -> None:
    """Add an SVG as an image, in which no script runs; SVG itself needs a trusted notebook."""
    svg = data.get(SVG)
    if svg is None or any(kind in data for kind in RICHER):
        return
    text = _with_namespace(svg if isinstance(svg, str) else "".join(svg))
    data["text/html"] = f'<img alt="SVG image" src="{_url(SVG, text.encode())}">'


def _with_namespace(svg: str) -> str:
    """Return an SVG with its namespace: pages can do without, images can not."""
    tag = _SVG_TAG.search(svg)
    if tag is None or "xmlns=" in tag[0]:
        return svg
    start = tag.start() + len("<svg")
    return f'{svg[:start]} xmlns="http://www.w3.org/2000/svg"{svg[start:]}'


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
