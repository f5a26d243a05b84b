"""What every step starts from: the state right after the setup, and who leaves it changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from jupyter_pdflow.kernels.leftovers import Leftovers
from jupyter_pdflow.kernels.process_state import ProcessState
from jupyter_pdflow.kernels.watch import Change, Watch

SETUP = "the setup"


class Baseline:
    """The state that steps start from, in a production kernel or in a session's test mode.

    Parameters
    ----------
    namespace : mapping of str to object
        The names that the setup has made.
    is_local : callable
        Whether the module of a name is local, see `jupyter_pdflow.kernels.watch.Watch`.
    keep : collection of str
        Names whose objects may change.
    renew : bool
        Whether random states are made new after a step instead of being put back.
    """

    def __init__(
        self,
        namespace: Mapping[str, Any],
        *,
        is_local: Callable[[str], bool],
        keep: Collection[str] = (),
        renew: bool = False,
    ) -> None:
        self._is_local = is_local
        self._watch = Watch(is_local, keep)
        self._process = ProcessState(renew=renew)
        self.add(namespace, SETUP)

    def add(self, namespace: Mapping[str, Any], maker: str) -> None:
        """Note more names, and the local modules that have been imported since."""
        modules = {name: module for name, module in sys.modules.items() if self._is_module(name)}
        self._watch.add({**modules, **namespace}, maker)
        self._process.add(self._watch.streams)
        self._watch.streams.clear()

    def changes(self) -> list[str]:
        """Say what a step has changed, a sentence for each name."""
        return [_sentence(change) for change in self._watch.changes()]

    def restore(self) -> None:
        """Put back what belongs to the whole process."""
        self._process.restore()

    def _is_module(self, name: str) -> bool:
        return name != "__main__" and self._is_local(name)


def left_running(leftovers: Leftovers) -> list[str]:
    """Say what a step has left running, a sentence for each."""
    return [
        f"This step has left {what} running; later steps and runs get another kernel. End it in the "
        "handler."
        for what in leftovers.found()
    ]


def set_globals(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say which globals a handler has set, a sentence for each."""
    missing = object()
    names = [name for name, value in before.items() if now.get(name, missing) is not value]
    names += [name for name in now if name not in before]
    return [
        f"The handler has set the global `{name}`; later steps and runs don't see that. Export it."
        for name in names
        if not name.startswith("_")
    ]


def _sentence(change: Change) -> str:
    where = f" (in `{change.path}`)" if change.path != change.name else ""
    return (
        f"`{change.name}` was made by {change.maker} and changed by this step{where}; later steps "
        "and runs don't see that. Export it, or save it below `pd.files`."
    )
