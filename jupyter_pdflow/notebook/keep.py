"""``%keep NAME …``: names whose objects steps may change, such as caches and connections."""

from __future__ import annotations

from typing import Any

from jupyter_pdflow.exceptions import BadRequestError

ATTRIBUTE = "pdflow_kept"


def keep(shell: Any, line: str) -> None:
    """Add the names of a ``%keep`` line to those that are kept in this kernel.

    Raises
    ------
    BadRequestError
        The line holds none, or something that is no name.
    """
    names = line.replace(",", " ").split()
    bad = [name for name in names if not name.isidentifier()]
    if bad or not names:
        what = f"{bad[0]!r} is not one" if bad else "there is none"
        msg = f"`%keep` takes the names of variables, as in `%keep session cache`; {what}."
        raise BadRequestError(msg)
    setattr(shell, ATTRIBUTE, kept_names(shell) | frozenset(names))


def kept_names(shell: Any) -> frozenset[str]:
    """Get the names that are kept in this kernel."""
    return getattr(shell, ATTRIBUTE, frozenset())
