"""Delivering one mail by SMTP."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib

from jupyter_pdflow.exceptions import UndeliverableError

TIMEOUT = 30.0
"""Seconds that one delivery may take."""

PERMANENT = 500
"""SMTP reply codes from here on won't change by trying again (RFC 5321, 4.2.1)."""


class Parcel(NamedTuple):
    """An email as it goes over the wire.

    Attributes
    ----------
    content : bytes
        Headers and body.
    sender : str
        The envelope's sender.
    recipients : list of str
        The addresses that have yet to get it.
    utf8 : bool
        Whether the mail server has to take addresses that are not ASCII (RFC 6531).
    """

    content: bytes
    sender: str
    recipients: list[str]
    utf8: bool


class Refusal(NamedTuple):
    """Why a mail server did not take an email for one recipient."""

    code: int
    text: str

    @property
    def permanent(self) -> bool:
        """Whether it is no use to try again."""
        return self.code >= PERMANENT

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class SMTPTransport(NamedTuple):
    """An SMTP server and how to log in."""

    host: str
    port: int | None
    username: str | None
    password: str | None
    tls: bool

    @classmethod
    def at(cls, url: str) -> SMTPTransport:
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

    async def send(self, parcel: Parcel) -> dict[str, Refusal]:
        """Deliver an email; STARTTLS is used where the server offers it.

        Returns
        -------
        dict
            Which recipients the server refused; all others have the email.

        Raises
        ------
        UndeliverableError
            No recipient has the email, for a reason that is not one recipient's.
        """
        if not parcel.recipients:
            msg = "It has no recipient: pass to=… to pd.send.email, or set PDFlow.mail_to."
            raise UndeliverableError(msg, permanent=True)
        try:
            return await self._hand_over(parcel)
        except Exception as error:
            permanent = _is_permanent(error, utf8=parcel.utf8)
            raise UndeliverableError(_words(error), permanent=permanent) from error

    async def _hand_over(self, parcel: Parcel) -> dict[str, Refusal]:
        try:
            refused, _ = await aiosmtplib.send(
                parcel.content,
                sender=parcel.sender,
                recipients=parcel.recipients,
                mail_options=["SMTPUTF8"] if parcel.utf8 else [],
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.tls,
                timeout=TIMEOUT,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            found = [(one.recipient, one.code, one.message) for one in error.recipients]
        else:
            found = [(address, *answer) for address, answer in refused.items()]
        return {address: Refusal(code, text) for address, code, text in found}


def _words(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__


def _is_permanent(error: Exception, *, utf8: bool) -> bool:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return False
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return error.code >= PERMANENT
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return utf8
    return isinstance(error, ValueError)
