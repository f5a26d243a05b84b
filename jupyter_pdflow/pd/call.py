"""Call a handler: its outcome, its traceback, and the processes that it forks."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakSet

from msgspec.json import encode
from msgspec.structs import replace

from jupyter_pdflow.exceptions import ExportError, StepError
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.pd.loops import outside_loop
from jupyter_pdflow.pd.pd import RETURN_VALUE, Pd
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT, too_large_words
from jupyter_pdflow.rules.run import Error, Outcome, PauseCall

TEXT_LIMIT = 20_000
"""Characters kept of an error's text, and of its traceback."""

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_CALLS_AUTHOR = frozenset({"invoke", "run_code"})
"""Functions of this package that the author's code is called from."""


def trim(exception: BaseException) -> BaseException:
    """Leave only the author's frames in the traceback of an exception and of those it came from.

    Returns
    -------
    BaseException
        The same exception.
    """
    _trim(exception, set())
    return exception


def error_of(exception: BaseException) -> Error:
    """Describe an exception in plain text, with the frames that it has; this never raises."""
    ename = type(exception).__name__
    try:
        evalue = str(exception)
    except Exception:  # noqa: BLE001  the author's __str__ may raise anything
        evalue = "<its str() failed>"
    return Error(ename=ename, evalue=clean(evalue), traceback=_lines(exception))


def _lines(exception: BaseException) -> list[str]:
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception:  # noqa: BLE001  parts of an exception are the author's code too
        return []
    return clean(text).splitlines()


def clean(text: str) -> str:
    """Make a text storable: no half surrogate pairs, and not too long."""
    text = text.encode("utf-8", "backslashreplace").decode()
    half = TEXT_LIMIT // 2
    return text if len(text) <= TEXT_LIMIT else f"{text[:half]} … {text[-half:]}"


def _trim(exception: BaseException | None, seen: set[int]) -> None:
    if exception is None or id(exception) in seen:
        return
    seen.add(id(exception))
    exception.__traceback__ = _authors_frames(exception.__traceback__)
    _trim(exception.__cause__, seen)
    _trim(exception.__context__, seen)
    if isinstance(exception, BaseExceptionGroup):
        for part in exception.exceptions:
            _trim(part, seen)


def _authors_frames(chain: TracebackType | None) -> TracebackType | None:
    """Keep what the author's code called, and drop what this package called for itself."""
    kept, is_authors = [], True
    while chain is not None:
        code = chain.tb_frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            is_authors = code.co_name in _CALLS_AUTHOR
        elif is_authors:
            kept.append(chain)
        chain = chain.tb_next
    for link in reversed(kept):
        chain = TracebackType(chain, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return chain


_loops: list[asyncio.AbstractEventLoop] = []
"""The running loops that the author's code was called from."""


@contextmanager
def ending_forks() -> Iterator[None]:
    """End a child process, made by `os.fork` inside, that would leave this context.

    The child is a copy of the kernel: it would answer in the kernel's place, and read what is
    sent to it. As at the end of a script, its exit status says whether it raised.
    """
    pid, loop = os.getpid(), asyncio.get_running_loop()
    _loops.append(loop)
    error: BaseException | None = None
    try:
        yield
    except BaseException as exception:
        error = exception
        raise
    finally:
        if os.getpid() != pid:
            _end(error)
        _loops.remove(loop)


def _end(error: BaseException | None = None) -> None:
    """End this process at once: its threads, sockets and exit handlers are the kernel's."""
    status = _status(error)
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        code = error.code
        return code & 0xFF if isinstance(code, int) else int(code is not None)
    with suppress(Exception):
        traceback.print_exception(trim(error))
    return 1


def _in_child() -> None:
    """End a child that awaits: the loop that it would go back to is the kernel's."""
    for loop in _loops:
        loop.call_soon(_end)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


interrupted: WeakSet[asyncio.Task[Any]] = WeakSet()
"""Tasks that were canceled because the author's code in them was interrupted."""


async def call_handler(handler: Callable[[Pd], Any], pd: Pd) -> Outcome:
    """Call a handler, sync or async, and gather what came of it.

    Parameters
    ----------
    handler : callable
        The author's function of one argument.
    pd : Pd
        That argument; afterwards its ``exception`` is what the handler raised, if it did.

    Returns
    -------
    Outcome
        An exception of the author's, an interrupt or ``exit()`` is its ``error``.
    """
    try:
        await invoke(handler, pd)
    except BaseException as exception:  # noqa: BLE001  SystemExit and interrupts too
        return failed(pd, exception)
    return _outcome(pd)


def failed(pd: Pd, exception: BaseException) -> Outcome:
    """Make the outcome of a step that raised; exports and mails before that are kept."""
    exception = as_interrupt(exception)
    pd.exception = trim(exception)
    return replace(_outcome(pd), error=error_of(exception))


async def invoke(handler: Callable[[Pd], Any], pd: Pd) -> None:
    """Call a handler and keep what it returns; everything that the author raises gets out."""
    _check(handler, pd)
    with ending_forks():
        with outside_loop() as loop:
            result = handler(pd)
            if asyncio.isfuture(result) and result.get_loop() is not loop:
                result = result.get_loop().run_until_complete(result)
        if inspect.isawaitable(result):
            result = await result
    if result is not None:
        pd.exports[RETURN_VALUE] = to_json(result, RETURN_VALUE, pd.scope.warn)
    _check_size(pd)


def _check_size(pd: Pd) -> None:
    """Refuse what the rules would refuse, before it travels."""
    size = len(encode(pd.exports))
    if isinstance(pd.flow.call, PauseCall):
        size += len(encode(pd.flow.call.context))
    if size > EXPORTS_LIMIT:
        pd.exports.clear()
        pd.flow.call = None
        raise ExportError(too_large_words(size, "step"))


def _check(handler: object, pd: Pd) -> None:
    if not callable(handler):
        msg = f"handler must be a function, not {type(handler).__name__}: def handler(pd): …"
        raise StepError(msg)
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return
    try:
        signature.bind(pd)
    except TypeError as error:
        msg = f"handler must take one argument, as in def handler(pd): {error}"
        raise StepError(msg) from None


def _outcome(pd: Pd) -> Outcome:
    pd.scope.end()
    return Outcome(exports=pd.exports, flow=pd.flow.call, mails=pd.send.mails)


def as_interrupt(exception: BaseException) -> BaseException:
    """Return what ended the author's code: for the canceling of an interrupt, that interrupt.

    Any other `CancelledError` is the author's own, as in a script.
    """
    task = asyncio.current_task()
    canceled = isinstance(exception, asyncio.CancelledError)
    if task is None or not canceled or task not in interrupted:
        return exception
    interrupted.discard(task)
    task.uncancel()
    return KeyboardInterrupt().with_traceback(exception.__traceback__)
