"""The command ``jupyter pdflow``: its command line, and its exit status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import msgspec

from jupyter_pdflow.exceptions import ApiError, PDFlowError
from jupyter_pdflow.rules.run import STATUSES

REFUSED, INTERRUPTED = 2, 130

SERVERS = ("serve", "worker")
"""Commands that take the options of Jupyter Server, too."""

EPILOG = (
    "Exit status: 0 success, 1 the run failed or the doctor found problems, 2 the command could not "
    "be carried out, 3 the run was canceled, 130 interrupted (the run is kept)."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command, and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; by default that of this process.

    Returns
    -------
    int
        The exit status: 0, 1 (the run failed), 2 (refused), 3 (canceled), 130 (interrupted).
    """
    # SIGTERM would end the process at once, and leave a server running that was started for a run.
    signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        options = parse(arguments)
        from jupyter_pdflow.cli.commands import COMMANDS

        return COMMANDS[options.command](options)
    except PDFlowError as error:
        sys.stderr.write(f"jupyter pdflow: {_error_text(error)}\n")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output at exit, and would print this error once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def _error_text(error: PDFlowError) -> str:
    """Return an error's message; for an invalid answer also what is wrong with each field."""
    if not isinstance(error, ApiError) or not error.errors:
        return str(error)
    from jupyter_pdflow.formatting import field_error_lines

    lines = [
        "The answer does not match the form; the run still waits.",
        *field_error_lines(error.errors),
    ]
    return "\n  ".join(lines)


def _raise_interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all errors of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ``command`` in the result names the subcommand.

    ``rest`` has the options that are Jupyter Server's, for the commands that start one.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in SERVERS:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jupyter pdflow",
        description="Run notebooks as durable workflows, and manage their runs.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, *, details: str = "") -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}. {details}".strip()
        return commands.add_parser(name, help=text, description=description, epilog=EPILOG)

    _add_run(command)
    _add_deploy(command)
    _add_runs(command)
    _add_show(command)
    _add_inbox(command)
    _add_resume(command)
    _add_reject(command)
    _add_cancel(command)
    _add_workers(command)
    _add_doctor(command)
    _add_export(command)
    _add_import(command)
    _add_migrate(command)
    _add_serve(command)
    _add_worker(command)
    return parser


def _add_run(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "The run is executed by the Jupyter server that serves the notebook. If no server does, one "
        "is started, and stopped when the run has ended. Ctrl-C keeps the run."
    )
    run = command("run", "deploy a notebook, run it and show its progress", details=details)
    _add_notebook(run)
    run.add_argument(
        "--event",
        metavar="JSON",
        type=_json("--event"),
        default=None,
        help='the event, read by the steps as pd.steps["trigger"]["event"]',
    )
    run.add_argument(
        "--detach",
        action="store_true",
        help="start the run and return; a server that was started for it keeps running",
    )


def _add_deploy(command: Callable[..., argparse.ArgumentParser]) -> None:
    deploy = command("deploy", "make the saved notebook the version that new runs use")
    _add_notebook(deploy)


def _add_runs(command: Callable[..., argparse.ArgumentParser]) -> None:
    runs = command("runs", "list runs, the newest first")
    runs.add_argument("--status", choices=STATUSES, help="only runs with this status")
    runs.add_argument(
        "--workflow",
        metavar="WORKFLOW",
        help="only runs of this workflow, given by its id, name or notebook",
    )
    for name, which in (("--since", "at this time or later"), ("--until", "before this time")):
        runs.add_argument(
            name,
            metavar="TIME",
            type=_moment,
            help=f"only runs that were created {which}: 90m, 12h or 2d ago, a date such as "
            "2026-11-28, or a time such as 2026-11-28T09:30; local, if it has no time zone",
        )
    runs.add_argument(
        "--limit", metavar="N", type=_positive_number, default=50, help="at most N runs"
    )
    _add_json(runs)


def _add_show(command: Callable[..., argparse.ArgumentParser]) -> None:
    show = command(
        "show", "show a run: its steps, exports, what it asks, decisions, links and error"
    )
    _add_run_id(show)
    _add_json(show)


def _add_inbox(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "What waits for you: each pause that you may decide, and have not answered. You are who the "
        "server says that you are; a token without a name decides only what has no approvers."
    )
    inbox = command("inbox", "list what waits for your decision", details=details)
    _add_json(inbox)


def _add_resume(command: Callable[..., argparse.ArgumentParser]) -> None:
    resume = command("resume", "resume, or approve, a paused run")
    _add_run_id(resume)
    resume.add_argument(
        "--data",
        metavar="JSON",
        type=_json("--data"),
        default=None,
        help='what the step receives, as pd.steps[STEP]["$resume_data"]["body"]; if the pause has a '
        "form, the values of its fields by name",
    )
    _add_note(resume)


def _add_reject(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = "The run ends, unless its step lets it continue (on_reject)."
    reject = command("reject", "reject what a paused run asks", details=details)
    _add_run_id(reject)
    _add_note(reject)


def _add_cancel(command: Callable[..., argparse.ArgumentParser]) -> None:
    cancel = command("cancel", "cancel a run that has not ended")
    _add_run_id(cancel)
    cancel.add_argument("--reason", metavar="TEXT", help="why; shown with the run")


def _add_workers(command: Callable[..., argparse.ArgumentParser]) -> None:
    workers = command("workers", "list the processes that execute steps, and what waits for them")
    _add_json(workers)


def _add_doctor(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "Needs no server. Changes nothing without --repair. Exit status 1 if problems remain. If a "
        "database is configured, it is checked, unless --data-dir is given."
    )
    doctor = command("doctor", "check a data directory or a database", details=details)
    _add_data_dir(doctor)
    _add_database(doctor)
    doctor.add_argument(
        "--all",
        action="store_true",
        help="read all records of a database; by default at most 10,000 runs",
    )
    doctor.add_argument(
        "--repair",
        action="store_true",
        help="fix what can be fixed without risk, and list it; no server may be running",
    )
    _add_json(doctor)


def _add_export(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "The archive is for another machine. It has the runs with their outputs, emails, files and "
        "workflow versions, and the keys of their links. Ended runs are copied. Runs that have not "
        "ended are moved, so that no timer fires twice; a copy stays in the folder exported of the "
        "data directory, and `jupyter pdflow import` brings it back. No server may be running on the "
        "data directory."
    )
    export = command("export", "move or copy runs into an archive", details=details)
    export.add_argument("file", metavar="FILE", help="the archive to make, such as runs.zip")
    export.add_argument("runs", metavar="RUN", nargs="*", help="a run's id; all runs by default")
    _add_data_dir(export)


def _add_import(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "The runs' links keep working, at the address of the new server. Existing runs are never "
        "overwritten. Use only archives that you trust: when a run continues, its steps are code "
        "that runs as you. Runs that would continue at once, because they are queued or were "
        "running, are left out without --start. No server may be running on the data directory."
    )
    import_ = command("import", "import the runs of an archive", details=details)
    import_.add_argument("file", metavar="FILE", help="an archive made by jupyter pdflow export")
    import_.add_argument(
        "--start",
        action="store_true",
        help="also import runs that are queued or were running; the next server executes them",
    )
    _add_data_dir(import_)


def _add_migrate(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "Several processes may do so at once. The role has to be allowed to create a schema in the "
        "database; it need not be a superuser."
    )
    migrate = command("migrate", "make or update the tables of a database", details=details)
    _add_database(migrate)
    migrate.add_argument(
        "--public-url",
        metavar="URL",
        help="store the address that links start with, for all processes that have no "
        "PDFlow.public_url of their own",
    )


def _add_serve(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "Serves links, the API and /metrics, and no notebooks. It is meant to be always on, while "
        "Jupyter servers come and go. Options of Jupyter Server, such as --ip, --port and "
        "--PDFlow.max_kernels=0, can follow."
    )
    serve = command("serve", "serve the workflows of a database or data directory", details=details)
    _add_database(serve)


def _add_worker(command: Callable[..., argparse.ArgumentParser]) -> None:
    details = (
        "Needs a database. SIGTERM or Ctrl-C lets the steps that are executing end first; a second "
        "one ends them, and other workers execute them again. Options of Jupyter Server, such as "
        "--gateway-url, can follow."
    )
    worker = command("worker", "execute steps for the servers of a database", details=details)
    _add_database(worker)
    worker.add_argument(
        "--kernels",
        metavar="N",
        type=_positive_number,
        help="at most N kernels; by default 1 for each CPU",
    )
    worker.add_argument(
        "--queue",
        metavar="NAME",
        action="append",
        help='only runs of this queue, see %%queue; may be repeated; by default "default"',
    )
    worker.add_argument("--name", metavar="NAME", help="its name in lists; by default HOST:PID")


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database-url",
        metavar="URL",
        help="the database; by default $JUPYTER_PDFLOW_DATABASE_URL, or PDFlow.database_url in "
        "Jupyter's configuration files",
    )


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the server's PDFlow.data_dir; by default $JUPYTER_PDFLOW_DATA_DIR, the "
        "value in Jupyter's configuration files, or the folder pdflow in Jupyter's data folder",
    )
    parser.add_argument(
        "--files-dir",
        metavar="DIR",
        help="the server's PDFlow.files_dir; by default that of the latest server here, the value "
        "in Jupyter's configuration files, or the folder files in the data directory",
    )


def _add_notebook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file")


def _add_run_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id")


def _add_note(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--note", metavar="TEXT", help="why; kept with the decision")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _json(option: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            msg = f"{text!r} is not JSON ({error}); a string needs quotes: {option} '\"text\"'"
            raise argparse.ArgumentTypeError(msg) from error

    return read


def _moment(text: str) -> datetime:
    """Return the time that a text means: so long ago, a local date, or a time of RFC 3339."""
    try:
        if text[-1:] in _UNITS:
            number = _positive_number(text[:-1])
            return datetime.now(UTC) - timedelta(seconds=number * _UNITS[text[-1]])
        return datetime.fromisoformat(text).astimezone()
    except (argparse.ArgumentTypeError, ValueError, OverflowError) as error:
        msg = f"{text!r} is not a time such as 2d, 2026-11-28 or 2026-11-28T09:30:00Z"
        raise argparse.ArgumentTypeError(msg) from error


_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
"""Seconds of the units of a time that is given as so long ago."""


def _positive_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        msg = f"{text!r} is not a positive whole number"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
