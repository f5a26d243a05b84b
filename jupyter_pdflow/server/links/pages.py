"""The HTML pages that browsers see when they open a link.

A page shows no data of a run but what its pause asks, see `jupyter_pdflow.server.links.ask_pages`.
The fields of the link's query are in the form that the page sends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Literal, TypeAlias

from jinja2 import Environment, PackageLoader
from msgspec import Struct

from jupyter_pdflow.rules.pauses import Actor, Decider, Decision, Resolution
from jupyter_pdflow.server.links.ask_view import NOTE_FIELD, AskForm, AskView
from jupyter_pdflow.server.links.tokens import Action

Result: TypeAlias = Literal["resumed", "rejected", "canceled", "accepted"]
Fields: TypeAlias = list[tuple[str, str]]
State: TypeAlias = Literal[
    "ask",
    "approved",
    "resumed",
    "rejected",
    "canceled",
    "accepted",
    "counted",
    "waiting",
    "decided",
    "unknown",
    "test",
    "refused",
    "unavailable",
]
"""Decides the icon and the color of a page. The page's script has two more: ``busy``, ``failed``."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The policy of a page: its own script and style only."""

VALUES_SHOWN = 10
"""Maximum number of a link's values that its page shows."""

NAME_SHOWN, VALUE_SHOWN, SHORT = 60, 200, 30
"""Maximum number of characters of a name, of a value, and of a value in the text of a button."""

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
WAYS: dict[Actor, str] = {
    "link": "a link",
    "button": "a button in Jupyter",
    "api": "the API",
    "cli": "the command line",
    "timer": "the timer",
}


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


class Values(Struct, frozen=True, kw_only=True):
    """The values of a link's query, as its page shows them.

    Attributes
    ----------
    more : int
        How many are not shown.
    """

    shown: Fields
    more: int


class Page(Struct, frozen=True, kw_only=True):
    """A page.

    Attributes
    ----------
    state : str
        Decides the icon and the color.
    title : str
        The text of the browser's tab.
    heading, message : str
        The text of the page; without a message, what the pause asks follows the heading.
    at : datetime or None
        When the pause was decided.
    form : LinkForm or None
        The form that the page can send.
    values : Values or None
        The values of the link's query.
    person : str or None
        Whose personal link it is.
    ask : AskView or None
        What the pause asks.
    ask_form : AskForm or None
        The form of the answer.
    deciders : tuple of Decider
        Who has decided.
    inbox : str or None
        The address of the inbox, if the person has to go there.
    final : bool
        Whether the person can close the page.
    """

    state: State
    title: str
    heading: str
    message: str = ""
    at: datetime | None = None
    form: LinkForm | None = None
    values: Values | None = None
    person: str | None = None
    ask: AskView | None = None
    ask_form: AskForm | None = None
    deciders: tuple[Decider, ...] = ()
    inbox: str | None = None
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
        button=button_text(target.action, values_of(fields)),
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
        values=shown_values(fields),
    )


def values_of(fields: Fields) -> Fields:
    """Return the fields of a link's query without the note."""
    return [(name, value) for name, value in fields if name != NOTE_FIELD]


def shown_values(fields: Fields) -> Values | None:
    """Return the values of a link's query as a page shows them, or None if there are none."""
    values = values_of(fields)
    if not values:
        return None
    shown = [
        (_shortened(name, NAME_SHOWN), _shortened(value, VALUE_SHOWN))
        for name, value in values[:VALUES_SHOWN]
    ]
    return Values(shown=shown, more=len(values) - len(shown))


def button_text(action: Action, values: Fields) -> str:
    """Return the text of a button that resumes or cancels: what it sends, if the link says so."""
    if action == "cancel" or not values:
        return f"{VERBS[action]} the workflow"
    text = values[0][1].strip()
    if len(values) == 1 and 0 < len(text) <= SHORT and text.isprintable():
        return f"Send “{text}”"
    return "Send these values"


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def result_page(target: LinkTarget, result: Result, at: datetime, fields: Fields) -> Page:
    """Return the page that shows what was done, and with which fields of the link's query."""
    heading, message = _result_text(target, result)
    return Page(
        state=result,
        title=f"{heading}: {message[0].lower()}{message[1:]}",
        heading=heading,
        message=message,
        at=at,
        values=None if result == "canceled" else shown_values(fields),
        final=True,
    )


def decided_page(target: LinkTarget, decision: Decision) -> Page:
    """Return the page that shows how the pause was decided before, and when."""
    heading, message = decision_text(target, decision)
    return Page(
        state="decided",
        title=f"{heading}: {target.description}",
        heading=heading,
        message=message,
        at=decision.at,
        deciders=decision.deciders if tells_more(decision) else (),
        final=True,
    )


def tells_more(decision: Decision) -> bool:
    """Whether several people have decided, or one has left a note."""
    deciders = decision.deciders
    return len(deciders) > 1 or any(each.note for each in deciders)


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
    template = templates().get_template("link.html")
    return template.render(page=page, nonce=nonce, scripts=scripts)


def _result_text(target: LinkTarget, result: Result) -> tuple[str, str]:
    if result == "resumed":
        message = f"Workflow “{target.workflow}” continues from step “{target.step}”."
        return "Resumed", message
    if result == "rejected":
        return "Rejected", f"Workflow “{target.workflow}” continues after step “{target.step}”."
    if result == "canceled":
        return "Canceled", f"Workflow “{target.workflow}” ends at step “{target.step}”."
    message = (
        f"Step “{target.step}” of workflow “{target.workflow}” is still being executed; "
        f"the run is {RESULTS[target.action]} at its end."
    )
    return "Accepted", message


def decision_text(target: LinkTarget, decision: Decision) -> tuple[str, str]:
    """Return how a pause was decided before, as a heading and a sentence."""
    subject = f"S{target.description[1:]}"
    if decision.resolution == "timed_out":
        return "The time ran out", f"{subject} is not waiting any more: no answer came in time."
    if decision.resolution in ENDINGS:
        message = f"{subject} is not waiting any more{ENDINGS[decision.resolution]}."
        return "Nothing waits here", message
    word = decided_word(decision)
    return f"Already {word}", f"{subject} was already {word}{_by(target, decision)}."


def decided_word(decision: Decision) -> str:
    """Return how a pause was decided, by the words of the buttons that its pages have."""
    if decision.asked and decision.resolution == "resumed":
        return "approved"
    if decision.resolution == "rejected" and not decision.asked:
        return "canceled"
    return decision.resolution


def names_of(decision: Decision) -> str:
    """Return the names of who has decided for use in a sentence, or an empty text."""
    names = [each.name for each in decision.deciders if each.name is not None]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _by(target: LinkTarget, decision: Decision) -> str:
    names = names_of(decision)
    if names:
        return f" by {names}"
    if decision.by == "link" and not decision.asked:
        is_own = decided_word(decision) == RESULTS[target.action]
        return " by this link" if is_own else f" by its {OTHER_ACTION[target.action]} link"
    ways = {"api": " through the API", "cli": " from the command line", "timer": " by its timer"}
    return "" if decision.by is None else ways.get(decision.by, f" by {WAYS[decision.by]}")


# --- templates ---


@cache
def templates() -> Environment:
    """Return the templates of pages."""
    loader = PackageLoader("jupyter_pdflow", "server/links/templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(rfc3339=_rfc3339, utc=_utc, who=_who)
    return environment


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _who(decider: Decider) -> str:
    """Return the name of a person, or the way by which the answer came."""
    return decider.name or f"by {WAYS[decider.via]}"
