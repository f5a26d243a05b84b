"""The tokens of links: making and reading them, their keys, and hiding them in logs and answers."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypeVar

import msgspec
import orjson
from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode
from msgspec import Struct
from msgspec.structs import replace

from jupyter_pdflow.exceptions import KeyFileError, NotFoundError
from jupyter_pdflow.formatting import without_secrets
from jupyter_pdflow.models import RunItem
from jupyter_pdflow.server.links.requests import HIDDEN
from jupyter_pdflow.stores.files import quarantine, read_file, replace_file

logger = logging.getLogger(__name__)

# --- tokens ---

Action: TypeAlias = Literal["resume", "cancel"]
ACTIONS: tuple[Action, ...] = ("resume", "cancel")


class Payload(NamedTuple):
    """What a token names: a run's id, a step, the number of its execution, and a person if any."""

    run_id: str
    step: str
    execution: int
    person: str | None = None


TEST_TOKEN = "test"  # noqa: S105  not a secret
"""Replaces the token in the links of test mode."""

_TOKEN = re.compile(r"[A-Za-z0-9_.-]*")


class _Verifier(NamedTuple):
    """Verifies tokens. With `runs`, only tokens of these runs are valid."""

    serializer: URLSafeSerializer
    runs: set[str] | None

    def read(self, token: str) -> Payload | None:
        """Return what a token names, or None if it is not valid."""
        try:
            payload = self.serializer.loads(token)
        except BadData:
            return None
        valid = _is_payload(payload) and (self.runs is None or payload[0] in self.runs)
        return Payload(*payload) if valid else None


class Links:
    """Makes and reads the two links of a pause.

    Parameters
    ----------
    keys : sequence of str
        The first one signs, all verify.
    public_url : callable
        Returns this server's public address with its base URL.
    imported_keys : dict of str to set of str
        Keys that came with imported runs. Such a key verifies the links of its runs only, because
        everyone who has the archive knows it.
    """

    def __init__(
        self,
        keys: Sequence[str],
        public_url: Callable[[], str],
        imported_keys: ImportedKeys | None = None,
    ) -> None:
        own_keys = list(keys)[::-1]  # itsdangerous signs with the last one
        self._public_url = public_url
        self._serializers = {action: _serializer(action, own_keys) for action in ACTIONS}
        self._verifiers = {
            action: [_Verifier(self._serializers[action], None)] for action in ACTIONS
        }
        for action, (key, runs) in product(ACTIONS, (imported_keys or {}).items()):
            self._verifiers[action].append(_Verifier(_serializer(action, [key]), runs))

    @classmethod
    def from_files(cls, key_path: Path, public_url: Callable[[], str]) -> Self:
        """Return the links of a data directory.

        The keys are read once; a change of the files takes effect at the next start.

        Parameters
        ----------
        key_path : Path
            A file with one key per line. It is made with one key if it does not exist. Removing a
            line makes the links that its key signed invalid. Keys that came with imported runs are
            in `IMPORTED_KEYS` beside it.
        public_url : callable
            As for `Links`.

        Raises
        ------
        KeyFileError
            The keys can't be used.
        """
        keys = read_keys(key_path)
        return cls(keys, public_url, _usable_imported_keys(key_path.with_name(IMPORTED_KEYS)))

    def urls(self, run_id: str, step: str, execution: int) -> tuple[str, str]:
        """Return the resume URL and the cancel URL of one execution of a step."""
        return self._urls(Payload(run_id, step, execution))

    def personal_urls(self, run_id: str, step: str, execution: int, person: str) -> tuple[str, str]:
        """Return the two URLs by which the person of an address decides."""
        return self._urls(Payload(run_id, step, execution, person))

    def _urls(self, payload: Payload) -> tuple[str, str]:
        base = self._public_url().rstrip("/")
        resume, cancel = (self.token(action, *payload) for action in ACTIONS)
        return f"{base}/pdflow/resume/{resume}", f"{base}/pdflow/cancel/{cancel}"

    def token(
        self, action: Action, run_id: str, step: str, execution: int, person: str | None = None
    ) -> str:
        """Return the token of one execution of a step for an action, of a person if given."""
        whose = [] if person is None else [person]
        return str(self._serializers[action].dumps([run_id, step, execution, *whose]))

    def read(self, action: Action, token: str) -> Payload:
        """Verify a token of an action.

        Returns
        -------
        Payload

        Raises
        ------
        NotFoundError
            The token is not valid. The message is the same whatever the cause.
        """
        try:
            canonical = _canonical(token)
        except (BadData, ValueError) as error:
            raise unknown_link() from error
        payloads = (verifier.read(canonical) for verifier in self._verifiers[action])
        payload = next(filter(None, payloads), None)
        if payload is None:
            raise unknown_link()
        return payload


def token_in(text: str) -> str:
    """Return the token at the beginning of a text, without the punctuation of a sentence."""
    found = _TOKEN.match(text)
    return found[0].rstrip(".") if found else ""


def unknown_link() -> NotFoundError:
    """Return the error for a link that is not known, whatever the cause."""
    msg = "This link is not known here."
    return NotFoundError(msg)


def _is_payload(payload: Any) -> bool:
    # bool is a subclass of int, so that isinstance would accept true as a number.
    types = list(map(type, payload)) if isinstance(payload, list) else []
    return types in ([str, str, int], [str, str, int, str])


def _serializer(action: Action, keys: list[str]) -> URLSafeSerializer:
    return URLSafeSerializer(
        keys,
        salt=f"jupyter_pdflow.{action}",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


def _canonical(token: str) -> str:
    """Return a token, or raise ValueError if its signature has another spelling.

    base64 has several spellings for the same bytes: the unused bits of the last character may be
    anything. Only the spelling that `Links.token` makes is valid.
    """
    signature = token.encode("ascii").rpartition(b".")[2]
    if base64_encode(base64_decode(signature)) != signature:
        msg = "not canonical"
        raise ValueError(msg)
    return token


# --- keys ---

FORMAT_NOTE = (
    b"# Data format 2: a newer jupyter_pdflow has used this directory. "
    b"Upgrade jupyter_pdflow; do not delete this file."
)
"""The comment that makes versions before format 2 refuse the directory."""

LINK_KEYS = "link_keys"
"""The file of the data directory that holds the keys of this server."""

IMPORTED_KEYS = "imported_keys.json"
"""The name of the file with the keys that came with imported runs."""

ImportedKeys: TypeAlias = dict[str, set[str]]
"""The ids of the runs that came with a key, by key."""

KEY_BYTES = 32
"""Random bytes of a new key."""

MIN_KEY_LENGTH = 32
"""Minimum number of characters of a key; a shorter one was cut off or made up."""

KEY_FILE_ADVICE = "fix it, or delete it to get a new key, which makes all older links invalid."


def read_keys(path: Path) -> list[str]:
    """Return the keys of a file, the signing key first; make the file if it does not exist.

    Parameters
    ----------
    path : Path
        A file with one key per line. Only its owner can read it afterwards.

    Raises
    ------
    KeyFileError
        The file has no key or a damaged one. Nothing was changed.
    """
    try:
        # lexists: a symbolic link to a disk that is not mounted must not be replaced by new keys.
        if not os.path.lexists(path):
            replace_file(path, f"{secrets.token_urlsafe(KEY_BYTES)}\n".encode("ascii"))
        elif os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise _unreadable(path, error) from error
    return stored_keys(path)


def stored_keys(path: Path) -> list[str]:
    """Return the keys of a file as `read_keys` does, but change nothing.

    Raises
    ------
    KeyFileError
        The file can't be read, has no key, or has a damaged one.
    """
    try:
        lines = read_file(str(path)).decode("ascii").split("\n")
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, error) from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        msg = f"{path} has no key; {KEY_FILE_ADVICE}"
        raise KeyFileError(msg)
    for number, key in enumerate(keys, start=1):
        if not is_key(key):
            msg = f"Key {number} in {path} is damaged; {KEY_FILE_ADVICE}"
            raise KeyFileError(msg)
    return keys


def refuse_older_versions(path: Path) -> None:
    """Add a comment to the file of keys, which versions before format 2 take for a damaged key.

    They would see no run in files that are appended, and say nothing.

    Raises
    ------
    OSError
        The file can't be written.
    """
    content = read_file(str(path))
    if FORMAT_NOTE not in content:
        replace_file(path, content.rstrip(b"\n") + b"\n" + FORMAT_NOTE + b"\n")


def read_imported_keys(path: Path) -> ImportedKeys:
    """Return the keys that came with imported runs; no keys if the file does not exist.

    Raises
    ------
    KeyFileError
        The file can't be used.
    """
    if not os.path.lexists(path):
        return {}
    try:
        keys = msgspec.json.decode(read_file(str(path)), type=ImportedKeys)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        msg = f"The keys of imported runs in {path} can't be read ({error})."
        raise KeyFileError(msg) from error
    if not all(map(is_key, keys)):
        msg = f"A key in {path} is damaged."
        raise KeyFileError(msg)
    return keys


def write_imported_keys(path: Path, keys: ImportedKeys) -> None:
    """Store the keys that came with imported runs; durable when this returns."""
    content = {key: sorted(runs) for key, runs in keys.items()}
    replace_file(path, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def is_key(text: str) -> bool:
    """Whether a text can be a key: one word that is long enough."""
    long_enough = len(text) >= MIN_KEY_LENGTH
    return long_enough and text.isascii() and text.isprintable() and " " not in text


def _unreadable(path: Path, error: Exception) -> KeyFileError:
    return KeyFileError(f"The link keys in {path} can't be read ({error}); {KEY_FILE_ADVICE}")


def _usable_imported_keys(path: Path) -> ImportedKeys:
    """Return the keys that came with imported runs; quarantine a file that can't be used.

    A damaged file must not make this server's own links unusable.
    """
    try:
        return read_imported_keys(path)
    except KeyFileError as error:
        message = f"{error} The original links of imported runs don't work."
    with suppress(OSError):
        message += f" It is set aside as {quarantine(path)}."
    logger.error(message)
    return {}


# --- hiding tokens ---

HIDDEN_TOKEN = "[hidden]"  # noqa: S105  not a secret
"""Replaces a token in answers for users who may not use links."""

MAX_HELD_BACK = 2**20
"""Maximum number of bytes of a stream that are held back because a link may begin there."""

_SIGNED = re.compile(r"(?:WyI|\.eJ)[\w-]{16,}\.[\w-]{43}(?![\w-])")
"""Matches what `Links.token` makes: a JSON list or its compressed form, a dot, a signature."""

# Slashes can be escaped in JSON ("\/") and percent-encoded, also several times ("%252F").
_SLASH = r"(?:\\*/|%(?:25)*2F)"
_LINK = re.compile(
    rf"(pdflow{_SLASH}+(?:resume|cancel|hook){_SLASH}+)"
    r"(?:[\w.-]|%(?:25)*2[DE]|%(?:25)*5F)*(?:[\w-]|%(?:25)*2D|%(?:25)*5F)",
    re.IGNORECASE | re.ASCII,
)
_LINK_BYTES = bytes(byte for byte in range(128) if re.match(r"[\w.%/\\-]", chr(byte)))
"""All bytes that a link can consist of."""

Model = TypeVar("Model", bound=Struct)
Answer: TypeAlias = Struct | Sequence[Struct]
"""What a route answers with: a record of `jupyter_pdflow.models`, or several."""

_FORMATTER = logging.Formatter()


def redact(text: str) -> str:
    """Return a text with the token of each link hidden."""
    return _SIGNED.sub(HIDDEN, without_secrets(text, HIDDEN))


class Redaction(logging.Filter):
    """Hides the tokens of links in log records.

    The handlers of links log no tokens. This filter covers what other code logs: the ``Referer``
    of a failed request, a mistyped path, a traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide the tokens in a record, and return True."""
        text = record.getMessage()
        clean = redact(text)
        if clean != text:
            record.msg, record.args = clean, ()
        # Formatters reuse exc_text, so that the traceback is formatted and redacted only here.
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def hide_links(chunk: str | bytes | dict[str, Any]) -> str | bytes:
    r"""Return a part of an answer with the token of each link hidden; JSON stays JSON.

    Slashes can be escaped or percent-encoded: ``\/``, ``%2F``.
    """
    if isinstance(chunk, dict):
        return _hide_in_bytes(msgspec.json.encode(chunk))
    if isinstance(chunk, bytes):
        return _hide_in_bytes(chunk)
    return _hide_in_text(chunk)


def without_links(data: Model) -> Model:
    """Return a record with the token of each link hidden, wherever it is."""
    return msgspec.json.decode(_hide_in_bytes(msgspec.json.encode(data)), type=type(data))


class LinkHider:
    """Hides the tokens of links in a stream, also of a link that is split over two chunks.

    Links in compressed content, such as a zip file, are not found.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk; return what can be sent so far."""
        content = self._rest + chunk
        # A link may continue in the next chunk, so the last bytes that may belong to a link are held back.
        end = len(content.rstrip(_LINK_BYTES))
        if len(content) - end > MAX_HELD_BACK:
            end = len(content)
        self._rest = content[end:]
        return _hide_in_bytes(content[:end])

    def end(self) -> bytes:
        """Return the rest of the stream."""
        rest, self._rest = self._rest, b""
        return _hide_in_bytes(rest)


def without_urls(data: Answer) -> Answer:
    """Return an answer with the URLs of each run's pause replaced by None."""
    if isinstance(data, Struct):
        return _without_urls(data)
    return [_without_urls(item) for item in data]


def _without_urls(item: Struct) -> Struct:
    if not isinstance(item, RunItem) or item.pause is None:
        return item
    return replace(item, pause=replace(item.pause, resume_url=None, cancel_url=None))


def _hide_in_text(text: str) -> str:
    return _SIGNED.sub(HIDDEN_TOKEN, _LINK.sub(rf"\1{HIDDEN_TOKEN}", text))


def _hide_in_bytes(content: bytes) -> bytes:
    text = content.decode(errors="surrogateescape")
    return _hide_in_text(text).encode(errors="surrogateescape")
