"""Where links point to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.server.public_url import (
    PublicAddress,
    host_of,
    is_address,
    valid_origin,
)
from jupyter_pdflow.settings import HUB_URL_VARIABLE
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until

Paused = Callable[..., Any]
HERE = "http://127.0.0.1:8888/"
LAB = "https://jupyter.example/user/me/lab"
SAME = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
EVIL = [
    "https://evil.example",
    "http://evil6.example'\"><b>",
    "http://localhost:99999999",
    "http://localhost:0",
    "http://[::1",
    "http://[::1]]",
    "http://[fe80::1%25eth0]",
    "http://user:word@evil.example",
    "http://evil.example:80:80",
    "http://evil.example:",
    "http://evil.example\\@here",
    "http://evil example",
    "http://evil.example\t",
    "http://evil.example\r\nX: y",
    "http://evil\x00.example",
    "http://-[]",
    "http://a..b",
    "http://" + "a" * 64,
    "http://" + "a." * 127 + "aa",
    "http://999.999.999.999",
    "http://1.2.3",
    "http://\N{KELVIN SIGN}elvin.example",
    "javascript://evil.example",
    "//evil.example",
    "null",
    "",
]


def sendable(text: str) -> str:
    """Leave out what an HTTP client does not even send."""
    return "".join(email for email in text if email.isprintable() and email.isascii()).strip()


HOSTS = [text.partition("//")[2] for text in EVIL[1:] if sendable(text) == text]
GUARD = """
from jupyter_server.auth import Authorizer

class Readers(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "jupyter_pdflow" or action == "read" and "keep_out" not in handler.request.uri
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    arguments = ["--ServerApp.allow_remote_access=True"]
    with JupyterServer(tmp_path_factory.mktemp("addresses"), arguments) as running:
        yield running


def link(server: JupyterServer, run: Any) -> str:
    """Get a link as a program is shown it, which is none that tells where links point to."""
    return str(server.get_run(run["id"])["pause"]["resume_url"])


def browse(server: JupyterServer, host: str = "", **headers: str) -> None:
    """Do what the panel of runs in JupyterLab does."""
    sent = {**SAME, "Host": host or f"127.0.0.1:{server.port}", **headers}
    assert server.api("GET", "/workflows", headers=sent).status_code == 200


@pytest.fixture
def run(server: JupyterServer, paused: Paused) -> Any:
    """Start a run whose links lead to the server's own address."""
    browse(server)
    found = paused()
    assert link(server, found).startswith(f"{server.url}/pdflow/resume/")
    return found


def test_links_lead_to_where_the_browser_is(server: JupyterServer, run: Any) -> None:
    browse(server, "jupyter.example")
    assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")
    server.restart()
    assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")
    browse(server, f"localhost:{server.port}")
    there = link(server, run)
    assert there.startswith(f"http://localhost:{server.port}/pdflow/resume/")
    assert server.http.post(there).status_code == 200


def test_a_proxy_that_speaks_https_outside_is_told_by_the_browsers_page(
    server: JupyterServer, run: Any
) -> None:
    browse(server, "jupyter.example", Referer=LAB)
    assert link(server, run).startswith("https://jupyter.example/pdflow/resume/")
    browse(server, "jupyter.example", Referer=LAB, **{"Sec-Fetch-Site": "cross-site"})
    assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")
    for page in ("https://jupyter.example:8443/lab", "https://jupyter.example.evil/", "https://["):
        browse(server, "jupyter.example", Referer=page)
        assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")


def test_a_proxy_that_is_trusted_tells_the_scheme(tmp_path: Path) -> None:
    arguments = ["--ServerApp.allow_remote_access=True", "--ServerApp.trust_xheaders=True"]
    with JupyterServer(tmp_path, arguments, base_url="/user/me/") as server:
        run = server.wait_run(server.run(server.deploy("a", [ASK, TELL]))["id"], "paused")
        browse(server, "jupyter.example:8443", **{"X-Forwarded-Proto": "https"})
        there = "https://jupyter.example:8443/user/me/pdflow/resume/"
        assert link(server, run).startswith(there)


@pytest.mark.parametrize("origin", EVIL)
def test_no_origin_header_decides_where_links_point(
    server: JupyterServer, run: Any, origin: str
) -> None:
    sent = {**server.headers, **SAME, "Origin": sendable(origin), "Referer": sendable(origin)}
    server.http.get("/pdflow/api/workflows", headers=sent)
    server.http.post("/pdflow/api/workflows", headers=sent)
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")


@pytest.mark.parametrize("host", sorted({*HOSTS} - {"evil.example", ""}))
def test_a_host_that_is_none_is_not_learned(server: JupyterServer, run: Any, host: str) -> None:
    server.http.get("/pdflow/api/workflows", headers={**server.headers, **SAME, "Host": host})
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")


def test_only_what_this_extension_has_answered_counts(server: JupyterServer, run: Any) -> None:
    evil = {**SAME, "Host": "evil.example", "Sec-Fetch-Site": "none"}
    for headers in (evil, {**evil, "Authorization": "token wrong"}, {**server.headers, **evil}):
        for method, path in (
            ("GET", "/api/status"),
            ("OPTIONS", "/pdflow/api/runs"),
            ("GET", "/pdflow/api/nothing"),
            ("GET", "/pdflow/api/runs/none"),
            ("GET", "/pdflow/api/runs?limit=x"),
            ("POST", "/pdflow/api/workflows"),
            ("PUT", "/pdflow/api/runs"),
            ("POST", "/pdflow/resume/none"),
            ("GET", "/pdflow/resume/test"),
        ):
            server.http.request(method, path, headers=headers)
            assert link(server, run).startswith(f"{server.url}/pdflow/resume/"), (method, path)
    server.http.get("/pdflow/api/runs", headers=evil)
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")


def test_a_request_that_is_not_allowed_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "guards.py").write_text(GUARD)
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    arguments = [
        "--ServerApp.authorizer_class=guards.Readers",
        "--ServerApp.allow_remote_access=True",
    ]
    with JupyterServer(tmp_path / "server", arguments, env=env) as server:
        memory = server.data_dir / "address.json"
        evil = {**SAME, "Host": "evil.example"}
        assert server.api("GET", "/runs?keep_out", headers=evil).status_code == 403
        assert server.api("POST", "/workflows", {}, headers=evil).status_code == 403
        assert not memory.exists()
        browse(server, "reader.example")
        wait_until(memory.exists, "the address is remembered")
        assert json.loads(memory.read_bytes())["origin"] == "http://reader.example"


def test_what_is_configured_wins(tmp_path: Path) -> None:
    option = "--PDFlow.public_url=https://flows.example/base/"
    with JupyterServer(tmp_path, [option], base_url="/base/") as server:
        run = server.wait_run(server.run(server.deploy("a", [ASK, TELL]))["id"], "paused")
        browse(server, f"localhost:{server.port}")
        assert link(server, run).startswith("https://flows.example/base/pdflow/resume/")
        here = link(server, run).replace("https://flows.example/base", server.url)
        for host in ("flows.example", "flows.example:443", "FLOWS.example."):
            page = server.http.get(here, headers={"Host": host, "Accept": "text/html"})
            assert page.status_code == 200
        # Of links only: the API keeps to the hosts that Jupyter allows.
        assert server.api("GET", "/runs", headers={"Host": "flows.example"}).status_code == 403
        for host in ("evil.example", "flows.example.evil", "xflows.example"):
            assert server.http.post(here, headers={"Host": host}).status_code == 403
        assert server.http.post(here, headers={"Host": "flows.example"}).status_code == 200


def test_the_hub_knows_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HUB_URL_VARIABLE, "https://hub.example/user/me/")
    memory = tmp_path / "address.json"
    address = PublicAddress("", HERE, "/user/me/", memory)
    assert address() == "https://hub.example/user/me/"
    address = PublicAddress("https://own.example/", HERE, "/user/me/", memory)
    assert address() == "https://own.example/"
    monkeypatch.setenv(HUB_URL_VARIABLE, "hub.example")
    assert PublicAddress("", HERE, "/user/me/", memory)() == HERE


# --- what is remembered -----------------------------------------------------------------


def remembered(memory: Path, content: str | bytes, local: str = HERE) -> str:
    memory.write_bytes(content.encode() if isinstance(content, str) else content)
    return PublicAddress("", local, "/", memory)()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "",
        b"\xff",
        "null",
        "[]",
        "[" * 100_000,
        '{"origin": null, "by_browser": true}',
        '{"origin": "https://good.example"}',
        '{"origin": "https://good.example", "by_browser": 1}',
        *(json.dumps({"origin": origin, "by_browser": True}) for origin in EVIL[1:]),
    ],
)
def test_a_damaged_memory_is_forgotten(tmp_path: Path, content: str | bytes) -> None:
    assert remembered(tmp_path / "address.json", content) == HERE


def test_what_is_no_file_is_no_memory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for memory in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "none"):
        assert PublicAddress("", HERE, "/", memory)() == HERE


def test_a_port_of_an_earlier_server_is_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "address.json"
    here = '{"origin": "http://localhost:8888", "by_browser": true}'
    assert remembered(memory, here) == "http://localhost:8888/"
    other = "http://127.0.0.1:8889/"
    assert remembered(memory, here, other) == other
    assert remembered(memory, here.replace("localhost", "[::1]"), other) == other
    proxied = '{"origin": "https://Jupyter.example", "by_browser": true}'
    assert remembered(memory, proxied, other) == "https://jupyter.example/"


# --- what is an address -----------------------------------------------------------------


@pytest.mark.parametrize("origin", EVIL[1:])
def test_what_is_no_origin(origin: str) -> None:
    assert valid_origin(origin) is None
    assert not is_address(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://127.0.0.1:8888",
        "https://a.example:65535",
        "https://my_app:1",
        "http://[::1]:8888",
        "http://[2001:db8::7]",
        "https://xn--bcher-kva.example.",
        "HTTPS://Hub.Example",
    ],
)
def test_what_is_an_origin(origin: str) -> None:
    assert valid_origin(origin) == origin.lower()
    for path in ("", "/", "/user/me/", "/user/ada%40example.org/a~b/"):
        assert is_address(origin + path)
    for path in ("?a=1", "#a", "/a b", "/\n", '/"', "/<b>", "/'", "\\", "@evil.example"):
        assert not is_address(origin + path)


def test_the_host_of_an_address() -> None:
    assert host_of("https://Flows.example.:8443/base/") == "flows.example"
    assert host_of("http://[::1]:8888") == "[::1]"
    assert host_of("") == host_of("x.example") == ""


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert valid_origin(text) is None
    for part in (f"http://{text}", f"http://h{text}/", f"https://[{text}]:{text}"):
        is_address(part)
        host_of(part)
