"""Durable, human-in-the-loop workflows written in notebooks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jupyter_pdflow.exceptions import (
    ApiError,
    ExportError,
    FolderError,
    InputsError,
    MissingAttributeError,
    MissingKeyError,
    NotebookError,
    NotFoundError,
    PDFlowError,
    ServerNotFoundError,
    StepError,
    StepOverError,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_pdflow.client import connect
    from jupyter_pdflow.notebook.production import RunHandle as Run
    from jupyter_pdflow.notebook.production import WorkflowHandle as Workflow
    from jupyter_pdflow.notebook.production import runs
    from jupyter_pdflow.pd.pd import Pd

__version__ = "0.1.0"
__all__ = [
    "ApiError",
    "ExportError",
    "FolderError",
    "InputsError",
    "MissingAttributeError",
    "MissingKeyError",
    "NotFoundError",
    "NotebookError",
    "PDFlowError",
    "Pd",
    "Run",
    "ServerNotFoundError",
    "StepError",
    "StepOverError",
    "Workflow",
    "__version__",
    "connect",
    "runs",
]

_LAZY = {
    "Pd": ("pd.pd", "Pd"),
    "Run": ("notebook.production", "RunHandle"),
    "Workflow": ("notebook.production", "WorkflowHandle"),
    "connect": ("client", "connect"),
    "runs": ("notebook.production", "runs"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that kernels start quickly."""
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(f"jupyter_pdflow.{module}"), attribute)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """Return the names of this module, also the public ones that are not imported yet."""
    return sorted({*globals(), *__all__})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Return the server extension; Jupyter server calls this."""
    from jupyter_pdflow.server.app import PDFlow

    return [{"module": "jupyter_pdflow", "app": PDFlow}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Return the folder of the JupyterLab extension; JupyterLab calls this."""
    return [{"src": "labextension", "dest": "jupyter-pdflow"}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%%step`` and ``%pdflow``; IPython calls this at ``%load_ext jupyter_pdflow``."""
    from jupyter_pdflow.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove ``%%step`` and ``%pdflow``; IPython calls this at ``%unload_ext jupyter_pdflow``."""
    from jupyter_pdflow.notebook.magics import unload

    unload(shell)
