"""``pd.send``: messages that leave once the step's outcome is stored."""

from __future__ import annotations

from jupyter_pdflow.handler.exports import to_json
from jupyter_pdflow.handler.scope import Scope
from jupyter_pdflow.rules.run import Mail


class Send:
    """What a handler calls to send something.

    Attributes
    ----------
    mails : list of Mail
        The mails asked for so far.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.mails: list[Mail] = []

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
            One line.
        text, html : str
            The body, as plain text and, if given, as HTML.
        to : str or list of str, optional
            The addresses; the configured owner's if left out.

        Raises
        ------
        TypeError
            An argument is not of the type above.
        ValueError
            `subject` or an address is not one line, or an address has no ``@``.
        StepOverError
            The step is over.
        """
        self._scope.check("pd.send.email")
        mail = Mail(
            subject=_line("subject", subject),
            text=_text("text", text),
            html=None if html is None else _text("html", html),
            to=_addresses(to),
        )
        self.mails.append(mail)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {type(value).__name__}"
        raise TypeError(msg)
    return str(to_json(value, name))


def _line(name: str, value: object) -> str:
    text = _text(name, value)
    if len(text.splitlines()) > 1 or text != text.strip("\r\n"):
        msg = f"{name} must be one line, not {text!r}"
        raise ValueError(msg)
    return text


def _addresses(value: object) -> list[str]:
    given = [] if value is None else value if isinstance(value, list | tuple) else [value]
    return [_address(address) for address in given]


def _address(value: object) -> str:
    address = _line("to", value)
    if "@" not in address:
        msg = f"to must hold mail addresses, and {address!r} has no @"
        raise ValueError(msg)
    return address
