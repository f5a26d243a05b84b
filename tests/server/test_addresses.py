"""Where links point to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_pdflow.server.addresses import HUB_VARIABLE, PublicAddress
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer

Paused = Callable[..., Any]
LAB = "https://jupyter.example/user/me/lab"


def link(server: JupyterServer, run: Any) -> str:
    return str(server.get_run(run["id"])["pause"]["resume_url"])


def browse(server: JupyterServer, **headers: str) -> None:
    """Do what JupyterLab does all the time."""
    sent = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", **headers}
    answer = server.http.get("/api/status", headers={**server.headers, **sent})
    assert answer.status_code == 200


def test_links_lead_to_where_the_browser_is(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")
    strange = {**server.headers, "Authorization": "token wrong", "Referer": "https://evil.example/"}
    server.http.get("/api/status", headers={**strange, "Sec-Fetch-Site": "same-origin"})
    assert link(server, run).startswith(f"{server.url}/pdflow/resume/")
    browse(server, Referer=LAB)
    assert link(server, run).startswith("https://jupyter.example/pdflow/resume/")
    server.restart()
    assert link(server, run).startswith("https://jupyter.example/pdflow/resume/")
    browse(server, Origin=f"http://localhost:{server.port}")
    there = link(server, run)
    assert there.startswith(f"http://localhost:{server.port}/pdflow/resume/")
    assert server.http.post(there).status_code == 200


def test_a_cross_site_request_says_nothing(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    browse(server, Origin="https://evil.example", **{"Sec-Fetch-Site": "cross-site"})
    assert "evil" not in link(server, run)


def test_what_is_configured_wins(tmp_path: Path) -> None:
    option = "--PDFlow.public_url=https://flows.example/base/"
    with JupyterServer(tmp_path, [option], base_url="/base/") as server:
        run = server.wait_run(server.run(server.deploy("a", [ASK, TELL]))["id"], "paused")
        browse(server, Referer=LAB)
        assert link(server, run).startswith("https://flows.example/base/pdflow/resume/")
        here = link(server, run).replace("https://flows.example/base", server.url)
        assert server.http.post(here).status_code == 200


def test_the_hub_knows_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HUB_VARIABLE, "https://hub.example/user/me/")
    memory = tmp_path / "address.json"
    address = PublicAddress("", "http://127.0.0.1:8888/", "/user/me/", memory)
    assert address() == "https://hub.example/user/me/"
    address = PublicAddress("https://own.example/", "http://127.0.0.1:8888/", "/user/me/", memory)
    assert address() == "https://own.example/"


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "address.json"
    memory.write_text("{")
    address = PublicAddress("", "http://127.0.0.1:8888/", "/", memory)
    assert address() == "http://127.0.0.1:8888/"


def test_a_port_of_an_earlier_server_is_forgotten(tmp_path: Path) -> None:
    memory = tmp_path / "address.json"
    memory.write_text('{"origin": "http://localhost:8888", "by_browser": true}')
    same = PublicAddress("", "http://127.0.0.1:8888/", "/", memory)
    assert same() == "http://localhost:8888/"
    other = PublicAddress("", "http://127.0.0.1:8889/", "/", memory)
    assert other() == "http://127.0.0.1:8889/"
    memory.write_text('{"origin": "https://jupyter.example", "by_browser": true}')
    proxied = PublicAddress("", "http://127.0.0.1:8889/", "/", memory)
    assert proxied() == "https://jupyter.example/"
