"""The widgets of cells: live views of production runs, and the notice of test mode.

Each carries a text and HTML fallback, for terminals, converters and pages without widgets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import anywidget
import ipywidgets
import traitlets
from ipywidgets.widgets.widget_box import VBox

from jupyter_pdflow.client import run_path
from jupyter_pdflow.exceptions import ApiError, BadRequestError, InvalidAnswerError, PDFlowError
from jupyter_pdflow.fallbacks import (
    NO_RUNS,
    Fallback,
    run_fallback,
    runs_fallback,
    step_fallback,
)
from jupyter_pdflow.models import Run, RunItem

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client

Data = TypeVar("Data")

MAX_RUNS = 20
"""Maximum number of runs in the fallback of a list."""

NO_ANSWER = 0
"""The status of an error when the server did not answer."""

NOTICE = (
    "Workflow execution canceled — this may be due to `pd.flow.suspend()` usage "
    "(not supported in test)"
)

STATIC = Path(__file__).parent / "static"
NOT_BUILT_MODULE = """\
export default {
  render({ el }) {
    el.textContent = "The widget of jupyter_pdflow is not built: run jlpm install and " +
      "jlpm build:widget in its folder labextension, then restart the kernel.";
  }
};
"""

ui: Any = ipywidgets
"""`ipywidgets`, which has no types."""


# --- live views -----------------------------------------------------------------------


def run_view(client: Client, run_id: str) -> LiveView:
    """Return a view of a run."""
    view = {"kind": "run", "run": run_id, "probe": run_path(run_id)}
    return LiveView(client, view, lambda: client.run(run_id), run_fallback)


def step_view(client: Client, run_id: str, step: str) -> LiveView:
    """Return a view of one step of a run."""

    def render(run: Run) -> Fallback:
        return step_fallback(run, step)

    view = {"kind": "step", "run": run_id, "step": step, "probe": run_path(run_id)}
    return LiveView(client, view, lambda: client.run(run_id), render)


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
    return LiveView(client, view, fetch, lambda runs: runs_fallback(runs, empty))


class LiveView(anywidget.AnyWidget):
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
    view : dict
        What the browser draws: ``kind`` ("runs", "run" or "step") and the ids for it. ``probe``
        is a path below ``/pdflow/api`` that only this server answers.
    fetch : callable
        Returns the data of the fallback (a run, or runs); called in a thread.
    render : callable
        Makes the fallback from that.
    """

    view = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        client: Client,
        view: dict[str, Any],
        fetch: Callable[[], Data],
        render: Callable[[Data], Fallback],
    ) -> None:
        # Before `super().__init__`, where anywidget reads them.
        self._esm = _read_static("widget.js") or NOT_BUILT_MODULE
        self._css = _read_static("widget.css")
        self._client, self._fetch, self._render = client, fetch, render
        self._handle: Any = None
        # The loop itself keeps only weak references to its tasks.
        self._tasks: set[asyncio.Task[None]] = set()
        self._data = fetch()
        self.text, self.html = render(self._data)
        super().__init__(view=view)
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.text, "text/html": self.html}, metadata

    def _ipython_display_(self) -> None:
        """Display with an id, by which `_update_fallback` finds the output again."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        self._handle = display(  # type: ignore[no-untyped-call]
            data, metadata=metadata, raw=True, display_id=True
        )

    def _on_message(self, _widget: object, message: Any, _buffers: object) -> None:
        if not isinstance(message, dict) or "method" not in message:
            return
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        errors = _field_errors(error.errors if isinstance(error, ApiError) else ())
        told = {"message": str(error), "reason": error.reason, "status": status}
        return {"error": {**told, "errors": errors}}


def _field_errors(errors: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
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


def _read_static(name: str) -> str:
    """Return a built file of the front end, or nothing if it is not built."""
    file = STATIC / name
    return file.read_text("utf-8") if file.is_file() else ""


# --- the notice of test mode ----------------------------------------------------------

_NOTICE_CLASS = "jp-PDFlow-notice"
_STYLE = f"""<style>
.{_NOTICE_CLASS} {{
  border: 1px solid var(--jp-border-color1, #8888);
  border-left: 4px solid var(--jp-warn-color1, #b35900);
  border-radius: 3px;
  margin-top: 0.3em;
  padding: 0.6em 1em;
  gap: 0.4em;
}}
.{_NOTICE_CLASS} p {{ margin: 0 0 0.3em; line-height: 1.5; }}
.{_NOTICE_CLASS} a {{ color: var(--jp-content-link-color, revert); text-decoration: underline; }}
.{_NOTICE_CLASS} :is(th, td) {{ padding: 0 0.8em 0 0; line-height: 1.5; }}
.{_NOTICE_CLASS} .jp-PDFlow {{ margin: 0 2px 0.3em; background: none; }}
.{_NOTICE_CLASS} :is(button, textarea):focus-visible {{
  outline: 2px solid var(--jp-brand-color1, #1976d2);
  outline-offset: 1px;
}}
</style>"""


class FallbackBox(VBox):
    """A column of widgets with a text and HTML fallback.

    Parameters
    ----------
    children : sequence of ipywidgets.Widget
        The widgets.
    text, html : str
        The fallback.
    """

    def __init__(self, children: Sequence[Any], text: str, html: str) -> None:
        super().__init__(children)  # type: ignore[no-untyped-call]
        self.text = text
        self.html = html

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}  # type: ignore[no-untyped-call]
        return {**bundle, "text/plain": self.text, "text/html": self.html}


class AnswerForm(anywidget.AnyWidget):
    """The fields of a form, drawn as in the views of runs.

    Each change in the browser comes as a message ``{method: "answer", args: [answer, problems]}``.
    Messages arrive in the order of what a person does; changes of traits can arrive later than the
    click of a button.

    Parameters
    ----------
    form : dict
        The JSON Schema of the answer.

    Attributes
    ----------
    answer : dict
        What is entered; empty inputs are left out.
    problems : list of dict
        The inputs that the browser can't read: ``{"field", "message"}``.
    """

    view = traitlets.Dict().tag(sync=True)
    form = traitlets.Dict().tag(sync=True)

    def __init__(self, form: dict[str, Any]) -> None:
        # Before `super().__init__`, where anywidget reads them.
        self._esm = _read_static("widget.js") or NOT_BUILT_MODULE
        self._css = _read_static("widget.css")
        self.answer: dict[str, Any] = {}
        self.problems: list[dict[str, str]] = []
        super().__init__(view={"kind": "form"}, form=form)
        self.on_msg(self._on_message)

    def show_errors(self, errors: list[dict[str, str]]) -> None:
        """Show what is wrong with the answer at its fields: ``{"field", "message"}`` each."""
        self.send({"id": "errors", "errors": errors})

    def _on_message(self, _widget: object, message: Any, _buffers: object) -> None:
        match message:
            case {"method": "answer", "args": [dict(answer), list(problems)]}:
                self.answer, self.problems = answer, problems


class Notice(FallbackBox):
    """The notice that a step would have paused, with buttons to decide the pause.

    A callback that raises `InvalidAnswerError` leaves the buttons as they are, and its errors are
    shown at the fields of the form.

    Parameters
    ----------
    text : str
        What production would do, in a sentence.
    resumed : callable
        Called with the answer for *as if resumed with*: that of the form, or the JSON value of the
        field.
    timed_out, canceled : callable
        Called for *as if the time ran out* and *as if canceled*.
    rejected : callable, optional
        Called for *as if rejected*; without it there is no such button.
    form : dict, optional
        The JSON Schema of the answer.
    message_html : str, optional
        What is asked, as HTML that is safe to show.
    """

    def __init__(
        self,
        text: str,
        *,
        resumed: Callable[[Any], object],
        timed_out: Callable[[], object],
        canceled: Callable[[], object],
        rejected: Callable[[], object] | None = None,
        form: dict[str, Any] | None = None,
        message_html: str | None = None,
    ) -> None:
        self.form = None if form is None else AnswerForm(form)
        self.data = _json_field()
        resume = _button("as if resumed with", lambda: self._resume(resumed), "primary")
        others = [
            *([] if rejected is None else [self._pressing("as if rejected", rejected)]),
            self._pressing("as if the time ran out", timed_out),
            self._pressing("as if canceled", canceled),
        ]
        self.buttons = [resume, *others]
        self.status = ui.HTML(layout={"display": "none"})
        self.output = ui.Output()
        head = f"{_STYLE}<p><b>{escape(NOTICE)}</b></p><p>{escape(text)}</p>"
        rows = [_row(resume, self.data), _row(*others)]
        super().__init__(
            [
                ui.HTML(f"{head}{_message(message_html)}"),
                *(rows if self.form is None else [self.form, _row(*self.buttons)]),
                self.status,
                self.output,
            ],
            NOTICE,
            f"<p>{escape(NOTICE)}</p>",
        )
        self.add_class(_NOTICE_CLASS)  # type: ignore[no-untyped-call]

    def show_status(self, text: str) -> None:
        """Show the result of a button below the buttons."""
        self.status.layout.display = None
        self.status.value = f'<p role="status">{escape(text)}</p>'

    def add_output(self, output: dict[str, Any]) -> None:
        """Show an output, in nbformat 4, below the buttons."""
        # Assigned as a whole: the trait sends no change of a tuple's contents.
        self.output.outputs = (*self.output.outputs, output)

    def _pressing(self, description: str, action: Callable[[], object]) -> Any:
        return _button(description, lambda: self._press(action))

    def _resume(self, resumed: Callable[[Any], object]) -> None:
        if self.form is None:
            self._resume_with_json(resumed)
        elif self.form.problems:
            self._refuse("Correct the marked fields.", self.form.problems)
        else:
            answer = self.form.answer
            self._press(lambda: resumed(answer))

    def _resume_with_json(self, resumed: Callable[[Any], object]) -> None:
        text = self.data.value.strip()
        try:
            data = json.loads(text) if text else None
        except ValueError as error:
            message = f"The data is not JSON ({error}); correct it and press the button again."
            self.show_status(message)
            return
        self._press(lambda: resumed(data))

    def _press(self, action: Callable[[], object]) -> None:
        for button in self.buttons:
            button.disabled = True
        try:
            action()
        except InvalidAnswerError as error:
            for button in self.buttons:
                button.disabled = False
            self._refuse(_joined(error), _field_errors(error.errors))

    def _refuse(self, message: str, errors: list[dict[str, str]]) -> None:
        self.show_status(message)
        if self.form is not None:
            self.form.show_errors(errors)


def _joined(error: InvalidAnswerError) -> str:
    """Return what is wrong with an answer, all of it: a front end may not show it at the fields."""
    problems = [f"{field}: {message}" if field else message for field, message in error.errors]
    return f"The answer is not valid. {' '.join(problems)}"


def _message(html: str | None) -> str:
    """Return a message as HTML whose links don't replace the page of the notebook."""
    if html is None:
        return ""
    # What Markdown was made into has no other "<a ": texts and attributes are escaped.
    in_new_tab = html.replace("<a ", '<a target="_blank" ')
    return f"<div>{in_new_tab}</div>"


def _json_field() -> Any:
    return ui.Textarea(
        description="JSON",
        placeholder='{"approved": true}, or nothing',
        rows=1,
        style={"description_width": "initial"},
        layout={"width": "28em", "max_width": "100%"},
    )


def _button(description: str, action: Callable[[], object], style: str = "") -> Any:
    button = ui.Button(description=description, button_style=style, layout={"width": "auto"})
    button.on_click(lambda _: action())
    return button


def _row(*children: Any) -> Any:
    return ui.HBox(children, layout={"flex_flow": "row wrap"})
