"""Read a notebook as a workflow: its setup, its steps, and the names that they import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jupyter_pdflow.exceptions import NotebookError, StepError
from jupyter_pdflow.kernels.inside.cell import parse_cell
from jupyter_pdflow.notebook.options import OPTIONS, OptionCell, queue_of
from jupyter_pdflow.notebook.steps import (
    STEP_MAGIC,
    check_body,
    check_name,
    check_setup,
    find_headers,
    may_have_headers,
    split_step,
)
from jupyter_pdflow.rules.workflow import Source, StepSource

NBFORMAT = 4
DEFAULT_KERNEL = "python3"

MAX_CHARACTERS = 500_000
"""Maximum number of characters of the setup and the steps together.

Python may need 1 KB of memory to parse one.
"""

MAX_TRANSFORM_COST = 2_000_000
"""Maximum number of magics times characters, summed up over the cells.

IPython goes through a whole cell again for each magic in it; the maximum takes about 10 s.
"""

HEADERS = (STEP_MAGIC,)
"""Magics that are refused in the wrong place."""

PARSED_FOR = (*HEADERS, *OPTIONS)
"""Magics for which a cell is parsed that is neither setup nor step."""

_MAGIC = re.compile(r"^[ \t]*[%!?,;/]|=[ \t]*[%!]|\?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class CodeCell:
    """A code cell; `name` and `body` are those of a step, or None for another cell."""

    number: int
    source: str
    tags: frozenset[str]
    name: str | None = None
    body: str | None = None

    @property
    def skipped(self) -> bool:
        """Whether the author keeps this cell out of production."""
        return "skip" in self.tags


def read_source(notebook: Mapping[str, Any]) -> Source:
    """Return what production runs: the setup cells and the steps.

    Parameters
    ----------
    notebook : Mapping
        A notebook in nbformat 4; anything else is refused.

    Raises
    ------
    NotebookError
        The notebook can't be deployed; the message names the cell or step and says what to do.
    """
    cells = code_cells(notebook)
    kernel_name = _kernel_name(notebook)
    steps = [cell for cell in cells if cell.name is not None and not cell.skipped]
    setup = _setup_cells(cells, steps)
    with_headers = [cell for cell in cells if _may_have_headers(cell)]
    parsed = {cell.number for cell in [*setup, *steps, *with_headers]}
    # First, because the checks below parse these cells.
    _check_size([cell for cell in cells if cell.number in parsed])
    _check_headers(with_headers)
    queue = queue_of(
        OptionCell(cell.number, _without_header(cell), cell in setup) for cell in with_headers
    )
    try:
        return Source(
            kernel_name=kernel_name,
            setup=tuple(_setup_sources(setup)),
            steps=tuple(_step_sources(steps)),
            queue=queue,
        )
    except StepError as error:
        raise NotebookError(str(error)) from None


def code_cells(notebook: Mapping[str, Any]) -> list[CodeCell]:
    """Return the code cells of a notebook, skipped steps included.

    Raises
    ------
    NotebookError
        It is not a notebook in nbformat 4.
    """
    if _mapping(notebook).get("nbformat") != NBFORMAT:
        msg = "This is not a notebook in nbformat 4; open it in Jupyter and save it again."
        raise NotebookError(msg)
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        msg = "The notebook has no list of cells; open it in Jupyter and save it again."
        raise NotebookError(msg)
    code = (_code_cell(number, cell) for number, cell in enumerate(cells, start=1))
    return [cell for cell in code if cell is not None]


def _code_cell(number: int, cell: object) -> CodeCell | None:
    if not isinstance(cell, Mapping):
        msg = f"Cell {number} is not a cell of nbformat 4; open the notebook and save it again."
        raise NotebookError(msg)
    if cell.get("cell_type") != "code":
        return None
    source, tags = _text(number, cell.get("source", "")), _tags(cell)
    parts = split_step(source)
    if parts is None:
        return CodeCell(number=number, source=source.rstrip(), tags=tags)
    name, body = parts
    return CodeCell(number=number, source=source, tags=tags, name=name, body=body)


def _text(number: int, source: object) -> str:
    lines = [source] if isinstance(source, str) else source
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        msg = f"The source of cell {number} is not text; open the notebook and save it again."
        raise NotebookError(msg)
    text = "".join(lines)
    # Half a surrogate pair is valid in a notebook's JSON, but not in source code or in a file.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        msg = (
            f"Cell {number} has half a surrogate pair in its text; delete that character and save."
        )
        raise NotebookError(msg)
    return text


def _tags(cell: Mapping[str, Any]) -> frozenset[str]:
    tags = _mapping(cell.get("metadata")).get("tags")
    return (
        frozenset(tag for tag in tags if isinstance(tag, str))
        if isinstance(tags, list)
        else frozenset()
    )


def _kernel_name(notebook: Mapping[str, Any]) -> str:
    metadata = _mapping(notebook.get("metadata"))
    kernelspec = _mapping(metadata.get("kernelspec"))
    info = _mapping(metadata.get("language_info"))
    language: Any = info.get("name") or kernelspec.get("language") or "python"
    if not isinstance(language, str) or language.lower() not in ("python", "ipython"):
        msg = f"Steps are written in Python; this notebook's language is {str(language)[:40]!r}."
        raise NotebookError(msg)
    name = kernelspec.get("name") or DEFAULT_KERNEL
    if not isinstance(name, str) or not name.isprintable():
        msg = "The notebook's kernelspec has no usable name; choose its kernel and save it."
        raise NotebookError(msg)
    return name


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _setup_cells(cells: list[CodeCell], steps: list[CodeCell]) -> list[CodeCell]:
    first_step = steps[0].number if steps else 0
    return [
        cell
        for cell in cells
        if (cell.number < first_step or "setup" in cell.tags)
        and not (cell.name is not None or cell.skipped)
        and cell.source
    ]


def _may_have_headers(cell: CodeCell) -> bool:
    return not cell.skipped and may_have_headers(_without_header(cell), PARSED_FOR)


def _check_headers(cells: list[CodeCell]) -> None:
    """Refuse a misplaced header: its step, such as an approval, would be left out silently."""
    for cell in cells:
        for header in find_headers(_without_header(cell), HEADERS):
            where = f"Cell {cell.number} of the notebook"
            raise NotebookError(header.refusal(where, ", or give this one the tag `skip`"))


def _without_header(cell: CodeCell) -> str:
    """Return a cell's source without a step's own header; its lines keep their numbers."""
    if cell.body is None:
        return cell.source
    above = cell.source[: len(cell.source) - len(cell.source.lstrip())].count("\n")
    return "\n" * (above + 1) + cell.body


def _check_size(cells: list[CodeCell]) -> None:
    """Refuse what would take Python and IPython minutes, or gigabytes, to parse."""
    characters = sum(len(cell.source) for cell in cells)
    if characters > MAX_CHARACTERS:
        msg = (
            f"The setup and the steps have {characters:,} characters, more than {MAX_CHARACTERS:,}; "
            "move data to files and code to a module, or give other cells the tag `skip`."
        )
        raise NotebookError(msg)
    if sum(map(_transform_cost, cells)) > MAX_TRANSFORM_COST:
        largest = max(cells, key=_transform_cost)
        msg = (
            f"There are too many magics (%, !, ?) in cells as long as cell {largest.number} of "
            "the notebook; split that cell, write the magics in Python, or give it the tag `skip`."
        )
        raise NotebookError(msg)


def _transform_cost(cell: CodeCell) -> int:
    return len(_MAGIC.findall(cell.source)) * len(cell.source)


def _setup_sources(setup: list[CodeCell]) -> Iterator[str]:
    for cell in setup:
        check_setup(cell.number, cell.source)
        yield cell.source


def _step_sources(cells: list[CodeCell]) -> Iterator[StepSource]:
    if not cells:
        msg = "The notebook has no step: begin a code cell with `%%step NAME`."
        raise NotebookError(msg)
    numbers: dict[str, int] = {}
    for cell in cells:
        name, body = _step_name(cell), cell.body or ""
        if name in numbers:
            msg = (
                f"Two cells are named step {name!r} (cells {numbers[name]} and {cell.number} of the "
                "notebook); give each step its own name."
            )
            raise NotebookError(msg)
        numbers[name] = cell.number
        check_body(name, body)
        yield StepSource(name=name, source=body)


def _step_name(cell: CodeCell) -> str:
    try:
        return check_name(cell.name or "")
    except StepError as error:
        msg = f"Cell {cell.number} of the notebook: {error}"
        raise NotebookError(msg) from None


# --- imports --------------------------------------------------------------------------

_IMPORT_CALLS = frozenset({"import_module", "__import__"})
_RUN_MAGICS = frozenset({"run", "aimport"})


class Imports(NamedTuple):
    """The modules that code imports.

    Attributes
    ----------
    names : set of str
        The top-level names, without those of the standard library.
    unknown : list of str
        Descriptions of imports whose names can't be read from the code.
    """

    names: set[str]
    unknown: list[str]


def imports_of(source: str, where: str) -> Imports:
    """Return what Python or IPython source imports, also inside its functions.

    Parameters
    ----------
    source : str
        The code; if it does not parse, the result is empty and the error is not reported here.
    where : str
        The name of the code in descriptions, such as ``step 'load'``.
    """
    tree = _tree(source)
    nodes = [] if tree is None else list(ast.walk(tree))
    names = {name.partition(".")[0] for node in nodes for name in _imported_names(node)}
    unknown = [f"{what} in {where}" for node in nodes for what in _unknown_imports(node)]
    return Imports(names - sys.stdlib_module_names - {""}, list(dict.fromkeys(unknown)))


def merged(found: Iterable[Imports]) -> Imports:
    """Return the imports of several sources as one."""
    names: set[str] = set()
    unknown: list[str] = []
    for imports in found:
        names |= imports.names
        unknown += imports.unknown
    return Imports(names, unknown)


def _tree(source: str) -> ast.Module | None:
    try:
        return parse_cell(source)
    except Exception:  # noqa: BLE001  what IPython raises for odd sources is not documented
        return None


def _imported_names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=aliases):
            yield from (alias.name for alias in aliases)
        case ast.ImportFrom(module=str(module), level=0):
            yield module
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if (
            _called_name(node) in _IMPORT_CALLS
        ):
            yield name


def _unknown_imports(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = _called_name(node)
    if name in _IMPORT_CALLS and not (node.args and isinstance(node.args[0], ast.Constant)):
        yield f"{name}(…)"
    elif name == "run_line_magic" and _first_argument(node) in _RUN_MAGICS:
        yield f"%{_first_argument(node)}"
    elif name in ("append", "insert", "extend") and _is_sys_path_method(node.func):
        yield f"sys.path.{name}(…)"


def _called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _first_argument(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def _is_sys_path_method(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sys"), attr="path")):
            return True
    return False
