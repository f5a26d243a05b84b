"""Where the data directory is, as far as this can be known without its server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_data_dir
from traitlets.config import Config

from jupyter_pdflow.settings import DATA_DIR_VARIABLE
from jupyter_pdflow.stores.tinydb.folders import FILES, NOTE
from jupyter_pdflow.stores.tinydb.storage import read_file


class Configured(NamedTuple):
    """What Jupyter's configuration files set for `PDFlow`; empty where they don't."""

    data_dir: str
    files_dir: str
    smtp_url: str


class _Server(JupyterApp):
    """Reads the configuration files that a Jupyter server reads, in their order."""

    name = "jupyter-server"


def configured() -> Configured:
    """Read Jupyter's configuration files; a server's command line can't be known."""
    app = _Server()
    app.load_config_file()
    traits = app.config.get("PDFlow", Config())
    return Configured(*(str(traits.get(name, "")) for name in Configured._fields))


def find_data_dir(given: str | None) -> Path:
    """Tell which data directory is meant.

    The one that was given; else what the environment says, then the configuration files; else
    ``pdflow`` in Jupyter's data directory, as the server has it.
    """
    chosen = given or os.environ.get(DATA_DIR_VARIABLE) or configured().data_dir
    path = Path(chosen) if chosen else Path(jupyter_data_dir()) / "pdflow"
    return path.expanduser().absolute()


def _noted(data_dir: Path) -> str:
    try:
        return read_file(str(data_dir / NOTE)).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def find_files_dir(given: str | None, data_dir: Path) -> Path:
    """Tell where the files of runs are.

    Where was given; else where the latest server had them, as its note in the data directory says,
    then the configuration files; else in the data directory.
    """
    chosen = given or _noted(data_dir) or configured().files_dir
    path = Path(chosen) if chosen else data_dir / FILES
    return path.expanduser().absolute()
