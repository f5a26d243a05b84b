"""``pd.send``: messages that leave once the step's outcome is stored."""

from __future__ import annotations

from unicodedata import category

from jupyter_pdflow.pd.attrs import Named, Scope
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.rules.addresses import UNSAFE, check_address
from jupyter_pdflow.rules.run import Mail

SUBJECT_LIMIT = 1_000
"""Maximum number of characters of a subject, about what one line of an email holds (RFC 5322)."""

BODY_LIMIT = 1_000_000
"""Maximum size of text and HTML together in bytes: a text to be read, and mail servers cut or
refuse larger ones. Data belongs into a file or an export."""

RECIPIENTS_LIMIT = 100
"""Maximum number of recipients, which is what every mail server takes at once (RFC 5321)."""

EMAILS_LIMIT = 1_000
TOTAL_LIMIT = 10_000_000
"""Maximum number of the emails of one execution of a step, and their size in bytes: they are
stored with the run."""


class Send(Named):
    """What a handler calls to send something.

    Attributes
    ----------
    mails : list of Mail
        The mails asked for so far.
    """

    _name = "pd.send"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.mails: list[Mail] = []
        self._size = 0

    def email(
        self,
        subject: str,
        text: str = "",
        html: str | None = None,
        to: str | list[str] | None = None,
    ) -> None:
        """Send a mail, once this step's outcome is stored.

        Parameters
        ----------
        subject : str
            One line, at most `SUBJECT_LIMIT` characters.
        text, html : str
            The body, as plain text and, if given, as HTML; at most `BODY_LIMIT` bytes in all.
        to : str or list of str, optional
            At most `RECIPIENTS_LIMIT` addresses, such as ``ada@example.org`` or
            ``Ada Lovelace <ada@example.org>``; the configured owner's if left out.

        Raises
        ------
        TypeError
            An argument is not of the type above.
        ValueError
            An address can't be mailed, `subject` is not one line, or a limit is exceeded; the
            message names the argument.
        StepOverError
            The step is over.
        """
        self._scope.check("pd.send.email")
        mail = Mail(
            subject=_subject(subject),
            text=_text("text", text),
            html=None if html is None else _text("html", html),
            to=_addresses(to),
        )
        self._count(mail)
        self.mails.append(mail)

    def _count(self, mail: Mail) -> None:
        body = len(mail.text.encode()) + len((mail.html or "").encode())
        _limit("text and html", body, BODY_LIMIT, "bytes")
        size = self._size + body + len(mail.subject.encode()) + len("".join(mail.to).encode())
        _limit("the emails of this step", size, TOTAL_LIMIT, "bytes")
        _limit("this step", len(self.mails) + 1, EMAILS_LIMIT, "emails")
        self._size = size


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {type(value).__name__}"
        raise TypeError(msg)
    return str(to_json(value, name))


def _subject(value: object) -> str:
    text = _text("subject", value)
    _limit("subject", len(text), SUBJECT_LIMIT, "characters")
    if any(category(character) in UNSAFE and character != "\t" for character in text):
        msg = f"subject must be one line without control characters, not {text!r}"
        raise ValueError(msg)
    return text


def _addresses(value: object) -> list[str]:
    given = [] if value is None else value if isinstance(value, list | tuple) else [value]
    _limit("to", len(given), RECIPIENTS_LIMIT, "recipients")
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


def _limit(name: str, found: int, limit: int, unit: str) -> None:
    if found > limit:
        msg = f"{name} may have {limit:,} {unit} at most, not {found:,}"
        raise ValueError(msg)
