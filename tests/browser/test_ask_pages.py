"""What a person sees and does who opens a link of a pause that asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import grave_findings
from tests.browser.people import NARROW, Scheme, focused, phone, width_of
from tests.identity import ENVIRONMENT
from tests.server.asking import APPROVERS, ARGUMENTS, FORM, answer_body, asking, personal_links
from tests.servers import JupyterServer

LONG = {
    "type": "object",
    "title": "Rollout of " + "a_very_long_name_" * 8,
    "description": "How fast it goes.",
    "properties": {
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "description": "Not many."},
        "price": {"type": "number"},
        "region": {"enum": ["eu", "a_region_with_quite_a_long_name_" * 4]},
        "tags": {"type": "array", "items": {"enum": ["a", "a_tag_with_a_long_name_" * 4]}},
        "urgent": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "why": {"type": "string", "format": "textarea", "minLength": 3},
    },
    "required": ["count", "region", "mail"],
}
MESSAGE = """**Deploy version 4?**

| name | value |
|---|---|
| requests | 2,413 |

- [errors](https://example.org/errors)

    %s
""" % ("a long line of code " * 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("asking")
    with JupyterServer(folder, ARGUMENTS, env=ENVIRONMENT) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    with phone(browser, scripts=request.param) as opened:
        yield opened


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def is_heading(page: Page, text: str) -> None:
    expect(page.locator("h1").first).to_have_text(text)


def field(page: Page, name: str) -> Any:
    return page.locator(f"[name={name}]")


def test_a_link_never_acts_by_itself(server: JupyterServer, page: Page) -> None:
    run = asking(server, "message='Buy *seven* crates?'")
    for link in ("cancel_url", "resume_url"):
        page.goto(run["pause"][link])
        page.wait_for_load_state("networkidle")
        expect(page.get_by_text("Buy seven crates?")).to_be_visible()
        is_heading(page, "Order 7")
    assert server.get_run(run["id"])["pause"] == run["pause"]


@pytest.mark.parametrize("link", ["resume_url", "cancel_url"])
@pytest.mark.parametrize(("button", "outcome"), [("Approve", "resumed"), ("Reject", "rejected")])
def test_either_button_decides_on_either_page(
    server: JupyterServer, page: Page, link: str, button: str, outcome: str
) -> None:
    run = asking(server, "message='Go?'")
    page.goto(run["pause"][link])
    page.get_by_label("Note (optional)").fill("because")
    press(page, button)
    is_heading(page, "Approved" if button == "Approve" else "Rejected")
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_text("Go?")).to_have_count(0)
    decision = server.wait_run(run["id"], {"succeeded", "canceled"})["decisions"][0]
    assert (decision["outcome"], decision["by"][0]["note"]) == (outcome, "because")
    page.reload()
    is_heading(page, f"Already {'approved' if button == 'Approve' else 'rejected'}")
    expect(page.get_by_text("because")).to_be_visible()


def test_a_form_is_filled_in(server: JupyterServer, page: Page) -> None:
    run = asking(server, f"form={LONG!r}")
    page.goto(run["pause"]["resume_url"] + "?tags=a&mail=x")
    page.get_by_label("Count").fill("3")
    page.get_by_label("Price").fill("1.50")
    page.get_by_label("Region").select_option("eu")
    expect(page.get_by_label("a", exact=True)).to_be_checked()
    page.get_by_label("Urgent").check()
    page.get_by_label("Day").fill("2026-12-01")
    page.get_by_label("At").fill("2026-12-01T10:30")
    page.get_by_label("Mail").fill("ada@example.org")
    page.get_by_label("Why").fill("it is\ntime")
    press(page, "Approve")
    is_heading(page, "Approved")
    assert answer_body(server, run) == {
        "count": 3,
        "price": 1.5,
        "region": "eu",
        "tags": ["a"],
        "urgent": True,
        "day": "2026-12-01",
        "at": "2026-12-01T10:30:00Z",
        "mail": "ada@example.org",
        "why": "it is\ntime",
    }


def test_wrong_fields_are_named_and_the_first_has_the_focus(
    server: JupyterServer, page: Page
) -> None:
    run = asking(server, f"form={FORM!r}")
    page.goto(run["pause"]["resume_url"])
    field(page, "count").fill("twelve")
    field(page, "tags").nth(1).check()
    field(page, "urgent").uncheck()
    field(page, "why").fill("no")
    field(page, "note").fill("so far")
    press(page, "Approve")
    expect(field(page, "count")).to_have_attribute("aria-invalid", "true")
    expect(field(page, "count")).to_have_accessible_description(
        "From 1 to 9. Must be a whole number."
    )
    expect(field(page, "why")).to_have_accessible_description("Must have at least 3 characters.")
    expect(page.locator("[aria-invalid]")).to_have_count(2)
    assert focused(page) == "count"
    expect(field(page, "count")).to_have_value("twelve")
    expect(field(page, "tags").nth(1)).to_be_checked()
    expect(field(page, "urgent")).not_to_be_checked()
    expect(field(page, "why")).to_have_value("no")
    expect(field(page, "note")).to_have_value("so far")
    assert server.get_run(run["id"])["pause"] == run["pause"]

    field(page, "count").fill("2")
    press(page, "Approve")
    expect(page.locator("[aria-invalid]")).to_have_count(1)
    assert focused(page) == "why"
    field(page, "why").fill("none")
    press(page, "Approve")
    is_heading(page, "Approved")
    expected = {"count": 2, "kind": "small", "tags": ["b"], "urgent": False, "why": "none"}
    assert answer_body(server, run) == expected


def test_a_rejection_needs_no_valid_answer(server: JupyterServer, page: Page) -> None:
    run = asking(server, f"form={FORM!r}")
    page.goto(run["pause"]["resume_url"])
    field(page, "count").fill("twelve")
    press(page, "Reject")
    is_heading(page, "Rejected")
    assert server.get_run(run["id"])["status"] == "canceled"


def test_approvers_decide_by_their_own_links(server: JupyterServer, page: Page) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    ada, bob = (personal_links(server, run, f"{name}@example.org")[0] for name in ("ada", "bob"))
    page.goto(ada)
    expect(page.get_by_text("for ada@example.org")).to_be_visible()
    field(page, "note").fill("fine")
    press(page, "Approve")
    is_heading(page, "Counted")
    expect(page.get_by_text("one more has to approve.", exact=False).first).to_be_visible()
    page.reload()
    is_heading(page, "Already approved by you")
    page.goto(bob)
    expect(page.get_by_role("listitem")).to_contain_text(re.compile("ada@example.org, .*fine"))
    press(page, "Approve")
    is_heading(page, "Approved")
    expect(page.get_by_role("status")).to_contain_text(
        "Approved by ada@example.org and bob@example.org."
    )


def test_others_are_led_to_the_inbox(server: JupyterServer, page: Page) -> None:
    run = asking(server, f"message='Pay?', {APPROVERS}")
    page.goto(run["pause"]["resume_url"])
    expect(page.get_by_text("Pay?")).to_be_visible()
    expect(page.get_by_text("Only ada, bob@example.org or the group finance can")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.get_by_role("link", name="sign in to your inbox").click()
    expect(page).to_have_url(f"{server.url}/login?next=%2Fpdflow%2Finbox")


def test_a_server_that_is_gone_can_be_asked_again(server: JupyterServer, browser: Browser) -> None:
    run = asking(server, f"form={FORM!r}")
    with phone(browser) as page:
        page.goto(run["pause"]["resume_url"])
        field(page, "count").fill("2")
        page.route("**/pdflow/**", lambda route: route.abort())
        press(page, "Approve")
        expect(page.get_by_role("status")).to_contain_text("The server could not be reached")
        expect(field(page, "count")).to_have_value("2")
        page.unroute_all()
        press(page, "Approve")
        is_heading(page, "Approved")
    assert answer_body(server, run)["count"] == 2


def test_a_pause_that_was_decided_meanwhile_says_so(server: JupyterServer, page: Page) -> None:
    run = asking(server, f"form={FORM!r}")
    page.goto(run["pause"]["resume_url"])
    server.api("POST", f"/runs/{run['id']}/reject", {"note": "too late"})
    press(page, "Approve")
    is_heading(page, "Already rejected")
    expect(page.get_by_text("too late")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)


def test_the_keyboard_is_enough(server: JupyterServer, page: Page) -> None:
    run = asking(server, f"form={FORM!r}")
    page.goto(run["pause"]["cancel_url"])
    page.keyboard.press("Tab")
    assert focused(page) == "count"
    page.keyboard.type("4")
    # Enter in a field approves, also on the page of the cancel link.
    page.keyboard.press("Enter")
    is_heading(page, "Approved")
    assert answer_body(server, run)["count"] == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_small_phone_and_can_be_read(
    server: JupyterServer, browser: Browser, scheme: Scheme
) -> None:
    title = "a_title_of_one_long_word_" * 4
    asked = f"message={MESSAGE!r}, form={LONG!r}, {APPROVERS}"
    run = asking(server, asked, title)
    ada, _ = personal_links(server, run, "ada@example.org")
    with phone(browser, width=NARROW, scheme=scheme) as page:

        def check() -> None:
            assert width_of(page) == NARROW
            assert grave_findings(page) == []

        page.goto(run["pause"]["resume_url"])
        check()
        page.goto(ada)
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 44
        check()
        press(page, "Approve")
        expect(page.locator("[aria-invalid]").first).to_be_visible()
        check()
        field(page, "count").fill("1")
        field(page, "region").select_option("eu")
        field(page, "mail").fill("ada@example.org")
        press(page, "Approve")
        is_heading(page, "Counted")
        check()
        bob, _ = personal_links(server, run, "bob@example.org")
        page.goto(bob)
        check()
        press(page, "Reject")
        is_heading(page, "Rejected")
        check()
        page.reload()
        check()
