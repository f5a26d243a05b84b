"""What can be wrong with the files of a data directory, one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jupyter_pdflow.exceptions import NewerFormatError, StoredFileError
from jupyter_pdflow.keeping.datadir import KEYS, MESSAGES, ROOMS, WORKFLOWS, DataDir
from jupyter_pdflow.keeping.findings import Cure, Finding
from jupyter_pdflow.store import spares
from jupyter_pdflow.store.records import UNREADABLE
from jupyter_pdflow.store.spares import TEMPORARY

INPUTS = "inputs.toml"
FOLDERS = (".", MESSAGES, spares.FOLDER, *(room.folder for room in ROOMS))


def modes(data: DataDir) -> Iterator[Finding]:
    """Look whether others on this machine can get at the data."""
    if os.name != "posix":
        return
    for path, mode in ((data.path, 0o700), (data.path / KEYS, 0o600), (data.path / INPUTS, 0o600)):
        found = path.stat().st_mode & 0o777 if path.exists() else mode
        if found & 0o077:
            yield Finding(
                f"{path} can be used by others (mode {found:o}).",
                f"Make it yours alone: chmod {mode:o} {path}",
                Cure(partial(path.chmod, mode), f"Made {path} yours alone."),
            )
    if data.path.stat().st_uid != os.geteuid():
        yield Finding(
            f"{data.path} belongs to another user.",
            "Run this, and the server, as the user that it belongs to.",
        )


def leftovers(data: DataDir) -> Iterator[Finding]:
    """Look for what a crash left half-written, and for what was set aside."""
    for path in (path for folder in FOLDERS for path in sorted((data.path / folder).glob("*"))):
        name = path.relative_to(data.path)
        if path.name.endswith(TEMPORARY):
            yield Finding(
                f"{name} was left half-written by a crash.",
                "It is of no use; the next start of a server removes it too.",
                Cure(partial(path.unlink, missing_ok=True), f"Removed {name}."),
            )
        elif UNREADABLE in path.name:
            yield Finding(
                f"{name} was set aside, as it could not be read.",
                f"Put it right and name it {_right_name(path)}, put a copy from a backup in its "
                "place, or delete it.",
            )


def unreadable(name: str, error: StoredFileError | OSError) -> Finding:
    """Say that a record can't be read."""
    if isinstance(error, NewerFormatError):
        return Finding(f"{name}: {error}", "Upgrade jupyter_pdflow; servers leave it alone.")
    if name.startswith(WORKFLOWS.folder):
        advice = "Put a copy from a backup in its place, or deploy its notebook again."
    else:
        advice = "Put a copy from a backup in its place, or delete it; servers set it aside."
    return Finding(f"{name}: {error}", advice)


def _right_name(path: Path) -> str:
    return path.name.partition(UNREADABLE)[0]
