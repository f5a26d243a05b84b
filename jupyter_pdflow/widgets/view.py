"""The widgets of cells: a view that calls the server, and the notice of test mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import anywidget
import traitlets

from jupyter_pdflow.client import run_path
from jupyter_pdflow.exceptions import ApiError, BadRequestError, PDFlowError
from jupyter_pdflow.formatting import Fallback
from jupyter_pdflow.widgets.run_views import (
    NO_RUN,
    FallbackBox,
    View,
    run_fallback,
    runs_fallback,
    step_fallback,
    ui,
)

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client


NO_ANSWER = 0
"""The status of an error where the server did not answer."""


def answer(client: Client, method: object, args: object) -> dict[str, Any]:
    """Send a view's request to the server.

    Parameters
    ----------
    client : Client
        The server.
    method : str
        ``GET`` or ``POST``.
    args : list
        A path below ``/pdflow/api``, for ``GET`` with its query; the data of a ``POST``.

    Returns
    -------
    dict
        ``{"result": …}``, or ``{"error": {"message", "reason", "status"}}``.
    """
    try:
        return {"result": _sent(client, method, args)}
    except PDFlowError as error:
        status = error.status if isinstance(error, ApiError | BadRequestError) else NO_ANSWER
        return {"error": {"message": str(error), "reason": error.reason, "status": status}}


def _sent(client: Client, method: object, args: object) -> Any:
    match method, args:
        case "GET", [str(path)]:
            path, _, query = path.partition("?")
            return client.get(path, **dict(parse_qsl(query)))
        case "POST", [str(path), dict(data)]:
            return client.post(path, data)
    msg = "A view can only GET a path and POST an object to one."
    raise BadRequestError(msg)


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
    ``{id, method, args}``, see `jupyter_pdflow.widgets.view.answer`, and the answers go back as
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


NOTICE = (
    "Workflow execution canceled — this may be due to `pd.flow.suspend()` usage "
    "(not supported in test)"
)
_CARD = "jp-PDFlow-notice"
_STYLE = f"""<style>
.{_CARD} {{
  border: 1px solid var(--jp-border-color1, #8888);
  border-left: 4px solid var(--jp-warn-color1, #b35900);
  border-radius: 3px;
  margin-top: 0.3em;
  padding: 0.6em 1em;
  gap: 0.4em;
}}
.{_CARD} p {{ margin: 0 0 0.3em; line-height: 1.5; }}
.{_CARD} :is(button, textarea):focus-visible {{
  outline: 2px solid var(--jp-brand-color1, #1976d2);
  outline-offset: 1px;
}}
</style>"""


class Notice(FallbackBox):
    """The notice and its buttons.

    Parameters
    ----------
    words : str
        What production would do, in a sentence.
    resumed : callable
        Called with the JSON value of the field, for *as if resumed with*.
    timed_out, canceled : callable
        Called for *as if the time ran out* and *as if cancelled*.
    """

    def __init__(
        self,
        words: str,
        *,
        resumed: Callable[[Any], object],
        timed_out: Callable[[], object],
        canceled: Callable[[], object],
    ) -> None:
        self.data = ui.Textarea(
            description="JSON",
            placeholder='{"approved": true}, or nothing',
            rows=1,
            style={"description_width": "initial"},
            layout={"width": "28em", "max_width": "100%"},
        )
        self.buttons = [
            _button("as if resumed with", lambda: self._resume(resumed), "primary"),
            _button("as if the time ran out", lambda: self._press(timed_out)),
            _button("as if cancelled", lambda: self._press(canceled)),
        ]
        self.status = ui.HTML(layout={"display": "none"})
        self.output = ui.Output()
        resume, expire, cancel = self.buttons
        html = f"<p>{escape(NOTICE)}</p>"
        super().__init__(
            [
                ui.HTML(f"{_STYLE}<p><b>{escape(NOTICE)}</b></p><p>{escape(words)}</p>"),
                _row(resume, self.data),
                _row(expire, cancel),
                self.status,
                self.output,
            ],
            NOTICE,
            html,
        )
        self.add_class(_CARD)  # type: ignore[no-untyped-call]

    def say(self, words: str) -> None:
        """Show what came of a button."""
        self.status.layout.display = None
        self.status.value = f'<p role="status">{escape(words)}</p>'

    def add_output(self, output: dict[str, Any]) -> None:
        """Show an output, in nbformat 4, below the buttons."""
        self.output.outputs = (*self.output.outputs, output)

    def _resume(self, resumed: Callable[[Any], object]) -> None:
        text = self.data.value.strip()
        try:
            data = json.loads(text) if text else None
        except ValueError as error:
            self.say(f"The data is not JSON ({error}); correct it and press the button again.")
            return
        self._press(lambda: resumed(data))

    def _press(self, action: Callable[[], object]) -> None:
        for button in self.buttons:
            button.disabled = True
        action()


def _button(description: str, action: Callable[[], object], style: str = "") -> Any:
    button = ui.Button(description=description, button_style=style, layout={"width": "auto"})
    button.on_click(lambda _: action())
    return button


def _row(*children: Any) -> Any:
    return ui.HBox(children, layout={"flex_flow": "row wrap"})
