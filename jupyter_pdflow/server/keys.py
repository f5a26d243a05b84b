"""The files of keys that links are signed with, and verified by."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TypeAlias

import orjson
from msgspec import MsgspecError
from msgspec.json import decode

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.store.storage import read_file, replace_file

IMPORTED_KEYS = "imported_keys.json"
"""The file of the keys that came with archives; it lies beside that of this server's own keys."""

ImportedKeys: TypeAlias = dict[str, set[str]]
"""The ids of the runs that came with a key, by key: it verifies their links and no others."""

KEY_BYTES = 32
SHORTEST = 32
"""Characters of a key; a shorter one was cut off, or made up."""

HELP = "put it right, or delete it to get a new key, which makes all older links invalid."


class KeyFileError(PDFlowError):
    """The file of keys can't be used."""

    reason = "bad_keys"
    status = 503


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
