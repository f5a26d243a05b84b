"""What a person sees who opens a link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer


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


def is_still(server: JupyterServer, run: Any) -> bool:
    return bool(server.get_run(run["id"]) == run)


def told(server: JupyterServer, run: Any) -> Any:
    ended = server.wait_run(run["id"], "succeeded")
    return ended["steps"][1]["exports"]["$return_value"]


def test_opening_a_link_is_enough(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.goto(run["pause"]["resume_url"] + "?who=me")
    expect(status(page)).to_have_text("Resumed: workflow “approval” goes on from step “ask”.")
    expect(page.get_by_role("button")).to_have_count(0)
    request = told(server, run)
    assert request["method"] == "POST"
    assert request["query"] == {"who": "me"}
    assert request["body"] is None
    assert page.complaints == []  # type: ignore[attr-defined]

    page.reload()
    expect(status(page)).to_have_text(re.compile("was already resumed by a link"))


def test_opening_a_cancel_link_is_enough(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.goto(run["pause"]["cancel_url"])
    expect(status(page)).to_have_text("Canceled: workflow “approval” ends at step “ask”.")
    assert server.get_run(run["id"])["status"] == "canceled"


def test_without_scripts_the_button_acts(server: JupyterServer, page_without_scripts: Page) -> None:
    page = page_without_scripts
    run = paused(server)
    page.goto(run["pause"]["resume_url"] + "?who=me")
    expect(status(page)).to_have_text("Resume workflow “approval” at step “ask”?")
    assert is_still(server, run)
    page.get_by_role("button", name="Resume the workflow").click()
    expect(status(page)).to_have_text("Resumed: workflow “approval” goes on from step “ask”.")
    assert told(server, run)["query"] == {"who": "me"}


def test_where_links_are_confirmed_the_button_acts(confirming: JupyterServer, page: Page) -> None:
    run = paused(confirming)
    page.goto(run["pause"]["resume_url"])
    expect(page.get_by_role("button")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert is_still(confirming, run)
    page.get_by_role("button").click()
    expect(status(page)).to_have_text("Resumed: workflow “approval” goes on from step “ask”.")
    confirming.wait_run(run["id"], "succeeded")


def test_a_link_that_was_used_says_so(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    server.http.post(run["pause"]["cancel_url"])
    answer = page.goto(run["pause"]["resume_url"])
    assert answer is not None
    assert answer.status == 410
    expect(status(page)).to_have_text(re.compile("was already canceled by a link at 20"))
    expect(page.get_by_role("button")).to_have_count(0)


def test_two_tabs_one_wins(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    second = page.context.new_page()
    held: list[Any] = []
    second.route(
        "**/pdflow/**", lambda route: held.append(route) if act(route) else route.continue_()
    )
    second.goto(run["pause"]["cancel_url"])
    page.goto(run["pause"]["resume_url"])
    expect(status(page)).to_have_text(re.compile("^Resumed"))
    held[0].continue_()
    expect(status(second)).to_have_text(re.compile("was already resumed by a link"))


def act(route: Any) -> bool:
    return bool(route.request.method == "POST")


def test_a_server_that_is_gone_is_named_and_can_be_asked_again(
    server: JupyterServer, page: Page
) -> None:
    run = paused(server)
    page.route("**/pdflow/**", lambda route: route.abort() if act(route) else route.continue_())
    page.goto(run["pause"]["resume_url"])
    expect(status(page)).to_have_text(re.compile("The server could not be reached"))
    assert is_still(server, run)
    page.unroute_all()
    page.get_by_role("button", name="Resume the workflow").click()
    expect(status(page)).to_have_text(re.compile("^Resumed"))


def test_a_page_in_a_frame_does_not_act(server: JupyterServer, page: Page) -> None:
    run = paused(server)
    page.set_content(f'<iframe src="{run["pause"]["resume_url"]}"></iframe>')
    page.wait_for_load_state("networkidle")
    assert is_still(server, run)


def test_an_unknown_link_says_nothing(server: JupyterServer, page: Page) -> None:
    answer = page.goto(f"{server.url}/pdflow/resume/forged")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading")).to_have_text("This link leads nowhere")


def test_a_link_of_test_mode_says_what_it_is(server: JupyterServer, page: Page) -> None:
    page.goto(f"{server.url}/pdflow/cancel/test")
    expect(page.get_by_role("heading")).to_have_text("A link of test mode")
    expect(status(page)).to_contain_text("a notebook in test mode")
