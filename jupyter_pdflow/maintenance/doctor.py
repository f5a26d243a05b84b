"""Examines a data directory, and mends what is safe to mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.maintenance import checks, environment_checks, files
from jupyter_pdflow.maintenance.archive import free_bytes
from jupyter_pdflow.maintenance.datadir import (
    ACTIVE,
    FINISHED,
    MAIL_ROOMS,
    ROOMS,
    WORKFLOWS,
    DataDir,
    Room,
)
from jupyter_pdflow.maintenance.findings import Finding, Inventory

Watch = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes what is read on, one by one, for a progress bar."""


class Report(NamedTuple):
    """What an examination came to; `counts` has the active runs by status, and other things."""

    holder: str | None
    counts: dict[str, int]
    free: int
    findings: list[Finding]


def examine(data: DataDir, watch: Watch = iter) -> Report:
    """Look at all that lies in a data directory, and change nothing."""
    return _examine(data, data.lock.holder(), watch)


def repair(data: DataDir, watch: Watch = iter) -> list[str]:
    """Mend what can be mended without risk, and tell what was done.

    Raises
    ------
    DataDirLockedError
        A server is at work here; nothing was done.
    """
    with data.held("jupyter pdflow doctor"):
        return [_mend(finding) for finding in _examine(data, None, watch).findings if finding.fix]


def _mend(finding: Finding) -> str:
    assert finding.fix is not None  # noqa: S101  only those are mended
    try:
        finding.fix.do()
    except OSError as error:
        return f"This could not be mended ({error}): {finding.problem}"
    return finding.fix.done


def _examine(data: DataDir, holder: str | None, watch: Watch) -> Report:
    inventory, bad = _read(data, holder, watch)
    findings = [
        *files.modes(data),
        *files.folders(data),
        *files.mark(data),
        *(files.leftovers(data) if holder is None else ()),
        *bad,
        *checks.misplaced(inventory),
        *checks.unsound(inventory),
        *checks.overdue(inventory),
        *checks.orphans(inventory),
        *environment_checks.keys(inventory),
        *environment_checks.imported_keys(data),
        *environment_checks.inputs(data),
        *environment_checks.address(data),
        *environment_checks.room(data),
        *environment_checks.kernels(inventory),
        *environment_checks.mail(inventory),
        *checks.exported(inventory),
    ]
    return Report(holder, _counts(inventory), free_bytes(data.path), findings)


def _read(data: DataDir, holder: str | None, watch: Watch) -> tuple[Inventory, list[Finding]]:
    inventory, bad = Inventory(data, holder), list[Finding]()
    rooms: tuple[Room[Any], ...] = ROOMS
    for room, record_id in watch([(each, name) for each in rooms for name in data.ids(each)]):
        try:
            record = data.read(room, record_id)
        except FileNotFoundError:  # a server has moved it meanwhile
            continue
        except (StoredFileError, OSError) as error:
            bad.append(files.unreadable(data, room.name(record_id), error))
            record = None
        _put(inventory, room, record_id, record)
    return inventory, bad


def _put(inventory: Inventory, room: Room[Any], record_id: str, record: Any) -> None:
    if room is ACTIVE:
        inventory.active[record_id] = record
    elif room is FINISHED:
        wanted = record is not None and (not record.ended or record_id in inventory.active)
        inventory.finished[record_id] = record if wanted else None
    elif room is WORKFLOWS and record is not None:
        inventory.workflows[record_id] = record
    elif room in MAIL_ROOMS and record is not None:
        inventory.emails.append(record)


def _counts(inventory: Inventory) -> dict[str, int]:
    waiting = Counter(run.status for run in inventory.waiting)
    return {
        **{status: waiting[status] for status in ("queued", "running", "paused")},
        "finished": len(inventory.finished),
        "workflows": len(inventory.workflows),
        "mails": len(inventory.emails),
    }
