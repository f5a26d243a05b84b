"""Approvals: who may decide a pause, who has, what a request is worth, and who is to be told.

==================================  ==============================================================
a pause                             is decided by
==================================  ==============================================================
without approvers                   the first resume or cancel
with approvers                      the first rejection of one of them, or as many approvals as are
                                    required; each person counts once, by whatever way
==================================  ==============================================================

A request is checked in this order: is the pause undecided (`jupyter_pdflow.rules.decisions`), may
this person decide, has the person answered before, is the answer valid. One that fails a check
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from jupyter_pdflow.exceptions import AlreadyAnsweredError, ApproversOnlyError
from jupyter_pdflow.rules.addresses import ADDRESS_LIMIT, check_address
from jupyter_pdflow.rules.forms import answer_of, check_form
from jupyter_pdflow.rules.pauses import (
    NO_ASK,
    YEAR_MS,
    Actor,
    Ask,
    AskEmail,
    AskKind,
    Decider,
    Pause,
    PauseCall,
    Request,
)
from jupyter_pdflow.rules.people import (
    Directory,
    Person,
    addresses_of,
    is_among,
    is_group,
)
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage, Run
from jupyter_pdflow.rules.titles import first_line, one_line

MESSAGE_LIMIT = 10_000
"""Maximum number of characters of a message."""

APPROVERS_LIMIT = 100
"""Maximum number of approvers of one pause."""

EMAILS_LIMIT = 1_000
"""Maximum number of emails that one execution of a step sends itself."""

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
"""Content types of what HTML forms send."""

NOTE = "note"
"""The field of a note beside those of a form."""

EMAILS_PER_PERSON = 20
"""Maximum number of emails to one approver about one pause."""


class PauseParts(Protocol):
    """The part of a pause that its summary has, too."""

    @property
    def ask(self) -> Ask | None:
        """What is asked."""

    @property
    def approvals(self) -> tuple[Decider, ...]:
        """Who has approved so far."""


def ask_of(pause: PauseParts | None) -> Ask:
    """Return what a pause asks; nothing if it does not say."""
    return (pause and pause.ask) or NO_ASK


def asks(pause: PauseParts) -> bool:
    """Return whether a pause has a message, a form or approvers, so that a person has to look."""
    ask = ask_of(pause)
    return bool(ask.message is not None or ask.form is not None or ask.approvers)


def checked_ask(call: PauseCall) -> Ask | None:
    """Return what a kernel says that a step asks, checked: step code may make it say anything.

    Raises
    ------
    ValueError
        It can't be asked.
    """
    ask = call.ask
    if ask is None:
        return None
    if call.kind != "suspend":
        msg = "Only a suspend asks people."
        raise ValueError(msg)
    check_message(ask.message)
    check_approvers(ask)
    return ask if ask.form is None else replace(ask, form=check_form(ask.form))


def check_message(message: str | None) -> None:
    """Check the length of a message; raises `ValueError`."""
    if message is not None and len(message) > MESSAGE_LIMIT:
        msg = f"message may have {MESSAGE_LIMIT:,} characters at most, not {len(message):,}"
        raise ValueError(msg)


def check_approvers(ask: Ask) -> None:
    """Check who is asked, how many of them are required, and when they are told.

    Raises
    ------
    ValueError
        The message names the argument of ``pd.flow.suspend``.
    """
    for name, people in (("approvers", ask.approvers), ("escalate", ask.escalate_to)):
        _check_people(name, people)
    if not ask.approvers and (ask.required != 1 or ask.remind_ms or ask.escalate_ms):
        msg = "required, remind and escalate need approvers"
        raise ValueError(msg)
    distinct = {approver.lower() for approver in ask.approvers}
    has_group = any(map(is_group, distinct))
    if ask.required < 1 or (ask.required > len(distinct) and ask.approvers and not has_group):
        msg = f"required must be from 1 to {len(distinct) or 1}, not {ask.required}"
        raise ValueError(msg)
    for name, ms in (("remind", ask.remind_ms), ("escalate", ask.escalate_ms)):
        if ms is not None and not 1 <= ms <= YEAR_MS:
            msg = f"{name} must be from 1 to {YEAR_MS:,} milliseconds (one year), not {ms}"
            raise ValueError(msg)


def check_reachable(ask: Ask, directory: Directory) -> None:
    """Check that as many people can approve as have to; `ValueError` if two names are of one."""
    people = {directory.key(approver) for approver in ask.approvers}
    # Who is in a group is read at the moment of a decision.
    if ask.required > max(1, len(people)) and not any(map(is_group, ask.approvers)):
        msg = f"required must be from 1 to {len(people)}, as some approvers are one person"
        raise ValueError(msg)


def _check_people(name: str, people: Sequence[str]) -> None:
    if len(people) > APPROVERS_LIMIT:
        msg = f"{name} may have {APPROVERS_LIMIT} entries at most, not {len(people):,}"
        raise ValueError(msg)
    for one in people:
        if not one.strip() or len(one) > ADDRESS_LIMIT or not one.isprintable():
            msg = f"{name} must have user names, addresses or group:NAME, not {one[:100]!r}"
            raise ValueError(msg)
        if "@" in one and not is_group(one):
            _check_bare_address(name, one)


def _check_bare_address(name: str, text: str) -> None:
    try:
        address = check_address(text)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ValueError(msg) from None
    if address.addr_spec.lower() != text.lower():
        msg = f"{name} must have addresses alone, such as {address.addr_spec}, not {text[:100]!r}"
        raise ValueError(msg)


# --- who may, who has, what is valid --------------------------------------------------


def check_may_decide(pause: PauseParts, person: Person, directory: Directory) -> None:
    """Check that a person may decide a pause, and has not answered before.

    Raises
    ------
    ApproversOnlyError
        The pause has approvers, and the person is none of them.
    AlreadyAnsweredError
        The person has approved, and more approvals are required.
    """
    approvers = ask_of(pause).approvers
    if not approvers:
        return
    if not is_among(person, approvers, directory):
        who = "you are not signed in under a name" if person.name is None else f"not {person.name}"
        msg = f"Only {listed(approvers)} can decide this; {who}."
        raise ApproversOnlyError(msg)
    if has_answered(pause, person, directory):
        msg = f"You have approved this already; {missing_message(pause)}"
        raise AlreadyAnsweredError(msg)


def may_decide(pause: PauseParts, person: Person, directory: Directory) -> bool:
    """Return whether a person may decide a pause, and has not answered before."""
    try:
        check_may_decide(pause, person, directory)
    except (ApproversOnlyError, AlreadyAnsweredError):
        return False
    return True


def has_answered(pause: PauseParts, person: Person, directory: Directory) -> bool:
    """Return whether a person has approved, under whatever name."""
    if person.name is None:
        return False
    key = directory.key(person.name)
    return any(directory.key(each.name or "") == key for each in pause.approvals)


def with_answer(pause: Pause, request: Request) -> Request:
    """Return a request with its answer as the form of a pause has it.

    A note is no part of the answer, unless the form has a field of that name.

    Raises
    ------
    InvalidAnswerError
        The answer does not match the form.
    """
    form = ask_of(pause).form
    if form is None:
        return request
    given, query = request.get("body"), request.get("query")
    from_query = given is None and bool(query)
    if from_query:
        given = query
    if isinstance(given, dict) and has_note(pause):
        given = {name: value for name, value in given.items() if name != NOTE}
    body = answer_of(form, given, from_form=_is_of_form(request), from_query=from_query)
    return {name: value for name, value in request.items() if name != "body_error"} | {"body": body}


def without_answer(pause: Pause, request: Request | None) -> Request | None:
    """Return a rejection without its body, which was not checked against the form."""
    if request is None or ask_of(pause).form is None:
        return request
    return {name: value for name, value in request.items() if name != "body_error"} | {"body": None}


def has_note(pause: Pause | None) -> bool:
    """Return whether a field ``note`` beside an answer is a note: the form has no such field."""
    form = ask_of(pause).form
    return form is None or NOTE not in form["properties"]


def note_beside(pause: Pause | None, by: Actor, note: str | None) -> str | None:
    """Return the note of an approval; None if it is a field of the answer.

    A link has its note among the fields of the answer, whose form its sender may not know.
    """
    return note if by != "link" or has_note(pause) else None


def _is_of_form(request: Request) -> bool:
    """Return whether a request was sent by an HTML form, which leaves unchecked boxes out."""
    content_type = str(request.get("headers", {}).get("content-type", "")).lower()
    return request.get("body") is not None and content_type.startswith(FORM_TYPES)


def decider(by: Actor, person: Person, note: str | None, now: datetime) -> Decider:
    """Return who has answered."""
    return Decider(via=by, at=now, name=person.name, verified=person.verified, note=note)


def missing(pause: PauseParts) -> int:
    """Return how many approvals are missing."""
    return max(0, ask_of(pause).required - len(pause.approvals))


def missing_message(pause: PauseParts) -> str:
    """Return one sentence about the approvals that are missing."""
    number = missing(pause)
    return "one more has to approve." if number == 1 else f"{number} more have to approve."


def with_approval(pause: Pause, approval: Decider, directory: Directory) -> Pause:
    """Return a pause with one approval more."""
    key = directory.key(approval.name or "")
    return replace(
        pause,
        approvals=(*pause.approvals, approval),
        waiting_for=tuple(
            each for each in pause.waiting_for if is_group(each) or directory.key(each) != key
        ),
    )


def listed(names: Iterable[str]) -> str:
    """Return names for use in a sentence."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


# --- when a pause begins, and what is due meanwhile ------------------------------------


def new_pause(run: Run, call: PauseCall, directory: Directory, now: datetime) -> Pause:
    """Return the pause of the current step; `ValueError` if it can't be asked."""
    asked = checked_ask(call)
    ask = asked or NO_ASK
    check_reachable(ask, directory)
    return Pause(
        kind=call.kind,
        step=run.current.name,
        execution=run.execution,
        since=now,
        deadline=now + timedelta(milliseconds=call.ms),
        on_timeout=call.on_timeout,
        context=call.context,
        max_retries=call.max_retries,
        ask=asked,
        waiting_for=ask.approvers,
        remind_at=_after(now, ask.remind_ms),
        escalate_at=_after(now, ask.escalate_ms),
    )


def ask_approvers(run: Run, directory: Directory, now: datetime) -> Run:
    """Return a run that has paused, with the emails to its approvers in the outbox."""
    approvers = ask_of(run.pause).approvers
    return _with_emails(run, "ask", addresses_of(approvers, directory), now)


def escalate(run: Run, directory: Directory, now: datetime) -> Run:
    """Return a paused run with the approvers of the escalation, who are asked."""
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: callers have checked it
    ask = ask_of(pause)
    asked = set(addresses_of(ask.approvers, directory))
    joining = tuple(each for each in ask.escalate_to if each not in ask.approvers)
    pause = replace(
        pause,
        ask=replace(ask, approvers=(*ask.approvers, *joining)),
        waiting_for=(*pause.waiting_for, *joining),
        escalate_at=None,
    )
    new = [one for one in addresses_of(ask.escalate_to, directory) if one not in asked]
    return _with_emails(replace(run, pause=pause), "escalation", new, now)


def remind(run: Run, directory: Directory, now: datetime) -> Run:
    """Return a paused run whose approvers are reminded who have not answered."""
    pause = run.pause
    assert pause is not None  # noqa: S101  for the type checker: callers have checked it
    ask, answered = ask_of(pause), {directory.key(each.name or "") for each in pause.approvals}
    left = [each for each in addresses_of(ask.approvers, directory) if each not in answered]
    reminders = pause.reminders + 1
    is_last = reminders + 1 >= EMAILS_PER_PERSON
    remind_at = None if is_last else _after(now, ask.remind_ms)
    pause = replace(pause, remind_at=remind_at, reminders=reminders)
    return _with_emails(replace(run, pause=pause), "reminder", left, now)


def _after(now: datetime, ms: int | None) -> datetime | None:
    return None if ms is None else now + timedelta(milliseconds=ms)


def _with_emails(run: Run, kind: AskKind, addresses: list[str], now: datetime) -> Run:
    pause = run.pause
    if pause is None or not addresses:
        return run
    messages = [
        _message(run, pause, _email_about(run, pause, kind, address), pause.emails + number, now)
        for number, address in enumerate(addresses)
    ]
    pause = replace(pause, emails=pause.emails + len(messages))
    return replace(run, pause=pause, outbox=[*run.outbox, *messages])


def _message(run: Run, pause: Pause, ask: AskEmail, number: int, now: datetime) -> OutboxMessage:
    return OutboxMessage(
        # The same each time that the transition is made, and none of `emails_of`.
        id=f"{run.id}-{pause.execution}-{run.position}-{EMAILS_LIMIT + number}",
        run_id=run.id,
        step=pause.step,
        created_at=now,
        email=EmailRequest(subject=_subject(ask), to=[ask.person]),
        ask=ask,
    )


def _email_about(run: Run, pause: Pause, kind: AskKind, address: str) -> AskEmail:
    ask = ask_of(pause)
    return AskEmail(
        kind=kind,
        person=address,
        execution=pause.execution,
        workflow_name=run.workflow_name,
        title=first_line(ask.message) or run.title or one_line(run.workflow_name) or "a workflow",
        message=ask.message,
        since=pause.since,
        deadline=pause.deadline,
        on_timeout=pause.on_timeout,
        has_form=ask.form is not None,
        required=ask.required,
    )


def _subject(ask: AskEmail) -> str:
    prefix = {"ask": "Please decide", "reminder": "Reminder", "escalation": "Escalated to you"}
    return f"{prefix[ask.kind]}: {ask.title}"
