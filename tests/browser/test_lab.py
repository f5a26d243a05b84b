"""JupyterLab's panel, status bar, notifications and toolbar, on a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import KERNEL_MS, START_MS
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, write_notebook

LOAD = "%load_ext jupyter_pdflow"
BUSY = "import pathlib, time\nwhile not pathlib.Path('enough').exists():\n    time.sleep(0.05)"
FAIL = "%%step boom\ndef handler(pd):\n    raise ValueError('no such order')\n"


@pytest.fixture
def page(page: Page, lab: JupyterServer) -> Iterator[Page]:
    """Settle afterwards what a test has left to wait."""
    yield page
    for status in ("paused", "running"):
        for run in lab.api("GET", f"/runs?status={status}").json():
            lab.api("POST", f"/runs/{run['id']}/cancel", {})


def opened(page: Page, lab: JupyterServer, name: str, cells: list[str]) -> None:
    write_notebook(lab.root / f"{name}.ipynb", cells)
    page.goto(f"{lab.url}/lab/tree/{name}.ipynb?token={lab.token}&reset")
    idle = page.get_by_text("Python 3 (ipykernel) | Idle")
    expect(idle).to_be_visible(timeout=START_MS)


def prompt(page: Page, number: int) -> Locator:
    return page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputPrompt")


def run_cell(page: Page, number: int, shown: str) -> None:
    page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(prompt(page, number)).to_have_text(shown, timeout=KERNEL_MS)


def started(lab: JupyterServer, name: str) -> Any:
    workflow = lab.api("POST", "/workflows", {"path": f"{name}.ipynb"}).json()
    return lab.run(workflow)


def panel(page: Page) -> Locator:
    return page.get_by_role("region", name="Workflow runs")


def toast(page: Page, words: str | re.Pattern[str]) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=words)


def test_the_panel_settles_a_run_while_the_kernel_is_busy(lab: JupyterServer, page: Page) -> None:
    opened(page, lab, "approval", [ASK, TELL, BUSY])
    run_cell(page, 2, "[*]:")
    run = started(lab, "approval")

    status = page.get_by_role("button", name="1 waiting")
    expect(toast(page, "approval waits for you at step ask.")).to_be_visible(timeout=KERNEL_MS)
    status.click()
    row = panel(page).locator(f"[data-run='{run['id']}']")
    expect(row).to_contain_text("ask")
    row.get_by_role("button").click()
    shown = page.locator(".jp-pdflow-run-tab")
    shown.get_by_label("Data for the step").fill('{"by": "Ada"}')
    shown.get_by_role("button", name="Resume", exact=True).click()

    ended = lab.wait_run(run["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"]["body"] == {"by": "Ada"}
    expect(shown.locator("article")).to_have_attribute("data-status", "succeeded")
    expect(row).to_have_attribute("data-status", "succeeded")
    expect(status).to_have_count(0)
    expect(toast(page, "approval waits for you at step ask.")).to_have_count(0)
    page.get_by_role("tab", name="approval.ipynb").click()
    expect(prompt(page, 2)).to_have_text("[*]:")
    (lab.root / "enough").touch()
    expect(prompt(page, 2)).to_have_text("[1]:", timeout=KERNEL_MS)


def test_the_count_follows_a_server_that_was_away(lab: JupyterServer, page: Page) -> None:
    opened(page, lab, "away", [ASK, TELL])
    run = started(lab, "away")
    expect(page.get_by_role("button", name="1 waiting")).to_be_visible()
    lab.kill()
    lab.start()
    lab.api("POST", f"/runs/{run['id']}/cancel", {"reason": "meanwhile"})
    expect(page.get_by_role("button", name="1 waiting")).to_have_count(0, timeout=40_000)


def test_a_failure_is_told_and_opens(lab: JupyterServer, page: Page) -> None:
    opened(page, lab, "failing", [FAIL])
    started(lab, "failing")
    told = toast(page, "failing failed at step boom.")
    told.get_by_role("button", name="Open").click()
    shown = page.locator(".jp-pdflow-run-tab")
    expect(shown).to_contain_text("Step boom failed.")
    expect(shown).to_contain_text("no such order")


def test_the_palette_resumes_the_latest_run(lab: JupyterServer, page: Page) -> None:
    opened(page, lab, "palette", [ASK, TELL])
    run = started(lab, "palette")
    expect(page.get_by_role("button", name="1 waiting")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Shift+c")
    page.keyboard.insert_text("Resume the Latest Waiting Run")
    command = page.locator(".lm-CommandPalette-item", has_text="Resume the Latest Waiting Run")
    expect(command).to_contain_text("palette, step ask")
    command.click()
    page.locator(".jp-Dialog textarea").fill("17")
    page.locator(".jp-Dialog").get_by_role("button", name="Resume", exact=True).click()
    ended = lab.wait_run(run["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"]["body"] == 17
