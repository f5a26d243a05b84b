"""What a workflow is: the steps and the setup of a notebook, at one version."""

from __future__ import annotations

import hashlib
from datetime import datetime

import orjson
from msgspec import Struct, to_builtins

PACKAGE_FILE = "__init__.py"
"""The file of a package itself."""


class StepSource(Struct, frozen=True, kw_only=True):
    """The body of a ``%%step`` cell, without its first line."""

    name: str
    source: str


class ModuleSource(Struct, frozen=True, kw_only=True):
    """A local module: a Python file beside the notebook, or in a package beside it.

    Attributes
    ----------
    name : str
        As it is imported: ``helpers``, ``shop.orders``; a package by its own name.
    path : str
        The file below the notebook's folder; for a folder without ``__init__.py`` the folder.
    source : str
        Its code; empty for a folder without ``__init__.py``.
    """

    name: str
    path: str
    source: str


class Source(Struct, frozen=True, kw_only=True):
    """What a notebook says: the code that production runs, and on which kernel.

    Attributes
    ----------
    kernel_name : str
    setup : tuple of str
        The setup cells.
    steps : tuple of StepSource
    modules : tuple of ModuleSource
        The local modules that they import, and that these import.
    """

    kernel_name: str
    setup: tuple[str, ...]
    steps: tuple[StepSource, ...]
    modules: tuple[ModuleSource, ...] = ()


class Workflow(Struct, frozen=True, kw_only=True):
    """A deployed version of a notebook.

    Attributes
    ----------
    id : str
        A slug of the notebook's path.
    name : str
        The notebook's file name without ``.ipynb``.
    version : str
        A hash of the source, see `version_of`.
    path : str
        The notebook's path, as Jupyter's contents API names it.
    """

    id: str
    name: str
    version: str
    path: str
    source: Source
    created_at: datetime

    @property
    def step_names(self) -> list[str]:
        """The names of the steps, in order."""
        return [step.name for step in self.source.steps]


def version_of(source: Source) -> str:
    """Hash what production runs, so that the same content is the same version."""
    content = to_builtins(source)
    if not source.modules:  # as before there were any
        del content["modules"]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()[:12]
