"""Widgets that have a plain-text and an HTML twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets
from ipywidgets.widgets.widget_box import VBox

ui: Any = ipywidgets
"""The widgets, which come without types."""


class FallbackBox(VBox):
    """A column of widgets that reads the same where no widget can be shown.

    Parameters
    ----------
    children : sequence of ipywidgets.Widget
        What is shown where widgets can be.
    text, html : str
        The twins, for terminals, converters and code hosts.
    """

    def __init__(self, children: Sequence[Any], text: str, html: str) -> None:
        super().__init__(children)  # type: ignore[no-untyped-call]
        self.text = text
        self.html = html

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}  # type: ignore[no-untyped-call]
        return {**bundle, "text/plain": self.text, "text/html": self.html}
