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
DESKTOP = {"width": 1280, "height": 680}
WIDE = {"width": 1500, "height": 760}
PHONE = {"width": 390, "height": 780}
DOCS = {"run-waiting-light.png": "run.png", "notice-dark.png": "test-mode.png"}
LOAD = "%load_ext jupyter_pdflow"
ASK = """%%step ask
def handler(pd: "pipedream"):
    order = pd.steps["trigger"]["event"]
    pd.title(f"Order {order.get('order', 1)} for {order.get('customer', 'Ada')}")
    urls = pd.flow.suspend(
        message=f"May **order {order.get('order', 1)}** be shipped? It is worth 420 EUR.",
        form={
            "type": "object",
            "properties": {
                "carrier": {"enum": ["post", "courier"], "title": "Carrier"},
                "insured": {"type": "boolean"},
            },
            "required": ["carrier"],
        },
    )
    pd.send.email(subject="Please approve an order", text=f"Yes: {urls['resume_url']}")
    return {"order": order}"""
SHIP = """%%step ship
def handler(pd: "pipedream"):
    import pandas
    from IPython.display import display
    answer = pd.steps["ask"]["$resume_data"]["body"]
    items = [{"item": "lamp", "price": 120.5, "sent": 1}, {"item": "chair", "price": 75, "sent": 4}]
    display(pandas.DataFrame(items))
    return {"carrier": answer["carrier"], "items": items}"""
PLOT = """%%step measure
def handler(pd):
    import matplotlib.pyplot as plt
    plt.figure(figsize=(5, 2.5))
    plt.plot([3, 1, 4, 1, 5, 9, 2, 6])
    plt.title("Orders a day")
    plt.show()
    for day in range(200):
        print("measured day", day)
    return {"days": 8, "peak": {"day": 5, "orders": 9}}"""
POLL = """%%step poll
def handler(pd):
    if pd.context.run.runs < 4:
        pd.flow.rerun(2000, maxRetries=10)"""
WAIT = """%%step wait
def handler(pd):
    pd.flow.delay(3 * 60 * 60 * 1000)"""
BARE = """%%step wait
def handler(pd):
    pd.flow.suspend()"""
READ = """%%step read
def handler(pd):
    return {"lamp": 2}"""
BROKEN = """%%step check
def handler(pd):
    stock = pd.steps["read"]["$return_value"]
    return stock[pd.steps["trigger"]["event"]["item"]]"""
LONG = """%%step train
def handler(pd):
    import time
    for epoch in range(600):
        print("epoch", epoch)
        time.sleep(1)"""
CUSTOMERS = ("Ada", "Grace", "Barbara", "Maximiliane von Hohenstein-Waldburg")


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
    report = server.deploy("weekly_report", [LOAD, PLOT, POLL])
    stock = server.deploy("stock", [LOAD, READ, BROKEN])
    later = server.deploy("later", [LOAD, WAIT])
    server.deploy("bare", [LOAD, BARE])
    model = server.deploy("train_model", [LOAD, LONG])
    for number in range(40):
        server.run(stock, {"item": "lamp" if number % 3 else "a chair with a very long name"})
    for order, customer in enumerate(CUSTOMERS, 11):
        decide(server, approval, order, customer)
    server.wait_run(server.run(report, {"week": 48})["id"], "succeeded", 60)
    server.wait_run(server.run(later)["id"], "paused", 60)
    for order, customer in enumerate(CUSTOMERS, 17):
        event = {"order": order, "customer": customer}
        server.wait_run(server.run(approval, event)["id"], "paused", 60)
    server.wait_run(server.run(model)["id"], "running", 60)


def decide(server: JupyterServer, workflow: Any, order: int, customer: str) -> None:
    """Start a run, and approve or reject what it asks."""
    event = {"order": order, "customer": customer}
    run = server.wait_run(server.run(workflow, event)["id"], "paused", 60)
    if order % 2:
        answer = {"data": {"carrier": "post"}, "note": "looks good", "by": "button"}
        server.api("POST", f"/runs/{run['id']}/resume", answer)
        server.wait_run(run["id"], "succeeded")
    else:
        answer = {"note": "ordered twice", "by": "button"}
        server.api("POST", f"/runs/{run['id']}/reject", answer)


def set_theme(server: JupyterServer, scheme: Scheme) -> None:
    """Let JupyterLab have the theme of a scheme."""
    theme = {"theme": f"JupyterLab {scheme.capitalize()}"}
    answer = server.http.put(
        "/lab/api/settings/@jupyterlab/apputils-extension:themes",
        headers=server.headers,
        json={"raw": json.dumps(theme)},
    )
    answer.raise_for_status()


def open_notebook(page: Page, server: JupyterServer, path: str) -> Desk:
    """Open a notebook in JupyterLab."""
    desk = Desk.at(page, server, path)
    expect(page.locator("body[data-jp-theme-light]")).to_be_attached(timeout=START_MS)
    return desk


def open_launcher(page: Page, server: JupyterServer) -> Desk:
    """Open JupyterLab without a notebook."""
    page.goto(f"{server.url}/lab?token={server.token}&reset")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)
    return Desk(page)


def fresh_notebook(server: JupyterServer) -> None:
    """Write the notebook anew, and end its session."""
    for session in server.http.get("/api/sessions", headers=server.headers).json():
        server.http.delete(f"/api/sessions/{session['id']}", headers=server.headers)
    write_notebook(server.root / "approval.ipynb", [LOAD, ASK, SHIP, "%pdflow runs"])


def show_test_mode(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show a notebook whose extension is not loaded, and test mode."""
    fresh_notebook(server)
    desk = open_notebook(page, server, "lab/tree/approval.ipynb")
    expect(desk.toolbar("Load workflows")).to_be_visible(timeout=KERNEL_MS)
    camera.take("load", page)
    desk.run(0)
    notice = desk.run(1)
    expect(notice.get_by_role("button", name="as if canceled")).to_be_visible()
    camera.take("test-mode", page)
    camera.take("notice", notice)
    desk.save()


def show_production(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show production mode, step cells, the widget of runs, and an edited notebook."""
    event = {"order": 21, "customer": "Ada"}
    server.wait_run(server.run({"id": "approval"}, event)["id"], "paused")
    desk = open_notebook(page, server, "lab/tree/approval.ipynb")
    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    step = desk.run(1)
    expect(step.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    camera.take("production", page)
    camera.take("step", step)
    runs = desk.run(3)
    expect(runs.locator("[data-run]").first).to_be_visible()
    camera.take("runs", runs)
    desk.cell(2).locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("  # and more")
    expect(page.get_by_text("edited since v1").first).to_be_attached()
    camera.take("edited", page)
    desk.toolbar("Run workflow…").click()
    expect(page.get_by_role("dialog").locator("textarea")).to_be_focused()
    camera.take("run-dialog", page)
    page.keyboard.press("Escape")


def show_panel(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show the side panel with its list."""
    desk = open_launcher(page, server)
    camera.take("launcher", page)
    panel = desk.open_panel()
    expect(panel.locator("[data-run]").first).to_be_visible()
    camera.take("panel", page)
    panel.get_by_text("By workflow").click()
    camera.take("panel-workflows", page)
    panel.get_by_text("By state").click()
    for box in panel.get_by_role("checkbox", name="Select").all()[:2]:
        box.check()
    camera.take("panel-selected", page)
    panel.get_by_role("button", name="Clear").first.click()
    panel.locator(".jp-PDFlow-chips").get_by_role("button", name=re.compile("^Failed")).click()
    expect(panel.locator("[data-run]").first).to_be_visible()
    camera.take("panel-failed", page)
    panel.get_by_role("searchbox").fill("nothing has these words")
    expect(panel.get_by_text("No runs match")).to_be_visible()
    camera.take("panel-none", page)


def show_runs(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show runs as tabs, each tab of a run, and the run as a notebook."""
    desk = open_launcher(page, server)
    panel = desk.open_panel()
    for name, title in (
        ("waiting", "Order 17"),
        ("succeeded", "Order 11"),
        ("rejected", "Order 12"),
        ("reruns", "48"),
        ("delayed", "later"),
        ("running", "train_model"),
        ("failed", "a chair"),
    ):
        panel.get_by_role("searchbox").fill(title)
        panel.locator("[data-run]").filter(has_text=title).first.click()
        tab = page.locator(".jp-pdflow-run-tab:visible")
        expect(tab.locator("h3")).to_contain_text(title)
        expect(tab.locator(".jp-PDFlow-loading")).to_have_count(0)
        camera.take(f"run-{name}", page)
    for name in ("Exports", "Event", "Emails", "History", "Code"):
        tab.get_by_role("tab", name=name).click()
        camera.take(f"tab-{name.lower()}", page)
    tab.get_by_role("button", name="Open as notebook").click()
    expect(page.locator(".jp-RenderedMarkdown h1:visible").first).to_be_visible(timeout=KERNEL_MS)
    camera.take("run-notebook", page)


def show_notebook_7(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show a notebook in Notebook 7, whose cells have the views."""
    desk = open_notebook(page, server, "notebooks/approval.ipynb")
    runs = desk.run(3)
    expect(runs.locator("[data-run]").first).to_be_visible()
    runs.locator("[data-run]").first.click()
    expect(runs.get_by_role("button", name="Approve")).to_be_visible()
    camera.take("notebook-7", page)


def show_links(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show the pages of links on a phone."""

    def picture(name: str, heading: str) -> None:
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        camera.take(f"link-{name}", page)

    def link(action: str) -> str:
        run = server.run({"id": "bare"})
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
    picture("unknown", "This link is not valid")


def show_link_without_scripts(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show the pages of links that ask, as browsers without scripts have them."""
    run = server.wait_run(server.run({"id": "bare"})["id"], "paused")
    for action in ("resume", "cancel"):
        page.goto(run["pause"][f"{action}_url"])
        camera.take(f"link-plain-{action}", page)


def show_questions(page: Page, server: JupyterServer, camera: Camera) -> None:
    """Show the page of a link that asks, and the inbox, on a phone."""
    event = {"order": 99, "customer": "Ada"}
    run = server.wait_run(server.run({"id": "approval"}, event)["id"], "paused")
    page.goto(run["pause"]["resume_url"])
    camera.take("link-ask", page)
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("[aria-invalid='true']").first).to_be_visible()
    camera.take("link-invalid", page)
    page.goto(f"{server.url}/pdflow/inbox?token={server.token}")
    expect(page.get_by_role("button", name="Approve").first).to_be_visible()
    camera.take("inbox", page)
    server.api("POST", f"/runs/{run['id']}/cancel", {"reason": None})


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
            set_theme(server, scheme)
            for show in (show_test_mode, show_production, show_notebook_7):
                with new_page(browser, scheme, WIDE) as page:
                    show(page, server, camera)
            for show in (show_panel, show_runs):
                with new_page(browser, scheme, DESKTOP) as page:
                    show(page, server, camera)
            for show_page in (show_links, show_questions):
                with new_page(browser, scheme, PHONE) as page:
                    show_page(page, server, camera)
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
