"""The way from a fresh notebook to a run that a person has settled, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import KERNEL_MS, Desk
from tests.servers import JupyterServer, wait_until, write_notebook

LOAD = "%load_ext jupyter_pdflow"
ASK = """%%step ask
def handler(pd):
    pd.flow.suspend()
    return {"order": pd.steps["trigger"]["event"].get("order")}"""
TELL = """%%step tell
def handler(pd):
    data = pd.steps["ask"]["$resume_data"]
    print("told", data and data["body"])
    return "done\""""
BUSY = """import pathlib, time
while not pathlib.Path("free").exists():
    time.sleep(0.05)"""
NOTICE = "Workflow execution canceled — this may be due to `pd.flow.suspend()` usage"

pytestmark = pytest.mark.timeout(240)


def start_run(desk: Desk, event: str) -> None:
    """Start a run by the toolbar, with an event."""
    desk.toolbar("Run workflow…").click()
    dialog = desk.page.get_by_role("dialog")
    dialog.locator("textarea").fill(event)
    dialog.get_by_role("button", name=re.compile(r"^Run v\d+$")).click()


def resume(shown: Locator, data: str) -> Locator:
    """Resume a run by its page; return the page."""
    run = shown.get_by_role("article")
    expect(run.get_by_text("Waiting", exact=True).first).to_be_visible(timeout=KERNEL_MS)
    run.get_by_label("Data for the step").fill(data)
    run.get_by_role("button", name="Resume", exact=True).click()
    return run


def test_from_a_fresh_notebook_to_finished_outputs(lab: JupyterServer, page: Page) -> None:
    desk = Desk.fresh(page, lab)
    desk.write([LOAD, ASK, TELL])

    desk.run(0)
    expect(desk.run(1)).to_contain_text(NOTICE)
    desk.output(1).locator("textarea").fill('{"approved": true}')
    desk.output(1).get_by_role("button", name="as if resumed with").click()
    expect(desk.output(1)).to_contain_text("$resume_data", timeout=KERNEL_MS)
    expect(desk.run(2)).to_contain_text("told {'approved': True}")

    desk.save_as("approval.ipynb")
    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    start_run(desk, '{"order": 17}')
    expect(page.get_by_role("button", name="1 waiting")).to_be_visible(timeout=KERNEL_MS)
    run = resume(desk.run_tab, '{"approved": "by Ada"}')
    expect(run).to_contain_text("Succeeded", timeout=KERNEL_MS)
    expect(run).to_contain_text("told {'approved': 'by Ada'}", timeout=KERNEL_MS)
    expect(page.get_by_role("button", name="1 waiting")).to_have_count(0)

    desk.show("approval.ipynb")
    expect(desk.run(2)).to_contain_text("Succeeded")
    desk.toolbar("Test").click()
    expect(desk.toolbar("Test")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    expect(desk.run(1)).to_contain_text(NOTICE)


def test_buttons_work_while_the_kernel_is_busy(lab: JupyterServer, page: Page) -> None:
    write_notebook(
        lab.root / "busy.ipynb", [LOAD, ASK, TELL, "%pdflow production", "%pdflow run", BUSY]
    )
    desk = Desk.at(page, lab, "lab/tree/busy.ipynb")
    desk.run(0)
    desk.run(3)
    view = desk.run(4)
    expect(view.get_by_text("Waiting", exact=True).first).to_be_visible(timeout=KERNEL_MS)
    desk.run(5, wait=False)
    expect(desk.cell(5).locator(".jp-InputPrompt")).to_have_text("[*]:")

    view.get_by_label("Data for the step").fill("[1, 2]")
    view.get_by_role("button", name="Resume", exact=True).click()
    expect(view).to_contain_text("Succeeded", timeout=KERNEL_MS)
    expect(view).to_contain_text("told [1, 2]", timeout=KERNEL_MS)
    desk.open_panel()
    (known,) = lab.api("GET", "/runs?workflow=busy").json()
    expect(desk.row(known["id"])).to_have_attribute("data-status", "succeeded")
    expect(desk.row(known["id"])).to_contain_text("tell")
    expect(desk.cell(5).locator(".jp-InputPrompt")).to_have_text("[*]:")
    (lab.root / "free").touch()
    expect(desk.cell(5).locator(".jp-InputPrompt")).not_to_have_text("[*]:", timeout=KERNEL_MS)


def test_widgets_in_notebook_7(lab: JupyterServer, page: Page) -> None:
    write_notebook(lab.root / "seven.ipynb", [LOAD, ASK, "%pdflow production", "%pdflow runs"])
    desk = Desk.at(page, lab, "notebooks/seven.ipynb")
    desk.run(0)
    expect(desk.run(1)).to_contain_text(NOTICE)
    expect(desk.output(1).get_by_role("button", name="as if canceled")).to_be_visible()
    desk.run(2)
    expect(desk.run(3)).to_contain_text("No runs yet")
    run = lab.api("POST", "/workflows/seven/runs", json={"event": {}}).json()
    expect(desk.output(3)).to_contain_text("waiting for a person", timeout=KERNEL_MS)
    desk.output(3).get_by_title(f"Run {run['id']}").click()
    desk.output(3).get_by_role("button", name="Resume", exact=True).click()
    wait_until(lambda: lab.get_run(run["id"])["status"] == "succeeded", "the run goes on")


def test_toolbar_and_commands_in_notebook_7(lab: JupyterServer, page: Page) -> None:
    write_notebook(lab.root / "eight.ipynb", [LOAD, ASK, TELL])
    desk = Desk.at(page, lab, "notebooks/eight.ipynb")
    desk.run(0)
    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    start_run(desk, '{"order": 18}')
    run = resume(desk.panel, '{"approved": "by Grace"}')
    expect(run).to_contain_text("told {'approved': 'by Grace'}", timeout=KERNEL_MS)
    expect(desk.run(2)).to_contain_text("Succeeded")
    page.keyboard.press("Control+Shift+c")
    page.keyboard.insert_text("Switch This Notebook to Test")
    page.locator(".lm-CommandPalette-item", has_text="Switch This Notebook to Test").click()
    expect(desk.toolbar("Test")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
