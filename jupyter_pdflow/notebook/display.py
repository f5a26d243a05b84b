"""How a cell shows things: text with an HTML twin, and the author's exceptions."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.pd.call import clean, error_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class StopRunAll(PDFlowError):  # noqa: N818  it is no error of anyone's
    """Ends a cell as failed, so that the cells queued behind it don't run, and shows nothing."""

    def _render_traceback_(self) -> list[str]:
        return []


def publish(text: str, html: str) -> None:
    """Display text, and its HTML twin where HTML can be shown."""
    from IPython.display import display

    display({"text/plain": text, "text/html": html}, raw=True)  # type: ignore[no-untyped-call]


def publish_words(text: str) -> None:
    """Display a sentence."""
    publish(text, f"<p>{escape(text)}</p>")


def traceback_lines(shell: InteractiveShell, error: BaseException) -> list[str]:
    """Format an exception as IPython does, with the frames that it has and no others."""
    try:
        return [clean(line) for line in _lines(shell, error)]
    except Exception:  # noqa: BLE001  parts of an exception are the author's code too
        return error_of(error).traceback


def _lines(shell: Any, error: BaseException) -> Any:
    kind, frames = type(error), error.__traceback__
    has_line = isinstance(error, PDFlowError) and frames is not None
    if hasattr(error, "_render_traceback_") and not has_line:
        return list(error._render_traceback_())
    if isinstance(error, SyntaxError):
        return shell.SyntaxTB.structured_traceback(kind, error, [])
    if isinstance(error, BaseExceptionGroup):
        return error_of(error).traceback
    if frames is None:
        return shell.InteractiveTB.get_exception_only(kind, error)
    return shell.InteractiveTB.structured_traceback(kind, error, frames, tb_offset=0)


def raise_from_cell(shell: InteractiveShell, error: BaseException) -> None:
    """Raise an exception out of a cell, shown with its own frames, or not at all if quiet.

    IPython would show the frames of this package above the author's. It has a handler for
    exceptions of choice; that is borrowed for this one and given back at once.
    """
    borrowed = shell.custom_exceptions, shell.CustomTB
    frames = error.__traceback__

    def give_back(*_: object) -> None:
        shell.custom_exceptions, shell.CustomTB = borrowed
        if give_back in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", give_back)

    def show(*_: Any, **__: Any) -> None:
        give_back()
        _show(shell, error.with_traceback(frames))

    shell.set_custom_exc((type(error),), show)  # type: ignore[no-untyped-call]
    shell.events.register("post_run_cell", give_back)
    raise error


def _show(shell: InteractiveShell, error: BaseException) -> None:
    if isinstance(error, shell.custom_exceptions):
        shell.CustomTB(type(error), error, error.__traceback__)
        return
    lines = traceback_lines(shell, error)
    if not lines:
        vars(shell)["_last_traceback"] = []
        return
    shell._get_exc_info((type(error), error, error.__traceback__))  # type: ignore[no-untyped-call]
    shell._showtraceback(type(error), error_of(error).evalue, lines)
    if shell.call_pdb:
        shell.debugger(force=True)  # type: ignore[no-untyped-call]
