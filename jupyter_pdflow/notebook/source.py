"""Read a notebook as a workflow: its setup, its steps and the local modules they import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jupyter_pdflow.exceptions import NotebookError, StepError
from jupyter_pdflow.kernels.inside.cell import parse_cell
from jupyter_pdflow.notebook.steps import (
    STEP_MAGIC,
    check_body,
    check_name,
    check_setup,
    find_headers,
    may_have_headers,
    split_step,
)
from jupyter_pdflow.pd.attrs import Attrs, missing
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Source, StepSource

RESUME_DATA = "$resume_data"


class _Steps(Attrs):
    """The steps of a session."""

    __slots__ = ()

    def _missing(self, name: object) -> str:
        return f"{missing(name, self)} If that is a step of this notebook, run its cell first."


class _Paused(Attrs):
    """The exports of a step whose notice is still to be answered."""

    __slots__ = ()

    def _missing(self, name: object) -> str:
        if name != RESUME_DATA:
            return missing(name, self)
        return (
            f"There is no {name!r} here yet: press *as if resumed with* above, in the notice of "
            "that step's cell, and run this cell again."
        )


def with_advice(steps: Attrs, tests: Mapping[str, Run]) -> Attrs:
    """Have ``pd.steps`` say what to do where something is missing.

    Parameters
    ----------
    steps : Attrs
        The steps' exports.
    tests : Mapping
        The latest test run of each step.
    """
    waiting = {name for name, run in tests.items() if run.pause is not None}
    return _Steps({name: _Paused(at) if name in waiting else at for name, at in steps.items()})


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


NBFORMAT = 4
DEFAULT_KERNEL = "python3"

MOST_LETTERS = 500_000
"""Letters of the setup and the steps together; Python may need 1 KB of memory for each."""

MOST_WORK = 2_000_000
"""What IPython's reading may take, which goes through a whole cell again for each magic in it:
magics times letters, summed up over the cells. That many take about 10 s."""

HEADERS = (STEP_MAGIC,)
"""Magics that count where they should stand, and nowhere else."""

_MAGIC = re.compile(r"^[ \t]*[%!?,;/]|=[ \t]*[%!]|\?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class CodeCell:
    """A code cell; `name` and `body` are those of a step, and None for other cells."""

    number: int
    source: str
    tags: frozenset[str]
    name: str | None = None
    body: str | None = None

    @property
    def skipped(self) -> bool:
        """Whether the author keeps it out of production."""
        return "skip" in self.tags


def read_source(notebook: Mapping[str, Any]) -> Source:
    """Read what production runs: the setup cells and the steps.

    Parameters
    ----------
    notebook : Mapping
        A notebook in nbformat 4; anything else is refused.

    Raises
    ------
    NotebookError
        It can't be deployed; the message names the cell or step and says what to do.
    """
    cells = code_cells(notebook)
    kernel_name = _kernel_name(notebook)
    steps = [cell for cell in cells if cell.name is not None and not cell.skipped]
    setup = _setup(cells, steps)
    suspects = [cell for cell in cells if _is_suspect(cell)]
    looked_at = {cell.number for cell in [*setup, *steps, *suspects]}
    _check_size([cell for cell in cells if cell.number in looked_at])
    _check_headers(suspects)
    try:
        return Source(
            kernel_name=kernel_name, setup=tuple(_sources(setup)), steps=tuple(_steps(steps))
        )
    except StepError as error:
        raise NotebookError(str(error)) from None


def code_cells(notebook: Mapping[str, Any]) -> list[CodeCell]:
    """Read the code cells of a notebook, steps that are left out of production too.

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
    read = (_code_cell(number, cell) for number, cell in enumerate(cells, start=1))
    return [cell for cell in read if cell is not None]


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
    # Half a surrogate pair is valid in a notebook's JSON, but no source code and not storable.
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        msg = f"Cell {number} has half a surrogate pair in its text; delete that letter and save."
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


def _setup(cells: list[CodeCell], steps: list[CodeCell]) -> list[CodeCell]:
    first = steps[0].number if steps else 0
    return [
        cell
        for cell in cells
        if (cell.number < first or "setup" in cell.tags)
        and not (cell.name is not None or cell.skipped)
        and cell.source
    ]


def _is_suspect(cell: CodeCell) -> bool:
    return not cell.skipped and may_have_headers(_without_header(cell), HEADERS)


def _check_headers(suspects: list[CodeCell]) -> None:
    """Refuse a step that would be left out without a word, and an approval with it."""
    for cell in suspects:
        for header in find_headers(_without_header(cell), HEADERS):
            where = f"Cell {cell.number} of the notebook"
            raise NotebookError(header.refusal(where, ", or give this one the tag `skip`"))


def _without_header(cell: CodeCell) -> str:
    """Get a cell's source without a step's own header; its lines keep their numbers."""
    if cell.body is None:
        return cell.source
    above = cell.source[: len(cell.source) - len(cell.source.lstrip())].count("\n")
    return "\n" * (above + 1) + cell.body


def _check_size(cells: list[CodeCell]) -> None:
    """Refuse what would take Python and IPython minutes, or gigabytes, to read."""
    letters = sum(len(cell.source) for cell in cells)
    if letters > MOST_LETTERS:
        msg = (
            f"The setup and the steps have {letters:,} letters, more than {MOST_LETTERS:,}; move "
            "data to files, and code to a module, or give cells that are neither the tag `skip`."
        )
        raise NotebookError(msg)
    if sum(map(_work, cells)) > MOST_WORK:
        largest = max(cells, key=_work)
        msg = (
            f"There are too many magics (%, !, ?) in cells as long as cell {largest.number} of "
            "the notebook; split it, write them in Python, or give it the tag `skip`."
        )
        raise NotebookError(msg)


def _work(cell: CodeCell) -> int:
    return len(_MAGIC.findall(cell.source)) * len(cell.source)


def _sources(setup: list[CodeCell]) -> Iterator[str]:
    for cell in setup:
        check_setup(cell.number, cell.source)
        yield cell.source


def _steps(cells: list[CodeCell]) -> Iterator[StepSource]:
    if not cells:
        msg = "The notebook has no step: begin a code cell with `%%step NAME`."
        raise NotebookError(msg)
    seen: dict[str, int] = {}
    for cell in cells:
        name, body = _named(cell), cell.body or ""
        if name in seen:
            msg = (
                f"Two cells are named step {name!r} (cells {seen[name]} and {cell.number} of the "
                "notebook); give each step its own name."
            )
            raise NotebookError(msg)
        seen[name] = cell.number
        check_body(name, body)
        yield StepSource(name=name, source=body)


def _named(cell: CodeCell) -> str:
    try:
        return check_name(cell.name or "")
    except StepError as error:
        msg = f"Cell {cell.number} of the notebook: {error}"
        raise NotebookError(msg) from None
