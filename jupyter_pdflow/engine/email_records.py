"""How an email is stored, and what it has to be beyond its types."""

from __future__ import annotations

from jupyter_pdflow.engine.email_messages import Email, run_of
from jupyter_pdflow.store.records import RecordType
from jupyter_pdflow.store.validation import flaw_of_values


def flaw_of_email(email: Email) -> str | None:
    """Say what is wrong with a stored email; None if nothing is.

    Whether it can be sent is another matter: one that can't be becomes `failed`, and says why.
    """
    flaw = flaw_of_values(email)
    if flaw is None and run_of(email.id) != email.run_id:
        flaw = "its id is not one of its run's emails"
    return flaw


EMAIL = RecordType(Email, "mail", flaw_of_email)
