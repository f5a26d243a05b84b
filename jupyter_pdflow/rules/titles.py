"""The title of a run: one short line that tells it from other runs of the same workflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jupyter_pdflow.rules.run import Outcome, Run

TITLE_LIMIT = 100
"""Maximum number of characters of a title."""

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
        return _line(event)
    values = event.values() if isinstance(event, dict) else event
    return _line(", ".join(_short_values(values if isinstance(event, dict | list) else [event])))


def title_after(run: Run, outcome: Outcome) -> str | None:
    """Return the title of a run after an outcome: the subject of its newest email, if it has one.

    Without a new subject, the run keeps its title.
    """
    subjects = [line for email in outcome.emails if (line := _line(email.subject)) is not None]
    return subjects[-1] if subjects else run.title


def _short_values(values: Iterable[Any]) -> list[str]:
    # True and False say nothing without their names.
    texts = [
        _printable(str(value))
        for value in values
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    return [text for text in texts if text and len(text) <= SHORT][:VALUES]


def _line(text: str) -> str | None:
    """Return a text as one line of at most `TITLE_LIMIT` characters, or None if it is blank."""
    line = _printable(text[: TITLE_LIMIT * 10])
    if len(line) > TITLE_LIMIT:
        line = f"{line[: TITLE_LIMIT - 1].rstrip()}…"
    return line or None


def _printable(text: str) -> str:
    """Return a text without control characters, and with one space for each run of whitespace."""
    return "".join(filter(str.isprintable, " ".join(text.split()))).strip()
