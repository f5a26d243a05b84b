"""Export and import: runs on their way from a data directory, by an archive, to another one.

An export copies what has ended. The rest must be in one place only, or its timers would fire twice
and its emails be sent twice: it is moved into the folder `EXPORTED`. The archive gets its name
last: whenever the machine stops, no run is both in the directory and in an archive of that name.

An import checks all of the archive first. Then it writes run by run, each after its workflow,
outputs, emails and files: an import that was cut short leaves no run without them, and can be
repeated. It overwrites nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn, TypeAlias

import orjson
from msgspec.structs import replace

from jupyter_pdflow.exceptions import (
    HalfWrittenError,
    NotExportedError,
    NotFoundError,
    StoredFileError,
)
from jupyter_pdflow.maintenance import Progress, archive
from jupyter_pdflow.maintenance.archive import ArchiveLimits, ExportArchive
from jupyter_pdflow.maintenance.inventory import Inventory, check_runs
from jupyter_pdflow.rules.run import Run, RunStatus
from jupyter_pdflow.rules.workflow import merged, numbered
from jupyter_pdflow.server.links import tokens
from jupyter_pdflow.stores import QUOTED, Email
from jupyter_pdflow.stores.files import TEMPORARY, move_file, replace_file, sync_directory
from jupyter_pdflow.stores.folders import FILES, RunFile, flaw_of_paths, remove_tree
from jupyter_pdflow.stores.tinydb import appended, layout
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, OUTPUTS, WORKFLOWS, DataDir
from jupyter_pdflow.stores.tinydb.record_types import Versions, history_in

# --- export ---------------------------------------------------------------------------


class Exported(NamedTuple):
    """The runs that were `copied` and `moved`, and the numbers of emails, files and keys."""

    copied: list[str]
    moved: list[str]
    emails: int
    files: int
    keys: int


class RunParts(NamedTuple):
    """A run, the names of its record, outputs and emails, and the files that its steps saved."""

    run: Run
    names: list[str]
    files: list[RunFile]

    @property
    def moved(self) -> list[str]:
        """The names of what an export moves away, the run's record first."""
        if self.run.ended:
            return [name for name in self.names if layout.folder_of(name) == layout.QUEUED_EMAILS]
        return [*self.names, *([f"{FILES}/{self.run.id}"] if self.files else [])]


def export_runs(
    data: DataDir, target: Path, run_ids: Sequence[str], watch: Progress = iter
) -> Exported:
    """Export the runs with these ids, or all, and pass them on to `watch` as they are read.

    With them go their outputs, emails, files and workflow versions; with unfinished ones also the
    keys of their links.

    Raises
    ------
    NotFoundError, NotExportedError, StoredFileError, DataDirLockedError
        Nothing was changed.
    """
    draft = target.with_name(target.name + TEMPORARY)
    with layout.DataLock(data.path).held("jupyter pdflow export"):
        _check_target(target, draft)
        chosen = _chosen(data, run_ids)
        parts = _parts_of(data, chosen)
        keys = _keys_of(data, [each.run for each in parts])
        archive.write_archive(draft, _members(data, parts, chosen, keys, watch))
        _move_out(data, [name for each in parts for name in each.moved], draft)
        draft.rename(target)
        sync_directory(target.parent)
    return _exported(parts, sum(map(len, keys)))


def _exported(parts: list[RunParts], keys: int) -> Exported:
    names = [name for each in parts for name in each.names]
    return Exported(
        copied=[each.run.id for each in parts if each.run.ended],
        moved=[each.run.id for each in parts if not each.run.ended],
        emails=sum(layout.folder_of(name) in layout.EMAIL_FOLDERS for name in names),
        files=sum(not file.is_folder for each in parts for file in each.files),
        keys=keys,
    )


def _check_target(target: Path, draft: Path) -> None:
    msg = f"{target} exists already; choose another name."
    if draft.exists():
        command = f"`jupyter pdflow import {draft}` brings its runs back. Then delete it."
        msg = f"{draft} is left from an export that was cut short; {command}"
    if target.exists() or draft.exists():
        raise NotExportedError(msg)


def _chosen(data: DataDir, run_ids: Sequence[str]) -> Inventory:
    """Read the chosen runs and their workflows, and make sure that the runs can continue."""
    found = set(data.run_ids())
    missing = [f"run {run_id!r}" for run_id in run_ids if run_id not in found]
    if missing or not found:
        msg = f"There is no {missing[0] if missing else 'run'} in {data.path}."
        raise NotFoundError(msg)
    chosen = Inventory(data)
    for folder in layout.RUN_FOLDERS:
        for run_id in sorted(set(run_ids or found).intersection(data.ids(folder))):
            try:
                run = data.read(folder, run_id)
            except HalfWrittenError:
                continue  # its start was never answered for
            # A run that has ended and was not filed as finished yet is copied all the same.
            is_active = folder == ACTIVE and not run.ended
            (chosen.active if is_active else chosen.finished)[run_id] = run
            if run.workflow_id not in chosen.workflows and data.has(WORKFLOWS, run.workflow_id):
                chosen.workflows[run.workflow_id] = data.read(WORKFLOWS, run.workflow_id)
    for finding in check_runs(chosen):
        msg = f"{finding.problem} Nothing was exported; see `jupyter pdflow doctor`."
        raise NotExportedError(msg)
    return chosen


def _parts_of(data: DataDir, chosen: Inventory) -> list[RunParts]:
    names, parts = data.names_by_run(), []
    for run in filter(None, {**chosen.finished, **chosen.active}.values()):
        files = list(data.folders.walk(run.id, _raise))
        flaw = flaw_of_paths(file.path for file in files)
        if flaw is not None:
            raise _refusal(run.id, *flaw)
        name = data.name_of_run(run.id)
        if run.ended:  # also if it was not filed as finished yet
            name = f"{FINISHED.name}/{Path(name).name}"
        parts.append(RunParts(run, [name, *names[run.id]], files))
    return parts


def _raise(error: OSError) -> NoReturn:
    raise error


def _refusal(run_id: str, path: str, flaw: str) -> NotExportedError:
    msg = f"Run {run_id} can't be exported with its file {path[:QUOTED]!a}: {flaw}."
    return NotExportedError(f"{msg} Rename or remove that file.")


def _keys_of(data: DataDir, runs: list[Run]) -> tuple[list[str], tokens.ImportedKeys]:
    """Return the directory's keys and imported ones, as far as unfinished runs need them."""
    if all(run.ended for run in runs):
        return [], {}
    path, ids = data.at(tokens.LINK_KEYS), {run.id for run in runs}
    known = tokens.read_imported_keys(data.at(tokens.IMPORTED_KEYS))
    imported = {key: of_key & ids for key, of_key in known.items() if of_key & ids}
    return (tokens.read_keys(path) if path.exists() else []), imported


def _members(
    data: DataDir,
    parts: list[RunParts],
    chosen: Inventory,
    keys: tuple[list[str], tokens.ImportedKeys],
    watch: Progress,
) -> Iterator[archive.Member]:
    for run, names, files in watch(parts):
        for name in names:
            yield (name, _read(data, name))
        for file in files:
            content = b"" if file.is_folder else partial(_open, data, run.id, file.path)
            yield (f"{FILES}/{run.id}/{file.path}", content)
    used = {(each.run.workflow_id, each.run.version) for each in parts}
    for known in chosen.workflows.values():
        wanted = used | {(known.id, known.newest)}
        versions = numbered(known.versions)
        versions = {key: each for key, each in versions.items() if (known.id, key) in wanted}
        content = WORKFLOWS.type.dump(replace(known, versions=versions))
        yield (WORKFLOWS.file(known.id), content)
    own, imported = keys
    if own:
        yield (archive.LINK_KEYS, orjson.dumps(own))
    if imported:
        by_key = {key: sorted(runs) for key, runs in imported.items()}
        yield (tokens.IMPORTED_KEYS, orjson.dumps(by_key))


def _read(data: DataDir, name: str) -> bytes:
    """Read a file, and make sure that an import can read it."""
    folder, stored = layout.folder_of(name), name
    if folder == FINISHED and not data.exists(name):  # it has ended, and was not filed yet
        stored = f"{ACTIVE.name}/{Path(name).name}"
    content = data.content(stored)
    if folder is None:
        return content
    record = folder.parse(content, name)
    if not name.endswith(appended.SUFFIX):
        return content
    return folder.dump(record, history_in(content))


def _open(data: DataDir, run_id: str, path: str) -> BinaryIO:
    try:
        return data.folders.read(run_id, path)
    except NotFoundError as error:
        raise _refusal(run_id, path, "it can't be read") from error


def _move_out(data: DataDir, names: list[str], draft: Path) -> None:
    """Move files into the folder of exported ones; move them back if that fails."""
    with ExitStack() as undo:
        undo.callback(draft.unlink)
        for name in names:
            place, exported = data.at(name), data.at(name, exported=True)
            _move(place, exported)
            undo.callback(_move, exported, place)
        undo.pop_all()


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_dir():  # an earlier export, whose import was cut short, may have left the folder
        remove_tree(to)
    move_file(path, to.parent)


# --- import ---------------------------------------------------------------------------

AT_ONCE: tuple[RunStatus, ...] = ("queued", "running")
"""A server executes runs with these statuses as soon as it starts."""

State: TypeAlias = Literal["new", "same", "other"]


class Imported(NamedTuple):
    """The runs of an archive: `new` ones, and those that were here, the `same` or as an `other`.

    `held` would be executed at once and were not imported. `waiting` is the number of new ones that
    have not ended, `keys` that of the added link keys.
    """

    new: list[str]
    same: list[str]
    other: list[str]
    held: list[str]
    waiting: int
    keys: int


def import_runs(
    data: DataDir,
    source: Path,
    watch: Progress = iter,
    *,
    start: bool = False,
    limits: ArchiveLimits | None = None,
) -> Imported:
    """Import the runs of an archive that the data directory does not have.

    Those that a server would execute at once are imported only to `start` them. The archive may
    unpack to what the disks have room for, or to `limits`.

    Raises
    ------
    ArchiveError, StoredFileError, KeyFileError, DataDirLockedError
        Nothing was imported.
    """
    limits = limits or ArchiveLimits(_free_bytes(data.path), _free_bytes(data.folders.path))
    with (
        layout.DataLock(data.path).held("jupyter pdflow import"),
        archive.open_archive(source, limits, watch) as incoming,
    ):
        return _import_runs(data, incoming, watch, start=start)


def _import_runs(
    data: DataDir, incoming: ExportArchive, watch: Progress, *, start: bool
) -> Imported:
    ids: dict[State, list[str]] = {"new": [], "same": [], "other": []}
    for run_id in incoming.run_ids():
        ids[_state(data, incoming, run_id)].append(run_id)
    found = list(map(incoming.read_run, ids["new"]))
    runs = [run for run in found if start or run.status not in AT_ONCE]
    versions = _merged_versions(data, incoming, runs)
    if (own := data.at(tokens.LINK_KEYS)).exists():
        tokens.refuse_older_versions(own)
    keys = _add_keys(data, incoming.keys, {run.id for run in runs})
    for known in versions:
        data.write(WORKFLOWS, known.id, known)
    names = incoming.names_by_run()
    for run in watch(runs):
        _import_run(data, incoming, run, names[run.id])
    new = [run.id for run in runs]
    return Imported(
        new=new,
        same=ids["same"],
        other=ids["other"],
        held=sorted(set(ids["new"]).difference(new)),
        waiting=sum(not run.ended for run in runs),
        keys=keys,
    )


def _free_bytes(path: Path) -> int:
    existing = next(each for each in (path, *path.parents) if each.exists())
    return shutil.disk_usage(existing).free


def _state(data: DataDir, incoming: ExportArchive, run_id: str) -> State:
    """Compare a run with what the directory has of it, perhaps from an import that was cut short."""
    try:
        if data.has_run(run_id):
            return "same" if data.read_run(run_id) == incoming.read_run(run_id) else "other"
    except HalfWrittenError:
        pass  # its start was never answered for
    except (StoredFileError, OSError):
        return "other"
    has_outputs = incoming.has(OUTPUTS, run_id)
    outputs = incoming.read(OUTPUTS, run_id) if has_outputs else None
    if data.has(OUTPUTS, run_id) and data.read(OUTPUTS, run_id) != outputs:
        return "other"
    has_files = data.at(f"{FILES}/{run_id}").exists()
    return "other" if has_files and not incoming.has_same_files(run_id, data.folders) else "new"


def _merged_versions(data: DataDir, incoming: ExportArchive, runs: list[Run]) -> list[Versions]:
    """Add versions to the workflows here, whose newest version stays; return the changed ones."""
    changed = []
    for workflow_id in sorted({run.workflow_id for run in runs} & set(incoming.ids(WORKFLOWS))):
        added = incoming.read(WORKFLOWS, workflow_id)
        known = data.read(WORKFLOWS, workflow_id) if data.has(WORKFLOWS, workflow_id) else added
        versions = merged(known.versions, added.versions)
        if known is added or versions.keys() != known.versions.keys():
            changed.append(replace(known, versions=versions))
    return changed


def _add_keys(data: DataDir, incoming: tokens.ImportedKeys, run_ids: set[str]) -> int:
    """Keep keys for the links of the runs that they came with; return how many are new here."""
    own_path, path = map(data.at, (tokens.LINK_KEYS, tokens.IMPORTED_KEYS))
    own = tokens.read_keys(own_path) if own_path.exists() else []
    known = tokens.read_imported_keys(path)
    used = {key: runs & run_ids for key, runs in incoming.items() if key not in own}
    merged = {key: known.get(key, set()) | runs for key, runs in used.items() if runs}
    if merged:
        tokens.write_imported_keys(path, {**known, **merged})
    return len(merged.keys() - known.keys())


def _import_run(data: DataDir, incoming: ExportArchive, run: Run, names: list[str]) -> None:
    for name in names:
        _import_record(data, incoming, name)
    files = incoming.files.get(run.id)
    if files is not None and not data.at(f"{FILES}/{run.id}").exists():
        data.folders.write(run.id, {path: incoming.parts(name) for path, name in files.items()})
    folder = FINISHED if run.ended else ACTIVE
    data.write(folder, run.id, run, incoming.history_of_run(run.id))
    if run.ended_at is not None:  # PDFlow.keep_days counts from the file's time
        ended_at = run.ended_at.timestamp()
        os.utime(data.file(folder, run.id), (ended_at, ended_at))
    # The run is back: what an export from here has kept of it is not needed any more.
    for name in (*folder.files(run.id), *names):
        data.at(name, exported=True).unlink(missing_ok=True)
    remove_tree(data.at(f"{FILES}/{run.id}", exported=True))


def _import_record(data: DataDir, incoming: ExportArchive, name: str) -> None:
    """Write outputs or an email, unless the directory has them."""
    path, folder = data.at(name), layout.folder_of(name)
    if folder is None:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, incoming.content(name))
        return
    record: Any = incoming.read(folder, path.stem)
    same: tuple[layout.RecordFolder[Any], ...] = (folder,)
    if isinstance(record, Email):  # one that was sent just before a crash is among the queued ones
        folder = layout.QUEUED_EMAILS if record.status == "queued" else layout.DONE_EMAILS
        same = layout.EMAIL_FOLDERS
    if not any(data.has(each, path.stem) for each in same):
        data.write(folder, path.stem, record)
