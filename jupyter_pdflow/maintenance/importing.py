"""Putting runs from an archive into a data directory.

All that the archive holds is checked before anything is written. Then run by run is taken in,
each after its workflow, its outputs, its mails and its files: an import that was cut short leaves no run
without them, and can be done again. What is there already is never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.maintenance.archive import RunArchive, free_bytes
from jupyter_pdflow.maintenance.contents import Contents, Watch
from jupyter_pdflow.maintenance.datadir import (
    ACTIVE,
    DONE,
    FINISHED,
    KEYS,
    MAIL_ROOMS,
    OUTPUTS,
    QUEUED,
    RUN_ROOMS,
    WORKFLOWS,
    DataDir,
)
from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.server.links.tokens import (
    IMPORTED_KEYS,
    ImportedKeys,
    read_imported_keys,
    read_keys,
    write_imported_keys,
)
from jupyter_pdflow.stores.tinydb.folders import FILES, remove_tree
from jupyter_pdflow.stores.tinydb.storage import TEMPORARY, replace_file, sync_directory
from jupyter_pdflow.stores.tinydb.store import Versions

AT_ONCE: tuple[RunStatus, ...] = ("queued", "running")
"""A server executes such runs as soon as it starts."""

State: TypeAlias = Literal["new", "same", "other"]


class Imported(NamedTuple):
    """The runs of an archive: `new` ones, those that were here the `same`, or as an `other`.

    `held` are those that were not imported, as they would execute at once. `waiting` counts the
    new ones that have not ended, `keys` the link keys that were added.
    """

    new: list[str]
    same: list[str]
    other: list[str]
    held: list[str]
    waiting: int
    keys: int


def import_runs(
    data: DataDir, source: Path, watch: Watch = iter, *, start: bool = False
) -> Imported:
    """Take in the runs of an archive, but those that are here already.

    Parameters
    ----------
    data : DataDir
        Where they go.
    source : Path
        The archive.
    watch : callable, optional
        Passes names on as runs are checked, then as they are taken in.
    start : bool
        Whether runs that are queued, or were running, are taken in too: the next server executes
        them at once.

    Raises
    ------
    ArchiveError, StoredFileError, DataDirLockedError
        Nothing was imported.
    """
    with (
        data.held("jupyter pdflow import"),
        RunArchive(source, free_bytes(data.path), free_bytes(data.folders.path)) as archive,
    ):
        contents = Contents(archive, watch)
        states = {run_id: _state(data, contents, run_id) for run_id in contents.places}
        found = [contents.run(run_id) for run_id, state in states.items() if state == "new"]
        held = [run.id for run in found if run.status in AT_ONCE and not start]
        runs = [run for run in found if run.id not in held]
        new = [run.id for run in runs]
        merged = _merged(data, contents, runs)
        keys = _add_keys(data, contents.keys, set(new))
        for workflow in merged:
            data.write(WORKFLOWS, workflow.id, workflow)
        for run_id in watch(new):
            _take_in(data, contents, run_id)
    return Imported(
        new=new,
        same=[run_id for run_id, state in states.items() if state == "same"],
        other=[run_id for run_id, state in states.items() if state == "other"],
        held=held,
        waiting=sum(not run.ended for run in runs),
        keys=keys,
    )


def _state(data: DataDir, contents: Contents, run_id: str) -> State:
    run = contents.run(run_id)
    for room in RUN_ROOMS:
        if data.has(room, run_id):
            return "same" if _here(data, run_id, room.folder) == run else "other"
    if data.has(OUTPUTS, run_id) and data.read(OUTPUTS, run_id) != contents.outputs(run_id):
        return "other"
    if data.at(f"{FILES}/{run_id}").exists() and not _has_same_files(data, contents, run_id):
        return "other"
    return "new"


def _has_same_files(data: DataDir, contents: Contents, run_id: str) -> bool:
    """Whether the run's folder, left by an import that was cut short, has what the archive has."""
    brought = contents.files.get(run_id, {})
    here = {file.path for file in data.folders.walk(run_id, _pass_over)}
    files = (path for path in brought if path and not path.endswith("/"))
    return here == brought.keys() and all(
        contents.is_file_of(run_id, path, data.folders) for path in files
    )


def _pass_over(_error: OSError) -> None:
    """Do nothing about an error: what can't be read is not the same."""


def _here(data: DataDir, run_id: str, folder: str) -> Run | None:
    try:
        return data.read(ACTIVE if folder == ACTIVE.folder else FINISHED, run_id)
    except (StoredFileError, OSError):
        return None


def _merged(data: DataDir, contents: Contents, runs: list[Run]) -> list[Versions]:
    """Add the archive's versions to the workflows here; new runs go on using the newest here."""
    changed = []
    for workflow_id in sorted({run.workflow_id for run in runs} & contents.workflows.keys()):
        brought = contents.workflows[workflow_id]
        if not data.has(WORKFLOWS, workflow_id):
            changed.append(brought)
            continue
        known = data.read(WORKFLOWS, workflow_id)
        versions = {**brought.versions, **known.versions}
        if versions.keys() != known.versions.keys():
            changed.append(replace(known, versions=versions))
    return changed


def _add_keys(data: DataDir, brought: ImportedKeys, new: set[str]) -> int:
    """Keep the keys that came with new runs, for the links of these; whatever is known stays."""
    path = data.path / KEYS
    own = read_keys(path) if path.exists() else []
    known = read_imported_keys(data.path / IMPORTED_KEYS)
    added = {key: runs & new for key, runs in brought.items() if key not in own and runs & new}
    merged = {key: known.get(key, set()) | runs for key, runs in added.items()}
    if merged:
        write_imported_keys(data.path / IMPORTED_KEYS, {**known, **merged})
    return len(merged.keys() - known.keys())


def _take_in(data: DataDir, contents: Contents, run_id: str) -> None:
    outputs = contents.outputs(run_id)
    if outputs is not None and not data.has(OUTPUTS, run_id):
        data.write(OUTPUTS, run_id, outputs)
    for name in contents.mails[run_id]:
        _take_in_mail(data, contents, name)
    if run_id in contents.files and not data.at(f"{FILES}/{run_id}").exists():
        _take_in_files(data, contents, run_id)
    run = contents.run(run_id)
    room = FINISHED if run.ended else ACTIVE
    data.write(room, run_id, run)
    if run.ended_at is not None:  # PDFlow.keep_days counts from there
        ended_at = run.ended_at.timestamp()
        os.utime(data.file(room, run_id), (ended_at, ended_at))
    _forget_export(data, contents, run_id)


def _take_in_mail(data: DataDir, contents: Contents, name: str) -> None:
    path = data.path / name
    if path.suffix == ".eml":
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, contents.message(name))
    elif not any(data.has(room, path.stem) for room in MAIL_ROOMS):
        email = contents.email(name)
        data.write(QUEUED if email.status == "queued" else DONE, email.id, email)


def _take_in_files(data: DataDir, contents: Contents, run_id: str) -> None:
    """Write the files of a run to a folder beside, which gets its name last of all."""
    folder = data.at(f"{FILES}/{run_id}")
    draft = folder.with_name(run_id + TEMPORARY)
    remove_tree(draft)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.mkdir(mode=0o700)
    try:
        for path, name in contents.files[run_id].items():
            _write_file(draft / path, contents.parts(name), is_folder=not path or path[-1] == "/")
        draft.rename(folder)
    except BaseException:
        remove_tree(draft)
        raise
    sync_directory(folder.parent)


def _write_file(path: Path, parts: Iterator[bytes], *, is_folder: bool) -> None:
    """Write a file that its owner only can use, and the folders above; durable when it returns."""
    folder = path if is_folder else path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_folder:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
    sync_directory(folder)


def _forget_export(data: DataDir, contents: Contents, run_id: str) -> None:
    """Remove what an export from here had set aside: the run is back."""
    names = [contents.places[run_id], OUTPUTS.name(run_id), *contents.mails[run_id]]
    for name in names:
        data.exported(name).unlink(missing_ok=True)
    remove_tree(data.exported(f"{FILES}/{run_id}"))
