"""The tokens of links: keys, signatures, and keeping them out of logs."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from logging import getLogger
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import orjson
from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode
from msgspec import MsgspecError
from msgspec.json import decode

from jupyter_pdflow.exceptions import KeyFileError, NotFoundError
from jupyter_pdflow.formatting import without_secrets
from jupyter_pdflow.server.links.requests import HIDDEN
from jupyter_pdflow.stores.tinydb.records import quarantine
from jupyter_pdflow.stores.tinydb.storage import read_file, replace_file

_SECRET = re.compile(r"(?:WyI|\.eJ)[\w-]{16,}\.[\w-]{43}(?![\w-])")
"""What `Links.token` makes: a JSON list or its compressed form, a dot, a SHA-256 signature."""

_SLASH = r"(?:\\*/|%(?:25)*2F)"
_IN_ANSWER = re.compile(
    rf"(pdflow{_SLASH}+(?:resume|cancel|hook){_SLASH}+)"
    r"(?:[\w.-]|%(?:25)*2[DE]|%(?:25)*5F)*(?:[\w-]|%(?:25)*2D|%(?:25)*5F)",
    re.IGNORECASE | re.ASCII,
)

HIDDEN_TOKEN = "[hidden]"  # noqa: S105  what stands in a token's place

_MAY_BE_OF_LINK = bytes(byte for byte in range(128) if re.match(r"[\w.%/\\-]", chr(byte)))
_LONGEST_KEPT = 2**20
"""Bytes that a stream holds back because they may be the beginning of a link."""

_FORMATTER = logging.Formatter()


def redact(text: str) -> str:
    """Hide the secret of each link in a text."""
    return _SECRET.sub(HIDDEN, without_secrets(text, HIDDEN))


def hide_links(chunk: str | bytes | dict[str, Any]) -> str | bytes:
    r"""Hide the token of each link in a part of an answer; JSON stays JSON.

    Slashes may be written as JSON or an address has them within a text: ``\/``, ``%2F``.
    """
    if isinstance(chunk, str | bytes):
        text = chunk.decode(errors="surrogateescape") if isinstance(chunk, bytes) else chunk
        clean = _SECRET.sub(HIDDEN_TOKEN, _IN_ANSWER.sub(rf"\1{HIDDEN_TOKEN}", text))
        return clean.encode(errors="surrogateescape") if isinstance(chunk, bytes) else clean
    return hide_links(msgspec.json.encode(chunk))


class LinkHider:
    """Hides the tokens of links in a stream, also of one that stands in two parts of it.

    What is packed, such as the content of a zip file, is not seen.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a part of the stream; return what can be sent by now."""
        text = self._rest + chunk
        end = len(text.rstrip(_MAY_BE_OF_LINK))
        if len(text) - end > _LONGEST_KEPT:
            end = len(text)
        self._rest = text[end:]
        return _hidden(text[:end])

    def end(self) -> bytes:
        """Return what is left."""
        rest, self._rest = self._rest, b""
        return _hidden(rest)


def _hidden(content: bytes) -> bytes:
    clean = hide_links(content)
    return clean if isinstance(clean, bytes) else clean.encode()


def without_urls(data: Any) -> Any:
    """Replace the links of each run in an answer by null."""
    if isinstance(data, list):
        return [without_urls(item) for item in data]
    pause = data.get("pause") if isinstance(data, dict) else None
    if isinstance(pause, dict):
        return {**data, "pause": {**pause, "resume_url": None, "cancel_url": None}}
    return data


class Redaction(logging.Filter):
    """Hides the secrets of links in log records.

    The handlers of links hide their own; this one sees to what others log, such as the
    ``Referer`` of a request that failed, a path that was mistyped, or a traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record that has a link in it; all records pass."""
        text = record.getMessage()
        clean = redact(text)
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


IMPORTED_KEYS = "imported_keys.json"
"""The file of the keys that came with archives; it lies beside that of this server's own keys."""

ImportedKeys: TypeAlias = dict[str, set[str]]
"""The ids of the runs that came with a key, by key: it verifies their links and no others."""

KEY_BYTES = 32
SHORTEST = 32
"""Characters of a key; a shorter one was cut off, or made up."""

HELP = "put it right, or delete it to get a new key, which makes all older links invalid."


def read_keys(path: Path) -> list[str]:
    """Read the keys, the one that signs first; make the file if there is none.

    Parameters
    ----------
    path : Path
        A file with one key per line; afterwards only its owner can read it.

    Raises
    ------
    KeyFileError
        It holds no key, or something that is none; nothing was changed.
    """
    try:
        if not os.path.lexists(path):
            replace_file(path, f"{secrets.token_urlsafe(KEY_BYTES)}\n".encode("ascii"))
        elif os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise _unreadable(path, error) from error
    return stored_keys(path)


def stored_keys(path: Path) -> list[str]:
    """Read the keys as `read_keys` does, but make and change nothing; `KeyFileError`."""
    try:
        keys = read_file(str(path)).decode("ascii").split("\n")
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, error) from error
    return _checked([key.strip() for key in keys if key.strip()], path)


def read_imported_keys(path: Path) -> ImportedKeys:
    """Read the keys that came with archives; none where there is no such file.

    Raises
    ------
    KeyFileError
        The file can't be used.
    """
    if not os.path.lexists(path):
        return {}
    try:
        keys = decode(read_file(str(path)), type=ImportedKeys)
    except (OSError, MsgspecError, ValueError, RecursionError) as error:
        msg = f"The keys of imported runs in {path} can't be read ({error})."
        raise KeyFileError(msg) from error
    if not all(map(is_key, keys)):
        msg = f"A key in {path} is damaged."
        raise KeyFileError(msg)
    return keys


def write_imported_keys(path: Path, keys: ImportedKeys) -> None:
    """Write the keys that came with archives; durable when this returns."""
    content = {key: sorted(runs) for key, runs in keys.items()}
    replace_file(path, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def is_key(text: str) -> bool:
    """Whether a text can be a key: one word, not cut off."""
    return len(text) >= SHORTEST and text.isascii() and text.isprintable() and " " not in text


def _unreadable(path: Path, error: Exception) -> KeyFileError:
    return KeyFileError(f"The link keys in {path} can't be read ({error}); {HELP}")


def _checked(keys: list[str], path: Path) -> list[str]:
    if not keys:
        msg = f"{path} holds no key; {HELP}"
        raise KeyFileError(msg)
    for number, key in enumerate(keys, start=1):
        if not is_key(key):
            msg = f"Key {number} in {path} is damaged; {HELP}"
            raise KeyFileError(msg)
    return keys


Action: TypeAlias = Literal["resume", "cancel"]
ACTIONS: tuple[Action, ...] = ("resume", "cancel")
logger = getLogger(__name__)
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

    Raises
    ------
    KeyFileError
        The keys can't be used.
    """

    def __init__(self, key_path: Path, public_url: Callable[[], str]) -> None:
        own = read_keys(key_path)[::-1]  # itsdangerous signs with the last
        imported = _imported_keys(key_path.with_name(IMPORTED_KEYS))
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


def _imported_keys(path: Path) -> ImportedKeys:
    try:
        return read_imported_keys(path)
    except KeyFileError as error:
        words = f"{error} Links that imported runs came with don't work."
    with suppress(OSError):
        words += f" It is set aside as {quarantine(path)}."
    logger.error(words)
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
