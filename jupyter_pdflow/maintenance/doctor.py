"""Checks a data directory, and repairs what can be repaired without risk."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_client.kernelspec import KernelSpecManager

from jupyter_pdflow.exceptions import KeyFileError, StoredFileError
from jupyter_pdflow.formatting import format_duration
from jupyter_pdflow.maintenance import Progress
from jupyter_pdflow.maintenance.inventory import (
    Finding,
    Fix,
    Inventory,
    check_records,
    half_written,
    set_aside,
    some,
    take_inventory,
)
from jupyter_pdflow.pd.inputs import INPUTS
from jupyter_pdflow.pd.pd import FILES_ID_NAME
from jupyter_pdflow.server.links import tokens
from jupyter_pdflow.server.public_url import ORIGIN_FILE, read_origin
from jupyter_pdflow.stores.files import TEMPORARY, UNREADABLE, read_file
from jupyter_pdflow.stores.folders import FILES, is_marked
from jupyter_pdflow.stores.tinydb import layout
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, DataDir, RecordFolder
from jupyter_pdflow.stores.validation import is_id

SECRETS = (tokens.LINK_KEYS, tokens.IMPORTED_KEYS, INPUTS)
NEEDED_BYTES = 100 * 10**6
LATE = timedelta(minutes=1)  # after a pause's deadline


class Report(NamedTuple):
    """The result of an examination; `counts` has the active runs by status, and other things."""

    holder: str | None
    counts: dict[str, int]
    free: int
    findings: list[Finding]


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
    folders = (*(folder.name for folder in layout.ALL_FOLDERS), FILES)
    right = {name: data.at(name).is_dir() for name in folders}
    right[id_name] = is_marked(data.folders.path)
    for name in (name for name in right if not right[name] and os.path.lexists(data.at(name))):
        problem = f"{name} is not {'the id of a folder' if name == id_name else 'a folder'}."
        advice = "Put a copy from a backup in its place; servers set it aside."
        yield Finding(problem, advice, set_aside(data.at(name)))


def _leftovers(inventory: Inventory) -> Iterator[Finding]:
    """Find files that a crash left, that were set aside, or that have no name of a record."""
    data = inventory.data
    if inventory.holder is not None:  # its temporary files are in use
        return
    suffixes = {folder.name: folder.type.suffixes for folder in layout.ALL_FOLDERS}
    for folder in (".", layout.MESSAGES, *suffixes, FILES):
        for name in data.names(folder):
            path, printable = data.at(name), ascii(name)[1:-1]
            if name.endswith(TEMPORARY):
                cause = "by an import that was cut short" if folder == FILES else "by a crash"
                yield half_written(printable, path, cause)
            elif UNREADABLE in name:
                yield _was_set_aside(data, name, printable)
            elif path.suffix in suffixes.get(folder, ()) and not is_id(path.stem):
                problem = f"{printable} is not the name of a record."
                advice = "Give it its own name again, or delete it; servers set it aside."
                yield Finding(problem, advice, set_aside(path))


def _was_set_aside(data: DataDir, name: str, printable: str) -> Finding:
    """Return why a file was set aside, or the fix that puts it back if it can be used."""
    path, right = data.at(name), data.at(name.partition(UNREADABLE)[0])
    folder = layout.folder_of(name)
    reason = "." if folder else ": it is not a record."
    try:
        if folder is not None:
            folder.file(right.stem)
            folder.parse(data.content(name), right.name)
    except (StoredFileError, OSError) as error:
        reason = f": {error}"
    if reason != "." or (folder is not None and _is_taken(data, folder, right)):
        problem = f"{printable} was set aside, as it could not be used{reason}"
        return Finding(problem, f"Correct it and name it {right.name!a}, or delete it.")
    fix = Fix(partial(path.rename, right), f"Put {printable} back in its place.")
    return Finding(f"{printable} was set aside, but it can be used.", f"Name it {right}.", fix)


def _is_taken(data: DataDir, folder: RecordFolder[Any], right: Path) -> bool:
    """Whether there is another state of the record that was in a file, or was a newer one."""
    pairs = (layout.RUN_FOLDERS, layout.EMAIL_FOLDERS)
    same = next((pair for pair in pairs if folder in pair), (folder,))
    if os.path.lexists(right) or any(data.has(each, right.stem) for each in same):
        return True
    newer = folder.file(right.stem)
    was_newer = (name.startswith(newer + UNREADABLE) for name in data.names(folder.name))
    return not newer.endswith(right.suffix) and any(was_newer)


# --- runs and emails ----------------------------------------------------------------


def _exported(inventory: Inventory) -> Iterator[Finding]:
    """Find runs that an export has moved out."""
    data = inventory.data
    found = DataDir(data.path / layout.EXPORTED).ids(ACTIVE)
    if found:
        folders = f"{data.path / layout.EXPORTED} and {data.folders.path / layout.EXPORTED}"
        advice = "They continue on the server that imports the archive, which can be this one."
        problem = f"Moved out by an export: {some(found)}."
        yield Finding(problem, f"{advice} Then {folders} can be deleted.", grave=False)


def _overdue(inventory: Inventory) -> Iterator[Finding]:
    """Find pauses that should have ended."""
    now = datetime.now(UTC)
    pauses = ((run.pause.deadline, run.id) for run in inventory.waiting if run.pause)
    late = sorted(pair for pair in pauses if pair[0] < now - LATE)
    if late:
        since = late[0][0]
        first = f"{since:%Y-%m-%d %H:%M} UTC, {format_duration(now - since)} ago"
        runs = some(run_id for _, run_id in late)
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


# --- what a server will need ----------------------------------------------------------


def _link_keys(inventory: Inventory) -> Iterator[Finding]:
    """Find out whether the links that were made still work."""
    own, imported = map(inventory.data.at, (tokens.LINK_KEYS, tokens.IMPORTED_KEYS))
    runs, backup = {run.id for run in inventory.waiting}, "Put a copy from a backup in its place"
    try:
        runs -= set().union(*tokens.read_imported_keys(imported).values())
    except KeyFileError as error:
        problem = f"{error} The original links of imported runs don't work."
        yield Finding(problem, f"{backup}; servers set it aside.", set_aside(imported))
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
            tomllib.loads(read_file(str(inputs)).decode())
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
