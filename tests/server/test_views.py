"""The files of the widgets' views, at a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jupyter_pdflow.widgets.bundle import loader, views, views_version
from tests.servers import JupyterServer

BASE_URL = "/user/me/"
ROUTE = "/pdflow/static/views"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Start a server that allows unauthenticated access to no handler but those that say so."""
    argument = "--ServerApp.allow_unauthenticated_access=False"
    folder = tmp_path_factory.mktemp("views")
    with JupyterServer(folder, [argument], base_url=BASE_URL) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "kind", "content_type"),
    [("js", "module", "text/javascript"), ("css", "style", "text/css")],
)
def test_files(server: JupyterServer, name: str, kind: str, content_type: str) -> None:
    answer = server.http.get(f"{ROUTE}.{name}", params={"v": views_version()})
    assert answer.status_code == 200
    assert answer.text == views()[kind]
    assert answer.headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    head = server.http.head(f"{ROUTE}.{name}")
    assert (head.status_code, head.content) == (200, b"")


def test_other_versions_are_asked_for_again(server: JupyterServer) -> None:
    for params in ({}, {"v": ""}, {"v": "0123456789abcdef"}):
        answer = server.http.get(f"{ROUTE}.js", params=params)
        assert answer.text == views()["module"]
        assert answer.headers["Cache-Control"] == "no-cache"
        known = {"If-None-Match": answer.headers["ETag"]}
        again = server.http.get(f"{ROUTE}.js", params=params, headers=known)
        assert (again.status_code, again.content) == (304, b"")


def test_there_are_no_other_files(server: JupyterServer) -> None:
    for path in ("widget.js", "views.jsx", "views.js/x", "views.", "../bundle.py", ""):
        answer = server.http.get(f"/pdflow/static/{path}", headers=server.headers)
        assert answer.status_code == 404, path
    assert server.http.post(f"{ROUTE}.js", headers=server.headers).status_code == 405


def test_the_loader_asks_for_the_version_of_the_views() -> None:
    assert views_version() in loader()
