"""The toolbar of a notebook in JupyterLab: the mode, what is deployed, and runs."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.axe import grave_findings
from tests.browser.lab import KERNEL_MS, START_MS, Desk
from tests.servers import JupyterServer, write_notebook

LOAD = "%load_ext jupyter_pdflow"
TOTAL = """%%step total
def handler(pd):
    return {"total": pd.steps["trigger"]["event"].get("net", 1)}"""
TELL = "%%step tell\ndef handler(pd):\n    print(pd.steps['total']['total'])"
ELSEWHERE = "globalThis[Symbol.for('jupyter_pdflow')].extras"

pytestmark = pytest.mark.timeout(240)


def at(page: Page, lab: JupyterServer, name: str, cells: list[str]) -> Desk:
    write_notebook(lab.root / f"{name}.ipynb", cells)
    return Desk.at(page, lab, f"lab/tree/{name}.ipynb")


def note(desk: Desk, text: str) -> Locator:
    """What the toolbar says beside the version."""
    return desk.notebook.locator(f".jp-pdflow-note[data-note='{text}']")


def version(desk: Desk) -> Locator:
    return desk.notebook.locator(".jp-pdflow-number")


def marks(desk: Desk) -> Locator:
    return desk.notebook.locator(".jp-pdflow-mark")


def is_pressed(desk: Desk, mode: str) -> None:
    button = desk.toolbar(mode)
    expect(button).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)


def append(desk: Desk, number: int, text: str) -> None:
    desk.cell(number).locator(".cm-content").click()
    desk.page.keyboard.press("Control+End")
    desk.page.keyboard.insert_text(text)


def toast(page: Page, text: str) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=text)


def dialog(page: Page) -> Locator:
    return page.locator(".jp-Dialog")


def choose(page: Page, button: str) -> None:
    dialog(page).get_by_role("button", name=button, exact=True).click()


def test_an_edited_step_is_deployed_and_run(lab: JupyterServer, page: Page) -> None:
    desk = at(page, lab, "order", [LOAD, TOTAL, TELL])
    desk.run(0)
    is_pressed(desk, "Test")
    expect(note(desk, "not deployed")).to_be_visible()
    desk.toolbar("Production").click()
    is_pressed(desk, "Production")
    expect(toast(page, "Deployed v1.")).to_be_visible()
    expect(version(desk)).to_have_text("v1")
    expect(note(desk, "up to date")).to_be_visible()

    append(desk, 1, "  # edited")
    expect(note(desk, "edited since")).to_be_visible()
    expect(marks(desk)).to_have_text(["edited since v1"])
    assert grave_findings(page, ".jp-pdflow-toolbar") == []
    assert grave_findings(page, ".jp-pdflow-mark") == []

    desk.toolbar("Run workflow…").click()
    field = dialog(page).locator("textarea")
    expect(dialog(page)).to_contain_text("Edited since v1: step total.")
    field.fill("{'net': 17}")
    expect(dialog(page).get_by_role("status")).to_contain_text("double quotes")
    expect(dialog(page).get_by_role("button", name="Run v1")).to_be_disabled()
    expect(dialog(page).get_by_role("button", name="Deploy and run")).to_be_disabled()
    field.fill('{"net": 17}')
    choose(page, "Deploy and run")
    expect(desk.run_tab).to_contain_text("v2")
    desk.show("order.ipynb")
    expect(version(desk)).to_have_text("v2")
    expect(note(desk, "up to date")).to_be_visible()
    expect(marks(desk)).to_have_count(0)
    (run,) = lab.api("GET", "/runs?workflow=order").json()
    ended = lab.wait_run(run["id"], "succeeded")
    assert ended["event"] == {"net": 17}
    assert ended["version"] == lab.api("GET", "/workflows/order").json()["version"]

    append(desk, 1, " again")
    expect(note(desk, "edited since")).to_be_visible()
    desk.toolbar("Run workflow…").click()
    expect(field).to_have_value('{"net": 17}')
    choose(page, "Run v2")
    expect(desk.run_tab).to_contain_text("v2")
    desk.show("order.ipynb")
    expect(note(desk, "edited since")).to_be_visible()
    desk.toolbar("Production").click()
    expect(toast(page, "Deployed v3.")).to_be_visible()
    expect(note(desk, "up to date")).to_be_visible()


def test_the_version_outlives_the_kernel_and_belongs_to_the_path(
    lab: JupyterServer, page: Page
) -> None:
    write_notebook(lab.root / "known.ipynb", [LOAD, TOTAL])
    lab.api("POST", "/workflows", {"path": "known.ipynb"})
    desk = Desk.at(page, lab, "lab/tree/known.ipynb")
    expect(version(desk)).to_have_text("v1")
    desk.toolbar("Load workflows").click()
    is_pressed(desk, "Test")
    expect(desk.cells).to_have_count(2)
    desk.cell(0).locator(".cm-content").click()
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    page.keyboard.press("0")
    choose(page, "Confirm Kernel Restart")
    expect(desk.toolbar("Load workflows")).to_be_visible(timeout=KERNEL_MS)
    expect(version(desk)).to_have_text("v1")
    lab.http.patch(
        "/api/contents/known.ipynb", headers=lab.headers, json={"path": "new.ipynb"}
    ).raise_for_status()
    page.goto(f"{lab.url}/lab/tree/new.ipynb?reset")
    expect(note(desk, "not deployed")).to_be_visible(timeout=START_MS)
    expect(version(desk)).to_have_text("")


def test_a_refusal_is_told_whole_and_leads_to_the_cell(lab: JupyterServer, page: Page) -> None:
    desk = at(page, lab, "twice", [LOAD, TELL, TELL])
    desk.run(0)
    is_pressed(desk, "Test")
    desk.toolbar("Production").click()
    expect(dialog(page)).to_contain_text("Not switched to production")
    expect(dialog(page)).to_contain_text("give each step its own name.")
    choose(page, "Go to cell")
    expect(desk.cell(1).locator(".cm-content")).to_be_focused()
    is_pressed(desk, "Test")


def test_untested_code_is_asked_about(lab: JupyterServer, page: Page) -> None:
    desk = at(page, lab, "untested", [LOAD, TOTAL, TELL])
    desk.run(0)
    desk.run(1)
    append(desk, 1, "  # edited")
    desk.toolbar("Production").click()
    expect(dialog(page)).to_contain_text("Step total was edited after the last run")
    choose(page, "Cancel")
    is_pressed(desk, "Test")
    expect(note(desk, "not deployed")).to_be_visible()
    desk.toolbar("Production").click()
    choose(page, "Deploy anyway")
    is_pressed(desk, "Production")
    expect(note(desk, "up to date")).to_be_visible()


def test_a_kernel_without_the_extension_loads_it(lab: JupyterServer, page: Page) -> None:
    desk = at(page, lab, "unloaded", ["import os", TOTAL])
    desk.toolbar("Load workflows").click()
    is_pressed(desk, "Test")
    expect(desk.cells).to_have_count(3)
    expect(desk.cell(0).locator(".cm-content")).to_have_text(LOAD)


def test_go_to_cell_and_the_source_of_an_open_cell(lab: JupyterServer, page: Page) -> None:
    filler = [f"x = {number}\n" * 20 for number in range(20)]
    write_notebook(lab.root / "long.ipynb", [LOAD, TOTAL, *filler, TELL])
    lab.api("POST", "/workflows", {"path": "long.ipynb"})
    desk = at(page, lab, "other", ["1 + 1"])
    assert page.evaluate(f"{ELSEWHERE}.cellSource('long', 'tell')") is None
    page.evaluate(f"{ELSEWHERE}.openCell('long', 'tell')")
    cell = desk.cells.filter(has_text=re.compile("%%step tell"))
    expect(cell.locator(".cm-content")).to_be_focused(timeout=START_MS)
    expect(cell).to_be_in_viewport()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("  # here")
    source = page.evaluate(f"{ELSEWHERE}.cellSource('long', 'tell')")
    assert source == f"{TELL.partition(chr(10))[2]}  # here"


def test_the_launcher_makes_a_workflow(lab: JupyterServer, page: Page) -> None:
    page.goto(f"{lab.url}/lab?token={lab.token}&reset")
    card = page.locator(".jp-LauncherCard").filter(has_text="Workflow notebook")
    card.click(timeout=START_MS)
    desk = Desk(page)
    expect(desk.toolbar("Load workflows")).to_be_visible(timeout=START_MS)
    desk.run(0)
    is_pressed(desk, "Test")
    desk.run(1)
    desk.toolbar("Deploy").click()
    expect(toast(page, "Deployed v1.")).to_be_visible()
    is_pressed(desk, "Test")
    name = page.locator(".lm-DockPanel-tabBar .lm-mod-current .lm-TabBar-tabLabel").inner_text()
    saved = json.loads((lab.root / name).read_text())
    assert [cell["cell_type"] for cell in saved["cells"]] == ["markdown", "code", "code", "code"]


def test_production_replaces_the_outputs_of_earlier_sessions(
    lab: JupyterServer, page: Page
) -> None:
    desk = at(page, lab, "replaced", [LOAD, TOTAL, "print('not a step')"])
    for number in range(3):
        desk.run(number)
    expect(desk.output(1)).to_contain_text("total")
    desk.save()
    for session in lab.http.get("/api/sessions", headers=lab.headers).json():
        lab.http.delete(f"/api/sessions/{session['id']}", headers=lab.headers)
    desk = Desk.at(page, lab, "lab/tree/replaced.ipynb")
    expect(desk.output(1)).to_contain_text("total")
    desk.toolbar("Load workflows").click()
    is_pressed(desk, "Test")
    desk.toolbar("Production").click()
    is_pressed(desk, "Production")
    expect(desk.output(1)).to_contain_text("No run yet.", timeout=KERNEL_MS)
    expect(desk.output(2)).to_have_text("not a step")
