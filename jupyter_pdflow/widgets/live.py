"""Widgets that follow production runs until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from jupyter_pdflow.client import Client
from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.rules.run import ENDED
from jupyter_pdflow.widgets.text import Twins, View
from jupyter_pdflow.widgets.twins import TwinBox, ui

POLL_SECONDS = 1.0


class Live(TwinBox):
    """A text that is fetched anew once a second until there is nothing more to come.

    Parameters
    ----------
    fetch : callable
        Gets the state from the server; called in a thread.
    render : callable
        Makes the twins of a state.
    is_over : callable
        Whether a state is the last one.
    """

    def __init__(
        self,
        fetch: Callable[[], Any],
        render: Callable[[Any], Twins],
        is_over: Callable[[Any], bool],
        children: Sequence[Any] = (),
    ) -> None:
        self.fetch, self.render, self.is_over = fetch, render, is_over
        self.state = fetch()
        self.body, self.status = ui.HTML(), ui.HTML()
        super().__init__([self.body, *children, self.status], *render(self.state))
        self.put(self.state)

    def put(self, state: Any) -> bool:
        """Show a state; True where the text is another than before."""
        self.state = state
        before, (self.text, self.html) = self.text, self.render(state)
        self.body.value = self.html
        return before != self.text

    def say(self, words: str) -> None:
        """Show a sentence below."""
        self.status.value = f"<p>{escape(words)}</p>" if words else ""

    async def follow(self, changed: Callable[[], object]) -> None:
        """Keep the text up to date; `changed` is called whenever it is another."""
        while not self.is_over(self.state):
            await asyncio.sleep(POLL_SECONDS)
            try:
                state = await asyncio.to_thread(self.fetch)
            except PDFlowError as error:
                self.say(f"This is not followed any more: {error}")
                return
            if self.put(state):
                changed()


class LiveRun(Live):
    """A run, or a step of it, with buttons to resume and to cancel."""

    def __init__(self, client: Client, run_id: str, render: Callable[[View], Twins]) -> None:
        self.client, self.run_id = client, run_id
        self.resume = self._button("Resume", "resume", {"data": None})
        self.cancel = self._button("Cancel", "cancel", {"reason": None})
        buttons = ui.HBox([self.resume, self.cancel])
        super().__init__(self._fetch, render, has_ended, [buttons])

    def put(self, state: View) -> bool:
        """Show a state, with the buttons that it leaves."""
        self.resume.disabled = state["status"] != "paused"
        self.cancel.disabled = has_ended(state)
        return super().put(state)

    def _fetch(self) -> Any:
        return self.client.get(f"runs/{self.run_id}")

    def _button(self, description: str, action: str, body: View) -> Any:
        button = ui.Button(description=description, layout={"width": "auto"})
        button.on_click(lambda _: self._act(action, body))
        return button

    def _act(self, action: str, body: View) -> None:
        try:
            self.put(self.client.post(f"runs/{self.run_id}/{action}", body))
        except PDFlowError as error:
            self.say(str(error))
        else:
            self.say("")


def has_ended(run: View) -> bool:
    """Whether nothing more can happen to a run."""
    return run["status"] in ENDED


def have_ended(runs: Sequence[View]) -> bool:
    """Whether nothing more can happen to any of these runs."""
    return all(map(has_ended, runs))
