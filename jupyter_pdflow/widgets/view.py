"""Runs that a notebook shows live, with buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.widgets.calls import answer, run_path
from jupyter_pdflow.widgets.run_views import (
    NO_RUN,
    View,
    run_fallback,
    runs_fallback,
    step_fallback,
)
from jupyter_pdflow.widgets.text import Fallback

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client

RUNS_SHOWN = 20
"""Runs in the twins of a list."""
STATIC = Path(__file__).parent / "static"
NOT_BUILT = """\
export default {
  render({ el }) {
    el.textContent = "The widget of jupyter_pdflow is not built: run jlpm install and " +
      "jlpm build:widget in its folder labextension, then restart the kernel.";
  }
};
"""


class LiveView(anywidget.AnyWidget):
    """What `view` says, drawn in the browser.

    The browser talks to the server by itself where the page is the server's own, so that its
    buttons work while the kernel is busy. Elsewhere its requests come here as messages
    ``{id, method, args}``, see `jupyter_pdflow.widgets.calls.answer`, and the answers go back as
    ``{id, result}`` or ``{id, error}``. ``{method: "settled"}`` tells that what a saved notebook
    says is to be brought up to date.

    Parameters
    ----------
    client : Client
        The server.
    view : dict
        ``kind`` ("runs", "run" or "step") and what it is of, for the browser. ``probe`` is a
        path below ``/pdflow/api`` that only this server answers.
    fetch : callable
        Gets what the twins show; called in a thread.
    render : callable
        Makes the twins of that.
    """

    view = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        client: Client,
        view: dict[str, Any],
        fetch: Callable[[], Any],
        render: Callable[[Any], Fallback],
    ) -> None:
        self._esm = _built("widget.js") or NOT_BUILT
        self._css = _built("widget.css")
        self._client, self._fetch, self._render = client, fetch, render
        self._handle: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._state = fetch()
        self.text, self.html = render(self._state)
        super().__init__(view=view)
        self.on_msg(self._take)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.text, "text/html": self.html}, metadata

    def _ipython_display_(self) -> None:
        """Display with an id, so that what a saved notebook says can be brought up to date."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        self._handle = display(  # type: ignore[no-untyped-call]
            data, metadata=metadata, raw=True, display_id=True
        )

    def _take(self, _widget: object, message: Any, _buffers: object) -> None:
        if not isinstance(message, dict) or "method" not in message:
            return
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: dict[str, Any]) -> None:
        if message["method"] == "settled":
            await self._update()
            return
        found = await asyncio.to_thread(
            answer, self._client, message["method"], message.get("args")
        )
        self.send({"id": message.get("id"), **found})

    async def _update(self) -> None:
        """Bring the twins up to date in the output that shows this."""
        try:
            state = await asyncio.to_thread(self._fetch)
        except PDFlowError:
            return
        if state == self._state:
            return
        self._state = state
        self.text, self.html = self._render(state)
        if self._handle is not None:
            data, metadata = self._repr_mimebundle_()
            self._handle.update(data, metadata=metadata, raw=True)


def run_view(client: Client, run_id: str) -> LiveView:
    """Show a run."""
    view = {"kind": "run", "run": run_id, "probe": run_path(run_id)}
    return LiveView(client, view, lambda: client.get(run_path(run_id)), run_fallback)


def step_view(client: Client, run_id: str, step: str) -> LiveView:
    """Show one step of a run."""

    def render(run: View) -> Fallback:
        return step_fallback(run, step)

    view = {"kind": "step", "run": run_id, "step": step, "probe": run_path(run_id)}
    return LiveView(client, view, lambda: client.get(run_path(run_id)), render)


def runs_view(client: Client, status: str | None = None, workflow: str | None = None) -> LiveView:
    """Show the runs of a workflow, or of all; with a status, at first only those that have it."""

    def fetch() -> Any:
        return client.get("runs", status=status, workflow=workflow, limit=RUNS_SHOWN)

    newest = client.get("runs", workflow=workflow, limit=1)
    probe = run_path(newest[0]["id"]) if newest else "runs?limit=1"
    view = {"kind": "runs", "status": status, "workflow": workflow, "probe": probe}
    nothing = "There is no such run." if status else NO_RUN
    return LiveView(client, view, fetch, lambda runs: runs_fallback(runs, nothing))


def _built(name: str) -> str:
    file = STATIC / name
    return file.read_text("utf-8") if file.is_file() else ""
