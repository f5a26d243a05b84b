"""A real SMTP server that refuses emails on demand."""

from __future__ import annotations

import socket
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Inbox:
    """The emails that an SMTP server received.

    Each of `replies` refuses one email, and each of `refusals` one recipient, before the server
    accepts any.
    """

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.replies: list[str] = []
        self.refusals: dict[str, list[str]] = {}
        self.login: tuple[bytes, bytes] | None = None

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.refusals.get(address):
            return self.refusals[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.replies:
            return self.replies.pop(0)
        self.emails.append(message_from_bytes(envelope.content, policy=SMTP))
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, how: str, data: Any) -> Any:
        self.login = (data.login, data.password)
        return AuthResult(success=True)


def smtp_server(inbox: Inbox, **options: Any) -> Controller:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return Controller(inbox, hostname="127.0.0.1", port=port, **options)
