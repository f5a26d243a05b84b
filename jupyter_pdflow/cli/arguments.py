"""What ``jupyter pdflow`` understands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from jupyter_pdflow.rules.run import STATUSES

EPILOG = (
    "Exit status: 0 done (or the run succeeded), 1 the run failed, or the doctor found problems, "
    "2 the command could not be carried out, 3 the run was canceled, 130 interrupted (the run is kept)."
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all errors of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; ``command`` names the subcommand."""
    return _parser().parse_args(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jupyter pdflow",
        description="Run notebooks as durable workflows, and steer their runs.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, *, more: str = "") -> argparse.ArgumentParser:
        described = f"{text[0].upper()}{text[1:]}. {more}".strip()
        return commands.add_parser(name, help=text, description=described, epilog=EPILOG)

    _add_run(command)
    _add_deploy(command)
    _add_runs(command)
    _add_show(command)
    _add_resume(command)
    _add_cancel(command)
    _add_doctor(command)
    _add_export(command)
    _add_import(command)
    return parser


def _add_run(command: Callable[..., argparse.ArgumentParser]) -> None:
    where = (
        "It runs on the Jupyter server that serves the notebook; where there is none, on one that "
        "is started for it and stopped when the run has ended. Ctrl-C leaves the run as it is."
    )
    run = command("run", "deploy a notebook, run it and show its progress", more=where)
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
        help="start the run and return; a server started for it goes on running",
    )


def _add_deploy(command: Callable[..., argparse.ArgumentParser]) -> None:
    deploy = command("deploy", "make a notebook's steps, as saved, the version of new runs")
    _add_notebook(deploy)


def _add_runs(command: Callable[..., argparse.ArgumentParser]) -> None:
    runs = command("runs", "list runs, the newest first")
    runs.add_argument("--status", choices=STATUSES, help="only runs with this status")
    runs.add_argument(
        "--workflow",
        metavar="WORKFLOW",
        help="only runs of this workflow: its id, name or notebook",
    )
    runs.add_argument("--limit", metavar="N", type=_positive, default=50, help="at most N runs")
    _add_json(runs)


def _add_show(command: Callable[..., argparse.ArgumentParser]) -> None:
    show = command("show", "show a run: its steps, exports, links and error")
    _add_run_id(show)
    _add_json(show)


def _add_resume(command: Callable[..., argparse.ArgumentParser]) -> None:
    resume = command("resume", "resume a paused run")
    _add_run_id(resume)
    resume.add_argument(
        "--data",
        metavar="JSON",
        type=_json("--data"),
        default=None,
        help='what the step receives, as pd.steps[STEP]["$resume_data"]["body"]',
    )


def _add_cancel(command: Callable[..., argparse.ArgumentParser]) -> None:
    cancel = command("cancel", "cancel a run that has not ended")
    _add_run_id(cancel)
    cancel.add_argument("--reason", metavar="TEXT", help="why; shown with the run")


def _add_doctor(command: Callable[..., argparse.ArgumentParser]) -> None:
    more = (
        "It needs no server and changes nothing, unless it is to repair: then it mends what can "
        "be mended with no risk, and says what. Exit status 1 where problems remain."
    )
    doctor = command("doctor", "check a data directory", more=more)
    _add_data_dir(doctor)
    doctor.add_argument(
        "--repair", action="store_true", help="mend what is safe to mend; no server may run"
    )
    _add_json(doctor)


def _add_export(command: Callable[..., argparse.ArgumentParser]) -> None:
    more = (
        "For another machine: with their outputs, mails, files and workflow versions, and the keys "
        "of their links. Runs that have not ended are moved, so that no timer fires twice: they are "
        "kept in the folder exported of the data directory, and `jupyter pdflow import` brings "
        "them back. The others are copied. No server may be running on the data directory."
    )
    export = command("export", "take runs out, into an archive", more=more)
    export.add_argument("file", metavar="FILE", help="the archive to make, such as runs.zip")
    export.add_argument("runs", metavar="RUN", nargs="*", help="a run's id; all runs by default")
    _add_data_dir(export)


def _add_import(command: Callable[..., argparse.ArgumentParser]) -> None:
    more = (
        "Links that were made for them still work, at the address of the new server. What is "
        "there already is never overwritten. Use only archives that you trust: their steps are "
        "code that runs as you, when a run goes on. Runs that would do so at once, because they "
        "are queued or were running, stay out without --start. No server may be running on the "
        "data directory."
    )
    import_ = command("import", "take in the runs of an archive", more=more)
    import_.add_argument("file", metavar="FILE", help="an archive made by jupyter pdflow export")
    import_.add_argument(
        "--start",
        action="store_true",
        help="take in runs that are queued or were running too; the next server executes them",
    )
    _add_data_dir(import_)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the server's PDFlow.data_dir; by default $JUPYTER_PDFLOW_DATA_DIR, what Jupyter's "
        "configuration files say, or the folder pdflow in Jupyter's data folder",
    )
    parser.add_argument(
        "--files-dir",
        metavar="DIR",
        help="the server's PDFlow.files_dir; by default that of the latest server here, what Jupyter's "
        "configuration files say, or the folder files in the data directory",
    )


def _add_notebook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file")


def _add_run_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _json(option: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            msg = f"{text!r} is not JSON ({error}); a string needs quotes: {option} '\"text\"'"
            raise argparse.ArgumentTypeError(msg) from error

    return read


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        msg = f"{text!r} is not a number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
