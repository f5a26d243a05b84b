"""The secrets in links: signed names of a pause, good for one action."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.server.keys import read_keys

Action: TypeAlias = Literal["resume", "cancel"]
ACTIONS: tuple[Action, ...] = ("resume", "cancel")
TEST_TOKEN = "test"  # noqa: S105  the word that stands for a token in test mode, no secret


class Links:
    """Makes and reads the two links of a pause.

    Parameters
    ----------
    key_path : Path
        A file with one key per line: the first line signs, all lines verify. It is made, with
        one key, where there is none. Removing a line makes the links that it signed invalid.
        It is read once, so that a change takes a restart.
    public_url : callable
        Tells this server's address as others reach it, its base URL included.

    Raises
    ------
    KeyFileError
        The keys can't be used.
    """

    def __init__(self, key_path: Path, public_url: Callable[[], str]) -> None:
        keys = read_keys(key_path)[::-1]  # itsdangerous signs with the last
        self._serializers = {action: _serializer(action, keys) for action in ACTIONS}
        self._public_url = public_url

    def urls(self, run_id: str, step: str, execution: int) -> tuple[str, str]:
        """Make the resume and the cancel URL of one execution of a step."""
        base = self._public_url().rstrip("/")
        resume, cancel = (self.token(action, run_id, step, execution) for action in ACTIONS)
        return f"{base}/pdflow/resume/{resume}", f"{base}/pdflow/cancel/{cancel}"

    def token(self, action: Action, run_id: str, step: str, execution: int) -> str:
        """Sign the name of one execution of a step for an action."""
        return str(self._serializers[action].dumps([run_id, step, execution]))

    def read(self, action: Action, token: str) -> tuple[str, str, int]:
        """Read a token that `token` made for this action.

        Returns
        -------
        run_id, step, execution : tuple of (str, str, int)

        Raises
        ------
        NotFoundError
            It is not one; the message tells nothing.
        """
        try:
            payload = self._serializers[action].loads(_canonical(token))
            run_id, step, execution = payload
        except (BadData, UnicodeError, ValueError) as error:
            raise unknown_link() from error
        return run_id, step, execution


def unknown_link() -> NotFoundError:
    """Make the error for a link that leads nowhere, whatever the cause."""
    msg = "This link is not known here."
    return NotFoundError(msg)


def _serializer(action: Action, keys: list[str]) -> URLSafeSerializer:
    return URLSafeSerializer(
        keys,
        salt=f"jupyter_pdflow.{action}",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


def _canonical(token: str) -> str:
    """Refuse a signature that was spelled otherwise: base64 can write the same bytes twice."""
    signature = token.encode("ascii").rpartition(b".")[2]
    if base64_encode(base64_decode(signature)) != signature:
        msg = "not canonical"
        raise ValueError(msg)
    return token
