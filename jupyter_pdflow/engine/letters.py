"""A mail, what became of it, and how it looks on the wire."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal

from msgspec import Struct


class StoredLetter(Struct, frozen=True, kw_only=True):
    """A mail and what became of it.

    ``status`` is ``queued`` until it is ``sent`` or has ``failed``; ``kept`` where no SMTP
    server is configured. ``error`` says why the latest attempt failed.
    """

    id: str
    run_id: str
    step: str
    to: list[str]
    subject: str
    text: str
    html: str | None
    created_at: datetime
    status: Literal["queued", "sent", "failed", "kept"] = "queued"
    error: str | None = None
    attempts: int = 0


def run_of(letter_id: str) -> str:
    """Tell the id of the run that a letter belongs to by the letter's own."""
    return letter_id.rsplit("-", 3)[0]


def message_of(letter: StoredLetter, sender: str) -> EmailMessage:
    """Write a mail as it goes over the wire; the same letter always gets the same Message-ID."""
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{letter.id}@jupyter-pdflow>"
    message["From"] = sender
    if letter.to:
        message["To"] = ", ".join(letter.to)
    message["Subject"] = letter.subject
    message.set_content(letter.text)
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html")
    return message
