"""Production mode of a session: runs and workflows as objects, and their views."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from jupyter_pdflow.client import Client, connect, run_path
from jupyter_pdflow.exceptions import BadRequestError, NotebookError, NotFoundError
from jupyter_pdflow.kernels.inside.cell import publish_words
from jupyter_pdflow.notebook.session import Location, Ran, Session, find_location, notebook_path
from jupyter_pdflow.notebook.source import code_cells, read_source
from jupyter_pdflow.pd.attrs import Attrs, attrs
from jupyter_pdflow.widgets.run_views import NO_RUN, View, run_fallback

if TYPE_CHECKING:
    from jupyter_pdflow.widgets.view import LiveView


class RunHandle:
    """A production run; as a cell's value it shows itself live, with buttons.

    Nothing is asked of the server until an attribute is read. What the attributes say is as of
    the last answer; `refresh` asks again.

    Parameters
    ----------
    id : str
        The run's id, as ``%pdflow runs`` shows it.
    client : Client, optional
        The server, from `jupyter_pdflow.connect`; by default the one that is found.

    Raises
    ------
    ApiError
        When an attribute is read or a method called: there is no such run.
    ServerNotFoundError
        Likewise: there is no server to ask.

    Examples
    --------
    >>> run = Workflow("approval.ipynb").run({"amount": 7})  # doctest: +SKIP
    >>> run.refresh().status  # doctest: +SKIP
    'paused'
    """

    def __init__(self, id: str, client: Client | None = None) -> None:  # noqa: A002  its name in the API
        self.id = id
        self._connected = client
        self._answer: View | None = None

    @classmethod
    def _of(cls, client: Client, view: View) -> Self:
        run = cls(str(view["id"]), client)
        run._answer = view
        return run

    @property
    def _client(self) -> Client:
        if self._connected is None:
            self._connected = _server()
        return self._connected

    @property
    def _view(self) -> View:
        if self._answer is None:
            self._answer = self._client.get(run_path(self.id))
        return self._answer

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
        """Ask the server for the run as it is now."""
        self._answer = self._client.get(run_path(self.id))
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
        self._answer = self._client.post(run_path(self.id, "resume"), {"data": data})
        return self

    def cancel(self, reason: str | None = None) -> Self:
        """Cancel the run, whatever it is doing.

        Raises
        ------
        ApiError
            The run has ended.
        """
        self._answer = self._client.post(run_path(self.id, "cancel"), {"reason": reason})
        return self

    def __repr__(self) -> str:
        return f"Run({self.id!r})" if self._answer is None else run_fallback(self._answer)[0]

    def _ipython_display_(self) -> None:
        from jupyter_pdflow.widgets.view import run_view

        run_view(self._client, self.id)._ipython_display_()


class WorkflowHandle:
    """A deployed workflow; as a cell's value it shows its runs live.

    Nothing is asked of the server until an attribute is read.

    Parameters
    ----------
    id : str or os.PathLike
        The workflow's id, or the path of its notebook.
    client : Client, optional
        The server, from `jupyter_pdflow.connect`; by default the one that is found.

    Raises
    ------
    NotFoundError
        When an attribute is read or a method called: no such notebook is deployed.
    ApiError
        Likewise: there is no workflow with this id.
    ServerNotFoundError
        Likewise: there is no server to ask.
    """

    def __init__(self, id: str | os.PathLike[str], client: Client | None = None) -> None:  # noqa: A002  as for RunHandle
        self._given = os.fspath(id)
        self._connected = client

    @cached_property
    def _client(self) -> Client:
        return self._connected or _server()

    @cached_property
    def _view(self) -> View:
        if self._given.endswith(".ipynb"):
            return _deployed(self._client, self._given)
        view: View = self._client.get(f"workflows/{quote(self._given, safe='')}")
        return view

    @property
    def id(self) -> str:
        """The workflow's id, a slug of the notebook's path."""
        return str(self._view["id"])

    @property
    def name(self) -> str:
        """The notebook's file name without ``.ipynb``."""
        return str(self._view["name"])

    @property
    def version(self) -> str:
        """The newest version when this object first asked."""
        return str(self._view["version"])

    @property
    def path(self) -> str:
        """The notebook's path, as the server names it."""
        return str(self._view["path"])

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in order."""
        return list(self._view["steps"])

    def run(self, event: Any = None) -> RunHandle:
        """Start a run with this event; ``{}`` if left out."""
        body = {"event": {} if event is None else event}
        view = self._client.post(f"workflows/{quote(self.id, safe='')}/runs", body)
        return RunHandle._of(self._client, view)

    def __repr__(self) -> str:
        if "_view" not in vars(self):
            return f"Workflow({self._given!r})"
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
    return connect(path=notebook_path())


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
    run = connect().get(run_path(run_id))
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
