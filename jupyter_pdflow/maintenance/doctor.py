"""Checks a data directory, and repairs what can be repaired without risk."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jupyter_client.kernelspec import KernelSpecManager

from jupyter_pdflow.exceptions import KeyFileError, NewerFormatError, StoredFileError
from jupyter_pdflow.formatting import format_duration
from jupyter_pdflow.maintenance import Progress
from jupyter_pdflow.pd.inputs import INPUTS
from jupyter_pdflow.pd.pd import FILES_ID_NAME
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.links import tokens
from jupyter_pdflow.server.public_url import ORIGIN_FILE, read_origin
from jupyter_pdflow.stores import Email
from jupyter_pdflow.stores.tinydb import layout, storage
from jupyter_pdflow.stores.tinydb.folders import FILES, is_marked, remove_tree
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, FINISHED, OUTPUTS, DataDir
from jupyter_pdflow.stores.tinydb.records import QUOTED, UNREADABLE, quarantine
from jupyter_pdflow.stores.tinydb.validation import is_id

SECRETS = (tokens.LINK_KEYS, tokens.IMPORTED_KEYS, INPUTS)
NEEDED_BYTES = 100 * 10**6
LATE = timedelta(minutes=1)  # after a pause's deadline
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


class Report(NamedTuple):
    """The result of an examination; `counts` has the active runs by status, and other things."""

    holder: str | None
    counts: dict[str, int]
    free: int
    findings: list[Finding]


@dataclass
class Inventory:
    """The records of a data directory by id; None for a run that can't be read.

    Also None is a finished run that has ended and is not active: there may be many.
    """

    data: DataDir
    holder: str | None = None
    active: dict[str, Run | None] = field(default_factory=dict)
    finished: dict[str, Run | None] = field(default_factory=dict)
    workflows: dict[str, layout.Versions] = field(default_factory=dict)
    emails: list[Email] = field(default_factory=list)
    unreadable: list[Finding] = field(default_factory=list)

    @property
    def waiting(self) -> list[Run]:
        """The active runs that have not ended."""
        return [run for run in self.active.values() if run is not None and not run.ended]


def examine(data: DataDir, watch: Progress = iter, *, needed_bytes: int = NEEDED_BYTES) -> Report:
    """Check all of a data directory, whose disk should have `needed_bytes`, and change nothing."""
    inventory = take_inventory(data, watch, layout.DataLock(data.path).holder())
    free, findings = shutil.disk_usage(data.path).free, _findings(inventory)
    if free < needed_bytes:
        problem = f"The disk of {data.path} has {free / 1e6:.0f} MB left."
        findings.append(Finding(problem, "Make room: no run continues while the disk is full."))
    waiting = Counter(run.status for run in inventory.waiting)
    counts = {status: waiting[status] for status in ("queued", "running", "paused")}
    counts |= {"finished": len(inventory.finished), "workflows": len(inventory.workflows)}
    return Report(inventory.holder, {**counts, "emails": len(inventory.emails)}, free, findings)


def repair(data: DataDir, watch: Progress = iter) -> list[str]:
    """Repair what can be repaired without risk, and return what was done.

    Raises
    ------
    DataDirLockedError
        A server or a command holds the directory; nothing was done.
    """
    with layout.DataLock(data.path).held("jupyter pdflow doctor"):
        findings = _findings(take_inventory(data, watch))
        return [_apply(finding.fix, finding.problem) for finding in findings if finding.fix]


def _apply(fix: Fix, problem: str) -> str:
    try:
        fix.apply()
    except OSError as error:
        return f"This could not be repaired ({error}): {problem}"
    return fix.done


def take_inventory(data: DataDir, watch: Progress, holder: str | None = None) -> Inventory:
    """Read all records of a data directory, or of an archive."""
    inventory = Inventory(data, holder)
    found = [(folder, each) for folder in layout.FOLDERS for each in data.ids(folder)]
    for folder, record_id in watch(found):
        try:
            record = data.read(folder, record_id)
        except FileNotFoundError:  # a server has moved it meanwhile
            continue
        except (StoredFileError, OSError) as error:
            inventory.unreadable.append(_unreadable(data, data.name(folder, record_id), error))
            record = None
        if folder == ACTIVE:
            inventory.active[record_id] = record
        elif folder == FINISHED:
            keep = record is not None and (not record.ended or record_id in inventory.active)
            inventory.finished[record_id] = record if keep else None
        elif isinstance(record, layout.Versions):
            inventory.workflows[record_id] = record
        elif isinstance(record, Email):
            inventory.emails.append(record)
    return inventory


def _unreadable(data: DataDir, name: str, error: StoredFileError | OSError) -> Finding:
    if isinstance(error, NewerFormatError):
        return Finding(f"{name}: {error}", "Upgrade jupyter_pdflow; servers leave it alone.")
    advice = "Correct it, or put a copy from a backup in its place; servers set it aside."
    return Finding(f"{name}: {error}", advice, _quarantine(data.path / name))


def _findings(inventory: Inventory) -> list[Finding]:
    files = (_modes, _replaced, _leftovers)
    others = (_overdue, _link_keys, _settings, _kernelspecs, _queued_emails, _exported)
    checks: tuple[Callable[[Inventory], Iterable[Finding]], ...] = (*files, check_records, *others)
    return [finding for check in checks for finding in check(inventory)]


# --- files ----------------------------------------------------------------------------


def _modes(inventory: Inventory) -> Iterator[Finding]:
    """Find what other users of the machine can read."""
    path = inventory.data.path
    for each, mode in ((path, 0o700), *((path / name, 0o600) for name in SECRETS)):
        found = each.stat().st_mode & 0o777 if os.name == "posix" and each.exists() else mode
        if found & 0o077:
            problem = f"{each} can be used by others (mode {found:o})."
            fix = Fix(partial(each.chmod, mode), f"Made {each} yours alone.")
            yield Finding(problem, f"Make it yours alone: chmod {mode:o} {each}", fix)


def _replaced(inventory: Inventory) -> Iterator[Finding]:
    """Find what is in the place of a folder, or of the id that kernels look for in one."""
    data, id_name = inventory.data, f"{FILES}/{FILES_ID_NAME}"
    folders = (*(folder.name for folder in layout.FOLDERS), FILES)
    right = {name: data.at(name).is_dir() for name in folders}
    right[id_name] = is_marked(data.folders.path)
    for name in (name for name in right if not right[name] and os.path.lexists(data.at(name))):
        problem = f"{name} is not {'the id of a folder' if name == id_name else 'a folder'}."
        advice = "Put a copy from a backup in its place; servers set it aside."
        yield Finding(problem, advice, _quarantine(data.at(name)))


def _leftovers(inventory: Inventory) -> Iterator[Finding]:
    """Find files that a crash left, that were set aside, or that have no name of a record."""
    data = inventory.data
    if inventory.holder is not None:  # its temporary files are in use
        return
    suffixes = {folder.name: folder.type.suffixes for folder in layout.FOLDERS}
    for folder in (".", layout.MESSAGES, *suffixes, FILES):
        for name in data.names(folder):
            path, printable = data.at(name), ascii(name)[1:-1]
            if name.endswith(storage.TEMPORARY):
                cause = "by an import that was cut short" if folder == FILES else "by a crash"
                problem = f"{printable} was left half-written {cause}."
                fix = Fix(partial(remove_tree, path), f"Removed {printable}.")
                yield Finding(problem, "It is of no use.", fix)
            elif UNREADABLE in name:
                yield _set_aside(data, name, printable)
            elif path.suffix in suffixes.get(folder, ()) and not is_id(path.stem):
                problem = f"{printable} is not the name of a record."
                advice = "Give it its own name again, or delete it; servers set it aside."
                yield Finding(problem, advice, _quarantine(path))


def _set_aside(data: DataDir, name: str, printable: str) -> Finding:
    """Return why a file was set aside, or the fix that puts it back if it can be used."""
    path, right = data.at(name), data.at(name.partition(UNREADABLE)[0])
    folder, pairs = layout.folder_of(name), (layout.RUN_FOLDERS, layout.EMAIL_FOLDERS)
    same = next((pair for pair in pairs if folder in pair), (folder,) if folder else ())
    taken = is_id(right.stem) and any(data.has(each, right.stem) for each in same)
    taken = taken or os.path.lexists(right)
    reason = "." if folder else ": it is not a record."
    try:
        if folder is not None:
            folder.file(right.stem)
            folder.parse(data.content(name), right.name)
    except (StoredFileError, OSError) as error:
        reason = f": {error}"
    if taken or reason != ".":
        problem = f"{printable} was set aside, as it could not be used{reason}"
        return Finding(problem, f"Correct it and name it {right.name!a}, or delete it.")
    fix = Fix(partial(path.rename, right), f"Put {printable} back in its place.")
    return Finding(f"{printable} was set aside, but it can be used.", f"Name it {right}.", fix)


def _quarantine(path: Path) -> Fix:
    return Fix(partial(quarantine, path), f"Set {ascii(str(path))[1:-1]} aside.")


# --- records --------------------------------------------------------------------------


def check_records(inventory: Inventory) -> Iterator[Finding]:
    """Find records that can't be used, or that do not fit each other."""
    yield from inventory.unreadable
    yield from check_runs(inventory)
    yield from _orphans(inventory)


def check_runs(inventory: Inventory) -> Iterator[Finding]:
    """Find runs in the wrong folder, and runs without their version of a workflow."""
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


def _misplaced(inventory: Inventory, run_id: str) -> Iterator[Finding]:
    data, holder = inventory.data, inventory.holder
    active, finished = inventory.active.get(run_id), inventory.finished.get(run_id)
    if active and finished:
        yield _in_both(data, active, finished)
    elif active and active.ended and run_id not in inventory.finished and holder is None:
        file, folder = data.file(ACTIVE, run_id), data.path / FINISHED.name
        fix = Fix(partial(storage.move_file, file, folder), f"Moved run {run_id} to {folder}.")
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
        problem = f"There are emails of runs that no longer exist: {_some(lost)}."
        yield Finding(problem, f"{advice}.", grave=False)
    if lost := data.runs_with_files() - known:
        problem = f"There are files of runs that are gone, or of another server: {_some(lost)}."
        yield Finding(problem, f"{advice}: {data.folders.path}.", grave=False)


def _ids_elsewhere(data: DataDir) -> set[str]:
    """Return the ids of runs that an export has moved out, or that were set aside."""
    folders = (*(folder.name for folder in layout.RUN_FOLDERS), f"{layout.EXPORTED}/{ACTIVE.name}")
    names = (name.rpartition("/")[2] for folder in folders for name in data.names(folder))
    return {name.partition(".")[0] for name in names}


def _exported(inventory: Inventory) -> Iterator[Finding]:
    """Find runs that an export has moved out."""
    data = inventory.data
    found = DataDir(data.path / layout.EXPORTED).ids(ACTIVE)
    if found:
        folders = f"{data.path / layout.EXPORTED} and {data.folders.path / layout.EXPORTED}"
        advice = "They continue on the server that imports the archive, which can be this one."
        problem = f"Moved out by an export: {_some(found)}."
        yield Finding(problem, f"{advice} Then {folders} can be deleted.", grave=False)


def _overdue(inventory: Inventory) -> Iterator[Finding]:
    """Find pauses that should have ended."""
    now = datetime.now(UTC)
    pauses = ((run.pause.deadline, run.id) for run in inventory.waiting if run.pause)
    late = sorted(pair for pair in pauses if pair[0] < now - LATE)
    if late:
        since = late[0][0]
        first = f"{since:%Y-%m-%d %H:%M} UTC, {format_duration(now - since)} ago"
        runs = _some(run_id for _, run_id in late)
        problem = f"Overdue pauses: {runs}; the first should have ended at {first}."
        advice = "A Jupyter server resumes them when it starts; if one runs here, see its log."
        yield Finding(problem, advice)


def _queued_emails(inventory: Inventory) -> Iterator[Finding]:
    queued = [email for email in inventory.emails if email.status == "queued"]
    errors = [f"; the latest error: {email.error}" for email in queued if email.error]
    if queued:
        problem = f"Emails still to be delivered: {len(queued)}{errors[-1] if errors else '.'}"
        advice = "A server delivers them by PDFlow.smtp_url; without it, it keeps them as files."
        yield Finding(problem, advice, grave=False)


def _some(run_ids: Iterable[str]) -> str:
    found = sorted(run_ids)
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return f"{', '.join(found[:NAMED])}{more}"


# --- what a server will need ----------------------------------------------------------


def _link_keys(inventory: Inventory) -> Iterator[Finding]:
    """Find out whether the links that were made still work."""
    own, imported = map(inventory.data.at, (tokens.LINK_KEYS, tokens.IMPORTED_KEYS))
    runs, backup = {run.id for run in inventory.waiting}, "Put a copy from a backup in its place"
    try:
        runs -= set().union(*tokens.read_imported_keys(imported).values())
    except KeyFileError as error:
        problem = f"{error} The original links of imported runs don't work."
        yield Finding(problem, f"{backup}; servers set it aside.", _quarantine(imported))
    try:
        if own.exists():
            tokens.stored_keys(own)
        elif runs:
            problem = "The file of link keys is missing: no link of a run that has not ended works."
            yield Finding(problem, f"{backup}: {own}. Buttons work without.")
    except KeyFileError:
        problem = f"{own} can't be used, so no server can open this data directory."
        yield Finding(problem, f"{backup}. Deleting it makes all links invalid that were made.")


def _settings(inventory: Inventory) -> Iterator[Finding]:
    """Find out whether ``pd.inputs`` and the address of links can be read."""
    inputs, address = map(inventory.data.at, (INPUTS, ORIGIN_FILE))
    try:
        if inputs.exists():
            tomllib.loads(storage.read_file(str(inputs)).decode())
    except (OSError, ValueError, RecursionError) as error:
        yield Finding(f"{inputs} can't be read: {error}.", "Correct it; steps that use it fail.")
    if address.exists() and read_origin(address) is None:
        problem = f"{address} holds no address that links can start with."
        yield Finding(problem, "The next server learns it from its first request.", grave=False)


def _kernelspecs(inventory: Inventory) -> Iterator[Finding]:
    """Find versions of workflows whose kernelspec is not installed."""
    installed = KernelSpecManager().find_kernel_specs()
    used = {(run.workflow_id, run.version) for run in inventory.waiting}
    for known in inventory.workflows.values():
        for version, workflow in known.versions.items():
            kernel = workflow.source.kernel_name
            needed = version == known.newest or (known.id, version) in used
            if needed and kernel not in installed:
                problem = (
                    f"Workflow {known.id!r}, version {version}, needs the kernelspec {kernel!r}"
                )
                advice = "Install it; or run this in the environment of the server."
                yield Finding(f"{problem}, which is not there.", advice)
