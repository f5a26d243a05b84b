"""Test mode is as strict as production: a step starts from what the setup left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.kernels.baseline import SETUP, Baseline, left_running, set_globals
from jupyter_pdflow.kernels.leftovers import Leftovers
from jupyter_pdflow.notebook.keep import kept_names
from jupyter_pdflow.notebook.session import Session, notebook_path
from jupyter_pdflow.pd.base import write_warning

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class StateCheck:
    """Tells a step what it has changed that production would not keep.

    What belongs to the process, and the globals that the handler has set, are put back. Objects
    that it has changed stay changed, as the session is the author's.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._leftovers = Leftovers()
        self._before = self._names()
        self._baseline = self._take()
        self._defined: dict[str, Any] | None = None

    def defined(self, step: str) -> None:
        """Note what the step's cell has defined, before its handler is called."""
        self._defined = self._names()
        for name, value in self._defined.items():
            if self._before.get(name) is not value:
                self._session.makers[name] = f"the cell of step {step!r}"

    def close(self) -> None:
        """Say what has changed, and put back what can be."""
        found = left_running(self._leftovers) + self._baseline.changes()
        if self._defined is not None:
            found += set_globals(self._defined, self._names())
            self._put_back(self._defined)
        for text in found:
            write_warning(text)
        self._baseline.restore()

    def _names(self) -> dict[str, Any]:
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and name not in hidden
        }

    def _take(self) -> Baseline:
        makers = self._session.makers
        by_maker: dict[str, dict[str, Any]] = {SETUP: {}}
        for name, value in self._before.items():
            by_maker.setdefault(makers.get(name, SETUP), {})[name] = value
        is_local = _local_modules(notebook_path())
        keep = kept_names(self._shell)
        baseline = Baseline(by_maker.pop(SETUP), is_local=is_local, keep=keep)
        for maker, names in by_maker.items():
            baseline.add(names, maker)
        return baseline

    def _put_back(self, before: dict[str, Any]) -> None:
        for name in self._names().keys() - before.keys():
            del self._shell.user_ns[name]
        self._shell.user_ns.update(before)


def _local_modules(notebook: Path | None) -> Callable[[str], bool]:
    folder = notebook.parent if notebook is not None and notebook.is_absolute() else Path.cwd()
    folder = folder.resolve()

    @cache
    def is_local(name: str) -> bool:
        if name == "__main__":
            return True
        file = getattr(sys.modules.get(name), "__file__", None)
        if (
            not isinstance(file, str)
            or "site-packages" in file
            or name.startswith("jupyter_pdflow")
        ):
            return False
        return Path(file).resolve().is_relative_to(folder)

    return is_local
