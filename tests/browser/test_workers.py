"""What JupyterLab's panel shows of workers and queued runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.axe import grave_findings
from tests.browser.lab import START_MS, Desk, lab_server
from tests.server.conftest import ASK
from tests.servers import JupyterServer

HOLD = """%%step hold
def handler(pd):
    import pathlib, time
    while not pathlib.Path(pd.steps["trigger"]["event"]).exists():
        time.sleep(0.05)"""
HEALTH = "**/pdflow/api/health*"
REFRESH_MS = 5000
"""Longer than the least time between two readings."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("lab")
    with lab_server(folder, "--PDFlow.max_kernels=1") as running:
        yield running


@pytest.fixture
def desk(page: Page, server: JupyterServer) -> Iterator[Desk]:
    """Open JupyterLab without a notebook, and leave no run that waits."""
    page.goto(f"{server.url}/lab?token={server.token}&reset")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)
    yield Desk(page)
    for run in server.api("GET", "/runs?status=paused").json():
        server.api("POST", f"/runs/{run['id']}/cancel", {})


def worker(number: int, busy: int) -> dict[str, Any]:
    return {
        "name": f"worker-{number}",
        "host": f"compute-{number}.internal.example.org",
        "queues": ["default", "gpu"],
        "kernels": 4,
        "busy": busy,
        "seen_at": "2026-11-27T12:00:00.000Z",
    }


def health(workers: list[dict[str, Any]], queued: int) -> dict[str, Any]:
    return {
        "status": "ok",
        "store": "postgresql",
        "workers": workers,
        "queued": queued,
        "running": 0,
        "paused": 0,
        "oldest_queued_at": None,
    }


def answer(page: Page, state: dict[str, Any]) -> None:
    """Let the server say that its store is shared."""
    page.unroute(HEALTH)
    page.route(HEALTH, lambda route: route.fulfill(json=state))


def test_runs_that_wait_for_the_servers_kernel_are_counted(
    server: JupyterServer, desk: Desk
) -> None:
    enough = server.root / "enough"
    hold = server.deploy("hold", [HOLD])
    panel = desk.open_panel()
    first, second, third = (server.run(hold, str(enough)) for _ in range(3))
    expect(panel).to_contain_text("1 of 1 kernel busy, 2 runs queued")
    server.api("POST", f"/runs/{third['id']}/cancel", {})
    expect(panel).to_contain_text("1 of 1 kernel busy, 1 run queued")
    enough.touch()
    server.wait_run(first["id"], "succeeded")
    server.wait_run(second["id"], "succeeded")
    expect(panel).not_to_contain_text("busy")


def test_a_hidden_panel_does_not_ask_for_workers(server: JupyterServer, desk: Desk) -> None:
    asked: list[str] = []
    desk.page.on("request", lambda sent: asked.append(sent.url))
    with desk.page.expect_request(HEALTH):
        desk.open_panel()
    desk.page.locator(".jp-pdflow-tab").first.click()
    expect(desk.panel).to_be_hidden()
    asked.clear()
    server.run(server.deploy("ask", [ASK]))
    # The event about the run has come when the status bar counts it.
    expect(desk.page.get_by_role("button", name="1 waiting")).to_be_visible()
    desk.page.wait_for_timeout(REFRESH_MS)
    assert not [url for url in asked if "/api/health" in url]
    with desk.page.expect_request(HEALTH):
        desk.open_panel()


def test_the_workers_of_a_shared_store_are_listed(server: JupyterServer, desk: Desk) -> None:
    answer(desk.page, health([worker(1, 2), worker(2, 0), worker(3, 0)], queued=5))
    panel = desk.open_panel()
    summary = panel.get_by_text("3 workers, 2 of 12 kernels busy, 5 runs queued")
    summary.click()
    listed = panel.get_by_role("listitem").filter(has_text="on compute-1.internal.example.org")
    expect(listed).to_contain_text("2 of 4 kernels busy, seen")
    assert grave_findings(desk.page, "#jupyter-pdflow-panel") == []
    answer(desk.page, health([], queued=5))
    server.run(server.deploy("ask", [ASK]))
    expect(panel).to_contain_text("No worker: 5 queued runs wait")
    expect(panel.locator(".jp-PDFlow-failure")).to_have_count(0)
    assert grave_findings(desk.page, "#jupyter-pdflow-panel") == []


def test_an_error_leaves_the_runs_alone(server: JupyterServer, desk: Desk) -> None:
    def fail(route: Route) -> None:
        route.fulfill(status=500, body="no")

    desk.page.route(HEALTH, fail)
    with desk.page.expect_response(HEALTH):
        panel = desk.open_panel()
    run = server.run(server.deploy("ask", [ASK]))
    expect(panel.locator(f"[data-run='{run['id']}']")).to_be_visible()
    expect(panel.get_by_role("alert")).to_have_count(0)
