"""`connect` finds a server, and errors of the client say what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from msgspec import to_builtins

from jupyter_pdflow import models
from jupyter_pdflow.client import Client, connect
from jupyter_pdflow.exceptions import (
    ApiError,
    FieldError,
    NotebookError,
    PDFlowError,
    ServerNotFoundError,
)
from tests.servers import JupyterServer, write_notebook

HUB = {"X-JupyterHub-Version": "6.1.1"}
WITHOUT_EXTENSION = (
    "--ServerApp.jpserver_extensions={'jupyter_pdflow': False, 'jupyterlab': False, "
    "'jupyter_lsp': False, 'notebook': False, 'notebook_shim': False}"
)


@pytest.fixture
def home(server: JupyterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the servers of the tests only."""
    for name in list(os.environ):
        if name.startswith("JUPYTER"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", server.env["JUPYTER_RUNTIME_DIR"])


def second_server(server: JupyterServer, folder: Path, extensions: str = "") -> JupyterServer:
    """Return another server of the same user."""
    env = {"JUPYTER_RUNTIME_DIR": server.env["JUPYTER_RUNTIME_DIR"]}
    return JupyterServer(folder, [extensions] if extensions else [], env=env, lab=bool(extensions))


@pytest.mark.usefixtures("home")
def test_running_server_is_found(server: JupyterServer) -> None:
    client = connect()
    assert client == Client(f"{server.url}/", server.token, server.root)
    assert client.get("runs") == []
    assert server.token not in repr(client)


@pytest.mark.usefixtures("home")
def test_server_that_serves_the_path_is_preferred(server: JupyterServer, tmp_path: Path) -> None:
    with second_server(server, tmp_path) as other:
        assert connect(path=other.root / "x.ipynb").url == f"{other.url}/"
        assert connect(path=server.root / "x.ipynb").url == f"{server.url}/"


@pytest.mark.usefixtures("home")
def test_kernel_finds_the_server_that_started_it(
    server: JupyterServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with second_server(server, tmp_path) as other:
        assert other.process is not None
        monkeypatch.setenv("JPY_PARENT_PID", str(other.process.pid))
        assert connect(path=server.root).url == f"{other.url}/"


@pytest.mark.usefixtures("home")
def test_server_without_the_extension_is_skipped(
    server: JupyterServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with second_server(server, tmp_path, WITHOUT_EXTENSION) as other:
        assert connect(path=other.root).url == f"{server.url}/"
        monkeypatch.setenv("JUPYTER_PDFLOW_URL", other.url)
        with pytest.raises(ServerNotFoundError, match="runs without jupyter_pdflow"):
            connect().get("runs")


@pytest.mark.usefixtures("home")
def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(ServerNotFoundError, match="start one with `jupyter lab`"):
        connect()


@pytest.mark.usefixtures("home")
def test_local_server_is_not_reached_through_a_proxy(
    server: JupyterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert connect().get("workflows") == []


@pytest.mark.usefixtures("home")
def test_hub_token_is_the_default(server: JupyterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PDFLOW_URL", "http://127.0.0.1:9/user/me")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub")
    assert connect() == Client("http://127.0.0.1:9/user/me/", "hub", None)


def test_server_without_a_token(tmp_path: Path) -> None:
    server = JupyterServer(tmp_path)
    server.args.remove(f"--IdentityProvider.token={server.token}")
    server.args.append("--IdentityProvider.token=")
    write_notebook(server.root / "a.ipynb", ["%%step one\ndef handler(pd): pass"])
    with server:
        workflow = Client(server.url).post("workflows", {"path": "a.ipynb"})
    assert workflow["steps"] == ["one"]


def test_wrong_token(server: JupyterServer) -> None:
    with pytest.raises(ApiError, match="refused the token") as caught:
        Client(server.url, "wrong").get("runs")
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(302, headers={"Location": "/b/hub/user/ada/x"}), "start it at http://h/b"),
        (
            httpx.Response(302, headers={"Location": "https://hub.example/hub/user/ada/x"}),
            "start it at https://hub.example/hub/home",
        ),
        (httpx.Response(302, headers={"Location": "/hub/api/oauth2/authorize"}), "the token"),
        (httpx.Response(302, headers={"Location": "/login?next=x"}), "refused the token"),
        (httpx.Response(403, json={"message": "Forbidden"}, headers=HUB), "refused the token"),
        (httpx.Response(403, text="<html>", headers=HUB), "start it at http://h/b/hub/home"),
        (httpx.Response(403, text="<html>"), "refused the token"),
        (httpx.Response(424, json={"message": "Not running"}, headers=HUB), "is not running"),
        (httpx.Response(404, text="<html>", headers=HUB), "runs without jupyter_pdflow"),
    ],
)
def test_refusals_of_hub_and_server_have_different_messages(
    response: httpx.Response, message: str
) -> None:
    with pytest.raises(PDFlowError, match=message):
        Client("http://h/b/user/ada/", "t")._read(response)


# --- records ----------------------------------------------------------------------------

STEP = {"name": "ask", "status": "running", "runs": 1, "attempts": 1, "exports": {"n": [1]}}
RUN: dict[str, Any] = {
    "id": "r",
    "title": "12",
    "workflow_id": "w",
    "workflow_name": "w",
    "version": "v1",
    "version_number": 1,
    "status": "running",
    "attempt": 1,
    "replay_of": None,
    "event": {"amount": 12},
    "started_by": {"name": None, "via": "api"},
    "steps": [{**STEP, "error": None, "started_at": None, "ended_at": None}],
    "pause": None,
    "decisions": [],
    "reason": None,
    "error": None,
    "ended_at": None,
    "usage": {"credits": 1, "compute_ms": 2, "paused_ms": 3},
    **dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00.000Z"),
}


@pytest.fixture
def answering() -> Iterator[Callable[[object], Client]]:
    """Return a function that returns a client of a server with only one answer."""
    answer = [b""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer[0])

        def log_message(self, *_: object) -> None:
            pass

    def client(body: object) -> Client:
        answer[0] = json.dumps(body).encode()
        return Client(f"http://127.0.0.1:{server.server_port}/")

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield client
        server.shutdown()
        thread.join()


Answering = Callable[[object], Client]


def test_a_run_is_a_record(answering: Answering) -> None:
    run = answering(RUN).run("r")
    assert (run.title, run.steps[0].exports, run.usage.paused_ms) == ("12", {"n": [1]}, 3)
    assert run.event == {"amount": 12}
    assert to_builtins(run) == {**RUN, "steps": (RUN["steps"][0],)}


def test_what_a_newer_server_adds_is_ignored(answering: Answering) -> None:
    newer = {**RUN, "color": "red", "steps": [{**RUN["steps"][0], "more": 1}]}
    assert answering(newer).run("r") == answering(RUN).run("r")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], "array"),
        ({}, "missing required field"),
        ("text", "str"),
        ({**RUN, "status": "unheard-of"}, r"\$\.status"),
        ({**RUN, "usage": {**RUN["usage"], "credits": -1}}, r"\$\.usage\.credits"),
        ({name: value for name, value in RUN.items() if name != "steps"}, "steps"),
        ({**RUN, "steps": [{}]}, r"\$\.steps\[0\]"),
    ],
)
def test_an_answer_of_another_shape_is_an_error(
    answering: Answering, body: object, where: str
) -> None:
    with pytest.raises(ApiError, match=where) as caught:
        answering(body).run("r")
    assert caught.value.reason == "unreadable_answer"
    assert "install the same version of jupyter_pdflow" in str(caught.value)


def test_a_list_of_another_shape_is_an_error(answering: Answering) -> None:
    for body in ({}, [1], [RUN, {}]):
        with pytest.raises(ApiError, match="can't be read here"):
            answering(body).runs()


def test_each_method_returns_its_record(server: JupyterServer) -> None:
    client = Client(server.url, server.token, server.root)
    source = "%%step ask\ndef handler(pd):\n    (pd.files / 'a').touch()\n    pd.flow.suspend()"
    write_notebook(server.root / "records.ipynb", [source])
    workflow = client.deploy("records.ipynb")
    assert (workflow.steps, workflow.warnings) == (["ask"], [])
    assert client.workflow(workflow.id) == workflow
    assert workflow in client.workflows()
    first, second = (client.start(workflow.id, {"n": n}, by="cli") for n in (1, 2))
    assert first.started_by == models.Starter(name=None, via="cli")
    for run in (first, second):
        server.wait_run(run.id, "paused")
    assert client.run(first.id).event == {"n": 1}
    listed = client.runs(status="paused", workflow=workflow.id, limit=1)
    assert [run.id for run in listed] == [second.id]
    assert [run.id for run in client.runs(before=second.id, workflow=workflow.id)] == [first.id]
    found = client.runs(workflow=workflow.id, pause="suspend", search="1 rec")
    assert [run.id for run in found] == [first.id]
    assert client.runs(workflow=workflow.id, pause="delay") == []
    assert [file.path for file in client.run_files(first.id)] == ["a"]
    assert client.run_notebook(first.id)["nbformat"] == 4
    assert {item.run_id for item in client.inbox()} >= {first.id, second.id}
    resumed = client.resume(first.id, {"ok": 1}, by="button", note="fine")
    assert [(by.via, by.note) for by in resumed.decisions[0].by] == [("jupyter", "fine")]
    canceled = client.cancel(second.id, "enough")
    assert (canceled.status, canceled.reason) == ("canceled", "enough")
    with pytest.raises(ApiError, match="has already been canceled"):
        client.cancel(second.id)


def test_a_rejection_and_an_invalid_answer(server: JupyterServer) -> None:
    client = Client(server.url, server.token, server.root)
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    source = f"%%step ask\ndef handler(pd):\n    pd.flow.suspend(form={form!r})"
    workflow = server.deploy("asking", [source])
    run = client.start(workflow["id"], None)
    server.wait_run(run.id, "paused")
    with pytest.raises(ApiError) as caught:
        client.resume(run.id, {"n": "x"})
    assert (caught.value.status, caught.value.reason) == (422, "invalid_answer")
    assert caught.value.errors == [FieldError("n", "Must be a whole number.")]
    rejected = client.reject(run.id, "not now", by="cli")
    assert rejected.status == "canceled"
    decision = rejected.decisions[0]
    assert (decision.outcome, decision.by[0].note, decision.by[0].via) == (
        "rejected",
        "not now",
        "cli",
    )


# --- errors -----------------------------------------------------------------------------


def test_error_response_raises(server: JupyterServer) -> None:
    with pytest.raises(ApiError) as caught:
        Client(server.url, server.token).get("runs/none")
    assert (caught.value.status, caught.value.reason) == (404, "not_found")


def test_runs_of_a_time_are_listed_and_counted(server: JupyterServer) -> None:
    client = Client(server.url, server.token)
    send = '%%step send\ndef handler(pd):\n    pd.send.email("Hi", to="a@b.c")'
    run = server.run(server.deploy("counted", [send]))
    server.wait_run(run["id"], "succeeded")
    hour = timedelta(hours=1)
    for since in (datetime.now(UTC) - hour, datetime.now() - hour):  # noqa: DTZ005  local is meant
        assert [each.id for each in client.runs(workflow="counted", since=since)] == [run["id"]]
        assert client.runs(workflow="counted", until=since) == []
        assert client.counts(workflow="counted", until=since).workflows == []
        counts = client.counts(workflow="counted", since=since)
        assert (counts.statuses.succeeded, counts.waiting) == (1, 0)
        (workflow,) = counts.workflows
        created = datetime.fromisoformat(run["created_at"]).astimezone()
        assert [day.day for day in workflow.days] == [created.date().isoformat()]
    assert [email.subject for email in client.emails(run["id"])] == ["Hi"]
    assert client.emails("unknown") == []


def test_saved_notebook_is_read(server: JupyterServer) -> None:
    write_notebook(server.root / "sub" / "ü #1.ipynb", ["1 + 1"])
    client = Client(server.url, server.token, server.root)
    path = client.relative(server.root / "sub" / "ü #1.ipynb")
    assert path == "sub/ü #1.ipynb"
    assert client.notebook(path)["cells"][0]["source"] == "1 + 1"


def test_paths_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "target.ipynb").touch()
    (tmp_path / "root" / "link.ipynb").symlink_to(tmp_path / "target.ipynb")
    (tmp_path / "alias").symlink_to(tmp_path / "root")
    client = Client("http://localhost", root_dir=tmp_path / "root")
    assert client.relative(tmp_path / "root" / "link.ipynb") == "link.ipynb"
    assert client.relative(tmp_path / "alias" / "a.ipynb") == "a.ipynb"
    assert client.relative(tmp_path / "root" / "sub" / ".." / "a.ipynb") == "a.ipynb"
    with pytest.raises(NotebookError, match="is outside"):
        client.relative(tmp_path / "root" / ".." / "target.ipynb")
    with pytest.raises(NotebookError, match="not known"):
        Client("http://localhost").relative(tmp_path)
