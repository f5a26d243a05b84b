"""The pages that a browser sees at a link: plain, self-contained, without any data of a run."""

from __future__ import annotations

from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, Template
from msgspec import Struct

from jupyter_pdflow.server.tokens import Action

Result = Literal["resumed", "canceled", "accepted"]
TEST_WORDS = (
    "This is a link of a notebook in test mode, where nothing is paused. "
    "Runs in production get links that work."
)


class Place(Struct, frozen=True, kw_only=True):
    """What a link is about."""

    action: Action
    workflow: str
    step: str


class Page(Struct, frozen=True, kw_only=True):
    """A page.

    Attributes
    ----------
    title, message : str
        What it says.
    ask : Place or None
        What its button, or its script, does.
    acts : bool
        Whether its script does it at once.
    """

    title: str
    message: str
    ask: Place | None = None
    acts: bool = False


def asking_page(place: Place, *, acts: bool) -> Page:
    """Make the page that resumes or cancels: by itself, or by its button."""
    verb = "Resume" if place.action == "resume" else "Cancel"
    message = f"{verb} workflow “{place.workflow}” at step “{place.step}”?"
    return Page(title=place.workflow, message=message, ask=place, acts=acts)


def done_page(place: Place, result: Result) -> Page:
    """Make the page that says what was done."""
    return Page(title=place.workflow, message=result_words(place, result))


def result_words(place: Place, result: Result) -> str:
    """Say what a request to a link has done."""
    if result == "resumed":
        return f"Resumed: workflow “{place.workflow}” goes on from step “{place.step}”."
    if result == "canceled":
        return f"Canceled: workflow “{place.workflow}” ends at step “{place.step}”."
    then = "resumed" if place.action == "resume" else "canceled"
    return (
        f"Accepted: step “{place.step}” of workflow “{place.workflow}” is still being executed; "
        f"the run is {then} at its end."
    )


def render(page: Page, nonce: str) -> str:
    """Write a page as HTML.

    Parameters
    ----------
    page : Page
        The page.
    nonce : str
        The nonce that the page's security policy allows scripts and styles by.
    """
    results: tuple[Result, ...] = ("resumed", "canceled", "accepted")
    words = {result: result_words(page.ask, result) for result in results} if page.ask else {}
    return _template().render(page=page, nonce=nonce, words=words)


@cache
def _template() -> Template:
    loader = PackageLoader("jupyter_pdflow", "server/templates")
    return Environment(loader=loader, autoescape=True, trim_blocks=True).get_template("link.html")
