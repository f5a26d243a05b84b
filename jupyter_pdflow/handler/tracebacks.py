"""Tracebacks cut down to the author's frames, and errors in plain text."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

from jupyter_pdflow.rules.run import Error

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
