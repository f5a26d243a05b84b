"""The tab of a run in JupyterLab: how it opens, what it shows, and what one can do there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import KERNEL_MS, START_MS, Desk
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until, write_notebook

LOAD = "%load_ext jupyter_pdflow"
ORDER = """%%step order
def handler(pd):
    event = pd.steps["trigger"]["event"]
    pd.title(f"Order {event['order']}")
    print("read the order")
    return {"net": event["net"]}"""
PRICE = """%%step price
def handler(pd):
    return {"gross": pd.steps["order"]["net"] * 2}"""
LIVE = """%%step live
def handler(pd):
    import pathlib, time
    for number in range(3):
        print("said", number, flush=True)
        while not pathlib.Path(f"say-{number}").exists():
            time.sleep(0.05)
    for number in range(200):
        print("line", number)"""
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
PICTURES = f"""%%step pictures
def handler(pd):
    from base64 import b64decode
    from IPython.display import SVG, Image, display
    display(SVG('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">'
                '<script>window.hacked = 1</script><rect width="40" height="20"/></svg>'))
    display(Image(b64decode("{PNG}"), format="png"))
    return {{"drawn": 2}}"""
FAIL = "%%step boom\ndef handler(pd):\n    raise ValueError('no such order')\n"
TABS = ["Output", "Exports", "Event", "Emails", "History", "Code"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def page(page: Page, lab: JupyterServer) -> Iterator[Page]:
    """Settle afterwards what a test has left to wait."""
    yield page
    for status in ("paused", "running"):
        for run in lab.api("GET", f"/runs?status={status}").json():
            lab.api("POST", f"/runs/{run['id']}/cancel", {})


def at_lab(page: Page, lab: JupyterServer, path: str = "lab") -> Desk:
    """Open JupyterLab without a kernel of its own."""
    page.goto(f"{lab.url}/{path}?token={lab.token}&reset")
    expect(page.locator(".jp-pdflow-tab").first).to_be_visible(timeout=START_MS)
    return Desk(page)


def tab_of(page: Page, title: str) -> Locator:
    return page.get_by_role("main").get_by_role("tab", name=title, exact=True)


def from_palette(page: Page, command: str) -> None:
    page.keyboard.press("Control+Shift+c")
    page.keyboard.insert_text(command)
    expect(page.locator(".lm-CommandPalette-item.lm-mod-active")).to_contain_text(command)
    page.keyboard.press("Enter")


def height_of(shown: Locator) -> float:
    box = shown.bounding_box()
    return box["height"] if box else 0


def kernels_and_sessions(lab: JupyterServer) -> list[set[str]]:
    paths = ("/api/kernels", "/api/sessions")
    return [
        {each["id"] for each in lab.http.get(path, headers=lab.headers).json()} for path in paths
    ]


def assert_quiet(page: Page) -> None:
    """Check that JupyterLab asks nothing, and sees nothing to save."""
    expect(page.locator(".jp-Dialog, .jp-mod-dirty, .Toastify__toast")).to_have_count(0)


def wait_stored(lab: JupyterServer, tab: str) -> None:
    """Wait until JupyterLab has stored that a tab is in front, which it does soon, not at once."""

    def is_stored() -> bool:
        answer = lab.http.get("/lab/api/workspaces", headers=lab.headers).json()
        layouts = [each["data"]["layout-restorer:data"] for each in answer["workspaces"]["values"]]
        return any(layout["main"].get("current") == tab for layout in layouts)

    wait_until(is_stored, f"the layout has {tab}")


def files(lab: JupyterServer) -> dict[str, bytes]:
    return {
        str(path.relative_to(lab.root)): path.read_bytes()
        for path in lab.root.rglob("*")
        if path.is_file()
    }


def approval(lab: JupyterServer, name: str) -> Any:
    run = lab.run(lab.deploy(name, [LOAD, ASK, TELL]), {"order": name})
    return lab.wait_run(run["id"], "paused")


def ordered(lab: JupyterServer, name: str, event: Any, status: str = "succeeded") -> Any:
    run = lab.run(lab.deploy(name, [LOAD, ORDER, PRICE]), event)
    return lab.wait_run(run["id"], status)


def test_a_run_has_one_tab_which_comes_back(lab: JupyterServer, page: Page) -> None:
    run = ordered(lab, "one", {"order": 17, "net": 100})
    other = ordered(lab, "one", {"order": 18, "net": 100})
    desk = at_lab(page, lab)
    desk.open_panel()
    desk.row(run["id"]).get_by_role("button").click()
    expect(desk.run_tab.get_by_role("heading", name="Order 17")).to_be_visible()
    desk.row(other["id"]).get_by_role("button").click()
    expect(desk.run_tab.get_by_role("heading", name="Order 18")).to_be_visible()
    desk.row(run["id"]).get_by_role("button").click()
    expect(desk.run_tab.get_by_role("heading", name="Order 17")).to_be_visible()
    page.locator("body").press("Escape")
    from_palette(page, "Open a Workflow Run…")
    page.locator(".jp-Dialog input").fill(other["id"])
    page.keyboard.press("Enter")
    expect(desk.run_tab.get_by_role("heading", name="Order 18")).to_be_visible()
    expect(tab_of(page, "Order 17")).to_have_count(1)
    expect(tab_of(page, "Order 18")).to_have_count(1)

    tab_of(page, "Order 17").click()
    wait_stored(lab, f"jupyter-pdflow-runs:{run['id']}")
    page.reload()
    expect(desk.run_tab.get_by_role("heading", name="Order 17")).to_be_visible(timeout=START_MS)
    expect(tab_of(page, "Order 17")).to_have_count(1)
    desk.show("Order 18")
    expect(desk.run_tab.get_by_role("heading", name="Order 18")).to_be_visible()
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_a_toast_and_the_status_bar_lead_to_a_run(lab: JupyterServer, page: Page) -> None:
    desk = at_lab(page, lab)
    run = approval(lab, "toast")
    toast = page.locator(".Toastify__toast").filter(has_text="toast waits for you at step ask.")
    toast.get_by_role("button", name="Open").click()
    shown = desk.run_tab.get_by_role("article")
    expect(shown).to_have_attribute("data-status", "paused")
    expect(desk.run_tab).to_be_focused()
    tab_of(page, "toast").locator(".lm-TabBar-tabCloseIcon").click()
    expect(desk.run_tab).to_have_count(0)

    page.get_by_role("button", name="1 waiting").click()
    row = desk.row(run["id"]).get_by_role("button")
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    shown.get_by_role("button", name="Resume", exact=True).click()
    expect(shown).to_have_attribute("data-status", "succeeded", timeout=KERNEL_MS)


def test_the_palette_moves_the_focus_to_the_panel(lab: JupyterServer, page: Page) -> None:
    run = ordered(lab, "palette", {"order": 1, "net": 1})
    newest = lab.api("GET", "/runs?limit=1").json()[0]["id"]
    assert newest == run["id"]
    write_notebook(lab.root / "elsewhere.ipynb", ["1 + 1"])
    desk = Desk.at(page, lab, "lab/tree/elsewhere.ipynb")
    desk.cell(0).locator(".cm-content").click()
    from_palette(page, "Show Workflow Runs")
    expect(desk.row(run["id"]).get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(desk.run_tab.get_by_role("heading", name="Order 1")).to_be_visible()
    desk.show("elsewhere.ipynb")
    desk.cell(0).locator(".cm-content").click()
    from_palette(page, "Show Workflow Runs")
    expect(desk.row(run["id"]).get_by_role("button")).to_be_focused()


def test_the_timeline_and_the_tabs(lab: JupyterServer, page: Page) -> None:
    run = ordered(lab, "tabs", {"order": 19, "net": 50})
    desk = at_lab(page, lab)
    desk.open_panel()
    desk.row(run["id"]).get_by_role("button").click()
    shown = desk.run_tab
    expect(shown.get_by_role("tab")).to_have_text([re.compile(rf"^\s*{name}\b") for name in TABS])
    bar = shown.get_by_role("img", name=re.compile("^price: computing .*, from .* to "))
    expect(bar).to_be_visible()
    bar.hover()
    shown.get_by_role("list", name="Steps").get_by_role("button", name="price Succeeded").click()
    expect(shown.get_by_role("region", name="Step order")).to_have_count(0)
    expect(shown.get_by_role("region", name="Step price")).to_contain_text("gross: 100")
    shown.get_by_role("button", name="Show all steps").click()
    expect(shown.get_by_role("region", name="Step order")).to_contain_text("read the order")
    output = shown.get_by_role("tab", name="Output")
    expect(output).to_be_focused()
    content = shown.get_by_role("tabpanel")
    for name, text in {
        "Exports": "gross: 100",
        "Event": "order: 19",
        "Emails": "The run has sent no emails.",
        "History": "Step price ended",
        "Code": "pd.title",
    }.items():
        page.keyboard.press("ArrowRight")
        expect(shown.get_by_role("tab", name=name)).to_be_focused()
        expect(content).to_contain_text(text)


def test_a_run_is_started_again_with_another_event(lab: JupyterServer, page: Page) -> None:
    run = ordered(lab, "again", {"order": 20, "net": 1})
    desk = at_lab(page, lab)
    desk.open_panel()
    desk.row(run["id"]).get_by_role("button").click()
    desk.run_tab.get_by_role("button", name="Run again…").click()
    shown = desk.run_tab
    expect(shown.get_by_role("button", name="Run again", exact=True)).to_be_focused()
    shown.get_by_role("button", name="Run again with changes…").click()
    field = shown.get_by_label("Event of the new run")
    expect(field).to_be_focused()
    assert json.loads(field.input_value()) == {"order": 20, "net": 1}
    field.fill('{"order": 21')
    expect(shown.get_by_role("button", name="Start the run")).to_be_disabled()
    field.fill('{"order": 21, "net": 7}')
    shown.get_by_role("button", name="Start the run").click()
    expect(desk.run_tab.get_by_role("heading", name="Order 21")).to_be_visible(timeout=KERNEL_MS)
    expect(desk.run_tab).to_contain_text("gross: 14", timeout=KERNEL_MS)
    expect(desk.run_tab).to_contain_text("from JupyterLab")
    expect(tab_of(page, "Order 20")).to_have_count(1)
    newest, first = lab.api("GET", "/runs?workflow=again").json()
    assert first["id"] == run["id"]
    assert lab.get_run(newest["id"])["event"] == {"order": 21, "net": 7}


def test_a_failing_step_is_mended_and_run_again(lab: JupyterServer, page: Page) -> None:
    write_notebook(lab.root / "mend.ipynb", [LOAD, ORDER, PRICE.replace("* 2", "* 2.5")])
    desk = Desk.at(page, lab, "lab/tree/mend.ipynb")
    desk.run(0)
    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    expect(desk.run(2)).to_contain_text("No run yet", timeout=KERNEL_MS)
    desk.toolbar("Run workflow…").click()
    dialog = page.locator(".jp-Dialog")
    dialog.locator("textarea").fill('{"order": 22, "net": "10"}')
    dialog.get_by_role("button", name="Run v1", exact=True).click()
    expect(desk.run_tab).to_contain_text("Step price failed.", timeout=KERNEL_MS)
    desk.run_tab.get_by_role("button", name="Go to cell", exact=True).first.click()

    editor = desk.cell(2).locator(".cm-content")
    expect(editor).to_be_focused()
    expect(desk.output(2)).to_contain_text("TypeError")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(PRICE.replace('["net"]', '["net"].count("0")'))
    expect(desk.output(2)).to_contain_text("This cell was changed since v1")
    desk.toolbar("Run workflow…").click()
    expect(dialog.locator("textarea")).to_have_value('{"order": 22, "net": "10"}')
    dialog.get_by_role("button", name="Deploy and run").click()
    run = desk.run_tab.get_by_role("article")
    expect(run).to_have_attribute("data-status", "succeeded", timeout=KERNEL_MS)
    expect(run).to_contain_text("v2")
    expect(run).to_contain_text("gross: 2")
    desk.show("mend.ipynb")
    expect(desk.output(2)).to_contain_text("gross: 2")
    expect(desk.output(2)).not_to_contain_text("TypeError")
    expect(desk.output(2)).not_to_contain_text("This cell was changed")


def test_a_cell_of_a_closed_notebook_is_opened(lab: JupyterServer, page: Page) -> None:
    run = ordered(lab, "closed", {"order": 23, "net": 1})
    desk = at_lab(page, lab)
    desk.open_panel()
    desk.row(run["id"]).get_by_role("button").click()
    desk.run_tab.get_by_role("button", name="Go to the cell of price").click()
    expect(desk.cell(2).locator(".cm-content")).to_be_focused(timeout=START_MS)
    expect(desk.cell(2)).to_contain_text("%%step price")


def test_step_cells_follow_the_latest_run(lab: JupyterServer, page: Page) -> None:
    first = ordered(lab, "follow", {"order": 24, "net": 3})
    desk = Desk.at(page, lab, "lab/tree/follow.ipynb")
    desk.run(0)
    desk.toolbar("Production").click()
    expect(desk.toolbar("Production")).to_have_attribute("aria-pressed", "true", timeout=KERNEL_MS)
    cell = desk.run(2)
    expect(cell).to_contain_text("Order 24")
    expect(cell).to_contain_text("gross: 6")
    lab.api("POST", f"/workflows/{first['workflow_id']}/runs", {"event": {"order": 25, "net": 4}})
    expect(cell).to_contain_text("Order 25", timeout=KERNEL_MS)
    expect(cell).to_contain_text("gross: 8", timeout=KERNEL_MS)
    cell.get_by_role("button", name="Order 25").click()
    expect(desk.run_tab.get_by_role("heading", name="Order 25")).to_be_visible()


def test_prints_appear_while_a_step_runs(lab: JupyterServer, page: Page) -> None:
    workflow = lab.deploy("live", [LOAD, LIVE])
    desk = at_lab(page, lab)
    run = lab.run(workflow)
    desk.open_panel()
    desk.row(run["id"]).get_by_role("button").click()
    step = desk.run_tab.get_by_role("region", name="Step live")
    for number in range(3):
        expect(step).to_contain_text(f"said {number}", timeout=KERNEL_MS)
        expect(step).not_to_contain_text(f"said {number + 1}")
        assert lab.get_run(run["id"])["status"] == "running"
        (lab.root / f"say-{number}").touch()
    lab.wait_run(run["id"], "succeeded")
    more = step.get_by_role("button", name=re.compile("^Show all"))
    expect(more).to_be_visible()
    low = height_of(step)
    more.click()
    expect(step).to_contain_text("line 199")
    whole = step.get_by_role("region", name="Output")
    assert whole.evaluate("node => node.scrollHeight > 2 * node.clientHeight")
    assert low < 1000
    assert height_of(step) < 1000
    step.get_by_role("button", name="Show less").click()
    expect(more).to_be_focused()
    expect(step).not_to_contain_text("line 100")


def test_a_run_opens_as_a_notebook_without_a_trace(lab: JupyterServer, page: Page) -> None:
    run = lab.run(lab.deploy("drawn", [LOAD, PICTURES]), {"order": 26})
    lab.wait_run(run["id"], "succeeded")
    desk = at_lab(page, lab)
    before = files(lab), kernels_and_sessions(lab)
    desk.open_panel()
    desk.row(run["id"]).get_by_role("button").click()
    shown = desk.run_tab
    picture = "img[src^='data:image/svg+xml']"
    expect(shown.locator(picture)).to_have_js_property("naturalWidth", 40)
    shown.get_by_role("button", name="Open as notebook").click()
    notebook = page.locator(".jp-Notebook:visible")
    expect(notebook.locator(picture)).to_have_js_property("naturalWidth", 40, timeout=KERNEL_MS)
    expect(notebook.locator("img[src^='data:image/png']")).to_have_js_property("naturalWidth", 1)
    expect(notebook).to_contain_text('"drawn": 2')
    expect(notebook).to_contain_text('"order": 26')
    editor = notebook.locator(".jp-CodeCell .cm-content").last
    source = editor.inner_text()
    editor.click()
    page.keyboard.type("x = 1")
    for key in ("Enter", "Control+s", "Shift+Enter", "Escape", "b", "d", "d", "m", "0", "0"):
        page.keyboard.press(key)
    expect(notebook.locator(".jp-Cell")).to_have_count(4)
    assert editor.inner_text() == source
    assert_quiet(page)
    shown = page.get_by_role("main").get_by_role("tab", name="26 (notebook)")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert json.loads(download.value.path().read_text())["cells"]

    wait_stored(lab, f"jupyter-pdflow-run-notebooks:{run['id']}")
    page.reload()
    expect(notebook.locator(picture)).to_have_js_property("naturalWidth", 40, timeout=START_MS)
    expect(shown).to_have_count(1)
    assert_quiet(page)
    shown.locator(".lm-TabBar-tabCloseIcon").click()
    expect(shown).to_have_count(0)
    assert_quiet(page)
    assert page.evaluate("window.hacked") is None
    assert (files(lab), kernels_and_sessions(lab)) == before


def test_many_events_make_one_toast(lab: JupyterServer, page: Page) -> None:
    asking = lab.deploy("many", [LOAD, ASK, TELL])
    failing = lab.deploy("bad", [LOAD, FAIL])
    desk = at_lab(page, lab)
    runs = [lab.run(asking) for _ in range(6)] + [lab.run(failing) for _ in range(4)]
    for number, run in enumerate(runs):
        lab.wait_run(run["id"], "paused" if number < 6 else "failed")
    toast = page.locator(".Toastify__toast")
    expect(toast.filter(has_text="6 runs wait for a person · 4 failed")).to_be_visible()
    expect(toast).to_have_count(1)
    toast.get_by_role("button", name="Show").click()
    expect(desk.panel).to_be_visible()
    expect(desk.row(runs[0]["id"])).to_be_visible()
    expect(desk.row(runs[-1]["id"])).to_be_visible()
    wait_until(lambda: page.evaluate("document.activeElement !== document.body"), "a focus")
