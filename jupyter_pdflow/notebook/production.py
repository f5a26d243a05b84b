"""Production in a notebook: `Run`, `Workflow` and `runs`, and what production mode does."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from jupyter_pdflow import models
from jupyter_pdflow.client import Client, connect
from jupyter_pdflow.exceptions import BadRequestError, NotebookError, NotFoundError
from jupyter_pdflow.fallbacks import run_fallback
from jupyter_pdflow.formatting import version_text
from jupyter_pdflow.kernels.inside.cell import output_of
from jupyter_pdflow.notebook.session import (
    ExecutedStep,
    Location,
    Session,
    find_location,
    notebook_path,
)
from jupyter_pdflow.notebook.source import code_cells, read_source
from jupyter_pdflow.pd.attrs import Attrs, attrs

if TYPE_CHECKING:
    from jupyter_pdflow.widgets.view import LiveView

NAME_SHOWN = 30
"""Maximum number of characters of a step's name in a refusal."""


class RunHandle:
    """A production run; as a cell's value it is displayed live, with buttons.

    The server is not asked until an attribute is read. The attributes are those of its last
    answer; `refresh` asks again.

    Parameters
    ----------
    id : str
        The run's id, as ``%pdflow runs`` shows it.
    client : Client, optional
        The server, from `jupyter_pdflow.connect`; by default the one that `connect` finds.

    Raises
    ------
    ApiError
        When an attribute is read or a method called, if there is no such run.
    ServerNotFoundError
        Likewise, if no server is found.

    Examples
    --------
    >>> run = Workflow("approval.ipynb").run({"amount": 7})  # doctest: +SKIP
    >>> run.refresh().status  # doctest: +SKIP
    'paused'
    """

    def __init__(self, id: str, client: Client | None = None) -> None:  # noqa: A002  its name in the API
        self.id = id
        self._client_or_none = client
        self._answer_or_none: models.Run | None = None

    @classmethod
    def _from_answer(cls, client: Client, answer: models.Run) -> Self:
        run = cls(answer.id, client)
        run._answer_or_none = answer
        return run

    @property
    def _client(self) -> Client:
        if self._client_or_none is None:
            self._client_or_none = _default_client()
        return self._client_or_none

    @property
    def _answer(self) -> models.Run:
        if self._answer_or_none is None:
            self._answer_or_none = self._client.run(self.id)
        return self._answer_or_none

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``paused``, ``succeeded``, ``failed`` or ``canceled``."""
        return self._answer.status

    @property
    def exports(self) -> Attrs:
        """The exports of each step that has any, by step name."""
        exports: Attrs = attrs(_exports(self._answer))
        return exports

    def refresh(self) -> Self:
        """Ask the server for the run as it is now, and return this object."""
        self._answer_or_none = self._client.run(self.id)
        return self

    def resume(self, data: Any = None, *, note: str | None = None) -> Self:
        """Resume, or approve, the paused run, and return this object.

        Parameters
        ----------
        data : JSON value
            The ``body`` of the request, as the step receives it. If the pause has a form, the
            values of its fields by name.
        note : str, optional
            Kept with the decision.

        Raises
        ------
        ApiError
            The run is not paused, the answer does not match the form, or only others decide.
        """
        self._answer_or_none = self._client.resume(self.id, data, note=note)
        return self

    def reject(self, note: str | None = None) -> Self:
        """Reject what the paused run asks, and return this object; raises what `resume` raises."""
        self._answer_or_none = self._client.reject(self.id, note)
        return self

    def cancel(self, reason: str | None = None) -> Self:
        """Cancel the run, also while a step executes, and return this object.

        Raises
        ------
        ApiError
            The run has ended.
        """
        self._answer_or_none = self._client.cancel(self.id, reason)
        return self

    def __repr__(self) -> str:
        if self._answer_or_none is None:
            return f"Run({self.id!r})"
        text, _ = run_fallback(self._answer_or_none)
        return text

    def _ipython_display_(self) -> None:
        from jupyter_pdflow.widgets.view import run_view

        run_view(self._client, self.id)._ipython_display_()


class WorkflowHandle:
    """A deployed workflow; as a cell's value its runs are displayed live.

    The server is not asked until an attribute is read.

    Parameters
    ----------
    id : str or os.PathLike
        The workflow's id, or the path of its notebook.
    client : Client, optional
        The server, from `jupyter_pdflow.connect`; by default the one that `connect` finds.

    Raises
    ------
    NotFoundError
        When an attribute is read or a method called, if no such notebook is deployed.
    ApiError
        Likewise, if there is no workflow with this id.
    ServerNotFoundError
        Likewise, if no server is found.
    """

    def __init__(self, id: str | os.PathLike[str], client: Client | None = None) -> None:  # noqa: A002  as for RunHandle
        self._id_or_path = os.fspath(id)
        self._client_or_none = client

    @cached_property
    def _client(self) -> Client:
        return self._client_or_none or _default_client()

    @cached_property
    def _answer(self) -> models.Workflow:
        if self._id_or_path.endswith(".ipynb"):
            return _workflow_of_notebook(self._client, self._id_or_path)
        return self._client.workflow(self._id_or_path)

    @property
    def id(self) -> str:
        """The workflow's id, a slug of the notebook's path."""
        return self._answer.id

    @property
    def name(self) -> str:
        """The notebook's file name without ``.ipynb``."""
        return self._answer.name

    @property
    def version(self) -> str:
        """The newest version at the time of the first answer."""
        return self._answer.version

    @property
    def number(self) -> int:
        """The number of that version: 1 for the one that was first deployed."""
        return self._answer.number

    @property
    def path(self) -> str:
        """The notebook's path, as the server names it."""
        return self._answer.path

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in order."""
        return self._answer.steps

    def run(self, event: Any = None) -> RunHandle:
        """Start a run with this event, by default ``{}``, and return it."""
        answer = self._client.start(self.id, {} if event is None else event)
        return RunHandle._from_answer(self._client, answer)

    def __repr__(self) -> str:
        if "_answer" not in vars(self):
            return f"Workflow({self._id_or_path!r})"
        version = version_text(self.number, self.version)
        return f"Workflow {self.id}, {version}: {', '.join(self.steps)}"

    def _ipython_display_(self) -> None:
        from jupyter_pdflow.widgets.view import runs_view

        runs_view(self._client, workflow=self.id)._ipython_display_()


def runs(status: str | None = None, workflow: str | None = None) -> LiveView:
    """Return a view of production runs, live, newest first, with buttons.

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
        No server is found.
    """
    from jupyter_pdflow.widgets.view import runs_view

    return runs_view(_default_client(), status, workflow)


def _default_client() -> Client:
    return connect(path=notebook_path())


def _workflow_of_notebook(client: Client, path: str) -> models.Workflow:
    """Return the workflow of a notebook, by its path here or as the server names it."""
    paths = {path, client.relative(path)} if client.contains(path) else {path}
    workflow = _find_workflow(client, paths)
    if workflow is None:
        msg = f"{path} is not deployed: run `%pdflow production` in it first."
        raise NotFoundError(msg)
    return workflow


def _find_workflow(client: Client, paths: set[str]) -> models.Workflow | None:
    return next((each for each in client.workflows() if each.path in paths), None)


# --- production mode ------------------------------------------------------------------


def deploy(session: Session) -> models.Workflow:
    """Deploy the notebook as saved, and return the workflow.

    Raises
    ------
    NotebookError
        The notebook is broken, or a step as run in this session differs from the saved one.
    ApiError
        The server refused the notebook.
    """
    location = find_location()
    notebook = location.client.notebook(location.path)
    # The server does this too; here it comes before any comparison with the session.
    read_source(notebook)
    _check_saved(session, location, notebook)
    return location.client.deploy(location.path)


def start(event: Any) -> None:
    """Start a production run of the notebook's deployed version, and display it live."""
    from IPython.display import display

    from jupyter_pdflow.widgets.view import run_view

    location = find_location()
    workflow = _deployed_workflow(location)
    run = location.client.start(workflow.id, event, by="button")
    display(run_view(location.client, run.id))  # type: ignore[no-untyped-call]


def show_step(name: str) -> None:
    """Display a step of the notebook's latest production run, live."""
    from IPython.display import display

    from jupyter_pdflow.widgets.view import step_view

    location = find_location()
    view = step_view(location.client, _deployed_workflow(location).id, name)
    display(view)  # type: ignore[no-untyped-call]


def replace_test_outputs(session: Session, workflow: models.Workflow) -> None:
    """Have the step cells that show test mode show the latest production run.

    A front end knows a cell by the request that has executed it, until its page is loaded again.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import clear_output, display

    from jupyter_pdflow.widgets.view import step_view

    requests, session.requests = session.requests, {}
    if not requests:
        return
    client = find_location().client
    for name, request in requests.items():
        if name in workflow.steps:
            view = step_view(client, workflow.id, name)
            with output_of(get_ipython(), request):
                clear_output(wait=True)  # type: ignore[no-untyped-call]
                display(view)  # type: ignore[no-untyped-call]


def show_runs() -> None:
    """Display the notebook's production runs, newest first, live."""
    from IPython.display import display

    from jupyter_pdflow.widgets.view import runs_view

    location = find_location()
    view = runs_view(location.client, workflow=_deployed_workflow(location).id)
    display(view)  # type: ignore[no-untyped-call]


def load_run(session: Session, run_id: str) -> list[str]:
    """Load a run's event and exports into the session, and return the names of its steps."""
    run = connect().run(run_id)
    exports = _exports(run)
    session.event = run.event
    session.exports.update(exports)
    # What waited in test mode is not what these exports are of.
    for name in exports:
        session.test_runs.pop(name, None)
    return list(exports)


def _exports(run: models.Run) -> dict[str, dict[str, Any]]:
    """Return the exports of each step that has any, by step name."""
    return {step.name: step.exports for step in run.steps if step.exports}


def _deployed_workflow(location: Location) -> models.Workflow:
    workflow = _find_workflow(location.client, {location.path})
    if workflow is None:
        msg = f"{location.path} is not deployed yet: run `%pdflow production` first."
        raise BadRequestError(msg)
    return workflow


def _check_saved(session: Session, location: Location, notebook: dict[str, Any]) -> None:
    saved = {cell.name: cell.body for cell in code_cells(notebook) if cell.name is not None}
    for name, step in session.executed_steps.items():
        saved_since = _saved_since(step, location)
        if name in saved and saved[name] != step.body:
            raise NotebookError(_difference(name, saved_since))
        if name not in saved and not saved_since:  # else its cell was deleted
            msg = f"{_step(name)} was run here but is not saved. Save the notebook, then deploy again."
            raise NotebookError(msg)


def _difference(name: str, saved_since: bool | None) -> str:
    """Return that a step cell as run here differs from the saved one, and what to do.

    JupyterLab cuts off notifications after 140 characters.
    """
    if saved_since is None:
        what, advice = "differs from the saved notebook", "Save it, or run the cell again"
    elif saved_since:
        what, advice = "was edited after it was run here", "Run its cell"
    else:
        what, advice = "was run here with unsaved changes", "Save the notebook"
    return f"{_step(name)} {what}. {advice}, then deploy again."


def _step(name: str) -> str:
    return f"Step {name[:NAME_SHOWN]!r}"


def _saved_since(step: ExecutedStep, location: Location) -> bool | None:
    """Whether the notebook was saved after a step was run, or None if its file is elsewhere."""
    file = location.file
    return None if file is None else datetime.fromtimestamp(file.stat().st_mtime, UTC) > step.at
