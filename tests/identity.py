"""An identity provider that knows names: a cookie says who is signed in, and in which groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User

COOKIE = "signed-in"

ARGUMENTS = ["--ServerApp.identity_provider_class=tests.identity.CookieIdentity"]
"""The arguments that make a server use it."""

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[1])}
"""The environment in which a server finds it."""


def cookie(name: str, *groups: str) -> dict[str, str]:
    """Return the cookie of a person who is signed in."""
    return {COOKIE: "|".join([name, *groups])}


@dataclass
class Member(User):
    """A user with groups."""

    groups: Sequence[str] = field(default_factory=tuple)


class CookieIdentity(IdentityProvider):
    """Takes the name and the groups from a cookie, or signs a program in by Jupyter's token."""

    async def get_user(self, handler: Any) -> User | None:
        """Return who is signed in."""
        signed_in = handler.get_cookie(COOKIE)
        if signed_in:
            name, *groups = signed_in.split("|")
            return Member(username=name, groups=groups)
        if self.get_token(handler) == self.token:
            handler._token_authenticated = True
            return User(username="operator")
        return None
