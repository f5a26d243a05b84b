"""What an archive holds, read and checked: it may be damaged, or made by somebody to do harm."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, ValidationError, convert

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.mail.message import Email, run_of
from jupyter_pdflow.maintenance.archive import COPIED_AT_ONCE, LINK_KEYS, RunArchive
from jupyter_pdflow.maintenance.datadir import (
    ACTIVE,
    DONE,
    FINISHED,
    MAIL_ROOMS,
    MESSAGES,
    OUTPUTS,
    QUEUED,
    WORKFLOWS,
    Room,
)
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import version_of
from jupyter_pdflow.server.links.tokens import IMPORTED_KEYS, ImportedKeys, is_key
from jupyter_pdflow.stores.tinydb.folders import SAME_NAME, RunFolders, clash_of
from jupyter_pdflow.stores.tinydb.store import RunOutputs, Versions

R = TypeVar("R", bound=Struct)
T = TypeVar("T")
Watch = Callable[[Sequence[str]], Iterable[str]]
"""Passes names on one by one, for a progress bar."""
LONGEST_KEY = 200


class Contents:
    """The runs of an archive, and all that comes with them.

    Parameters
    ----------
    archive : Archive
        Where they are read from, each when it is asked for.
    watch : callable, optional
        Passes the runs' files on as they are checked.

    Attributes
    ----------
    places : dict
        The name of each run's file in the archive, by run id.
    mails : dict
        The names of the files of each run's mails, by run id.
    files : dict
        The names of each run's files, by run id and path; the path of an empty folder ends with a
        slash.
    workflows : dict
        The workflows, by id.
    keys : dict
        The ids of the runs whose links each key has signed, by key.

    Raises
    ------
    ArchiveError
        The archive holds something that no export writes.
    """

    def __init__(self, archive: RunArchive, watch: Watch = iter) -> None:
        self._archive = archive
        self.places = {Path(name).stem: name for name in self._names(FINISHED, ACTIVE)}
        self.mails: dict[str, list[str]] = defaultdict(list)
        for name in [*self._names(*MAIL_ROOMS), *archive.names(MESSAGES)]:
            self.mails[run_of(Path(name).stem)].append(name)
        self.files = archive.files()
        self.workflows = {Path(name).stem: self._workflow(name) for name in self._names(WORKFLOWS)}
        self.keys = self._keys()
        self._check(watch)

    def run(self, run_id: str) -> Run:
        """Read a run."""
        name = self.places[run_id]
        return self._read(ACTIVE, name)

    def outputs(self, run_id: str) -> RunOutputs | None:
        """Read a run's outputs; None where it has none."""
        name = OUTPUTS.name(run_id)
        return self._read(OUTPUTS, name) if name in self._archive else None

    def email(self, name: str) -> Email:
        """Read a mail."""
        return self._read(QUEUED, name)

    def message(self, name: str) -> bytes:
        """Read the file of a mail that was kept as one."""
        return self._archive.read(name)

    def is_file_of(self, run_id: str, path: str, files: RunFolders) -> bool:
        """Whether a file that is here already is the one of the archive."""
        crc = 0
        with files.read(run_id, path) as file:
            while part := file.read(COPIED_AT_ONCE):
                crc = zlib.crc32(part, crc)
        return crc == self._archive.crc(self.files[run_id][path])

    def parts(self, name: str) -> Iterator[bytes]:
        """Read a file of a run, part by part."""
        return self._archive.parts(name)

    def _names(self, *rooms: Room[R]) -> Iterator[str]:
        return (name for room in rooms for name in self._archive.names(room.folder))

    def _read(self, room: Room[R], name: str) -> R:
        try:
            return room.parse(self._archive.read(name), name)
        except StoredFileError as error:
            self._archive.refuse(f"holds {name}, which is no good: {error}", error)

    def _keys(self) -> ImportedKeys:
        """Read the keys: those of all runs here, and those that runs here were imported with."""
        everywhere = self._json(LINK_KEYS, list[str])
        imported = self._json(IMPORTED_KEYS, ImportedKeys)
        found = {key: self.places.keys() & runs for key, runs in imported.items()}
        found.update((key, set(self.places)) for key in everywhere)
        if not all(is_key(key) and len(key) <= LONGEST_KEY for key in found):
            self._archive.refuse("holds a key that is none")
        return found

    def _json(self, name: str, kind: Callable[[], T]) -> T:
        if name not in self._archive:
            return kind()
        try:
            found: T = convert(self._archive.json(name), kind)
        except (ValidationError, RecursionError) as error:
            self._archive.refuse(f"holds {name}, which is no good: {error}", error)
        return found

    def _workflow(self, name: str) -> Versions:
        found = self._read(WORKFLOWS, name)
        for version, workflow in found.versions.items():
            right = version_of(workflow.source) == version
            self._demand(right, name, f"version {version!r} is not what its name says")
        return found

    # --- all of it, before anything is written ---

    def _check(self, watch: Watch) -> None:
        runs = list(self._names(FINISHED, ACTIVE))
        self._demand(len(runs) == len(self.places), "a run", "it is there twice")
        for name in watch(runs):
            self._check_run(name)
        for name in self._names(OUTPUTS):
            self._demand(Path(name).stem in self.places, name, "its run is not there")
            self._read(OUTPUTS, name)
        for run_id, names in self.mails.items():
            self._check_mails(run_id, names)
        for run_id in watch(list(self.files)):
            self._check_files(run_id, self.files[run_id])

    def _check_run(self, name: str) -> None:
        run = self.run(Path(name).stem)
        ended = name.startswith(FINISHED.folder)
        self._demand(run.ended == ended, name, f"it is {run.status}")
        known = self.workflows.get(run.workflow_id)
        workflow = known.versions.get(run.version) if known else None
        self._demand(run.ended or workflow is not None, name, "its workflow is not there")
        steps = [step.name for step in run.steps]
        self._demand(
            workflow is None or workflow.step_names == steps, name, "its workflow has other steps"
        )

    def _check_mails(self, run_id: str, names: list[str]) -> None:
        self._demand(run_id in self.places, names[0], "its run is not there")
        emails = [name for name in names if name.endswith(".json")]
        ids = {Path(name).stem for name in emails}
        self._demand(len(ids) == len(emails), emails[0] if emails else "", "it is there twice")
        for name in emails:
            email = self.email(name)
            queued = name.startswith(QUEUED.folder)
            self._demand((email.status == "queued") == queued, name, f"it is {email.status}")
        for name in names:
            wanted = name in emails or DONE.name(Path(name).stem) in self._archive
            self._demand(wanted, name, "its mail is not there")
            self._archive.read(name)

    def _check_files(self, run_id: str, names: dict[str, str]) -> None:
        first = next(iter(names.values()))
        self._demand(run_id in self.places, first, "its run is not there")
        clash = clash_of(list(names))
        self._demand(clash is None, first if clash is None else names[clash], SAME_NAME)
        for name in names.values():
            for _ in self._archive.parts(name):
                pass  # reading it to its end is the check

    def _demand(self, right: bool, name: str, flaw: str) -> None:
        if not right:
            self._archive.refuse(f"holds {name}, which is no good: {flaw}")
