"""Parts of the rules that concern one execution of a step.

They describe it for its kernel, number its reruns, limit its exports, name its emails, and say
how it is repeated after crashes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.json import encode

from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import Error, Execution, OutboxMessage, Outcome, Run

EXPORTS_LIMIT = 6_000_000
"""Maximum size of the exports of one run in bytes of JSON, the context of a rerun included."""


def execution_of(
    run: Run,
    resume_url: str = "",
    cancel_url: str = "",
    *,
    files_dir: str = "",
    files_id: str = "",
) -> Execution:
    """Return the run's current execution, for the kernel that executes it.

    Parameters
    ----------
    run : Run
    resume_url, cancel_url : str
        The two links of the execution.
    files_dir, files_id : str
        The folder of the files of all runs, see `jupyter_pdflow.rules.run.Execution`.
    """
    step = run.current
    return Execution(
        id=f"{run.id}-{run.execution}",
        run_id=run.id,
        workflow_id=run.workflow_id,
        workflow_name=run.workflow_name,
        version=run.version,
        step=step.name,
        ts=run.created_at,
        event=run.event,
        steps={done.name: done.exports for done in run.steps[: run.position]},
        attempt=run.attempt,
        runs=max(1, step.runs),
        reruns=step.reruns,
        context=run.context,
        called_back=run.called_back,
        callback_request=run.callback_request,
        resume_url=resume_url,
        cancel_url=cancel_url,
        files_dir=files_dir,
        files_id=files_id,
    )


def next_runs(runs: int, max_retries: int, *, called_back: bool) -> int:
    """Return the number that the next execution of a rerun step sees as ``runs``.

    Parameters
    ----------
    runs : int
        The number that the latest execution saw.
    max_retries : int
        The ``maxRetries`` of the latest ``pd.flow.rerun``.
    called_back : bool
        Whether a request, not the timer, starts the next execution.
    """
    following = runs + 1
    # Handlers read `runs == maxRetries + 1` as "given up waiting", as in Pipedream's examples. So
    # a callback that would get that number gets the one after it.
    return following + 1 if called_back and following == max_retries + 1 else following


# --- limits and emails of an outcome --------------------------------------------------


def size_error(run: Run, outcome: Outcome) -> Error | None:
    """Return an error if the run's exports take more than `EXPORTS_LIMIT` bytes, else None.

    Parameters
    ----------
    run : Run
        The run with the exports of `outcome` in its current step.
    outcome : Outcome
        Its rerun's context, if it has one, counts as the exports do.
    """
    commas_and_brackets = len(run.steps) + 1
    size = len(encode([step.exports for step in run.steps])) - commas_and_brackets
    if isinstance(outcome.flow, PauseCall) and outcome.flow.context is not None:
        size += len(encode(outcome.flow.context))
    return Error(ename="ExportError", evalue=size_message(size)) if size > EXPORTS_LIMIT else None


def size_message(size: int, of: str = "run") -> str:
    """Return the message of an error about exports of a run, or of a step, that are too large.

    Parameters
    ----------
    size : int
        Their size in bytes.
    of : {"run", "step"}
        What they are the exports of.
    """
    return (
        f"The exports of this {of} take {size:,} bytes, the context of a rerun included; the limit "
        f"is {EXPORTS_LIMIT:,}. Write large data to a file and export its path."
    )


def emails_of(run: Run, outcome: Outcome, now: datetime) -> list[OutboxMessage]:
    """Return the emails of an outcome of the current step as messages for the run's outbox."""
    # The same email gets the same id each time, so that a store takes it over once.
    return [
        OutboxMessage(
            id=f"{run.id}-{run.execution}-{run.position}-{number}",
            run_id=run.id,
            step=run.current.name,
            created_at=now,
            email=email,
        )
        for number, email in enumerate(outcome.emails)
    ]


# --- repetition after crashes ---------------------------------------------------------

ALONE_FROM = 2
"""From this number of crashes on, a step waits and is executed alone."""

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)


def is_alone(run: Run) -> bool:
    """Whether the run's current step has to be the only one that its server executes.

    If it crashes again then, no other step can be the cause.
    """
    return run.crashes >= ALONE_FROM


def wait_after(crashes: int) -> timedelta:
    """Return how long a step waits after this number of crashes: 0, then 10 s, 20 s, 40 s …."""
    if crashes < ALONE_FROM:
        return timedelta()
    doublings = min(crashes - ALONE_FROM, 10)  # more would overflow; the longest wait is reached
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def crash_error(step: str, crashes: int) -> Error:
    """Return the error of a step that is not executed again after this number of crashes."""
    times = "once" if crashes == 1 else f"{crashes} times"
    text = (
        f"The server or its gateway ended {times} while it executed step {step!r}, which is not "
        "executed again. Find what in it ends the server, such as a lack of memory; then start a "
        "new run."
    )
    return Error(ename="ServerDied", evalue=text)
