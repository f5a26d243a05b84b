"""The emails of runs as records, and as messages to send."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from jupyter_pdflow.exceptions import UndeliverableError
from jupyter_pdflow.mail.smtp import Parcel, Refusal
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.stores.tinydb.records import RecordType
from jupyter_pdflow.stores.tinydb.validation import flaw_of_values

ERROR_LIMIT = 1_000
"""Maximum number of characters of what is kept of an error."""


class Email(Struct, frozen=True, kw_only=True):
    """An email and what became of it.

    ``status`` is ``queued`` until it is ``sent`` to all recipients or has ``failed`` for one of
    them at least; ``kept`` where no SMTP server is configured. ``error`` says why the latest
    attempt failed. ``answers`` are the recipients that need no other attempt: None where they
    have it, else why it was refused.
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
    answers: dict[str, str | None] = {}


def flaw_of_email(email: Email) -> str | None:
    """Say what is wrong with a stored email; None if nothing is.

    Whether it can be sent is another matter: one that can't be becomes `failed`, and says why.
    """
    flaw = flaw_of_values(email)
    if flaw is None and run_of(email.id) != email.run_id:
        flaw = "its id is not one of its run's emails"
    return flaw


EMAIL = RecordType(Email, "mail", flaw_of_email)


def run_of(email_id: str) -> str:
    """Tell the id of the run that a letter belongs to by the letter's own."""
    return email_id.rsplit("-", 3)[0]


def parcel_of(email: Email, sender: str) -> Parcel:
    """Write an email as it goes over the wire; the same one always gets the same Message-ID.

    Raises
    ------
    UndeliverableError
        An address can't be mailed, or it can't be written for another reason.
    """
    try:
        return _composed(email, check_address(sender), list(map(check_address, email.to)))
    except Exception as error:
        msg = f"It can't be written as an email: {error}"
        raise UndeliverableError(msg, permanent=True) from error


def _composed(email: Email, sender: Address, to: list[Address]) -> Parcel:
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
    return Parcel(
        content=message.as_bytes(policy=policy.clone(cte_type="7bit")),
        sender=sender.addr_spec,
        recipients=[address for address in addresses if address not in email.answers],
        utf8=utf8,
    )


def undelivered(email: Email, error: UndeliverableError, *, late: bool) -> Email:
    """Note that an attempt failed for all recipients; it is the last one when it is `late`."""
    over = error.permanent or late
    return replace(email, status="failed" if over else "queued", error=_bounded(str(error)))


def delivered(email: Email, parcel: Parcel, refused: dict[str, Refusal], *, late: bool) -> Email:
    """Note whom an attempt has reached; those who may take it later are tried again."""
    missing = {
        address: str(refusal)
        for address, refusal in refused.items()
        if not (refusal.permanent or late)
    }
    answers = {
        address: _bounded(str(refused[address])) if address in refused else None
        for address in parcel.recipients
        if address not in missing
    }
    answers = {**email.answers, **answers}
    failures = {address: why for address, why in answers.items() if why is not None} | missing
    return replace(
        email,
        answers=answers,
        status="queued" if missing else "failed" if failures else "sent",
        error=_refusals(failures, some_have_it=None in answers.values()),
    )


def _refusals(failures: dict[str, str], *, some_have_it: bool) -> str | None:
    if not failures:
        return None
    refused = "; ".join(f"{address} ({why})" for address, why in failures.items())
    others = " The other recipients have it." if some_have_it else ""
    return (
        _bounded(f"The mail server refused it for {refused}.", ERROR_LIMIT - len(others)) + others
    )


def _bounded(text: str, limit: int = ERROR_LIMIT) -> str:
    """Make a server's words storable: no half surrogate pairs, and not too long."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
