"""The command ``jupyter pdflow``."""

from __future__ import annotations

from jupyter_pdflow.cli.commands import main

__all__ = ["main"]
