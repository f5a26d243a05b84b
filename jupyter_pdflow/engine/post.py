"""Delivering one mail by SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib

from jupyter_pdflow.exceptions import PDFlowError

TIMEOUT = 30.0
"""Seconds that one delivery may take."""

PERMANENT = 500
"""SMTP reply codes from here on won't change by trying again (RFC 5321, 4.2.1)."""


class UndeliverableError(PDFlowError):
    """A mail was not delivered.

    Attributes
    ----------
    for_good : bool
        Whether it is no use to try again.
    """

    reason = "undeliverable"

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class Post(NamedTuple):
    """An SMTP server and how to log in."""

    host: str
    port: int | None
    username: str | None
    password: str | None
    tls: bool

    @classmethod
    def at(cls, url: str) -> Post:
        """Read ``smtp://user:password@host:port`` or ``smtps://…``.

        Raises
        ------
        ValueError
            It is not such a URL; the message does not repeat it, as it holds a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            msg = "smtp_url must look like smtp://user:password@host:port or smtps://…"
            raise ValueError(msg)
        return cls(
            host=parts.hostname,
            port=parts.port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "smtps",
        )

    async def send(self, message: EmailMessage) -> None:
        """Deliver a mail; STARTTLS is used where the server offers it.

        Raises
        ------
        UndeliverableError
        """
        if not message["To"]:
            msg = "It has no recipient: pass to=… to pd.send.email, or set PDFlow.mail_to."
            raise UndeliverableError(msg, for_good=True)
        try:
            await aiosmtplib.send(
                message,
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.tls,
                timeout=TIMEOUT,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise UndeliverableError(str(error), for_good=_is_permanent(error)) from error


def _is_permanent(error: Exception) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= PERMANENT for refused in error.recipients)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return False
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return error.code >= PERMANENT
    return isinstance(error, ValueError)
