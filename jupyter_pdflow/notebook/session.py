"""The session of a notebook: its state, and where its notebook and server are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.exceptions import NotebookError, StepError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.settings import NOTEBOOK_VARIABLE, SERVER_PID_VARIABLE

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client


@dataclass(frozen=True)
class Location:
    """A notebook on a server; `path` is as the server names it."""

    client: Client
    path: str

    @property
    def file(self) -> Path | None:
        """The notebook's file, where it is on this machine."""
        root = self.client.root_dir
        file = root / self.path if root else None
        return file if file is not None and file.is_file() else None


def find_location() -> Location:
    """Find the server, and this kernel's notebook on it.

    Raises
    ------
    ServerNotFoundError
        There is no server to talk to.
    NotebookError
        This kernel's notebook is not known to the server.
    """
    told = notebook_path()
    from jupyter_pdflow.client import connect

    client = connect(path=told)
    path = client.notebook_of(kernel_id()) or _relative(client, told)
    if path is None:
        msg = (
            "It is not known which notebook this is: open it in a Jupyter server that has "
            "jupyter_pdflow, or deploy it with `jupyter pdflow deploy NOTEBOOK`."
        )
        raise NotebookError(msg)
    return Location(client, path)


def kernel_id() -> str | None:
    """Get the id by which a server knows this kernel; None in a terminal."""
    from ipykernel.connect import get_connection_file

    try:
        name = Path(get_connection_file()).stem
    except RuntimeError:
        return None
    return name.removeprefix("kernel-")


def _relative(client: Client, told: Path | None) -> str | None:
    if told is None or told.suffix != ".ipynb":
        return None
    return client.relative(told) if told.is_absolute() else os.fspath(told.as_posix())


DEFAULT_SERVER = "http://localhost:8888/"


@dataclass(frozen=True)
class Ran:
    """A step as it was run in this session; `cell_id` is None where it is not known."""

    body: str
    cell_id: str | None
    at: datetime


@dataclass
class Session:
    """A notebook session.

    Attributes
    ----------
    production : bool
        Whether step cells show production runs instead of executing.
    exports : dict
        Exports of the steps run or loaded here, by step name.
    event : JSON value
        ``pd.steps["trigger"]["event"]``.
    ran : dict
        The steps as run here, by name.
    tests : dict
        The latest test run of each step, by name.
    makers : dict
        Which step's cell has made a name, for names that step cells have made.
    """

    production: bool = False
    exports: dict[str, dict[str, Any]] = field(default_factory=dict)
    event: Any = field(default_factory=dict)
    ran: dict[str, Ran] = field(default_factory=dict)
    tests: dict[str, Run] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, body: str, cell_id: str | None) -> None:
        """Remember a step as it is run.

        Raises
        ------
        StepError
            Another cell has this name. The name then is this cell's, so that running it
            once more works where the other cell is gone.
        """
        before = self.ran.get(name)
        self._forget(cell_id)
        self.ran[name] = Ran(body, cell_id, datetime.now(UTC))
        known = before is not None and before.cell_id is not None and cell_id is not None
        if known and before is not None and before.cell_id != cell_id:
            msg = (
                f"Another cell is named step {name!r} too; give each step its own name "
                "(if that cell is gone, run this one again)."
            )
            raise StepError(msg)

    def _forget(self, cell_id: str | None) -> None:
        """Drop the names that this cell had before it was edited."""
        if cell_id is not None:
            kept = {name: ran for name, ran in self.ran.items() if ran.cell_id != cell_id}
            self.ran = kept


def notebook_path() -> Path | None:
    """Get the path of this kernel's notebook, as the server told it; None where it did not."""
    path = os.environ.get(NOTEBOOK_VARIABLE)
    return Path(path) if path else None


def server_url() -> str:
    """Get the address of the server that started this kernel, or Jupyter's usual one."""
    from jupyter_core.paths import jupyter_runtime_dir

    pid = os.environ.get(SERVER_PID_VARIABLE, "")
    file = Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json"
    try:
        url = json.loads(file.read_text())["url"]
    except (OSError, ValueError, LookupError, TypeError):
        return DEFAULT_SERVER
    return url if isinstance(url, str) else DEFAULT_SERVER
