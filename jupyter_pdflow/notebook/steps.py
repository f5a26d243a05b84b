"""What makes a cell a step: its ``%%step NAME`` line, its name and its handler."""

from __future__ import annotations

import ast
import re
import warnings
from textwrap import dedent

from jupyter_pdflow.exceptions import StepError
from jupyter_pdflow.notebook.cell import HANDLER
from jupyter_pdflow.notebook.parsing import leave_out_main, parse

STEP = "%%step"
_STEP_LINE = re.compile(rf"{STEP}(?=\s|$)(.*)")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DYNAMIC = {"run_cell_magic", "run_line_magic", "exec"}
"""Calls that may define a handler where a reader of the source can't see it."""


def split_step(cell: str) -> tuple[str, str] | None:
    """Split a step cell into what follows ``%%step`` on its first line, and its body.

    Parameters
    ----------
    cell : str
        A code cell's source; blank lines above the first and a common indent don't count.

    Returns
    -------
    tuple of str, or None
        None where the cell is not a step.
    """
    lines = cell.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None or not lines[first].lstrip().startswith(STEP):
        return None
    if lines[first][0].isspace():
        lines, first = dedent("".join(lines[first:])).splitlines(keepends=True), 0
    match = _STEP_LINE.match(lines[first])
    return (match[1].strip(), "".join(lines[first + 1 :]).rstrip()) if match else None


def check_name(name: str) -> str:
    """Return a step's name.

    Raises
    ------
    StepError
        It is missing, not an identifier, or ``trigger``.
    """
    if not name:
        msg = "A step cell has no name: write `%%step NAME` on its first line."
        raise StepError(msg)
    if not name.isidentifier():
        msg = (
            f"{name[:80]!r} is not a step's name: after %%step write one identifier, "
            "of letters, digits and _, not starting with a digit."
        )
        raise StepError(msg)
    if name == "trigger":
        msg = "A step can't be named 'trigger', which is the run's event; give it another name."
        raise StepError(msg)
    return name


def check_body(name: str, body: str) -> None:
    """Make sure that a step's body is Python or IPython source that defines ``handler``.

    Raises
    ------
    StepError
        It has a syntax error or, as far as the source tells, no handler.
    """
    module = leave_out_main(_parse(f"Step {name!r}", body, first_line=2))
    if not _may_define_handler(module):
        msg = f"Step {name!r} defines no handler: write `def handler(pd):` in its cell."
        raise StepError(msg)


def check_setup(number: int, source: str) -> None:
    """Make sure that a setup cell is Python or IPython source.

    Raises
    ------
    StepError
        It has a syntax error.
    """
    _parse(f"Cell {number} of the notebook", source, first_line=1)


def _parse(what: str, source: str, *, first_line: int) -> ast.Module:
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        python = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
        return _compiled(python)
    except SyntaxError as error:
        line = (error.lineno or 1) + first_line - 1
        msg = f"{what} has a syntax error in line {line}: {error.msg}. Correct it and save."
    except Exception as error:  # noqa: BLE001  what odd sources raise is not documented
        msg = f"{what} can't be read as Python ({error}). Correct it and save."
    raise StepError(msg)


def _compiled(python: str) -> ast.Module:
    """Parse and compile, which finds more errors; the author sees the warnings in the kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = parse(python)
        compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return tree


def _may_define_handler(module: ast.Module) -> bool:
    """Look for a handler in a module, outside its functions and classes."""
    nodes: list[ast.AST] = [module]
    while nodes:
        for node in ast.iter_child_nodes(nodes.pop()):
            if _defines(node):
                return True
            if not isinstance(node, _SCOPES):
                nodes.append(node)
    return False


def _defines(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name == HANDLER
        case ast.Name(id=name, ctx=ast.Store()):
            return name == HANDLER
        case ast.alias(name=name, asname=asname):
            return (asname or name) == HANDLER or name == "*"
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name in _DYNAMIC
    return False
