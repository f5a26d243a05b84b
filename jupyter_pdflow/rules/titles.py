"""The title of a run: one short line that tells it from other runs of the same workflow."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import Outcome, Run

TITLE_LIMIT = 100
"""Maximum number of characters of a title."""

_MARKUP = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}|!?\[|\]\([^)]*\)")
"""The marks of Markdown within a line: emphasis, code, links and images."""

SHORT = 40
"""Maximum number of characters of a text in an event that is short enough for a title."""

VALUES = 3
"""Maximum number of an event's values in a title."""


def title_of_event(event: Any) -> str | None:
    """Return the title of a run that has sent no email yet: the first short values of its event.

    Parameters
    ----------
    event : JSON value
        Of an object or a list, the texts and numbers directly in it count.

    Returns
    -------
    str or None
        None if the event has no such values.
    """
    if isinstance(event, str):
        return one_line(event)
    values = event.values() if isinstance(event, dict) else event
    return one_line(", ".join(_short_values(values if isinstance(event, dict | list) else [event])))


def with_title(run: Run, outcome: Outcome) -> Run:
    """Return a run with its title after an outcome.

    That is the text of ``pd.title``, once it was called; else the first line of the pause's
    message, else the subject of the newest email. Without these, the run keeps its title.
    """
    given = None if outcome.title is None else one_line(outcome.title)
    if given is not None:
        return replace(run, title=given, titled=True)
    if run.titled:
        return run
    ask = outcome.flow.ask if isinstance(outcome.flow, PauseCall) else None
    subjects = [line for email in outcome.emails if (line := one_line(email.subject)) is not None]
    title = first_line(ask.message if ask else None) or (subjects[-1] if subjects else run.title)
    return run if title == run.title else replace(run, title=title)


def first_line(markdown: str | None) -> str | None:
    """Return the first line of a message as plain text, or None if it has none."""
    for line in (markdown or "").splitlines():
        text = one_line(_MARKUP.sub("", line).strip(" #>*-"))
        if text is not None:
            return text
    return None


def _short_values(values: Iterable[Any]) -> list[str]:
    # True and False say nothing without their names.
    texts = [
        _printable(str(value))
        for value in values
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    return [text for text in texts if text and len(text) <= SHORT][:VALUES]


def one_line(text: str) -> str | None:
    """Return a text as one line of at most `TITLE_LIMIT` characters, or None if it is blank."""
    line = _printable(text[: TITLE_LIMIT * 10])
    if len(line) > TITLE_LIMIT:
        line = f"{line[: TITLE_LIMIT - 1].rstrip()}…"
    return line or None


def _printable(text: str) -> str:
    """Return a text without control characters, and with one space for each run of whitespace."""
    return "".join(filter(str.isprintable, " ".join(text.split()))).strip()
