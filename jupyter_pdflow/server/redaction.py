"""Keeps the secrets of links out of logs, and out of answers to those who may not use them."""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec

from jupyter_pdflow.formatting import without_secrets
from jupyter_pdflow.server.requests import HIDDEN

_TOKEN = re.compile(r"(?:WyI|\.eJ)[\w-]{16,}\.[\w-]{43}(?![\w-])")
"""What `Links.token` makes: a JSON list or its compressed form, a dot, a SHA-256 signature."""

_SLASH = r"(?:\\*/|%(?:25)*2F)"
_IN_ANSWER = re.compile(
    rf"(pdflow{_SLASH}+(?:resume|cancel|hook){_SLASH}+)"
    r"(?:[\w.-]|%(?:25)*2[DE]|%(?:25)*5F)*(?:[\w-]|%(?:25)*2D|%(?:25)*5F)",
    re.IGNORECASE | re.ASCII,
)

HIDDEN_TOKEN = "[hidden]"  # noqa: S105  what stands in a token's place

_MAY_BE_OF_LINK = bytes(byte for byte in range(128) if re.match(r"[\w.%/\\-]", chr(byte)))
_LONGEST_KEPT = 2**20
"""Bytes that a stream holds back because they may be the beginning of a link."""

_FORMATTER = logging.Formatter()


def redact(text: str) -> str:
    """Hide the secret of each link in a text."""
    return _TOKEN.sub(HIDDEN, without_secrets(text, HIDDEN))


def hide_links(chunk: str | bytes | dict[str, Any]) -> str | bytes:
    r"""Hide the token of each link in a part of an answer; JSON stays JSON.

    Slashes may be written as JSON or an address has them within a text: ``\/``, ``%2F``.
    """
    if isinstance(chunk, str | bytes):
        text = chunk.decode(errors="surrogateescape") if isinstance(chunk, bytes) else chunk
        clean = _TOKEN.sub(HIDDEN_TOKEN, _IN_ANSWER.sub(rf"\1{HIDDEN_TOKEN}", text))
        return clean.encode(errors="surrogateescape") if isinstance(chunk, bytes) else clean
    return hide_links(msgspec.json.encode(chunk))


class LinkHider:
    """Hides the tokens of links in a stream, also of one that stands in two parts of it.

    What is packed, such as the content of a zip file, is not seen.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a part of the stream; return what can be sent by now."""
        text = self._rest + chunk
        end = len(text.rstrip(_MAY_BE_OF_LINK))
        if len(text) - end > _LONGEST_KEPT:
            end = len(text)
        self._rest = text[end:]
        return _hidden(text[:end])

    def end(self) -> bytes:
        """Return what is left."""
        rest, self._rest = self._rest, b""
        return _hidden(rest)


def _hidden(content: bytes) -> bytes:
    clean = hide_links(content)
    return clean if isinstance(clean, bytes) else clean.encode()


def without_urls(data: Any) -> Any:
    """Replace the links of each run in an answer by null."""
    if isinstance(data, list):
        return [without_urls(item) for item in data]
    pause = data.get("pause") if isinstance(data, dict) else None
    if isinstance(pause, dict):
        return {**data, "pause": {**pause, "resume_url": None, "cancel_url": None}}
    return data


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
