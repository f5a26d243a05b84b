"""The records of a data directory or an archive, and whether they can be used and fit each other.

The doctor reports what it finds here and in other places. An export refuses runs that can't
continue, and an import an archive with any finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from jupyter_pdflow.exceptions import HalfWrittenError, NewerFormatError, StoredFileError
from jupyter_pdflow.maintenance import Progress
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import QUOTED, Email
from jupyter_pdflow.stores.files import move_file, quarantine
from jupyter_pdflow.stores.folders import remove_tree
from jupyter_pdflow.stores.tinydb import layout
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, OUTPUTS, DataDir, RecordFolder
from jupyter_pdflow.stores.tinydb.record_types import Versions
from jupyter_pdflow.stores.validation import is_id

NAMED = 3  # runs in one finding


class Fix(NamedTuple):
    """A repair that can do no harm, and what to report when it is done."""

    apply: Callable[[], object]
    done: str


class Finding(NamedTuple):
    """Something that was found; one that is not `grave` is only worth knowing."""

    problem: str
    advice: str
    fix: Fix | None = None
    grave: bool = True


@dataclass
class Inventory:
    """The records of a data directory by id; None for a run that can't be read.

    Also None is a finished run that has ended and is not active: there may be many.
    """

    data: DataDir
    holder: str | None = None
    active: dict[str, Run | None] = field(default_factory=dict)
    finished: dict[str, Run | None] = field(default_factory=dict)
    workflows: dict[str, Versions] = field(default_factory=dict)
    emails: list[Email] = field(default_factory=list)
    unreadable: list[Finding] = field(default_factory=list)

    @property
    def waiting(self) -> list[Run]:
        """The active runs that have not ended."""
        return [run for run in self.active.values() if run is not None and not run.ended]


def take_inventory(data: DataDir, watch: Progress, holder: str | None = None) -> Inventory:
    """Read all records of a data directory, or of an archive."""
    inventory = Inventory(data, holder)
    found = [(folder, each) for folder in layout.ALL_FOLDERS for each in data.ids(folder)]
    for folder, record_id in watch(found):
        try:
            record = data.read(folder, record_id)
        except FileNotFoundError:  # a server has moved it meanwhile
            continue
        except (StoredFileError, OSError) as error:
            inventory.unreadable += _unreadable(inventory, folder, record_id, error)
            record = None
        if folder == ACTIVE:
            inventory.active[record_id] = record
        elif folder == FINISHED:
            keep = record is not None and (not record.ended or record_id in inventory.active)
            inventory.finished[record_id] = record if keep else None
        elif isinstance(record, Versions):
            inventory.workflows[record_id] = record
        elif isinstance(record, Email):
            inventory.emails.append(record)
    return inventory


def _unreadable(
    inventory: Inventory, folder: RecordFolder[Any], record_id: str, error: Exception
) -> Iterator[Finding]:
    data, name = inventory.data, inventory.data.name(folder, record_id)
    if isinstance(error, NewerFormatError):
        yield Finding(f"{name}: {error}", "Upgrade jupyter_pdflow; servers leave it alone.")
    elif not isinstance(error, HalfWrittenError) or folder != ACTIVE:
        advice = "Correct it, or put a copy from a backup in its place; servers set it aside."
        # An older file of the run goes with it: its state would undo what was answered since then.
        paths = map(data.at, filter(data.exists, folder.files(record_id)))
        yield Finding(f"{name}: {error}", advice, set_aside(*paths))
    elif inventory.holder is None:  # else it may be about to be written
        yield half_written(name, data.at(name), "by a crash")


def check_records(inventory: Inventory) -> Iterator[Finding]:
    """Find records that can't be used, or that do not fit each other."""
    yield from inventory.unreadable
    yield from check_runs(inventory)
    yield from _orphans(inventory)


def check_runs(inventory: Inventory) -> Iterator[Finding]:
    """Find runs in two files or the wrong folder, and runs without their version of a workflow."""
    yield from _older_files(inventory)
    for run_id in sorted(inventory.active.keys() | inventory.finished.keys()):
        yield from _misplaced(inventory, run_id)
    for run in inventory.waiting:
        known = inventory.workflows.get(run.workflow_id)
        workflow = known.versions.get(run.version) if known else None
        if workflow is None or workflow.step_names != [step.name for step in run.steps]:
            version = f"version {run.version[:QUOTED]!r} of workflow {run.workflow_id!r}"
            problem = f"Run {run.id} can't continue: {version} is missing, or has other steps."
            file = layout.WORKFLOWS.file(run.workflow_id)
            yield Finding(problem, f"Put a copy of {file} from a backup in its place.")


def _older_files(inventory: Inventory) -> Iterator[Finding]:
    """Find files of runs that can be read from a newer file in the same folder."""
    data = inventory.data
    known = {ACTIVE: {run.id for run in inventory.active.values() if run}}
    known[FINISHED] = set(inventory.finished)
    for folder in layout.RUN_FOLDERS if inventory.holder is None else ():
        names = [PurePosixPath(name) for name in data.names(folder.name)]
        count = Counter(name.stem for name in names if name.suffix in folder.type.suffixes)
        for run_id in known[folder] & {stem for stem, files in count.items() if files > 1}:
            used = data.name(folder, run_id)
            (name,) = set(folder.files(run_id)) - {used}
            fix = Fix(partial(data.at(name).unlink, missing_ok=True), f"Removed {name}.")
            problem = f"{name} is not used: its run is in {used}."
            yield Finding(problem, "Servers remove it when they start.", fix)


def _misplaced(inventory: Inventory, run_id: str) -> Iterator[Finding]:
    data, holder = inventory.data, inventory.holder
    active, finished = inventory.active.get(run_id), inventory.finished.get(run_id)
    if active and finished:
        yield _in_both(data, active, finished)
    elif active and active.ended and run_id not in inventory.finished and holder is None:
        file, folder = data.file(ACTIVE, run_id), data.path / FINISHED.name
        fix = Fix(partial(move_file, file, folder), f"Moved run {run_id} to {folder}.")
        problem = f"Run {run_id} has ended, but lies among the active ones."
        # A server delivers the emails of active runs only: it has to move a run that has some.
        yield Finding(problem, "A server moves it when it starts.", None if active.outbox else fix)
    elif finished and not finished.ended and run_id not in inventory.active:
        problem = f"Run {run_id} is {finished.status}, but lies among the finished ones."
        advice = f"Move its file from {FINISHED.name} to {ACTIVE.name} while no server runs."
        yield Finding(problem, advice)


def _in_both(data: DataDir, active: Run, finished: Run) -> Finding:
    wrong = ACTIVE if finished.ended else FINISHED
    fix = Fix(data.file(wrong, active.id).unlink, f"Removed {data.name(wrong, active.id)}.")
    problem = f"Run {active.id} lies in {ACTIVE.name} and in {FINISHED.name}."
    if finished.ended:
        return Finding(problem, "The next start of a server removes the active one.", fix)
    advice = f"Neither has ended, and servers use the one in {ACTIVE.name}. Delete the wrong one."
    return Finding(problem, advice, fix if active == finished else None)


def _orphans(inventory: Inventory) -> Iterator[Finding]:
    """Find outputs, emails and files of runs that do not exist."""
    data, elsewhere = inventory.data, _ids_elsewhere(inventory.data)
    known = inventory.active.keys() | inventory.finished.keys() | elsewhere
    # A run that was set aside under a name that is not its id may be the owner.
    sure = all(map(is_id, elsewhere))
    for run_id in data.ids(OUTPUTS) if inventory.holder is None else ():
        if run_id not in known:
            problem = f"There are outputs of run {run_id}, which is gone."
            fix = Fix(data.file(OUTPUTS, run_id).unlink, f"Removed {OUTPUTS.file(run_id)}.")
            yield Finding(problem, f"Delete {OUTPUTS.file(run_id)}.", fix if sure else None)
    advice = "They do no harm; delete them if you don't want to keep them"
    if lost := {email.run_id for email in inventory.emails} - known:
        problem = f"There are emails of runs that no longer exist: {some(lost)}."
        yield Finding(problem, f"{advice}.", grave=False)
    if lost := data.runs_with_files() - known:
        problem = f"There are files of runs that are gone, or of another server: {some(lost)}."
        yield Finding(problem, f"{advice}: {data.folders.path}.", grave=False)


def _ids_elsewhere(data: DataDir) -> set[str]:
    """Return the ids of runs that an export has moved out, or that were set aside."""
    folders = (*(folder.name for folder in layout.RUN_FOLDERS), f"{layout.EXPORTED}/{ACTIVE.name}")
    names = (name.rpartition("/")[2] for folder in folders for name in data.names(folder))
    return {name.partition(".")[0] for name in names}


# --- fixes ----------------------------------------------------------------------------


def set_aside(*paths: Path) -> Fix:
    """Return the fix that sets files or a folder aside."""

    def apply() -> None:
        for path in paths:
            quarantine(path)

    return Fix(apply, f"Set {ascii(', '.join(map(str, paths)))[1:-1]} aside.")


def half_written(name: str, path: Path, cause: str) -> Finding:
    """Return the finding that a file was left half-written."""
    fix = Fix(partial(remove_tree, path), f"Removed {name}.")
    return Finding(f"{name} was left half-written {cause}.", "It is of no use.", fix)


def some(run_ids: Iterable[str]) -> str:
    """Return the first ids of runs, and the number of the others."""
    found = sorted(run_ids)
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return f"{', '.join(found[:NAMED])}{more}"
