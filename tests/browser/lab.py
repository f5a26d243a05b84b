"""A person at JupyterLab or Notebook 7: types, clicks and reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from playwright.sync_api import Locator, Page, Response, expect

from tests.servers import JupyterServer, wait_until

START_MS = 60_000
"""JupyterLab takes its time to load on a machine that does other things."""
KERNEL_MS = 30_000
IDLE = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
DIRTY = ".lm-TabBar-tab.jp-mod-dirty"
NEWS = "@jupyterlab/apputils-extension:announcements"


def lab_server(folder: Path, *args: str, env: dict[str, str] | None = None) -> JupyterServer:
    """Make a server whose JupyterLab asks nothing about news."""
    server = JupyterServer(folder, args, lab=True, env=env)
    config = folder / "home" / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(json.dumps({"disabledExtensions": {NEWS: True}}))
    return server


class Desk:
    """A notebook open in a browser.

    Parameters
    ----------
    page : Page
        A page that is logged in.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        # Jupyter can't list a folder in the moment in which a file of it is renamed.
        missing = page.locator(".jp-Dialog", has_text="Directory not found")
        page.add_locator_handler(missing, lambda found: found.get_by_role("button").last.click())

    @classmethod
    def fresh(cls, page: Page, server: JupyterServer) -> Self:
        """Open JupyterLab and make a new notebook by its launcher."""
        page.goto(f"{server.url}/lab?token={server.token}&reset")
        card = page.locator(".jp-LauncherCard[data-category='Notebook']").first
        card.click(timeout=START_MS)
        return cls(page)._ready(server)

    @classmethod
    def at(cls, page: Page, server: JupyterServer, path: str) -> Self:
        """Open a notebook at an address, such as ``notebooks/x.ipynb``."""
        page.goto(f"{server.url}/{path}?token={server.token}&reset")
        return cls(page)._ready(server)

    def _ready(self, server: JupyterServer) -> Self:
        """Wait for the kernel: without one JupyterLab takes a cell for executed at once."""
        self.cells.first.wait_for(timeout=START_MS)
        name = self.notebook.locator(".jp-Toolbar-kernelName")
        expect(name).to_have_text("Python 3 (ipykernel)", timeout=START_MS)

        def has_kernel() -> bool:
            answer = server.http.get("/api/kernels", headers=server.headers)
            # It is an error while a kernel of the list goes away.
            kernels = answer.json() if answer.is_success else []
            newest = max(kernels, key=lambda kernel: kernel["last_activity"], default=None)
            return bool(newest and newest["connections"] and newest["execution_state"] == "idle")

        wait_until(has_kernel, "the notebook has a kernel", START_MS / 1000)
        expect(self.notebook.locator(IDLE)).to_be_attached(timeout=KERNEL_MS)
        return self

    @property
    def notebook(self) -> Locator:
        """The notebook that is in front."""
        return self.page.locator(".jp-NotebookPanel:visible")

    @property
    def cells(self) -> Locator:
        """The code cells."""
        return self.notebook.locator(".jp-Notebook .jp-CodeCell")

    def cell(self, number: int) -> Locator:
        """One code cell, counted from 0."""
        return self.cells.nth(number)

    def output(self, number: int) -> Locator:
        """What a cell shows."""
        return self.cell(number).locator(".jp-OutputArea").first

    def write(self, sources: list[str]) -> None:
        """Type cells from the selected one on, and run none."""
        for number, source in enumerate(sources):
            if number == self.cells.count():
                self.page.keyboard.press("Escape")
                self.page.keyboard.press("b")
            expect(self.cells).to_have_count(max(number + 1, self.cells.count()))
            self.cell(number).locator(".cm-content").click()
            self.page.keyboard.insert_text(source)

    def run(self, number: int, *, wait: bool = True) -> Locator:
        """Run a cell and give what it shows."""
        editor = self.cell(number).locator(".cm-content")
        editor.click()
        expect(editor).to_be_focused()
        self.page.keyboard.press("Shift+Enter")
        if wait:
            prompt = self.cell(number).locator(".jp-InputPrompt")
            expect(prompt).not_to_have_text("[ ]:", timeout=KERNEL_MS)
            expect(prompt).not_to_have_text("[*]:", timeout=KERNEL_MS)
        return self.output(number)

    def toolbar(self, name: str) -> Locator:
        """A button of the notebook's toolbar."""
        toolbar = self.notebook.locator(".jp-NotebookPanel-toolbar")
        return toolbar.get_by_role("button", name=name, exact=True)

    @property
    def panel(self) -> Locator:
        """The side panel with the runs."""
        return self.page.get_by_role("region", name="Workflow runs")

    @property
    def run_tab(self) -> Locator:
        """The tab of a run that is in front."""
        return self.page.locator(".jp-pdflow-run-tab:visible")

    def row(self, run_id: str) -> Locator:
        """A run in the list of the side panel."""
        return self.panel.locator(f"[data-run='{run_id}']")

    def show(self, tab: str) -> None:
        """Bring a tab of the main area to the front."""
        self.page.get_by_role("main").get_by_role("tab", name=tab, exact=True).click()

    def open_panel(self) -> Locator:
        """Open the side panel by its tab."""
        self.page.locator(".jp-pdflow-tab").first.click()
        expect(self.panel).to_be_visible()
        return self.panel

    def save(self) -> None:
        """Save the notebook, and wait until that is done.

        Also where JupyterLab takes it for saved, as it does after a change during a save. The
        checkpoint comes last: a save before it would be taken for a change by someone else.
        """
        with self.page.expect_response(_is_checkpoint):
            self.page.keyboard.press("Control+s")
        expect(self.page.locator(DIRTY)).to_have_count(0)

    def save_as(self, name: str) -> None:
        """Save a new notebook under a name, which JupyterLab asks for."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        dialog = self.page.locator(".jp-Dialog")
        dialog.locator("input").first.fill(name)
        with self.page.expect_response(_is_save):
            dialog.get_by_role("button", name="Rename").click()
        expect(dialog).to_have_count(0)
        expect(self.page.locator(DIRTY)).to_have_count(0)


def _is_checkpoint(response: Response) -> bool:
    return response.request.method == "POST" and "/checkpoints" in response.url


def _is_save(response: Response) -> bool:
    return response.request.method == "PUT" and "/api/contents/" in response.url
