"""What a person sees and does in the inbox, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import grave_findings
from tests.browser.people import NARROW, Scheme, focused, phone, width_of
from tests.browser.test_ask_pages import LONG, MESSAGE
from tests.identity import ENVIRONMENT
from tests.server.asking import APPROVERS, ARGUMENTS, FORM, answer_body, asking
from tests.servers import JupyterServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("inbox")
    with JupyterServer(folder, ARGUMENTS, env=ENVIRONMENT) as running:
        yield running


@pytest.fixture(autouse=True)
def no_other_runs(server: JupyterServer) -> Iterator[None]:
    """Cancel the runs that a test leaves, so that inboxes are empty."""
    yield
    for run in server.api("GET", "/runs?status=paused").json():
        server.api("POST", f"/runs/{run['id']}/cancel", {})


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def ada(server: JupyterServer, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    with phone(browser, scripts=request.param, person=(server, "ada")) as opened:
        yield opened


def inbox(server: JupyterServer) -> str:
    return f"{server.url}/pdflow/inbox"


def item(page: Page, name: str) -> Any:
    return page.get_by_role("region", name=name)


def press(where: Any, name: str) -> None:
    where.get_by_role("button", name=name, exact=True).click()


def test_a_person_approves_and_rejects(server: JupyterServer, ada: Page) -> None:
    first = asking(server, f"message='Pay?', {APPROVERS}", "Invoice")
    second = asking(server, f"form={FORM!r}", "Crates")
    ada.goto(inbox(server))
    expect(ada.get_by_text("Signed in as ada.")).to_be_visible()
    expect(ada.get_by_role("region")).to_have_count(2)
    item(ada, "Invoice").get_by_label("Note (optional)").fill("no")
    press(item(ada, "Invoice"), "Reject")
    expect(ada.get_by_role("status")).to_have_text(
        "Rejected by ada. Workflow “order” ends at step “ask”."
    )
    expect(ada.get_by_role("region")).to_have_count(1)
    item(ada, "Crates").get_by_label("How many").fill("2")
    press(item(ada, "Crates"), "Approve")
    expect(ada.get_by_role("status")).to_contain_text("Approved by ada.")
    expect(ada.get_by_text("Nothing waits for you.")).to_be_visible()
    assert answer_body(server, second) == {"count": 2, "kind": "small", "urgent": True}
    assert server.get_run(first["id"])["reason"] == "no"


def test_wrong_fields_are_named_and_the_first_has_the_focus(
    server: JupyterServer, ada: Page
) -> None:
    asking(server, f"form={FORM!r}", "First")
    asking(server, f"form={FORM!r}", "Second")
    ada.goto(inbox(server))
    first = item(ada, "First")
    first.get_by_label("How many").fill("12")
    first.get_by_label("Why").fill("because")
    press(first, "Approve")
    expect(ada.get_by_role("alert")).to_contain_text("Something is missing, or wrong")
    expect(ada.locator("[aria-invalid]")).to_have_count(1)
    count = first.get_by_label("How many")
    expect(count).to_have_accessible_description("From 1 to 9. Must be at most 9.")
    expect(count).to_have_value("12")
    expect(first.get_by_label("Why")).to_have_value("because")
    assert focused(ada) == "count"
    assert count.evaluate("each => each === document.activeElement")
    count.fill("9")
    press(first, "Approve")
    expect(ada.get_by_role("status")).to_contain_text("Approved by ada.")


def test_an_old_page_decides_nothing(server: JupyterServer, ada: Page) -> None:
    run = asking(server, "message='Go?'")
    ada.goto(inbox(server))
    server.api("POST", f"/runs/{run['id']}/reject", {})
    press(ada, "Approve")
    expect(ada.get_by_role("alert")).to_contain_text("was already rejected by operator")
    expect(ada.get_by_text("Nothing waits for you.")).to_be_visible()


def test_someone_who_signs_in_comes_back(server: JupyterServer, browser: Browser) -> None:
    asking(server, "message='Go?'")
    with phone(browser) as page:
        page.goto(inbox(server))
        expect(page).to_have_url(f"{server.url}/login?next=%2Fpdflow%2Finbox")


def test_the_keyboard_is_enough(server: JupyterServer, ada: Page) -> None:
    asking(server, "message='Go?'")
    ada.goto(inbox(server))
    ada.keyboard.press("Tab")
    assert focused(ada) == "note"
    ada.keyboard.press("Tab")
    ada.keyboard.press("Tab")
    ada.keyboard.press("Enter")
    expect(ada.get_by_role("status")).to_contain_text("Rejected by ada.")


def test_times_are_those_of_the_reader(server: JupyterServer, browser: Browser) -> None:
    asking(server, "message='Go?'")
    with browser.new_context(timezone_id="Asia/Kathmandu", locale="en-GB") as context:
        context.add_cookies([{"name": "signed-in", "value": "ada", "url": server.url}])
        page = context.new_page()
        page.goto(inbox(server))
        expect(page.locator("time").first).to_contain_text("GMT+5:45")


def test_nothing_is_asked_of_third_parties(server: JupyterServer, ada: Page) -> None:
    asking(server, "message='![x](https://elsewhere.example/x.png) Go?'")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    ada.goto(inbox(server))
    ada.wait_for_load_state("networkidle")
    assert all(url.startswith(server.url) for url in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_small_phone_and_can_be_read(
    server: JupyterServer, browser: Browser, scheme: Scheme
) -> None:
    with phone(browser, width=NARROW, scheme=scheme, person=(server, "ada")) as page:

        def check() -> None:
            assert width_of(page) == NARROW
            assert grave_findings(page) == []

        page.goto(inbox(server))
        check()
        asking(server, f"message={MESSAGE!r}, form={LONG!r}, {APPROVERS}", "one_long_word_" * 7)
        asking(server, "")
        page.reload()
        check()
        press(page, "Approve")
        expect(page.locator("[aria-invalid]").first).to_be_visible()
        check()
        press(page, "Resume the workflow")
        expect(page.get_by_role("status")).to_be_visible()
        check()
