"""A workflow and its source as records: the setup and the steps of a notebook, at one version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import orjson
from msgspec import Struct, to_builtins
from msgspec.structs import replace

PACKAGE_FILE = "__init__.py"
"""The file that makes a folder a package; its code is the package's own module."""


DEFAULT_QUEUE = "default"
"""The queue of a workflow that names none."""

LARGEST_NUMBER = 2**31 - 1
"""The largest number of a version; a column of a database can hold it."""


class StepSource(Struct, frozen=True, kw_only=True):
    """The body of a ``%%step`` cell, without its first line."""

    name: str
    source: str


class ModuleSource(Struct, frozen=True, kw_only=True):
    """A local module: a Python file beside the notebook, or in a package beside it.

    Attributes
    ----------
    name : str
        The name that it is imported by: ``helpers``, ``shop.orders``, or the name of a package.
    path : str
        The path of the file, relative to the notebook's folder. For a package without
        ``__init__.py`` it is the path of the package's folder.
    source : str
        The code of the file; empty for a package without ``__init__.py``.
    """

    name: str
    path: str
    source: str


class Source(Struct, frozen=True, kw_only=True):
    """The code of a notebook that production runs, and the kernel that runs it.

    Attributes
    ----------
    kernel_name : str
        The name of the notebook's kernelspec.
    setup : tuple of str
        The sources of the setup cells, in order.
    steps : tuple of StepSource
        The steps, in order.
    modules : tuple of ModuleSource
        The local modules that cells or other local modules import.
    queue : str
        The queue that its runs wait in; workers are started for queues.
    """

    kernel_name: str
    setup: tuple[str, ...]
    steps: tuple[StepSource, ...]
    modules: tuple[ModuleSource, ...] = ()
    queue: str = DEFAULT_QUEUE


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
    created_at : datetime
        When the version was first deployed.
    number : int
        1 for the version of the notebook that was first deployed, and so on; 0 in records of
        older versions of this package, see `numbered`.
    """

    id: str
    name: str
    version: str
    path: str
    source: Source
    created_at: datetime
    number: int = 0

    @property
    def step_names(self) -> list[str]:
        """The names of the steps, in order."""
        return [step.name for step in self.source.steps]


def version_of(source: Source) -> str:
    """Return a hash of the source: 12 hexadecimal digits, the same for the same content."""
    content = to_builtins(source)
    # Versions that were stored before there were these fields keep their hash.
    if not source.modules:
        del content["modules"]
    if source.queue == DEFAULT_QUEUE:
        del content["queue"]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()[:12]


def next_number(versions: Mapping[str, Workflow]) -> int:
    """Return the number of the next version of a workflow that has these numbered versions."""
    return 1 + max((workflow.number for workflow in versions.values()), default=0)


def numbered(versions: Mapping[str, Workflow]) -> dict[str, Workflow]:
    """Return the versions of a workflow in the order of their numbers, which are all different.

    Versions keep their numbers. Those that have none, or one that an earlier version has, get the
    next ones in the order of their deploys.
    """
    in_order = sorted(versions.values(), key=lambda each: (each.created_at, each.version))
    found: dict[int, Workflow] = {}
    for each in filter(_has_number, in_order):
        found.setdefault(each.number, each)
    others = [each for each in in_order if found.get(each.number) is not each]
    for number, each in enumerate(others, max(found, default=0) + 1):
        found[number] = replace(each, number=number)
    return {found[number].version: found[number] for number in sorted(found)}


def merged(known: Mapping[str, Workflow], added: Mapping[str, Workflow]) -> dict[str, Workflow]:
    """Return the versions of a workflow that is known here with those from elsewhere, numbered.

    Versions that are known here keep their numbers. The others do, too, unless a version here has
    the same one.
    """
    kept = numbered(known)
    taken = {workflow.number for workflow in kept.values()}
    others = {
        version: replace(workflow, number=0) if workflow.number in taken else workflow
        for version, workflow in numbered(added).items()
        if version not in kept
    }
    return numbered({**others, **kept})


def _has_number(workflow: Workflow) -> bool:
    # Room is left for the versions that follow.
    return 0 < workflow.number < LARGEST_NUMBER // 2
