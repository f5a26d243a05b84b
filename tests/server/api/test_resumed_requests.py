"""What handlers see of an answer by the API is the same, whatever client has sent it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.commands import call
from tests.servers import JupyterServer

Paused = Callable[..., Any]
BROWSER = {
    "Accept": "*/*",
    "Accept-Language": "de,en;q=0.5",
    "Content-Type": "text/plain;charset=UTF-8",
    "DNT": "1",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "X-Requested-With": "XMLHttpRequest",
}
"""Headers as those of JupyterLab's requests."""

POLL = """%%step poll
def handler(pd):
    if pd.context.run.runs == 1:
        pd.flow.rerun(600_000)
    return pd.context.run.get("callback_request")
"""
REJECTED = """%%step ask
def handler(pd):
    pd.flow.suspend(on_reject="resume")
"""


def from_lab(server: JupyterServer, path: str, body: Any) -> None:
    """Send a request as JupyterLab does: with a cache-buster, and a browser's headers."""
    headers = {**BROWSER, "Referer": f"{server.url}/lab/tree/a.ipynb?token={server.token}"}
    answer = server.api("POST", f"{path}?1764288000123", body, headers=headers)
    assert answer.status_code == 200, answer.text


def expected(server: JupyterServer, run_id: str, action: str, body: Any) -> Any:
    path = f"/pdflow/api/runs/{run_id}/{action}"
    return {
        "method": "POST",
        "path": path,
        "url": f"{server.url}{path}",
        "query": {},
        "headers": {"content-type": "application/json"},
        "body": body,
        "client_ip": "127.0.0.1",
    }


def by_lab(server: JupyterServer, run_id: str) -> None:
    from_lab(server, f"/runs/{run_id}/resume", {"data": {"ok": True}, "by": "button"})


def by_command(server: JupyterServer, run_id: str) -> None:
    assert call(server, "resume", run_id, "--data", '{"ok": true}').returncode == 0


def by_api(server: JupyterServer, run_id: str) -> None:
    answer = server.http.request(
        "POST",
        f"/pdflow/api/runs/{run_id}/resume",
        params={"token": server.token, "note": "x"},
        content=b'{"data": {"ok": true}}',
        headers={"Content-Type": "application/x-www-form-urlencoded", "X-Own": "1"},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("resume", [by_lab, by_command, by_api])
def test_a_resume(
    server: JupyterServer, paused: Paused, resume: Callable[[JupyterServer, str], None]
) -> None:
    run_id = paused()["id"]
    resume(server, run_id)
    ended = server.wait_run(run_id, "succeeded")
    request = ended["steps"][0]["exports"]["$resume_data"]
    assert request == expected(server, run_id, "resume", {"ok": True})


def test_a_resume_without_data(server: JupyterServer, paused: Paused) -> None:
    run_id = paused()["id"]
    from_lab(server, f"/runs/{run_id}/resume", {})
    ended = server.wait_run(run_id, "succeeded")
    request = ended["steps"][0]["exports"]["$resume_data"]
    assert request == expected(server, run_id, "resume", None)


def test_a_callback(server: JupyterServer) -> None:
    run = server.wait_run(server.run(server.deploy("poll", [POLL]))["id"], "paused")
    from_lab(server, f"/runs/{run['id']}/resume", {"data": [1]})
    ended = server.wait_run(run["id"], "succeeded")
    request = ended["steps"][0]["exports"]["$return_value"]
    assert request == expected(server, run["id"], "resume", [1])


def test_a_rejection(server: JupyterServer) -> None:
    workflow = server.deploy("rejected", [REJECTED])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    from_lab(server, f"/runs/{run['id']}/reject", {"note": "no"})
    ended = server.wait_run(run["id"], "succeeded")
    # A rejection has a note, which is the decision's, and no body.
    request = ended["steps"][0]["exports"]["$resume_data"]
    assert request == expected(server, run["id"], "reject", None)
