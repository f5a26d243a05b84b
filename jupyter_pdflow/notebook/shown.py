"""What a step cell shows in test mode: exports, mails, errors; as text and as HTML."""

from __future__ import annotations

import json
import traceback
from html import escape
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.rules.run import Mail

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

VALUE_LIMIT = 500
"""Characters shown of an export's JSON."""
_CELL = "text-align:left;vertical-align:top;padding:0 1em 0 0"
_CODE = "white-space:pre-wrap;overflow-wrap:anywhere"


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


def publish_exports(step: str, exports: dict[str, Any]) -> None:
    """Display a step's exports as a small table; nothing where there are none."""
    if not exports:
        return
    rows = [(name, _short(value)) for name, value in exports.items()]
    text = "\n".join([f"Exports of step {step}:", *(f"  {name} = {value}" for name, value in rows)])
    lines = (
        f'<tr><th style="{_CELL}">{escape(name)}</th>'
        f'<td style="{_CELL}"><code style="{_CODE}">{escape(value)}</code></td></tr>'
        for name, value in rows
    )
    caption = f'<caption style="text-align:left">Exports of step {escape(step)}</caption>'
    publish(text, f"<table>{caption}{''.join(lines)}</table>")


def publish_mail(mail: Mail) -> None:
    """Display a mail that production would send; its HTML can't run anything."""
    to = ", ".join(mail.to) or "(the configured owner)"
    parts = [("To", to), ("Subject", mail.subject)]
    text = [
        "Mail (not sent in test):",
        *(f"  {name}: {value}" for name, value in parts),
        "",
        mail.text,
    ]
    if mail.html is not None:
        text += ["", "HTML part:", mail.html]
    head = "".join(f"<div><b>{name}:</b> {escape(value)}</div>" for name, value in parts)
    html = (
        '<div style="border:1px solid #8888;border-radius:4px;padding:0.5em 1em;max-width:50em">'
        f"<div><i>Mail (not sent in test)</i></div>{head}"
        f'<pre style="{_CODE}">{escape(mail.text)}</pre>{_framed(mail.html)}</div>'
    )
    publish("\n".join(text).rstrip(), html)


def _framed(html: str | None) -> str:
    if html is None:
        return ""
    return (
        f'<iframe sandbox="" srcdoc="{escape(html)}" title="HTML part of the mail" '
        'style="width:100%;height:16em;border:1px solid #8888;background:white"></iframe>'
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text):,} characters)"


def traceback_lines(shell: InteractiveShell, error: BaseException) -> list[str]:
    """Format an exception as IPython does, with the frames that it has and no others."""
    kind, frames = type(error), error.__traceback__
    if hasattr(error, "_render_traceback_"):
        return list(error._render_traceback_())
    if isinstance(error, SyntaxError):
        return list(shell.SyntaxTB.structured_traceback(kind, error, None))
    if isinstance(error, BaseExceptionGroup):
        return "".join(traceback.format_exception(error)).splitlines()
    return list(shell.InteractiveTB.structured_traceback(kind, error, frames, tb_offset=0))


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
    shell._showtraceback(type(error), error, lines)
    if shell.call_pdb:
        shell.debugger(force=True)  # type: ignore[no-untyped-call]
