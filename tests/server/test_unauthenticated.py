"""Unauthenticated clients, users without permission, and unknown links, at a real server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.server.api.handlers import ROUTES
from jupyter_pdflow.server.links.clients import MAX_ATTEMPTS
from tests.server.conftest import ASK, TELL
from tests.server.links.test_links import BROWSER
from tests.servers import JupyterServer

Paused = Callable[..., Any]
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
INBOX = "/pdflow/api/inbox"
"""Shows what a user may decide, so that reading it needs the right to execute."""

SECRET = "a-secret-of-the-run"
AUTHORIZER = """
from jupyter_server.auth import Authorizer

class Readers(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "jupyter_pdflow" and resource != "events" or action == READ
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    arguments = ["--ServerApp.log_level=DEBUG", "--ServerApp.trust_xheaders=True"]
    with JupyterServer(tmp_path_factory.mktemp("unauthenticated"), arguments) as running:
        yield running


def routes(run: Any) -> Iterator[tuple[str, set[str]]]:
    """Yield the path of each route, with existing ids, and its methods."""
    ids = {"workflows": run["workflow_id"], "runs": run["id"]}
    for pattern, handler in ROUTES:
        kind = pattern.split("/")[3] if pattern.count("/") > 2 else ""
        path = pattern.replace("([^/]+)", ids.get(kind, "x"))
        path = path.replace("(?:/.*)?", "/x").replace("(.+)", "x")
        yield path, {name.upper() for name in vars(handler) if name.upper() in ("GET", *UNSAFE)}


def paths(run: Any) -> list[str]:
    return [path for path, _ in routes(run)]


def from_address(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


# --- the private API --------------------------------------------------------------------


def test_a_runs_data_never_reaches_unauthenticated_clients(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused({"word": SECRET})
    resume, cancel = run["pause"]["resume_url"], run["pause"]["cancel_url"]
    answers = []
    for path in paths(run):
        for method in ("GET", "HEAD", "OPTIONS", *UNSAFE):
            answers.append(server.http.request(method, path))
            assert not (answers[-1].is_success and answers[-1].content)
    for headers in (BROWSER, {}, {"Accept": "text/html"}):
        for method in ("OPTIONS", "HEAD", "GET", "POST"):
            both = (server.http.request(method, url, headers=headers) for url in (resume, cancel))
            answers.extend(both)
    assert server.get_run(run["id"])["steps"][0]["exports"]["$return_value"]["asked"]
    for answer in answers:
        assert SECRET not in answer.text + str(answer.headers)
        assert run["id"] not in answer.text


def test_unauthenticated_clients_do_not_learn_whether_a_run_exists(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused()
    for path in paths(run):
        existing = server.http.get(path)
        unknown = server.http.get(path.replace(run["id"], "none").replace("approval", "none"))
        assert (existing.status_code, existing.text) == (unknown.status_code, unknown.text)


def test_each_unsafe_route_requires_the_xsrf_value(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    before = server.api("GET", "/runs").json()
    with server.client() as browser:
        browser.get("/api/status", params={"token": server.token})
        assert browser.get("/pdflow/api/runs", headers={"Referer": server.url}).status_code == 200
        for path, methods in routes(run):
            for method in UNSAFE:
                own = browser.request(method, path, headers={"Origin": server.url}, json={})
                assert own.status_code == 403 or method not in methods, (method, path)
                for origin in ("https://evil.example", "null"):
                    other = browser.request(method, path, headers={"Origin": origin}, json={})
                    assert other.status_code in (403, 404, 405), (method, path)
    assert server.api("GET", "/runs").json() == before


@pytest.fixture(scope="module", params=["nothing", "read"])
def guarded(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Start a server whose authorizer allows its user to read, or nothing at all."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "guards.py").write_text(f"READ = {request.param!r}\n{AUTHORIZER}")
    env = {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}
    argument = "--ServerApp.authorizer_class=guards.Readers"
    with JupyterServer(folder / "server", [argument], env=env) as running:
        running.may_read = request.param == "read"  # type: ignore[attr-defined]
        yield running


def test_every_route_asks_the_authorizer(guarded: Any) -> None:
    for path, methods in routes({"id": "x", "workflow_id": "x"}):
        for method in sorted(methods):
            answer = guarded.http.request(method, path, headers=guarded.headers)
            allowed = method == "GET" and guarded.may_read and path != INBOX
            unknown = path == "/pdflow/x" and answer.status_code in (403, 404)
            assert unknown or (answer.status_code == 403) is not allowed, (method, path)
    # Jupyter's event stream requires the permission to execute.
    assert guarded.http.get("/api/events/subscribe", headers=guarded.headers).status_code == 403


def test_the_event_stream_is_closed_to_unauthenticated_clients(server: JupyterServer) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert server.http.get("/api/events/subscribe", headers=upgrade).status_code == 403


# --- unknown links ------------------------------------------------------------------------


def test_attempts_with_unknown_links_are_limited_and_known_links_work(
    server: JupyterServer, paused: Paused
) -> None:
    run, other = paused(), paused()
    first, second = from_address("192.0.2.1"), from_address("192.0.2.2")
    forged = run["pause"]["resume_url"][:-2] + "AA"
    methods = ["GET", "POST", "HEAD", "PUT", "TRACE"]
    for number in range(MAX_ATTEMPTS):
        method = methods[number % len(methods)]
        assert server.http.request(method, forged, headers=first).status_code == 404
    refused = server.http.post(forged, headers=first)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["reason"] == "too_many_tries"
    page = server.http.get(forged, headers={**BROWSER, **first})
    assert page.status_code == 429
    assert "Not possible" in page.text
    assert server.http.post(forged, headers=second).status_code == 404
    assert server.get_run(run["id"]) == run
    assert server.http.post(run["pause"]["resume_url"], headers=first).status_code == 200
    assert server.http.post(run["pause"]["resume_url"], headers=first).status_code == 410
    assert server.http.post(other["pause"]["cancel_url"], headers=first).status_code == 200
    assert server.http.get("/pdflow/resume/test", headers=first).status_code == 200


def test_a_client_can_not_choose_its_address(tmp_path: Path) -> None:
    with JupyterServer(tmp_path) as direct:
        link = f"{direct.url}/pdflow/resume/wrong"
        statuses = [
            direct.http.get(link, headers=from_address(f"192.0.2.{number}")).status_code
            for number in range(MAX_ATTEMPTS + 1)
        ]
        assert statuses == [404] * MAX_ATTEMPTS + [429]


# --- keys -------------------------------------------------------------------------------


def test_links_depend_on_their_key_only(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    keys = data_dir / "link_keys"
    with JupyterServer(tmp_path / "one", data_dir=data_dir) as first:
        workflow = first.deploy("approval", [ASK, TELL])
        runs = [first.wait_run(first.run(workflow)["id"], "paused") for _ in range(3)]
        old = keys.read_text()
        assert data_dir.stat().st_mode & 0o777 == 0o700
        files = [*data_dir.glob("active/*.jsonl"), *data_dir.glob("workflows/*.json")]
        assert {path.stat().st_mode & 0o777 for path in [keys, *files]} == {0o600}
    links = [run["pause"]["resume_url"].removeprefix(first.url) for run in runs]
    keys.write_text("n" * 44 + "\n" + old)
    keys.chmod(0o644)
    moved = JupyterServer(tmp_path / "two", data_dir=data_dir, base_url="/user/me/")
    with moved:
        assert keys.stat().st_mode & 0o777 == 0o600
        assert moved.http.post(moved.url + links[0]).status_code == 200
        new = moved.get_run(runs[1]["id"])["pause"]["resume_url"].removeprefix(moved.url)
        assert new != links[1]
        assert moved.http.post(moved.url + new).status_code == 200
        assert moved.http.post(moved.url + links[1]).status_code == 410
        keys.write_text("n" * 44 + "\n")
        moved.restart()
        assert moved.http.post(moved.url + links[2]).status_code == 404
        assert moved.get_run(runs[2]["id"])["status"] == "paused"
        keys.write_text("damaged")
        moved.restart()
        refused = moved.api("GET", "/runs")
        assert (refused.status_code, refused.json()["reason"]) == (503, "bad_keys")
        answer = moved.http.post(moved.url + new)
        assert (answer.status_code, answer.json()["reason"]) == (503, "bad_keys")
        assert str(data_dir) not in answer.text
        assert keys.read_text() == "damaged"
