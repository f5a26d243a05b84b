"""What cells show of runs: text and HTML, where no widget can be shown.

A link to resume or cancel is a key: none is ever written here, since notebooks get around.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, TypeAlias

import ipywidgets
from ipywidgets.widgets.widget_box import VBox

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

ui: Any = ipywidgets
"""The widgets, which come without types."""


class FallbackBox(VBox):
    """A column of widgets that reads the same where no widget can be shown.

    Parameters
    ----------
    children : sequence of ipywidgets.Widget
        What is shown where widgets can be.
    text, html : str
        The twins, for terminals, converters and code hosts.
    """

    def __init__(self, children: Sequence[Any], text: str, html: str) -> None:
        super().__init__(children)  # type: ignore[no-untyped-call]
        self.text = text
        self.html = html

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}  # type: ignore[no-untyped-call]
        return {**bundle, "text/plain": self.text, "text/html": self.html}


View: TypeAlias = dict[str, Any]
"""A run or a step, as the API shows it."""

NO_RUN = "There is no production run yet; start one with `%pdflow run`."
_CELL = "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0"


def run_fallback(run: View) -> Fallback:
    """Show a run and its steps."""
    title = f"Run {run['id']} of {run['workflow_name']}: {status_words(run)}"
    rows = [(step["name"], step_words(step)) for step in run["steps"]]
    end = _usage_words(run)
    text = [title, *(f"  {name}: {words}" for name, words in rows), end]
    table = _table(("Step", "State"), ((_bold(name), escape(words)) for name, words in rows))
    exports = {step["name"]: step["exports"] for step in run["steps"] if step.get("exports")}
    tree = tree_html(_without_keys(exports), "Exports") if exports else ""
    html = f"<p>{escape(title)}</p>{table}{_folded(tree)}<p><small>{escape(end)}</small></p>"
    return "\n".join(text), html


def step_fallback(run: View, name: str) -> Fallback:
    """Show one step of a run."""
    step = next(step for step in run["steps"] if step["name"] == name)
    here = run["pause"] is not None and run["pause"]["step"] == name
    words = status_words(run) if here else step_words(step)
    title = f"Step {name} in run {run['id']} of {run['workflow_name']}: {words}"
    exports = _without_keys(step.get("exports") or {})
    text, html = exports_fallback(name, exports) if exports else ("", "")
    end = _as_of(run)
    html = f"<p>{escape(title)}</p>{html}<p><small>{escape(end)}</small></p>"
    return "\n".join(filter(None, [title, text, end])), html


def runs_fallback(runs: Sequence[View], nothing: str = NO_RUN) -> Fallback:
    """Show runs as a table, in the order given; `nothing` is said where there is none."""
    if not runs:
        return nothing, f"<p>{escape(nothing)}</p>"
    rows = [
        (run["id"], run["workflow_name"], status_words(run), local_time(run["created_at"]))
        for run in runs
    ]
    text = "\n".join("  ".join(row) for row in rows)
    cells = ((f"<code>{escape(first)}</code>", *map(escape, rest)) for first, *rest in rows)
    return text, _table(("Run", "Workflow", "State", "Started"), cells)


def status_words(run: View) -> str:
    """Say where a run stands."""
    if run["pause"]:
        return f"paused at step {run['pause']['step']}: {pause_text(run['pause'])}"
    if run["error"]:
        return f"{run['status']}: {run['error']['message']}"
    return f"{run['status']}: {run['reason']}" if run["reason"] else str(run["status"])


def step_words(step: View) -> str:
    """Say where a step stands."""
    words = str(step["status"])
    if step["runs"] > 1:
        words += f", run {step['runs']}"
    if step["ended_at"]:
        words += f" after {format_duration(elapsed(step))}"
    elif step["started_at"]:
        words += f" since {local_time(step['started_at'])}"
    return f"{words}: {step['error']['message']}" if step["error"] else words


def _usage_words(run: View) -> str:
    usage = run["usage"]
    credit = "credit" if usage["credits"] == 1 else "credits"
    paused = format_duration(timedelta(milliseconds=usage["paused_ms"]))
    return f"{usage['credits']} {credit}, {paused} paused; {_as_of(run, 'as of')}"


def _as_of(run: View, words: str = "As of") -> str:
    last = "its end" if run["status"] in ("succeeded", "failed", "canceled") else "last change"
    now = local_time(datetime.now(UTC).isoformat())
    return f"{words} {now} ({last}: {local_time(run['updated_at'])})"


def _without_keys(value: Any) -> Any:
    """Hide the secrets of links that a step has exported."""
    if isinstance(value, str):
        return without_secrets(value, "…")
    if isinstance(value, dict):
        return {name: _without_keys(item) for name, item in value.items()}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value


def _bold(text: str) -> str:
    return f"<b>{escape(text)}</b>"


def _folded(tree: str) -> str:
    return tree.replace("<details open", "<details", 1)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Make a table of cells that are HTML already."""
    head = "".join(f'<th scope="col" style="{_CELL}">{name}</th>' for name in heads)
    lines = (
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
