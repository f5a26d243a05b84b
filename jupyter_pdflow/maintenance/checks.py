"""What can be wrong with the runs of a data directory, and with what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from jupyter_pdflow.formatting import format_duration
from jupyter_pdflow.mail.message import run_of
from jupyter_pdflow.maintenance.datadir import (
    ACTIVE,
    EXPORTED,
    FINISHED,
    OUTPUTS,
    WORKFLOWS,
    DataDir,
)
from jupyter_pdflow.maintenance.findings import Finding, Fix, Inventory
from jupyter_pdflow.stores.tinydb.storage import move_file
from jupyter_pdflow.stores.tinydb.validation import is_id

LATE = timedelta(minutes=1)
"""A timer that is later than this does not fire any more by itself."""

NAMED = 3
"""So many runs are named, the others counted."""


def misplaced(inventory: Inventory) -> Iterator[Finding]:
    """Look for runs in both folders, or in the wrong one."""
    for run_id in sorted(inventory.active.keys() & inventory.finished.keys()):
        if inventory.active[run_id] is not None and inventory.finished[run_id] is not None:
            yield _in_both(inventory, run_id)
    for run_id in sorted(inventory.active.keys() - inventory.finished.keys()):
        run = inventory.active[run_id]
        if run is not None and run.ended and inventory.holder is None:
            yield _ended(inventory.data, run_id)
    for run_id in sorted(inventory.finished.keys() - inventory.active.keys()):
        run = inventory.finished[run_id]
        if run is not None and not run.ended:
            yield Finding(
                f"Run {run_id} is {run.status}, but lies among the finished ones.",
                f"It goes on if you move its file from {FINISHED.folder} to {ACTIVE.folder} while "
                "no server runs.",
            )


def _in_both(inventory: Inventory, run_id: str) -> Finding:
    text = f"Run {run_id} lies in {ACTIVE.folder} and in {FINISHED.folder}."
    run, over = inventory.active[run_id], inventory.finished[run_id]
    wrong = ACTIVE if over is not None and over.ended else FINISHED
    fix = Fix(inventory.data.file(wrong, run_id).unlink, f"Removed {wrong.name(run_id)}.")
    if wrong is ACTIVE:
        return Finding(text, "It has ended; the next start of a server removes the older one.", fix)
    if run == over:
        return Finding(text, "They are the same, and it has not ended.", fix)
    return Finding(
        text,
        f"Servers go by the one in {ACTIVE.folder}, as the other one has not ended. Delete the "
        "one that should not be.",
    )


def _ended(data: DataDir, run_id: str) -> Finding:
    file = data.file(ACTIVE, run_id)
    return Finding(
        f"Run {run_id} has ended, but lies among the active ones.",
        "The next start of a server moves it.",
        Fix(
            partial(move_file, file, data.path / FINISHED.folder),
            f"Moved run {run_id} to the finished ones.",
        ),
    )


def unsound(inventory: Inventory) -> Iterator[Finding]:
    """Look for runs that no server can carry on."""
    for run in inventory.waiting:
        known = inventory.workflows.get(run.workflow_id)
        if known is None or run.version not in known.versions:
            yield Finding(
                f"Run {run.id} can't go on: version {run.version} of workflow "
                f"{run.workflow_id!r}, which it was started with, is missing.",
                f"Put a copy of {WORKFLOWS.name(run.workflow_id)} from a backup in its place, or "
                "deploy the notebook as it was then.",
            )
        elif known.versions[run.version].step_names != [step.name for step in run.steps]:
            yield Finding(
                f"Run {run.id} can't go on: its workflow {run.workflow_id!r} has other steps.",
                "Put a copy of both from a backup in their places.",
            )


def overdue(inventory: Inventory) -> Iterator[Finding]:
    """Look for pauses that have lasted longer than they should."""
    now = datetime.now(UTC)
    late = sorted(
        (run.pause.deadline, run.id)
        for run in inventory.waiting
        if run.pause and run.pause.deadline < now - LATE
    )
    if not late:
        return
    since = late[0][0]
    yield Finding(
        f"Paused for longer than they should be: {_some([run_id for _, run_id in late])}; the "
        f"first should have gone on at {since:%Y-%m-%d %H:%M} UTC, {format_duration(now - since)} ago.",
        "See the log of the server, which should have woken them."
        if inventory.holder
        else "Start a Jupyter server: it wakes them at once.",
    )


def orphans(inventory: Inventory) -> Iterator[Finding]:
    """Look for outputs, mails and files whose run is gone."""
    data, elsewhere = inventory.data, _elsewhere(inventory.data)
    known = inventory.active.keys() | inventory.finished.keys() | elsewhere
    sure = all(map(is_id, elsewhere))  # no run has lost its name
    for run_id in data.ids(OUTPUTS):
        if run_id not in known and inventory.holder is None:
            file = data.file(OUTPUTS, run_id)
            removed = f"Removed the outputs of run {run_id}, which is gone."
            yield Finding(
                f"There are outputs of run {run_id}, which is gone.",
                f"Delete {OUTPUTS.name(run_id)}.",
                Fix(file.unlink, removed) if sure else None,
            )
    lost = sorted({run_of(email.id) for email in inventory.emails} - known)
    if lost:
        yield Finding(
            f"There are mails of runs that are gone: {_some(lost)}.",
            "They do no harm; delete them if you don't want to keep them.",
            grave=False,
        )

    folders = [run_id for run_id in _folders(data) if run_id not in known]
    if folders:
        yield Finding(
            f"There are files of runs that are gone, or of another server: {_some(folders)}.",
            f"They do no harm; delete their folders in {data.folders.path} if you don't want to "
            "keep them.",
            grave=False,
        )


def _folders(data: DataDir) -> list[str]:
    """List the runs whose steps have saved files."""
    path = data.folders.path
    names = (each.name for each in path.iterdir() if each.is_dir()) if path.is_dir() else ()
    return sorted(name for name in names if is_id(name) and name != EXPORTED)


def _elsewhere(data: DataDir) -> set[str]:
    """List the runs that were set aside: by an export, or because they could not be read."""
    aside = [path for room in (ACTIVE, FINISHED) for path in data.path.glob(f"{room.folder}/*")]
    moved = (data.path / EXPORTED / ACTIVE.folder).glob("*")
    return {path.name.partition(".")[0] for path in [*aside, *moved]}


def _some(run_ids: list[str]) -> str:
    more = f" and {len(run_ids) - NAMED:,} more" if len(run_ids) > NAMED else ""
    return f"{', '.join(run_ids[:NAMED])}{more}"


def exported(inventory: Inventory) -> Iterator[Finding]:
    """Say which runs an export has moved out."""
    folder = inventory.data.path / EXPORTED / ACTIVE.folder
    both = f"{inventory.data.path / EXPORTED} and {inventory.data.folders.path / EXPORTED}"
    found = sorted(filter(is_id, (path.stem for path in folder.glob("*.json"))))
    if found:
        yield Finding(
            f"Moved out by an export: {_some(found)}.",
            "They go on where its archive is imported; importing it here brings them back. Once "
            f"that is done, {both} can be deleted.",
            grave=False,
        )
