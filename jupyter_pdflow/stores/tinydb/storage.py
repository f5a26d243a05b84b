"""TinyDB files that are replaced atomically, the versions of their format, and work in threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from msgspec import MsgspecError
from msgspec.json import decode
from tinydb import Storage, TinyDB

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError

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


TEMPORARY = ".tmp"
"""Suffix of files that are being written."""


def remove_temporary(folder: Path, before: float) -> None:
    """Remove what writes that a crash has cut short have left in a folder.

    Parameters
    ----------
    folder : Path
    before : float
        A time in seconds since 1970; a file that was written later belongs to a write under way.
    """
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(TEMPORARY):
                with suppress(OSError):  # a folder, for instance
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.path)  # noqa: PTH108


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


def read_file(path: str) -> bytes:
    """Return the content of a regular file; `OSError` if the path is not that of one."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not block
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path} is not a file"
            raise OSError(msg)
        content = os.read(fd, status.st_size)
        while len(content) < status.st_size and (more := os.read(fd, status.st_size)):
            content += more
        return content
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically, readable by its owner only, and sync it to disk.

    Paths are texts here, because pathlib would add a fifth to the time of a write.
    """
    name = os.fspath(path)
    temporary = name + TEMPORARY
    try:
        write_synced(temporary, content)
        os.replace(temporary, name)  # noqa: PTH105
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(os.path.dirname(name))  # noqa: PTH120


def write_synced(name: str, content: bytes) -> None:
    """Write a whole file, readable by its owner only, and sync it to disk."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.ftruncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)


sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""Makes durable what was written to a file, and its size; macOS and Windows have `fsync` only."""


def sync_directory(path: str | Path) -> None:
    """Sync the names in a directory to disk; a no-op on Windows, which can't do that."""
    if os.name != "posix":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def move_file(path: Path, directory: Path) -> None:
    """Move a file to another directory of the same disk, and sync both directories."""
    path.replace(directory / path.name)
    sync_directory(directory)
    sync_directory(path.parent)


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
