"""What a step has changed of the process and of the objects of the setup.

Put back are the random states of `random`, of numpy and of the generators that the setup has made; the
working directory, the environment, `sys.path`, the filters of warnings, the handlers and levels of
loggers, and matplotlib's settings. Random states that the setup has not set are made new
instead, as in a process that has just begun.
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

_SEEDS = re.compile(r"seed|state|determin|reproduc", re.IGNORECASE)
_MT19937_BYTES = 625 * 4
"""Size of numpy's state of that generator: 624 words and a position."""


def sets_random_states(sources: Iterable[str]) -> bool:
    """Whether code may set the state of random numbers, as far as its words tell."""
    return any(_SEEDS.search(source) for source in sources)


class ProcessState:
    """The state of the process as it is now.

    Parameters
    ----------
    renew : bool
        Whether to make the random states of `random` and numpy new in place of putting them back.
    """

    def __init__(self, *, renew: bool = False) -> None:
        self._restores = [
            *(_directory(), _environment(), _import_path(), _warnings(), _loggers(), _settings()),
            *(_python_random(renew=renew), _numpy_legacy(renew=renew)),
        ]

    def add(self, streams: Iterable[Any]) -> None:
        """Put back these generators of random numbers too."""
        self._restores += map(_stream, streams)

    def restore(self) -> None:
        """Put everything back that can be; what can't be stays as it is."""
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
    """Put one logger back; of a new one, only the handlers go that a step has added."""
    if before is None:
        added = [each for each in logger.handlers if not isinstance(each, logging.NullHandler)]
        for handler in added:
            logger.removeHandler(handler)
    elif _described(logger) != before:
        logger.handlers[:], level, logger.propagate, logger.disabled = before
        logger.setLevel(level)


def _settings() -> Restore:
    """Put back matplotlib's settings, if it was imported by the setup."""
    matplotlib = sys.modules.get("matplotlib")
    parameters = getattr(matplotlib, "rcParams", None)
    before = dict.copy(parameters) if isinstance(parameters, dict) else {}

    def restore() -> None:
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
    """Put numpy's legacy state back; it is made new too where a step has imported numpy."""
    known = _numpy_random()
    state = None if renew or known is None else known.get_state(legacy=False)
    mark = _numpy_mark()

    def restore() -> None:
        # To write the state takes longer than all the rest, and most steps don't use it.
        nonlocal mark
        now = _numpy_mark()
        if _numpy_random() is None or (now is not None and now == mark):
            return
        if state is None:
            _numpy_random().seed()
            mark = _numpy_mark()
        else:
            _numpy_random().set_state(state)

    return restore


def _numpy_mark() -> bytes | None:
    """Read the bytes of numpy's state, which tell whether it was used; None if they can't be."""
    try:
        generator = _numpy_random().mtrand._rand._bit_generator
        return ctypes.string_at(generator.ctypes.state_address, _MT19937_BYTES)
    except Exception:  # noqa: BLE001  private names, and whatever generator the author has set
        return None


def _stream(stream: Any) -> Restore:
    if isinstance(stream, random.Random):
        state = stream.getstate()
        return lambda: stream.setstate(state)
    if hasattr(stream, "bit_generator"):
        numpy_state = stream.bit_generator.state
        return lambda: setattr(stream.bit_generator, "state", numpy_state)
    legacy = stream.get_state(legacy=False)
    return lambda: stream.set_state(legacy)


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


SETUP = "the setup"


class Baseline:
    """The state that steps start from, in a production kernel or in a session's test mode.

    Parameters
    ----------
    namespace : mapping of str to object
        The names that the setup has made.
    is_local : callable
        Whether the module of a name is local, see `jupyter_pdflow.kernels.inside.watch.Watch`.
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
