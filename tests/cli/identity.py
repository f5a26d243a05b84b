"""An identity provider that knows names: each person has a token, as on JupyterHub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User

ARGUMENTS = ["--ServerApp.identity_provider_class=tests.cli.identity.TokenOfPerson"]
"""The arguments that make a server use it."""

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2])}
"""The environment in which a server finds it."""

PREFIX = "token-of-"
GROUPS = {"carol": ("chiefs",)}


def token_of(name: str) -> str:
    """Return the token of a person."""
    return f"{PREFIX}{name}"


@dataclass
class Member(User):
    """A user with groups."""

    groups: Sequence[str] = field(default_factory=tuple)


class TokenOfPerson(IdentityProvider):
    """Signs in the person that the token names, or an anonymous user by Jupyter's token."""

    async def get_user_token(self, handler: Any) -> User | None:
        """Return who has sent the token."""
        token = self.get_token(handler) or ""
        if not token.startswith(PREFIX):
            return await super().get_user_token(handler)  # type: ignore[arg-type]
        handler._token_authenticated = True
        name = token.removeprefix(PREFIX)
        return Member(username=name, groups=GROUPS.get(name, ()))
