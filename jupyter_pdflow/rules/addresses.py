"""Reading email addresses: the only place that decides whether one can be mailed."""

from __future__ import annotations

from email.utils import unquote
from typing import TYPE_CHECKING
from unicodedata import category

if TYPE_CHECKING:
    from email.headerregistry import Address


ADDRESS_LIMIT = 500
"""Maximum number of characters of an address with its display name."""

SHOWN = 100
"""Maximum number of characters of an address that an error shows."""

UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of what is in no name: control characters, half pairs, line ends."""

OUTSIDE = ".example.org"
"""Makes a name that only a local network knows one that email-validator checks as any other."""


def check_address(text: str) -> Address:
    """Read ``ada@example.org`` or ``Ada Lovelace <ada@example.org>``.

    No DNS is asked. Names of a local network, such as ``localhost`` and ``*.local``, are
    accepted; an internationalized domain is returned in its ASCII form.

    Parameters
    ----------
    text : str
        One address, with or without a display name.

    Returns
    -------
    email.headerregistry.Address

    Raises
    ------
    ValueError
        It can't be mailed; the message names the address and says why.
    """
    try:
        return _read(text)
    except ValueError as error:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        msg = f"{shown!r} is not an email address that can be mailed: {error}"
        raise ValueError(msg) from None


def _read(text: str) -> Address:
    if len(text) > ADDRESS_LIMIT:
        msg = f"It has {len(text):,} characters; the limit is {ADDRESS_LIMIT:,}."
        raise ValueError(msg)
    from email.headerregistry import Address

    name, spec = _split(text.strip(" "))
    local_part, domain = _checked(spec)
    if local_part.startswith('"'):
        return Address(display_name=name, addr_spec=f"{local_part}@{domain}")
    return Address(display_name=name, username=local_part, domain=domain)


def _split(text: str) -> tuple[str, str]:
    """Take the display name and the address apart."""
    if not text.endswith(">"):
        return "", text
    name, bracket, spec = text.removesuffix(">").rpartition("<")
    name = unquote(name.strip())
    if not bracket or any(category(character) in UNSAFE for character in name):
        msg = "The name before the address contains invalid characters."
        raise ValueError(msg)
    return name, spec


def _checked(spec: str) -> tuple[str, str]:
    """Check an address; return its local part and its domain, the latter in ASCII."""
    from email_validator import SPECIAL_USE_DOMAIN_NAMES, validate_email

    local = spec.rpartition(".")[2].rpartition("@")[2].lower() in SPECIAL_USE_DOMAIN_NAMES
    found = validate_email(
        spec + OUTSIDE if local else spec,
        check_deliverability=False,
        globally_deliverable=False,
        allow_quoted_local=True,
    )
    domain = found.ascii_domain
    return found.local_part, domain.removesuffix(OUTSIDE) if local else domain
