"""Decide pauses of test mode: by the buttons of a notice, and by ``%pdflow answer``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from jupyter_pdflow.notebook.session import server_url
from jupyter_pdflow.rules.approvals import ask_of, asks
from jupyter_pdflow.rules.events import Cancel, CancelPause, Event, Expire, Resume
from jupyter_pdflow.rules.pauses import Ask, Pause, Request
from jupyter_pdflow.rules.people import UNKNOWN, Person, group_name, is_group
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import apply

Action: TypeAlias = Literal["resume", "reject", "time_out", "cancel"]
"""How a pause of test mode can be decided."""

LABELS: dict[Action, str] = {
    "resume": "as if resumed with",
    "reject": "as if rejected",
    "time_out": "as if the time ran out",
    "cancel": "as if canceled",
}
"""The texts of the buttons of a notice, in their order."""


@dataclass(frozen=True)
class GivenAnswer:
    """What a button, or ``%pdflow answer``, has given for a pause.

    Attributes
    ----------
    action : {"resume", "reject", "time_out", "cancel"}
    data : JSON value
        The answer, if the run is resumed.
    """

    action: Action
    data: Any = None

    def decide(self, run: Run) -> Run:
        """Return the paused run with its pause decided; raises what `resume` raises."""
        match self.action:
            case "resume":
                return resume(run, self.data)
            case "reject":
                return reject(run)
            case "time_out":
                return time_out(run)
            case "cancel":
                return cancel(run)


def labels_of(pause: Pause) -> dict[str, str]:
    """Return the texts of the buttons that a pause has, by their actions."""
    rejectable = asks(pause)
    return {action: text for action, text in LABELS.items() if action != "reject" or rejectable}


def resume(run: Run, data: Any) -> Run:
    """Return a paused run as if it was resumed, or approved by as many as are required.

    Raises
    ------
    InvalidAnswerError
        The answer does not match the form of the pause.
    """
    pause = _pause_of(run)
    for person in approving(ask_of(pause)):
        event = Resume(
            step=pause.step,
            execution=pause.execution,
            by="button",
            request=_request("resume", data),
            person=person,
        )
        run = _applied(run, event)
    return run


def reject(run: Run) -> Run:
    """Return a paused run as if one of its approvers had rejected what it asks."""
    pause = _pause_of(run)
    event = CancelPause(
        step=pause.step,
        execution=pause.execution,
        by="button",
        request=_request("cancel", None),
        person=approving(ask_of(pause))[0],
    )
    return _applied(run, event)


def time_out(run: Run) -> Run:
    """Return a paused run as it is after its deadline."""
    pause = _pause_of(run)
    # At the deadline, because the rules keep a pause whose time is not over.
    return _applied(run, Expire(step=pause.step, execution=pause.execution), pause.deadline)


def cancel(run: Run) -> Run:
    """Return a paused run as if it was canceled."""
    return _applied(run, Cancel(by="button"))


def approving(ask: Ask) -> list[Person]:
    """Return as many people as have to approve, each of them one of the approvers.

    A group may have to stand for several people; its members are not known here.
    """
    groups = [group_name(approver) for approver in ask.approvers if is_group(approver)]
    more = [_member(group, number) for number in range(2, ask.required + 1) for group in groups]
    people = [*map(_person, ask.approvers), *more]
    return people[: ask.required] or [UNKNOWN]


def _person(approver: str) -> Person:
    if is_group(approver):
        return _member(group_name(approver), 1)
    return Person(name=approver, verified=True)


def _member(group: str, number: int) -> Person:
    return Person(name=f"member {number} of {group}", verified=True, groups=(group,))


def _pause_of(run: Run) -> Pause:
    assert run.pause is not None  # noqa: S101  for the type checker: callers have checked it
    return run.pause


def _request(action: Literal["resume", "cancel"], data: Any) -> Request:
    path = f"/pdflow/{action}/test"
    return {
        "method": "POST",
        "path": path,
        "url": f"{server_url().rstrip('/')}{path}",
        "query": {},
        "headers": {},
        "body": data,
        "client_ip": "127.0.0.1",
    }


def _applied(run: Run, event: Event, at: datetime | None = None) -> Run:
    return apply(run, event, at or datetime.now(UTC)).run
