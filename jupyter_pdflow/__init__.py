"""Durable, human-in-the-loop workflows written in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_pdflow.notebook.production import Run, Workflow, runs

__version__ = "0.1.0"
__all__ = ["Run", "Workflow", "__version__", "runs"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are used, so that kernels start quickly."""
    if name in ("Run", "Workflow", "runs"):
        from jupyter_pdflow.notebook import production

        return getattr(production, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from jupyter_pdflow.server.app import PDFlow

    return [{"module": "jupyter_pdflow", "app": PDFlow}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-pdflow"}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%%step`` and ``%pdflow``."""
    from jupyter_pdflow.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take ``%%step`` and ``%pdflow`` away again."""
    from jupyter_pdflow.notebook.magics import unload

    unload(shell)
