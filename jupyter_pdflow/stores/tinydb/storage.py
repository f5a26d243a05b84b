"""TinyDB files that are replaced atomically, and the versions of their format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from msgspec import MsgspecError
from msgspec.json import decode
from tinydb import Storage, TinyDB

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.stores.files import replace_file

Fields = dict[str, Any]

FORMAT = 2
"""The version of the format that is written. Files of a newer version are not touched."""

OLDEST = 1
"""The oldest version that is read: that of the first release."""


def _unchanged(_table: str, fields: Fields) -> Fields:
    """Return a record of version 1: in version 2 only the files of runs are other ones."""
    return fields


MIGRATIONS: dict[int, Callable[[str, Fields], Fields]] = {1: _unchanged}
"""By version n, the function that makes version n + 1 of a record, given its table and fields.

There is one for each version from `OLDEST` to the one before `FORMAT`. A record is migrated when
it is read. Its file is migrated at its next write.
"""


def migrate(fields: Fields, table: str, name: str) -> Fields:
    """Return a stored record in the format `FORMAT`.

    Parameters
    ----------
    fields : dict
        The record as it was stored; ``format`` is its version.
    table : str
        The record's table: ``run``, ``mail``, ….
    name : str
        The name of its file, for messages.

    Raises
    ------
    NewerFormatError
        A newer version of this package wrote it.
    StoredFileError
        The version is not a number from `OLDEST` on.
    """
    version = fields.get("format")
    if type(version) is not int or version < OLDEST:
        msg = f"{name} has no known format ({version!r})."
        raise StoredFileError(msg)
    if version > FORMAT:
        msg = f"{name} was written by a newer jupyter_pdflow (format {version})."
        raise NewerFormatError(msg)
    for number in range(version, FORMAT):
        fields = {**MIGRATIONS[number](table, fields), "format": number + 1}
    return fields


class AtomicJSONStorage(Storage):
    """Keep a database in one JSON file that a crash leaves either old or new.

    TinyDB's own ``JSONStorage`` overwrites in place, so that a crash in between leaves an
    unreadable file. Here the new content goes to a temporary file, which is synced to disk
    and renamed over the old one; then the directory is synced, so that the name lasts too.

    Parameters
    ----------
    path : str or Path
        The database file; it need not exist yet, its directory has to.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path if isinstance(path, Path) else Path(path)

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Return the content of the file, or None if it does not exist.

        Raises
        ------
        StoredFileError
            The file is not a database of ours.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return parse(content, self._path.name)

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the file; when this returns, the new content survives a power cut."""
        content = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)
        replace_file(self._path, content)


def parse(content: bytes, name: str) -> dict[str, dict[str, Any]]:
    """Return the tables in the content of a TinyDB file of that name.

    Raises
    ------
    StoredFileError
        The content is not that of a TinyDB file.
    """
    try:
        tables = decode(content)
    except (MsgspecError, ValueError, RecursionError) as error:
        msg = f"{name} is not JSON ({error})."
        raise StoredFileError(msg) from error
    if not isinstance(tables, dict) or not all(map(_is_table, tables.values())):
        msg = f"{name} is not a TinyDB file."
        raise StoredFileError(msg)
    return tables


def _is_table(table: object) -> bool:
    return isinstance(table, dict) and all(
        key.isdecimal() and isinstance(document, dict) for key, document in table.items()
    )


def parse_record(content: bytes, table: str, name: str) -> dict[str, Any]:
    """Return the record in the content of a file of that name, in the format `FORMAT`.

    Raises
    ------
    StoredFileError
        The content holds no record of that table that this version can read.
    """
    try:
        document = decode(content)[table]["1"]
    except (MsgspecError, ValueError, RecursionError, LookupError, TypeError):
        document = parse(content, name).get(table, {}).get("1")
    return _checked(document, table, name)


def dump_record(fields: bytes, table: str) -> bytes:
    """Return the content of a file that holds a record."""
    return orjson.dumps(_tables(fields, table))


def beginning(table: str) -> bytes:
    """Return the first bytes of the content of each file with a record of that table."""
    return dump_record(b"{}", table).rstrip(b"}") + b","


def _tables(fields: bytes, table: str) -> dict[str, dict[str, Any]]:
    """Return a TinyDB database that holds a record and its format, without parsing its JSON."""
    comma = b"" if fields == b"{}" else b","
    document = b'{"format":%d%b%b' % (FORMAT, comma, fields[1:])
    return {table: {"1": orjson.Fragment(document)}}


def _checked(document: object, table: str, name: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        msg = f"{name} holds no {table}."
        raise StoredFileError(msg)
    return migrate(document, table, name)


def write_record(path: Path, fields: bytes, table: str) -> None:
    """Write a record to its TinyDB file, by one atomic write.

    Parameters
    ----------
    path : Path
        The file.
    fields : bytes
        The record's fields, as a JSON object, without the version of their format.
    table : str
        The record's table: ``run``, ``mail``, ….
    """
    with TinyDB(path, storage=AtomicJSONStorage) as db:
        # Not `upsert` or `update`: they read the file again, and may write it twice.
        db.storage.write(_tables(fields, table))
