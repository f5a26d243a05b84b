"""People who decide in JupyterLab's panel and in a notebook's cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests import identity
from tests.browser.axe import grave_findings
from tests.browser.lab import KERNEL_MS, START_MS, Desk, lab_server
from tests.browser.people import WIDE
from tests.servers import JupyterServer, write_notebook

LOAD = "%load_ext jupyter_pdflow"
FORM = {
    "type": "object",
    "properties": {
        "amount": {"type": "number", "title": "Amount", "minimum": 1, "maximum": 1000},
        "account": {"enum": ["travel", "paper"]},
        "urgent": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}},
        "due": {"type": "string", "format": "date-time", "title": "Due"},
        "comment": {"type": "string", "format": "textarea"},
    },
    "required": ["amount", "account"],
}
MESSAGE = "Pay **40 EUR**?\\n\\n- see [the scan](https://example.org/)"
APPROVERS = 'approvers=["ada", "bob@example.org", "group:finance"], required=2'
BUSY = """import pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.05)"""
TELL = """%%step tell
def handler(pd):
    return pd.steps["ask"]["$decision"]"""
THEMES = "/lab/api/settings/@jupyterlab/apputils-extension:themes"
PANEL = "#jupyter-pdflow-panel"
RUN_TAB = ".jp-pdflow-run-tab"
RUN = f"{RUN_TAB}:visible"
"""The page of a run in the main area."""
NARROW = 250
"""Width of a side bar in pixels."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("asking")
    args = [*identity.ARGUMENTS, '--PDFlow.groups={"finance": ["cyd"]}']
    with lab_server(folder, *args, env=identity.ENVIRONMENT) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: JupyterServer) -> Iterator[Page]:
    """Make a page on which ada is signed in, and leave no run that waits."""
    with browser.new_context(viewport={"width": 1440, "height": 1200}) as context:
        for name, value in identity.cookie("ada").items():
            context.add_cookies([{"name": name, "value": value, "url": server.url}])
        yield context.new_page()
    for run in server.api("GET", "/runs?status=paused").json():
        server.api("POST", f"/runs/{run['id']}/cancel", {})


def ask(arguments: str) -> str:
    return f"%%step ask\ndef handler(pd):\n    pd.flow.suspend({arguments})"


def asking(server: JupyterServer, name: str, arguments: str) -> Any:
    """Start a run that asks."""
    workflow = server.deploy(name, [ask(arguments), TELL])
    return server.wait_run(server.run(workflow)["id"], "paused")


def answer_as(server: JupyterServer, name: str, run: Any, action: str, **body: Any) -> None:
    """Send the answer of another person."""
    cookies = {**identity.cookie(name), "_xsrf": "x"}
    headers = {
        "Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items()),
        "X-XSRFToken": "x",
    }
    answer = server.api("POST", f"/runs/{run['id']}/{action}", body, headers=headers)
    assert answer.is_success, answer.text


def opened(page: Page, server: JupyterServer, run: Any) -> Locator:
    """Open a run from the panel, as a tab."""
    page.goto(f"{server.url}/lab?reset")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)
    panel = Desk(page).open_panel()
    panel.locator(f"[data-run='{run['id']}'] button").click()
    tab = page.locator(RUN)
    expect(tab.get_by_role("tab", name="Output")).to_be_visible()
    return tab


def press(place: Locator, name: str) -> None:
    place.get_by_role("button", name=name, exact=True).click()


def fill(place: Locator, amount: str) -> None:
    place.get_by_label("Amount").fill(amount)
    place.get_by_label("Account").select_option(label="paper")


def test_approve_with_a_form(server: JupyterServer, page: Page) -> None:
    run = asking(server, "form", f'message="{MESSAGE}", form={FORM}, {APPROVERS}')
    tab = opened(page, server, run)
    expect(tab.locator(".jp-PDFlow-message strong")).to_have_text("40 EUR")
    expect(tab).to_contain_text("Step ask asks ada, bob@example.org and the group finance")

    fill(tab, "5000")
    press(tab, "Approve")
    amount = tab.get_by_label("Amount")
    expect(amount).to_be_focused()
    expect(amount).to_have_attribute("aria-invalid", "true")
    expect(amount).to_have_accessible_description("Must be at most 1000.")
    expect(tab.get_by_text("Correct the marked fields.")).to_be_visible()
    assert server.get_run(run["id"])["pause"]["approvals"] == []

    fill(tab, "40.5")
    expect(amount).to_have_attribute("aria-invalid", "false")
    tab.get_by_label("Due").fill("2026-12-24T18:00")
    tab.get_by_role("checkbox", name="new").check()
    tab.get_by_label("Note").fill("looks good")
    press(tab, "Approve")
    counted = "Your approval is counted; one more has to approve."
    expect(tab.get_by_text(counted)).to_be_focused()
    expect(tab).to_contain_text("(“looks good”); one more has to approve.")
    expect(tab).to_contain_text("Waiting for bob@example.org and the group finance.")
    fill(tab, "1")
    press(tab, "Approve")
    expect(tab.get_by_text("You have approved this already")).to_be_visible()

    answer_as(server, "cyd", run, "resume", data={"amount": 2, "account": "travel"})
    expect(tab).to_contain_text("Approved by ada, ", timeout=KERNEL_MS)
    expect(tab).to_contain_text("from JupyterLab: looks good")
    expect(tab).to_contain_text("Approved by cyd, ")
    expect(tab).to_contain_text("from the API")
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["decisions"][0]["by"][0]["note"] == "looks good"


def test_the_answer_is_what_was_entered(server: JupyterServer, page: Page) -> None:
    run = asking(server, "entered", f"form={FORM}")
    tab = opened(page, server, run)
    fill(tab, "40.5")
    tab.get_by_label("Due").fill("2026-12-24T18:00")
    tab.get_by_role("checkbox", name="Urgent").check()
    tab.get_by_role("checkbox", name="new").check()
    tab.get_by_label("Comment").fill("two\nlines")
    press(tab, "Approve")
    expect(tab.get_by_text("Approved.")).to_be_focused()
    ended = server.wait_run(run["id"], "succeeded")
    data = ended["steps"][0]["exports"]["$resume_data"]
    # JupyterLab adds a query to requests, which is none of the step's business.
    assert data["query"] == {}
    assert data["body"] == {
        "amount": 40.5,
        "account": "paper",
        "urgent": True,
        "tags": ["new"],
        "due": "2026-12-24T18:00:00Z",
        "comment": "two\nlines",
    }


def test_reject_with_a_note(server: JupyterServer, page: Page) -> None:
    run = asking(server, "reject", f'message="{MESSAGE}"')
    tab = opened(page, server, run)
    expect(tab.get_by_label("Data for the step")).to_be_hidden()
    tab.get_by_label("Note").fill("too dear")
    press(tab, "Reject")
    expect(tab.get_by_text("Rejected. No later step is executed.")).to_be_focused()
    expect(tab).to_contain_text("from JupyterLab: too dear")
    (decision,) = server.wait_run(run["id"], "canceled")["decisions"]
    assert (decision["outcome"], decision["by"][0]["name"]) == ("rejected", "ada")


def test_only_approvers_decide_but_anyone_may_cancel(server: JupyterServer, page: Page) -> None:
    run = asking(server, "others", 'message="Pay?", approvers="bob"')
    tab = opened(page, server, run)
    press(tab, "Approve")
    expect(tab.get_by_text("Only bob can decide this; not ada.")).to_be_visible()
    press(tab, "Cancel run…")
    tab.get_by_label("Reason (optional, shown with the run)").fill("twice")
    press(tab, "Cancel this run")
    assert server.wait_run(run["id"], "canceled")["reason"] == "twice"


def test_input_stays_while_events_come(server: JupyterServer, page: Page) -> None:
    run = asking(server, "input", f'message="{MESSAGE}", form={FORM}, {APPROVERS}')
    tab = opened(page, server, run)
    fill(tab, "7")
    note = tab.get_by_label("Note")
    note.press_sequentially("half a sen")
    answer_as(server, "cyd", run, "resume", data={"amount": 2, "account": "travel"})
    expect(tab).to_contain_text("cyd approved, ")
    expect(note).to_be_focused()
    note.press_sequentially("tence")
    expect(note).to_have_value("half a sentence")
    expect(tab.get_by_label("Amount")).to_have_value("7")
    press(tab, "Approve")
    expect(tab.get_by_text("Approved.")).to_be_focused()
    assert server.wait_run(run["id"], "succeeded")["decisions"][0]["by"][1]["name"] == "ada"


def test_a_question_is_announced_with_its_title(server: JupyterServer, page: Page) -> None:
    page.goto(f"{server.url}/lab?reset")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)
    asking(server, "announced", f'message="{MESSAGE}", approvers=["ada", "bob"]')
    words = "Pay 40 EUR? announced waits for ada or bob at step ask."
    toast = page.locator(".Toastify__toast").filter(has_text=words)
    expect(toast).to_be_visible(timeout=KERNEL_MS)
    expect(page.get_by_role("button", name="1 waiting")).to_have_attribute(
        "title", "1 workflow run waits for a person. Click to show the panel.\nPay 40 EUR?"
    )
    page.keyboard.press("Control+Shift+c")
    page.keyboard.insert_text("Resume the Latest Waiting Run")
    page.locator(".lm-CommandPalette-item", has_text="step ask: Pay 40 EUR?").click()
    press(page.locator(RUN), "Approve")
    expect(page.locator(RUN).get_by_text("Approved.")).to_be_focused()
    expect(toast).to_have_count(0)


def test_a_step_cell_asks_while_the_kernel_is_busy(server: JupyterServer, page: Page) -> None:
    cells = [LOAD, ask(f'message="{MESSAGE}", form={FORM}'), "%pdflow production", BUSY]
    write_notebook(server.root / "cell.ipynb", cells)
    desk = Desk.at(page, server, "lab/tree/cell.ipynb")
    desk.run(0)
    desk.run(2)
    workflow = server.api("GET", "/workflows/cell").json()
    run = server.wait_run(server.run(workflow)["id"], "paused")
    view = desk.run(1)
    expect(view.locator(".jp-PDFlow-message strong")).to_have_text("40 EUR", timeout=KERNEL_MS)
    assert grave_findings(page, ".jp-NotebookPanel .jp-PDFlow") == []
    desk.run(3, wait=False)
    expect(desk.cell(3).locator(".jp-InputPrompt")).to_have_text("[*]:")
    expect(desk.open_panel().locator("[data-run]").first).to_be_visible()
    ids = page.locator(f"{PANEL} [id], .jp-PDFlow [id]").evaluate_all("all => all.map(n => n.id)")
    assert len(ids) == len(set(ids))

    view.get_by_label("Amount").fill("0")
    press(view, "Approve")
    expect(view.get_by_label("Amount")).to_have_accessible_description("Must be at least 1.")
    view.get_by_label("Amount").fill("7")
    view.get_by_label("Note").fill("in a cell")
    number_of_cells = desk.cells.count()
    view.get_by_label("Account").focus()
    page.keyboard.press("p")
    # Elsewhere in a notebook these keys add cells.
    page.keyboard.press("a")
    page.keyboard.press("b")
    expect(view.get_by_label("Account").locator("option:checked")).to_have_text("paper")
    view.get_by_role("checkbox", name="Urgent").focus()
    page.keyboard.press("Space")
    expect(view.get_by_role("checkbox", name="Urgent")).to_be_checked()
    expect(desk.cells).to_have_count(number_of_cells)
    view.get_by_role("button", name="Approve").focus()
    page.keyboard.press("Enter")
    expect(view.get_by_text("Approved.")).to_be_focused()
    expect(view).to_contain_text("from JupyterLab: in a cell")
    expect(desk.cell(3).locator(".jp-InputPrompt")).to_have_text("[*]:")
    (server.root / "go").touch()
    body = server.wait_run(run["id"], "succeeded")["steps"][0]["exports"]["$resume_data"]["body"]
    assert body == {"amount": 7, "account": "paper", "urgent": True}


def test_input_of_a_step_cell_stays_when_the_focus_leaves(
    server: JupyterServer, page: Page
) -> None:
    cells = [LOAD, ask(f"form={FORM}, {APPROVERS}"), "%pdflow production"]
    write_notebook(server.root / "leave.ipynb", cells)
    desk = Desk.at(page, server, "lab/tree/leave.ipynb")
    desk.run(0)
    desk.run(2)
    workflow = server.api("GET", "/workflows/leave").json()
    run = server.wait_run(server.run(workflow)["id"], "paused")
    view = desk.run(1)
    fill(view, "7")
    answer_as(server, "cyd", run, "resume", data={"amount": 2, "account": "travel"})
    expect(view).to_contain_text("cyd approved, ", timeout=KERNEL_MS)
    desk.cell(0).locator(".cm-content").click()
    # The kernel would have drawn the view again by the time at which a cell has run.
    desk.run(0)
    expect(view.get_by_label("Amount")).to_have_value("7")
    press(view, "Approve")
    expect(view).to_contain_text("Approved by ada, ", timeout=KERNEL_MS)
    server.wait_run(run["id"], "succeeded")


def test_input_of_a_step_cell_stays_when_the_kernel_draws_it_again(
    server: JupyterServer, page: Page
) -> None:
    hold = f"""%%step ask
def handler(pd):
    import pathlib, time
    while not pathlib.Path("ready").exists():
        time.sleep(0.05)
    pd.flow.suspend(form={FORM})"""
    cells = [LOAD, hold, "%pdflow production", BUSY.replace('"go"', '"free"')]
    write_notebook(server.root / "again.ipynb", cells)
    desk = Desk.at(page, server, "lab/tree/again.ipynb")
    desk.run(0)
    desk.run(2)
    run = server.run(server.api("GET", "/workflows/again").json())
    server.wait_run(run["id"], "running")
    view = desk.run(1)
    expect(view.get_by_text("Running", exact=True)).to_be_visible()
    desk.run(3, wait=False)
    expect(desk.cell(3).locator(".jp-InputPrompt")).to_have_text("[*]:")
    (server.root / "ready").touch()
    fill(view, "7")
    view.get_by_label("Amount").evaluate("node => (node.id = 'first')")
    desk.cell(0).locator(".cm-content").click()
    (server.root / "free").touch()
    expect(view.locator("#first")).to_have_count(0, timeout=KERNEL_MS)
    expect(view.get_by_label("Amount")).to_have_value("7")
    expect(view.get_by_label("Account").locator("option:checked")).to_have_text("paper")
    press(view, "Approve")
    expect(view).to_contain_text("Resumed by ada, ", timeout=KERNEL_MS)
    server.wait_run(run["id"], "succeeded")


def test_test_mode_has_the_form(server: JupyterServer, page: Page) -> None:
    write_notebook(server.root / "tested.ipynb", [LOAD, ask(f'message="{MESSAGE}", form={FORM}')])
    desk = Desk.at(page, server, "lab/tree/tested.ipynb")
    desk.run(0)
    notice = desk.run(1)
    expect(notice.locator("strong")).to_have_text("40 EUR")
    expect(notice.get_by_label("Amount")).to_be_visible(timeout=KERNEL_MS)
    assert grave_findings(page, ".jp-NotebookPanel .jp-PDFlow") == []
    fill(notice, "5000")
    press(notice, "as if resumed with")
    amount = notice.get_by_label("Amount")
    expect(amount).to_have_accessible_description("Must be at most 1000.", timeout=KERNEL_MS)
    amount.fill("7")
    press(notice, "as if resumed with")
    expect(notice).to_contain_text("The next step can now be run.", timeout=KERNEL_MS)
    expect(notice).to_contain_text("Chosen: as if resumed with")
    press(notice, "as if rejected")
    expect(notice).to_contain_text("Chosen: as if rejected", timeout=KERNEL_MS)
    press(notice, "as if resumed with")
    expect(notice).to_contain_text('Chosen: as if resumed with {"amount": 7', timeout=KERNEL_MS)
    assert grave_findings(page, ".jp-NotebookPanel .jp-PDFlow") == []


def test_the_focus_stays_when_another_person_decides(server: JupyterServer, page: Page) -> None:
    run = asking(server, "focus", f'message="{MESSAGE}"')
    tab = opened(page, server, run)
    tab.get_by_label("Note").press_sequentially("half a sen")
    answer_as(server, "cyd", run, "reject", note="no")
    expect(tab.get_by_text("The run has ended.")).to_be_focused()
    expect(tab).to_contain_text("Rejected by cyd, ")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("place", ["panel", "tab"])
def test_a_narrow_page_for_all_eyes_and_by_keyboard(
    server: JupyterServer, page: Page, theme: str, place: str
) -> None:
    raw = json.dumps({"theme": f"JupyterLab {theme}"})
    server.http.put(THEMES, headers=server.headers, json={"raw": raw}).raise_for_status()
    name = f"{place}{theme.lower()}"
    run = asking(server, name, f'message="{MESSAGE}", form={FORM}, {APPROVERS}')
    shown = narrow_panel(page, server, run) if place == "panel" else narrow_tab(page, server, run)
    within = PANEL if place == "panel" else RUN_TAB

    def check() -> None:
        assert grave_findings(page, within) == []
        assert shown.evaluate("node => node.scrollWidth - node.clientWidth") <= 0

    check()
    press(shown, "Approve")
    expect(shown.get_by_text("Correct the marked fields.")).to_be_visible()
    check()

    shown.get_by_role("link", name="the scan").focus()
    page.keyboard.press("Tab")
    expect(shown.get_by_label("Amount")).to_be_focused()
    page.keyboard.type("7")
    page.keyboard.press("Tab")
    page.keyboard.press("p")
    tab_to(page, shown.get_by_role("checkbox", name="Urgent"))
    page.keyboard.press("Space")
    tab_to(page, shown.get_by_label("Note"))
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    expect(shown.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(shown.get_by_text("Your approval is counted; one more has to approve.")).to_be_focused()
    check()
    answer_as(server, "cyd", run, "reject", note="no")
    expect(shown).to_contain_text("Rejected by cyd, ")
    expect(shown.get_by_text("Your approval was counted.")).to_be_focused()
    for tab in ("Exports", "Event", "Emails", "History", "Code", "Output"):
        shown.get_by_role("tab", name=tab).click()
        expect(shown.get_by_role("tabpanel")).to_be_visible()
        expect(shown.locator(".jp-PDFlow-loading")).to_have_count(0)
        check()


def narrow_tab(page: Page, server: JupyterServer, run: Any) -> Locator:
    """Open a run as a tab on a phone's screen."""
    tab = opened(page, server, run)
    page.locator(".jp-pdflow-tab").first.click()
    expect(Desk(page).panel).to_be_hidden()
    page.set_viewport_size({"width": WIDE, "height": 844})
    return tab


def narrow_panel(page: Page, server: JupyterServer, run: Any) -> Locator:
    """Open a run in a narrow side bar of Notebook 7, which has no tabs."""
    write_notebook(server.root / "narrow.ipynb", ["1"])
    Desk.at(page, server, "notebooks/narrow.ipynb")
    page.keyboard.press("Control+Shift+c")
    page.keyboard.insert_text("Show Workflow Runs")
    page.locator("[data-command='jupyter-pdflow:open']").click()
    panel = Desk(page).panel
    panel.locator(f"[data-run='{run['id']}'] button").click()
    expect(panel.get_by_role("tab", name="Output")).to_be_visible()
    box = panel.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] + 2, 500)
    page.mouse.down()
    page.mouse.move(box["x"] + NARROW + 2, 500, steps=5)
    page.mouse.up()
    expect(panel).to_have_css("width", f"{NARROW}px")
    return panel


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(12):
        if target.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    expect(target).to_be_focused()
