"""What test mode says about steps that wait, and about exports that are missing therefore.

A pause of test mode stops a Run All. So a cell below that is run by hand may need what only an
answer brings, and is told where to give one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_pdflow.notebook.answers import LABELS, Action
from jupyter_pdflow.notebook.session import RESUME_DATA, Session
from jupyter_pdflow.pd.attrs import Attrs, missing
from jupyter_pdflow.rules.decisions import DECISION
from jupyter_pdflow.rules.pauses import PauseKind, Resolution
from jupyter_pdflow.rules.run import Run

_CHOSEN: dict[Resolution, Action] = {
    "canceled": "cancel",
    "rejected": "reject",
    "timed_out": "time_out",
}
"""The button that has ended a run, by how its pause was decided."""


def advice_on(run: Run) -> str | None:
    """Return one sentence that says why no later step would run, and what to do; or None.

    Parameters
    ----------
    run : Run
        The latest test run of a step.
    """
    if run.pause is not None:
        return _waiting_text(run.current.name, run.pause.kind)
    if run.status not in ("canceled", "failed") or not run.decisions:
        return None
    action = _CHOSEN.get(run.decisions[-1].resolution)
    return None if action is None else _ended_text(run.current.name, action)


def advice_for(session: Session, name: str) -> str | None:
    """Return `advice_on` the first step above this one that has any, or None."""
    runs = (session.test_runs.get(step) for step in session.steps_before(name))
    return next(filter(None, (advice_on(run) for run in runs if run is not None)), None)


def with_advice(steps: Attrs, test_runs: Mapping[str, Run]) -> Attrs:
    """Return ``pd.steps`` with errors that say what to do if an export is missing.

    Parameters
    ----------
    steps : Attrs
        The steps' exports.
    test_runs : Mapping
        The latest test run of each step.
    """
    return _SessionSteps(
        {
            name: _with_advice_on(test_runs[name], exports) if name in test_runs else exports
            for name, exports in steps.items()
        }
    )


def _with_advice_on(run: Run, exports: Attrs) -> Attrs:
    advice = advice_on(run)
    if advice is None:
        return exports
    brings_more = run.pause is not None and run.pause.kind == "rerun"
    return _AdvisedExports(exports, advice, brings_more=brings_more)


def _waiting_text(step: str, kind: PauseKind) -> str:
    action: Action = "resume" if kind == "suspend" else "time_out"
    line = "%pdflow answer" if kind == "suspend" else "%pdflow answer --timeout"
    return (
        f"Step {step} is waiting: press *{LABELS[action]}* in its notice, or run `{line}` and "
        "then its cell again."
    )


def _ended_text(step: str, action: Action) -> str:
    return (
        f"Step {step} has ended the run, {LABELS[action]}: press another button of its notice, or "
        "run its cell again."
    )


class _SessionSteps(Attrs):
    """The steps of a session."""

    __slots__ = ()

    def _missing(self, name: object) -> str:
        return f"{missing(name, self)} If that is a step of this notebook, run its cell first."


class _AdvisedExports(Attrs):
    """The exports of a step after which no later step would run.

    Parameters
    ----------
    exports : Mapping
        The exports that are there.
    advice : str
        Why no later step would run, and what to do.
    brings_more : bool
        Whether an answer may bring any export, and not only those of the pause.
    """

    __slots__ = ("_advice", "_brings_more")

    def __init__(self, exports: Mapping[str, Any], advice: str, *, brings_more: bool) -> None:
        super().__init__(exports)
        self._advice = advice
        self._brings_more = brings_more

    def _missing(self, name: object) -> str:
        if name in (RESUME_DATA, DECISION):
            return f"There is no {name!r} here yet. {self._advice}"
        return f"{missing(name, self)} {self._advice}" if self._brings_more else missing(name, self)

    def copy(self) -> Attrs:
        """Return a shallow copy, without the advice."""
        return Attrs(self)

    def __reduce__(self) -> tuple[type[Attrs], tuple[dict[str, Any]]]:
        # `copy` and `pickle` would look for attributes before these are set.
        return Attrs, (dict(self),)
