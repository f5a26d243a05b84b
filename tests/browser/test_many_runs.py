"""Finding and deciding runs among many, in JupyterLab's panel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.axe import grave_findings
from tests.browser.lab import KERNEL_MS, START_MS, Desk, lab_server
from tests.servers import JupyterServer

ASK = """%%step ask
def handler(pd):
    order = pd.steps["trigger"]["event"]["order"]
    pd.title(f"Order {order}")
    pd.flow.suspend(message=f"Ship order {order}?")"""
CHECK = """%%step check
def handler(pd):
    raise ValueError(pd.steps["trigger"]["event"]["order"])"""
WAITING, FAILED = 24, 3
PANEL = "#jupyter-pdflow-panel"
RUN = ".jp-pdflow-run-tab:visible"
NARROW = 250
"""Width of a side bar in pixels."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with lab_server(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def desk(browser: Browser, server: JupyterServer) -> Iterator[Desk]:
    """Open JupyterLab, and start runs while it is open."""
    with browser.new_context(viewport={"width": 1280, "height": 680}) as context:
        page = context.new_page()
        page.goto(f"{server.url}/lab?token={server.token}&reset")
        expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)
        ship, check = server.deploy("ship", [ASK]), server.deploy("check", [CHECK])
        started = [server.run(ship, {"order": 100 + number}) for number in range(WAITING)]
        broken = [server.run(check, {"order": 900 + number}) for number in range(FAILED)]
        for run in started:
            server.wait_run(run["id"], "paused")
        for run in broken:
            server.wait_run(run["id"], "failed")
        yield Desk(page)


@pytest.fixture
def page(desk: Desk) -> Page:
    return desk.page


@pytest.fixture
def panel(desk: Desk) -> Locator:
    """Show the panel with all runs."""
    if not desk.panel.is_visible():
        desk.open_panel()
    panel = desk.panel
    panel.get_by_role("searchbox").fill("")
    for chip in panel.locator(".jp-PDFlow-chips [aria-pressed='true']").all():
        chip.click()
    rows = panel.locator("[data-run]")
    expect(rows).to_have_count(WAITING + FAILED, timeout=KERNEL_MS)
    panel.locator(".jp-PDFlow-list").press("Escape")
    return panel


def row(panel: Locator, title: str) -> Locator:
    return panel.locator("[data-run]").filter(has_text=title)


def titles(panel: Locator) -> Any:
    return panel.locator(".jp-PDFlow-row-title").all_inner_texts()


def test_toasts_are_gathered(desk: Desk, page: Page) -> None:
    toasts = page.locator(".Toastify__toast")
    expect(toasts.last).to_contain_text("wait for a person", timeout=KERNEL_MS)
    assert toasts.count() <= 2
    toasts.filter(has_text="wait for a person").get_by_role("button", name="Show").click()
    expect(desk.panel.locator("[data-run]").first).to_be_visible()
    focused = "document.activeElement.closest('[data-run]') !== null"
    page.wait_for_function(focused)


def test_a_run_is_found_by_its_event(panel: Locator, page: Page) -> None:
    panel.get_by_role("searchbox").fill("117")
    expect(panel.locator("[data-run]")).to_have_count(1)
    assert titles(panel) == ["Order 117"]
    row(panel, "Order 117").get_by_role("button").click()
    expect(page.locator(RUN).get_by_text("Ship order 117?")).to_be_visible()
    expect(page.locator(RUN).get_by_role("button", name="Approve")).to_be_visible()
    assert grave_findings(page, PANEL) == []


def test_chips_count_and_filter(panel: Locator, page: Page) -> None:
    expect(panel.get_by_role("button", name=f"Waiting {WAITING}")).to_be_visible()
    panel.get_by_role("button", name=f"Failed {FAILED}").click()
    expect(panel.locator("[data-run]")).to_have_count(FAILED)
    expect(panel.locator("[data-run]").first).to_contain_text("ValueError")
    panel.get_by_role("button", name="By workflow").click()
    expect(panel.get_by_role("heading", name="check")).to_be_visible()
    assert grave_findings(page, PANEL) == []
    panel.get_by_role("button", name="By state").click()


def test_keys_move_open_and_select(panel: Locator, page: Page) -> None:
    rows = panel.locator("[data-run]")
    opener = panel.locator(".jp-PDFlow-row-open")
    assert panel.locator(".jp-PDFlow-row-open[tabindex='0']").count() == 1
    opener.first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(opener.nth(1)).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("Shift+j")
    page.keyboard.press("Shift+j")
    expect(panel.locator("[data-selected]")).to_have_count(3)
    top = rows.nth(5).bounding_box()
    page.keyboard.press("Escape")
    expect(panel.locator("[data-selected]")).to_have_count(0)
    assert rows.nth(5).bounding_box() == top
    expect(opener.nth(3)).to_be_focused()
    page.keyboard.press("Enter")
    title = titles(panel)[3]
    expect(page.locator(RUN).get_by_role("heading", name=title)).to_be_visible()


def test_a_range_is_canceled_at_once(server: JupyterServer, panel: Locator, page: Page) -> None:
    chosen = titles(panel)[:4]
    boxes = panel.locator("[data-run] input[type='checkbox']")
    boxes.nth(0).check()
    boxes.nth(3).click(modifiers=["Shift"])
    expect(panel.locator("[data-selected]")).to_have_count(4)
    expect(panel.get_by_text("4 runs selected")).to_be_visible()
    assert grave_findings(page, PANEL) == []
    panel.get_by_role("button", name="Cancel…").click()
    panel.get_by_label("Reason").fill("sold out")
    assert grave_findings(page, PANEL) == []
    page.keyboard.press("Enter")
    for title in chosen:
        expect(row(panel, title)).to_have_attribute("data-status", "canceled")
    expect(panel.locator(".jp-PDFlow-dock .jp-PDFlow-result")).to_be_focused()
    ended = server.api("GET", "/runs?status=canceled").json()
    assert sorted((run["title"], run["reason"]) for run in ended) == sorted(
        (title, "sold out") for title in chosen
    )


def test_no_texts_overlap_in_a_narrow_panel(panel: Locator, page: Page) -> None:
    box = panel.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] + 2, 400)
    page.mouse.down()
    page.mouse.move(box["x"] + NARROW + 2, 400, steps=5)
    page.mouse.up()
    expect(panel).to_have_css("width", f"{NARROW}px")
    overlaps = """panel => [...panel.querySelectorAll('.jp-PDFlow-row-line')].filter(line => {
        const boxes = [...line.children].map(each => each.getBoundingClientRect());
        return boxes.some((one, at) => boxes.slice(at + 1).some(
            other => one.right > other.left + 0.5 && other.right > one.left + 0.5));
    }).length"""
    assert panel.evaluate(overlaps) == 0
    assert panel.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
