"""Sends one email by SMTP."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib

from jupyter_pdflow.exceptions import UndeliverableError

TIMEOUT = 30.0
"""Maximum number of seconds of each step of a delivery."""

PERMANENT = 500
"""From this SMTP reply code on, another attempt would fail too (RFC 5321, 4.2.1)."""


class Envelope(NamedTuple):
    """An email as SMTP sends it.

    Attributes
    ----------
    content : bytes
        Headers and body.
    sender : str
        The address for ``MAIL FROM``.
    recipients : list of str
        The addresses for ``RCPT TO``: those that do not have the email yet.
    utf8 : bool
        Whether an address is not ASCII, so that the mail server needs SMTPUTF8 (RFC 6531).
    """

    content: bytes
    sender: str
    recipients: list[str]
    utf8: bool


class Refusal(NamedTuple):
    """Why a mail server refused an email for one recipient."""

    code: int
    text: str

    @property
    def permanent(self) -> bool:
        """Whether another attempt would be refused too."""
        return self.code >= PERMANENT

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class SMTPTransport(NamedTuple):
    """An SMTP server, and the login."""

    host: str
    port: int | None
    username: str | None
    password: str | None
    tls: bool

    @classmethod
    def at(cls, url: str) -> SMTPTransport:
        """Return the server of a URL, ``smtp://user:password@host:port`` or ``smtps://…``.

        Raises
        ------
        ValueError
            The URL is invalid. The message does not repeat it, as it may hold a password.
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

    async def send(self, envelope: Envelope) -> dict[str, Refusal]:
        """Send an email, by STARTTLS if the server offers it.

        Returns
        -------
        dict
            The recipients that the server refused. All others have the email.

        Raises
        ------
        UndeliverableError
            No recipient has the email, for a reason that concerns all of them.
        """
        if not envelope.recipients:
            msg = "It has no recipient: pass to=… to pd.send.email, or set PDFlow.mail_to."
            raise UndeliverableError(msg, permanent=True)
        try:
            return await self._hand_over(envelope)
        except Exception as error:
            permanent = _is_permanent(error, utf8=envelope.utf8)
            raise UndeliverableError(_message(error), permanent=permanent) from error

    async def _hand_over(self, envelope: Envelope) -> dict[str, Refusal]:
        try:
            refused, _ = await aiosmtplib.send(
                envelope.content,
                sender=envelope.sender,
                recipients=envelope.recipients,
                mail_options=["SMTPUTF8"] if envelope.utf8 else [],
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.tls,
                timeout=TIMEOUT,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            # aiosmtplib raises if all recipients were refused, and returns if only some were.
            answers = [(one.recipient, one.code, one.message) for one in error.recipients]
        else:
            answers = [(address, *answer) for address, answer in refused.items()]
        return {address: Refusal(code, text) for address, code, text in answers}


def _message(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__


def _is_permanent(error: Exception, *, utf8: bool) -> bool:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return False  # whatever its code: the owner can correct the password
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return error.code >= PERMANENT
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return utf8  # SMTPUTF8 is missing; else STARTTLS or AUTH, which the owner can correct
    return isinstance(error, ValueError)  # aiosmtplib's own checks of addresses and arguments
