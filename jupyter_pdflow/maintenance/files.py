"""What can be wrong with the files of a data directory, one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.maintenance.datadir import (
    KEYS,
    MAIL_ROOMS,
    MESSAGES,
    ROOMS,
    RUN_ROOMS,
    WORKFLOWS,
    DataDir,
    Room,
)
from jupyter_pdflow.maintenance.findings import Finding, Fix, aside, shown
from jupyter_pdflow.pd.pd import FILES_ID_NAME
from jupyter_pdflow.server.links.tokens import IMPORTED_KEYS
from jupyter_pdflow.stores.tinydb import storage as spares
from jupyter_pdflow.stores.tinydb.folders import is_marked, remove_tree
from jupyter_pdflow.stores.tinydb.records import SUFFIX, UNREADABLE
from jupyter_pdflow.stores.tinydb.storage import TEMPORARY, read_file
from jupyter_pdflow.stores.tinydb.validation import is_id

INPUTS = "inputs.toml"
SECRETS = (KEYS, IMPORTED_KEYS, INPUTS)
FOLDERS = (".", MESSAGES, spares.FOLDER, *(room.folder for room in ROOMS))


def modes(data: DataDir) -> Iterator[Finding]:
    """Look whether others on this machine can get at the data."""
    if os.name != "posix":
        return
    secrets = ((data.path / name, 0o600) for name in SECRETS)
    for path, mode in ((data.path, 0o700), *secrets):
        found = path.stat().st_mode & 0o777 if path.exists() else mode
        if found & 0o077:
            yield Finding(
                f"{path} can be used by others (mode {found:o}).",
                f"Make it yours alone: chmod {mode:o} {path}",
                Fix(partial(path.chmod, mode), f"Made {path} yours alone."),
            )
    if data.path.stat().st_uid != os.geteuid():
        yield Finding(
            f"{data.path} belongs to another user.",
            "Run this, and the server, as the user that it belongs to.",
        )


def leftovers(data: DataDir) -> Iterator[Finding]:
    """Look for what a crash left half-written, for what was set aside, and what has no place."""
    places = [data.path / folder for folder in FOLDERS] + [data.folders.path]
    for path in (path for place in places for path in sorted(place.glob("*"))):
        name = _name(data, path)
        if path.name.endswith(TEMPORARY) and path.parent == data.folders.path:
            yield Finding(
                f"{name} was left by an import that was cut short.",
                "It is of no use; import the archive again.",
                Fix(partial(remove_tree, path), f"Removed {name}."),
            )
        elif path.name.endswith(TEMPORARY):
            yield Finding(
                f"{name} was left half-written by a crash.",
                "It is of no use; the next start of a server removes it too.",
                Fix(partial(path.unlink, missing_ok=True), f"Removed {name}."),
            )
        elif UNREADABLE in path.name:
            yield _quarantine(data, path, name)
        elif path.name.endswith(SUFFIX) and _is_room(data, path) and not is_id(path.stem):
            yield Finding(
                f"{name} is not the name of a record.",
                "Give it its own name again, or delete it; servers set it aside.",
                aside(path),
            )


def mark(data: DataDir) -> Iterator[Finding]:
    """Look whether kernels will know the folder of the runs' files."""
    path = data.folders.path / FILES_ID_NAME
    if os.path.lexists(path) and not is_marked(data.folders.path):
        yield Finding(
            f"{_name(data, path)} does not mark the folder of the runs' files any more.",
            "The next start of a server sets it aside, and makes another.",
            aside(path),
        )


def _name(data: DataDir, path: Path) -> str:
    return shown(path.relative_to(data.path) if path.is_relative_to(data.path) else path)


def _is_room(data: DataDir, path: Path) -> bool:
    return path.parent not in (data.path, data.folders.path)


def folders(data: DataDir) -> Iterator[Finding]:
    """Look for something else in the place of a folder."""
    for path in (*(data.path / room.folder for room in ROOMS), data.folders.path):
        if os.path.lexists(path) and not path.is_dir():
            yield Finding(
                f"{path} is not a folder.",
                "Put the folder from a backup in its place; servers set it aside.",
                aside(path),
            )


def unreadable(data: DataDir, name: str, error: StoredFileError | OSError) -> Finding:
    """Say that a record can't be read, or has a flaw."""
    if isinstance(error, NewerFormatError):
        return Finding(f"{name}: {error}", "Upgrade jupyter_pdflow; servers leave it alone.")
    if name.startswith(WORKFLOWS.folder):
        advice = "Put a copy from a backup in its place, or deploy its notebook again."
    else:
        advice = "Put it right, or a copy from a backup in its place; servers set it aside."
    return Finding(f"{name}: {error}", advice, aside(data.path / name))


def _quarantine(data: DataDir, path: Path, name: str) -> Finding:
    """Say why a file was set aside, and put it back where it is right by now."""
    right = path.with_name(path.name.partition(UNREADABLE)[0])
    error = _flaw_of(data, path, right.name)
    if error is not None or _is_taken(data, right):
        return Finding(
            f"{name} was set aside, as it could not be used" + (f": {error}" if error else "."),
            f"Put it right and name it {shown(right)}, put a copy from a backup in its place, or "
            "delete it.",
        )
    return Finding(
        f"{name} was set aside, but it can be used.",
        f"Name it {shown(right)}.",
        Fix(partial(path.rename, right), f"Put {name} back in its place."),
    )


def _flaw_of(data: DataDir, path: Path, name: str) -> Exception | None:
    if not is_id(name.removesuffix(SUFFIX)):
        return StoredFileError("it does not have the name of a record.")
    rooms: tuple[Room[Any], ...] = ROOMS
    for room in rooms:
        if path.parent == data.path / room.folder:
            try:
                room.parse(read_file(str(path)), name)
            except (StoredFileError, OSError) as error:
                return error
            return None
    return StoredFileError("it is not a record.")


def _is_taken(data: DataDir, right: Path) -> bool:
    """Whether there is a file in the right place, or the same run or email in its other one."""
    folder = right.parent.relative_to(data.path).as_posix()
    pairs = ({room.folder for room in rooms} for rooms in (RUN_ROOMS, MAIL_ROOMS))
    places = next((pair for pair in pairs if folder in pair), {folder})
    return any(os.path.lexists(data.path / place / right.name) for place in places)
