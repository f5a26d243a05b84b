"""What a pause asks, as its link's page and the inbox show it, with the fields of its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from jupyter_pdflow.exceptions import FieldError
from jupyter_pdflow.markdown import to_html
from jupyter_pdflow.rules.approvals import ask_of, asks, listed
from jupyter_pdflow.rules.form_fields import Field, fields_of, prefill
from jupyter_pdflow.rules.form_values import text_of
from jupyter_pdflow.rules.forms import Form
from jupyter_pdflow.rules.pauses import Ask, Decider, OnReject, OnTimeout, Pause
from jupyter_pdflow.rules.people import group_name, is_group
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.titles import first_line
from jupyter_pdflow.stores import PauseSummary, RunSummary

NOTE_FIELD = "note"
"""The field for a note, unless the form has a field of this name."""

TIMEOUTS: dict[OnTimeout, str] = {
    "resume": "Without an answer by then, the workflow continues.",
    "cancel": "Without an answer by then, the workflow is canceled.",
    "fail": "Without an answer by then, the workflow fails.",
}
REJECTIONS: dict[OnReject, str] = {
    "cancel": "A rejection ends the workflow.",
    "resume": "After a rejection, the workflow continues.",
}


class Filled(Struct, frozen=True, kw_only=True):
    """What is in the fields of a form, and what is wrong with it.

    Attributes
    ----------
    fields : dict
        The fields of a link's query, or of a form that was sent.
    sent : bool
        Whether a form was sent.
    errors : sequence of FieldError
    """

    fields: Mapping[str, Any] = {}
    sent: bool = False
    errors: Sequence[FieldError] = ()


EMPTY = Filled()


class Input(Struct, frozen=True, kw_only=True):
    """One field of a form.

    Attributes
    ----------
    id : str
        The id of its element, which no other form of the page has.
    texts : list of str
        What is in it, or is chosen.
    options : list of str
        The choices of a select or multiselect.
    hint : str
        What can be entered.
    error : str or None
        What is wrong with `texts`.
    focused : bool
        Whether the page begins here.
    """

    id: str
    field: Field
    texts: list[str]
    options: list[str]
    hint: str
    error: str | None
    focused: bool


class FormView(Struct, frozen=True, kw_only=True):
    """The fields of an answer.

    Attributes
    ----------
    id : str
        The beginning of the ids of its elements.
    note : str or None
        What is in the field for a note; None if the form has a field of that name.
    errors : list of str
        What is wrong with the whole answer.
    """

    id: str
    title: str = ""
    description: str = ""
    inputs: list[Input] = []
    note: str | None = ""
    errors: list[str] = []


class Button(Struct, frozen=True, kw_only=True):
    """A button that sends a form.

    Attributes
    ----------
    progress : str
        The heading while the page waits for the answer.
    to : str or None
        The path that it sends the form to; None for that of the page.
    """

    text: str
    progress: str
    to: str | None = None


class AskForm(Struct, frozen=True, kw_only=True):
    """The form by which a person answers what a pause asks.

    Attributes
    ----------
    view : FormView
    approve, reject : Button
    fields : list of (str, str)
        Hidden fields.
    """

    view: FormView
    approve: Button
    reject: Button
    fields: list[tuple[str, str]] = []


class AskView(Struct, frozen=True, kw_only=True):
    """What a pause asks.

    Attributes
    ----------
    heading : str
    workflow, step : str
    title : str or None
        The title of the run, unless it is the heading or the begin of the message.
    message_html : str
        The message as HTML that is safe to show.
    deciders : str
        Who may decide, and how many of them have to approve; empty for everyone.
    approvals : tuple of Decider
        Who has approved so far.
    deadline : datetime
    timeout, rejection : str
        What happens at the deadline, and after a rejection if it is called that.
    undelivered : dict of str to str
        Why an approver's email can't be sent, by address.
    """

    heading: str
    workflow: str
    step: str
    message_html: str
    deciders: str
    approvals: tuple[Decider, ...]
    deadline: datetime
    timeout: str
    rejection: str
    undelivered: dict[str, str] = {}


def ask_view(run: Run | RunSummary, pause: Pause | PauseSummary, heading: str = "") -> AskView:
    """Return what the pause of a run asks.

    Parameters
    ----------
    run : Run or RunSummary
    pause : Pause or PauseSummary
        Its pause.
    heading : str
        The heading, if the run has no title besides its message.
    """
    ask = ask_of(pause)
    title = None if run.title == first_line(ask.message) else run.title
    return AskView(
        heading=title or heading or run.workflow_name,
        workflow=run.workflow_name,
        step=pause.step,
        message_html="" if ask.message is None else to_html(ask.message),
        deciders=deciders_text(ask),
        approvals=pause.approvals,
        deadline=pause.deadline,
        timeout=TIMEOUTS[pause.on_timeout],
        rejection=REJECTIONS[ask.on_reject] if asks(pause) else "",
        undelivered=pause.undelivered,
    )


def deciders_text(ask: Ask) -> str:
    """Return who may decide, and how many of them have to approve; empty for everyone."""
    if not ask.approvers:
        return ""
    names = approvers_text(ask)
    if len(ask.approvers) == 1 and not is_group(ask.approvers[0]):
        return names
    some = "one of them has" if ask.required == 1 else f"{ask.required} of them have"
    return f"{names}; {some} to approve"


def approvers_text(ask: Ask) -> str:
    """Return the approvers for use in a sentence."""
    return listed(
        f"the group {group_name(each)}" if is_group(each) else each for each in ask.approvers
    )


# --- forms ---


def form_view(form: Form | None, filled: Filled, id: str = "") -> FormView:  # noqa: A002
    """Return the fields of an answer with what is in them.

    Parameters
    ----------
    form : dict or None
        The form of the pause, if it has one.
    filled : Filled
    id : str
        The beginning of the ids of its elements.
    """
    if form is None:
        return FormView(id=id, note=note_text(filled.fields), errors=_messages(filled, ()))
    shown = prefill(form, filled.fields, from_form=filled.sent)
    fields = fields_of(form)
    errors = {error.field: error.message for error in reversed(filled.errors)}
    first = next((field.name for field in fields if field.name in errors), None)
    inputs = [
        _input(field, shown.get(field.name), f"{id}field-{number}", errors.get(field.name), first)
        for number, field in enumerate(fields)
    ]
    return FormView(
        id=id,
        title=form.get("title", ""),
        description=form.get("description", ""),
        inputs=inputs,
        note=None if NOTE_FIELD in form["properties"] else note_text(filled.fields),
        errors=_messages(filled, form["properties"]),
    )


def note_text(fields: Mapping[str, Any]) -> str:
    """Return the note in the fields of a query or a form: the last one."""
    note = fields.get(NOTE_FIELD, "")
    text = note[-1] if isinstance(note, list) else note
    return text if isinstance(text, str) else ""


def _messages(filled: Filled, names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Return what is wrong with no field of the form, but with the whole answer."""
    return [
        f"{error.field}: {error.message}" if error.field else error.message
        for error in filled.errors
        if error.field not in names
    ]


def _input(field: Field, value: Any, id: str, error: str | None, first: str | None) -> Input:  # noqa: A002
    return Input(
        id=id,
        field=field,
        texts=_texts(value),
        options=list(map(text_of, field.options)),
        hint=_hint(field),
        error=error,
        focused=field.name == first,
    )


def _texts(value: Any) -> list[str]:
    """Return what is in a field as texts; of a box that is ticked, ``true``."""
    if value is None or value is False:
        return []
    if value is True:
        return ["true"]
    values = value if isinstance(value, list) else [value]
    return [text_of(each) if isinstance(each, str | int | float) else str(each) for each in values]


def _hint(field: Field) -> str:
    """Return what can be entered in a field, as far as its input does not show that."""
    if field.kind == "datetime":
        return "Time in UTC."
    low, high = field.minimum, field.maximum
    if low is not None and high is not None:
        return f"From {text_of(low)} to {text_of(high)}."
    if low is not None:
        return f"At least {text_of(low)}."
    return "" if high is None else f"At most {text_of(high)}."
