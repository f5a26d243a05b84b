"""The built front end of the widgets.

Each widget carries a small loader. The loader imports the views, a module with a style sheet, once
for all widgets of a page: from the page's server, or else from the kernel.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
LOADER, MODULE, STYLE = "widget.js", "views.js", "views.css"

NOT_BUILT = (
    "The widget of jupyter_pdflow is not built: run jlpm install and jlpm build:widget in its "
    "folder labextension, then restart the kernel."
)
NOT_BUILT_MODULE = (
    f"export default {{ render({{ el }}) {{ el.textContent = {json.dumps(NOT_BUILT)}; }} }};"
)


@cache
def loader() -> str:
    """Return the module of each widget, or one that shows `NOT_BUILT`."""
    file = STATIC / LOADER
    return file.read_text("utf-8") if file.is_file() else NOT_BUILT_MODULE


@cache
def views() -> dict[str, str]:
    """Return the texts of the views: ``{"module", "style"}``.

    Raises
    ------
    FileNotFoundError
        They are not built.
    """
    files = {"module": MODULE, "style": STYLE}
    return {kind: (STATIC / name).read_text("utf-8") for kind, name in files.items()}


@cache
def views_version() -> str:
    """Return the hash of the views by which a loader of the same build asks for them.

    Raises
    ------
    FileNotFoundError
        They are not built.
    """
    return hashlib.sha256("".join(views().values()).encode()).hexdigest()[:16]
