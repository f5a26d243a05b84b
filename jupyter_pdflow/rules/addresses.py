"""Parse email addresses; each address of this package is checked here before it is used."""

from __future__ import annotations

from email.utils import unquote
from typing import TYPE_CHECKING
from unicodedata import category

if TYPE_CHECKING:
    from email.headerregistry import Address


ADDRESS_LIMIT = 500
"""Maximum number of characters of an address with its display name."""

MESSAGE_ADDRESS_LIMIT = 100
"""Maximum number of characters of an address in an error message."""

UNSAFE_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that no header may contain: control characters, surrogates, line ends."""

GLOBAL_SUFFIX = ".example.org"
"""Is appended to a domain of a local network while email-validator checks it.

email-validator refuses special-use domains such as ``localhost`` whatever its options are.
"""


def check_address(text: str) -> Address:
    """Parse ``ada@example.org`` or ``Ada Lovelace <ada@example.org>``.

    No DNS query is made. Domains of a local network, such as ``localhost`` and ``*.local``, are
    accepted. An internationalized domain is returned in its ASCII form.

    Parameters
    ----------
    text : str
        One address with or without a display name, at most `ADDRESS_LIMIT` characters.

    Returns
    -------
    email.headerregistry.Address

    Raises
    ------
    ValueError
        The text is not such an address; the message names it and says why.
    """
    try:
        return _parse(text)
    except ValueError as error:
        shown = text if len(text) <= MESSAGE_ADDRESS_LIMIT else f"{text[:MESSAGE_ADDRESS_LIMIT]}…"
        msg = f"{shown!r} is not an email address that can be mailed: {error}"
        raise ValueError(msg) from None


def _parse(text: str) -> Address:
    if len(text) > ADDRESS_LIMIT:
        msg = f"It has {len(text):,} characters; the limit is {ADDRESS_LIMIT:,}."
        raise ValueError(msg)
    from email.headerregistry import Address

    name, spec = _split(text.strip(" "))
    local_part, domain = _validate(spec)
    if local_part.startswith('"'):
        # `username` would quote the local part a second time.
        return Address(display_name=name, addr_spec=f"{local_part}@{domain}")
    return Address(display_name=name, username=local_part, domain=domain)


def _split(text: str) -> tuple[str, str]:
    """Return the display name, which may be empty, and the address itself."""
    if not text.endswith(">"):
        return "", text
    name, bracket, spec = text.removesuffix(">").rpartition("<")
    name = unquote(name.strip())
    if not bracket or any(category(character) in UNSAFE_CATEGORIES for character in name):
        msg = "The name before the address contains invalid characters."
        raise ValueError(msg)
    return name, spec


def _validate(spec: str) -> tuple[str, str]:
    """Return the local part and the domain in ASCII, or raise `ValueError`."""
    from email_validator import SPECIAL_USE_DOMAIN_NAMES, validate_email

    top_level = spec.rpartition(".")[2].rpartition("@")[2].lower()
    is_local = top_level in SPECIAL_USE_DOMAIN_NAMES
    found = validate_email(
        spec + GLOBAL_SUFFIX if is_local else spec,
        check_deliverability=False,
        globally_deliverable=False,
        allow_quoted_local=True,
    )
    domain = found.ascii_domain
    return found.local_part, domain.removesuffix(GLOBAL_SUFFIX) if is_local else domain
