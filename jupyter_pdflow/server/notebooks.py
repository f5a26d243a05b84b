"""Reading the notebooks that are to be deployed, whoever wrote them."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_core.utils import ensure_async
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import BadRequestError, NotebookError, NotFoundError
from jupyter_pdflow.notebook.source import read_source
from jupyter_pdflow.rules.workflow import Source

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
