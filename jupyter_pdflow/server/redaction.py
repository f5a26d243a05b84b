"""Keeps the secrets of links out of logs, whoever writes them."""

from __future__ import annotations

import logging
import re

from jupyter_pdflow.rules.links import without_secrets
from jupyter_pdflow.server.requests import HIDDEN

_TOKEN = re.compile(r"(?:WyI|\.eJ)[\w-]{16,}\.[\w-]{43}(?![\w-])")
"""What `Links.token` makes: a JSON list or its compressed form, a dot, a SHA-256 signature."""

_FORMATTER = logging.Formatter()


def redact(text: str) -> str:
    """Hide the secret of each link in a text."""
    return _TOKEN.sub(HIDDEN, without_secrets(text, HIDDEN))


class Redaction(logging.Filter):
    """Hides the secrets of links in log records.

    The handlers of links hide their own; this one sees to what others log, such as the
    ``Referer`` of a request that failed, a path that was mistyped, or a traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record that has a link in it; all records pass."""
        text = record.getMessage()
        clean = redact(text)
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
