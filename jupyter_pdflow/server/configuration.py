"""Reads and checks the values of traits: folders, addresses, the SMTP server, bounds."""

from __future__ import annotations

from email.utils import getaddresses
from importlib.util import find_spec
from pathlib import Path

from traitlets import TraitType

from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.addresses import check_address
from jupyter_pdflow.rules.people import is_group
from jupyter_pdflow.server.public_url import is_address
from jupyter_pdflow.settings import Settings

DATABASE_SCHEMES = ("postgresql://", "postgres://")
DATABASE_PACKAGES = ("psycopg", "psycopg_pool", "pgqueuer", "asyncpg")
DATABASE_EXTRA = 'pip install "jupyter_pdflow[postgres]"'
DATABASE_URL = "postgresql://user:password@host:port/database (special characters as %40)"

MAX_KEEP_DAYS = 36_500.0
"""Maximum of ``PDFlow.keep_days``, a hundred years: dates can't be computed without a limit."""


def check_settings(settings: Settings) -> Settings:
    """Return the settings unchanged.

    Raises
    ------
    ConfigurationError
        A trait can't be used.
    """
    if settings.public_url and not is_address(settings.public_url):
        expected = "an http:// or https:// address such as https://example.org/user/me/"
        raise ConfigurationError(trait="public_url", has_to_be=expected)
    if settings.keep_days is not None and not 0 <= settings.keep_days <= MAX_KEEP_DAYS:
        expected = f"a number of days up to {MAX_KEEP_DAYS:,.0f}"
        raise ConfigurationError(trait="keep_days", has_to_be=expected)
    if settings.max_kernels < 1 and not settings.database_url:
        expected = "at least 1, as without database_url no other process executes steps"
        raise ConfigurationError(trait="max_kernels", has_to_be=expected)
    _check_database(settings)
    smtp_transport(settings.smtp_url)
    _check_email_addresses("mail_from", [settings.mail_from])
    _check_email_addresses("mail_to", settings.mail_to)
    _check_people(settings)
    return settings


def _check_people(settings: Settings) -> None:
    """Check that no person has two names that would count as two people."""
    names = [name.strip().lower() for name in settings.people]
    addresses = [address.strip().lower() for address in settings.people.values()]
    has_others = any(
        address in names and name != address for name, address in zip(names, addresses, strict=True)
    )
    if has_others or len(set(names)) < len(names) or not all(map(_is_bare, addresses)):
        expected = (
            'the email address of each user name, such as {"ada": "ada@example.org"}, without a '
            "display name; no address may have another one"
        )
        raise ConfigurationError(trait="people", has_to_be=expected)
    members = [member for each in settings.groups.values() for member in each]
    if any(is_group(member) or ("@" in member and not _is_bare(member)) for member in members):
        expected = (
            "the user names or email addresses of each group's members, without display names and "
            "other groups"
        )
        raise ConfigurationError(trait="groups", has_to_be=expected)


def _is_bare(address: str) -> bool:
    try:
        return check_address(address).addr_spec.lower() == address.strip().lower()
    except ValueError:
        return False


def _check_database(settings: Settings) -> None:
    if settings.database_url and missing_packages():
        expected = f"empty until what it needs is installed: {DATABASE_EXTRA}"
        raise ConfigurationError(trait="database_url", has_to_be=expected)
    if settings.database_url and not is_database_url(settings.database_url):
        # Not with the value: it may hold a password.
        raise ConfigurationError(trait="database_url", has_to_be=f"like {DATABASE_URL}")
    if not all(name.strip() and name.isprintable() for name in settings.queues):
        raise ConfigurationError(trait="queues", has_to_be="a list of names")


def missing_packages() -> list[str]:
    """Return the packages that a database needs and that are not installed."""
    return [name for name in DATABASE_PACKAGES if find_spec(name) is None]


def is_database_url(text: str) -> bool:
    """Whether a text is the URL of a PostgreSQL database; `missing_packages` has to be empty.

    An error of a driver about one that is malformed would repeat parts of it.
    """
    # Imported here, as only the extra installs it.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        ports = str(conninfo_to_dict(text).get("port") or "")
    except (ProgrammingError, ValueError):
        return False
    are_numbers = all(port.isdecimal() for port in ports.split(",") if port)
    return text.startswith(DATABASE_SCHEMES) and are_numbers


def folder_path(text: str, trait: str) -> Path:
    """Return the absolute path of the folder that a trait such as ``PDFlow.data_dir`` names.

    Raises
    ------
    ConfigurationError
        The text is not a path.
    """
    try:
        path = Path(text).expanduser().absolute()
    except (RuntimeError, ValueError):  # the home of an unknown user
        path = None
    if path is None or not text.strip() or "\0" in text:
        raise ConfigurationError(trait=trait, has_to_be="a folder's path")
    return path


def smtp_transport(smtp_url: str) -> SMTPTransport | None:
    """Return the transport to the SMTP server of ``PDFlow.smtp_url``, or None if it is empty.

    Raises
    ------
    ConfigurationError
        The text is not the URL of an SMTP server.
    """
    try:
        return SMTPTransport.at(smtp_url) if smtp_url else None
    except ValueError:
        expected = "like smtp://user:password@host:port or smtps://… (special characters as %40)"
        # `from None`: the cause may repeat the password.
        raise ConfigurationError(trait="smtp_url", has_to_be=expected) from None


def split_addresses(mail_to: str | list[str]) -> list[str]:
    """Return the single addresses of ``PDFlow.mail_to``."""
    texts = [mail_to] if isinstance(mail_to, str) else mail_to
    return [address for text in texts for address in _split(text) if address]


def wrong_type_error(trait: TraitType[object, object]) -> ConfigurationError:
    """Return the error for a trait whose value has a wrong type or is out of bounds."""
    minimum = getattr(trait, "min", None)
    at_least = "" if minimum is None else f" of at least {minimum:g}"
    return ConfigurationError(trait=str(trait.name), has_to_be=f"{trait.info()}{at_least}")


def _split(text: str) -> list[str]:
    """Return the addresses of a text with commas; a text that can't be split stays whole."""
    # Some versions of Python refuse the whole text for a comma at its end.
    text = text.strip(", ")
    if "," not in text:
        return [text]
    pairs = getaddresses([text])
    if not all("@" in address for _, address in pairs):
        return [text]
    return [f'"{name}" <{address}>' if name else address for name, address in pairs]


def _check_email_addresses(trait: str, addresses: list[str]) -> None:
    if not all(map(_is_email_address, addresses)):
        several = ", or several of them" if trait == "mail_to" else ""
        raise ConfigurationError(
            trait=trait, has_to_be=f"an email address such as me@example.org{several}"
        )


def _is_email_address(address: str) -> bool:
    """Whether a text is an email address, with or without a display name."""
    try:
        check_address(address)
    except ValueError:
        return False
    return True
