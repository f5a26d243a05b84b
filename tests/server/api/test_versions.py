"""The versions of workflows, and what is deployed of a notebook, on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.client import Client
from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer, write_notebook

HELPED = "import {name}\n\nx = 1"


def deploy(server: JupyterServer, name: str, *cells: str) -> Any:
    return server.deploy(name, cells)


def deployment(server: JupyterServer, path: str) -> Any:
    answer = server.api("GET", "/deployment", params={"path": path})
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- versions -------------------------------------------------------------------------


def test_versions_have_numbers(server: JupyterServer) -> None:
    first, second = deploy(server, "numbers", ASK), deploy(server, "numbers", ASK, TELL)
    assert (first["number"], second["number"]) == (1, 2)
    again = deploy(server, "numbers", ASK)
    assert again == first
    third = deploy(server, "numbers", "x = 1", ASK)
    assert third["number"] == 3
    assert deploy(server, "numbers", ASK, TELL) == second

    listed = server.api("GET", f"/workflows/{first['id']}/versions").json()
    assert listed == [
        {
            **{name: each[name] for name in ("version", "number", "created_at")},
            "current": each is second,
        }
        for each in (third, second, first)
    ]
    for path in ("/workflows/unknown/versions", "/workflows/%00/versions"):
        assert server.api("GET", path).status_code == 404


def test_at_most_a_hundred_versions_are_listed(server: JupyterServer) -> None:
    for number in range(102):
        workflow = deploy(server, "many", f"x = {number}", ASK)
    listed = server.api("GET", f"/workflows/{workflow['id']}/versions").json()
    assert [each["number"] for each in listed] == list(range(102, 2, -1))
    assert [each["number"] for each in listed if each["current"]] == [102]


def test_a_version_has_its_code(server: JupyterServer) -> None:
    (server.root / "coded_helper.py").write_text("VALUE = 7\n")
    setup = HELPED.format(name="coded_helper")
    first = deploy(server, "coded", setup, ASK, TELL)
    second = deploy(server, "coded", ASK)
    path = f"/workflows/{first['id']}/versions"
    shown = server.api("GET", f"{path}/{first['version']}").json()
    assert shown == {
        **first,
        "source": {
            "kernel_name": "python3",
            "queue": "default",
            "setup": [setup],
            "steps": [
                {"name": "ask", "source": ASK.partition("\n")[2].rstrip()},
                {"name": "tell", "source": TELL.partition("\n")[2].rstrip()},
            ],
            "modules": [
                {"name": "coded_helper", "path": "coded_helper.py", "source": "VALUE = 7\n"}
            ],
        },
    }
    current = server.api("GET", f"{path}/{second['version']}").json()
    assert (current["number"], current["source"]["modules"]) == (2, [])
    for version in ("unknown", "%00", "..%2f..", "x" * 300):
        assert server.api("GET", f"{path}/{version}").status_code == 404
    assert server.api("GET", f"/workflows/unknown/versions/{first['version']}").status_code == 404


def test_runs_name_the_number_of_their_version(server: JupyterServer) -> None:
    first = deploy(server, "numbered runs", ASK)
    early = server.wait_run(server.run(first)["id"], "paused")
    second = deploy(server, "numbered runs", TELL)
    late = server.run(second)
    assert (early["version_number"], late["version_number"]) == (1, 2)
    listed = server.api("GET", f"/runs?workflow={first['id']}").json()
    assert [(run["id"], run["version_number"]) for run in listed] == [
        (late["id"], 2),
        (early["id"], 1),
    ]
    resumed = server.api("POST", f"/runs/{early['id']}/resume", {}).json()
    assert (resumed["version"], resumed["version_number"]) == (first["version"], 1)


# --- what is deployed -----------------------------------------------------------------


def test_a_notebook_that_is_not_deployed(server: JupyterServer) -> None:
    write_notebook(server.root / "fresh.ipynb", [ASK])
    fresh = deployment(server, "fresh.ipynb")
    deployed = deploy(server, "fresh", ASK)
    assert fresh == {
        "path": "fresh.ipynb",
        "workflow": None,
        "version": deployed["version"],
        "edited": False,
        "problem": None,
    }


def test_an_edited_notebook(server: JupyterServer) -> None:
    deployed = deploy(server, "edited", ASK)
    expected = {
        "path": "edited.ipynb",
        "workflow": deployed,
        "version": deployed["version"],
        "edited": False,
        "problem": None,
    }
    assert deployment(server, "/./edited.ipynb") == expected
    spaced = deploy(server, " spaced", ASK)
    assert deployment(server, " spaced.ipynb")["workflow"] == spaced

    write_notebook(server.root / "edited.ipynb", [ASK, TELL])
    edited = deployment(server, "edited.ipynb")
    assert edited["workflow"] == deployed
    assert edited["edited"] is True
    assert deploy(server, "edited", ASK, TELL)["version"] == edited["version"]
    assert deployment(server, "edited.ipynb")["edited"] is False

    (server.root / "edited.ipynb").rename(server.root / "renamed.ipynb")
    renamed = deployment(server, "renamed.ipynb")
    assert (renamed["workflow"], renamed["edited"]) == (None, False)


def test_an_edited_module(server: JupyterServer) -> None:
    module = server.root / "edited_helper.py"
    module.write_text("VALUE = 7\n")
    deployed = deploy(server, "with module", HELPED.format(name="edited_helper"), ASK)
    assert deployment(server, deployed["path"])["edited"] is False
    module.write_text("VALUE = 8\n")
    edited = deployment(server, deployed["path"])
    assert edited["edited"] is True
    assert edited["version"] not in (None, deployed["version"])
    module.write_text("VALUE = 7\n")
    assert deployment(server, deployed["path"])["version"] == deployed["version"]


@pytest.mark.parametrize(
    ("cells", "kernel_name"),
    [
        ([ASK, ASK], "python3"),
        (["x = 1"], "python3"),
        (["%%step broken\ndef handler(pd"], "python3"),
        ([f"# a comment\n{ASK}"], "python3"),
        ([TELL], "no-such-kernel"),
    ],
)
def test_a_problem_is_what_a_deploy_says(
    server: JupyterServer, cells: list[str], kernel_name: str
) -> None:
    deployed = deploy(server, "broken", ASK)
    write_notebook(server.root / "broken.ipynb", cells, kernel_name)
    shown = deployment(server, "broken.ipynb")
    refused = server.api("POST", "/workflows", {"path": "broken.ipynb"})
    assert refused.status_code == 422
    assert shown == {
        "path": "broken.ipynb",
        "workflow": deployed,
        "version": None,
        "edited": True,
        "problem": refused.json()["message"],
    }


def test_no_kernel_is_started_to_look_at_a_notebook(
    server: JupyterServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_notebook(server.root / "looked at.ipynb", [ASK])
    with JupyterServer(tmp_path_factory.mktemp("look")) as other:
        write_notebook(other.root / "flow.ipynb", [ASK])
        assert deployment(other, "flow.ipynb")["problem"] is None
        assert other.kernels() == []
        assert list(other.data_dir.glob("workflows/*.json")) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("none.ipynb", 404),
        ("folder/none.ipynb", 404),
        ("../secret.ipynb", 404),
        ("%2e%2e/secret.ipynb", 404),
        (".hidden/flow.ipynb", 404),
        (".flow.ipynb", 404),
        (f"{'x' * 10_000}.ipynb", 404),
        ("leads out.ipynb", 400),
        ("notes.txt", 400),
        ("", 400),
        (".ipynb/..", 400),
    ],
)
def test_what_is_no_notebook_here(server: JupyterServer, path: str, status: int) -> None:
    outside = write_notebook(server.folder / "secret.ipynb", [ASK])
    for hidden in (".hidden/flow.ipynb", ".flow.ipynb"):
        (server.root / hidden).parent.mkdir(exist_ok=True)
        write_notebook(server.root / hidden, [ASK])
    link = server.root / "leads out.ipynb"
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    answer = server.api("GET", "/deployment", params={"path": path})
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 1_000
    deployed = server.api("POST", "/workflows", {"path": path})
    assert deployed.status_code == status
    assert deployed.json()["message"] == answer.json()["message"]


def test_the_path_has_to_be_given(server: JupyterServer) -> None:
    assert server.api("GET", "/deployment").status_code == 400
    assert server.api("GET", "/deployment?path=%ff.ipynb").status_code == 400


# --- the client -----------------------------------------------------------------------


def test_the_client_returns_records(server: JupyterServer) -> None:
    first, second = deploy(server, "client", ASK), deploy(server, "client", TELL)
    client = Client(f"{server.url}/", server.token)
    assert client.workflow(first["id"]).number == 2
    assert [each.number for each in client.versions(first["id"])] == [2, 1]
    version = client.version(first["id"], first["version"])
    assert (version.number, [step.name for step in version.source.steps]) == (1, ["ask"])
    deployed = client.deployment("client.ipynb")
    assert (deployed.version, deployed.edited) == (second["version"], False)
    assert deployed.workflow == client.workflow(first["id"])
