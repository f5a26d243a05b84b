"""Users who may read but not execute: all links are hidden from them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_pdflow.server.links.tokens import LinkHider, hide_links
from tests.server.api.test_openapi import check
from tests.servers import JupyterServer

READER = {"X-Reader": "1"}
GUARD = """
from jupyter_server.auth import Authorizer

class Roles(Authorizer):
    async def is_authorized(self, handler, user, action, resource):
        if resource == "contents" and "X-No-Contents" in handler.request.headers:
            return False
        return action == "read" or "X-Reader" not in handler.request.headers
"""
ASK = """%%step ask
def handler(pd):
    import json, urllib.parse
    from IPython.display import HTML, display
    urls = dict(pd.flow.suspend())
    yes, no = urls["resume_url"], urls["cancel_url"]
    pd.export("urls", urls)
    pd.export("text", f"Yes: {yes}, no: {no}. (Or {yes})\\n<{no}>\\n'{yes}'")
    pd.export(f"by {yes}", [[{"deep": yes}]])
    pd.export("share", "https://chat.example/?text=" + urllib.parse.quote(f"{yes} {no}", safe=""))
    pd.export("twice", "https://a.example/?u=" + urllib.parse.quote(urllib.parse.quote(yes, "")))
    pd.export("escaped", json.dumps({"u": yes}).replace("/", "\\\\/"))
    pd.export("bare", yes.rpartition("/")[2])
    print(yes, no)
    display(HTML(f'<a href="{yes}">Yes</a>'))
    (pd.files / "links.html").write_text(f'<a href="{yes}">Yes</a> <a href="{no}">No</a>')
    (pd.files / "any.bin").write_bytes(bytes(range(256)) * 20_000)
    pd.send.email("Please approve", f"Yes: {yes}\\nNo: {no}.", html=f'<a href="{no}">No</a>')
    return yes
"""
BREAK = """%%step bad
def handler(pd):
    raise ValueError(pd.flow.suspend()["resume_url"])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("readers")
    (folder / "roles.py").write_text(GUARD)
    env = {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}
    argument = "--ServerApp.authorizer_class=roles.Roles"
    with JupyterServer(folder / "server", [argument], env=env) as running:
        yield running


@pytest.fixture(scope="module")
def run(server: JupyterServer) -> Any:
    server.wait_run(server.run(server.deploy("bad", [BREAK]))["id"], "failed")
    return server.wait_run(server.run(server.deploy("links", [ASK]))["id"], "paused")


def paths(server: JupyterServer, run: Any) -> list[str]:
    """Return the path of every route that shows data."""
    emails = server.api("GET", "/mail").json()
    ids = [found["id"] for found in server.api("GET", "/runs").json()]
    return [
        "/workflows",
        f"/workflows/{run['workflow_id']}",
        f"/workflows/{run['workflow_id']}/versions",
        f"/workflows/{run['workflow_id']}/versions/{run['version']}",
        "/deployment?path=links.ipynb",
        "/runs",
        "/runs?status=paused&limit=1",
        *(
            f"/runs/{run_id}{part}"
            for run_id in ids
            for part in ("", "/notebook", "/outputs", "/files")
        ),
        "/mail",
        *(f"/mail/{email['id']}" for email in emails),
        "/openapi.yaml",
        "/runs/none",
        f"/runs/{run['pause']['resume_url'].rpartition('/')[2]}",
    ]


def test_no_answer_has_a_token(server: JupyterServer, run: Any) -> None:
    signature = r"\.[\w-]{43}(?![\w-])"
    with_token = 0
    for path in paths(server, run):
        whole = server.api("GET", path)
        with_token += bool(re.search(rf"pdflow\\*/resume\\*/[\w-]*{signature}", whole.text))
        answer = server.api("GET", path, headers=READER)
        assert answer.status_code == whole.status_code
        assert not re.search(signature, answer.text), path
        if path != "/openapi.yaml":
            json.loads(answer.text)
    assert with_token >= 6  # Without hiding, tokens would be found.


def test_tokens_are_replaced_wherever_they_are(server: JupyterServer, run: Any) -> None:
    seen = server.api("GET", f"/runs/{run['id']}", headers=READER).json()
    assert (seen["pause"]["resume_url"], seen["pause"]["cancel_url"]) == (None, None)
    assert {**seen["pause"], "resume_url": "", "cancel_url": ""} == {
        **run["pause"],
        "resume_url": "",
        "cancel_url": "",
    }
    yes, no = (f"{server.url}/pdflow/{action}/[hidden]" for action in ("resume", "cancel"))
    exports = seen["steps"][0]["exports"]
    assert exports["urls"] == {"resume_url": yes, "cancel_url": no}
    assert exports["text"] == f"Yes: {yes}, no: {no}. (Or {yes})\n<{no}>\n'{yes}'"
    assert exports[f"by {yes}"] == [[{"deep": yes}]]
    assert exports["share"].count("[hidden]") == 2
    assert exports["twice"].count("[hidden]") == 1
    assert json.loads(exports["escaped"]) == {"u": yes}
    assert exports["bare"] == "[hidden]"
    assert exports["$return_value"] == yes
    email = server.api("GET", "/mail", headers=READER).json()[0]
    assert (email["text"], email["html"]) == (f"Yes: {yes}\nNo: {no}.", f'<a href="{no}">No</a>')
    text = server.api("GET", f"/runs/{run['id']}/notebook", headers=READER).text
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    (outputs,) = [cell.outputs for cell in notebook.cells if cell.get("outputs")]
    assert outputs[0].text == f"{yes} {no}\n"
    assert outputs[1].data["text/html"] == f'<a href="{yes}">Yes</a>'


def test_tokens_in_files_are_hidden(server: JupyterServer, run: Any) -> None:
    files = f"/runs/{run['id']}/files"
    yes, no = (f"{server.url}/pdflow/{action}/[hidden]" for action in ("resume", "cancel"))
    seen = server.api("GET", f"{files}/links.html", headers=READER)
    assert seen.text == f'<a href="{yes}">Yes</a> <a href="{no}">No</a>'
    whole = server.api("GET", f"{files}/links.html").text
    assert run["pause"]["resume_url"] in whole
    binary = server.api("GET", f"{files}/any.bin", headers=READER)
    assert binary.content == bytes(range(256)) * 20_000


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_token_that_is_split_over_chunks_is_hidden(size: int) -> None:
    text = b"\xff text, http://h/pdflow/resume/abc.def-_ more \x00 %2Fpdflow%2Fcancel%2Fabc%2Edef"
    hider = LinkHider()
    parts = [hider.feed(text[start : start + size]) for start in range(0, len(text), size)]
    assert b"".join([*parts, hider.end()]) == hide_links(text)


def test_a_stream_holds_back_a_limited_number_of_bytes() -> None:
    hider = LinkHider()
    sent = b"".join(hider.feed(b"a" * 2**20) for _ in range(5))
    assert len(sent) >= 3 * 2**20
    assert sent + hider.end() == b"a" * 5 * 2**20


def test_who_may_not_read_files_learns_nothing_about_notebooks(
    server: JupyterServer, run: Any
) -> None:
    answers = [
        server.api("GET", f"/deployment?path={path}", headers={**READER, "X-No-Contents": "1"})
        for path in ("links.ipynb", "none.ipynb")
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].text == answers[1].text


def test_answers_to_readers_are_as_described(server: JupyterServer, run: Any) -> None:
    api = "/pdflow/api"
    check(server, "GET", f"{api}/runs", f"{api}/runs", headers=READER)
    check(server, "GET", f"{api}/runs/{run['id']}", f"{api}/runs/{{run_id}}", headers=READER)


def test_a_reader_changes_nothing(server: JupyterServer, run: Any) -> None:
    before = server.get_run(run["id"]), server.api("GET", "/workflows").json()
    for path, body in (
        (f"/runs/{run['id']}/resume", {"data": 1}),
        (f"/runs/{run['id']}/cancel", {}),
        (f"/workflows/{run['workflow_id']}/runs", {"event": 1}),
        ("/workflows", {"path": "bad.ipynb"}),
    ):
        answer = server.api("POST", path, body, headers=READER)
        assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden")
        assert "execute" in answer.json()["message"]
    assert (server.get_run(run["id"]), server.api("GET", "/workflows").json()) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/pdflow/resume/abc.def-_", "/pdflow/resume/[hidden]"),
        ("/pdflow/hook/abc/more?a=1", "/pdflow/hook/[hidden]/more?a=1"),
        ('"/pdflow/cancel/abc...\\n', '"/pdflow/cancel/[hidden]...\\n'),
        ("PDFLOW//RESUME//abc, b", "PDFLOW//RESUME//[hidden], b"),
        ("%2Fpdflow%2Fresume%2Fabc%2Edef%20b", "%2Fpdflow%2Fresume%2F[hidden]%20b"),
        ("%252Fpdflow%252fcancel%252Fabc%252Edef", "%252Fpdflow%252fcancel%252F[hidden]"),
        (r"\\/pdflow\\/resume\\/abc\"", r"\\/pdflow\\/resume\\/[hidden]\""),
        ("/pdflow/api/runs/1/resume", "/pdflow/api/runs/1/resume"),
        ("/pdflow/resume/", "/pdflow/resume/"),
        ("/pdflow/resume/{token}", "/pdflow/resume/{token}"),
    ],
)
def test_tokens_in_a_text_are_hidden(text: str, expected: str) -> None:
    assert hide_links(text) == expected
    assert hide_links(text.encode() + b"\xff") == expected.encode() + b"\xff"
    assert hide_links({"a": text}) == json.dumps({"a": expected}, separators=(",", ":")).encode()


def test_hiding_takes_linear_time() -> None:
    for text in ("/pdflow/resume/" * 100_000, "." * 1_000_000, "pdflow/resume/" + "." * 1_000_000):
        assert hide_links(text)
