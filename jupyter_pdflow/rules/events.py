"""The events that change a run, and the effects that follow once the change is stored."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from jupyter_pdflow.rules.run import Actor, OutboxMessage, Outcome, Request

# --- events ---------------------------------------------------------------------------


class Begin(Struct, frozen=True):
    """A kernel starts to execute the current step."""


class Finish(Struct, frozen=True, kw_only=True):
    """A step has ended; it counts only for the execution and the attempt that it names."""

    step: str
    execution: int
    attempt: int
    outcome: Outcome


class Resume(Struct, frozen=True, kw_only=True):
    """A request to resume the pause of one execution of a step."""

    step: str
    execution: int
    by: Actor
    request: Request


class Expire(Struct, frozen=True, kw_only=True):
    """A timer of an execution went off: of its pause, or of its wait after a crash.

    The rules compare the deadline with the clock: a timer may go off early, or after its pause
    was decided.
    """

    step: str
    execution: int


class Cancel(Struct, frozen=True, kw_only=True):
    """A request to cancel the run, whatever its status.

    Attributes
    ----------
    reason : str or None
        At most `jupyter_pdflow.rules.run.REASON_LIMIT` characters.
    """

    by: Actor
    reason: str | None = None


class CancelPause(Struct, frozen=True, kw_only=True):
    """A request, by a link, to cancel the pause of one execution of a step."""

    step: str
    execution: int
    by: Actor
    request: Request | None = None


MAX_CRASHES = 3
"""Default of the number of crashes after which a step is not executed again."""


class Requeue(Struct, frozen=True, kw_only=True):
    """The server no longer waits for the step that is running, so the step is queued again.

    Attributes
    ----------
    crashed : bool
        True if a server or gateway ended without an answer; False if the server stops in order.
    max_crashes : int
        Number of crashes at which the step fails.
    """

    crashed: bool = False
    max_crashes: int = MAX_CRASHES


class Recover(Struct, frozen=True, kw_only=True):
    """A server has started and read the run as the previous server left it.

    Attributes
    ----------
    max_crashes : int
        Number of crashes at which the step fails.
    """

    max_crashes: int = MAX_CRASHES


Event: TypeAlias = Begin | Finish | Resume | Expire | Cancel | CancelPause | Requeue | Recover


# --- effects --------------------------------------------------------------------------


class Execute(Struct, frozen=True):
    """Execute the run's current step as soon as a kernel is free."""


class SetTimer(Struct, frozen=True):
    """Send `Expire` for the run's current execution at the time `at`."""

    at: datetime


class Interrupt(Struct, frozen=True):
    """Interrupt the kernel that executes the run."""


class Deliver(Struct, frozen=True):
    """Deliver these emails; the outcome that asked for them is stored."""

    emails: list[OutboxMessage]


class Archive(Struct, frozen=True):
    """Move the run, which has ended, to the finished runs."""


Effect: TypeAlias = Execute | SetTimer | Interrupt | Deliver | Archive
