"""Find magics of this package anywhere in a cell, however they are written.

What counts is what IPython reads. So a cell goes through its own transformer, and what that
makes of a magic, a call of ``run_line_magic`` or ``run_cell_magic``, is looked for in the
syntax tree; strings and comments are none. The bodies of cell magics are read like cells.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

from jupyter_pdflow.notebook.parsing import parse_cell

STEP_MAGIC = "step"
TEXT_SHOWN = 60
"""Characters shown of a line."""

_CALLS = {"run_line_magic", "run_cell_magic"}
_HELP = {"pdef", "pdoc", "pfile", "pinfo", "pinfo2", "psource"}
_PARAMETERS = ("magic_name", "line", "cell")
_BLANK = r"[^!-$&-~\w]"
"""Blanks, ``%``, and what is not to be seen."""
_WORD = re.compile(rf"{_BLANK}*(\w+)")


@dataclass(frozen=True)
class Header:
    """A magic found in a cell.

    Attributes
    ----------
    name : str
        Which of the names asked for.
    line : int
        The line of the cell, from 1.
    text : str
        That line, shortened.
    """

    name: str
    line: int
    text: str

    def refusal(self, where: str, else_: str = "") -> str:
        """Say that a step's header does not count there, and what to do."""
        return (
            f"{where} has a step's header in line {self.line} that would not count "
            f"(`{self.text}`): write `%%step NAME`, with nothing in front of it, as the first line "
            f"of a cell of its own{else_}."
        )


@dataclass(frozen=True)
class _Magic:
    """A magic that IPython would run; `line` is the number of its line in the Python code."""

    line: int
    name: str
    rest: str
    body: str


def may_have_headers(source: str, names: tuple[str, ...]) -> bool:
    """Tell quickly that there are none, for most cells; where there may be some, look closer."""
    return _hint(names).search(_plain(source).replace("\\\n", " ")) is not None


def find_headers(source: str, names: tuple[str, ...], *, bodies: bool = True) -> list[Header]:
    """Find magics in a cell, in the order of their lines.

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
    found = {(_line_of(lines, at, names), name) for at, name in _find(source, names, bodies)}
    return [Header(name, line, _shown(lines, line)) for line, name in sorted(found)]


def _find(source: str, names: tuple[str, ...], bodies: bool) -> Iterator[tuple[int, str]]:
    """Find the lines, or for code that IPython shortens the lines above, and the names."""
    pending = [(1, source)]
    while pending:
        start, text = pending.pop()
        if not may_have_headers(text, names):
            continue
        try:
            magics = _magics(text)
        except Exception:  # noqa: BLE001  what odd sources raise is not documented
            yield from _find_in_lines(start, text, names)
            continue
        for magic in magics:
            line = start + _blank_lines(text) + magic.line - 1
            for word in _words(magic):
                if word in names:
                    yield line, word
            if bodies:
                pending.append((line + 1, magic.body))


def _magics(text: str) -> list[_Magic]:
    return [_magic(node) for node in ast.walk(parse_cell(text)) if _is_magic(node)]  # type: ignore[arg-type]


def _is_magic(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name in _CALLS
    return False


def _magic(call: ast.Call) -> _Magic:
    given = dict(zip(_PARAMETERS, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    values = (getattr(given.get(name), "value", None) for name in _PARAMETERS)
    return _Magic(call.lineno, *(value if isinstance(value, str) else "" for value in values))


def _find_in_lines(start: int, text: str, names: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Find what looks like a header in code that can't be read."""
    for number, line in enumerate(_plain(text).splitlines(), start):
        match = _line(names).match(line)
        if match is None:
            continue
        is_modulo = match["blank"].isspace() and not re.match(r"\s+\w", line[match.end() :])
        if not is_modulo:
            yield number, match["name"].lower()


def _words(magic: _Magic) -> Iterator[str]:
    """Name the magic, and the one that it is to run, as in ``%time %step a``."""
    yield _first_word(f"{magic.name} {magic.rest}")
    if magic.rest.lstrip().startswith("%") and magic.name not in _HELP:
        yield _first_word(magic.rest)


def _first_word(text: str) -> str:
    match = _WORD.match(text)
    return match[1].lower() if match else ""


def _line_of(lines: list[str], at: int, names: tuple[str, ...]) -> int:
    """Find the line itself: IPython makes one line of several that are continued."""
    rest = range(at, len(lines) + 1)
    return next((number for number in rest if may_have_headers(lines[number - 1], names)), at)


def _blank_lines(text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines) if line.strip()), 0)


def _shown(lines: list[str], line: int) -> str:
    text = lines[line - 1].strip() if line <= len(lines) else ""
    return text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}…"


def _plain(text: str) -> str:
    """End all lines alike, and make characters of other widths those of ASCII."""
    text = "\n".join(text.splitlines())
    return text if text.isascii() else normalize("NFKC", text)


@lru_cache
def _hint(names: tuple[str, ...]) -> re.Pattern[str]:
    """Match a magic at the start of a line, behind a prompt, an equals sign or another magic.

    Or one that is written out.
    """
    start, blank = r"(?:^|=|>>>|\.{3}:?|\]:)[^!-~\n]*(?:%+\w+[ \t]+)?", r"[^!-$&-~\w\n]*"
    magic = rf"{start}%{blank}(?:{'|'.join(names)})(?!\w)"
    return re.compile(rf"{magic}|{'|'.join(_CALLS)}", re.IGNORECASE | re.MULTILINE)


@lru_cache
def _line(names: tuple[str, ...]) -> re.Pattern[str]:
    """Match the start of a line that looks like a header."""
    name = rf"(?P<name>{'|'.join(names)})(?![\w?])"
    return re.compile(rf"[^!-~]*%(?P<blank>{_BLANK}*){name}", re.IGNORECASE)
