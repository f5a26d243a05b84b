"""What axe-core finds wrong with a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def grave_findings(page: Page, within: str | None = None) -> list[Any]:
    """List what people with a disability could not use: the rule and the elements."""
    found = Axe().run(page, context=within).response["violations"]
    return [
        (finding["id"], finding["help"], [node["html"][:300] for node in finding["nodes"]])
        for finding in found
        if finding["impact"] in GRAVE
    ]
