"""The public address that links start with."""

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
LOCAL = "http://127.0.0.1:8888/"
LAB_PAGE = "https://jupyter.example/user/me/lab"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
BAD_ORIGINS = [
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
    """Return a text without the characters that an HTTP client does not send."""
    return "".join(char for char in text if char.isprintable() and char.isascii()).strip()


BAD_HOSTS = [text.partition("//")[2] for text in BAD_ORIGINS[1:] if sendable(text) == text]
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
    """Return a link of a run. The request comes from a program, so its host is not learned."""
    return str(server.get_run(run["id"])["pause"]["resume_url"])


def browse(server: JupyterServer, host: str = "", **headers: str) -> None:
    """Send a request as the panel of runs in JupyterLab does."""
    sent = {**SAME_ORIGIN, "Host": host or f"127.0.0.1:{server.port}", **headers}
    assert server.api("GET", "/workflows", headers=sent).status_code == 200


@pytest.fixture
def run(server: JupyterServer, paused: Paused) -> Any:
    """Start a run whose links start with the server's own address."""
    browse(server)
    found = paused()
    assert link(server, found).startswith(f"{server.url}/pdflow/resume/")
    return found


def test_links_start_with_the_address_of_the_browser(server: JupyterServer, run: Any) -> None:
    browse(server, "jupyter.example")
    assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")
    server.restart()
    assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")
    browse(server, f"localhost:{server.port}")
    url = link(server, run)
    assert url.startswith(f"http://localhost:{server.port}/pdflow/resume/")
    assert server.http.post(url).status_code == 200


def test_the_scheme_behind_a_proxy_is_that_of_the_browsers_page(
    server: JupyterServer, run: Any
) -> None:
    browse(server, "jupyter.example", Referer=LAB_PAGE)
    assert link(server, run).startswith("https://jupyter.example/pdflow/resume/")
    browse(server, "jupyter.example", Referer=LAB_PAGE, **{"Sec-Fetch-Site": "cross-site"})
    assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")
    for page in ("https://jupyter.example:8443/lab", "https://jupyter.example.evil/", "https://["):
        browse(server, "jupyter.example", Referer=page)
        assert link(server, run).startswith("http://jupyter.example/pdflow/resume/")


def test_the_scheme_of_a_trusted_proxy_is_used(tmp_path: Path) -> None:
    arguments = ["--ServerApp.allow_remote_access=True", "--ServerApp.trust_xheaders=True"]
    with JupyterServer(tmp_path, arguments, base_url="/user/me/") as server:
        run = server.wait_run(server.run(server.deploy("a", [ASK, TELL]))["id"], "paused")
        browse(server, "jupyter.example:8443", **{"X-Forwarded-Proto": "https"})
        start = "https://jupyter.example:8443/user/me/pdflow/resume/"
        assert link(server, run).startswith(start)


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_an_origin_header_does_not_change_links(
    server: JupyterServer, run: Any, origin: str
) -> None:
    sent = {
        **server.headers,
        **SAME_ORIGIN,
        "Origin": sendable(origin),
        "Referer": sendable(origin),
    }
    server.http.get("/pdflow/api/workflows", headers=sent)
    server.http.post("/pdflow/api/workflows", headers=sent)
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")


@pytest.mark.parametrize("host", sorted({*BAD_HOSTS} - {"evil.example", ""}))
def test_an_invalid_host_is_not_learned(server: JupyterServer, run: Any, host: str) -> None:
    server.http.get(
        "/pdflow/api/workflows", headers={**server.headers, **SAME_ORIGIN, "Host": host}
    )
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")


def test_only_authorized_and_answered_requests_are_learned_from(
    server: JupyterServer, run: Any
) -> None:
    evil = {**SAME_ORIGIN, "Host": "evil.example", "Sec-Fetch-Site": "none"}
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


def test_a_request_that_is_not_authorized_is_not_learned_from(tmp_path: Path) -> None:
    (tmp_path / "guards.py").write_text(GUARD)
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    arguments = [
        "--ServerApp.authorizer_class=guards.Readers",
        "--ServerApp.allow_remote_access=True",
    ]
    with JupyterServer(tmp_path / "server", arguments, env=env) as server:
        origin_file = server.data_dir / "address.json"
        evil = {**SAME_ORIGIN, "Host": "evil.example"}
        assert server.api("GET", "/runs?keep_out", headers=evil).status_code == 403
        assert server.api("POST", "/workflows", {}, headers=evil).status_code == 403
        assert not origin_file.exists()
        browse(server, "reader.example")
        wait_until(origin_file.exists, "the origin is stored")
        assert json.loads(origin_file.read_bytes())["origin"] == "http://reader.example"


def test_the_configured_address_comes_first(tmp_path: Path) -> None:
    option = "--PDFlow.public_url=https://flows.example/base/"
    with JupyterServer(tmp_path, [option], base_url="/base/") as server:
        run = server.wait_run(server.run(server.deploy("a", [ASK, TELL]))["id"], "paused")
        browse(server, f"localhost:{server.port}")
        assert link(server, run).startswith("https://flows.example/base/pdflow/resume/")
        url = link(server, run).replace("https://flows.example/base", server.url)
        for host in ("flows.example", "flows.example:443", "FLOWS.example."):
            page = server.http.get(url, headers={"Host": host, "Accept": "text/html"})
            assert page.status_code == 200
        # For links only: the API accepts the hosts that Jupyter allows.
        assert server.api("GET", "/runs", headers={"Host": "flows.example"}).status_code == 403
        for host in ("evil.example", "flows.example.evil", "xflows.example"):
            assert server.http.post(url, headers={"Host": host}).status_code == 403
        assert server.http.post(url, headers={"Host": "flows.example"}).status_code == 200


def test_the_address_of_the_hub_comes_second(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(HUB_URL_VARIABLE, "https://hub.example/user/me/")
    origin_file = tmp_path / "address.json"
    address = PublicAddress("", LOCAL, "/user/me/", origin_file)
    assert address() == "https://hub.example/user/me/"
    address = PublicAddress("https://own.example/", LOCAL, "/user/me/", origin_file)
    assert address() == "https://own.example/"
    monkeypatch.setenv(HUB_URL_VARIABLE, "hub.example")
    assert PublicAddress("", LOCAL, "/user/me/", origin_file)() == LOCAL


# --- the stored origin -----------------------------------------------------------------


def address_after_restart(origin_file: Path, content: str | bytes, local: str = LOCAL) -> str:
    origin_file.write_bytes(content.encode() if isinstance(content, str) else content)
    return PublicAddress("", local, "/", origin_file)()


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
        *(json.dumps({"origin": origin, "by_browser": True}) for origin in BAD_ORIGINS[1:]),
    ],
)
def test_a_damaged_file_is_ignored(tmp_path: Path, content: str | bytes) -> None:
    assert address_after_restart(tmp_path / "address.json", content) == LOCAL


def test_a_folder_a_pipe_and_a_missing_file_are_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for origin_file in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "none"):
        assert PublicAddress("", LOCAL, "/", origin_file)() == LOCAL


def test_a_local_origin_with_another_port_is_ignored(tmp_path: Path) -> None:
    origin_file = tmp_path / "address.json"
    stored = '{"origin": "http://localhost:8888", "by_browser": true}'
    assert address_after_restart(origin_file, stored) == "http://localhost:8888/"
    other = "http://127.0.0.1:8889/"
    assert address_after_restart(origin_file, stored, other) == other
    assert address_after_restart(origin_file, stored.replace("localhost", "[::1]"), other) == other
    proxied = '{"origin": "https://Jupyter.example", "by_browser": true}'
    assert address_after_restart(origin_file, proxied, other) == "https://jupyter.example/"


# --- valid addresses -----------------------------------------------------------------


@pytest.mark.parametrize("origin", BAD_ORIGINS[1:])
def test_invalid_origins(origin: str) -> None:
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
def test_valid_origins(origin: str) -> None:
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
def test_any_text_is_checked_without_an_error(text: str) -> None:
    assert valid_origin(text) is None
    for part in (f"http://{text}", f"http://h{text}/", f"https://[{text}]:{text}"):
        is_address(part)
        host_of(part)
