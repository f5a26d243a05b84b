"""Takes pictures of every view, in the light and the dark theme.

Usage: ``python scripts/screenshots.py FOLDER``, with the test requirements and Chromium installed.
``--docs`` also renews the two pictures of the README.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import FLAGS, NAMES
from tests.browser.lab import KERNEL_MS, START_MS, Desk, lab_server
from tests.servers import JupyterServer, write_notebook

Scheme = Literal["light", "dark"]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 640}
DOCS = {"panel-opened-light.png": "panel.png", "test-mode-dark.png": "test-mode.png"}
LOAD = "%load_ext jupyter_pdflow"
ASK = """%%step ask
def handler(pd: "pipedream"):
    order = pd.steps["trigger"]["event"]
    urls = pd.flow.suspend()
    pd.send.email(
        subject="Please approve this order",
        text=f"Yes: {urls['resume_url']}  No: {urls['cancel_url']}",
    )
    return {"order": order}"""
SHIP = """%%step ship
def handler(pd: "pipedream"):
    import pandas
    from IPython.display import display
    answer = pd.steps["ask"]["$resume_data"]["body"] or {}
    display(pandas.DataFrame({"item": ["lamp", "chair"], "sent": [1, 4]}))
    return {"approved_by": answer.get("by")}"""
PLOT = """%%step measure
def handler(pd):
    import matplotlib.pyplot as plt
    plt.plot([3, 1, 4, 1, 5, 9, 2, 6])
    plt.title("Orders a day")
    plt.show()
    print("measured 8 days")
    return {"days": 8, "peak": {"day": 5, "orders": 9}}"""
WAIT = """%%step wait
def handler(pd):
    pd.flow.delay(3 * 60 * 60 * 1000)"""
BROKEN = """%%step check
def handler(pd):
    stock = {"lamp": 2}
    return stock["chair"]"""
LONG = """%%step train
def handler(pd):
    import time
    time.sleep(600)"""


class Camera:
    """Takes pictures into a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    scheme : str
        ``light`` or ``dark``.
    """

    def __init__(self, folder: Path, scheme: Scheme) -> None:
        self._folder = folder
        self._scheme = scheme

    def take(self, name: str, target: Page | Locator) -> None:
        """Take a picture of a page, or of a part of it."""
        target.screenshot(path=self._folder / f"{name}-{self._scheme}.png")


def make_runs(server: JupyterServer) -> None:
    """Start runs that get every status."""
    approval = server.deploy("approval", [LOAD, ASK, SHIP])
    report = server.deploy("weekly_report", [LOAD, PLOT, WAIT])
    stock = server.deploy("stock", [LOAD, BROKEN])
    model = server.deploy("train_model", [LOAD, LONG])
    for order, by in ((15, "Ada"), (16, "Grace")):
        run = server.wait_run(server.run(approval, {"order": order})["id"], "paused")
        server.api("POST", f"/runs/{run['id']}/resume", {"data": {"by": by}})
        server.wait_run(run["id"], "succeeded")
    canceled = server.wait_run(server.run(approval, {"order": 14})["id"], "paused")
    server.api("POST", f"/runs/{canceled['id']}/cancel", {"reason": "ordered twice"})
    server.wait_run(server.run(stock)["id"], "failed")
    server.wait_run(server.run(report)["id"], "paused")
    for order in (17, 18):
        server.wait_run(server.run(approval, {"order": order})["id"], "paused")
    server.wait_run(server.run(model)["id"], "running")


def open_lab(page: Page, server: JupyterServer, path: str, scheme: Scheme) -> Desk:
    """Open a notebook in JupyterLab, in the theme of the scheme."""
    theme = {"theme": f"JupyterLab {scheme.capitalize()}"}
    answer = server.http.put(
        "/lab/api/settings/@jupyterlab/apputils-extension:themes",
        headers=server.headers,
        json={"raw": json.dumps(theme)},
    )
    answer.raise_for_status()
    desk = Desk.at(page, server, path)
    expect(
        page.locator(f"body[data-jp-theme-light='{str(scheme == 'light').lower()}']")
    ).to_be_attached(timeout=START_MS)
    return desk


def show_notebook(page: Page, server: JupyterServer, camera: Camera, scheme: Scheme) -> None:
    """Show test mode, production mode and the widgets of a notebook."""
    for session in server.http.get("/api/sessions", headers=server.headers).json():
        server.http.delete(f"/api/sessions/{session['id']}", headers=server.headers)
    cells = [LOAD, ASK, SHIP, "%pdflow runs"]
    write_notebook(server.root / "approval.ipynb", cells)
    desk = open_lab(page, server, "lab/tree/approval.ipynb", scheme)
    desk.run(0)
    notice = desk.run(1)
    expect(notice.get_by_role("button", name="as if canceled")).to_be_visible()
    camera.take("test-mode", page)
    camera.take("notice", notice)
    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    step = desk.run(1)
    expect(step.get_by_role("button", name="Resume", exact=True)).to_be_visible()
    camera.take("production", page)
    camera.take("step", step)
    runs = desk.run(3)
    expect(runs).to_contain_text("waiting for a person")
    camera.take("runs", runs)
    desk.toolbar("Run workflow…").click()
    expect(page.get_by_role("dialog").locator("textarea")).to_be_focused()
    camera.take("run-dialog", page)
    page.keyboard.press("Escape")
    desk.save()


def show_panel(page: Page, server: JupyterServer, camera: Camera, scheme: Scheme) -> None:
    """Show the side panel with its list, and with runs opened."""
    desk = open_lab(page, server, "lab/tree/approval.ipynb", scheme)
    expect(desk.run(1)).to_contain_text("waits for a person")
    panel = desk.open_panel()
    page.locator(".lm-SplitPanel-handle:visible").first.hover()
    page.mouse.down()
    page.mouse.move(520, 300)
    page.mouse.up()
    expect(panel.locator("[data-run]").first).to_be_visible()
    camera.take("panel", page)
    for box in panel.get_by_role("checkbox").all()[:2]:
        box.check()
    panel.get_by_role("button", name="Resume…").click()
    panel.get_by_label("Data for each step").fill("{'approved': True}")
    camera.take("panel-several", page)
    panel.get_by_role("button", name="Back").click()
    panel.get_by_role("button", name="Clear selection").click()
    for status, name in (
        ("Waiting", "opened"),
        ("Failed", "failed"),
        ("Succeeded", "succeeded"),
        ("Paused", "delayed"),
        ("Running", "running"),
    ):
        panel.locator("[data-run] button").filter(has_text=status).first.click()
        expect(panel.get_by_role("button", name="All runs")).to_be_visible()
        expect(panel.get_by_text("Credits", exact=True)).to_be_visible()
        expect(panel.locator(".jp-PDFlow-loading")).to_have_count(0)
        camera.take(f"panel-{name}", page)
        if status == "Succeeded":
            for tree in ("event", r"\$resume_data", "headers"):
                panel.locator("summary").filter(has_text=re.compile(rf"^{tree}")).first.click()
            camera.take("panel-trees", page)
        if status == "Waiting":
            panel.get_by_role("button", name="Cancel…").click()
            camera.take("panel-cancel", page)
            panel.get_by_role("button", name="Keep it").click()
        panel.get_by_role("button", name="All runs").click()


def show_notebook_7(page: Page, server: JupyterServer, camera: Camera, scheme: Scheme) -> None:
    """Show a notebook in Notebook 7."""
    desk = open_lab(page, server, "notebooks/approval.ipynb", scheme)
    expect(desk.run(1)).to_contain_text("waits for a person")
    camera.take("notebook-7", page)


def show_links(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show the pages of links on a phone."""

    def picture(name: str, heading: str) -> None:
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        camera.take(f"link-{name}", page)

    def link(action: str) -> str:
        run = server.run({"id": "approval"}, {"order": 19})
        return str(server.wait_run(run["id"], "paused")["pause"][f"{action}_url"])

    requests: list[Any] = []

    def delay(route: Any) -> None:
        if route.request.method == "POST":
            requests.append(route)
        else:
            route.continue_()

    page.route("**/pdflow/**", delay)
    page.goto(link("resume"))
    picture("busy", "Resuming …")
    requests[0].abort()
    picture("failed", "That did not work")
    page.unroute_all()
    page.get_by_role("button").click()
    picture("resumed", "Resumed")
    page.reload()
    picture("decided", "Already resumed")
    page.goto(link("cancel"))
    picture("canceled", "Canceled")
    page.goto(f"{server.url}/pdflow/resume/test")
    picture("test", "A link of test mode")
    page.goto(f"{server.url}/pdflow/resume/unknown")
    picture("unknown", "This link leads nowhere")


def show_link_without_scripts(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show the pages of links that ask, as browsers without scripts have them."""
    run = server.wait_run(server.run({"id": "approval"}, {"order": 20})["id"], "paused")
    for action in ("resume", "cancel"):
        page.goto(run["pause"][f"{action}_url"])
        camera.take(f"link-ask-{action}", page)


@contextmanager
def new_page(browser: Browser, scheme: Scheme, size: Any, **options: Any) -> Iterator[Page]:
    """Open a page in a browser that prefers a scheme."""
    with browser.new_context(
        viewport=size, color_scheme=scheme, reduced_motion="reduce", **options
    ) as context:
        yield context.new_page()


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", action="store_true", help="renew the pictures of the README")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=KERNEL_MS)
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    with (
        tempfile.TemporaryDirectory() as home,
        lab_server(Path(home)) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        make_runs(server)
        schemes: tuple[Scheme, ...] = ("light", "dark")
        for scheme in schemes:
            camera = Camera(folder, scheme)
            with new_page(browser, scheme, DESKTOP) as page:
                show_notebook(page, server, camera, scheme)
            with new_page(browser, scheme, DESKTOP) as page:
                show_panel(page, server, camera, scheme)
            with new_page(browser, scheme, DESKTOP) as page:
                show_notebook_7(page, server, camera, scheme)
            with new_page(browser, scheme, PHONE) as page:
                show_links(page, server, camera)
            with new_page(browser, scheme, PHONE, java_script_enabled=False) as page:
                show_link_without_scripts(page, server, camera)
        browser.close()
    if arguments.docs:
        for taken, name in DOCS.items():
            images = ROOT / "docs" / "images"
            images.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / taken, images / name)


if __name__ == "__main__":
    main()
