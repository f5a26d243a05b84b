"""Write the emails that ask approvers, remind them, or have a pause escalated to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from textwrap import indent

from jinja2 import Environment, PackageLoader, Template
from msgspec import Struct
from msgspec.structs import replace

from jupyter_pdflow.formatting import format_duration
from jupyter_pdflow.markdown import to_html, to_text
from jupyter_pdflow.rules.pauses import AskEmail, AskKind, OnTimeout
from jupyter_pdflow.stores import Email

PERSONAL_LINK = "[personal link]"
"""What stands for a link of an approver where others may read the email."""

HEADINGS: dict[AskKind, str] = {
    "ask": "Please decide",
    "reminder": "Reminder: please decide",
    "escalation": "Escalated to you: please decide",
}
ENDINGS: dict[OnTimeout, str] = {
    "resume": "continues",
    "cancel": "is canceled",
    "fail": "fails",
}
"""What the run does at the deadline, without a decision."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


class Content(Struct, frozen=True, kw_only=True):
    """What an email to an approver says, as sentences for text and HTML alike.

    Attributes
    ----------
    heading : str
        The heading of the HTML.
    intro : str
        What the email is about, and whether it is a reminder or an escalation.
    message : str
        What is asked, as Markdown; empty if `title` says it.
    title : str
        What is asked, as one line; empty if `message` says it, or if the workflow's name does.
    due : str
        By when to decide.
    otherwise : str
        What happens without a decision.
    notes : list of str
        How to decide.
    warning : str
        Why not to forward the email.
    links : list of (str, str)
        The names of both links and their URLs, or `PERSONAL_LINK`.
    """

    heading: str
    intro: str
    message: str
    title: str
    due: str
    otherwise: str
    notes: list[str]
    warning: str
    links: list[tuple[str, str]]


def with_text(email: Email, ask: AskEmail, resume_url: str, cancel_url: str) -> Email:
    """Return an email to an approver with its text and HTML.

    They depend on the arguments only: an email that is sent again says the same.

    Parameters
    ----------
    email : Email
        The email, with its subject.
    ask : AskEmail
        What it is about.
    resume_url, cancel_url : str
        The approver's own links, or `PERSONAL_LINK` for both.
    """
    content = _content(email, ask, [("Approve", resume_url), ("Reject", cancel_url)])
    html = _template().render(
        content=content,
        subject=email.subject,
        message=to_html(content.message),
    )
    return replace(email, text=_text(content), html=html)


def _content(email: Email, ask: AskEmail, links: list[tuple[str, str]]) -> Content:
    message = ask.message or ""
    is_title_new = not message.strip() and ask.title != ask.workflow_name
    return Content(
        heading=HEADINGS[ask.kind],
        intro=_intro(email, ask),
        message=message,
        title=_line(ask.title) if is_title_new else "",
        due=_due(ask.deadline, ask.deadline - email.created_at),
        otherwise=f"Without a decision by then, the run {ENDINGS[ask.on_timeout]}.",
        notes=_notes(ask),
        warning=(
            "These links are personal: anyone who has them decides in the name of "
            f"{_line(ask.person)}. Don't forward this email."
        ),
        links=links,
    )


def _intro(email: Email, ask: AskEmail) -> str:
    step = f"step “{_line(email.step)}” of workflow “{_line(ask.workflow_name)}”"
    waited = _span(email.created_at - ask.since)
    if ask.kind == "reminder":
        return f"This is a reminder: {step} has waited {waited} and still needs your decision."
    if ask.kind == "escalation":
        return (
            f"This is an escalation: {step} has waited {waited} for a decision, "
            "and now you are asked too."
        )
    return f"S{step[1:]} waits for your decision."


def _due(deadline: datetime, left: timedelta) -> str:
    seconds = ":%S" if left < HOUR else ""
    when = deadline.astimezone(UTC).strftime(f"%Y-%m-%d %H:%M{seconds} UTC")
    after = f", {_span(left)} after this email" if left > timedelta() else ""
    return f"Please decide by {when}{after}."


def _span(time: timedelta) -> str:
    """Return a duration in words, exact to a minute from an hour on, to an hour from a day on."""
    unit = HOUR if time >= DAY else MINUTE if time >= HOUR else SECOND
    return format_duration(max(SECOND, round(time / unit) * unit))


def _notes(ask: AskEmail) -> list[str]:
    notes = []
    if ask.required > 1:
        notes.append(f"{ask.required} people have to approve; one rejection is enough to reject.")
    if ask.has_form:
        notes.append("The link to approve opens a form.")
    return notes


def _line(text: str) -> str:
    """Return a name or a title on one line."""
    return " ".join(to_text(text).split())


def _text(content: Content) -> str:
    # Indented, no line of the message looks like one of the links.
    asked = indent(to_text(content.message) or content.title, "  ")
    links = "\n".join(f"{name}: {url}" for name, url in content.links)
    due = f"{content.due} {content.otherwise}"
    parts = [content.intro, asked, due, " ".join(content.notes), links, content.warning]
    return "\n\n".join(filter(None, parts)) + "\n"


@cache
def _template() -> Template:
    loader = PackageLoader("jupyter_pdflow", "mail/templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("ask.html")
