"""The private names of other packages: each still exists, and only `ipykernel_compat` uses them."""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
import multiprocessing.resource_tracker
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShell

import jupyter_pdflow
from jupyter_pdflow import ipykernel_compat

PACKAGE = Path(jupyter_pdflow.__file__).parent

# --- each name still exists -----------------------------------------------------------

NAMES: list[tuple[Any, str]] = [
    (IPythonKernel, "_publish_status"),
    (IPythonKernel, "_forward_input"),
    (IPythonKernel, "_restore_input"),
    (InteractiveShell, "_showtraceback"),
    (ZMQInteractiveShell, "_showtraceback"),
    (asyncio, "_set_running_loop"),
    (multiprocessing.resource_tracker, "_resource_tracker"),
    (multiprocessing.resource_tracker._resource_tracker, "_pid"),
    (os.environ, "_data"),
]
if sys.version_info >= (3, 12):
    NAMES.append((asyncio.tasks, "_swap_current_task"))
if sys.version_info >= (3, 14):
    NAMES += [
        (asyncio.events, "_get_event_loop_policy"),
        (asyncio.events, "_set_event_loop_policy"),
        (asyncio.events, "_AbstractEventLoopPolicy"),
    ]


@pytest.mark.parametrize(("owner", "name"), NAMES, ids=[name for _, name in NAMES])
def test_private_name_exists(owner: Any, name: str) -> None:
    assert hasattr(owner, name)


def test_last_traceback_is_the_one_of_the_reply() -> None:
    """The attribute is set at the first error, so only ipykernel's source tells its name."""
    kernel = Path(sys.modules[IPythonKernel.__module__].__file__ or "").read_text()
    assert "shell._last_traceback" in kernel


async def test_default_executor_is_found_and_forgotten() -> None:
    loop = asyncio.get_running_loop()
    assert ipykernel_compat.default_executor(loop) is None
    await asyncio.to_thread(int)
    executor = ipykernel_compat.default_executor(loop)
    assert isinstance(executor, concurrent.futures.ThreadPoolExecutor)
    assert len(ipykernel_compat.executor_threads(executor)) == 1
    ipykernel_compat.forget_default_executor(loop)
    assert ipykernel_compat.default_executor(loop) is None
    executor.shutdown()
    await asyncio.to_thread(int)


def test_executors_without_threads_have_none() -> None:
    assert list(ipykernel_compat.executor_threads(None)) == []


def test_environment_data_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(ipykernel_compat.environment_data())
    monkeypatch.setenv("PDFLOW_TEST", "1")
    assert len(ipykernel_compat.environment_data()) == len(before) + 1


async def test_running_loop_and_task_are_set() -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    ipykernel_compat.swap_current_task(loop, None)
    ipykernel_compat.set_running_loop(None)
    try:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
    finally:
        ipykernel_compat.set_running_loop(loop)
        ipykernel_compat.swap_current_task(loop, task)
    assert asyncio.current_task() is task


# --- only `ipykernel_compat` uses them ------------------------------------------------

DOCUMENTED = {
    "_exit",  # os
    "_fields",  # named tuples
    "_getframe",  # sys
    "_ipython_display_",  # IPython's display protocol, as the next two
    "_render_traceback_",
    "_repr_mimebundle_",
}
"""Names with an underscore that their packages document."""

ELSEWHERE = {
    # Objects of the author's: if a name goes, their changes are not found any more, and no more.
    "kernels/inside/state.py": {"_rand", "_bit_generator"},  # numpy
    "kernels/inside/watch.py": {"_mgr", "_version"},  # pandas, torch
    # The server runs no code of the author's; these are hooks of its base classes.
    "server/api/base_handler.py": {"_unimplemented_method"},  # tornado
    "server/app.py": {"_load_config", "_find_my_config"},  # traitlets, jupyter_server
    "server/links/intake.py": {"_log"},  # tornado
}
"""Private names of other packages that are used outside of kernels' compatibility."""


def modules() -> list[Path]:
    found = [path for path in PACKAGE.rglob("*.py") if path.name != "ipykernel_compat.py"]
    assert len(found) > 50
    return found


NAMED_TUPLE = {"_asdict", "_fields", "_replace"}
"""Public methods of named tuples: their underscore only keeps fields apart."""


def is_private(name: object) -> bool:
    if not isinstance(name, str) or name in NAMED_TUPLE:
        return False
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module defines: of functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Name(name, ast.Store()):
                yield name
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                yield name


class Use(NamedTuple):
    """A name that a module gets from an object; `of` is the object, if that has a name."""

    name: str
    of: str = ""


def used(tree: ast.AST) -> Iterator[Use]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Call(ast.Name("super")), name):
                yield Use(name, "super()")
            case ast.Attribute(ast.Name(of), name):
                yield Use(name, of)
            case ast.Attribute(_, name):
                yield Use(name)
            case ast.Call(
                ast.Name("getattr" | "hasattr" | "setattr" | "delattr"),
                [_, ast.Constant(str(name)), *_],
            ):
                yield Use(name)
            case ast.Subscript(ast.Call(ast.Name("vars")), ast.Constant(str(name))):
                yield Use(name)
            case ast.ImportFrom(module=str(module), names=aliases):
                if not module.startswith("jupyter_pdflow"):
                    yield from (Use(alias.name, module) for alias in aliases)


def test_no_other_module_uses_a_private_name_of_another_package() -> None:
    trees = {path: ast.parse(path.read_text()) for path in modules()}
    names = {path: set(defined(tree)) for path, tree in trees.items()}
    inherited = set().union(*names.values())
    wrong = []
    for path, tree in trees.items():
        where = path.relative_to(PACKAGE).as_posix()
        allowed = DOCUMENTED | ELSEWHERE.get(where, set())
        for name, of in used(tree):
            own = inherited if of in ("self", "cls") else names[path]
            is_own = name in own and of != "super()"
            if is_private(name) and not is_own and name not in allowed:
                wrong.append(f"{where}: {name}")
    assert wrong == []


@pytest.mark.parametrize("path", ELSEWHERE)
def test_names_that_are_allowed_elsewhere_are_used_there(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text())
    assert ELSEWHERE[path] <= {use.name for use in used(tree)}


@pytest.mark.parametrize(
    "code",
    [
        "shell._showtraceback()",
        "getattr(loop, '_default_executor', None)",
        "vars(loop)['_default_executor'] = None",
        "from asyncio.events import _get_event_loop_policy",
    ],
)
def test_scan_finds_private_names(code: str) -> None:
    assert any(is_private(use.name) for use in used(ast.parse(code)))
