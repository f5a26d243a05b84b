"""What to do where a step, or what it was resumed with, is not there yet in test mode."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_pdflow.pd.base import Attrs, missing
from jupyter_pdflow.rules.run import Run

RESUME_DATA = "$resume_data"


class _Steps(Attrs):
    """The steps of a session."""

    __slots__ = ()

    def _missing(self, name: object) -> str:
        return f"{missing(name, self)} If that is a step of this notebook, run its cell first."


class _Paused(Attrs):
    """The exports of a step whose notice is still to be answered."""

    __slots__ = ()

    def _missing(self, name: object) -> str:
        if name != RESUME_DATA:
            return missing(name, self)
        return (
            f"There is no {name!r} here yet: press *as if resumed with* above, in the notice of "
            "that step's cell, and run this cell again."
        )


def with_advice(steps: Attrs, tests: Mapping[str, Run]) -> Attrs:
    """Have ``pd.steps`` say what to do where something is missing.

    Parameters
    ----------
    steps : Attrs
        The steps' exports.
    tests : Mapping
        The latest test run of each step.
    """
    waiting = {name for name, run in tests.items() if run.pause is not None}
    return _Steps({name: _Paused(at) if name in waiting else at for name, at in steps.items()})
