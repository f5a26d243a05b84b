"""The events that change a run, and the effects that follow once the change is stored.

What is stored needs no effect: a store sees itself when a run has to wake (`Run.wakes_at`), which
emails it has to take over (`Run.outbox`), and that it has ended.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from jupyter_pdflow.rules.run import Actor, Outcome, Request

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
    """An execution is due: its pause, or its wait after a crash, is over.

    The rules compare the deadline with the clock: the event may come early, or after its pause was
    decided.
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


Event: TypeAlias = Begin | Finish | Resume | Expire | Cancel | CancelPause | Requeue | LeaseLapsed


# --- effects --------------------------------------------------------------------------


class Execute(Struct, frozen=True):
    """Execute the run's current step as soon as a kernel is free."""


class Interrupt(Struct, frozen=True):
    """Interrupt the kernel that executes the run."""


Effect: TypeAlias = Execute | Interrupt
