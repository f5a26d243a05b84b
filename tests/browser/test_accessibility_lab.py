"""JupyterLab's panel and a notebook's views for people who see, point or read otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import grave_findings
from tests.browser.lab import KERNEL_MS, START_MS, Desk, lab_server
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, write_notebook

LOAD = "%load_ext jupyter_pdflow"
BROKEN = """%%step broken
def handler(pd):
    return 1 / 0"""
THEMES = "/lab/api/settings/@jupyterlab/apputils-extension:themes"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with lab_server(tmp_path_factory.mktemp("lab")) as running:
        approval = running.deploy("approval", [LOAD, ASK, TELL])
        for _ in range(2):
            running.wait_run(running.run(approval, {"order": 17})["id"], "paused")
        broken = running.deploy("broken", [LOAD, BROKEN])
        running.wait_run(running.run(broken)["id"], "failed")
        yield running


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, server: JupyterServer, request: pytest.FixtureRequest) -> Iterator[Page]:
    raw = json.dumps({"theme": f"JupyterLab {request.param.capitalize()}"})
    server.http.put(THEMES, headers=server.headers, json={"raw": raw}).raise_for_status()
    with browser.new_context(viewport={"width": 1440, "height": 1000}) as context:
        yield context.new_page()


def test_panel_and_notebook(server: JupyterServer, page: Page) -> None:
    write_notebook(server.root / "approval.ipynb", [LOAD, ASK, TELL, "%pdflow runs"])
    desk = Desk.at(page, server, "lab/tree/approval.ipynb")
    expect(page.locator("body[data-jp-theme-light]")).to_be_attached(timeout=START_MS)
    desk.run(0)
    desk.run(3, wait=False)
    panel = desk.open_panel()
    expect(panel.locator("[data-run]")).to_have_count(3, timeout=KERNEL_MS)
    assert grave_findings(page, "#jupyter-pdflow-panel") == []
    for status in ("waiting", "failed"):
        panel.locator(f"[data-run][data-status={status}] button").first.click()
        run = desk.run_tab
        run.locator("summary").click()
        expect(run.get_by_text("Credits", exact=True)).to_be_visible()
        for tab in run.get_by_role("tab").all():
            tab.click()
            expect(run.locator(".jp-PDFlow-loading")).to_have_count(0)
            assert grave_findings(page, ".jp-pdflow-run-tab") == []
        assert grave_findings(page, "#jupyter-pdflow-panel") == []
    desk.show("approval.ipynb")
    assert grave_findings(page, ".jp-pdflow-status") == []
    assert grave_findings(page, ".jp-pdflow-toolbar") == []
    shown = desk.output(3).locator(".jp-PDFlow").first
    expect(shown).to_contain_text("waiting for a person", timeout=KERNEL_MS)
    assert grave_findings(page, ".jp-NotebookPanel .jp-PDFlow") == []
