"""The pages of links whose pause asks: a person looks at what is asked, and then decides."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from jupyter_pdflow.rules.approvals import ask_of, missing_message
from jupyter_pdflow.rules.pauses import Decision, Pause
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.links.ask_view import (
    AskForm,
    Button,
    Filled,
    approvers_text,
    ask_view,
    form_view,
)
from jupyter_pdflow.server.links.pages import (
    Fields,
    LinkTarget,
    Page,
    State,
    button_text,
    decided_word,
    names_of,
    shown_values,
    tells_more,
    values_of,
)

HEADING = "Please decide"


def ask_page(
    run: Run,
    pause: Pause,
    target: LinkTarget,
    filled: Filled,
    *,
    other_path: str,
    person: str | None,
    fields: Fields,
) -> Page:
    """Return the page on which a person decides.

    Parameters
    ----------
    run, pause : Run, Pause
        The run, and its pause.
    target : LinkTarget
        What the link is for.
    filled : Filled
        What is in the form.
    other_path : str
        The path of the link for the other action.
    person : str or None
        Whose personal link it is.
    fields : list of (str, str)
        The fields of the link's query; without a form of the pause, a resume link sends them.
    """
    form = ask_of(pause).form
    # Of a cancel link, the values belong to the cancel; its page approves as well.
    values = values_of(fields) if form is None and target.action == "resume" else []
    text = button_text("resume", values) if values else "Approve"
    to = {target.action: None}
    page = _ask_page(run, pause, "ask", person)
    return replace(
        page,
        values=shown_values(values),
        ask_form=AskForm(
            view=form_view(form, filled),
            approve=Button(text=text, progress="Approving …", to=to.get("resume", other_path)),
            reject=Button(text="Reject", progress="Rejecting …", to=to.get("cancel", other_path)),
            fields=values,
        ),
    )


def approvers_only_page(run: Run, pause: Pause, person: str | None, inbox: str) -> Page:
    """Return the page for a person who may not decide: what is asked, and who may."""
    message = f"Only {approvers_text(ask_of(pause))} can decide this."
    page = _ask_page(run, pause, "waiting", person)
    return replace(page, message=message, inbox=inbox)


def answered_page(run: Run, pause: Pause, person: str | None) -> Page:
    """Return the page for a person who has approved, while more have to."""
    message = f"You have approved this already; {missing_message(pause)}"
    page = _ask_page(run, pause, "waiting", person)
    return replace(page, heading="Already approved by you", message=message, final=True)


def counted_page(run: Run, pause: Pause, person: str | None, at: datetime) -> Page:
    """Return the page of an approval that is counted, while more are required."""
    message = f"Your approval is counted; {missing_message(pause)}"
    page = _ask_page(run, pause, "counted", person)
    return replace(page, heading="Counted", message=message, at=at, final=True)


def _ask_page(run: Run, pause: Pause, state: State, person: str | None) -> Page:
    ask = ask_view(run, pause, HEADING)
    title = f"{HEADING}: {run.title or run.workflow_name}"
    return Page(state=state, title=title, heading=ask.heading, person=person, ask=ask)


def outcome_page(target: LinkTarget, decision: Decision) -> Page:
    """Return the page that shows what a person has decided just now."""
    heading = decided_word(decision).capitalize()
    return Page(
        state="rejected" if decision.resolution == "rejected" else "approved",
        title=f"{heading}: {target.description}",
        heading=heading,
        message=outcome_text(target, decision),
        at=decision.at,
        deciders=decision.deciders if tells_more(decision) else (),
        final=True,
    )


def outcome_text(target: LinkTarget, decision: Decision) -> str:
    """Return who has decided, and what happens to the workflow."""
    names = names_of(decision)
    how = f"{decided_word(decision).capitalize()}{f' by {names}' if names else ''}."
    if decision.resolution in ("resumed", "approved"):
        then = "continues from"
    else:
        then = "continues after" if decision.continued else "ends at"
    return f"{how} Workflow “{target.workflow}” {then} step “{target.step}”."
