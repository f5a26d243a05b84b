"""What is shown of exports and mails: each as plain text and as HTML."""

from __future__ import annotations

import json
from html import escape
from typing import Any, TypeAlias

from jupyter_pdflow.pd.exports import tree_html
from jupyter_pdflow.rules.run import Mail

Fallback: TypeAlias = tuple[str, str]
"""Plain text, and HTML that says the same."""

VALUE_LIMIT = 500
"""Characters shown of an export's JSON."""
_WRAP = "white-space:pre-wrap;overflow-wrap:anywhere"
_LINE = "1px solid var(--jp-border-color1,#8888)"


def exports_fallback(step: str, exports: dict[str, Any]) -> Fallback:
    """Show a step's exports: a line each, and a tree that folds."""
    title = f"Exports of step {step}"
    text = [f"{title}:", *(f"  {name} = {_short(value)}" for name, value in exports.items())]
    return "\n".join(text), tree_html(exports, title)


def event_twins(event: Any) -> Fallback:
    """Show the event that steps are given in test mode."""
    title = "Event of test mode"
    return f"{title}: {_short(event)}", tree_html(event, title)


def mail_fallback(mail: Mail) -> Fallback:
    """Show a mail that production would send; its HTML can't run anything."""
    parts = [("To", ", ".join(mail.to) or "(the configured owner)"), ("Subject", mail.subject)]
    html_part = [] if mail.html is None else ["", "HTML part:", mail.html]
    lines = [f"  {name}: {value}" for name, value in parts]
    text = ["Mail (not sent in test):", *lines, "", mail.text, *html_part]
    head = "".join(f"<div><b>{name}:</b> {escape(value)}</div>" for name, value in parts)
    html = (
        f'<div style="border:{_LINE};border-radius:4px;padding:0.5em 1em;max-width:50em">'
        f"<div><i>Mail (not sent in test)</i></div>{head}"
        f'<pre style="{_WRAP}">{escape(mail.text)}</pre>{_framed(mail.html)}</div>'
    )
    return "\n".join(text).rstrip(), html


def _framed(html: str | None) -> str:
    if html is None:
        return ""
    return (
        f'<iframe sandbox="" srcdoc="{escape(html)}" title="HTML part of the mail" '
        f'style="width:100%;height:16em;border:{_LINE};background:white"></iframe>'
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text):,} characters)"
