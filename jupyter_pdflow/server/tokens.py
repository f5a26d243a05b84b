"""The secrets in links: signed names of a pause, good for one action."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from logging import Logger, getLogger
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.server.keys import (
    IMPORTED_KEYS,
    ImportedKeys,
    KeyFileError,
    read_imported_keys,
    read_keys,
)
from jupyter_pdflow.store.records import set_aside

Action: TypeAlias = Literal["resume", "cancel"]
ACTIONS: tuple[Action, ...] = ("resume", "cancel")
_LOG = getLogger(__name__)
TEST_TOKEN = "test"  # noqa: S105  the word that stands for a token in test mode, no secret

_TOKEN = re.compile(r"[A-Za-z0-9_.-]*")


Payload: TypeAlias = tuple[str, str, int]


class _Key(NamedTuple):
    """What reads tokens; those of some runs only, where it came with them in an archive."""

    serializer: URLSafeSerializer
    runs: set[str] | None

    def read(self, token: str) -> Payload | None:
        """Read a token; None where it is not one of this key."""
        try:
            payload = self.serializer.loads(token)
        except BadData:
            return None
        right = _is_payload(payload) and (self.runs is None or payload[0] in self.runs)
        return tuple(payload) if right else None


class Links:
    """Makes and reads the two links of a pause.

    Parameters
    ----------
    key_path : Path
        A file with one key per line: the first line signs, all lines verify. It is made, with
        one key, where there is none. Removing a line makes the links that it signed invalid.
        It is read once, so that a change takes a restart. Keys that came with imported runs lie
        beside it, in `IMPORTED_KEYS`; each verifies the links of these runs only.
    public_url : callable
        Tells this server's address as others reach it, its base URL included.
    log : Logger
        Told where the keys of imported runs can't be used; the file is set aside then.

    Raises
    ------
    KeyFileError
        The keys can't be used.
    """

    def __init__(self, key_path: Path, public_url: Callable[[], str], log: Logger = _LOG) -> None:
        own = read_keys(key_path)[::-1]  # itsdangerous signs with the last
        imported = _imported_keys(key_path.with_name(IMPORTED_KEYS), log)
        self._serializers = {action: _serializer(action, own) for action in ACTIONS}
        self._keys = {action: [_Key(self._serializers[action], None)] for action in ACTIONS}
        for action, (key, runs) in product(ACTIONS, imported.items()):
            self._keys[action].append(_Key(_serializer(action, [key]), runs))
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
            canonical = _canonical(token)
        except (BadData, ValueError) as error:
            raise unknown_link() from error
        found = (key.read(canonical) for key in self._keys[action])
        payload = next(filter(None, found), None)
        if payload is None:
            raise unknown_link()
        return payload


def token_in(text: str) -> str:
    """Return the token that a text starts with, without what stood behind it in a sentence."""
    found = _TOKEN.match(text)
    return found[0].rstrip(".") if found else ""


def unknown_link() -> NotFoundError:
    """Make the error for a link that leads nowhere, whatever the cause."""
    msg = "This link is not known here."
    return NotFoundError(msg)


def _imported_keys(path: Path, log: Logger) -> ImportedKeys:
    try:
        return read_imported_keys(path)
    except KeyFileError as error:
        words = f"{error} Links that imported runs came with don't work."
    with suppress(OSError):
        words += f" It is set aside as {set_aside(path)}."
    log.error(words)
    return {}


def _is_payload(payload: Any) -> bool:
    return isinstance(payload, list) and list(map(type, payload)) == [str, str, int]


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
