"""What each command of ``jupyter pdflow`` does."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from rich.table import Table

from jupyter_pdflow import formatting
from jupyter_pdflow.cli.arguments import parse
from jupyter_pdflow.cli.running import (
    STYLES,
    TemporaryServer,
    complain,
    console,
    echo,
    follow,
    print_json,
)
from jupyter_pdflow.client import Client, connect
from jupyter_pdflow.exceptions import FilesError, PDFlowError, ServerNotFoundError, UsageError
from jupyter_pdflow.settings import URL_VARIABLE

DONE, REFUSED, INTERRUPTED = 0, 2, 130
STATUS_OF = {"succeeded": 0, "failed": 1, "canceled": 3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program; `sys.argv` by default.

    Returns
    -------
    int
        The exit status: 0, 1 (the run failed), 2 (refused), 3 (canceled), 130 (interrupted).
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        given = parse(arguments)
        return COMMANDS[given.command](given)
    except PDFlowError as error:
        complain(f"jupyter pdflow: {error}")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


# --- run ------------------------------------------------------------------------------


def run(given: Namespace) -> int:
    """Deploy a notebook and run it, on a running server or on one of its own."""
    client = _server_for(given.notebook)
    if client is not None:
        return _run_on(client, given, own=None)
    own = TemporaryServer(Path(given.notebook).resolve().parent)
    kept = False
    try:
        echo("Starting a Jupyter server for this run …")
        status = _run_on(own.wait(), given, own=own)
        kept = given.detach
        return status
    finally:
        if not kept:
            own.stop()


def _server_for(notebook: str) -> Client | None:
    """Find a running server that serves the notebook; None if one has to be started."""
    if os.environ.get(URL_VARIABLE):
        return connect()
    path = _existing(notebook)
    try:
        client = connect(path=path)
    except ServerNotFoundError:
        return None
    return client if client.contains(path) else None


def _run_on(client: Client, given: Namespace, own: TemporaryServer | None) -> int:
    workflow = _deployed(client, given.notebook)
    started = client.post(f"workflows/{workflow['id']}/runs", {"event": given.event})
    echo(f"Run {started['id']} of {workflow['name']} (version {workflow['version']})")
    if given.detach:
        echo(_how_to_follow(client, started["id"], own))
        return DONE
    try:
        ended = follow(client, started, console())
    except KeyboardInterrupt:
        complain(_how_to_go_on(client, started["id"], own))
        raise
    _conclude(client, ended)
    return STATUS_OF[ended["status"]]


def _conclude(client: Client, ended: formatting.ApiObject) -> None:
    """Show what the steps printed, how the run ended, and why it failed."""
    try:
        for line in formatting.printed_lines(client.get(f"runs/{ended['id']}/notebook")):
            echo(line)
    except PDFlowError as error:
        complain(f"jupyter pdflow: what the steps printed can't be shown: {error}")
    echo(formatting.summary_line(ended))
    if ended["status"] == "failed":
        complain(formatting.traceback_text(ended))


def _how_to_follow(client: Client, run_id: str, own: TemporaryServer | None) -> str:
    seen = f"It runs on {client.url}; see it with: jupyter pdflow show {run_id}"
    if own is None:
        return seen
    return f"{seen}\nThat server was started for it and goes on; stop it with: kill {own.pid}"


def _how_to_go_on(client: Client, run_id: str, own: TemporaryServer | None) -> str:
    if own is None:
        return f"\nRun {run_id} goes on at {client.url}; see it with: jupyter pdflow show {run_id}"
    port = client.url.split("/")[2].rpartition(":")[2]
    folder = shlex.quote(str(own.root))
    data_dir = os.environ.get("JUPYTER_DATA_DIR")
    data = f"JUPYTER_DATA_DIR={shlex.quote(data_dir)} " if data_dir else ""
    return (
        f"\nRun {run_id} is kept. It goes on, and its links work again, when a server runs:\n"
        f"  {data}jupyter server --port={port} {folder}\n"
        f"  {data}jupyter pdflow show {run_id}"
    )


# --- the others -----------------------------------------------------------------------


def deploy(given: Namespace) -> int:
    """Deploy a notebook on the running server."""
    explicit = bool(os.environ.get(URL_VARIABLE))
    client = connect(path=None if explicit else _existing(given.notebook))
    workflow = _deployed(client, given.notebook)
    steps = ", ".join(workflow["steps"])
    echo(f"Workflow {workflow['id']} is at version {workflow['version']}: {steps}")
    return DONE


def _deployed(client: Client, notebook: str) -> formatting.ApiObject:
    workflow: formatting.ApiObject = client.post("workflows", {"path": client.relative(notebook)})
    for warning in workflow.get("warnings", ()):
        complain(f"jupyter pdflow: {warning}")
    return workflow


def runs(given: Namespace) -> int:
    """List runs."""
    client = connect()
    workflow = _workflow_id(client, given.workflow) if given.workflow else None
    found = client.get("runs", status=given.status, workflow=workflow, limit=given.limit)
    if given.json:
        print_json(found)
        return DONE
    if not found:
        complain("No runs.")
        return DONE
    console(wide=True).print(_table_of(found))
    return DONE


def _workflow_id(client: Client, named: str) -> str:
    """Find a workflow by its id, its name or the path of its notebook.

    Raises
    ------
    UsageError
        There is none, or several have that name.
    """
    known = client.get("workflows")
    paths = {named, client.relative(named)} if client.contains(named) else {named}
    for fits in (
        lambda workflow: workflow["id"] == named,
        lambda workflow: workflow["path"] in paths,
        lambda workflow: workflow["name"] == named,
    ):
        ids = [str(workflow["id"]) for workflow in known if fits(workflow)]
        if len(ids) == 1:
            return ids[0]
        if ids:
            msg = f"Several workflows are named {named!r}; give the id: {', '.join(ids)}."
            raise UsageError(msg)
    ids = [str(workflow["id"]) for workflow in known]
    there = f"deployed are {', '.join(ids)}" if ids else "none is deployed"
    msg = f"There is no workflow {named!r}; {there}."
    raise UsageError(msg)


def _table_of(found: list[formatting.ApiObject]) -> Table:
    table = Table("RUN", "WORKFLOW", "STATUS", "STARTED", "WAITS", box=None, pad_edge=False)
    for one in found:
        pause = one["pause"]
        table.add_row(
            one["id"],
            one["workflow_id"],
            f"[{STYLES[one['status']]}]{one['status']}[/]",
            formatting.local_time(one["created_at"]),
            f"{pause['step']} {formatting.pause_text(pause)}" if pause else "",
        )
    return table


def show(given: Namespace) -> int:
    """Show one run."""
    client = connect()
    found = client.get(f"runs/{given.run}")
    if given.json:
        print_json(found)
        return DONE
    for line in [
        *_description(found),
        *formatting.file_lines(client.get(f"runs/{given.run}/files")),
    ]:
        echo(line)
    return DONE


def _description(found: formatting.ApiObject) -> list[str]:
    made_of = f"Workflow {found['workflow_id']}, version {found['version']}"
    lines = [
        formatting.summary_line(found) if found["status"] in formatting.ENDED else _standing(found),
        f"{made_of}, started {formatting.local_time(found['created_at'])}",
        f"event: {_compact(found['event'])}",
    ]
    for step in found["steps"]:
        lines += [*formatting.step_lines(step, found), *_exports(step)]
    return [*lines, *formatting.traceback_text(found).splitlines()]


def _standing(found: formatting.ApiObject) -> str:
    return f"Run {found['id']} is {found['status']}."


def _exports(step: formatting.ApiObject) -> list[str]:
    return [f"  {name} = {_compact(value)}" for name, value in step["exports"].items()]


def resume(given: Namespace) -> int:
    """Resume a paused run."""
    found = connect().post(f"runs/{given.run}/resume", {"data": given.data})
    echo(f"Run {found['id']} is resumed.")
    return DONE


def cancel(given: Namespace) -> int:
    """Cancel a run."""
    found = connect().post(f"runs/{given.run}/cancel", {"reason": given.reason})
    echo(f"Run {found['id']} is canceled.")
    return DONE


def _keep(given: Namespace) -> int:
    """Carry out a command that works on a data directory; their imports take a while."""
    from jupyter_pdflow.cli import maintenance

    commands = {
        "doctor": maintenance.doctor,
        "export": maintenance.export,
        "import": maintenance.import_,
    }
    try:
        return commands[given.command](given)
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        msg = f"{what}. Put that right, then do this again."
        raise FilesError(msg) from error


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "run": run,
    "deploy": deploy,
    "runs": runs,
    "show": show,
    "resume": resume,
    "cancel": cancel,
    **dict.fromkeys(("doctor", "export", "import"), _keep),
}


# --- input and output -----------------------------------------------------------------


def _existing(notebook: str) -> Path:
    path = Path(notebook)
    if not path.is_file():
        msg = f"There is no notebook {notebook!r}; give the path of an .ipynb file."
        raise UsageError(msg)
    return path


def _as_interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
