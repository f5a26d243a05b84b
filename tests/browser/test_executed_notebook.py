"""An executed notebook in JupyterLab, which does not trust it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from playwright.sync_api import Page, expect

from jupyter_pdflow.rules.pauses import Decider, Decision
from jupyter_pdflow.server.executed_notebook import notebook_text
from jupyter_pdflow.stores import KeptOutputs, StepOutputs
from tests.browser.lab import Desk
from tests.rules.support import START, RunDriver, workflow
from tests.servers import JupyterServer

SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
SVG = (
    '<svg width="30" height="20"><script>window.hacked = 1</script>'
    '<rect width="30" height="20" fill="red" onload="window.hacked = 1"/></svg>'
)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
TRICKS = f"``` {SCRIPT} ``` </code></pre>{SCRIPT} $x$ [a](javascript:alert) | **bold**"


def executed() -> str:
    event = {TRICKS: TRICKS, "lines": f"\n```\n{SCRIPT}\u2028```\u2028{SCRIPT}"}
    driver = RunDriver("a", event=event)
    driver.step(
        took=3_000, exports={TRICKS: TRICKS, "$return_value": f"data:image/png;base64,{PNG}"}
    )
    decider = Decider(via="button", at=START, name="ada", verified=True, note=TRICKS)
    decision = Decision(
        step="a", execution=1, resolution="approved", by="button", at=START, deciders=(decider,)
    )
    run = replace(driver.run, title=TRICKS, workflow_name=TRICKS, decisions=(decision,))
    outputs: list[dict[str, Any]] = [
        {
            "output_type": "display_data",
            "data": {"image/svg+xml": SVG, "text/plain": "svg"},
            "metadata": {},
        }
    ]
    shown = StepOutputs(step="a", execution=1, outputs=outputs)
    return notebook_text(run, workflow("a"), KeptOutputs(shown=[shown]))


def test_svg_is_shown_and_nothing_is_executed(lab: JupyterServer, page: Page) -> None:
    (lab.root / "executed.ipynb").write_text(executed())
    Desk.at(page, lab, "lab/tree/executed.ipynb")
    svg = page.locator(".jp-OutputArea-output img[src^='data:image/svg+xml']")
    expect(svg).to_have_js_property("naturalWidth", 30)
    expect(page.locator(".jp-MarkdownOutput img[src^='data:image/png']")).to_have_js_property(
        "naturalWidth", 1
    )
    header, about = page.locator(".jp-MarkdownOutput").all()
    expect(header.get_by_role("heading")).to_contain_text(TRICKS[:60])
    expect(header.locator("pre")).to_contain_text("</code></pre>")
    expect(about).to_contain_text("Approved by ada, 2026-01-01 00:00:00 UTC, from JupyterLab: ```")
    for shown in (header, about):
        expect(shown.locator("strong, a[href^=javascript], img[src=x], script")).to_have_count(
            1 if shown is about else 0
        )
    assert page.evaluate("window.hacked") is None
