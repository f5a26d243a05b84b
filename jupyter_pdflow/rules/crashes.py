"""What becomes of a step whose server or gateway ended while it was executing.

One crash may have any cause, so the step is queued again at once. From the second on it waits, and
is executed while no other step of its server is: a step that crashes then is the cause.
"""

from __future__ import annotations

from datetime import timedelta

from jupyter_pdflow.rules.run import Error, Run

ALONE_FROM = 2
"""From this number of crashes on, a step waits and is executed alone."""

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)


def is_alone(run: Run) -> bool:
    """Whether no other step of its server may execute while this run's current step does."""
    return run.crashes >= ALONE_FROM


def wait_after(crashes: int) -> timedelta:
    """Return how long a step waits after this number of crashes: 0, then 10 s, 20 s, 40 s …."""
    if crashes < ALONE_FROM:
        return timedelta()
    doublings = min(crashes - ALONE_FROM, 10)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def crash_error(step: str, crashes: int) -> Error:
    """Describe why a step is not executed again."""
    times = "once" if crashes == 1 else f"{crashes} times"
    text = (
        f"The server or its gateway ended {times} while it executed step {step!r}, which is not "
        "executed again. Find what in it ends the server, such as a lack of memory; then start a "
        "new run."
    )
    return Error(ename="ServerDied", evalue=text)
