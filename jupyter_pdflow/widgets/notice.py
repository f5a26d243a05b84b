"""The notice of test mode: a step would pause, and buttons decide how the pause ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, TypeAlias

import ipywidgets
import traitlets
from ipywidgets.widgets.widget_box import VBox

from jupyter_pdflow.exceptions import InvalidAnswerError
from jupyter_pdflow.formatting import short_json
from jupyter_pdflow.widgets.view import LoadedWidget, field_errors

Press: TypeAlias = Callable[[Any, Any], object]
"""Called with a button's action and the data to send."""

NOTICE = (
    "Workflow execution canceled — this may be due to `pd.flow.suspend()` usage "
    "(not supported in test)"
)

RESUME = "resume"
"""The action of the button that sends data; the others send none."""

CHOSEN_ICON = "check"
"""The icon of the button that counts."""

SENT_LIMIT = 80
"""Maximum number of characters that are shown of the data that was sent."""

ui: Any = ipywidgets
"""`ipywidgets`, which has no types."""

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
.{_NOTICE_CLASS} p {{ margin: 0 0 0.3em; line-height: 1.5; overflow-wrap: anywhere; }}
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


class AnswerForm(LoadedWidget):
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

    form = traitlets.Dict().tag(sync=True)

    def __init__(self, form: dict[str, Any]) -> None:
        self.answer: dict[str, Any] = {}
        self.problems: list[dict[str, str]] = []
        super().__init__(view={"kind": "form"}, form=form)

    def show_errors(self, errors: list[dict[str, str]]) -> None:
        """Show what is wrong with the answer at its fields: ``{"field", "message"}`` each."""
        self.send({"id": "errors", "errors": errors})

    def receive(self, message: dict[str, Any]) -> None:
        """Take over what is entered."""
        match message:
            case {"method": "answer", "args": [dict(answer), list(problems)]}:
                self.answer, self.problems = answer, problems


class Notice(FallbackBox):
    """The notice that a step would have paused, with buttons to decide the pause.

    Another button can be pressed later. The one that counts is marked, and named below the buttons
    with what was sent.

    Parameters
    ----------
    text : str
        What production would do, in a sentence.
    press : callable
        Called with the action of the button that was pressed and the data: for `RESUME` the answer
        of the form, or the JSON value of the field; for other actions None. If it raises
        `InvalidAnswerError`, the errors are shown at the fields of the form.
    labels : mapping
        The text of each button by its action, `RESUME` among them, in their order.
    form : dict, optional
        The JSON Schema of the answer.
    message_html : str, optional
        What is asked, as HTML that is safe to show.
    """

    def __init__(
        self,
        text: str,
        press: Press,
        *,
        labels: Mapping[str, str],
        form: dict[str, Any] | None = None,
        message_html: str | None = None,
    ) -> None:
        self._on_press = press
        self._choice = ""
        self.form = None if form is None else AnswerForm(form)
        self.data = _json_field()
        self.buttons = {action: self._button(action, label) for action, label in labels.items()}
        self.status = ui.HTML(layout={"display": "none"})
        self.output = ui.Output()
        head = f"{_STYLE}<p><b>{escape(NOTICE)}</b></p><p>{escape(text)}</p>"
        super().__init__(
            [
                ui.HTML(f"{head}{_message(message_html)}"),
                *self._rows(),
                self.status,
                self.output,
            ],
            NOTICE,
            f"<p>{escape(NOTICE)}</p>",
        )
        self.add_class(_NOTICE_CLASS)  # type: ignore[no-untyped-call]

    def show_status(self, text: str) -> None:
        """Show a text below the buttons, behind what was chosen."""
        chosen = f"<b>{escape(self._choice)}</b> " if self._choice else ""
        self.status.layout.display = None
        self.status.value = f'<p role="status">{chosen}{escape(text)}</p>'

    def show_choice(self, action: str, data: Any, text: str) -> None:
        """Mark the button that counts from now on, and show its result.

        Parameters
        ----------
        action : str
            The button's action.
        data : JSON value
            What was sent; only for `RESUME`.
        text : str
            The result.
        """
        for each, button in self.buttons.items():
            button.icon = CHOSEN_ICON if each == action else ""
            button.button_style = "primary" if each == action else ""
        sent = f" {_shortened(data)}" if action == RESUME else ""
        self._choice = f"Chosen: {self.buttons[action].description}{sent}."
        self.output.outputs = ()
        self.show_status(text)

    def enable(self, *, enabled: bool) -> None:
        """Enable or disable the buttons."""
        for button in self.buttons.values():
            button.disabled = not enabled

    def add_output(self, output: dict[str, Any]) -> None:
        """Show an output, in nbformat 4, below the buttons."""
        # Assigned as a whole: the trait sends no change of a tuple's contents.
        self.output.outputs = (*self.output.outputs, output)

    def _button(self, action: str, label: str) -> Any:
        style = "primary" if action == RESUME else ""
        button = ui.Button(description=label, button_style=style, layout={"width": "auto"})
        pressed = self._resume if action == RESUME else lambda: self._press(action)
        button.on_click(lambda _: pressed())
        return button

    def _rows(self) -> list[Any]:
        if self.form is not None:
            return [self.form, _row(*self.buttons.values())]
        others = (button for action, button in self.buttons.items() if action != RESUME)
        return [_row(self.buttons[RESUME], self.data), _row(*others)]

    def _resume(self) -> None:
        if self.form is None:
            self._resume_with_json()
        elif self.form.problems:
            self._refuse("Correct the marked fields.", self.form.problems)
        else:
            self._press(RESUME, self.form.answer)

    def _resume_with_json(self) -> None:
        text = self.data.value.strip()
        try:
            data = json.loads(text) if text else None
        except ValueError as error:
            message = f"The data is not JSON ({error}); correct it and press the button again."
            self.show_status(message)
            return
        self._press(RESUME, data)

    def _press(self, action: str, data: Any = None) -> None:
        try:
            self._on_press(action, data)
        except InvalidAnswerError as error:
            self._refuse(_joined(error), field_errors(error.errors))

    def _refuse(self, message: str, errors: list[dict[str, str]]) -> None:
        self.show_status(message)
        if self.form is not None:
            self.form.show_errors(errors)


def _joined(error: InvalidAnswerError) -> str:
    """Return what is wrong with an answer, all of it: a front end may not show it at the fields."""
    problems = [f"{field}: {message}" if field else message for field, message in error.errors]
    return f"The answer is not valid. {' '.join(problems)}"


def _shortened(data: Any) -> str:
    text = "no data" if data is None else short_json(data)
    return text if len(text) <= SENT_LIMIT else f"{text[:SENT_LIMIT]}…"


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


def _row(*children: Any) -> Any:
    return ui.HBox(children, layout={"flex_flow": "row wrap"})
