"""Link pages for people who see, point or read otherwise, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import grave_findings
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer

Schemes = Literal["light", "dark"]


@pytest.fixture(scope="module")
def confirming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("confirming")
    with JupyterServer(folder, ["--PDFlow.confirm_links=True"]) as running:
        yield running


@pytest.fixture(scope="module")
def server(confirming: JupyterServer) -> JupyterServer:
    return confirming


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme: Schemes = request.param
    with browser.new_context(color_scheme=scheme, reduced_motion="reduce") as context:
        yield context.new_page()


def link(server: JupyterServer, action: str = "resume") -> str:
    """Get a link of a run that waits."""
    workflow = server.deploy("approval", [ASK, TELL])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    return str(run["pause"][f"{action}_url"])


def is_heading(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words)


def press(page: Page) -> None:
    page.get_by_role("button").click()


@pytest.mark.parametrize("action", ["resume", "cancel"])
def test_asking_and_done(server: JupyterServer, page: Page, action: str) -> None:
    page.goto(link(server, action))
    is_heading(page, f"{action.capitalize()} this workflow?")
    assert grave_findings(page) == []
    press(page)
    is_heading(page, "Resumed" if action == "resume" else "Canceled")
    assert grave_findings(page) == []
    page.reload()
    is_heading(page, "Already resumed" if action == "resume" else "Already canceled")
    assert grave_findings(page) == []


def test_waiting_and_failing(server: JupyterServer, page: Page) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.goto(link(server))
    page.route("**/pdflow/**", hold)
    press(page)
    is_heading(page, "Resuming …")
    assert grave_findings(page) == []
    held[0].abort()
    is_heading(page, "That did not work")
    assert grave_findings(page) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/pdflow/resume/forged", "This link is not valid"),
        ("/pdflow/resume/test", "A link of test mode"),
    ],
)
def test_links_of_no_run(server: JupyterServer, page: Page, path: str, words: str) -> None:
    page.goto(server.url + path)
    is_heading(page, words)
    assert grave_findings(page) == []


def test_a_server_that_has_no_data(server: JupyterServer, page: Page) -> None:
    def unavailable(route: Any) -> None:
        route.continue_(headers={**route.request.headers, "X-Moz": "prefetch"})

    page.route("**/pdflow/**", unavailable)
    page.goto(link(server))
    is_heading(page, "Not possible right now")
    assert grave_findings(page) == []


def test_a_request_that_was_refused(server: JupyterServer, page: Page) -> None:
    def forge(route: Any) -> None:
        route.continue_(post_data="x" * 600_000)

    page.goto(link(server))
    page.route("**/pdflow/**", forge)
    press(page)
    is_heading(page, "Not possible")
    assert grave_findings(page) == []
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    is_heading(page, "Resumed")
