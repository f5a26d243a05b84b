"""The file of keys that links are signed with."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.store.storage import replace_file

KEY_BYTES = 32
SHORTEST = 32
"""Letters of a key; a shorter one was cut off, or made up by somebody."""

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
        if not path.exists():
            replace_file(path, f"{secrets.token_urlsafe(KEY_BYTES)}\n".encode("ascii"))
        elif os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
        keys = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeError) as error:
        msg = f"The link keys in {path} can't be read ({error}); {HELP}"
        raise KeyFileError(msg) from error
    return _checked([key.strip() for key in keys if key.strip()], path)


def is_key(text: str) -> bool:
    """Whether a text can be a key: one word, not cut off."""
    return len(text) >= SHORTEST and text.isascii() and text.isprintable() and " " not in text


def _checked(keys: list[str], path: Path) -> list[str]:
    if not keys:
        msg = f"{path} holds no key; {HELP}"
        raise KeyFileError(msg)
    for number, key in enumerate(keys, start=1):
        if not is_key(key):
            msg = f"Key {number} in {path} is damaged; {HELP}"
            raise KeyFileError(msg)
    return keys
