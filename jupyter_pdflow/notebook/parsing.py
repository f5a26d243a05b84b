"""A step's cell as Python, once IPython's syntax is out of it."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator

_OPEN_F_STRING = re.compile(
    r"""(?<![\w"'])r?fr?(?:'(?:[^'{]|\{[^}']*\})*\{[^}']*(')|"(?:[^"{]|\{[^}"]*\})*\{[^}"]*("))""",
    re.IGNORECASE,
)
"""An f-string up to a quote of its own kind in its braces."""
_REFUSED = "f-string expression part cannot include"
_NEWER = (
    "Python 3.12 or newer reads it; before, use other quotes inside an f-string, or take that "
    "expression out of it"
)


def parse(python: str, filename: str = "<cell>") -> ast.Module:
    """Parse Python source.

    Raises
    ------
    SyntaxError
        It is not Python; where only this Python can't read it, the message says so.
    """
    try:
        return ast.parse(python, filename)
    except SyntaxError as error:
        if sys.version_info < (3, 12) and _is_newer(error):
            error.msg = f"{error.msg} ({_NEWER})"
        raise


def parse_cell(source: str) -> ast.Module:
    """Parse IPython source; the warnings that it causes are shown by the kernel that runs it.

    Not for several threads at a time: the filters of warnings belong to all.

    Raises
    ------
    Exception
        It can't be read; what odd sources raise in IPython is not documented.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    python = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(python)


def leave_out_main(module: ast.Module) -> ast.Module:
    """Leave out what stands below ``if __name__ == "__main__":``, but for its ``else``.

    In pasted code that is how it is tried out by hand, with made-up data.
    """
    module.body = list(_kept(module.body))
    return module


def _kept(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        if isinstance(statement, ast.If):
            statement.orelse = list(_kept(statement.orelse))
            if _is_main(statement.test):
                yield from statement.orelse
                continue
        yield statement


def _is_main(test: ast.expr) -> bool:
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return any(map(_is_main, values))
        case ast.Compare(
            ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]
        ) | ast.Compare(ast.Constant("__main__"), [ast.Eq()], [ast.Name("__name__")]):
            return True
    return False


def _is_newer(error: SyntaxError) -> bool:
    """Whether Python 3.12, where an f-string may hold its own quotes, is likely to read it."""
    if _REFUSED in error.msg:
        return True
    text = error.text or ""
    opened = _OPEN_F_STRING.search(text)
    rest = text[opened.end() :] if opened else ""
    return opened is not None and (opened[1] or opened[2]) in rest and "}" in rest
