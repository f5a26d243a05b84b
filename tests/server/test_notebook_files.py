"""Malformed notebooks and paths that leave the root folder, deployed on a real server."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, wait_until, write_notebook

HANDLER = "%%step a\ndef handler(pd): pass\n"


def code(source: Any = HANDLER, **more: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "same", "metadata": {}, "source": source}
    return {**cell, "execution_count": None, "outputs": [], **more}


def notebook(*cells: Any, **more: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}


def nested(levels: int) -> str:
    text = json.dumps(notebook(code()))
    return text.replace('"metadata": {}', f'"metadata": {{"x": {"[" * levels}{"]" * levels}}}', 1)


def state(server: JupyterServer) -> Any:
    """Return all that a deploy could change, in the API and on the disk."""
    files = {path: path.stat().st_mtime_ns for path in server.data_dir.rglob("*.json*")}
    files.pop(server.data_dir / "address.json", None)
    return server.api("GET", "/workflows").json(), server.api("GET", "/runs").json(), files


def refused(server: JupyterServer, path: str, statuses: tuple[int, ...] = (400, 404, 422)) -> str:
    """Check that a path is refused and that nothing has changed; return the message."""
    before = state(server)
    answer = server.api("POST", "/workflows", {"path": path})
    assert answer.status_code in statuses, answer.text
    message: str = answer.json()["message"]
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 500
    assert str(server.folder) in path or str(server.folder) not in message
    assert state(server) == before
    return message


MALFORMED: dict[str, str | bytes] = {
    "empty": "",
    "no JSON": "{",
    "binary": b"\xff\xfe\x00\x01",
    "null": "null",
    "a list": "[]",
    "a number": "3",
    "not a number": "NaN",
    "a huge number": '{"nbformat": 1e999}',
    "no cells": json.dumps({"nbformat": 4}),
    "cells are a dict": json.dumps({**notebook(), "cells": {}}),
    "cells are numbers": json.dumps(notebook(1, 2)),
    "cells are null": json.dumps(notebook(None)),
    "cells have no type": json.dumps(notebook({"source": HANDLER})),
    "old and wrong": json.dumps({"nbformat": 3, "worksheets": 3}),
    "old and without cell types": json.dumps({"nbformat": 3, "worksheets": [{"cells": [{}]}]}),
    "too old": json.dumps({"nbformat": 1}),
    "too new": json.dumps({**notebook(code()), "nbformat": 99}),
    "a version as text": json.dumps({**notebook(code()), "nbformat": "4"}),
    "a minor version as a list": json.dumps({**notebook(code()), "nbformat_minor": []}),
    "metadata is a list": json.dumps(notebook(code(), metadata=[])),
    "a cell's metadata is null": json.dumps(notebook(code(metadata=None))),
    "outputs are a number": json.dumps(notebook(code(outputs=3))),
    "sources are numbers": json.dumps(notebook(code(3))),
    "sources are lists of lists": json.dumps(notebook(code([["x"]]))),
    "half a surrogate pair": json.dumps(notebook(code(HANDLER + "'\ud800'"))),
    "nested too deeply to parse": "[" * 100_000,
    "nested too deeply to walk": nested(900),
    "the same step twice": json.dumps(notebook(code(), code())),
    "no step": json.dumps(notebook(code("x = 1"))),
    "a step of magics": json.dumps(notebook(code(HANDLER + "%time\n" * 10_000))),
    "a long step": json.dumps(notebook(code(HANDLER + f"'{'x' * 600_000}'"))),
    "a kernel outside": json.dumps(
        notebook(code(), metadata={"kernelspec": {"name": "../../../tmp/evil"}})
    ),
    "a kernel that is a list": json.dumps(notebook(code(), metadata={"kernelspec": {"name": [1]}})),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_with_a_message(server: JupyterServer, name: str) -> None:
    content = MALFORMED[name]
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (server.root / "malformed.ipynb").write_bytes(raw)
    refused(server, "malformed.ipynb", (422,))
    assert "500 POST" not in server.log()
    assert "Traceback" not in server.log()


def test_unusual_valid_notebooks_are_deployed(server: JupyterServer) -> None:
    stream = {"output_type": "stream", "name": "stdout", "text": "x" * 20_000_000}
    other = {"cell_type": "markdown", "id": "same", "metadata": {}, "source": "words"}
    unusual = notebook(code(outputs=[stream]), *[other] * 100, more={"x": 1})
    (server.root / "unusual.ipynb").write_text(json.dumps(unusual))
    (server.root / "deep.ipynb").write_text(nested(200))
    for name in ("unusual", "deep"):
        answer = server.api("POST", "/workflows", {"path": f"{name}.ipynb"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["steps"] == ["a"]


@pytest.fixture
def outside(server: JupyterServer) -> Path:
    """Write a notebook beside the server's root folder, and links to it below the root."""
    target = write_notebook(server.folder / "outside" / "secret.ipynb", [ASK, TELL])
    write_notebook(server.root / ".hidden" / "secret.ipynb", [ASK, TELL])
    for name, to in (("link.ipynb", target), ("away", target.parent), ("loop.ipynb", "loop.ipynb")):
        if not (server.root / name).is_symlink():
            (server.root / name).symlink_to(to)
    if not (server.root / "pipe.ipynb").exists():
        os.mkfifo(server.root / "pipe.ipynb")
    return target


def test_paths_that_leave_the_root_are_refused(server: JupyterServer, outside: Path) -> None:
    for path in (
        "../outside/secret.ipynb",
        "x/../../outside/secret.ipynb",
        "/../../../outside/secret.ipynb",
        "..\\outside\\secret.ipynb",
        "%2e%2e/outside/secret.ipynb",
        "..%2foutside%2fsecret.ipynb",
        ".../outside/secret.ipynb",
        "file://" + str(outside),
        "~/secret.ipynb",
        str(outside),
        "/" + str(outside),
        ".hidden/secret.ipynb",
        "link.ipynb",
        "away/secret.ipynb",
        "away/../away/secret.ipynb",
        "loop.ipynb",
        "pipe.ipynb",
        "",
        ".ipynb",
        "\x00.ipynb",
        "a\r\nb.ipynb",
        "a" * 5000 + ".ipynb",
        "a/" * 3000 + "x.ipynb",
        "secret.ipynb/../../outside",
    ):
        refused(server, path)
    assert "by a symbolic link" in refused(server, "away/secret.ipynb", (400,))
    assert "500 POST" not in server.log()


def test_links_inside_the_root_are_followed(server: JupyterServer) -> None:
    write_notebook(server.root / "real" / "flow.ipynb", [ASK, TELL])
    (server.root / "alias").symlink_to(server.root / "real")
    answer = server.api("POST", "/workflows", {"path": "alias/flow.ipynb"})
    assert answer.status_code == 201
    assert answer.json()["path"] == "alias/flow.ipynb"


def test_the_server_answers_while_it_reads_a_long_source(server: JupyterServer) -> None:
    write_notebook(server.root / "long.ipynb", ["x = 1\n" * 30_000, ASK])
    with ThreadPoolExecutor() as pool, server.client() as other:
        deploy = pool.submit(server.api, "POST", "/workflows", {"path": "long.ipynb"})
        answers = []

        def ask() -> bool:
            answer = other.get("/pdflow/api/workflows", headers=server.headers)
            if not deploy.done():
                answers.append(answer.status_code)
            return deploy.done()

        wait_until(ask, "the long notebook is deployed", 60)
        assert deploy.result().status_code == 201
    assert len(answers) > 3
    assert set(answers) == {200}
