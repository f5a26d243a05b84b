"""Live views of production runs in a notebook's cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Page, WebSocket, expect

from jupyter_pdflow.widgets.bundle import views, views_version
from tests.browser.axe import grave_findings
from tests.browser.lab import Desk
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until, write_notebook

BUSY = """\
import pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.05)
"""
LOAD, PRODUCTION, RUN, RUNS = (
    "%load_ext jupyter_pdflow",
    "%pdflow production",
    "%pdflow run",
    "%pdflow runs",
)
CELLS = [LOAD, ASK, TELL, PRODUCTION, RUN, RUNS, BUSY]


def saved(path: Path, number: int) -> Any:
    """Read what a saved notebook's cell shows."""
    return nbformat.read(path, as_version=4).cells[number].outputs[0].data


@pytest.mark.timeout(240)
def test_resume_while_the_kernel_is_busy(lab: JupyterServer, page: Page) -> None:
    path = write_notebook(lab.root / "approval.ipynb", CELLS)
    desk = Desk.at(page, lab, "lab/tree/approval.ipynb")
    desk.run(CELLS.index(LOAD))
    desk.run(CELLS.index(PRODUCTION))
    run = desk.run(CELLS.index(RUN))
    expect(run.get_by_text("Step ask waits for a person")).to_be_visible()
    runs = desk.run(CELLS.index(RUNS))
    expect(runs.get_by_text("1 waiting for a person")).to_be_visible()
    assert grave_findings(page, ".jp-PDFlow") == []

    desk.run(CELLS.index(BUSY), wait=False)
    expect(desk.cell(CELLS.index(BUSY)).locator(".jp-InputPrompt")).to_have_text("[*]:")
    run.get_by_role("textbox").fill('{"approved": true}')
    run.get_by_role("button", name="Resume", exact=True).click()
    expect(run.get_by_text("Succeeded").first).to_be_visible()
    expect(run.get_by_text("Resumed, with your data.")).to_be_focused()
    # A list that is not in view reads no counts.
    runs.scroll_into_view_if_needed()
    expect(runs.get_by_text("Nothing is waiting for a person.")).to_be_visible()
    expect(desk.cell(CELLS.index(BUSY)).locator(".jp-InputPrompt")).to_have_text("[*]:")
    (lab.root / "go").touch()
    expect(desk.cell(CELLS.index(BUSY)).locator(".jp-InputPrompt")).not_to_have_text("[*]:")

    desk.cell(CELLS.index(LOAD)).locator(".cm-content").click()

    def is_up_to_date() -> bool:
        desk.save()
        return ": succeeded" in saved(path, CELLS.index(RUN))["text/plain"]

    wait_until(is_up_to_date, "the saved notebook says how the run ended", 30)
    for number in (CELLS.index(RUN), CELLS.index(RUNS)):
        shown = saved(path, number)
        assert "approval" in shown["text/plain"]
        assert "approval" in shown["text/html"]
        assert "pdflow/resume" not in str(shown)
    (run_item,) = lab.api("GET", "/runs").json()
    told = lab.get_run(run_item["id"])["steps"][1]["exports"]["$return_value"]
    assert told["body"] == {"approved": True}


VIEWS = "**/pdflow/static/**"
LOADED = [LOAD, ASK, TELL, PRODUCTION, RUN, RUNS, RUNS]


def run_all(page: Page, lab: JupyterServer, name: str) -> Desk:
    """Open a notebook with three live views, run its cells, and wait for the views."""
    write_notebook(lab.root / name, LOADED)
    desk = Desk.at(page, lab, f"lab/tree/{name}")
    for number in (LOADED.index(LOAD), LOADED.index(PRODUCTION)):
        desk.run(number)
    for number in range(LOADED.index(RUN), len(LOADED)):
        shown = desk.run(number)
        expect(shown.locator(".jp-PDFlow")).to_contain_text("ask")
    return desk


def copies_received(page: Page) -> list[int]:
    """Return a list that grows with each message that has a kernel's copy of the views."""
    sizes: list[int] = []

    def on_frame(payload: str | bytes) -> None:
        if len(payload) > len(views()["module"]):
            sizes.append(len(payload))

    def on_socket(socket: WebSocket) -> None:
        socket.on("framereceived", on_frame)

    page.on("websocket", on_socket)
    return sizes


def style_sheets(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "style[data-pdflow]", "sheets => sheets.map(sheet => sheet.textContent)"
    )
    return found


@pytest.mark.timeout(240)
def test_a_page_loads_the_views_once_and_keeps_them(lab: JupyterServer, page: Page) -> None:
    requests, copies = [], copies_received(page)
    page.on("request", lambda each: requests.append(each.url))
    run_all(page, lab, "once.ipynb")

    loaded = [url for url in requests if "/pdflow/static/" in url]
    urls = {f"{lab.url}/pdflow/static/views.{name}?v={views_version()}" for name in ("js", "css")}
    assert sorted(loaded) == sorted(urls)
    assert copies == []
    assert style_sheets(page) == [views()["style"]]


@pytest.mark.timeout(240)
def test_the_kernel_sends_the_views_once_if_the_server_has_none(
    lab: JupyterServer, page: Page
) -> None:
    copies = copies_received(page)
    page.route(VIEWS, lambda route: route.fulfill(status=404))
    desk = run_all(page, lab, "other.ipynb")

    assert len(copies) == 1
    assert style_sheets(page) == [views()["style"]]
    run = desk.output(LOADED.index(RUN))
    run.get_by_role("textbox").fill('{"approved": true}')
    run.get_by_role("button", name="Resume", exact=True).click()
    expect(run.get_by_text("Succeeded").first).to_be_visible()
