"""``pd.send``: the emails of a step, which are delivered once its outcome is stored."""

from __future__ import annotations

from unicodedata import category

from jupyter_pdflow.pd.attrs import PdPart, Scope
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.rules.addresses import UNSAFE_CATEGORIES, check_address
from jupyter_pdflow.rules.run import EmailRequest

SUBJECT_LIMIT = 1_000
"""Maximum number of characters of a subject; RFC 5322 limits a line to 998."""

BODY_LIMIT = 1_000_000
"""Maximum size of text and HTML together, in bytes. Mail servers cut or refuse larger ones."""

RECIPIENTS_LIMIT = 100
"""Maximum number of recipients: what every mail server accepts at once (RFC 5321)."""

EMAILS_LIMIT = 1_000
"""Maximum number of emails of one execution of a step."""

TOTAL_LIMIT = 10_000_000
"""Maximum size of these emails together, in bytes. They are stored with the run."""


class Send(PdPart):
    """The method that sends emails.

    Attributes
    ----------
    emails : list of EmailRequest
        The emails that were asked for so far.
    """

    _name = "pd.send"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.emails: list[EmailRequest] = []
        self._size = 0

    def email(
        self,
        subject: str,
        text: str = "",
        html: str | None = None,
        to: str | list[str] | None = None,
    ) -> None:
        """Send an email as soon as this step's outcome is stored, so that its links work.

        Parameters
        ----------
        subject : str
            One line, at most `SUBJECT_LIMIT` characters.
        text, html : str
            The body as plain text and, optionally, as HTML; together at most `BODY_LIMIT` bytes.
        to : str or list of str, optional
            At most `RECIPIENTS_LIMIT` addresses, such as ``ada@example.org`` or
            ``Ada Lovelace <ada@example.org>``; by default those in ``PDFlow.mail_to``.

        Raises
        ------
        TypeError
            An argument is not of the type above.
        ValueError
            `to` has an invalid address, `subject` is not one line, or a limit is exceeded. The
            message names the argument.
        ExportError
            A text contains half a surrogate pair.
        StepOverError
            The step is over.
        """
        self._scope.check("pd.send.email")
        email = EmailRequest(
            subject=_subject(subject),
            text=_text("text", text),
            html=None if html is None else _text("html", html),
            to=_addresses(to),
        )
        self._count(email)
        self.emails.append(email)

    def _count(self, email: EmailRequest) -> None:
        """Add an email to the size of all emails; raise `ValueError` if a limit is exceeded."""
        body = len(email.text.encode()) + len((email.html or "").encode())
        _check_limit("text and html", body, BODY_LIMIT, "bytes")
        size = self._size + body + len(email.subject.encode()) + len("".join(email.to).encode())
        _check_limit("the emails of this step", size, TOTAL_LIMIT, "bytes")
        _check_limit("this step", len(self.emails) + 1, EMAILS_LIMIT, "emails")
        self._size = size


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {type(value).__name__}"
        raise TypeError(msg)
    return str(to_json(value, name))


def _subject(value: object) -> str:
    text = _text("subject", value)
    _check_limit("subject", len(text), SUBJECT_LIMIT, "characters")
    if any(category(character) in UNSAFE_CATEGORIES and character != "\t" for character in text):
        msg = f"subject must be one line without control characters, not {text!r}"
        raise ValueError(msg)
    return text


def _addresses(value: object) -> list[str]:
    given = [] if value is None else value if isinstance(value, list | tuple) else [value]
    _check_limit("to", len(given), RECIPIENTS_LIMIT, "recipients")
    return [_address(address) for address in given]


def _address(value: object) -> str:
    address = _text("to", value)
    try:
        check_address(address)
    except ValueError as error:
        several = " For several recipients, pass a list." if address.count("@") > 1 else ""
        msg = f"to: {error}{several}"
        raise ValueError(msg) from None
    return address


def _check_limit(name: str, found: int, limit: int, unit: str) -> None:
    if found > limit:
        msg = f"{name} may have {limit:,} {unit} at most, not {found:,}"
        raise ValueError(msg)
