"""Where this kernel's notebook is, and the server that holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jupyter_pdflow.client import Client, find_server
from jupyter_pdflow.exceptions import NotebookError
from jupyter_pdflow.notebook.session import notebook_path


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
    client = find_server(told)
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
