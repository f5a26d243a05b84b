"""Reads notebooks for a deploy, and the local modules that they import.

All files are read by the server's contents manager, and only below its root folder.
"""

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

A = TypeVar("A")
T = TypeVar("T")

MAX_FILES = 300
"""Maximum number of files of all local modules of a notebook."""

MAX_CHARACTERS = 2_000_000
"""Maximum number of characters of all local modules of a notebook."""

MAX_PATH_SHOWN = 200
"""Maximum number of characters of a path in a message."""

_parsing = asyncio.Lock()
"""Held while a thread parses sources. Parsing changes Python's warning filters, which belong to
all threads, so only one thread may do it at a time."""


# --- notebooks ---


def normalize_path(path: str) -> str:
    """Return the one spelling of a notebook's path, as each path is a workflow of its own.

    Raises
    ------
    BadRequestError
        The path is not a notebook's.
    """
    normal = posixpath.normpath("/" + path).lstrip("/")
    if not normal.endswith(".ipynb"):
        msg = (
            "path must name a notebook (.ipynb) below the server's root folder, "
            f"not {path[:MAX_PATH_SHOWN]!r}."
        )
        raise BadRequestError(msg)
    return normal


async def read_workflow(contents: Any, path: str) -> tuple[Source, list[str]]:
    """Return the code of a notebook as a deploy stores it, and warnings for people.

    Raises what `read_notebook` and `add_modules` raise.
    """
    return await add_modules(contents, path, await read_notebook(contents, path))


async def read_notebook(contents: Any, path: str) -> Source:
    """Return the setup and the steps of a notebook; does not block the event loop.

    Parameters
    ----------
    contents : jupyter_server.services.contents.manager.ContentsManager
        The server's contents manager.
    path : str
        The notebook's path in the contents manager.

    Raises
    ------
    NotFoundError
        The notebook does not exist.
    BadRequestError
        The notebook is not below the server's root folder.
    NotebookError
        The notebook can't be read, or is not a workflow.
    """
    _check_inside_root(contents, path)
    content = (await _notebook_model(contents, path))["content"]
    return await _parse_in_thread(read_source, content)


async def _notebook_model(contents: Any, path: str) -> Any:
    try:
        return await ensure_async(contents.get(path, content=True, type="notebook"))
    except Exception as error:
        # Jupyter does not catch what a malformed notebook raises in its readers.
        if isinstance(error, HTTPError) and error.status_code == NotFoundError.status:
            msg = f"There is no notebook {path[:MAX_PATH_SHOWN]!r} below the server's root folder."
            raise NotFoundError(msg) from error
        msg = (
            f"{path[:MAX_PATH_SHOWN]!r} can't be read as a notebook; "
            "open it in Jupyter and save it again."
        )
        raise NotebookError(msg) from error


async def _parse_in_thread(parse: Callable[[A], T], source: A) -> T:
    async with _parsing:
        return await asyncio.to_thread(parse, source)


def _check_inside_root(contents: Any, path: str) -> None:
    """Raise BadRequestError if symbolic links, which Jupyter follows, lead out of the root."""
    root = getattr(contents, "root_dir", "")
    if not root:
        return
    try:
        inside = (Path(root) / path).resolve().is_relative_to(Path(root).resolve())
    except (OSError, ValueError, RuntimeError):
        return  # There is no such file; the contents manager raises the right error.
    if not inside:
        msg = (
            f"{path[:MAX_PATH_SHOWN]!r} leads out of the server's root folder by a symbolic link; "
            "copy the notebook below that folder."
        )
        raise BadRequestError(msg)


# --- local modules ---


async def add_modules(contents: Any, path: str, source: Source) -> tuple[Source, list[str]]:
    """Add the local modules that a notebook imports, directly and indirectly.

    A local module is a Python file beside the notebook. If it is a package, all its Python files
    are added.

    Parameters
    ----------
    contents : jupyter_server.services.contents.manager.ContentsManager
        The server's contents manager.
    path : str
        The notebook's path in the contents manager.
    source : Source
        The setup and the steps of the notebook.

    Returns
    -------
    source : Source
        The same with modules.
    warnings : list of str
        One sentence for each import whose module is only known when the import runs.

    Raises
    ------
    NotebookError
        The modules are too large, or one of them is not text.
    """
    reader = _ModuleReader(contents, posixpath.dirname(path))
    found = await _parse_in_thread(_imports_of_notebook, source)
    modules: dict[str, ModuleSource] = {}
    pending, done, unknown = set(found.names), set[str](), list(found.unknown)
    while pending:
        name = pending.pop()
        done.add(name)
        new = [module async for module in reader.read(name)]
        modules |= {module.name: module for module in new}
        found = await _parse_in_thread(_imports_of_modules, new)
        pending |= found.names - done
        unknown += found.unknown
    # Sorted, so that the version does not depend on the order in which files were read.
    ordered = tuple(modules[name] for name in sorted(modules))
    return replace(source, modules=ordered), [_warning(description) for description in unknown]


def _warning(description: str) -> str:
    return (
        f"{description} may use local modules that can't be known now: they are not part of the "
        "version, and runs find them as they are then."
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


class _ModuleReader:
    """Reads modules from a folder, and counts their files and characters."""

    def __init__(self, contents: Any, folder: str) -> None:
        self._contents = contents
        self._folder = folder
        self._files = 0
        self._characters = 0

    async def read(self, name: str) -> AsyncIterator[ModuleSource]:
        """Yield a module of the folder, or all modules of a package; nothing for another name."""
        if await self._is_file(f"{name}/{PACKAGE_FILE}"):
            async for module in self._package(name, name):
                yield module
        elif await self._is_file(f"{name}.py"):
            yield await self._module(name, f"{name}.py")
        elif await self._is_folder(name):
            # A folder without Python code is data, and not a namespace package.
            modules = [module async for module in self._package(name, name)]
            for module in modules if any(module.source for module in modules) else ():
                yield module

    async def _package(self, name: str, folder: str) -> AsyncIterator[ModuleSource]:
        model = await self._get(folder, "directory")
        entries = {entry["name"]: entry["type"] for entry in model["content"]}
        if PACKAGE_FILE in entries:
            yield await self._module(name, f"{folder}/{PACKAGE_FILE}")
        else:
            yield ModuleSource(name=name, path=folder, source="")
        for entry, entry_type in sorted(entries.items()):
            stem = entry.removesuffix(".py")
            if not stem.isidentifier() or entry == PACKAGE_FILE or stem == "__pycache__":
                continue
            if entry_type == "directory":
                async for module in self._package(f"{name}.{entry}", f"{folder}/{entry}"):
                    yield module
            elif entry.endswith(".py"):
                yield await self._module(f"{name}.{stem}", f"{folder}/{entry}")

    async def _module(self, name: str, path: str) -> ModuleSource:
        source = (await self._get(path, "file"))["content"]
        self._files += 1
        self._characters += len(source)
        if self._files > MAX_FILES or self._characters > MAX_CHARACTERS:
            msg = (
                f"The modules beside the notebook that it imports are more than {MAX_FILES} files "
                f"or {MAX_CHARACTERS:,} characters; install them as a package."
            )
            raise NotebookError(msg)
        return ModuleSource(name=name, path=path, source=source)

    async def _get(self, path: str, content_type: str) -> Any:
        options = {"format": "text"} if content_type == "file" else {}
        full_path = self._full_path(path)
        try:
            _check_inside_root(self._contents, full_path)
            return await ensure_async(
                self._contents.get(full_path, content=True, type=content_type, **options)
            )
        except Exception as error:
            msg = f"The local module {path!r} can't be read ({error}); correct or remove it."
            raise NotebookError(msg) from error

    async def _is_file(self, path: str) -> bool:
        return bool(await ensure_async(self._contents.file_exists(self._full_path(path))))

    async def _is_folder(self, path: str) -> bool:
        return bool(await ensure_async(self._contents.dir_exists(self._full_path(path))))

    def _full_path(self, path: str) -> str:
        return posixpath.join(self._folder, path)
