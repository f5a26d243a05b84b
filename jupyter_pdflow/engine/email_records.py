"""How an email is stored, and what it has to be beyond its types."""

from __future__ import annotations

from jupyter_pdflow.engine.letters import StoredLetter, run_of
from jupyter_pdflow.store.records import RecordType
from jupyter_pdflow.store.validation import flaw_of_values


def flaw_of_email(letter: StoredLetter) -> str | None:
    """Say what is wrong with a stored email; None if nothing is.

    Whether it can be sent is another matter: one that can't be becomes `failed`, and says why.
    """
    flaw = flaw_of_values(letter)
    if flaw is None and run_of(letter.id) != letter.run_id:
        flaw = "its id is not one of its run's emails"
    return flaw


EMAIL = RecordType(StoredLetter, "mail", flaw_of_email)
