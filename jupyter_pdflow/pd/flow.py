"""``pd.flow``: pausing a run, running a step again, and ending a run."""

from __future__ import annotations

from typing import Any, get_args

from jupyter_pdflow.pd.attrs import Attrs, Named, Scope
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.rules.run import (
    REASON_LIMIT,
    Execution,
    ExitCall,
    OnTimeout,
    PauseCall,
    check_ms,
)

DAY_MS = 86_400_000
RETRIES_LIMIT = 2**62
"""More is as good as for ever, and an integer that JSON can hold."""


class Flow(Named):
    """What a handler calls to pause its run at the end of the step.

    Of several pauses the last one counts, and `exit` wins over all of them. All times are
    milliseconds, from 1 to one year.

    Attributes
    ----------
    call : PauseCall or ExitCall or None
        The call that counts, as the rules of a run take it.
    """

    _name = "pd.flow"

    def __init__(self, execution: Execution, scope: Scope) -> None:
        self._links = (execution.resume_url, execution.cancel_url)
        self._reruns = execution.reruns
        self._scope = scope
        self.call: PauseCall | ExitCall | None = None

    def suspend(self, timeout: float = DAY_MS, *, on_timeout: OnTimeout = "resume") -> Attrs:
        """Pause the run at the end of this step until someone resumes or cancels it.

        Parameters
        ----------
        timeout : int
            Milliseconds to wait; 24 hours if left out.
        on_timeout : {"resume", "cancel", "fail"}
            What happens when the time has run out.

        Returns
        -------
        Attrs
            ``resume_url`` and ``cancel_url``, good for this execution only.

        Raises
        ------
        ValueError
            An argument is not one of those above.
        StepOverError
            The step is over.
        """
        ms = check_ms("timeout", timeout)
        if on_timeout not in get_args(OnTimeout):
            msg = f'on_timeout must be "resume", "cancel" or "fail", not {on_timeout!r}'
            raise ValueError(msg)
        return self._pause(PauseCall(kind="suspend", ms=ms, on_timeout=on_timeout))

    def rerun(self, delay: float, context: Any = None, maxRetries: int = 10) -> Attrs:  # noqa: N803
        """Run this step again after a time, or when someone calls its ``resume_url``.

        Parameters
        ----------
        delay : int
            Milliseconds until the step runs again.
        context : JSON value
            What the next execution finds in ``pd.context.run.context``.
        maxRetries : int
            How often the step runs again at most; after that the run goes on.

        Returns
        -------
        Attrs
            ``resume_url`` and ``cancel_url``, good for this execution only.

        Raises
        ------
        ValueError
            `delay` or `maxRetries` is out of its range.
        ExportError
            `context` can't be written as JSON.
        StepOverError
            The step is over.
        """
        ms = check_ms("delay", delay)
        call = PauseCall(
            kind="rerun",
            ms=ms,
            context=to_json(context, "context", self._scope.warn),
            max_retries=_retries(maxRetries),
        )
        return self._pause(call)

    retry = rerun

    def delay(self, ms: float) -> Attrs:
        """Pause the run at the end of this step for a time.

        Parameters
        ----------
        ms : int
            Milliseconds until the run goes on by itself.

        Returns
        -------
        Attrs
            ``resume_url`` and ``cancel_url``, good for this execution only.

        Raises
        ------
        ValueError
            `ms` is out of its range.
        StepOverError
            The step is over.
        """
        return self._pause(PauseCall(kind="delay", ms=check_ms("ms", ms)))

    def exit(self, reason: str | None = None) -> None:
        """End the run as succeeded once this step is finished; no later step runs.

        It wins over the pauses of this step, whichever comes first: code of Pipedream seldom
        returns after it.

        Parameters
        ----------
        reason : str, optional
            Why, as the run will show it; at most `REASON_LIMIT` characters.

        Raises
        ------
        TypeError
            `reason` is not a str.
        ValueError
            `reason` is too long.
        StepOverError
            The step is over.
        """
        self._scope.check("pd.flow.exit")
        self.call = ExitCall(exit_reason=_reason(reason))

    def _pause(self, call: PauseCall) -> Attrs:
        self._scope.check(f"pd.flow.{call.kind}")
        self._warn(call)
        if not isinstance(self.call, ExitCall):
            self.call = call
        resume_url, cancel_url = self._links
        return Attrs(resume_url=resume_url, cancel_url=cancel_url)

    def _warn(self, call: PauseCall) -> None:
        name = f"pd.flow.{call.kind}"
        if isinstance(self.call, ExitCall):
            self._scope.warn(f"pd.flow.exit was called before, so {name} does not pause the run.")
        elif self.call is not None:
            self._scope.warn(
                f"{name} replaces the pd.flow.{self.call.kind} that this step called before: a "
                "step pauses once, at its end."
            )
        if call.kind == "rerun" and self._reruns >= call.max_retries:
            self._scope.warn(
                f"All reruns of this step (maxRetries={call.max_retries}) are used up: the run goes "
                "on to the next step. To end it instead, raise an exception."
            )


def _retries(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        msg = f"maxRetries must be a whole number from 0 up, not {value!r}"
        raise ValueError(msg)
    return min(value, RETRIES_LIMIT)


def _reason(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        msg = f"reason must be a str, not {value!r}"
        raise TypeError(msg)
    if value is not None and len(value) > REASON_LIMIT:
        msg = f"reason may have {REASON_LIMIT:,} characters at most, not {len(value):,}"
        raise ValueError(msg)
    return None if value is None else str(to_json(value, "reason"))
