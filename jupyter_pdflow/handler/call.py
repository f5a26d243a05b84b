"""Calling a handler: whatever the author's code does, an `Outcome` comes back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from msgspec.json import encode
from msgspec.structs import replace

from jupyter_pdflow.exceptions import ExportError, StepError
from jupyter_pdflow.handler.exports import to_json
from jupyter_pdflow.handler.forks import ending_forks
from jupyter_pdflow.handler.loops import outside_loop
from jupyter_pdflow.handler.pd import RETURN_VALUE, Pd
from jupyter_pdflow.handler.tracebacks import error_of, trim
from jupyter_pdflow.rules.run import Outcome, PauseCall
from jupyter_pdflow.rules.transitions import EXPORTS_LIMIT, too_large_words

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
