"""Deploy this notebook, start its production runs and show them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jupyter_pdflow.exceptions import BadRequestError, NotebookError
from jupyter_pdflow.notebook.place import Place, find_place
from jupyter_pdflow.notebook.session import Ran, Session
from jupyter_pdflow.notebook.shown import publish_words
from jupyter_pdflow.notebook.source import code_cells, read_source
from jupyter_pdflow.widgets.text import View, run_twins, runs_twins, step_twins

RUNS_SHOWN = 20
_followers: dict[str, asyncio.Task[None]] = {}
"""What is shown live, by what it is; showing it anew ends the one before."""


def deploy(session: Session) -> View:
    """Deploy the notebook as saved.

    Raises
    ------
    NotebookError
        It is broken, or a step as run in this session differs from what is saved.
    ApiError
        The server refused it.
    """
    place = find_place()
    notebook = place.client.notebook(place.path)
    read_source(notebook)
    _check_saved(session, place, notebook)
    workflow: View = place.client.post("workflows", {"path": place.path})
    return workflow


def start(event: Any) -> None:
    """Start a production run of the notebook's deployed version, and show it live."""
    from jupyter_pdflow.widgets.live import LiveRun

    place = find_place()
    workflow = _workflow(place)
    run = place.client.post(f"workflows/{workflow['id']}/runs", {"event": event})
    _show(LiveRun(place.client, run["id"], run_twins), "run")


def show_step(name: str) -> None:
    """Show a step of the notebook's latest production run, live."""
    from jupyter_pdflow.widgets.live import LiveRun

    place = find_place()
    runs = place.client.get("runs", workflow=_workflow(place)["id"], limit=1)
    if not runs:
        publish_words("There is no production run yet; start one with `%pdflow run`.")
        return
    if name not in [step["name"] for step in runs[0]["steps"]]:
        publish_words(f"The latest production run, {runs[0]['id']}, has no step {name}.")
        return
    view = LiveRun(place.client, runs[0]["id"], lambda run: step_twins(run, name))
    _show(view, f"step {name}")


def show_runs() -> None:
    """Show the notebook's production runs, newest first, live."""
    from jupyter_pdflow.widgets.live import Live, have_ended

    place = find_place()
    workflow_id = _workflow(place)["id"]

    def fetch() -> Any:
        return place.client.get("runs", workflow=workflow_id, limit=RUNS_SHOWN)

    _show(Live(fetch, runs_twins, have_ended), "runs")


def load_run(session: Session, run_id: str) -> list[str]:
    """Bring a run's event and exports into the session; gives the names of its steps."""
    from jupyter_pdflow.client import find_server

    run = find_server().get(f"runs/{quote(run_id, safe='')}")
    exports = {step["name"]: step["exports"] for step in run["steps"] if step["exports"]}
    session.event = run["event"]
    session.exports.update(exports)
    return list(exports)


def _workflow(place: Place) -> View:
    for workflow in place.client.get("workflows"):
        if workflow["path"] == place.path:
            found: View = workflow
            return found
    msg = f"{place.path} is not deployed yet: run `%pdflow production` first."
    raise BadRequestError(msg)


def _check_saved(session: Session, place: Place, notebook: View) -> None:
    saved = {cell.name: cell.body for cell in code_cells(notebook) if cell.name is not None}
    for name, ran in session.ran.items():
        if name in saved and saved[name] != ran.body:
            msg = (
                f"Step {name!r} as run here differs from the saved notebook: save the notebook "
                "(or run the cell again), then run `%pdflow production` again."
            )
            raise NotebookError(msg)
        if name not in saved and not _was_deleted(ran, place):
            msg = (
                f"Step {name!r} was run here but is not in the saved notebook: save the "
                "notebook, then run `%pdflow production` again."
            )
            raise NotebookError(msg)


def _was_deleted(ran: Ran, place: Place) -> bool:
    """Whether the notebook was saved without a step after that was run."""
    file = place.file
    return file is not None and datetime.fromtimestamp(file.stat().st_mtime, UTC) > ran.at


def _show(view: Any, what: str) -> None:
    """Display a live view and follow it, where there is a loop to do that in."""
    from IPython.display import display

    handle = display(view, display_id=True)  # type: ignore[no-untyped-call]
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    before = _followers.get(what)
    if before is not None:
        before.cancel()
    _followers[what] = loop.create_task(view.follow(lambda: handle.update(view)))
