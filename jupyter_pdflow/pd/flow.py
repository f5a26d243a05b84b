"""``pd.flow``: pause a run, run a step again, or end a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from jupyter_pdflow.pd.attrs import Attrs, PdPart, Scope
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.rules.approvals import check_approvers, check_message
from jupyter_pdflow.rules.pauses import NO_ASK, YEAR_MS, Ask, OnReject, OnTimeout, PauseCall
from jupyter_pdflow.rules.run import REASON_LIMIT, Execution, ExitCall

DAY_MS = 86_400_000

RETRIES_LIMIT = 2**62
"""A larger ``maxRetries`` is stored as this number, which every JSON parser of ours can read."""


class Flow(PdPart):
    """The methods that pause the run at the end of the step, or end it.

    Of several pauses in one execution the last one counts. `exit` wins over all of them. All times
    are milliseconds, from 1 to one year.

    Attributes
    ----------
    call : PauseCall or ExitCall or None
        The call that counts so far.
    """

    _name = "pd.flow"

    def __init__(self, execution: Execution, scope: Scope) -> None:
        self._links = (execution.resume_url, execution.cancel_url)
        self._reruns = execution.reruns
        self._scope = scope
        self.call: PauseCall | ExitCall | None = None

    def suspend(
        self,
        timeout: float = DAY_MS,
        *,
        on_timeout: OnTimeout | None = None,
        message: str | None = None,
        form: object = None,
        approvers: str | Iterable[str] | None = None,
        required: int = 1,
        on_reject: OnReject = "cancel",
        remind: float | None = None,
        escalate: tuple[float, Iterable[str]] | None = None,
    ) -> Attrs:
        """Pause the run at the end of this step until it is resumed or rejected.

        Parameters
        ----------
        timeout : int
            Milliseconds to wait at most, from 1 to one year; by default 24 hours.
        on_timeout : {"resume", "cancel", "fail"}, optional
            What happens to the run after that time; by default it is resumed, and with `approvers`
            canceled.
        message : str, optional
            What is asked, as Markdown without HTML; at most 10,000 characters.
        form : type or dict, optional
            The fields of the answer: a dataclass, TypedDict, msgspec Struct, pydantic model, or a
            flat JSON Schema. Only an answer that matches it is accepted.
        approvers : str or list of str, optional
            Who decides: user names, email addresses, and groups as ``group:NAME``. Each address
            gets an email with two links of its own; only they can decide then.
        required : int
            How many of the approvers have to approve. One rejection decides.
        on_reject : {"cancel", "resume"}
            Whether a rejection ends the run, or lets it continue with the next step.
        remind : int, optional
            Milliseconds after which approvers are reminded who have not answered, again and again.
        escalate : (int, list of str), optional
            Milliseconds after which further approvers join the others.

        Returns
        -------
        Attrs
            ``resume_url`` and ``cancel_url``; they work for this execution only. With `approvers`,
            they show what is asked and decide nothing.

        Raises
        ------
        ValueError
            An argument is not one of these values; the message names it.
        TypeError
            An argument is of another type.
        StepOverError
            The step is over.
        """
        ask = Ask(
            message=_message(message),
            form=None if form is None else _schema(form),
            approvers=_people("approvers", approvers),
            required=_count("required", required),
            on_reject=_choice("on_reject", on_reject, OnReject),
            remind_ms=None if remind is None else check_ms("remind", remind),
            **_escalation(escalate),
        )
        check_approvers(ask)
        default: OnTimeout = "cancel" if ask.approvers else "resume"
        call = PauseCall(
            kind="suspend",
            ms=check_ms("timeout", timeout),
            on_timeout=_choice(
                "on_timeout", default if on_timeout is None else on_timeout, OnTimeout
            ),
            ask=None if ask == NO_ASK else ask,
        )
        return self._pause(call)

    def rerun(self, delay: float, context: Any = None, maxRetries: int = 10) -> Attrs:  # noqa: N803
        """Run this step again after a time, or when its ``resume_url`` is called.

        Parameters
        ----------
        delay : int
            Milliseconds until the step runs again, from 1 to one year.
        context : JSON value
            The ``pd.context.run.context`` of the next execution.
        maxRetries : int
            Maximum number of reruns. A call after the last one does not pause: the run continues
            with the next step.

        Returns
        -------
        Attrs
            ``resume_url`` and ``cancel_url``; they work for this execution only.

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
        """Pause the run for a time at the end of this step.

        Parameters
        ----------
        ms : int
            Milliseconds until the run continues by itself, from 0 to one year.

        Returns
        -------
        Attrs
            ``resume_url`` and ``cancel_url``; they work for this execution only.

        Raises
        ------
        ValueError
            `ms` is out of its range.
        StepOverError
            The step is over.
        """
        return self._pause(PauseCall(kind="delay", ms=check_ms("ms", ms, lowest=0)))

    def exit(self, reason: str | None = None) -> None:
        """End the run as succeeded when this step has ended; no later step runs.

        It wins over the pauses of this step, called before or after it.

        Parameters
        ----------
        reason : str, optional
            Shown with the run; at most `REASON_LIMIT` characters.

        Raises
        ------
        TypeError
            `reason` is not a str.
        ValueError
            `reason` is too long.
        ExportError
            `reason` contains half a surrogate pair.
        StepOverError
            The step is over.
        """
        self._scope.check("pd.flow.exit")
        self.call = ExitCall(exit_reason=_reason(reason))

    def _pause(self, call: PauseCall) -> Attrs:
        self._scope.check(f"pd.flow.{call.kind}")
        self._warn(call)
        # Pipedream's handlers call `exit` as a guard and seldom return after it, so the pause that
        # follows must not win.
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
                f"All reruns of this step (maxRetries={call.max_retries}) are used up: the run "
                "continues with the next step. To end it instead, raise an exception."
            )


def check_ms(name: str, value: object, *, lowest: int = 1) -> int:
    """Return `value` as whole milliseconds.

    Parameters
    ----------
    name : str
        The argument that `value` was given for, as the error message calls it.
    value : object
        A number of milliseconds from `lowest` to `YEAR_MS`.
    lowest : int

    Raises
    ------
    ValueError
        `value` is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number of milliseconds, not {value!r}"
        raise ValueError(msg)  # noqa: TRY004  one error for all bad times, as the docs say
    if not lowest <= value <= YEAR_MS:
        msg = f"{name} must be from {lowest} to {YEAR_MS:,} milliseconds (one year), not {value!r}"
        raise ValueError(msg)
    return int(value)


def _choice(name: str, value: Any, choices: Any) -> Any:
    known = get_args(choices)
    if value not in known:
        *others, last = (f'"{each}"' for each in known)
        msg = f"{name} must be {', '.join(others)} or {last}, not {value!r}"
        raise ValueError(msg)
    return value


def _message(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        msg = f"message must be a str, not {type(value).__name__}"
        raise TypeError(msg)
    text = None if value is None else str(to_json(value, "message"))
    check_message(text)
    return text


def _schema(form: object) -> dict[str, Any]:
    from jupyter_pdflow.pd.forms import schema_of  # few steps have a form

    return schema_of(form)


def _people(name: str, value: object) -> tuple[str, ...]:
    given = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(given, Iterable) or not all(isinstance(one, str) for one in given):
        msg = f"{name} must be a list of user names, addresses or group:NAME, not {value!r}"
        raise TypeError(msg)
    people = [str(to_json(one.strip(), name)) for one in given]
    return tuple({one.lower(): one for one in reversed(people)}.values())[::-1]


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {value!r}"
        raise ValueError(msg)  # noqa: TRY004  one error for all bad numbers, as the docs say
    return value


def _escalation(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, tuple | list) or len(value) != len(("ms", "approvers")):
        msg = f"escalate must be milliseconds and a list of approvers, not {value!r}"
        raise ValueError(msg)
    to = _people("escalate", value[1])
    if not to:
        msg = "escalate must name at least one approver"
        raise ValueError(msg)
    return {"escalate_ms": check_ms("escalate", value[0]), "escalate_to": to}


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
