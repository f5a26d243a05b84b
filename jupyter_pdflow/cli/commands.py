"""The commands of ``jupyter pdflow``."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from jupyter_pdflow import formatting
from jupyter_pdflow.cli.running import (
    STYLES,
    TemporaryServer,
    console,
    echo,
    echo_error,
    follow,
    print_json,
)
from jupyter_pdflow.client import Client, connect
from jupyter_pdflow.exceptions import FilesError, PDFlowError, ServerNotFoundError, UsageError
from jupyter_pdflow.models import Run, RunItem, Step, Worker, Workflow
from jupyter_pdflow.settings import URL_VARIABLE

DONE = 0
EXIT_STATUSES = {"succeeded": DONE, "failed": 1, "canceled": 3}
INBOX_HINT = (
    "See what is asked: jupyter pdflow show RUN\n"
    "Decide: jupyter pdflow resume RUN [--data JSON] [--note TEXT]\n"
    "    or: jupyter pdflow reject RUN [--note TEXT]"
)


# --- run ------------------------------------------------------------------------------


def run(options: Namespace) -> int:
    """Deploy a notebook and run it, on a running server or on a temporary one."""
    client = _server_for(options.notebook)
    if client is not None:
        return _run_on(client, options, temporary=None)
    server = TemporaryServer(Path(options.notebook).resolve().parent)
    keep_running = False
    try:
        echo("Starting a Jupyter server for this run …")
        status = _run_on(server.wait(), options, temporary=server)
        keep_running = options.detach
        return status
    finally:
        if not keep_running:
            server.stop()


def _server_for(notebook: str) -> Client | None:
    """Return a running server that serves the notebook, or None if one has to be started."""
    if os.environ.get(URL_VARIABLE):
        return connect()
    path = _check_notebook(notebook)
    try:
        client = connect(path=path)
    except ServerNotFoundError:
        return None
    return client if client.contains(path) else None


def _run_on(client: Client, options: Namespace, temporary: TemporaryServer | None) -> int:
    workflow = _deploy(client, options.notebook)
    started = client.start(workflow.id, options.event, by="cli")
    echo(
        f"Run {started.id} of {workflow.name}, {formatting.version_text(workflow.number, workflow.version)}"
    )
    if options.detach:
        echo(_detached_text(client, started.id, temporary))
        return DONE
    try:
        ended = follow(client, started, console())
    except KeyboardInterrupt:
        echo_error(_interrupted_text(client, started.id, temporary))
        raise
    _print_result(client, ended)
    return EXIT_STATUSES[ended.status]


def _print_result(client: Client, ended: Run) -> None:
    """Print the output of the steps, how the run ended, and the traceback if it failed."""
    try:
        for line in formatting.printed_lines(client.run_notebook(ended.id)):
            echo(line)
    except PDFlowError as error:
        echo_error(f"jupyter pdflow: the output of the steps can't be shown: {error}")
    echo(formatting.summary_line(ended))
    if ended.status == "failed":
        echo_error(formatting.traceback_text(ended))


def _detached_text(client: Client, run_id: str, temporary: TemporaryServer | None) -> str:
    text = f"The run is executed at {client.url}; see it with: jupyter pdflow show {run_id}"
    if temporary is None:
        return text
    return f"{text}\nThis server was started for the run. Stop it with: kill {temporary.pid}"


def _interrupted_text(client: Client, run_id: str, temporary: TemporaryServer | None) -> str:
    if temporary is None:
        return (
            f"\nRun {run_id} continues at {client.url}; see it with: jupyter pdflow show {run_id}"
        )
    # The run's links name the port, and the run is in the data directory.
    port = client.url.split("/")[2].rpartition(":")[2]
    folder = shlex.quote(str(temporary.root))
    data_dir = os.environ.get("JUPYTER_DATA_DIR")
    environment = f"JUPYTER_DATA_DIR={shlex.quote(data_dir)} " if data_dir else ""
    return (
        f"\nRun {run_id} is kept. It continues, and its links work again, once a server runs:\n"
        f"  {environment}jupyter server --port={port} {folder}\n"
        f"  {environment}jupyter pdflow show {run_id}"
    )


# --- the other commands ---------------------------------------------------------------


def deploy(options: Namespace) -> int:
    """Deploy a notebook on the running server."""
    is_named = bool(os.environ.get(URL_VARIABLE))
    client = connect(path=None if is_named else _check_notebook(options.notebook))
    workflow = _deploy(client, options.notebook)
    steps = ", ".join(workflow.steps)
    version = formatting.version_text(workflow.number, workflow.version)
    echo(f"Workflow {workflow.id} is at {version}: {steps}")
    return DONE


def _deploy(client: Client, notebook: str) -> Workflow:
    workflow = client.deploy(client.relative(notebook))
    for warning in workflow.warnings:
        echo_error(f"jupyter pdflow: {warning}")
    return workflow


def runs(options: Namespace) -> int:
    """List runs."""
    client = connect()
    workflow = _workflow_id(client, options.workflow) if options.workflow else None
    listed = client.runs(
        status=options.status,
        workflow=workflow,
        since=options.since,
        until=options.until,
        limit=options.limit,
    )
    if options.json:
        print_json(listed)
        return DONE
    if not listed:
        echo_error("No runs.")
        return DONE
    console(wide=True).print(_table(listed))
    return DONE


def workers(options: Namespace) -> int:
    """List the processes that execute steps, and what waits for them."""
    health = connect().health()
    if options.json:
        print_json(health)
        return DONE
    if health.workers:
        console(wide=True).print(_workers_table(health.workers))
    else:
        echo("No worker: start one with `jupyter pdflow worker`.")
    since = health.oldest_queued_at
    waiting = f" (the first since {formatting.local_time(since)})" if since else ""
    echo(f"{health.queued} queued{waiting}, {health.running} running, {health.paused} paused.")
    return DONE


def _workers_table(workers: list[Worker]) -> Table:
    table = Table("WORKER", "HOST", "QUEUES", "KERNELS", "BUSY", "SEEN", box=None, pad_edge=False)
    for each in workers:
        queues = ", ".join(each.queues)
        seen = formatting.local_time(each.seen_at)
        cells = [each.name, each.host, queues, str(each.kernels), str(each.busy), seen]
        # A plain cell would be read as markup, which a name may contain by chance.
        table.add_row(*map(Text, cells))
    return table


def _workflow_id(client: Client, given: str) -> str:
    """Return the id of a workflow that is given by its id, its notebook's path or its name.

    Raises
    ------
    UsageError
        There is no such workflow, or several have that name.
    """
    workflows = client.workflows()
    paths = {given, client.relative(given)} if client.contains(given) else {given}
    for matches in (
        lambda workflow: workflow.id == given,
        lambda workflow: workflow.path in paths,
        lambda workflow: workflow.name == given,
    ):
        ids = [workflow.id for workflow in workflows if matches(workflow)]
        if len(ids) == 1:
            return ids[0]
        if ids:
            msg = f"Several workflows are named {given!r}; give the id: {', '.join(ids)}."
            raise UsageError(msg)
    ids = [workflow.id for workflow in workflows]
    deployed = f"deployed are {', '.join(ids)}" if ids else "none is deployed"
    msg = f"There is no workflow {given!r}; {deployed}."
    raise UsageError(msg)


def _table(listed: list[RunItem]) -> Table:
    table = Table("RUN", "WORKFLOW", "STATUS", "STARTED", "WAITS", box=None, pad_edge=False)
    for item in listed:
        pause = item.pause
        table.add_row(
            item.id,
            item.workflow_id,
            f"[{STYLES[item.status]}]{item.status}[/]",
            formatting.local_time(item.created_at),
            f"{pause.step} {formatting.pause_text(pause)}" if pause else "",
        )
    return table


def show(options: Namespace) -> int:
    """Show one run."""
    client = connect()
    found = client.run(options.run)
    if options.json:
        print_json(found)
        return DONE
    for line in [
        *_description(found),
        *formatting.file_lines(client.run_files(options.run)),
        *formatting.email_lines(client.emails(options.run)),
    ]:
        echo(line)
    return DONE


def _description(found: Run) -> list[str]:
    version = formatting.version_text(found.version_number, found.version)
    has_ended = found.status in formatting.ENDED
    lines = [
        formatting.summary_line(found) if has_ended else f"Run {found.id} is {found.status}.",
        f"Workflow {found.workflow_id}, {version}, started {formatting.local_time(found.created_at)}",
        f"event: {_compact(found.event)}",
    ]
    for step in found.steps:
        lines += [*formatting.step_lines(step, found), *_exports(step)]
    lines += formatting.decision_lines(found)
    return [*lines, *formatting.traceback_text(found).splitlines()]


def _exports(step: Step) -> list[str]:
    return [f"  {name} = {_compact(value)}" for name, value in step.exports.items()]


def resume(options: Namespace) -> int:
    """Resume, or approve, a paused run."""
    found = connect().resume(options.run, options.data, by="cli", note=options.note)
    if found.pause is not None:
        echo(f"Run {found.id}: counted; {formatting.missing_text(found.pause)}.")
    else:
        is_approved = found.decisions[-1].outcome == "approved"
        echo(f"Run {found.id} is {'approved' if is_approved else 'resumed'}.")
    return DONE


def reject(options: Namespace) -> int:
    """Reject what a paused run asks."""
    found = connect().reject(options.run, options.note, by="cli")
    echo(f"Run {found.id} is rejected and {_after_rejection(found)}.")
    return DONE


def _after_rejection(found: Run) -> str:
    return "canceled" if found.status == "canceled" else "continues"


def inbox(options: Namespace) -> int:
    """List what waits for the user."""
    items = connect().inbox()
    if options.json:
        print_json(items)
        return DONE
    now = datetime.now(UTC)
    for item in items:
        echo("\n".join([*formatting.inbox_lines(item, now), ""]))
    echo(INBOX_HINT if items else "Nothing waits for you.")
    return DONE


def cancel(options: Namespace) -> int:
    """Cancel a run."""
    found = connect().cancel(options.run, options.reason, by="cli")
    echo(f"Run {found.id} is canceled.")
    return DONE


def _serve(options: Namespace) -> int:
    """Carry out a command that works on a database, or starts a process that does."""
    from jupyter_pdflow.cli import servers

    commands = {"migrate": servers.migrate, "serve": servers.serve, "worker": servers.worker}
    return commands[options.command](options)


def _maintain(options: Namespace) -> int:
    """Carry out a command that works on a data directory, without a server."""
    # Imported here, because it takes a while and the other commands do without.
    from jupyter_pdflow.cli import maintenance

    commands = {
        "doctor": maintenance.doctor,
        "export": maintenance.export,
        "import": maintenance.import_,
    }
    try:
        return commands[options.command](options)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        msg = f"{reason}. Fix this, then run the command again."
        raise FilesError(msg) from error


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "run": run,
    "deploy": deploy,
    "runs": runs,
    "show": show,
    "resume": resume,
    "reject": reject,
    "inbox": inbox,
    "cancel": cancel,
    "workers": workers,
    **dict.fromkeys(("doctor", "export", "import"), _maintain),
    **dict.fromkeys(("migrate", "serve", "worker"), _serve),
}


# --- helpers --------------------------------------------------------------------------


def _check_notebook(notebook: str) -> Path:
    path = Path(notebook)
    if not path.is_file():
        msg = f"There is no notebook {notebook!r}; give the path of an .ipynb file."
        raise UsageError(msg)
    return path


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
