"""The state of a notebook session, and where its notebook and its server are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.exceptions import NotebookError, StepError
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.settings import NOTEBOOK_VARIABLE, SERVER_PID_VARIABLE

if TYPE_CHECKING:
    from jupyter_pdflow.client import Client
    from jupyter_pdflow.notebook.answers import GivenAnswer

DEFAULT_SERVER = "http://localhost:8888/"
RESUME_DATA = "$resume_data"


# --- state ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ExecutedStep:
    """A step cell as it was last run in this session; `cell_id` is None if it is not known."""

    body: str
    cell_id: str | None
    at: datetime


@dataclass
class Session:
    """The state of a notebook session.

    Attributes
    ----------
    production : bool
        Whether step cells show production runs instead of executing.
    exports : dict
        Exports of the steps executed or loaded here, by step name.
    event : JSON value
        ``pd.steps["trigger"]["event"]``.
    executed_steps : dict
        The step cells as run here, in either mode, by name, in the order of their first runs.
    test_runs : dict
        The latest test run of each step, by name.
    defined_by : dict
        The step cell that has defined a global, by the global's name.
    answer : GivenAnswer or None
        What ``%pdflow answer`` has given for the next step cell.
    requests : dict
        The request that has executed a step's cell in test mode, by the step's name; only where
        the cell still shows that.
    """

    production: bool = False
    exports: dict[str, dict[str, Any]] = field(default_factory=dict)
    event: Any = field(default_factory=dict)
    executed_steps: dict[str, ExecutedStep] = field(default_factory=dict)
    test_runs: dict[str, Run] = field(default_factory=dict)
    defined_by: dict[str, str] = field(default_factory=dict)
    answer: GivenAnswer | None = None
    requests: dict[str, Any] = field(default_factory=dict)

    def record_step(self, name: str, body: str, cell_id: str | None) -> None:
        """Record a step whose cell is being run.

        Raises
        ------
        StepError
            Another cell has this name. From then on the name belongs to this cell, so that
            running this cell again works if the other cell was deleted.
        """
        before = self.executed_steps.get(name)
        self._drop_other_steps_of(cell_id, name)
        self.executed_steps[name] = ExecutedStep(body, cell_id, datetime.now(UTC))
        known = before is not None and before.cell_id is not None and cell_id is not None
        if known and before is not None and before.cell_id != cell_id:
            msg = (
                f"Another cell is named step {name!r} too. Give each step its own name; if you "
                "have deleted the other cell, run this one again."
            )
            raise StepError(msg)

    def take_answer(self) -> GivenAnswer | None:
        """Return what ``%pdflow answer`` has given, and forget it."""
        answer, self.answer = self.answer, None
        return answer

    def steps_before(self, name: str) -> list[str]:
        """Return the steps that were first executed before this one."""
        return list(takewhile(lambda each: each != name, self.executed_steps))

    def _drop_other_steps_of(self, cell_id: str | None, name: str) -> None:
        """Drop the names that this cell had before it was edited."""
        if cell_id is not None:
            self.executed_steps = {
                each: step
                for each, step in self.executed_steps.items()
                if each == name or step.cell_id != cell_id
            }


# --- location -------------------------------------------------------------------------


@dataclass(frozen=True)
class Location:
    """A notebook on a server; `path` is as the server names it."""

    client: Client
    path: str

    @property
    def file(self) -> Path | None:
        """The notebook's file, or None if it is not on this machine."""
        root = self.client.root_dir
        file = root / self.path if root else None
        return file if file is not None and file.is_file() else None


def find_location() -> Location:
    """Find the server, and this kernel's notebook on it.

    Raises
    ------
    ServerNotFoundError
        No server was found.
    NotebookError
        The server does not know this kernel's notebook.
    """
    from jupyter_pdflow.client import connect

    environment_path = notebook_path()
    client = connect(path=environment_path)
    # The server's answer comes first: the environment keeps the old path after a renaming.
    path = client.notebook_of(kernel_id()) or _relative(client, environment_path)
    if path is None:
        msg = (
            "It is not known which notebook this is. Open it in a Jupyter server that has "
            "jupyter_pdflow, or deploy it with `jupyter pdflow deploy NOTEBOOK`."
        )
        raise NotebookError(msg)
    return Location(client, path)


def kernel_id() -> str | None:
    """Return the id by which a server knows this kernel, or None in a terminal."""
    from ipykernel.connect import get_connection_file

    try:
        name = Path(get_connection_file()).stem
    except RuntimeError:
        return None
    return name.removeprefix("kernel-")


def notebook_path() -> Path | None:
    """Return the path of this kernel's notebook, or None if the server has not set it."""
    path = os.environ.get(NOTEBOOK_VARIABLE)
    return Path(path) if path else None


def server_url() -> str:
    """Return the address of the server that started this kernel, or Jupyter's usual one."""
    from jupyter_core.paths import jupyter_runtime_dir

    pid = os.environ.get(SERVER_PID_VARIABLE, "")
    file = Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json"
    try:
        url = json.loads(file.read_text())["url"]
    except (OSError, ValueError, LookupError, TypeError):
        return DEFAULT_SERVER
    return url if isinstance(url, str) else DEFAULT_SERVER


def _relative(client: Client, path: Path | None) -> str | None:
    # A console's path is not a notebook's, but a name made up by the front end.
    if path is None or path.suffix != ".ipynb":
        return None
    return client.relative(path) if path.is_absolute() else path.as_posix()
