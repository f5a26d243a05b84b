"""TinyDB's extension point: a storage that replaces its file atomically."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import orjson
from msgspec import MsgspecError
from msgspec.json import decode
from tinydb import Storage, TinyDB

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.store import formats
from jupyter_pdflow.store.spares import TEMPORARY, Spares


class AtomicJSONStorage(Storage):
    """Keep a database in one JSON file that a crash leaves either old or new.

    TinyDB's own ``JSONStorage`` overwrites in place, so that a crash in between leaves an
    unreadable file. Here the new content goes to a temporary file, which is synced to disk
    and renamed over the old one; then the directory is synced, so that the name lasts too.

    Parameters
    ----------
    path : str or Path
        The database file; it need not exist yet, its directory has to.
    spares : Spares, optional
        Files to write in place of new ones.
    """

    def __init__(self, path: str | Path, spares: Spares | None = None) -> None:
        self._path = path if isinstance(path, Path) else Path(path)
        self._spares = spares

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Read the file; None where there is none.

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
        replace_file(self._path, content, self._spares)


def parse(content: bytes, name: str) -> dict[str, dict[str, Any]]:
    """Read what `AtomicJSONStorage` wrote to the file of that name.

    Raises
    ------
    StoredFileError
        It is damaged, foreign, or of a newer format.
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
    """Read a regular file; `OSError` where that name is something else, or nothing."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not block
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path} is not a file"
            raise OSError(msg)
        return os.read(fd, status.st_size)
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes, spares: Spares | None = None) -> None:
    """Write a file whole or not at all, readable by its owner only, and sync it to disk.

    With names as text: the objects of pathlib take as long as a fifth of the rest.
    """
    name, held = os.fspath(path), None
    temporary = name + TEMPORARY if spares is None else spares.take()
    try:
        _write_synced(temporary, content)
        held = None if spares is None else spares.hold(name)
        os.replace(temporary, name)  # noqa: PTH105
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(os.path.dirname(name))  # noqa: PTH120
    if spares is not None and held is not None:
        spares.add(held)


def _write_synced(name: str, content: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.ftruncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: str | Path) -> None:
    """Make the names in a directory last; a no-op where the system can't (Windows)."""
    if os.name != "posix":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def move_file(path: Path, directory: Path) -> None:
    """Move a file to another directory of the same disk, for good."""
    path.replace(directory / path.name)
    sync_directory(directory)
    sync_directory(path.parent)


def parse_record(content: bytes, table: str, name: str) -> dict[str, Any]:
    """Read what `write_record` wrote to the file of that name.

    Raises
    ------
    StoredFileError
        There is none that this version can read.
    """
    try:
        document = decode(content)[table]["1"]
    except (MsgspecError, ValueError, RecursionError, LookupError, TypeError):
        document = parse(content, name).get(table, {}).get("1")
    return _checked(document, table, name)


def dump_record(fields: bytes, table: str) -> bytes:
    """Write a record as the content of a file that `parse_record` reads."""
    return orjson.dumps(_tables(fields, table))


def beginning(table: str) -> bytes:
    """Tell how the content of each file of this version begins."""
    return dump_record(b"{}", table).rstrip(b"}") + b","


def _tables(fields: bytes, table: str) -> dict[str, dict[str, Any]]:
    """Put a record into a TinyDB database, with the version of its format, as the JSON it is."""
    comma = b"" if fields == b"{}" else b","
    document = b'{"format":%d%b%b' % (formats.FORMAT, comma, fields[1:])
    return {table: {"1": orjson.Fragment(document)}}


def _checked(document: object, table: str, name: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        msg = f"{name} holds no {table}."
        raise StoredFileError(msg)
    return formats.migrate(document, table, name)


def write_record(path: Path, fields: bytes, table: str, spares: Spares | None = None) -> None:
    """Make a record the one that its TinyDB file holds, in one atomic write.

    Parameters
    ----------
    path : Path
        The file.
    fields : bytes
        The record's fields, as a JSON object; the version of their format is put beside them.
    table : str
        What the record is called in the file: ``run``, ``mail``, ….
    spares : Spares, optional
        Files to write in place of new ones.
    """
    with TinyDB(path, storage=AtomicJSONStorage, spares=spares) as db:
        # Not `upsert` or `update`: they read the file again, and may write it twice.
        db.storage.write(_tables(fields, table))
