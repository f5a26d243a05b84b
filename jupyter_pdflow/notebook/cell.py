"""Run the body of a step cell in a kernel and get the handler that it defines."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, cast

from jupyter_pdflow.exceptions import StepError
from jupyter_pdflow.notebook.parsing import leave_out_main, parse
from jupyter_pdflow.pd.call import ending_forks, interrupted, invoke
from jupyter_pdflow.pd.loops import is_switching, outside_loop

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

HANDLER = "handler"


async def load_handler(
    shell: InteractiveShell, body: str, name: str, *, filename: str | None = None
) -> Callable[[Any], Any]:
    """Run a step's body in the shell's namespace and get its handler.

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
        What the body raised; `jupyter_pdflow.pd.call.cut` cuts its traceback.
    """
    return await run_step(shell, compile_step(shell, body, name, filename=filename), name)


def compile_step(
    shell: InteractiveShell, body: str, name: str, *, filename: str | None = None
) -> CodeType:
    """Compile a step's body, for `run_step`; parameters as those of `load_handler`."""
    # A comment stands in for the ``%%step`` line, so that line numbers are those of the cell.
    filename = filename or f"<step {name}>"
    tree = _read(shell, body, filename, first_line=f"# %%step {name}\n")
    return _compile(shell, leave_out_main(tree), filename)


async def run_step(shell: InteractiveShell, code: CodeType, name: str) -> Callable[[Any], Any]:
    """Run a step's compiled body; gives and raises what `load_handler` does."""
    shell.user_ns.pop(HANDLER, None)
    await run_code(shell, code)
    handler = shell.user_ns.get(HANDLER)
    if not callable(handler):
        msg = f"Step {name!r} defines no handler: write `def handler(pd):` in its cell."
        raise StepError(msg)
    return handler  # type: ignore[no-any-return]


async def run_source(shell: InteractiveShell, source: str, filename: str) -> None:
    """Run IPython source in the shell's namespace; nothing of it is kept in the history.

    Raises
    ------
    BaseException
        What the source raised.
    """
    await run_code(shell, _compile(shell, _read(shell, source, filename), filename))


async def run_code(shell: InteractiveShell, code: CodeType) -> None:
    """Run compiled source in the shell's namespace, as a script's where it does not await.

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
    linecache.cache[filename] = (len(python), None, python.splitlines(keepends=True), filename)
    return parse(python, filename)


def _compile(shell: InteractiveShell, tree: ast.Module, filename: str) -> CodeType:
    final: Any = shell.transform_ast(tree)  # type: ignore[no-untyped-call]
    with shell.compile.extra_flags(ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
        return shell.compile(final, filename, "exec")


_INTERRUPTIBLE = frozenset({invoke.__code__, run_code.__code__})
"""Code that expects an interrupt at any place."""


@contextmanager
def interrupts() -> Iterator[None]:
    """Let an interrupt end the author's code, whether it computes or awaits.

    While it awaits a cell, ipykernel only asks the loop to cancel it: code that does not await
    never sees that, and a loop that waits for events may not either.
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
