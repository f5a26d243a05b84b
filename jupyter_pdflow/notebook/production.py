"""Production mode of a session: runs and workflows as objects, and their views."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from jupyter_pdflow.client import Client, find_server
from jupyter_pdflow.exceptions import BadRequestError, NotebookError, NotFoundError
from jupyter_pdflow.kernels.inside.cell import publish_words
from jupyter_pdflow.notebook.session import Location, Ran, Session, find_location, notebook_path
from jupyter_pdflow.notebook.source import code_cells, read_source
from jupyter_pdflow.pd.base import Attrs, attrs
from jupyter_pdflow.widgets.runs import NO_RUN, View, run_fallback
from jupyter_pdflow.widgets.view import run_path

if TYPE_CHECKING:
    from jupyter_pdflow.widgets.view import LiveView


class Run:
    """A production run; as a cell's value it shows itself live, with buttons.

    What it tells is as of the last call: `refresh` asks the server again.

    Parameters
    ----------
    id : str
        The run's id, as ``%pdflow runs`` shows it.

    Raises
    ------
    ApiError
        There is no such run.
    ServerNotFoundError
        There is no server to ask.

    Examples
    --------
    >>> run = Workflow("approval.ipynb").run({"amount": 7})  # doctest: +SKIP
    >>> run.refresh().status  # doctest: +SKIP
    'paused'
    """

    def __init__(self, id: str) -> None:  # noqa: A002  the name that it has everywhere
        self._client = _server()
        self._view: View = self._client.get(run_path(id))

    @classmethod
    def _of(cls, client: Client, view: View) -> Self:
        run = cls.__new__(cls)
        run._client, run._view = client, view
        return run

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self._view["id"])

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``paused``, ``succeeded``, ``failed`` or ``canceled``."""
        return str(self._view["status"])

    @property
    def exports(self) -> Attrs:
        """The exports of each step that has any, by step name."""
        steps = self._view["steps"]
        exports: Attrs = attrs({step["name"]: step["exports"] for step in steps if step["exports"]})
        return exports

    def refresh(self) -> Self:
        """Ask the server how the run stands."""
        self._view = self._client.get(run_path(self.id))
        return self

    def resume(self, data: Any = None) -> Self:
        """Resume the run where it waits.

        Parameters
        ----------
        data : JSON value
            What the step finds as the ``body`` of the request.

        Raises
        ------
        ApiError
            The run is not paused.
        """
        self._view = self._client.post(run_path(self.id, "resume"), {"data": data})
        return self

    def cancel(self, reason: str | None = None) -> Self:
        """Cancel the run, whatever it is doing.

        Raises
        ------
        ApiError
            The run has ended.
        """
        self._view = self._client.post(run_path(self.id, "cancel"), {"reason": reason})
        return self

    def __repr__(self) -> str:
        return run_fallback(self._view)[0]

    def _ipython_display_(self) -> None:
        from jupyter_pdflow.widgets.view import run_view

        run_view(self._client, self.id)._ipython_display_()


class Workflow:
    """A deployed workflow; as a cell's value it shows its runs live.

    Parameters
    ----------
    id : str or os.PathLike
        The workflow's id, or the path of its notebook.

    Attributes
    ----------
    id, name, version, path : str
        As the server names them; `version` is the newest.
    steps : list of str
        The names of its steps.

    Raises
    ------
    NotFoundError
        No such notebook is deployed.
    ApiError
        There is no workflow with this id.
    ServerNotFoundError
        There is no server to ask.
    """

    def __init__(self, id: str | os.PathLike[str]) -> None:  # noqa: A002  as for Run
        self._client = _server()
        text = os.fspath(id)
        view = _deployed(self._client, text) if text.endswith(".ipynb") else None
        view = view or self._client.get(f"workflows/{quote(text, safe='')}")
        self.id, self.name = str(view["id"]), str(view["name"])
        self.version, self.path = str(view["version"]), str(view["path"])
        self.steps: list[str] = view["steps"]

    def run(self, event: Any = None) -> Run:
        """Start a run with this event; ``{}`` if left out."""
        body = {"event": {} if event is None else event}
        view = self._client.post(f"workflows/{quote(self.id, safe='')}/runs", body)
        return Run._of(self._client, view)

    def __repr__(self) -> str:
        return f"Workflow {self.id}, version {self.version}: {', '.join(self.steps)}"

    def _ipython_display_(self) -> None:
        from jupyter_pdflow.widgets.view import runs_view

        runs_view(self._client, workflow=self.id)._ipython_display_()


def runs(status: str | None = None, workflow: str | None = None) -> LiveView:
    """Show production runs live, newest first, with buttons.

    Parameters
    ----------
    status : str, optional
        Only runs that have this status.
    workflow : str, optional
        Only runs of the workflow with this id.

    Raises
    ------
    ApiError
        There is no such status.
    ServerNotFoundError
        There is no server to ask.
    """
    from jupyter_pdflow.widgets.view import runs_view

    return runs_view(_server(), status, workflow)


def _server() -> Client:
    return find_server(notebook_path())


def _deployed(client: Client, text: str) -> View:
    named = {text, client.relative(text)} if client.contains(text) else {text}
    for workflow in client.get("workflows"):
        if workflow["path"] in named:
            found: View = workflow
            return found
    msg = f"{text} is not deployed: run `%pdflow production` in it first."
    raise NotFoundError(msg)


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
