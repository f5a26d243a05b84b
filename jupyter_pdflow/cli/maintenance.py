"""The commands that work on a data directory without a server, and how they find it."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_data_dir
from msgspec.json import encode
from rich.console import Console
from rich.progress import track

from jupyter_pdflow.cli.running import echo, echo_error, print_json
from jupyter_pdflow.exceptions import NotFoundError, UsageError
from jupyter_pdflow.maintenance.doctor import Report, examine, repair
from jupyter_pdflow.maintenance.inventory import Finding
from jupyter_pdflow.maintenance.transfer import Exported, Imported, export_runs, import_runs
from jupyter_pdflow.server import configuration
from jupyter_pdflow.settings import DATA_DIR_VARIABLE, DATABASE_URL_VARIABLE
from jupyter_pdflow.stores.files import read_file
from jupyter_pdflow.stores.folders import FILES, NOTE
from jupyter_pdflow.stores.tinydb.layout import EXPORTED, DataDir

T = TypeVar("T")
DONE, PROBLEMS, REFUSED = 0, 1, 2


def doctor(given: Namespace) -> int:
    """Check a data directory, and repair it with ``--repair``; or check a database."""
    database_url = given.database_url or ("" if given.data_dir else find_database_url())
    if database_url:
        return _check_database(given, database_url)
    data = _data_dir(given)
    done = repair(data, _watch) if given.repair else []
    report = examine(data, _watch)
    if given.json:
        print_json(_as_json(data, done, report))
    else:
        for line in _doctor_lines(data, done, report):
            echo(line)
    return PROBLEMS if any(finding.grave for finding in report.findings) else DONE


def _check_database(given: Namespace, url: str) -> int:
    check_database_url(url)
    if given.repair:
        msg = "--repair is for a data directory; name it with --data-dir."
        raise UsageError(msg)
    # Imported here, as only its extra installs what it needs.
    from jupyter_pdflow.maintenance.database import examine_database, place_of

    examined = examine_database(
        url,
        _watch,
        public_url=configured("public_url"),
        traits=configured_traits(),
        everything=given.all,
    )
    counts, findings = asyncio.run(examined)
    if given.json:
        print_json({"database": place_of(url), "counts": counts, **_findings_json(findings)})
    else:
        for line in [_database_line(place_of(url), counts), *_finding_lines(findings)]:
            echo(line)
    return PROBLEMS if any(finding.grave for finding in findings) else DONE


def export(given: Namespace) -> int:
    """Export runs of a data directory to an archive."""
    data, target = _data_dir(given), Path(given.file)
    for line in _export_lines(export_runs(data, target, given.runs, _watch), data, target):
        echo(line)
    return DONE


def import_(given: Namespace) -> int:
    """Import the runs of an archive into a data directory."""
    path, source = find_data_dir(given.data_dir), Path(given.file)
    if not source.is_file():
        msg = f"There is no archive {given.file!r}."
        raise UsageError(msg)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = import_runs(_data_dir(given), source, _watch, start=given.start)
    for line in _import_lines(found, path):
        echo(line)
    if found.other:
        echo_error(
            f"jupyter pdflow: not imported, as {path} has them already and they differ, "
            f"perhaps because they continued there: {', '.join(found.other)}"
        )
    return REFUSED if found.other else DONE


def _as_json(data: DataDir, done: list[str], report: Report) -> dict[str, Any]:
    return {
        "data_dir": str(data.path),
        "held_by": report.holder,
        "counts": report.counts,
        "free_bytes": report.free,
        "repaired": done,
        **_findings_json(report.findings),
    }


def _findings_json(findings: list[Finding]) -> dict[str, Any]:
    return {
        "findings": [
            {
                "problem": finding.problem,
                "advice": finding.advice,
                "grave": finding.grave,
                "repairable": finding.fix is not None,
            }
            for finding in findings
        ]
    }


def _doctor_lines(data: DataDir, done: list[str], report: Report) -> list[str]:
    holder = f"In use by {report.holder}." if report.holder else "No server works on it."
    lines = [
        f"{data.path}: {_totals(report.counts)}; {report.free / 1e9:.1f} GB free",
        holder,
        *(f"Repaired: {each}" for each in done),
    ]
    lines += _finding_lines(report.findings)
    grave = [finding for finding in report.findings if finding.grave]
    repairable = sum(finding.fix is not None for finding in grave)
    if repairable:
        lines.append(f"{repairable} of them can be repaired by: jupyter pdflow doctor --repair")
    return lines


def _finding_lines(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        kind = "Problem" if finding.grave else "Note"
        lines += [f"{kind}: {finding.problem}", f"  {finding.advice}"]
    grave = sum(finding.grave for finding in findings)
    return [*lines, f"{_count(grave, 'problem')}." if grave else "No problems."]


def _database_line(place: str, counts: dict[str, int]) -> str:
    if not counts:
        return f"{place}: not usable."
    return f"{place}: {_totals(counts)}; {_count(counts['read'], 'run')} read"


def _totals(counts: dict[str, int]) -> str:
    active = [f"{counts[status]} {status}" for status in ("queued", "running", "paused")]
    runs = ", ".join([*active, f"{counts['finished']} finished"])
    return (
        f"runs: {runs}; {_count(counts['workflows'], 'workflow')}, "
        f"{_count(counts['emails'], 'email')}"
    )


def _export_lines(done: Exported, data: DataDir, target: Path) -> list[str]:
    copied, moved = _count(len(done.copied), "run"), _count(len(done.moved), "run")
    extent = _count(done.emails, "email") + (
        f" and {_count(done.files, 'file')}" * bool(done.files)
    )
    lines = [f"Copied {copied} and moved {moved} to {target}, with {extent}."]
    if done.moved:
        lines.append(
            "What has not ended is moved, so that no timer fires twice: it continues where the "
            "archive is imported, which has to be one place. A copy is kept in "
            f"{data.path / EXPORTED}"
            + (f", files in {data.folders.path / EXPORTED}." if done.files else ".")
        )
    if done.keys:
        lines.append(
            f"The archive holds {_count(done.keys, 'link key')}: it is enough to make links for runs "
            "here. Only you can read it; delete it when it has been imported."
        )
    return lines


def _import_lines(done: Imported, path: Path) -> list[str]:
    lines = [f"Imported {_count(len(done.new), 'run')} into {path}."]
    if done.same:
        lines.append(f"Here already, and the same: {_count(len(done.same), 'run')}.")
    if done.waiting:
        lines.append(
            f"Not ended: {_count(done.waiting, 'run')}, to continue when a Jupyter server starts "
            "here. Their links now work at its address; from /pdflow/ on they are as before."
        )
    if done.held:
        lines.append(
            f"Not imported, as a server would execute them at once: {_count(len(done.held), 'run')} "
            f"({', '.join(done.held)}). Import the archive again with --start to execute them."
        )
    if done.keys:
        lines.append(
            f"Added {_count(done.keys, 'link key')}, for the links of these runs only. The archive is "
            "enough to make links for them. New links are signed with the first key in link_keys, as "
            "before."
        )
    return lines


def _data_dir(given: Namespace) -> DataDir:
    path = find_data_dir(given.data_dir)
    if not path.is_dir():
        msg = f"There is no data directory {path}; name one with --data-dir."
        raise NotFoundError(msg)
    return DataDir(path, find_files_dir(given.files_dir, path))


def find_database_url() -> str:
    """Return the URL of the database that the servers of this environment use; empty if none."""
    return os.environ.get(DATABASE_URL_VARIABLE) or configured("database_url")


def check_database_url(url: str) -> None:
    """Check that a URL can be used here.

    Raises
    ------
    UsageError
        It can't, or what a database needs is not installed.
    """
    if missing := configuration.missing_packages():
        msg = (
            f"Install what a database needs ({', '.join(missing)}): {configuration.DATABASE_EXTRA}"
        )
        raise UsageError(msg)
    if not configuration.is_database_url(url):
        msg = f"The URL of the database has to be like {configuration.DATABASE_URL}."
        raise UsageError(msg)


def find_data_dir(given: str | None) -> Path:
    """Return the data directory that was given, or that a server of this environment has."""
    chosen = given or os.environ.get(DATA_DIR_VARIABLE) or configured("data_dir")
    path = Path(chosen) if chosen else Path(jupyter_data_dir()) / "pdflow"
    return path.expanduser().absolute()


def find_files_dir(given: str | None, data_dir: Path) -> Path:
    """Return the folder of runs' files that was given, or that the latest server has noted."""
    try:
        noted = read_file(str(data_dir / NOTE)).decode("utf-8", "surrogateescape")
    except OSError:
        noted = ""
    chosen = given or noted or configured("files_dir")
    return (Path(chosen) if chosen else data_dir / FILES).expanduser().absolute()


class _Server(JupyterApp):
    """Reads the configuration files that a Jupyter server reads, in their order."""

    name = "jupyter-server"


def configured_traits() -> dict[str, str]:
    """Return the traits that processes share and that the configuration files set, as JSON."""
    values = {name: _configured(name) for name in ("people", "groups", "max_crashes")}
    return {
        name: encode(value, order="sorted").decode()
        for name, value in values.items()
        if isinstance(value, dict | int)
    }


def configured(trait: str) -> str:
    """Return what the configuration files set; a server's command line can't be known."""
    return str(_configured(trait) or "")


def _configured(trait: str) -> Any:
    app = _Server()
    app.load_config_file()
    return app.config.get("PDFlow", {}).get(trait)


def _watch(items: Sequence[T]) -> Iterable[T]:
    """Show the progress, if standard error is a terminal."""
    console = Console(stderr=True)
    return track(items, console=console, transient=True, disable=not console.is_terminal)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
