"""Warn of state that a step of test mode has changed, and restore what can be restored."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.kernels.inside.processes import Leftovers
from jupyter_pdflow.kernels.inside.state import (
    SETUP,
    Baseline,
    global_warnings,
    kept_names,
    leftover_warnings,
)
from jupyter_pdflow.notebook.session import Session, notebook_path
from jupyter_pdflow.pd.attrs import write_warning

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class StateCheck:
    """Warns of state that a step has changed and that production would not keep.

    The state of the process, and the globals that the handler has set, are restored. Objects
    that it has changed stay changed, because the session is the author's.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._leftovers = Leftovers()
        self._globals_before = self._globals()
        self._baseline = self._take_baseline()
        self._globals_of_cell: dict[str, Any] | None = None

    def record_definitions(self, step: str) -> None:
        """Record what the step's cell has defined, before its handler is called."""
        self._globals_of_cell = self._globals()
        for name, value in self._globals_of_cell.items():
            if self._globals_before.get(name) is not value:
                self._session.defined_by[name] = f"the cell of step {step!r}"

    def close(self) -> None:
        """Warn of each change, and restore what can be restored."""
        warnings = leftover_warnings(self._leftovers) + self._baseline.changes()
        if self._globals_of_cell is not None:
            warnings += global_warnings(self._globals_of_cell, self._globals())
            self._restore_globals(self._globals_of_cell)
        for text in warnings:
            write_warning(text)
        self._baseline.restore()

    def _globals(self) -> dict[str, Any]:
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and name not in hidden
        }

    def _take_baseline(self) -> Baseline:
        defined_by = self._session.defined_by
        by_cell: dict[str, dict[str, Any]] = {SETUP: {}}
        for name, value in self._globals_before.items():
            by_cell.setdefault(defined_by.get(name, SETUP), {})[name] = value
        is_local = _local_module_check(notebook_path())
        keep = kept_names(self._shell)
        baseline = Baseline(by_cell.pop(SETUP), is_local=is_local, keep=keep)
        for cell, names in by_cell.items():
            baseline.add(names, cell)
        return baseline

    def _restore_globals(self, before: dict[str, Any]) -> None:
        for name in self._globals().keys() - before.keys():
            del self._shell.user_ns[name]
        self._shell.user_ns.update(before)


def _local_module_check(notebook: Path | None) -> Callable[[str], bool]:
    """Return a function that says whether a module lies in the notebook's folder or below."""
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
