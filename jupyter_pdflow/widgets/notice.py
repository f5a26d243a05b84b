"""The notice that a step would pause here, with buttons to go on as if it had."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

from jupyter_pdflow.widgets.fallback import FallbackBox, ui

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
