"""Read and check what the owner has configured, before anything works with it."""

from __future__ import annotations

from email.utils import getaddresses
from pathlib import Path

from traitlets import TraitType

from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.server.public_url import is_address
from jupyter_pdflow.settings import Settings

MOST_KEEP_DAYS = 36_500.0
"""A hundred years; longer than that, a date could not be reckoned with."""


def check(settings: Settings) -> Settings:
    """Return settings as they are.

    Raises
    ------
    ConfigurationError
        A trait can't be used.
    """
    if settings.public_url and not is_address(settings.public_url):
        words = "an http:// or https:// address such as https://example.org/user/me/"
        raise ConfigurationError(trait="public_url", has_to_be=words)
    if settings.keep_days is not None and not 0 <= settings.keep_days <= MOST_KEEP_DAYS:
        words = f"a number of days up to {MOST_KEEP_DAYS:,.0f}"
        raise ConfigurationError(trait="keep_days", has_to_be=words)
    transport_of(settings.smtp_url)
    _check_mail("mail_from", [settings.mail_from])
    _check_mail("mail_to", settings.mail_to)
    return settings


def folder(text: str, trait: str) -> Path:
    """Return the folder that a trait such as ``PDFlow.data_dir`` names.

    Raises
    ------
    ConfigurationError
        It names none.
    """
    try:
        path = Path(text).expanduser().absolute()
    except (RuntimeError, ValueError):  # the home of an unknown user
        path = None
    if path is None or not text.strip() or "\0" in text:
        raise ConfigurationError(trait=trait, has_to_be="a folder's path")
    return path


def transport_of(smtp_url: str) -> SMTPTransport | None:
    """Return the SMTP server that ``PDFlow.smtp_url`` names, or None if it is empty.

    Raises
    ------
    ConfigurationError
        It names none.
    """
    try:
        return SMTPTransport.at(smtp_url) if smtp_url else None
    except ValueError:
        words = "like smtp://user:password@host:port or smtps://… (special characters as %40)"
        raise ConfigurationError(trait="smtp_url", has_to_be=words) from None


def separate(mail_to: str | list[str]) -> list[str]:
    """Return the addresses that ``PDFlow.mail_to`` names, one by one."""
    given = [mail_to] if isinstance(mail_to, str) else mail_to
    return [address for text in given for address in _split(text) if address]


def wrong_kind(trait: TraitType[object, object]) -> ConfigurationError:
    """Make the error for a trait that has a value of another kind, or one out of its bounds."""
    lowest = getattr(trait, "min", None)
    at_least = "" if lowest is None else f" of at least {lowest:g}"
    return ConfigurationError(trait=str(trait.name), has_to_be=f"{trait.info()}{at_least}")


def _split(text: str) -> list[str]:
    """Return the addresses of a text with commas between them; a wrong text stays as it is."""
    if "," not in text:
        return [text.strip()]
    pairs = getaddresses([text])
    names_all = all("@" in address for _, address in pairs)
    return [_whole(name, address) for name, address in pairs] if names_all else [text]


def _whole(name: str, address: str) -> str:
    return f'"{name}" <{address}>' if name else address


def _check_mail(trait: str, addresses: list[str]) -> None:
    if not all(map(is_mailable, addresses)):
        several = ", or several of them" if trait == "mail_to" else ""
        raise ConfigurationError(
            trait=trait, has_to_be=f"an email address such as me@example.org{several}"
        )


def is_mailable(address: str) -> bool:
    """Whether a text is an email address, with or without a display name."""
    try:
        check_address(address)
    except ValueError:
        return False
    return True
