"""Who a signed-in user is, as approvals name people."""

from __future__ import annotations

import re
from typing import Any

from jupyter_server.auth.identity import IdentityProvider

from jupyter_pdflow.rules.people import UNKNOWN, Person

_GENERATED = re.compile("[0-9a-f]{32}")
"""The user names that Jupyter server makes up for logins by token or password."""


def person_of(user: Any, provider: IdentityProvider) -> Person:
    """Return who a user is.

    Parameters
    ----------
    user : jupyter_server.auth.identity.User or None
        The user of a request.
    provider : IdentityProvider
        What has signed the user in.

    Returns
    -------
    Person
        Without a name, if the provider does not know names: a display name can be chosen freely.
    """
    name = getattr(user, "username", None)
    if not isinstance(name, str) or not name.strip() or _is_generated(user, provider):
        return UNKNOWN
    return Person(name=name.strip(), verified=True, groups=_groups(user))


def _is_generated(user: Any, provider: IdentityProvider) -> bool:
    # The providers of Jupyter server itself sign in by a token or a password that people share. One
    # derived from them may know names, and still make up users for such logins.
    is_own = type(provider).__module__.startswith("jupyter_server.")
    is_anonymous = str(getattr(user, "name", "")).startswith("Anonymous ")
    return (is_own or is_anonymous) and _GENERATED.fullmatch(user.username) is not None


def _groups(user: Any) -> tuple[str, ...]:
    """Return the groups of a user, if the identity provider tells them."""
    # JupyterHub's provider keeps what the Hub says about the user.
    from_hub = getattr(user, "hub_user", None)
    of_hub = from_hub.get("groups") if isinstance(from_hub, dict) else None
    groups = getattr(user, "groups", None) or of_hub or ()
    if not isinstance(groups, list | tuple | set | frozenset):
        return ()
    return tuple(sorted(group for group in groups if isinstance(group, str)))
