"""Find the modules beside a notebook that its code imports, by reading the code."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jupyter_pdflow.notebook.parsing import parse_cell

_IMPORT_CALLS = frozenset({"import_module", "__import__"})
_RUN_MAGICS = frozenset({"run", "aimport"})


class Imports(NamedTuple):
    """What code imports.

    Attributes
    ----------
    names : set of str
        The top-level names, those of the standard library left out.
    unknown : list of str
        Descriptions of imports whose names the code does not tell.
    """

    names: set[str]
    unknown: list[str]


def imports_of(source: str, where: str) -> Imports:
    """Read what Python or IPython source imports, also inside its functions.

    Parameters
    ----------
    source : str
        The code; what does not parse imports nothing here, others report that.
    where : str
        What to call it, such as ``step 'load'``.
    """
    tree = _parse(source)
    nodes = [] if tree is None else list(ast.walk(tree))
    names = {name.partition(".")[0] for node in nodes for name in _imported(node)}
    unknown = [f"{what} in {where}" for node in nodes for what in _unknown(node)]
    return Imports(names - sys.stdlib_module_names - {""}, list(dict.fromkeys(unknown)))


def merged(found: Iterable[Imports]) -> Imports:
    """Put the imports of several sources together."""
    names: set[str] = set()
    unknown: list[str] = []
    for one in found:
        names |= one.names
        unknown += one.unknown
    return Imports(names, unknown)


def _parse(source: str) -> ast.Module | None:
    try:
        return parse_cell(source)
    except Exception:  # noqa: BLE001  what odd sources raise is not documented
        return None


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=aliases):
            yield from (alias.name for alias in aliases)
        case ast.ImportFrom(module=str(module), level=0):
            yield module
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _name(node) in _IMPORT_CALLS:
            yield name


def _unknown(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = _name(node)
    if name in _IMPORT_CALLS and not (node.args and isinstance(node.args[0], ast.Constant)):
        yield f"{name}(…)"
    elif name == "run_line_magic" and _first(node) in _RUN_MAGICS:
        yield f"%{_first(node)}"
    elif name in ("append", "insert", "extend") and _is_sys_path(node.func):
        yield f"sys.path.{name}(…)"


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _first(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def _is_sys_path(called: ast.expr) -> bool:
    match called:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sys"), attr="path")):
            return True
    return False
