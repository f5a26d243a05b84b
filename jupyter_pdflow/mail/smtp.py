"""Write emails as messages, and deliver them by SMTP."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib
from msgspec.structs import replace

from jupyter_pdflow.exceptions import UndeliverableError
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.stores import Email

ERROR_LIMIT = 1_000
"""Maximum number of characters of a stored error."""


def envelope_of(email: Email, sender: str) -> Envelope:
    """Write an email as SMTP sends it.

    The Message-ID depends on the email's id only: receivers recognise an email that is sent twice.

    Raises
    ------
    UndeliverableError
        An address is invalid, or the email can't be written for another reason.
    """
    try:
        return _compose(email, check_address(sender), list(map(check_address, email.to)))
    except Exception as error:
        msg = f"It can't be written as an email: {error}"
        raise UndeliverableError(msg, permanent=True) from error


def _compose(email: Email, sender: Address, to: list[Address]) -> Envelope:
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{email.id}@jupyter-pdflow>"
    message["From"] = sender
    if to:
        message["To"] = to
    message["Subject"] = email.subject
    message.set_content(email.text)
    if email.html is not None:
        message.add_alternative(email.html, subtype="html")
    utf8 = not all(address.addr_spec.isascii() for address in (sender, *to))
    policy = SMTPUTF8 if utf8 else SMTP
    addresses = dict.fromkeys(address.addr_spec for address in to)
    return Envelope(
        content=message.as_bytes(policy=policy.clone(cte_type="7bit")),
        sender=sender.addr_spec,
        recipients=[address for address in addresses if address not in email.answers],
        utf8=utf8,
    )


def undelivered(email: Email, error: UndeliverableError, *, late: bool) -> Email:
    """Return the email after an attempt that failed for all recipients.

    Parameters
    ----------
    email : Email
        The email before the attempt.
    error : UndeliverableError
        Why it failed.
    late : bool
        Whether the email is too old for another attempt.
    """
    is_final = error.permanent or late
    return replace(email, status="failed" if is_final else "queued", error=_bounded(str(error)))


def delivered(
    email: Email, envelope: Envelope, refused: dict[str, Refusal], *, late: bool
) -> Email:
    """Return the email after an attempt that reached all recipients but the refused ones.

    Recipients that were refused for a time are tried again, unless the email is too `late`.
    """
    to_retry = {
        address: str(refusal)
        for address, refusal in refused.items()
        if not (refusal.permanent or late)
    }
    answers = {
        address: _bounded(str(refused[address])) if address in refused else None
        for address in envelope.recipients
        if address not in to_retry
    }
    answers = {**email.answers, **answers}
    failures = {address: why for address, why in answers.items() if why is not None} | to_retry
    return replace(
        email,
        answers=answers,
        status="queued" if to_retry else "failed" if failures else "sent",
        error=_refusals(failures, some_delivered=None in answers.values()),
    )


def _refusals(failures: dict[str, str], *, some_delivered: bool) -> str | None:
    if not failures:
        return None
    refused = "; ".join(f"{address} ({why})" for address, why in failures.items())
    others = " The other recipients have it." if some_delivered else ""
    return (
        _bounded(f"The mail server refused it for {refused}.", ERROR_LIMIT - len(others)) + others
    )


def _bounded(text: str, limit: int = ERROR_LIMIT) -> str:
    """Return a text without lone surrogates, which JSON can't hold, cut to `limit` characters."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


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
