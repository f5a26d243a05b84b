"""Call a handler: its outcome, its traceback, interrupts, and processes that it forks."""

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
from jupyter_pdflow.rules.execution import EXPORTS_LIMIT, size_message
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import Error, Outcome

TEXT_LIMIT = 20_000
"""Maximum number of characters of an error's message, and of its traceback."""

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_CALLS_AUTHOR = frozenset({"invoke", "run_code"})
"""Functions of this package that call the author's code: what they call are the author's frames."""

interrupted: WeakSet[asyncio.Task[Any]] = WeakSet()
"""Tasks that were canceled because the author's code in them was interrupted."""


async def call_handler(handler: Callable[[Pd], Any], pd: Pd) -> Outcome:
    """Call a handler, sync or async, and return its outcome.

    Parameters
    ----------
    handler : callable
        The author's function of one argument.
    pd : Pd
        That argument. Afterwards its ``exception`` is the exception of the handler or None.

    Returns
    -------
    Outcome
        Its ``error`` describes an exception of the handler; an interrupt and ``exit()`` are
        exceptions too.
    """
    try:
        await invoke(handler, pd)
    except BaseException as exception:  # noqa: BLE001  SystemExit and interrupts too
        return failed(pd, exception)
    return _outcome(pd)


def failed(pd: Pd, exception: BaseException) -> Outcome:
    """Return the outcome of a step that raised; it keeps the earlier exports and emails."""
    exception = as_interrupt(exception)
    pd.exception = trim(exception)
    return replace(_outcome(pd), error=error_of(exception))


async def invoke(handler: Callable[[Pd], Any], pd: Pd) -> None:
    """Call a handler and export its return value; let all that it raises pass."""
    _check_handler(handler, pd)
    with ending_forks():
        with outside_loop() as loop:
            result = handler(pd)
            # A task of the script's loop can't be awaited on the kernel's loop; run it to its end.
            if asyncio.isfuture(result) and result.get_loop() is not loop:
                result = result.get_loop().run_until_complete(result)
        if inspect.isawaitable(result):
            result = await result
    if result is not None:
        pd.exports[RETURN_VALUE] = to_json(result, RETURN_VALUE, pd.scope.warn)
    _check_size(pd)


def _check_size(pd: Pd) -> None:
    """Raise `ExportError` if the step alone exceeds the limit of a run's exports."""
    # The server checks the run's total. A step that exceeds it alone is not sent there at all.
    size = len(encode(pd.exports))
    if isinstance(pd.flow.call, PauseCall):
        size += len(encode(pd.flow.call.context))
    if size > EXPORTS_LIMIT:
        pd.exports.clear()
        pd.flow.call = None
        raise ExportError(size_message(size, "step"))


def _check_handler(handler: object, pd: Pd) -> None:
    """Raise `StepError` if the handler can't be called with one argument."""
    if not callable(handler):
        msg = f"handler must be a function, not {type(handler).__name__}: def handler(pd): …"
        raise StepError(msg)
    try:
        signature = inspect.signature(handler)
    except ValueError:  # a built-in function without a signature
        return
    try:
        signature.bind(pd)
    except TypeError as error:
        msg = f"handler must take one argument, as in def handler(pd): {error}"
        raise StepError(msg) from None


def _outcome(pd: Pd) -> Outcome:
    pd.scope.end()
    return Outcome(
        exports=pd.exports, flow=pd.flow.call, emails=pd.send.emails, title=pd.given_title
    )


def as_interrupt(exception: BaseException) -> BaseException:
    """Return `KeyboardInterrupt` for the `CancelledError` of an interrupt, else the exception itself.

    An interrupt cancels the task that the author's code runs in (see `interrupted`). Any other
    `CancelledError` comes from the author's code, and stays what it is.
    """
    task = asyncio.current_task()
    is_canceled = isinstance(exception, asyncio.CancelledError)
    if task is None or not is_canceled or task not in interrupted:
        return exception
    interrupted.discard(task)
    task.uncancel()  # the task continues, to send the reply
    return KeyboardInterrupt().with_traceback(exception.__traceback__)


# --- tracebacks -----------------------------------------------------------------------


def trim(exception: BaseException) -> BaseException:
    """Return the exception with only the author's frames in its traceback.

    The tracebacks of its causes, contexts and members of a group are trimmed as well.
    """
    _trim(exception, set())
    return exception


def error_of(exception: BaseException) -> Error:
    """Return the exception as a record of plain text; never raise."""
    ename = type(exception).__name__
    try:
        evalue = str(exception)
    except Exception:  # noqa: BLE001  the author's __str__ may raise anything
        evalue = "<its str() failed>"
    return Error(ename=ename, evalue=clean(evalue), traceback=_lines(exception))


def clean(text: str) -> str:
    """Return the text with surrogates escaped and, if it is longer than `TEXT_LIMIT`, shortened."""
    text = text.encode("utf-8", "backslashreplace").decode()
    half = TEXT_LIMIT // 2
    return text if len(text) <= TEXT_LIMIT else f"{text[:half]} … {text[-half:]}"


def _lines(exception: BaseException) -> list[str]:
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception:  # noqa: BLE001  parts of an exception are the author's code too
        return []
    return clean(text).splitlines()


def _trim(exception: BaseException | None, seen: set[int]) -> None:
    if exception is None or id(exception) in seen:  # exceptions can refer to each other
        return
    seen.add(id(exception))
    exception.__traceback__ = _authors_frames(exception.__traceback__)
    _trim(exception.__cause__, seen)
    _trim(exception.__context__, seen)
    if isinstance(exception, BaseExceptionGroup):
        for part in exception.exceptions:
            _trim(part, seen)


def _authors_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return the frames of the author's code and of what it called outside this package."""
    kept, is_authors = [], True
    while frames is not None:
        code = frames.tb_frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            is_authors = code.co_name in _CALLS_AUTHOR
        elif is_authors:
            kept.append(frames)
        frames = frames.tb_next
    for frame in reversed(kept):
        frames = TracebackType(frames, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return frames


# --- forked processes -----------------------------------------------------------------

_loops: list[asyncio.AbstractEventLoop] = []
"""The event loops that are calling the author's code now."""


@contextmanager
def ending_forks() -> Iterator[None]:
    """End each child process that is forked within this context and reaches its end.

    A forked child is a copy of the kernel: it would reply in the kernel's place, and read the
    messages that are meant for it. Its exit status is that of a script: 0, or 1 if it raised.
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
            _end_child(error)
        _loops.remove(loop)


def _end_child(error: BaseException | None = None) -> None:
    """End this forked process at once, without exit handlers: they belong to the kernel."""
    status = _exit_status(error)
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _exit_status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        code = error.code  # as `sys.exit` has it: None, a number, or a message that means 1
        return code & 0xFF if isinstance(code, int) else int(code is not None)
    with suppress(Exception):
        traceback.print_exception(trim(error))
    return 1


def _in_child() -> None:
    """End a forked child when it returns to the event loop, which is the kernel's."""
    for loop in _loops:
        loop.call_soon(_end_child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
