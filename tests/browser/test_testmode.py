"""Test mode in JupyterLab: choices that stay visible, Run All, and the flip to production."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.axe import grave_findings
from tests.browser.lab import KERNEL_MS, Desk
from tests.servers import JupyterServer, write_notebook

LOAD = "%load_ext jupyter_pdflow"
ASK = """%%step ask
def handler(pd):
    print("asked")
    pd.flow.suspend()"""
TELL = """%%step tell
def handler(pd):
    data = pd.steps["ask"]["$resume_data"]
    print("told", data and data["body"])"""
CHOSEN = ".fa-check"

pytestmark = pytest.mark.timeout(240)


def choose(cell: Locator, label: str) -> None:
    button = cell.get_by_role("button", name=label)
    button.click()
    expect(button.locator(CHOSEN)).to_be_visible()
    expect(cell.locator(CHOSEN)).to_have_count(1)


def test_a_choice_stays_visible_and_can_be_made_again(lab: JupyterServer, page: Page) -> None:
    write_notebook(lab.root / "choices.ipynb", [LOAD, ASK, TELL])
    desk = Desk.at(page, lab, "lab/tree/choices.ipynb")
    expect(desk.run(0)).to_contain_text("This notebook is in test mode.")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    ask = desk.output(1)
    expect(ask.get_by_role("button", name="as if canceled")).to_be_visible(timeout=KERNEL_MS)
    expect(desk.cell(2).locator(".jp-InputPrompt")).to_have_text("[ ]:")
    told = desk.run(2)
    expect(told).to_contain_text("Step ask is waiting: press *as if resumed with* in its notice")

    ask.locator("textarea").fill('{"approved": true}')
    choose(ask, "as if resumed with")
    expect(ask.get_by_role("status")).to_contain_text(
        'Chosen: as if resumed with {"approved": true}. Step ask has ended'
    )
    assert grave_findings(page, ".jp-PDFlow-notice") == []
    expect(desk.run(2)).to_contain_text("told {'approved': True}")
    choose(ask, "as if the time ran out")
    expect(ask.get_by_role("status")).to_contain_text("Chosen: as if the time ran out.")
    expect(desk.run(2)).to_contain_text("told None")


def test_production_replaces_the_outputs_of_test_mode(lab: JupyterServer, page: Page) -> None:
    write_notebook(lab.root / "flips.ipynb", [LOAD, ASK, TELL])
    lab.api("POST", "/workflows", {"path": "flips.ipynb"})
    run = lab.api("POST", "/workflows/flips/runs", {"event": {}}).json()
    lab.wait_run(run["id"], "paused")
    desk = Desk.at(page, lab, "lab/tree/flips.ipynb")
    desk.run(0)
    expect(desk.run(1)).to_contain_text("asked")
    expect(desk.run(2)).to_contain_text("Step ask is waiting")

    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    ask, tell = desk.output(1), desk.output(2)
    expect(ask.get_by_role("button", name="Resume", exact=True)).to_be_visible()
    expect(ask).not_to_contain_text("as if resumed with")
    expect(tell).not_to_contain_text("Step ask is waiting")
    expect(tell.locator(".jp-PDFlow").get_by_role("region", name="Step tell")).to_be_attached()
    expect(tell.locator(".jp-PDFlow")).to_contain_text("step 2 of 2")
