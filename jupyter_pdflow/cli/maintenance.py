"""What the commands do that work on a data directory, no server needed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from jupyter_pdflow.cli.running import echo, echo_error, print_json
from jupyter_pdflow.exceptions import UsageError
from jupyter_pdflow.maintenance.datadir import EXPORTED, DataDir
from jupyter_pdflow.maintenance.doctor import Report, examine, repair
from jupyter_pdflow.maintenance.exporting import Exported, export_runs
from jupyter_pdflow.maintenance.importing import Imported, import_runs
from jupyter_pdflow.maintenance.place import find_data_dir, find_files_dir

T = TypeVar("T")
DONE, PROBLEMS, REFUSED = 0, 1, 2


def doctor(given: Namespace) -> int:
    """Check a data directory, and mend it if asked to."""
    data = _data_dir(given)
    done = repair(data, _watch) if given.repair else []
    report = examine(data, _watch)
    if given.json:
        print_json(_as_json(data, done, report))
    else:
        for line in _of_doctor(data, done, report):
            echo(line)
    return PROBLEMS if any(finding.grave for finding in report.findings) else DONE


def export(given: Namespace) -> int:
    """Take runs out of a data directory, into an archive."""
    data, target = _data_dir(given), Path(given.file)
    for line in _of_export(export_runs(data, target, given.runs, _watch), data, target):
        echo(line)
    return DONE


def import_(given: Namespace) -> int:
    """Put the runs of an archive into a data directory."""
    path, source = find_data_dir(given.data_dir), Path(given.file)
    if not source.is_file():
        msg = f"There is no archive {given.file!r}."
        raise UsageError(msg)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = import_runs(_data_dir(given), source, _watch, start=given.start)
    for line in _of_import(found, path):
        echo(line)
    if found.other:
        echo_error(
            f"jupyter pdflow: not imported, as {path} has them already and they differ, "
            f"perhaps because they went on there: {', '.join(found.other)}"
        )
    return REFUSED if found.other else DONE


def _as_json(data: DataDir, done: list[str], report: Report) -> dict[str, Any]:
    return {
        "data_dir": str(data.path),
        "held_by": report.holder,
        "counts": report.counts,
        "free_bytes": report.free,
        "repaired": done,
        "findings": [
            {
                "problem": finding.problem,
                "advice": finding.advice,
                "grave": finding.grave,
                "repairable": finding.fix is not None,
            }
            for finding in report.findings
        ],
    }


def _of_doctor(data: DataDir, done: list[str], report: Report) -> list[str]:
    holder = f"In use by {report.holder}." if report.holder else "No server works on it."
    lines = [f"{data.path}: {_stock(report)}", holder, *(f"Repaired: {each}" for each in done)]
    for finding in report.findings:
        kind = "Problem" if finding.grave else "Note"
        lines += [f"{kind}: {finding.problem}", f"  {finding.advice}"]
    grave = [finding for finding in report.findings if finding.grave]
    curable = sum(finding.fix is not None for finding in grave)
    lines.append(f"{_count(len(grave), 'problem')}." if grave else "No problems.")
    if curable:
        lines.append(f"{curable} of them can be mended by: jupyter pdflow doctor --repair")
    return lines


def _stock(report: Report) -> str:
    counts = report.counts
    going = [f"{counts[status]} {status}" for status in ("queued", "running", "paused")]
    runs = ", ".join([*going, f"{counts['finished']} finished"])
    return (
        f"runs: {runs}; {_count(counts['workflows'], 'workflow')}, "
        f"{_count(counts['mails'], 'mail')}; {report.free / 1e9:.1f} GB free"
    )


def _of_export(done: Exported, data: DataDir, target: Path) -> list[str]:
    copied, moved = _count(len(done.copied), "run"), _count(len(done.moved), "run")
    theirs = _count(done.mails, "mail") + (f" and {_count(done.files, 'file')}" * bool(done.files))
    lines = [f"Copied {copied} and moved {moved} to {target}, with {theirs}."]
    if done.moved:
        lines.append(
            "What has not ended is moved, so that no timer fires twice: it goes on where the "
            "archive is imported, which has to be one place. A copy is kept in "
            f"{data.path / EXPORTED}"
            + (f", files in {data.folders.path / EXPORTED}." if done.files else ".")
        )
    if done.keys:
        lines.append(
            f"The archive holds {_count(done.keys, 'link key')}: whoever has it can make links for "
            "runs here. It is readable by you only; delete it when it has been imported."
        )
    return lines


def _of_import(done: Imported, path: Path) -> list[str]:
    lines = [f"Imported {_count(len(done.new), 'run')} into {path}."]
    if done.same:
        lines.append(f"Here already, and the same: {_count(len(done.same), 'run')}.")
    if done.waiting:
        lines.append(
            f"Not ended: {_count(done.waiting, 'run')}, to go on when a Jupyter server is started "
            "here. Their links now work at its address; from /pdflow/ on they are as before."
        )
    if done.held:
        lines.append(
            f"Not imported, as a server would execute them at once: {_count(len(done.held), 'run')} "
            f"({', '.join(done.held)}). Import the archive again with --start to have them begin."
        )
    if done.keys:
        lines.append(
            f"Added {_count(done.keys, 'link key')}, good for the links of these runs only: whoever "
            "has the archive can make links for them. New links are signed with the key that is "
            "first in link_keys, as before."
        )
    return lines


def _data_dir(given: Namespace) -> DataDir:
    path = find_data_dir(given.data_dir)
    return DataDir(path, find_files_dir(given.files_dir, path))


def _watch(items: Sequence[T]) -> Iterable[T]:
    """Show on a terminal how far it is."""
    console = Console(stderr=True)
    return track(items, console=console, transient=True, disable=not console.is_terminal)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
