"""Deploy this notebook, start its production runs and show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jupyter_pdflow.exceptions import BadRequestError, NotebookError
from jupyter_pdflow.notebook.display import publish_words
from jupyter_pdflow.notebook.location import Location, find_location
from jupyter_pdflow.notebook.session import Ran, Session
from jupyter_pdflow.notebook.source import code_cells, read_source
from jupyter_pdflow.widgets.calls import run_path
from jupyter_pdflow.widgets.run_views import NO_RUN, View


def deploy(session: Session) -> View:
    """Deploy the notebook as saved.

    Raises
    ------
    NotebookError
        It is broken, or a step as run in this session differs from what is saved.
    ApiError
        The server refused it.
    """
    place = find_location()
    notebook = place.client.notebook(place.path)
    read_source(notebook)
    _check_saved(session, place, notebook)
    workflow: View = place.client.post("workflows", {"path": place.path})
    return workflow


def start(event: Any) -> None:
    """Start a production run of the notebook's deployed version, and show it live."""
    from IPython.display import display

    from jupyter_pdflow.widgets.view import run_view

    place = find_location()
    workflow = _workflow(place)
    run = place.client.post(f"workflows/{workflow['id']}/runs", {"event": event})
    display(run_view(place.client, run["id"]))  # type: ignore[no-untyped-call]


def show_step(name: str) -> None:
    """Show a step of the notebook's latest production run, live."""
    from IPython.display import display

    place = find_location()
    runs = place.client.get("runs", workflow=_workflow(place)["id"], limit=1)
    if not runs:
        publish_words(NO_RUN)
    elif name not in [step["name"] for step in runs[0]["steps"]]:
        publish_words(f"The latest production run, {runs[0]['id']}, has no step {name}.")
    else:
        from jupyter_pdflow.widgets.view import step_view

        view = step_view(place.client, runs[0]["id"], name)
        display(view)  # type: ignore[no-untyped-call]


def show_runs() -> None:
    """Show the notebook's production runs, newest first, live."""
    from IPython.display import display

    from jupyter_pdflow.widgets.view import runs_view

    place = find_location()
    view = runs_view(place.client, workflow=_workflow(place)["id"])
    display(view)  # type: ignore[no-untyped-call]


def load_run(session: Session, run_id: str) -> list[str]:
    """Bring a run's event and exports into the session; gives the names of its steps."""
    from jupyter_pdflow.client import find_server

    run = find_server().get(run_path(run_id))
    exports = {step["name"]: step["exports"] for step in run["steps"] if step["exports"]}
    session.event = run["event"]
    session.exports.update(exports)
    return list(exports)


def _workflow(place: Location) -> View:
    for workflow in place.client.get("workflows"):
        if workflow["path"] == place.path:
            found: View = workflow
            return found
    msg = f"{place.path} is not deployed yet: run `%pdflow production` first."
    raise BadRequestError(msg)


def _check_saved(session: Session, place: Location, notebook: View) -> None:
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


def _was_deleted(ran: Ran, place: Location) -> bool:
    """Whether the notebook was saved without a step after that was run."""
    file = place.file
    return file is not None and datetime.fromtimestamp(file.stat().st_mtime, UTC) > ran.at
