"""Emails as messages to send, and what an attempt to send one changes."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from msgspec.structs import replace

from jupyter_pdflow.exceptions import UndeliverableError
from jupyter_pdflow.mail.smtp import Envelope, Refusal
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.stores.base import Email

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
