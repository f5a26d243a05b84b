"""Run a workflow from the terminal: on which server, its progress, and what is written."""

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
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jupyter_pdflow import formatting
from jupyter_pdflow.client import Client, server_of
from jupyter_pdflow.exceptions import ServerNotFoundError
from jupyter_pdflow.formatting import format_duration

EXTENSIONS = {
    "jupyter_pdflow": True,
    **dict.fromkeys(("jupyterlab", "jupyter_lsp", "notebook", "notebook_shim"), False),
}
"""No one looks at this server, and JupyterLab would double the time that it takes to start."""
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1


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
        """Wait until the server answers.

        Raises
        ------
        ServerNotFoundError
            It did not start; the message says where its log is.
        ApiError
            It answers with an error, such as another server holding the data directory.
        """
        patience = time.monotonic() + START_SECONDS
        while time.monotonic() < patience and self._process.poll() is None:
            client = server_of(self.pid)
            if client:
                client.get("runs", limit=1)
                return client
            time.sleep(POLL_SECONDS)
        self.stop(keep_log=True)
        msg = f"The Jupyter server did not start; its log is {self.log}."
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
        root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        with self.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603  our own interpreter, no shell
                [
                    *(sys.executable, "-m", "jupyter_server"),
                    *("--no-browser", "--ServerApp.ip=127.0.0.1"),
                    f"--ServerApp.jpserver_extensions={EXTENSIONS}",
                    *(f"--ServerApp.root_dir={self.root}", *root),
                ],
                cwd=self.root,
                env={**os.environ, "JUPYTER_TOKEN": secrets.token_hex(24)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _log_file() -> Path:
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix="pdflow-server-", suffix=".log", dir=folder)
    os.close(number)
    return Path(name)


FOLLOW_SECONDS = 0.3
GONE_SECONDS = 30.0
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
MARKS = {"succeeded": "✔", "failed": "✘", "canceled": "■", "paused": "‖", "running": "▶"}


def follow(client: Client, run: formatting.ApiObject, console: Console) -> formatting.ApiObject:
    """Show a run's progress until it has ended, and return it as it is then.

    On a terminal the steps are drawn live; elsewhere each change is a line. The links of a
    pause are printed once, in full, so that they can be copied.

    Raises
    ------
    ServerNotFoundError
        The server went away and did not come back.
    """
    show = _follow_live if console.is_terminal else _follow_plainly
    return show(_poll(client, run), console)


def _poll(client: Client, run: formatting.ApiObject) -> Iterator[formatting.ApiObject]:
    yield run
    while run["status"] not in formatting.ENDED:
        time.sleep(FOLLOW_SECONDS)
        run = _look(client, run["id"])
        yield run


def _look(client: Client, run_id: str) -> formatting.ApiObject:
    """Get the run, from a server that may be restarting."""
    patience = time.monotonic() + GONE_SECONDS
    while True:
        try:
            run: formatting.ApiObject = client.get(f"runs/{run_id}")
        except ServerNotFoundError as error:
            if time.monotonic() > patience:
                msg = f"{error} Run {run_id} is kept and goes on when the server is back."
                raise ServerNotFoundError(msg) from error
            time.sleep(FOLLOW_SECONDS)
        else:
            return run


def _follow_plainly(
    looks: Iterator[formatting.ApiObject], console: Console
) -> formatting.ApiObject:
    before = None
    for run in looks:
        for line in formatting.changed_lines(before, run):
            print_line(console, line)
        before = run
    return _last(before)


def _follow_live(looks: Iterator[formatting.ApiObject], console: Console) -> formatting.ApiObject:
    run, told = next(looks), ("", "")
    with Live(
        console=console,
        get_renderable=lambda: drawing(run, datetime.now(UTC)),
        refresh_per_second=8,
        vertical_overflow="visible",
    ):
        told = _tell_links(run, told, console)
        for look in looks:
            run = look
            told = _tell_links(run, told, console)
    return run


def _tell_links(
    run: formatting.ApiObject, told: tuple[str, str], console: Console
) -> tuple[str, str]:
    """Print the links of a pause that has not been told yet, above the drawing.

    Those of the first rerun of a step are told only: a poll has new ones each time.
    """
    pause = run["pause"]
    if not pause or told == (pause["step"], pause["deadline"]):
        return told
    step = next(step for step in run["steps"] if step["name"] == pause["step"])
    if not formatting.is_repeated(step, pause):
        for line in (
            f"{pause['step']} {formatting.pause_text(pause)}",
            *formatting.link_lines(pause),
        ):
            print_line(console, line)
    return pause["step"], pause["deadline"]


def drawing(run: formatting.ApiObject, now: datetime) -> Group:
    """Draw a run: its steps with their state, and what it waits for."""
    table = Table.grid(padding=(0, 2))
    for step in run["steps"]:
        table.add_row(*_row(step, now))
    return Group(table, *_footer(run, now))


def _row(step: formatting.ApiObject, now: datetime) -> tuple[str | Text, ...]:
    status = step["status"]
    style = STYLES[status]
    mark = Text(MARKS.get(status, "·"), style)
    again = f"run {step['runs']}" if step["runs"] > 1 else ""
    took = format_duration(formatting.elapsed(step, now)) if step["started_at"] else ""
    name = Text(step["name"], style="bold" if status in ("running", "paused") else "")
    return mark, name, Text(status, style), again, took


def _footer(run: formatting.ApiObject, now: datetime) -> list[Text]:
    if run["pause"]:
        return [
            Text(f"{run['pause']['step']} {formatting.countdown_text(run['pause'], now)}", "yellow")
        ]
    return []


def print_line(console: Console, line: str) -> None:
    """Print a line exactly as it is: no markup, never wrapped or cut."""
    console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _last(run: formatting.ApiObject | None) -> formatting.ApiObject:
    assert run is not None  # noqa: S101  for the type checker: there is always a first look
    return run


WIDE = 10_000


def console(*, wide: bool = False) -> Console:
    """Get standard output; `wide` keeps columns whole where no one looks at a screen."""
    return Console(width=WIDE if wide and not sys.stdout.isatty() else None)


def echo(text: str) -> None:
    """Write lines to standard output, as they are."""
    print_line(console(), text)


def complain(text: str) -> None:
    """Write lines to standard error, as they are."""
    print_line(Console(stderr=True), text)


def print_json(found: Any) -> None:
    """Write JSON for programs."""
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
