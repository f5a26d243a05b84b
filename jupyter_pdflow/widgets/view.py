"""The widgets of cells that show production runs, live.

Each carries a text and HTML fallback, for terminals, converters and pages without widgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import anywidget
import traitlets

from jupyter_pdflow.client import run_path, workflow_path
from jupyter_pdflow.exceptions import ApiError, BadRequestError, PDFlowError
from jupyter_pdflow.fallbacks import (
    NO_RUNS,
    Fallback,
    latest_step_fallback,
    run_fallback,
    runs_fallback,
)
from jupyter_pdflow.models import Run, RunItem
from jupyter_pdflow.widgets.bundle import NOT_BUILT, loader, views

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client

Data = TypeVar("Data")

MAX_RUNS = 20
"""Maximum number of runs in the fallback of a list."""

NO_ANSWER = 0
"""The status of an error when the server did not answer."""


# --- live views -----------------------------------------------------------------------


def run_view(client: Client, run_id: str) -> LiveView:
    """Return a view of a run."""
    view = {"kind": "run", "run": run_id, "probe": run_path(run_id)}
    return LiveView(client, lambda _: view, lambda: client.run(run_id), run_fallback)


def step_view(client: Client, workflow: str, step: str) -> LiveView:
    """Return a view of one step of a workflow's latest run, also of one that starts later.

    Parameters
    ----------
    client : Client
        The server.
    workflow : str
        The workflow's id.
    step : str
        The step's name.
    """

    def fetch() -> Run | None:
        newest = client.runs(workflow=workflow, limit=1)
        return client.run(newest[0].id) if newest else None

    def render(run: Run | None) -> Fallback:
        return latest_step_fallback(run, step)

    def view(run: Run | None) -> dict[str, Any]:
        shown = {"kind": "step", "follow": True, "workflow": workflow, "step": step}
        if run is None:
            return {**shown, "run": None, "probe": workflow_path(workflow)}
        return {**shown, "run": run.id, "probe": run_path(run.id)}

    return LiveView(client, view, fetch, render)


def runs_view(client: Client, status: str | None = None, workflow: str | None = None) -> LiveView:
    """Return a view of the runs of one workflow or of all.

    Parameters
    ----------
    client : Client
        The server.
    status : str, optional
        The filter that the view starts with.
    workflow : str, optional
        The workflow's id.
    """

    def fetch() -> list[RunItem]:
        return client.runs(status=status, workflow=workflow, limit=MAX_RUNS)

    newest = client.runs(workflow=workflow, limit=1)
    probe = run_path(newest[0].id) if newest else "runs?limit=1"
    view = {"kind": "runs", "status": status, "workflow": workflow, "probe": probe}
    empty = "There is no such run." if status else NO_RUNS
    return LiveView(client, lambda _: view, fetch, lambda runs: runs_fallback(runs, empty))


class LoadedWidget(anywidget.AnyWidget):
    """A widget whose views the page loads once for all of its widgets.

    A page that can't load them from its server asks with ``{id, method: "module"}``. The answer is
    ``{id, result: {module, style}}`` or ``{id, error}``.
    """

    view = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        # Before `super().__init__`, where anywidget reads it.
        self._esm = loader()
        # The loop itself keeps only weak references to its tasks.
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def receive(self, message: dict[str, Any]) -> None:
        """Handle a message of the page; it has a ``method``."""
        raise NotImplementedError

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the message was handled."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_message(self, _widget: object, message: Any, _buffers: object) -> None:
        match message:
            case {"method": "module"}:
                self.start_task(self._send_views(message.get("id")))
            case {"method": _}:
                self.receive(message)

    async def _send_views(self, request: object) -> None:
        answer = await asyncio.to_thread(_views_answer)
        self.send({"id": request, **answer})


class LiveView(LoadedWidget):
    """A view of runs, drawn in the browser.

    On a page of this server, the browser sends its requests to the server itself, so that the
    buttons work while the kernel is busy. On any other page it sends them to the kernel as
    messages ``{id, method, args}``, see `handle_request`, and the answers go back as
    ``{id, result}`` or ``{id, error}``. With ``{method: "settled"}`` it asks the kernel to bring
    the fallback in the saved notebook up to date.

    Parameters
    ----------
    client : Client
        The server.
    view : callable
        Returns, for the data of the fallback, what the browser draws: ``kind`` ("runs", "run" or
        "step") and the ids for it. With ``follow`` that is the latest run of ``workflow``, and
        ``run`` is the latest one now, or None. ``probe`` is a path below ``/pdflow/api`` that only
        this server answers.
    fetch : callable
        Returns the data of the fallback (a run, or runs); called in a thread.
    render : callable
        Makes the fallback from that.
    """

    def __init__(
        self,
        client: Client,
        view: Callable[[Data], dict[str, Any]],
        fetch: Callable[[], Data],
        render: Callable[[Data], Fallback],
    ) -> None:
        self._client, self._fetch, self._render = client, fetch, render
        self._handle: Any = None
        data = self._data = fetch()
        self.text, self.html = render(data)
        super().__init__(view=view(data))

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.text, "text/html": self.html}, metadata

    def receive(self, message: dict[str, Any]) -> None:
        """Answer a request, or bring the fallback up to date."""
        self.start_task(self._answer(message))

    def _ipython_display_(self) -> None:
        """Display with an id, by which `_update_fallback` finds the output again."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        self._handle = display(  # type: ignore[no-untyped-call]
            data, metadata=metadata, raw=True, display_id=True
        )

    async def _answer(self, message: dict[str, Any]) -> None:
        if message["method"] == "settled":
            await self._update_fallback()
            return
        # The client blocks, and the kernel has to stay responsive.
        answer = await asyncio.to_thread(
            handle_request, self._client, message["method"], message.get("args")
        )
        self.send({"id": message.get("id"), **answer})

    async def _update_fallback(self) -> None:
        try:
            data = await asyncio.to_thread(self._fetch)
        except PDFlowError:
            return
        if data == self._data:
            return
        self._data = data
        self.text, self.html = self._render(data)
        if self._handle is not None:
            bundle, metadata = self._repr_mimebundle_()
            self._handle.update(bundle, metadata=metadata, raw=True)


def _views_answer() -> dict[str, Any]:
    try:
        return {"result": views()}
    except FileNotFoundError:
        error = {"message": NOT_BUILT, "reason": "not_built", "status": NO_ANSWER}
        return {"error": error}


def handle_request(client: Client, method: object, args: object) -> dict[str, Any]:
    """Send a view's request to the server.

    Parameters
    ----------
    client : Client
        The server.
    method : str
        ``GET`` or ``POST``.
    args : list
        A path below ``/pdflow/api``, for ``GET`` with its query; for ``POST`` also the body.

    Returns
    -------
    dict
        ``{"result": …}``, or ``{"error": {"message", "reason", "status", "errors"}}``; the last are
        those of the fields of an invalid answer.
    """
    try:
        return {"result": _send(client, method, args)}
    except PDFlowError as error:
        status = error.status if isinstance(error, ApiError | BadRequestError) else NO_ANSWER
        errors = field_errors(error.errors if isinstance(error, ApiError) else ())
        told = {"message": str(error), "reason": error.reason, "status": status}
        return {"error": {**told, "errors": errors}}


def field_errors(errors: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return what is wrong with the fields of an answer, as the API says it."""
    return [{"field": field, "message": message} for field, message in errors]


def _send(client: Client, method: object, args: object) -> Any:
    match method, args:
        case "GET", [str(path)]:
            path, _, query = path.partition("?")
            return client.get(path, **dict(parse_qsl(query)))
        case "POST", [str(path), dict(data)]:
            return client.post(path, data)
    msg = "A view can only GET a path and POST an object to one."
    raise BadRequestError(msg)
