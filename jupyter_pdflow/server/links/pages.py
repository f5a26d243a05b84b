"""The HTML pages that browsers see when they open a link.

A page shows no data of a run. The fields of the link's query are in the form that the page sends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Literal, TypeAlias

from jinja2 import Environment, PackageLoader, Template
from msgspec import Struct

from jupyter_pdflow.rules.run import Decision, Resolution
from jupyter_pdflow.server.links.tokens import Action

Result: TypeAlias = Literal["resumed", "canceled", "accepted"]
Fields: TypeAlias = list[tuple[str, str]]
State: TypeAlias = Literal[
    "ask", "resumed", "canceled", "accepted", "decided", "unknown", "test", "refused", "unavailable"
]
"""Decides the icon and the color of a page. The page's script has two more: ``busy``, ``failed``."""

NOTE_FIELD = "note"
"""The field that a person can edit."""

NOT_FOUND = 404
SERVER_ERROR = 500

TEST_MESSAGE = (
    "This is a link of a notebook in test mode, where nothing is paused. "
    "Runs in production get links that work."
)
UNAVAILABLE_MESSAGE = "The server can't carry this out right now. Nothing was changed."
ENDINGS: dict[Resolution, str] = {
    "not_paused": "",
    "failed": ": its run failed",
    "exited": ": its run ended early",
    "succeeded": ": its run succeeded",
}
VERBS = {"resume": "Resume", "cancel": "Cancel"}
PROGRESS = {"resume": "Resuming …", "cancel": "Canceling …"}
RESULTS: dict[Action, Literal["resumed", "canceled"]] = {"resume": "resumed", "cancel": "canceled"}
"""What an action makes of a run."""

OTHER_ACTION: dict[Action, Action] = {"resume": "cancel", "cancel": "resume"}


class LinkTarget(Struct, frozen=True, kw_only=True):
    """The action of a link, and the step and workflow that it is for."""

    action: Action
    workflow: str
    step: str

    @property
    def description(self) -> str:
        """The step and its workflow, for use in a sentence."""
        return f"step “{self.step}” of workflow “{self.workflow}”"


class LinkForm(Struct, frozen=True, kw_only=True):
    """The form that a page sends, by its button or its script.

    Attributes
    ----------
    action : str
        What the form does to the run.
    button : str
        The text of the button.
    progress : str
        The heading while the page waits for the answer.
    acts : bool
        Whether the page's script sends the form at once.
    fields : list of (str, str)
        Hidden fields.
    note : str
        The first text of the field for a note.
    """

    action: Action
    button: str
    progress: str
    acts: bool
    fields: Fields
    note: str


class Page(Struct, frozen=True, kw_only=True):
    """A page.

    Attributes
    ----------
    state : str
        Decides the icon and the color.
    title : str
        The text of the browser's tab.
    heading, message : str
        The text of the page.
    at : datetime or None
        When the pause was decided.
    form : LinkForm or None
        The form that the page can send.
    final : bool
        Whether the person can close the page.
    """

    state: State
    title: str
    heading: str
    message: str
    at: datetime | None = None
    form: LinkForm | None = None
    final: bool = False


def form_page(target: LinkTarget, fields: Fields, *, acts: bool) -> Page:
    """Return the page that resumes or cancels, by its script or its button.

    Parameters
    ----------
    target : LinkTarget
        What the link is for.
    fields : list of (str, str)
        The fields of the link's query. A person can edit the last ``note``.
    acts : bool
        Whether the page's script acts at once.
    """
    verb = VERBS[target.action]
    notes = [index for index, (name, _) in enumerate(fields) if name == NOTE_FIELD]
    last = notes[-1] if notes else None
    form = LinkForm(
        action=target.action,
        button=f"{verb} the workflow",
        progress=PROGRESS[target.action],
        acts=acts,
        fields=[pair for index, pair in enumerate(fields) if index != last],
        note="" if last is None else fields[last][1],
    )
    return Page(
        state="ask",
        title=f"{verb} workflow “{target.workflow}” at step “{target.step}”?",
        heading=f"{verb} this workflow?",
        message=f"Workflow “{target.workflow}” waits at step “{target.step}”.",
        form=form,
    )


def result_page(target: LinkTarget, result: Result, at: datetime) -> Page:
    """Return the page that shows what was done."""
    heading, message = _result_text(target, result)
    return Page(
        state=result,
        title=f"{heading}: {message[0].lower()}{message[1:]}",
        heading=heading,
        message=message,
        at=at,
        final=True,
    )


def decided_page(target: LinkTarget, decision: Decision) -> Page:
    """Return the page that shows how the pause was decided before, and when."""
    heading, message = _decision_text(target, decision)
    return Page(
        state="decided",
        title=f"{heading}: {target.description}",
        heading=heading,
        message=message,
        at=decision.at,
        final=True,
    )


def plain_page(state: State, heading: str, message: str) -> Page:
    """Return a page that is not about a step."""
    return Page(state=state, title=heading, heading=heading, message=message)


def error_page(status: int, message: str) -> Page:
    """Return the page for a request that was not carried out.

    The message of a server error is replaced by `UNAVAILABLE_MESSAGE`.
    """
    if status == NOT_FOUND:
        return plain_page("unknown", "This link is not valid", message)
    if status >= SERVER_ERROR:
        return plain_page("unavailable", "Not possible right now", UNAVAILABLE_MESSAGE)
    return plain_page("refused", "Not possible", message)


def render(page: Page, nonce: str | None, *, scripts: bool) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    page : Page
        The page.
    nonce : str or None
        The nonce of the page's content security policy. None leaves scripts and styles out: the
        script of another page takes the content.
    scripts : bool
        Whether the page has a script.
    """
    at = page.at.astimezone(UTC) if page.at else None
    return _template().render(page=page, at=at, nonce=nonce, scripts=scripts)


def _result_text(target: LinkTarget, result: Result) -> tuple[str, str]:
    if result == "resumed":
        message = f"Workflow “{target.workflow}” continues from step “{target.step}”."
        return "Resumed", message
    if result == "canceled":
        return "Canceled", f"Workflow “{target.workflow}” ends at step “{target.step}”."
    message = (
        f"Step “{target.step}” of workflow “{target.workflow}” is still being executed; "
        f"the run is {RESULTS[target.action]} at its end."
    )
    return "Accepted", message


def _decision_text(target: LinkTarget, decision: Decision) -> tuple[str, str]:
    subject = f"S{target.description[1:]}"
    if decision.resolution == "timed_out":
        return "The time ran out", f"{subject} is not waiting any more: no answer came in time."
    if decision.resolution in ENDINGS:
        message = f"{subject} is not waiting any more{ENDINGS[decision.resolution]}."
        return "Nothing waits here", message
    other = f" by its {OTHER_ACTION[target.action]} link"
    by = {
        None: "",
        "link": " by this link" if decision.resolution == RESULTS[target.action] else other,
        "button": " by a button in Jupyter",
        "api": " through the API",
        "cli": " from the command line",
        "timer": " by its timer",
    }[decision.by]
    return f"Already {decision.resolution}", f"{subject} was already {decision.resolution}{by}."


@cache
def _template() -> Template:
    loader = PackageLoader("jupyter_pdflow", "server/links/templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("link.html")
