"""Parse and run the code of cells in a kernel, and show texts and exceptions in their outputs."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from html import escape
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, cast

from jupyter_pdflow.exceptions import PDFlowError, StepError
from jupyter_pdflow.ipykernel_compat import forget_last_traceback, publish_traceback
from jupyter_pdflow.pd.call import clean, ending_forks, error_of, interrupted, invoke
from jupyter_pdflow.pd.loops import is_switching, outside_loop

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


_OPEN_F_STRING = re.compile(
    r"""(?<![\w"'])r?fr?(?:'(?:[^'{]|\{[^}']*\})*\{[^}']*(')|"(?:[^"{]|\{[^}"]*\})*\{[^}"]*("))""",
    re.IGNORECASE,
)
"""Matches an f-string up to a quote of its own kind in its braces."""

_F_STRING_ERROR = "f-string expression part cannot include"
_NEEDS_PYTHON_3_12 = (
    "Python 3.12 or newer reads it; with this Python, use other quotes inside the f-string, or "
    "assign the expression to a variable first"
)

HANDLER = "handler"
"""The name of the function that a step defines."""


# --- parsing --------------------------------------------------------------------------


def parse(python: str, filename: str = "<cell>") -> ast.Module:
    """Parse Python source.

    Raises
    ------
    SyntaxError
        It is not Python. If only a newer Python accepts it, the message says so.
    """
    try:
        return ast.parse(python, filename)
    except SyntaxError as error:
        if sys.version_info < (3, 12) and _is_newer_f_string(error):
            error.msg = f"{error.msg} ({_NEEDS_PYTHON_3_12})"
        raise


def parse_cell(source: str) -> ast.Module:
    """Parse IPython source without showing warnings; the kernel that runs it shows them.

    Not thread-safe: the filters of warnings belong to the process.

    Raises
    ------
    Exception
        It can't be parsed. IPython does not document which errors it raises.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    python = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(python)


def remove_main_block(module: ast.Module) -> ast.Module:
    """Remove each top-level ``if __name__ == "__main__":`` block, except its ``else``.

    In pasted code, such a block tries the code out by hand with made-up data.
    """
    module.body = list(_without_main_blocks(module.body))
    return module


def _without_main_blocks(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        if isinstance(statement, ast.If):
            statement.orelse = list(_without_main_blocks(statement.orelse))
            if _is_main(statement.test):
                yield from statement.orelse
                continue
        yield statement


def _is_main(test: ast.expr) -> bool:
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return any(map(_is_main, values))
        case ast.Compare(
            ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]
        ) | ast.Compare(ast.Constant("__main__"), [ast.Eq()], [ast.Name("__name__")]):
            return True
    return False


def _is_newer_f_string(error: SyntaxError) -> bool:
    """Whether Python 3.12 is likely to accept it: there an f-string may contain its own quotes."""
    if _F_STRING_ERROR in error.msg:
        return True
    text = error.text or ""
    opened = _OPEN_F_STRING.search(text)
    rest = text[opened.end() :] if opened else ""
    return opened is not None and (opened[1] or opened[2]) in rest and "}" in rest


# --- running --------------------------------------------------------------------------


async def load_handler(
    shell: InteractiveShell, body: str, name: str, *, filename: str | None = None
) -> Callable[[Any], Any]:
    """Run a step's body in the shell's namespace and return its handler.

    Parameters
    ----------
    shell : InteractiveShell
        The kernel's shell.
    body : str
        The step cell without its ``%%step`` line; IPython syntax and top-level ``await`` work.
    name : str
        The step's name.
    filename : str, optional
        What tracebacks call the cell; ``<step NAME>`` by default.

    Raises
    ------
    StepError
        The body defines no callable ``handler``.
    BaseException
        What the body raised; `jupyter_pdflow.pd.call.trim` trims its traceback.
    """
    return await run_step(shell, compile_step(shell, body, name, filename=filename), name)


def compile_step(
    shell: InteractiveShell, body: str, name: str, *, filename: str | None = None
) -> CodeType:
    """Compile a step's body for `run_step`; the parameters are those of `load_handler`."""
    # A comment stands in for the ``%%step`` line, so that line numbers are those of the cell.
    filename = filename or f"<step {name}>"
    tree = _read(shell, body, filename, first_line=f"# %%step {name}\n")
    return _compile(shell, remove_main_block(tree), filename)


async def run_step(shell: InteractiveShell, code: CodeType, name: str) -> Callable[[Any], Any]:
    """Run a step's compiled body; return and raise what `load_handler` does."""
    shell.user_ns.pop(HANDLER, None)
    await run_code(shell, code)
    handler = shell.user_ns.get(HANDLER)
    if not callable(handler):
        msg = f"Step {name!r} defines no handler: write `def handler(pd):` in its cell."
        raise StepError(msg)
    return handler  # type: ignore[no-any-return]


@contextmanager
def output_of(shell: Any, request: Any) -> Iterator[None]:
    """Have a front end show what is displayed below the cell of an earlier request.

    Parameters
    ----------
    shell : ipykernel.zmqshell.ZMQInteractiveShell
        The kernel's shell.
    request : dict
        The request's message, as ``shell.get_parent()`` has returned it.
    """
    publisher = shell.display_pub
    header = publisher.parent_header
    publisher.set_parent(request)
    try:
        yield
    finally:
        publisher.set_parent(header)


async def run_source(shell: InteractiveShell, source: str, filename: str) -> None:
    """Run IPython source in the shell's namespace, without an entry in the history.

    Raises
    ------
    BaseException
        What the source raised.
    """
    await run_code(shell, _compile(shell, _read(shell, source, filename), filename))


async def run_code(shell: InteractiveShell, code: CodeType) -> None:
    """Run compiled source in the shell's namespace; without `await`, it runs as in a script.

    Raises
    ------
    BaseException
        What the source raised.
    """
    awaits = code.co_flags & inspect.CO_COROUTINE
    with ending_forks():
        with shell.builtin_trap, nullcontext() if awaits else outside_loop():
            result = eval(code, shell.user_global_ns, shell.user_ns)  # noqa: S307  the author's code
        if awaits:
            await result


def _read(
    shell: InteractiveShell, source: str, filename: str, *, first_line: str = ""
) -> ast.Module:
    """Parse IPython source, and keep its lines for tracebacks."""
    python = first_line + cast("str", shell.transform_cell(source))  # type: ignore[no-untyped-call]
    # Without a modification time, `linecache.checkcache` keeps the entry, though there is no file.
    linecache.cache[filename] = (len(python), None, python.splitlines(keepends=True), filename)
    return parse(python, filename)


def _compile(shell: InteractiveShell, tree: ast.Module, filename: str) -> CodeType:
    final: Any = shell.transform_ast(tree)  # type: ignore[no-untyped-call]
    with shell.compile.extra_flags(ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
        return shell.compile(final, filename, "exec")


# --- interrupts -----------------------------------------------------------------------

_INTERRUPTIBLE = frozenset({invoke.__code__, run_code.__code__})
"""Functions that call the author's code; an interrupt may be raised anywhere below them."""


@contextmanager
def interrupts() -> Iterator[None]:
    """Let an interrupt end the author's code, whether it computes or awaits.

    ipykernel's own handler, while it awaits a cell, only asks the loop to cancel it. Code that does
    not await is never canceled then, and a loop that waits for events may not be either.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted.discard(task)

    def cancel() -> None:
        interrupted.add(task)
        task.cancel()

    def interrupt(_number: int, frame: FrameType | None) -> None:
        # The frames tell which code the signal has met. Code of the author's gets the exception.
        # Our own code that hides or restores the event loop must not end halfway: it would leave
        # the kernel without a loop. So the task is canceled instead, once the loop runs again.
        while frame is not None and not is_switching(frame):
            if frame.f_code in _INTERRUPTIBLE:
                raise KeyboardInterrupt
            frame = frame.f_back
        loop.call_soon_threadsafe(cancel)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


# --- outputs --------------------------------------------------------------------------


def publish(text: str, html: str) -> None:
    """Display HTML, with a text fallback for front ends without HTML."""
    from IPython.display import display

    display({"text/plain": text, "text/html": html}, raw=True)  # type: ignore[no-untyped-call]


def publish_text(text: str) -> None:
    """Display a sentence, in which code is in backticks."""
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    publish(text, f"<p>{html}</p>")


def traceback_lines(shell: InteractiveShell, error: BaseException) -> list[str]:
    """Format an exception as IPython does, with exactly the frames that it has."""
    try:
        return [clean(line) for line in _lines(shell, error)]
    except Exception:  # noqa: BLE001  parts of an exception are the author's code too
        return error_of(error).traceback


def _lines(shell: Any, error: BaseException) -> Any:
    kind, frames = type(error), error.__traceback__
    # Errors of ours render themselves as one line, except those that the author's code has caused.
    has_frames = isinstance(error, PDFlowError) and frames is not None
    if hasattr(error, "_render_traceback_") and not has_frames:
        return list(error._render_traceback_())
    if isinstance(error, SyntaxError):
        return shell.SyntaxTB.structured_traceback(kind, error, [])
    if isinstance(error, BaseExceptionGroup):
        return error_of(error).traceback
    if frames is None:
        return shell.InteractiveTB.get_exception_only(kind, error)
    return shell.InteractiveTB.structured_traceback(kind, error, frames, tb_offset=0)


def raise_from_cell(shell: InteractiveShell, error: BaseException) -> None:
    """Raise an exception out of a cell, shown with the frames that it has now.

    An exception that renders itself as no lines is not shown at all. IPython would show the frames
    of this package above the author's. It calls a handler for exceptions of chosen types
    (``set_custom_exc``); that is replaced for this exception only, and restored at once.
    """
    previous = shell.custom_exceptions, shell.CustomTB
    frames = error.__traceback__

    def restore(*_: object) -> None:
        shell.custom_exceptions, shell.CustomTB = previous
        if restore in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", restore)

    def show(*_: Any, **__: Any) -> None:
        restore()
        _show(shell, error.with_traceback(frames))

    shell.set_custom_exc((type(error),), show)  # type: ignore[no-untyped-call]
    shell.events.register("post_run_cell", restore)
    raise error


def _show(shell: InteractiveShell, error: BaseException) -> None:
    if isinstance(error, shell.custom_exceptions):
        shell.CustomTB(type(error), error, error.__traceback__)
        return
    lines = traceback_lines(shell, error)
    if not lines:
        forget_last_traceback(shell)
        return
    # Where `pdb.pm` and ``%debug`` look for the exception to examine.
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    publish_traceback(shell, type(error), error_of(error).evalue, lines)
    if shell.call_pdb:
        shell.debugger(force=True)  # type: ignore[no-untyped-call]
