"""A server of a real JupyterHub. The Hub's own extension is loaded after ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_pdflow.client import Client
from jupyter_pdflow.exceptions import ApiError, ServerNotFoundError
from tests.server.conftest import ASK, TELL
from tests.server.hub import USER, Hub
from tests.servers import wait_until, write_notebook

PROXIED = {"Host": "hub.example", "X-Forwarded-Proto": "https"}
BROWSER = {**PROXIED, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
HUB_LINK = f"https://hub.example/user/{USER}/pdflow/resume/"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as running:
        running.start_server()
        yield running


@pytest.fixture(scope="module")
def run_id(hub: Hub) -> str:
    write_notebook(hub.folder / USER / "approval.ipynb", [ASK, TELL])
    assert hub.api("POST", "/workflows", {"path": "approval.ipynb"}).status_code == 201
    return str(hub.api("POST", "/workflows/approval/runs", {"event": {}}).json()["id"])


def link(hub: Hub, run_id: str) -> str:
    def paused() -> Any:
        return hub.api("GET", f"/runs/{run_id}").json()["pause"]

    return str(wait_until(paused, "the run is paused")["resume_url"])


def test_links_start_with_the_address_of_the_hub(hub: Hub, run_id: str) -> None:
    assert "X-JupyterHub-Version" in hub.api("GET", "/runs").headers
    wrong = {**BROWSER, "Host": "evil.example"}
    for headers in ({"Authorization": "token wrong"}, {"Authorization": ""}):
        assert hub.api("GET", "/runs", **{**wrong, **headers}).status_code == 403
    assert hub.api("GET", "/nothing", **wrong).status_code == 404
    assert link(hub, run_id).startswith(f"{hub.url}/pdflow/resume/")
    assert hub.api("GET", "/runs", **BROWSER).status_code == 200
    assert link(hub, run_id).startswith(HUB_LINK)


def test_groups_of_the_hub_are_groups_of_approvers(hub: Hub) -> None:
    ask = ASK.replace("pd.flow.suspend()", 'pd.flow.suspend(approvers=["group:finance"])')
    assert ask != ASK
    write_notebook(hub.folder / USER / "asked.ipynb", [ask])
    assert hub.api("POST", "/workflows", {"path": "asked.ipynb"}).status_code == 201
    run_id = hub.api("POST", "/workflows/asked/runs", {"event": {}}).json()["id"]
    link(hub, run_id)
    before = {"Authorization": f"token {hub.user_token()}"}
    assert hub.api("POST", f"/runs/{run_id}/resume", {}, **before).status_code == 403
    hub.add_group("finance")
    # A token of its own: the server asks the Hub about a token once in a while only.
    after = {"Authorization": f"token {hub.user_token()}"}
    approved = hub.api("POST", f"/runs/{run_id}/resume", {}, **after)
    assert approved.status_code == 200, approved.text
    (decision,) = approved.json()["decisions"]
    assert (decision["outcome"], decision["by"][0]["name"]) == ("approved", USER)


def test_links_work_after_a_restart(hub: Hub, run_id: str) -> None:
    assert hub.api("GET", "/runs", **BROWSER).status_code == 200
    hub.stop_server()
    hub.start_server()
    public = link(hub, run_id)
    assert public.startswith(HUB_LINK)
    direct = public.replace(HUB_LINK, f"{hub.url}/pdflow/resume/")
    assert hub.http.post(direct, headers=PROXIED).json()["status"] == "resumed"


def test_a_wrong_token_is_refused(hub: Hub) -> None:
    with pytest.raises(ApiError, match="refused the token"):
        Client(hub.url, "wrong").get("runs")


def test_a_stopped_server_is_reported_as_stopped(hub: Hub) -> None:
    hub.stop_server()
    stopped = f"{hub.hub_url}/user/{USER}/"  # the proxy sends such a request to the Hub
    client = Client(stopped, hub.token)
    message = f"The server at {stopped} is not running; start it at {hub.hub_url}/hub/home."
    for request in (
        lambda: client.get("runs"),
        lambda: client.post("workflows", {"path": "a.ipynb"}),
        lambda: client.notebook("a.ipynb"),
        lambda: Client(f"{hub.hub_url}/hub/user/{USER}/", hub.token).get("runs"),
    ):
        with pytest.raises(ServerNotFoundError, match="is not running") as raised:
            request()
        assert str(raised.value).replace("/hub/user/", "/user/") == message
    hub.start_server()
    assert Client(hub.url, hub.token).get("runs")
