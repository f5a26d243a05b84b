"""Read a notebook of the server and the local modules beside it, for a deploy."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_core.utils import ensure_async
from msgspec.structs import replace
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import BadRequestError, NotebookError, NotFoundError
from jupyter_pdflow.notebook.source import Imports, imports_of, merged, read_source
from jupyter_pdflow.rules.workflow import PACKAGE_FILE, ModuleSource, Source

FILES_LIMIT = 300
CHARACTERS_LIMIT = 2_000_000
"""Of all local modules of a notebook together."""


async def with_modules(contents: Any, path: str, source: Source) -> tuple[Source, list[str]]:
    """Add the local modules that a notebook's code imports, and those that these import.

    A module is a Python file beside the notebook; of a package there, all Python files are taken.

    Parameters
    ----------
    contents : jupyter_server.services.contents.manager.ContentsManager
        The server's contents manager.
    path : str
        The notebook, as that manager names it.
    source : Source
        What the notebook says.

    Returns
    -------
    source : Source
        The same with its modules.
    notes : list of str
        Imports whose modules can't be known before they are made, a sentence each.

    Raises
    ------
    NotebookError
        The modules are too large, or one of them is not text.
    """
    reader = _Reader(contents, posixpath.dirname(path))
    found = await read_in_thread(_imports_of_notebook, source)
    modules: dict[str, ModuleSource] = {}
    wanted, seen, unknown = set(found.names), set[str](), list(found.unknown)
    while wanted:
        name = wanted.pop()
        seen.add(name)
        new = [module async for module in reader.read(name)]
        modules |= {module.name: module for module in new}
        more = await read_in_thread(_imports_of_modules, new)
        wanted |= more.names - seen
        unknown += more.unknown
    ordered = tuple(modules[name] for name in sorted(modules))
    return replace(source, modules=ordered), [_note(what) for what in unknown]


def _note(what: str) -> str:
    return (
        f"{what} may use local modules that can't be known now: they are not part of the version, "
        "and runs find them as they are then."
    )


def _imports_of_notebook(source: Source) -> Imports:
    return merged(
        [
            *(imports_of(text, "the setup") for text in source.setup),
            *(imports_of(step.source, f"step {step.name!r}") for step in source.steps),
        ]
    )


def _imports_of_modules(modules: list[ModuleSource]) -> Imports:
    return merged(imports_of(module.source, module.path) for module in modules)


class _Reader:
    """Reads modules from a folder, within limits."""

    def __init__(self, contents: Any, folder: str) -> None:
        self._contents = contents
        self._folder = folder
        self._files = 0
        self._characters = 0

    async def read(self, name: str) -> AsyncIterator[ModuleSource]:
        """Read a module of the folder, or all modules of a package; nothing if there is none."""
        if await self._is_file(f"{name}/{PACKAGE_FILE}"):
            async for module in self._package(name, name):
                yield module
        elif await self._is_file(f"{name}.py"):
            yield await self._module(name, f"{name}.py")
        elif await self._is_folder(name):
            found = [module async for module in self._package(name, name)]
            for module in found if any(module.source for module in found) else ():
                yield module

    async def _package(self, name: str, folder: str) -> AsyncIterator[ModuleSource]:
        model = await self._get(folder, "directory")
        entries = {entry["name"]: entry["type"] for entry in model["content"]}
        if PACKAGE_FILE in entries:
            yield await self._module(name, f"{folder}/{PACKAGE_FILE}")
        else:
            yield ModuleSource(name=name, path=folder, source="")
        for entry, kind in sorted(entries.items()):
            stem = entry.removesuffix(".py")
            if not stem.isidentifier() or entry == PACKAGE_FILE or stem == "__pycache__":
                continue
            if kind == "directory":
                async for module in self._package(f"{name}.{entry}", f"{folder}/{entry}"):
                    yield module
            elif entry.endswith(".py"):
                yield await self._module(f"{name}.{stem}", f"{folder}/{entry}")

    async def _module(self, name: str, path: str) -> ModuleSource:
        source = (await self._get(path, "file"))["content"]
        self._files += 1
        self._characters += len(source)
        if self._files > FILES_LIMIT or self._characters > CHARACTERS_LIMIT:
            msg = (
                f"The modules beside the notebook that it imports are more than {FILES_LIMIT} files "
                f"or {CHARACTERS_LIMIT:,} characters; install them as a package."
            )
            raise NotebookError(msg)
        return ModuleSource(name=name, path=path, source=source)

    async def _get(self, path: str, kind: str) -> Any:
        options = {"format": "text"} if kind == "file" else {}
        try:
            stay_inside(getattr(self._contents, "root_dir", ""), self._path(path))
            return await ensure_async(
                self._contents.get(self._path(path), content=True, type=kind, **options)
            )
        except Exception as error:
            msg = f"The local module {path!r} can't be read ({error}); correct or remove it."
            raise NotebookError(msg) from error

    async def _is_file(self, path: str) -> bool:
        return bool(await ensure_async(self._contents.file_exists(self._path(path))))

    async def _is_folder(self, path: str) -> bool:
        return bool(await ensure_async(self._contents.dir_exists(self._path(path))))

    def _path(self, path: str) -> str:
        return posixpath.join(self._folder, path)


A = TypeVar("A")
T = TypeVar("T")

SHOWN = 200
"""Characters of a path that a message repeats."""

_one_at_a_time = asyncio.Lock()
"""Reading sources takes time, and Python's filters of warnings, which belong to all threads."""


def clean_path(path: str) -> str:
    """Write a notebook's path in one way only, so that it is one workflow.

    Raises
    ------
    BadRequestError
        It is no notebook's.
    """
    clean = posixpath.normpath("/" + path).lstrip("/")
    if not clean.endswith(".ipynb"):
        msg = (
            "path must name a notebook (.ipynb) below the server's root folder, "
            f"not {path[:SHOWN]!r}."
        )
        raise BadRequestError(msg)
    return clean


async def read_notebook(contents: Any, path: str) -> Source:
    """Read what production runs from a notebook, without holding up the event loop.

    Parameters
    ----------
    contents : jupyter_server.services.contents.manager.ContentsManager
        The server's contents manager.
    path : str
        The notebook, as that manager names it.

    Raises
    ------
    NotFoundError
        There is none.
    BadRequestError
        It is not below the server's root folder.
    NotebookError
        It can't be read, or is no workflow.
    """
    stay_inside(getattr(contents, "root_dir", ""), path)
    content = (await _model(contents, path))["content"]
    return await read_in_thread(read_source, content)


async def read_in_thread(read: Callable[[A], T], source: A) -> T:
    """Read sources in a thread, while no other is reading any."""
    async with _one_at_a_time:
        return await asyncio.to_thread(read, source)


async def _model(contents: Any, path: str) -> Any:
    try:
        return await ensure_async(contents.get(path, content=True, type="notebook"))
    except Exception as error:
        # Jupyter's readers let through what odd notebooks raise in them.
        if isinstance(error, HTTPError) and error.status_code == NotFoundError.status:
            msg = f"There is no notebook {path[:SHOWN]!r} below the server's root folder."
            raise NotFoundError(msg) from error
        msg = f"{path[:SHOWN]!r} can't be read as a notebook; open it in Jupyter and save it again."
        raise NotebookError(msg) from error


def stay_inside(root: str, path: str) -> None:
    """Refuse a path that symbolic links lead out of the root folder, which Jupyter follows."""
    if not root:
        return
    try:
        inside = (Path(root) / path).resolve().is_relative_to(Path(root).resolve())
    except (OSError, ValueError, RuntimeError):
        return  # no such file; the contents manager finds the words
    if not inside:
        msg = (
            f"{path[:SHOWN]!r} leads out of the server's root folder by a symbolic link; "
            "copy the notebook below that folder."
        )
        raise BadRequestError(msg)
