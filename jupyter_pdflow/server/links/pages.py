"""The pages that a browser sees at a link: plain, self-contained, without any data of a run.

Only the fields that the link's own address brings are on its page, in the form that sends them.
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
"""What a page is drawn as; its script knows two more, ``busy`` and ``failed``."""

NOTE = "note"
"""The field that people can fill in."""

TEST_WORDS = (
    "This is a link of a notebook in test mode, where nothing is paused. "
    "Runs in production get links that work."
)
UNAVAILABLE_WORDS = "The server can't carry this out right now. Nothing was changed."
ENDED_WORDS: dict[Resolution, str] = {
    "not_paused": "",
    "failed": ": its run failed",
    "exited": ": its run ended early",
    "succeeded": ": its run succeeded",
}
VERBS = {"resume": "Resume", "cancel": "Cancel"}
BUSY = {"resume": "Resuming …", "cancel": "Canceling …"}


class LinkTarget(Struct, frozen=True, kw_only=True):
    """What a link is about."""

    action: Action
    workflow: str
    step: str

    @property
    def words(self) -> str:
        """Name the step and its workflow."""
        return f"step “{self.step}” of workflow “{self.workflow}”"


class LinkForm(Struct, frozen=True, kw_only=True):
    """What a page's form, or its script, sends.

    Attributes
    ----------
    action : str
        What it is to do.
    button, busy : str
        What the button says, and the page while it waits for the answer.
    acts : bool
        Whether the script sends it at once.
    fields : list of (str, str)
        Fields that are sent with it, unseen.
    note : str
        What the field for a note holds at first.
    """

    action: Action
    button: str
    busy: str
    acts: bool
    fields: Fields
    note: str


class Page(Struct, frozen=True, kw_only=True):
    """A page.

    Attributes
    ----------
    state : str
        Which picture it bears.
    title, heading, message : str
        What it says: all in one sentence for the browser's tab, then in two parts.
    at : datetime or None
        When that happened.
    ask : Ask or None
        What it can send.
    final : bool
        Whether there is nothing left to do here.
    """

    state: State
    title: str
    heading: str
    message: str
    at: datetime | None = None
    ask: LinkForm | None = None
    final: bool = False


def asking_page(place: LinkTarget, fields: Fields, *, acts: bool) -> Page:
    """Make the page that resumes or cancels: by itself, or by its button.

    Parameters
    ----------
    place : Place
        What the link is about.
    fields : list of (str, str)
        What the link's address brings; the last ``note`` can be changed.
    acts : bool
        Whether the page acts by itself.
    """
    verb = VERBS[place.action]
    notes = [index for index, (name, _) in enumerate(fields) if name == NOTE]
    last = notes[-1] if notes else None
    ask = LinkForm(
        action=place.action,
        button=f"{verb} the workflow",
        busy=BUSY[place.action],
        acts=acts,
        fields=[pair for index, pair in enumerate(fields) if index != last],
        note="" if last is None else fields[last][1],
    )
    return Page(
        state="ask",
        title=f"{verb} workflow “{place.workflow}” at step “{place.step}”?",
        heading=f"{verb} this workflow?",
        message=f"Workflow “{place.workflow}” waits at step “{place.step}”.",
        ask=ask,
    )


def done_page(place: LinkTarget, result: Result, at: datetime) -> Page:
    """Make the page that says what was done."""
    heading, message = _result_words(place, result)
    return Page(
        state=result,
        title=f"{heading}: {message[0].lower()}{message[1:]}",
        heading=heading,
        message=message,
        at=at,
        final=True,
    )


def decided_page(place: LinkTarget, decision: Decision) -> Page:
    """Make the page that says how the pause was settled, by whom or what, and when."""
    heading, message = _decision_words(place, decision)
    return Page(
        state="decided",
        title=f"{heading}: {place.words}",
        heading=heading,
        message=message,
        at=decision.at,
        final=True,
    )


def plain_page(state: State, heading: str, message: str) -> Page:
    """Make a page that is about no step."""
    return Page(state=state, title=heading, heading=heading, message=message)


def error_page(status: int, message: str) -> Page:
    """Make the page of a request that was not carried out."""
    if status == 404:  # noqa: PLR2004
        return plain_page("unknown", "This link leads nowhere", message)
    if status >= 500:  # noqa: PLR2004  the server's own fault
        return plain_page("unavailable", "Not possible right now", UNAVAILABLE_WORDS)
    return plain_page("refused", "Not possible", message)


def render(page: Page, nonce: str | None, *, scripts: bool) -> str:
    """Write a page as HTML.

    Parameters
    ----------
    page : Page
        The page.
    nonce : str or None
        The nonce that the page's security policy allows scripts and styles by; without, it has
        neither, as the script wants it that puts it into another page.
    scripts : bool
        Whether the page has a script; it reads well without.
    """
    at = page.at.astimezone(UTC) if page.at else None
    return _template().render(page=page, at=at, nonce=nonce, scripts=scripts)


def _result_words(place: LinkTarget, result: Result) -> tuple[str, str]:
    if result == "resumed":
        return "Resumed", f"Workflow “{place.workflow}” goes on from step “{place.step}”."
    if result == "canceled":
        return "Canceled", f"Workflow “{place.workflow}” ends at step “{place.step}”."
    then = "resumed" if place.action == "resume" else "canceled"
    message = (
        f"Step “{place.step}” of workflow “{place.workflow}” is still being executed; "
        f"the run is {then} at its end."
    )
    return "Accepted", message


def _decision_words(place: LinkTarget, decision: Decision) -> tuple[str, str]:
    subject = f"S{place.words[1:]}"
    if decision.resolution == "timed_out":
        return "The time ran out", f"{subject} is not waiting any more: nobody answered in time."
    if decision.resolution in ENDED_WORDS:
        return (
            "Nothing waits here",
            f"{subject} is not waiting any more{ENDED_WORDS[decision.resolution]}.",
        )
    own = "resumed" if place.action == "resume" else "canceled"
    by = {
        None: "",
        "link": " by this link" if decision.resolution == own else f" by its {_other(place)} link",
        "button": " by a button in Jupyter",
        "api": " through the API",
        "timer": " by its timer",
    }[decision.by]
    return f"Already {decision.resolution}", f"{subject} was already {decision.resolution}{by}."


def _other(place: LinkTarget) -> str:
    return "cancel" if place.action == "resume" else "resume"


@cache
def _template() -> Template:
    loader = PackageLoader("jupyter_pdflow", "server/links/templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("link.html")
