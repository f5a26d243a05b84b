"""What can happen to a run, and what is to be done when it has."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from jupyter_pdflow.rules.run import Actor, OutboxMessage, Outcome, Request


class Begin(Struct, frozen=True):
    """A kernel takes up the current step."""


class Finish(Struct, frozen=True, kw_only=True):
    """The current step ended; counts only for the execution and attempt that it names."""

    step: str
    execution: int
    attempt: int
    outcome: Outcome


class Resume(Struct, frozen=True, kw_only=True):
    """Someone asks to resume the pause of one execution of a step."""

    step: str
    execution: int
    by: Actor
    request: Request


class Expire(Struct, frozen=True, kw_only=True):
    """The time of a pause, or of the wait after a crash, may have run out."""

    step: str
    execution: int


class Cancel(Struct, frozen=True, kw_only=True):
    """Someone asks to cancel the run, whatever it is doing."""

    by: Actor
    reason: str | None = None


class CancelPause(Struct, frozen=True, kw_only=True):
    """Someone asks, by a link, to cancel the pause of one execution of a step."""

    step: str
    execution: int
    by: Actor
    request: Request | None = None


MAX_CRASHES = 3
"""Default of the number of crashes after which a step is not executed again."""


class Requeue(Struct, frozen=True, kw_only=True):
    """The step that is executing can't be waited for: it is queued again.

    Attributes
    ----------
    crashed : bool
        Whether what executed it ended without an answer; False where the server stops in order.
    """

    crashed: bool = False
    max_crashes: int = MAX_CRASHES


class Recover(Struct, frozen=True, kw_only=True):
    """A server starts and finds the run as the last one left it."""

    max_crashes: int = MAX_CRASHES


Event: TypeAlias = Begin | Finish | Resume | Expire | Cancel | CancelPause | Requeue | Recover


class Execute(Struct, frozen=True):
    """Give the run's current step to a kernel, when one is free."""


class SetTimer(Struct, frozen=True):
    """Send `Expire` for the run's current execution at this time."""

    at: datetime


class Interrupt(Struct, frozen=True):
    """Interrupt the kernel that executes the run."""


class Deliver(Struct, frozen=True):
    """Hand these mails over, now that the outcome that made them is stored."""

    emails: list[OutboxMessage]


class Archive(Struct, frozen=True):
    """The run is over: file it among the finished ones."""


Effect: TypeAlias = Execute | SetTimer | Interrupt | Deliver | Archive
