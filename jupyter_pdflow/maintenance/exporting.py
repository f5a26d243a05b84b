"""Taking runs out of a data directory, into an archive.

What still has something to happen must be in one place only, or its timers would fire twice and
its mails be sent twice: unfinished runs and queued mails are moved out of the directory, into its
folder `EXPORTED` (files of runs into that of ``PDFlow.files_dir``), and all that has ended is copied. The archive gets its name last of all, so
that whenever the machine stops, no run is both here and in an archive of that name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import orjson
from msgspec.structs import replace

from jupyter_pdflow.exceptions import NotExportedError, NotFoundError
from jupyter_pdflow.mail.message import run_of
from jupyter_pdflow.maintenance.archive import (
    ARCHIVE_FORMAT,
    KEYS_FORMAT,
    LINK_KEYS,
    PLAIN_FORMAT,
    Member,
    write_archive,
)
from jupyter_pdflow.maintenance.datadir import (
    ACTIVE,
    DONE,
    FINISHED,
    KEYS,
    MAIL_ROOMS,
    MESSAGES,
    OUTPUTS,
    QUEUED,
    RUN_ROOMS,
    WORKFLOWS,
    DataDir,
)
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.server.links.tokens import (
    IMPORTED_KEYS,
    ImportedKeys,
    read_imported_keys,
    read_keys,
)
from jupyter_pdflow.stores.tinydb.folders import (
    FILES,
    SAME_NAME,
    RunFile,
    clash_of,
    flaw_of_path,
    remove_tree,
)
from jupyter_pdflow.stores.tinydb.records import QUOTED
from jupyter_pdflow.stores.tinydb.storage import TEMPORARY, move_file, sync_directory

Watch = Callable[[Sequence[Run]], Iterable[Run]]
"""Passes runs on one by one, for a progress bar."""


class Exported(NamedTuple):
    """What an export took: runs that were `copied`, runs that were `moved`, mails, files and keys."""

    copied: list[str]
    moved: list[str]
    mails: int
    files: int
    keys: int


class Keys(NamedTuple):
    """Keys for an archive: the data directory's own, and those that its runs came with."""

    own: list[str]
    imported: ImportedKeys


class RunFiles(NamedTuple):
    """A run and its records: `kept` are copied into the archive, `taken` are moved away as well.

    `files` are what its steps have saved.
    """

    run: Run
    kept: list[str]
    taken: list[str]
    files: list[RunFile]

    @property
    def moved(self) -> list[str]:
        """What is moved away, the run first of all."""
        folder = [] if self.run.ended or not self.files else [f"{FILES}/{self.run.id}"]
        return [*self.taken, *folder]


def export_runs(
    data: DataDir, target: Path, run_ids: Sequence[str], watch: Watch = iter
) -> Exported:
    """Export runs with their outputs, mails, workflow versions and, if unfinished, link keys.

    Parameters
    ----------
    data : DataDir
        Where they are.
    target : Path
        The archive to make.
    run_ids : sequence of str
        Which; all if there are none.
    watch : callable, optional
        Passes the runs on as they are read.

    Raises
    ------
    NotFoundError, ExportError, StoredFileError, DataDirLockedError
    """
    draft = target.with_name(target.name + TEMPORARY)
    with data.held("jupyter pdflow export"):
        _check_target(target, draft)
        all_files = _all_files(data, _chosen(data, run_ids))
        keys = _keys(data, all_files)
        files = sum(not file.is_folder for run_files in all_files for file in run_files.files)
        write_archive(draft, _members(data, all_files, keys, watch), _format(all_files, keys))
        _take_out(data, [name for run_files in all_files for name in run_files.moved], draft)
        draft.rename(target)
        sync_directory(target.parent)
    mails = [
        n
        for run_files in all_files
        for n in run_files.kept + run_files.taken
        if n.startswith(MESSAGES)
    ]
    return Exported(
        copied=[run_files.run.id for run_files in all_files if run_files.run.ended],
        moved=[run_files.run.id for run_files in all_files if not run_files.run.ended],
        files=files,
        mails=sum(name.endswith(".json") for name in mails),
        keys=len(keys.own) + len(keys.imported),
    )


def _format(all_files: list[RunFiles], keys: Keys) -> int:
    """Tell the lowest format that has all of this, so that older versions can read it."""
    if any(run_files.files for run_files in all_files):
        return ARCHIVE_FORMAT
    return KEYS_FORMAT if keys.imported else PLAIN_FORMAT


def _check_target(target: Path, draft: Path) -> None:
    if target.exists():
        msg = f"{target} exists already; choose another name."
        raise NotExportedError(msg)
    if draft.exists():
        msg = (
            f"{draft} is left from an export that was cut short; `jupyter pdflow import {draft}` "
            "brings its runs back. Then delete it."
        )
        raise NotExportedError(msg)


def _chosen(data: DataDir, run_ids: Sequence[str]) -> list[Run]:
    places = {run_id: room for room in reversed(RUN_ROOMS) for run_id in data.ids(room)}
    for run_id in run_ids:
        if run_id not in places:
            msg = f"There is no run {run_id!r} in {data.path}."
            raise NotFoundError(msg)
    runs = [data.read(places[run_id], run_id) for run_id in sorted(set(run_ids) or places)]
    if not runs:
        msg = f"There are no runs in {data.path}."
        raise NotFoundError(msg)
    for run in runs:
        _check(data, run)
    return runs


def _check(data: DataDir, run: Run) -> None:
    flaw = None
    if all(data.has(room, run.id) for room in RUN_ROOMS):
        flaw = "it is among the active runs and among the finished ones"
    elif not run.ended and not data.has(ACTIVE, run.id):
        flaw = "it has not ended and is among the finished runs"
    if flaw is not None:
        msg = f"Run {run.id} can't be exported: {flaw}; see `jupyter pdflow doctor`."
        raise NotExportedError(msg)


def _all_files(data: DataDir, runs: list[Run]) -> list[RunFiles]:
    mails = _mails(data)
    return [_run_files(data, run, mails[run.id]) for run in runs]


def _mails(data: DataDir) -> dict[str, list[str]]:
    """List the files of all mails by run."""
    found: dict[str, list[str]] = defaultdict(list)
    for room in MAIL_ROOMS:
        for email_id in data.ids(room):
            found[run_of(email_id)].append(room.name(email_id))
    for path in sorted((data.path / MESSAGES).glob("*.eml")):
        found[run_of(path.stem)].append(f"{MESSAGES}/{path.name}")
    return found


def _run_files(data: DataDir, run: Run, mails: list[str]) -> RunFiles:
    outputs = [OUTPUTS.name(run.id)] if data.has(OUTPUTS, run.id) else []
    files = _files(data, run)
    if not run.ended:
        return RunFiles(run, [], [ACTIVE.name(run.id), *outputs, *mails], files)
    queued = [name for name in mails if name.startswith(QUEUED.folder)]
    kept = [name for name in mails if name not in queued]
    return RunFiles(run, [*outputs, *kept], queued, files)


def _files(data: DataDir, run: Run) -> list[RunFile]:
    """List what the steps of a run have saved, once it is sure that an import will take it."""
    found = list(data.folders.walk(run.id, _raise))
    for file in found:
        flaw = flaw_of_path(file.path.removesuffix("/")) if file.path else None
        if flaw is not None:
            raise _refusal(run.id, file.path, flaw)
    clash = clash_of([file.path for file in found])
    if clash is not None:
        raise _refusal(run.id, clash, SAME_NAME)
    return found


def _refusal(run_id: str, path: str, flaw: str) -> NotExportedError:
    return NotExportedError(
        f"Run {run_id} can't be exported with its file {path[:QUOTED]!a}: {flaw}. Rename or remove "
        "that file."
    )


def _raise(error: OSError) -> NoReturn:
    raise error


def _keys(data: DataDir, all_files: list[RunFiles]) -> Keys:
    """Get the keys that are needed elsewhere; those of imported runs stay with these runs."""
    if all(run_files.run.ended for run_files in all_files):
        return Keys([], {})
    path, ids = data.path / KEYS, {run_files.run.id for run_files in all_files}
    imported = read_imported_keys(data.path / IMPORTED_KEYS)
    theirs = {key: runs & ids for key, runs in imported.items() if runs & ids}
    return Keys(read_keys(path) if path.exists() else [], theirs)


def _members(
    data: DataDir, all_files: list[RunFiles], keys: Keys, watch: Watch
) -> Iterator[Member]:
    names = {run_files.run.id: run_files.kept + run_files.taken for run_files in all_files}
    for run in watch([run_files.run for run_files in all_files]):
        if run.ended:
            folder = FINISHED if data.has(FINISHED, run.id) else ACTIVE
            yield Member(FINISHED.name(run.id), data.file(folder, run.id).read_bytes())
        for name in names[run.id]:
            yield Member(name, _read(data, name))
    for run_files in all_files:
        for file in run_files.files:
            opening = partial(_open, data, run_files.run.id, file.path)
            name = f"{FILES}/{run_files.run.id}/{file.path}"
            yield Member(name, b"" if file.is_folder else opening)
    yield from _workflows(data, [run_files.run for run_files in all_files])
    if keys.own:
        yield Member(LINK_KEYS, orjson.dumps(keys.own))
    if keys.imported:
        runs_by_key = {key: sorted(runs) for key, runs in keys.imported.items()}
        yield Member(IMPORTED_KEYS, orjson.dumps(runs_by_key))


def _read(data: DataDir, name: str) -> bytes:
    """Read a file, once it is sure that an import will be able to."""
    content = (data.path / name).read_bytes()
    for room in (OUTPUTS, QUEUED, DONE):
        if Path(name).parent == Path(room.folder):
            room.parse(content, name)
    return content


def _open(data: DataDir, run_id: str, path: str) -> BinaryIO:
    try:
        return data.folders.read(run_id, path)
    except NotFoundError as error:
        raise _refusal(run_id, path, "it can't be read") from error


def _workflows(data: DataDir, runs: list[Run]) -> Iterator[Member]:
    """Give the versions that these runs were started with, and the newest of each workflow."""
    by_workflow: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_workflow[run.workflow_id].append(run)
    for workflow_id, its_runs in by_workflow.items():
        known = data.read(WORKFLOWS, workflow_id) if data.has(WORKFLOWS, workflow_id) else None
        versions = known.versions if known else {}
        for run in its_runs:
            _check_version(run, versions)
        if known:
            wanted = {known.newest, *(run.version for run in its_runs)}
            some = {name: version for name, version in versions.items() if name in wanted}
            yield Member(
                WORKFLOWS.name(known.id), WORKFLOWS.kind.dump(replace(known, versions=some))
            )


def _check_version(run: Run, versions: dict[str, Workflow]) -> None:
    if not run.ended and run.version not in versions:
        msg = (
            f"Run {run.id} can't be exported: version {run.version} of {run.workflow_id!r}, which "
            "it was started with, is missing; see `jupyter pdflow doctor`."
        )
        raise NotExportedError(msg)


def _take_out(data: DataDir, names: list[str], draft: Path) -> None:
    """Move files into the folder of exported ones; where that fails, put them back."""
    taken: list[str] = []
    try:
        for name in names:
            _move(data.at(name), data.exported(name))
            taken.append(name)
    except BaseException:
        for name in reversed(taken):
            _move(data.exported(name), data.at(name))
        draft.unlink()
        raise


def _move(file: Path, to: Path) -> None:
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.is_dir():  # of an earlier export, whose import was cut short
        remove_tree(to)
    move_file(file, to.parent)
