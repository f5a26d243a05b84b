"""What a person sees who opens a link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until

RESUMED = "Workflow “approval” continues from step “ask”."
BRIEF = """%%step brief
def handler(pd):
    return pd.flow.suspend(1)["resume_url"]
"""
SLOW = """%%step slow
def handler(pd):
    import pathlib, time
    pathlib.Path("link.txt").write_text(pd.flow.suspend()["resume_url"])
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def confirming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("confirming")
    with JupyterServer(folder, ["--PDFlow.confirm_links=True"]) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield watched(context.new_page())


@pytest.fixture
def page_without_scripts(browser: Browser) -> Iterator[Page]:
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


def watched(page: Page) -> Page:
    """Let whatever a page complains of fail the test that reads `complaints`."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.complaints = complaints  # type: ignore[attr-defined]
    return page


def paused(server: JupyterServer) -> Any:
    workflow = server.deploy("approval", [ASK, TELL])
    return server.wait_run(server.run(workflow)["id"], "paused")


def status(page: Page) -> Any:
    return page.get_by_role("status")


def heading(page: Page) -> Any:
    return page.get_by_role("heading", level=1)


def is_still(server: JupyterServer, run: Any) -> bool:
    return bool(server.get_run(run["id"]) == run)


def told(server: JupyterServer, run: Any) -> Any:
    ended = server.wait_run(run["id"], "succeeded")
    return ended["steps"][1]["exports"]["$return_value"]


def test_opening_a_link_is_enough(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.goto(run["pause"]["resume_url"] + "?who=me")
    expect(heading(page)).to_have_text("Resumed")
    expect(status(page)).to_contain_text(RESUMED)
    expect(page).to_have_title("Resumed: workflow “approval” continues from step “ask”.")
    expect(status(page).get_by_role("definition")).to_have_text("me")
    expect(page.get_by_role("button")).to_have_count(0)
    request = told(server, run)
    assert request["method"] == "POST"
    assert request["query"] == request["body"] == {"who": "me"}
    assert page.complaints == []  # type: ignore[attr-defined]

    page.reload()
    expect(heading(page)).to_have_text("Already resumed")
    expect(status(page)).to_contain_text("was already resumed by this link.")


def test_a_link_without_values_sends_nothing(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.goto(run["pause"]["resume_url"])
    expect(heading(page)).to_have_text("Resumed")
    request = told(server, run)
    assert request["body"] is None
    assert request["query"] == {}


def test_values_in_the_address_become_the_body(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    values = {"note": "fine\nby me & “you”", "json": '{"price": [1, 2]}', "count": "3", "tag": "a"}
    page.goto(f"{run['pause']['resume_url']}?{urlencode(values)}&tag=b")
    expect(heading(page)).to_have_text("Resumed")
    request = told(server, run)
    assert request["query"] == {**values, "tag": ["a", "b"]}
    assert request["body"] == {**values, "json": {"price": [1, 2]}, "tag": ["a", "b"]}


def test_fields_may_have_the_names_of_properties_of_a_form(
    server: JupyterServer, page: Page
) -> None:
    run = paused(server)
    fields = dict.fromkeys(["hidden", "dataset", "querySelector", "addEventListener"], "1")
    page.goto(f"{run['pause']['resume_url']}?{urlencode(fields)}")
    expect(heading(page)).to_have_text("Resumed")
    assert told(server, run)["body"] == fields
    assert page.complaints == []  # type: ignore[attr-defined]


def test_going_back_to_a_page_shows_the_truth(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.goto(run["pause"]["resume_url"])
    expect(heading(page)).to_have_text("Resumed")
    page.goto(f"{server.url}/pdflow/resume/test")
    page.go_back()
    expect(status(page)).to_contain_text("was already resumed by this link.")


def test_opening_a_cancel_link_is_enough(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.goto(run["pause"]["cancel_url"])
    expect(status(page)).to_contain_text("Workflow “approval” ends at step “ask”.")
    assert server.get_run(run["id"])["status"] == "canceled"


def test_without_scripts_the_button_acts(server: JupyterServer, page_without_scripts: Page) -> None:
    page = page_without_scripts
    run = paused(server)
    page.goto(run["pause"]["resume_url"] + "?who=me")
    expect(status(page)).to_contain_text("Workflow “approval” waits at step “ask”.")
    assert is_still(server, run)
    expect(page.get_by_role("definition")).to_have_text("me")
    page.get_by_role("button", name="Send “me”").click()
    expect(status(page)).to_contain_text(RESUMED)
    expect(status(page).get_by_role("definition")).to_have_text("me")
    expect(page.locator("time")).to_contain_text("UTC")
    request = told(server, run)
    assert request["query"] == request["body"] == {"who": "me"}


def test_without_scripts_a_note_can_be_left(
    server: JupyterServer, page_without_scripts: Page
) -> None:
    page = page_without_scripts
    run = paused(server)
    page.goto(run["pause"]["resume_url"] + "?note=fi&json=[1]")
    expect(page.get_by_label("Note (optional)")).to_have_value("fi")
    page.get_by_label("Note (optional)").fill("fine")
    page.get_by_role("button").click()
    expect(status(page)).to_contain_text(RESUMED)
    request = told(server, run)
    assert request["query"] == {"note": "fi", "json": "[1]"}
    assert request["body"] == {"note": "fine", "json": [1]}


def test_where_links_are_confirmed_the_button_acts(confirming: JupyterServer, page: Page) -> None:
    run = paused(confirming)
    page.goto(run["pause"]["resume_url"])
    expect(page.get_by_role("button")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert is_still(confirming, run)
    page.get_by_label("Note (optional)").fill("fine")
    page.get_by_role("button").dblclick()
    expect(heading(page)).to_have_text("Resumed")
    assert told(confirming, run)["body"] == {"note": "fine"}


def test_a_long_note_fits(confirming: JupyterServer, page: Page) -> None:
    run = paused(confirming)
    page.goto(run["pause"]["resume_url"])
    page.get_by_label("Note (optional)").fill("語" * 4000)
    page.get_by_role("button").click()
    expect(heading(page)).to_have_text("Resumed")
    assert told(confirming, run)["body"] == {"note": "語" * 4000}


def test_the_keyboard_is_enough(confirming: JupyterServer, page: Page) -> None:
    run = paused(confirming)
    page.goto(run["pause"]["cancel_url"])
    page.keyboard.press("Tab")
    page.keyboard.type("no")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(heading(page)).to_have_text("Canceled")


def test_a_link_that_was_used_says_so(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    server.http.post(run["pause"]["cancel_url"])
    answer = page.goto(run["pause"]["resume_url"])
    assert answer is not None
    assert answer.status == 410
    expect(status(page)).to_contain_text("was already canceled by its cancel link.")
    expect(page.get_by_role("button")).to_have_count(0)


def test_times_are_those_of_the_reader(server: JupyterServer, browser: Browser) -> None:
    run = paused(server)
    decided_at = server.http.post(run["pause"]["resume_url"]).headers["Date"]
    with browser.new_context(timezone_id="Asia/Kathmandu", locale="en-GB") as context:
        page = context.new_page()
        page.goto(run["pause"]["resume_url"])
        time = page.locator("time")
        expect(time).to_contain_text("GMT+5:45")
        expect(time).to_have_attribute("datetime", re.compile(r"^20..-..-..T..:..:..Z$"))
        told_at = datetime.fromisoformat(str(time.get_attribute("datetime")))
        there = told_at.astimezone(timezone(timedelta(hours=5, minutes=45)))
        expect(time).to_contain_text(f"{there:%H:%M}")
        assert abs(parsedate_to_datetime(decided_at) - told_at) < timedelta(seconds=5)


def test_who_decided_is_said(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    server.api("POST", f"/runs/{run['id']}/resume", {"data": None})
    page.goto(run["pause"]["cancel_url"])
    expect(heading(page)).to_have_text("Already resumed")
    expect(status(page)).to_contain_text(re.compile("was already resumed (through|by a button)"))


def test_a_pause_that_timed_out_says_so(server: JupyterServer, page: Page) -> None:
    workflow = server.deploy("brief", [BRIEF])
    run = server.wait_run(server.run(workflow)["id"], "succeeded")
    page.goto(run["steps"][0]["exports"]["$return_value"])
    expect(heading(page)).to_have_text("The time ran out")
    expect(page.locator("time")).to_be_visible()


def test_a_click_before_the_steps_end_is_kept(server: JupyterServer, page: Page) -> None:
    run = server.run(server.deploy("early", [SLOW]))
    link = server.root / "link.txt"
    page.goto(wait_until(lambda: link.exists() and link.read_text(), "the step made its link"))
    expect(heading(page)).to_have_text("Accepted")
    expect(status(page)).to_contain_text("the run is resumed at its end.")
    page.reload()
    expect(heading(page)).to_have_text("Already resumed")
    (server.root / "go").touch()
    server.wait_run(run["id"], "succeeded")


def test_two_tabs_one_wins(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    second = page.context.new_page()
    held: list[Any] = []
    second.route(
        "**/pdflow/**", lambda route: held.append(route) if act(route) else route.continue_()
    )
    second.goto(run["pause"]["cancel_url"])
    page.goto(run["pause"]["resume_url"])
    expect(heading(page)).to_have_text("Resumed")
    held[0].continue_()
    expect(status(second)).to_contain_text("was already resumed by its resume link.")


def act(route: Any) -> bool:
    return bool(route.request.method == "POST")


def test_a_server_that_is_gone_is_named_and_can_be_asked_again(
    server: JupyterServer, page: Page
) -> None:
    run = paused(server)
    page.route("**/pdflow/**", lambda route: route.abort() if act(route) else route.continue_())
    page.goto(run["pause"]["resume_url"])
    expect(status(page)).to_contain_text("The server could not be reached")
    assert is_still(server, run)
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(heading(page)).to_have_text("Resumed")


@pytest.mark.parametrize("answer", ["<h1>Bad gateway</h1>", ""])
def test_a_proxy_that_answers_in_its_place_is_named(
    server: JupyterServer, page: Page, answer: str
) -> None:
    run = paused(server)
    page.route(
        "**/pdflow/**",
        lambda route: (
            route.fulfill(status=502, body=answer, content_type="text/html")
            if act(route)
            else route.continue_()
        ),
    )
    page.goto(run["pause"]["resume_url"] + "?note=kept")
    expect(heading(page)).to_have_text("That did not work")
    expect(page.get_by_label("Note (optional)")).to_have_value("kept")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(heading(page)).to_have_text("Resumed")
    assert told(server, run)["body"] == {"note": "kept"}


def test_a_server_without_the_data_says_so(
    server: JupyterServer, page: Page, tmp_path: Path
) -> None:
    with JupyterServer(tmp_path, data_dir=server.data_dir) as second:
        run = paused(server)
        answer = page.goto(run["pause"]["resume_url"].replace(server.url, second.url))
        assert answer is not None
        assert answer.status == 503
        expect(heading(page)).to_have_text("Not possible right now")
        expect(page.get_by_role("link", name="Try again")).to_be_visible()
        assert str(server.data_dir) not in page.content()


def test_pages_fit_a_small_phone(server: JupyterServer, browser: Browser) -> None:
    workflow = server.deploy("a_workflow_with_quite_a_long_name_" * 3, [ASK, TELL])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    with browser.new_context(viewport={"width": 320, "height": 568}) as context:
        page = context.new_page()
        page.goto(run["pause"]["resume_url"])
        expect(heading(page)).to_have_text("Resumed")
        assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_nothing_is_asked_of_third_parties(confirming: JupyterServer, page: Page) -> None:
    run = paused(confirming)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(run["pause"]["resume_url"])
    page.get_by_role("button").click()
    expect(heading(page)).to_have_text("Resumed")
    assert all(url.startswith(confirming.url) for url in asked)


def test_a_page_in_a_frame_does_not_act(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.set_content(f'<iframe src="{run["pause"]["resume_url"]}"></iframe>')
    page.wait_for_load_state("networkidle")
    assert is_still(server, run)


def test_an_unknown_link_says_nothing(server: JupyterServer, page: Page) -> None:
    answer = page.goto(f"{server.url}/pdflow/resume/forged")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading")).to_have_text("This link is not valid")


def test_a_link_of_test_mode_says_what_it_is(server: JupyterServer, page: Page) -> None:
    page.goto(f"{server.url}/pdflow/cancel/test")
    expect(page.get_by_role("heading")).to_have_text("A link of test mode")
    expect(status(page)).to_contain_text("a notebook in test mode")
