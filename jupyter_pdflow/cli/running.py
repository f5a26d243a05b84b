"""Run a workflow from the terminal: a temporary server, the run's progress, and output."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir
from msgspec import to_builtins
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jupyter_pdflow import formatting
from jupyter_pdflow.client import Client, server_of
from jupyter_pdflow.exceptions import ServerNotFoundError
from jupyter_pdflow.models import Run, Step

# --- a temporary server ---------------------------------------------------------------

EXTENSIONS = {
    "jupyter_pdflow": True,
    **dict.fromkeys(("jupyterlab", "jupyter_lsp", "notebook", "notebook_shim"), False),
}
"""Without JupyterLab, which would double the time of the start."""
START_SECONDS = 60.0
STOP_SECONDS = 15.0
START_POLL_SECONDS = 0.1


class TemporaryServer:
    """A child ``python -m jupyter_server`` that serves one folder on 127.0.0.1.

    Parameters
    ----------
    root : pathlib.Path
        The folder to serve.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = _log_file()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def wait(self) -> Client:
        """Wait until the server answers, and return its client.

        Raises
        ------
        ServerNotFoundError
            The server did not start; the message names its log.
        ApiError
            The server answers with an error, such as a data directory held by another server.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            client = server_of(self.pid)
            if client and _answers(client):
                return client
            time.sleep(START_POLL_SECONDS)
        self.stop(keep_log=True)
        msg = f"The Jupyter server did not start; see its log {self.log}."
        raise ServerNotFoundError(msg)

    def stop(self, *, keep_log: bool = False) -> None:
        """Stop the server; its runs are kept."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not keep_log:
            self.log.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[bytes]:
        allow_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        with self.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603  our own interpreter, no shell
                [
                    *(sys.executable, "-m", "jupyter_server"),
                    *("--no-browser", "--ServerApp.ip=127.0.0.1"),
                    f"--ServerApp.jpserver_extensions={EXTENSIONS}",
                    *(f"--ServerApp.root_dir={self.root}", *allow_root),
                ],
                cwd=self.root,
                # Not as an argument: other users can read the command lines of processes.
                env={**os.environ, "JUPYTER_TOKEN": secrets.token_hex(24)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal would reach the server too, and stop it at once.
                start_new_session=True,
            )


def _answers(client: Client) -> bool:
    """Return whether a server answers; raise the error of one that can't be used."""
    try:
        client.get("runs", limit=1)
    except ServerNotFoundError:
        # A Jupyter server writes its address to a file before it listens there.
        return False
    return True


def _log_file() -> Path:
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix="pdflow-server-", suffix=".log", dir=folder)
    os.close(descriptor)
    return Path(name)


# --- progress -------------------------------------------------------------------------

POLL_SECONDS = 0.3
RECONNECT_SECONDS = 30.0
STYLES = {
    "queued": "dim",
    "pending": "dim",
    "skipped": "dim",
    "running": "cyan",
    "paused": "yellow",
    "succeeded": "green",
    "failed": "red",
    "canceled": "magenta",
}
SYMBOLS = {"succeeded": "✔", "failed": "✘", "canceled": "■", "paused": "‖", "running": "▶"}


def follow(client: Client, run: Run, console: Console) -> Run:
    """Show a run's progress until it has ended, and return the ended run.

    On a terminal the steps are drawn live; elsewhere each change is a line. What a pause asks, and
    its links, are printed once, in full, so that the links can be copied.

    Raises
    ------
    ServerNotFoundError
        The server stopped, and did not answer again within `RECONNECT_SECONDS`.
    """
    show = _follow_live if console.is_terminal else _follow_as_lines
    return show(_poll(client, run), console)


def _poll(client: Client, run: Run) -> Iterator[Run]:
    yield run
    while run.status not in formatting.ENDED:
        time.sleep(POLL_SECONDS)
        run = _get_run(client, run.id)
        yield run


def _get_run(client: Client, run_id: str) -> Run:
    """Return the run, from a server that may be restarting."""
    deadline = time.monotonic() + RECONNECT_SECONDS
    while True:
        try:
            run = client.run(run_id)
        except ServerNotFoundError as error:
            if time.monotonic() > deadline:
                msg = f"{error} Run {run_id} is kept, and continues once the server runs again."
                raise ServerNotFoundError(msg) from error
            time.sleep(POLL_SECONDS)
        else:
            return run


def _follow_as_lines(updates: Iterator[Run], console: Console) -> Run:
    run = next(updates)
    _print_lines(console, formatting.changed_lines(None, run))
    for update in updates:
        _print_lines(console, formatting.changed_lines(run, update))
        run = update
    return run


def _follow_live(updates: Iterator[Run], console: Console) -> Run:
    run, printed = next(updates), ("", "")
    with Live(
        console=console,
        get_renderable=lambda: drawing(run, datetime.now(UTC)),
        refresh_per_second=8,
        # The default cuts off what does not fit on the screen.
        vertical_overflow="visible",
    ):
        printed = _print_new_links(run, printed, console)
        for update in updates:
            run = update
            printed = _print_new_links(run, printed, console)
    return run


def _print_new_links(run: Run, printed: tuple[str, str], console: Console) -> tuple[str, str]:
    """Print what a pause asks, and its links, above the drawing, unless they were printed before.

    Of a step's reruns only the first one's are printed: a poll has new links each time.

    Parameters
    ----------
    printed : tuple of str
        The step and the deadline of the latest pause that this function has seen.

    Returns
    -------
    tuple of str
        The same for the next call.
    """
    pause = run.pause
    if not pause or printed == (pause.step, pause.deadline):
        return printed
    step = next(step for step in run.steps if step.name == pause.step)
    if not formatting.is_repeated(step, pause):
        title = f"{pause.step} {formatting.pause_text(pause)}"
        _print_lines(console, [title, *formatting.pause_lines(pause)])
    return pause.step, pause.deadline


def drawing(run: Run, now: datetime) -> Group:
    """Return a drawing of a run: its steps with their state, and what it waits for."""
    table = Table.grid(padding=(0, 2))
    for step in run.steps:
        table.add_row(*_row(step, now))
    return Group(table, *_footer(run, now))


def _row(step: Step, now: datetime) -> tuple[str | Text, ...]:
    status = step.status
    style = STYLES[status]
    symbol = Text(SYMBOLS.get(status, "·"), style)
    rerun = f"run {step.runs}" if step.runs > 1 else ""
    time_taken = (
        formatting.format_duration(formatting.elapsed(step, now)) if step.started_at else ""
    )
    name = Text(step.name, style="bold" if status in ("running", "paused") else "")
    return symbol, name, Text(status, style), rerun, time_taken


def _footer(run: Run, now: datetime) -> list[Text]:
    pause = run.pause
    if not pause:
        return []
    return [Text(f"{pause.step} {formatting.countdown_text(pause, now)}", "yellow")]


# --- output ---------------------------------------------------------------------------

WIDE = 10_000


def console(*, wide: bool = False) -> Console:
    """Return standard output.

    Parameters
    ----------
    wide : bool
        Whether to keep the columns of a table whole if standard output is not a terminal.
    """
    return Console(width=WIDE if wide and not sys.stdout.isatty() else None)


def echo(text: str) -> None:
    """Write lines to standard output, as they are."""
    _print_lines(console(), [text])


def echo_error(text: str) -> None:
    """Write lines to standard error, as they are."""
    _print_lines(Console(stderr=True), [text])


def print_json(value: Any) -> None:
    """Write a record of the API, or other data, as JSON for programs to standard output."""
    sys.stdout.write(json.dumps(to_builtins(value), indent=2, ensure_ascii=False) + "\n")


def _print_lines(console: Console, lines: list[str]) -> None:
    """Print lines exactly as they are: without markup, not wrapped, not cut."""
    for line in lines:
        console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
