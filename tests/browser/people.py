"""Browsers of people: phones, with scripts and without, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Browser, Page

from tests import identity
from tests.servers import JupyterServer

Scheme = Literal["light", "dark"]

WIDE, NARROW = 390, 320
"""The width of a usual phone and of a small one, in pixels."""


@contextmanager
def phone(
    browser: Browser,
    *,
    width: int = WIDE,
    scripts: bool = True,
    scheme: Scheme = "light",
    person: tuple[JupyterServer, str] | None = None,
) -> Iterator[Page]:
    """Open a page on a phone; with `person`, signed in at a server under a name."""
    with browser.new_context(
        viewport={"width": width, "height": 844},
        java_script_enabled=scripts,
        color_scheme=scheme,
        reduced_motion="reduce",
    ) as context:
        if person is not None:
            server, name = person
            context.add_cookies([{"name": identity.COOKIE, "value": name, "url": server.url}])
        yield context.new_page()


def width_of(page: Page) -> Any:
    """Return how wide the page is, for a screen that shows a part of it."""
    return page.evaluate("document.documentElement.scrollWidth")


def focused(page: Page) -> Any:
    """Return the name of the field that has the focus."""
    return page.evaluate("document.activeElement.name")
