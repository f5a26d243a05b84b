"""JSON values as trees of HTML that fold, without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from itertools import islice
from typing import Any

NODES_LIMIT = 1000
"""Values shown of one tree."""
DEPTH_LIMIT = 40
TEXT_LIMIT = 1000
"""Characters shown of one value."""
NAMES_SHOWN = 12
WIDTH = 60
"""Characters shown of the names in an object that is folded."""
_MONO = "font-family:var(--jp-code-font-family,monospace);font-size:0.9em"
_INDENT = "margin-left:1.2em"
_VALUE = "white-space:pre-wrap;overflow-wrap:anywhere"


def tree_html(value: Any, label: str = "") -> str:
    """Draw a value as nested ``<details>``, the outermost open.

    Parameters
    ----------
    value : JSON value
        Anything else is shown as its `repr`.
    label : str
        What to call the outermost value.
    """
    return f'<div style="{_MONO}">{_Tree().draw(label, value, 0)}</div>'


class _Tree:
    """One tree that is being drawn; it ends where it has got too large."""

    def __init__(self) -> None:
        self.left = NODES_LIMIT

    def draw(self, label: str, value: Any, depth: int) -> str:
        self.left -= 1
        name = f"<b>{escape(label)}</b>" if label else ""
        if not isinstance(value, Mapping | list) or not value or depth >= DEPTH_LIMIT:
            colon = ": " if label else ""
            return f'<div style="{_INDENT}">{name}{colon}{_scalar(value)}</div>'
        summary = " ".join(filter(None, [name, f'<span style="opacity:0.7">{_size(value)}</span>']))
        opened = " open" if depth == 0 else ""
        children = "".join(self._children(value, depth + 1))
        margin = f' style="{_INDENT}"' if depth else ""
        return f"<details{opened}{margin}><summary>{summary}</summary>{children}</details>"

    def _children(self, value: Any, depth: int) -> Iterator[str]:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        shown = 0
        for name, item in islice(pairs, max(0, self.left)):
            if self.left <= 0:
                break
            shown += 1
            yield self.draw(str(name), item, depth)
        if shown < len(value):
            yield f'<div style="{_INDENT}">… {len(value) - shown:,} more</div>'


def _size(value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(map(str, islice(value, NAMES_SHOWN)))
        if len(value) > NAMES_SHOWN or len(names) > WIDTH:
            names = f"{names[:WIDTH]}…"
        return f"{{{escape(names)}}}"
    return f"[{len(value):,} item{'s' * (len(value) != 1)}]"


def _scalar(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    more = f"… ({len(text):,} characters)" if len(text) > TEXT_LIMIT else ""
    return f'<span style="{_VALUE}">{escape(text[:TEXT_LIMIT] + more)}</span>'
