"""Step cells: the ``%%step NAME`` line, the handler below it, and headers in the wrong place.

A header is what IPython would run as a magic. So a cell goes through IPython's own transformer,
and the syntax tree is searched for what that makes of a magic: a call of ``run_line_magic`` or
``run_cell_magic``. Text in strings and comments therefore is no header. The bodies of cell magics
are read as cells are.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from textwrap import dedent
from unicodedata import normalize

from jupyter_pdflow.exceptions import StepError
from jupyter_pdflow.kernels.inside.cell import HANDLER, parse, parse_cell, remove_main_block

STEP_MAGIC = "step"
STEP_HEADER = f"%%{STEP_MAGIC}"
_STEP_LINE = re.compile(rf"{STEP_HEADER}(?=\s|$)(.*)")


# --- a step cell ----------------------------------------------------------------------


def split_step(cell: str) -> tuple[str, str] | None:
    """Split a step cell into what follows ``%%step`` on its first line, and its body.

    Parameters
    ----------
    cell : str
        A code cell's source; blank lines above the first and a common indent don't count.

    Returns
    -------
    tuple of str, or None
        None if the cell is not a step.
    """
    lines = cell.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None or not lines[first].lstrip().startswith(STEP_HEADER):
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
    """Check that a step's body is Python or IPython source that defines ``handler``.

    Raises
    ------
    StepError
        It has a syntax error or, as far as the source shows, no handler.
    """
    module = remove_main_block(_parse(f"Step {name!r}", body, first_line=2))
    if not _may_define_handler(module):
        msg = f"Step {name!r} defines no handler: write `def handler(pd):` in its cell."
        raise StepError(msg)


def check_setup(number: int, source: str) -> None:
    """Check that a setup cell is Python or IPython source.

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
    except Exception as error:  # noqa: BLE001  what IPython raises for odd sources is not documented
        msg = f"{what} can't be read as Python ({error}). Correct it and save."
    raise StepError(msg)


def _compiled(python: str) -> ast.Module:
    """Parse and compile, which finds more errors; the author sees the warnings in the kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = parse(python)
        compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return tree


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DYNAMIC_CALLS = {"run_cell_magic", "run_line_magic", "exec"}
"""Calls that may define a handler without naming it in the source."""


def _may_define_handler(module: ast.Module) -> bool:
    """Whether a module may define a handler outside its functions and classes."""
    nodes: list[ast.AST] = [module]
    while nodes:
        for node in ast.iter_child_nodes(nodes.pop()):
            if _defines_handler(node):
                return True
            if not isinstance(node, _SCOPES):
                nodes.append(node)
    return False


def _defines_handler(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name == HANDLER
        case ast.Name(id=name, ctx=ast.Store()):
            return name == HANDLER
        case ast.alias(name=name, asname=asname):
            return (asname or name) == HANDLER or name == "*"
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name in _DYNAMIC_CALLS
    return False


# --- headers --------------------------------------------------------------------------

MAX_TEXT_LENGTH = 60
"""Maximum number of characters of a line that a message quotes."""

_MAGIC_CALLS = {"run_line_magic", "run_cell_magic"}
_HELP_MAGICS = {"pdef", "pdoc", "pfile", "pinfo", "pinfo2", "psource"}
_PARAMETERS = ("magic_name", "line", "cell")
_BLANK = r"[^!-$&-~\w]"
"""A blank, a ``%``, or a character that can't be seen."""
_FIRST_WORD = re.compile(rf"{_BLANK}*(\w+)")


@dataclass(frozen=True)
class Header:
    """A magic found in a cell.

    Attributes
    ----------
    name : str
        The magic's name, one of those that were searched for.
    line : int
        The line of the cell, from 1.
    text : str
        That line, shortened.
    """

    name: str
    line: int
    text: str

    def refusal(self, where: str, alternative: str = "") -> str:
        """Return a message that a step's header does not count there, and what to do.

        Parameters
        ----------
        where : str
            The cell, as the message's subject.
        alternative : str
            What can be done instead of moving the header; ends the message.
        """
        return (
            f"{where} has a step's header in line {self.line} that would not count "
            f"(`{self.text}`). Write `%%step NAME`, with nothing in front of it, as the first line "
            f"of a cell{alternative}."
        )


@dataclass(frozen=True)
class _Magic:
    """A magic that IPython would run; `line` is the number of its line in the Python code."""

    line: int
    name: str
    argument: str
    body: str


def may_have_headers(source: str, names: tuple[str, ...]) -> bool:
    """Whether a closer look is needed; False is quick and certain, and right for most cells."""
    return _hint_pattern(names).search(_normalized(source).replace("\\\n", " ")) is not None


def find_headers(source: str, names: tuple[str, ...], *, bodies: bool = True) -> list[Header]:
    """Return the magics with these names in a cell, in the order of their lines.

    Parameters
    ----------
    source : str
        The cell, or a part of it.
    names : tuple of str
        Names of magics, in lower case.
    bodies : bool
        Whether to look into the bodies of cell magics as well.
    """
    if not may_have_headers(source, names):
        return []
    lines = source.splitlines()
    found = {(_exact_line(lines, line, names), name) for line, name in _find(source, names, bodies)}
    return [Header(name, line, _shortened(lines, line)) for line, name in sorted(found)]


def _find(source: str, names: tuple[str, ...], bodies: bool) -> Iterator[tuple[int, str]]:
    """Yield lines and names; a line may be too small where IPython joins continued lines."""
    pending = [(1, source)]
    while pending:
        start, text = pending.pop()
        if not may_have_headers(text, names):
            continue
        try:
            magics = _magics(text)
        except Exception:  # noqa: BLE001  what IPython raises for odd sources is not documented
            yield from _find_in_lines(start, text, names)
            continue
        for magic in magics:
            # IPython drops the blank lines above a cell.
            line = start + _leading_blank_lines(text) + magic.line - 1
            for word in _magic_names(magic):
                if word in names:
                    yield line, word
            if bodies:
                pending.append((line + 1, magic.body))


def _magics(text: str) -> list[_Magic]:
    return [_magic(node) for node in ast.walk(parse_cell(text)) if _is_magic(node)]  # type: ignore[arg-type]


def _is_magic(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name in _MAGIC_CALLS
    return False


def _magic(call: ast.Call) -> _Magic:
    arguments = dict(zip(_PARAMETERS, call.args, strict=False))
    arguments |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    values = (getattr(arguments.get(name), "value", None) for name in _PARAMETERS)
    return _Magic(call.lineno, *(value if isinstance(value, str) else "" for value in values))


def _find_in_lines(start: int, text: str, names: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield what looks like a header in code that can't be parsed, such as that of a shell."""
    for number, line in enumerate(_normalized(text).splitlines(), start):
        match = _header_pattern(names).match(line)
        if match is None:
            continue
        # In ``(10\n  % step)`` a blank stands before the name, and no word behind it.
        is_modulo = match["blank"].isspace() and not re.match(r"\s+\w", line[match.end() :])
        if not is_modulo:
            yield number, match["name"].lower()


def _magic_names(magic: _Magic) -> Iterator[str]:
    """Yield a magic's name, and that of the magic that it is to run, as in ``%time %step a``."""
    yield _first_word(f"{magic.name} {magic.argument}")
    if magic.argument.lstrip().startswith("%") and magic.name not in _HELP_MAGICS:
        yield _first_word(magic.argument)


def _first_word(text: str) -> str:
    match = _FIRST_WORD.match(text)
    return match[1].lower() if match else ""


def _exact_line(lines: list[str], start: int, names: tuple[str, ...]) -> int:
    """Return the first line from `start` on that has the header: IPython joins continued lines."""
    numbers = range(start, len(lines) + 1)
    return next((number for number in numbers if may_have_headers(lines[number - 1], names)), start)


def _leading_blank_lines(text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines) if line.strip()), 0)


def _shortened(lines: list[str], line: int) -> str:
    text = lines[line - 1].strip() if line <= len(lines) else ""
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}…"


def _normalized(text: str) -> str:
    """Return the text with one kind of line end, and with fullwidth characters as ASCII."""
    text = "\n".join(text.splitlines())
    return text if text.isascii() else normalize("NFKC", text)


@lru_cache
def _hint_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Match what may become a header.

    That is a magic at the start of a line, behind a prompt, an equals sign or another magic, and
    a call that is written out.
    """
    start, blank = r"(?:^|=|>>>|\.{3}:?|\]:)[^!-~\n]*(?:%+\w+[ \t]+)?", r"[^!-$&-~\w\n]*"
    magic = rf"{start}%{blank}(?:{'|'.join(names)})(?!\w)"
    return re.compile(rf"{magic}|{'|'.join(_MAGIC_CALLS)}", re.IGNORECASE | re.MULTILINE)


@lru_cache
def _header_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Match the start of a line that looks like a header."""
    name = rf"(?P<name>{'|'.join(names)})(?![\w?])"
    return re.compile(rf"[^!-~]*%(?P<blank>{_BLANK}*){name}", re.IGNORECASE)
