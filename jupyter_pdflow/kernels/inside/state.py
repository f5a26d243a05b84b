"""What a step has changed: the state of the process, which is restored, and objects of the setup.

Restored are the random states of `random`, of numpy and of the generators that the setup has made;
the working directory, the environment, `sys.path`, the filters of warnings, the handlers and levels
of loggers, and matplotlib's settings. Random states that the setup has not set are seeded anew
instead, as in a process that has just begun. A step is warned of what it has changed otherwise, of
what it has left running, and of the globals that its handler has set.
"""

from __future__ import annotations

import ctypes
import logging
import os
import random
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from jupyter_pdflow.exceptions import BadRequestError
from jupyter_pdflow.ipykernel_compat import environment_data
from jupyter_pdflow.kernels.inside.processes import Leftovers
from jupyter_pdflow.kernels.inside.watch import Change, Watch

logger = logging.getLogger(__name__)

Restore: TypeAlias = Callable[[], None]

SETUP = "the setup"
"""What messages call the maker of the setup's names."""

KEPT_ATTRIBUTE = "pdflow_kept"
"""The attribute of the shell that holds the names of ``%keep``."""

_SEEDS = re.compile(r"seed|state|determin|reproduc", re.IGNORECASE)
_MT19937_BYTES = 625 * 4
"""Size of numpy's state of that generator: 624 words and a position."""


def sets_random_states(sources: Iterable[str]) -> bool:
    """Whether any source may set random states: it has a word such as ``seed``."""
    return any(_SEEDS.search(source) for source in sources)


class ProcessState:
    """The state of the process when this is made, for `restore`.

    Parameters
    ----------
    renew : bool
        Whether to seed `random` and numpy anew instead of restoring their states.
    """

    def __init__(self, *, renew: bool = False) -> None:
        self._restores = [
            *(_directory(), _environment(), _import_path(), _warnings(), _loggers(), _settings()),
            *(_python_random(renew=renew), _numpy_legacy(renew=renew)),
        ]

    def add(self, generators: Iterable[Any]) -> None:
        """Restore these generators of random numbers too."""
        self._restores += map(_generator, generators)

    def restore(self) -> None:
        """Restore all that can be restored; a failure leaves that part as it is."""
        for restore in self._restores:
            with suppress(Exception):
                restore()


def _directory() -> Restore:
    before = os.getcwd()  # noqa: PTH109

    def restore() -> None:
        if os.getcwd() != before:  # noqa: PTH109
            os.chdir(before)

    return restore


def _environment() -> Restore:
    data = environment_data()
    raw, before = dict(data), dict(os.environ)

    def restore() -> None:
        if data == raw:
            return
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)

    return restore


def _import_path() -> Restore:
    path, before = sys.path, list(sys.path)

    def restore() -> None:
        if sys.path is not path or path != before:
            # The same list again: importers and the author's code may hold a reference to it.
            path[:] = before
            sys.path = path

    return restore


def _warnings() -> Restore:
    before = list(warnings.filters)

    def restore() -> None:
        if list(warnings.filters) != before:
            warnings.resetwarnings()  # this also tells the interpreter that they have changed
            warnings.filters.extend(before)  # type: ignore[attr-defined]

    return restore


_Logger: TypeAlias = tuple[list[logging.Handler], int, bool, bool]


def _loggers() -> Restore:
    before = {logger: _described(logger) for logger in _all_loggers()}

    def restore() -> None:
        for logger in _all_loggers():
            _reset(logger, before.get(logger))

    return restore


def _all_loggers() -> list[logging.Logger]:
    known = list(logging.Logger.manager.loggerDict.values())
    return [logging.root, *(each for each in known if isinstance(each, logging.Logger))]


def _described(logger: logging.Logger) -> _Logger:
    return list(logger.handlers), logger.level, logger.propagate, logger.disabled


def _reset(logger: logging.Logger, before: _Logger | None) -> None:
    """Restore one logger; a new logger only loses the handlers that a step has added."""
    if before is None:
        added = [each for each in logger.handlers if not isinstance(each, logging.NullHandler)]
        for handler in added:
            logger.removeHandler(handler)
    elif _described(logger) != before:
        logger.handlers[:], level, logger.propagate, logger.disabled = before
        logger.setLevel(level)


def _settings() -> Restore:
    """Restore matplotlib's settings, if the setup has imported it."""
    matplotlib = sys.modules.get("matplotlib")
    parameters = getattr(matplotlib, "rcParams", None)
    before = dict.copy(parameters) if isinstance(parameters, dict) else {}

    def restore() -> None:
        # The methods of `dict` itself: those of `rcParams` validate each value and warn of some.
        if isinstance(parameters, dict) and not dict.__eq__(parameters, before):
            dict.clear(parameters)
            dict.update(parameters, before)

    return restore


# --- random numbers -------------------------------------------------------------------


def _python_random(*, renew: bool) -> Restore:
    before = random.getstate()

    def restore() -> None:
        nonlocal before
        if random.getstate() == before:
            return
        if renew:
            random.seed()
            before = random.getstate()
        else:
            random.setstate(before)

    return restore


def _numpy_random() -> Any:
    return sys.modules.get("numpy.random")


def _numpy_legacy(*, renew: bool) -> Restore:
    """Restore numpy's legacy state, or seed it anew, also if only a step has imported numpy."""
    known = _numpy_random()
    state = None if renew or known is None else known.get_state(legacy=False)
    known_bytes = _numpy_state_bytes()

    def restore() -> None:
        # Writing the state takes longer than all other parts together, and most steps don't use it.
        nonlocal known_bytes
        now = _numpy_state_bytes()
        if _numpy_random() is None or (now is not None and now == known_bytes):
            return
        if state is None:
            _numpy_random().seed()
            known_bytes = _numpy_state_bytes()
        else:
            _numpy_random().set_state(state)

    return restore


def _numpy_state_bytes() -> bytes | None:
    """Return the bytes of numpy's legacy state, which tell whether it was used, or None."""
    try:
        generator = _numpy_random().mtrand._rand._bit_generator
        return ctypes.string_at(generator.ctypes.state_address, _MT19937_BYTES)
    except Exception:  # noqa: BLE001  private names, or a generator of the author's
        return None


def _generator(generator: Any) -> Restore:
    if isinstance(generator, random.Random):
        state = generator.getstate()
        return lambda: generator.setstate(state)
    if hasattr(generator, "bit_generator"):
        numpy_state = generator.bit_generator.state
        return lambda: setattr(generator.bit_generator, "state", numpy_state)
    legacy = generator.get_state(legacy=False)
    return lambda: generator.set_state(legacy)


# --- names that are kept --------------------------------------------------------------


def keep(shell: Any, line: str) -> None:
    """Add the names of a ``%keep`` line to the kept names of this kernel.

    Raises
    ------
    BadRequestError
        The line has no name, or a word that is not an identifier.
    """
    names = line.replace(",", " ").split()
    bad = [name for name in names if not name.isidentifier()]
    if bad or not names:
        what = f"{bad[0]!r} is not a name" if bad else "the line has no name"
        msg = f"`%keep` takes the names of variables, as in `%keep session cache`; {what}."
        raise BadRequestError(msg)
    setattr(shell, KEPT_ATTRIBUTE, kept_names(shell) | frozenset(names))


def kept_names(shell: Any) -> frozenset[str]:
    """Return the names whose objects steps may change in this kernel."""
    return getattr(shell, KEPT_ATTRIBUTE, frozenset())


# --- the state that steps start from --------------------------------------------------


class Baseline:
    """The state that steps start from, in a production kernel or in a session's test mode.

    Parameters
    ----------
    namespace : mapping of str to object
        The names that the setup has defined.
    is_local : callable
        Returns whether a module name is local, see `jupyter_pdflow.kernels.inside.watch.Watch`.
    keep : collection of str
        Names whose objects may change.
    renew : bool
        Whether random states are seeded anew after a step instead of restored.
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
        """Add more names, and the local modules that have been imported since."""
        modules = {name: module for name, module in sys.modules.items() if self._is_module(name)}
        self._watch.add({**modules, **namespace}, maker)
        self._process.add(self._watch.random_generators)
        self._watch.random_generators.clear()

    def changes(self) -> list[str]:
        """Return a sentence for each name whose object a step has changed."""
        return [_change_warning(change) for change in self._watch.changes()]

    def restore(self) -> None:
        """Restore the state of the process."""
        self._process.restore()

    def _is_module(self, name: str) -> bool:
        return name != "__main__" and self._is_local(name)


def leftover_warnings(leftovers: Leftovers) -> list[str]:
    """Return a sentence for each thread, task or process that a step has left running."""
    return [
        f"This step has left {what} running; later steps and runs get another kernel. End it in "
        "the handler."
        for what in leftovers.found()
    ]


def global_warnings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each global that a handler has set."""
    missing = object()
    names = [name for name, value in before.items() if now.get(name, missing) is not value]
    names += [name for name in now if name not in before]
    return [
        f"The handler has set the global `{name}`; later steps and runs don't see that. Export it."
        for name in names
        if not name.startswith("_")
    ]


def _change_warning(change: Change) -> str:
    where = f" (in `{change.path}`)" if change.path != change.name else ""
    return (
        f"`{change.name}` was made by {change.maker} and changed by this step{where}; later steps "
        "and runs don't see that. Export it, or save it below `pd.files`."
    )
