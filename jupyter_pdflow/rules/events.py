"""The events that change a run, and the effects that follow once the change is stored.

What is stored needs no effect: a store sees itself when a run has to wake (`Run.wakes_at`), which
emails it has to take over (`Run.outbox`), and that it has ended.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from msgspec import Struct

from jupyter_pdflow.rules.pauses import Actor, Request
from jupyter_pdflow.rules.people import NO_DIRECTORY, UNKNOWN, Directory, Person
from jupyter_pdflow.rules.run import Outcome

# --- events ---------------------------------------------------------------------------


class Begin(Struct, frozen=True, kw_only=True):
    """A kernel starts to execute the current step.

    Attributes
    ----------
    owner : str
        Who executes it, see `jupyter_pdflow.stores.base.Store.owner`.
    """

    owner: str = ""


class Finish(Struct, frozen=True, kw_only=True):
    """A step has ended; it counts only for the execution and the attempt that it names.

    Attributes
    ----------
    directory : Directory
        Who the approvers of a pause are.
    """

    step: str
    execution: int
    attempt: int
    outcome: Outcome
    directory: Directory = NO_DIRECTORY


class Answer(NamedTuple):
    """What a person or a program sends to decide a pause; see `Resume`."""

    by: Actor
    request: Request
    person: Person = UNKNOWN
    note: str | None = None


class Resume(Struct, frozen=True, kw_only=True):
    """A request to resume, or approve, the pause of one execution of a step.

    Attributes
    ----------
    by : str
        The way by which it came.
    request : dict
        The request; its body is the answer.
    person : Person
        Who has sent it.
    note : str or None
        What the person has added.
    directory : Directory
        Who the approvers are.
    """

    step: str
    execution: int
    by: Actor
    request: Request
    person: Person = UNKNOWN
    note: str | None = None
    directory: Directory = NO_DIRECTORY


class Expire(Struct, frozen=True, kw_only=True):
    """An execution is due: its pause or its wait after a crash is over, or someone is to be told.

    The rules compare the deadline with the clock: the event may come early, or after its pause was
    decided.
    """

    step: str
    execution: int
    directory: Directory = NO_DIRECTORY


class Cancel(Struct, frozen=True, kw_only=True):
    """A request to cancel the run, whatever its status.

    Attributes
    ----------
    reason : str or None
        At most `jupyter_pdflow.rules.run.REASON_LIMIT` characters.
    """

    by: Actor
    reason: str | None = None
    person: Person = UNKNOWN


class CancelPause(Struct, frozen=True, kw_only=True):
    """A request to cancel, or reject, the pause of one execution of a step; as `Resume`."""

    step: str
    execution: int
    by: Actor
    request: Request | None = None
    person: Person = UNKNOWN
    note: str | None = None
    directory: Directory = NO_DIRECTORY


class EmailFailed(Struct, frozen=True, kw_only=True):
    """An email to an approver can't be sent, or was sent after all.

    Attributes
    ----------
    address : str
        The approver's address.
    error : str or None
        Why it can't be sent; None if it was sent.
    """

    step: str
    execution: int
    address: str
    error: str | None


MAX_CRASHES = 3
"""Default of the number of crashes after which a step is not executed again."""


class Requeue(Struct, frozen=True, kw_only=True):
    """The server no longer waits for an attempt; the event counts only for that attempt.

    The step is queued again.

    Attributes
    ----------
    step, execution, attempt
        The attempt that the server executed.
    crashed : bool
        True if a server or gateway ended without an answer; False if the server stops in order.
    max_crashes : int
        Number of crashes at which the step fails.
    """

    step: str
    execution: int
    attempt: int
    crashed: bool = False
    max_crashes: int = MAX_CRASHES


class LeaseLapsed(Struct, frozen=True, kw_only=True):
    """The server that executes an attempt is gone; the event counts only for that attempt.

    Attributes
    ----------
    step, execution, attempt
        The attempt whose lease has lapsed.
    max_crashes : int
        Number of crashes at which the step fails.
    """

    step: str
    execution: int
    attempt: int
    max_crashes: int = MAX_CRASHES


Event: TypeAlias = (
    Begin | Finish | Resume | Expire | Cancel | CancelPause | EmailFailed | Requeue | LeaseLapsed
)


# --- effects --------------------------------------------------------------------------


class Execute(Struct, frozen=True):
    """Execute the run's current step as soon as a kernel is free."""


class Interrupt(Struct, frozen=True):
    """Interrupt the kernel that executes the run."""


Effect: TypeAlias = Execute | Interrupt
