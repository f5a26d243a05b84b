"""The time in which a step's ``pd`` can be used, and what is told to the step meanwhile."""

from __future__ import annotations

import sys

from jupyter_pdflow.exceptions import StepOverError


class Scope:
    """The time from a handler's call to its end."""

    def __init__(self) -> None:
        self._over = False
        self._told: set[str] = set()

    def end(self) -> None:
        """Note that the step is over: what is asked for from now on would be lost."""
        self._over = True

    def check(self, call: str) -> None:
        """Make sure that the step is not over.

        Parameters
        ----------
        call : str
            What is being called, such as ``pd.flow.suspend``.

        Raises
        ------
        StepOverError
            It is.
        """
        if self._over:
            msg = (
                f"{call} was called after its step was over, where it can do nothing; call it in "
                "the handler, and wait there for threads and tasks that use pd."
            )
            raise StepOverError(msg)

    def warn(self, text: str) -> None:
        """Write a warning to the step's output, each one once.

        Not by `warnings.warn`, which in a kernel that is used again would leave out what an
        earlier run was told.
        """
        if text not in self._told:
            self._told.add(text)
            write_warning(text)


def write_warning(text: str) -> None:
    """Write a warning to the output of the step that is executing."""
    sys.stderr.write(f"Warning: {text}\n")
