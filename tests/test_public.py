"""The public names of ``jupyter_pdflow``: types, completion, and constructors without requests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jedi
import pytest

import jupyter_pdflow
from jupyter_pdflow import Run, ServerNotFoundError, Workflow, connect
from tests.servers import JupyterServer

CACHE = Path(__file__).parents[1] / ".mypy_cache" / "public"
HANDLER = """\
from jupyter_pdflow import Pd


def handler(pd: Pd) -> dict[str, bool]:
    links = pd.flow.suspend(60_000, on_timeout="cancel")
    pd.send.email(subject="Approve?", text=links["resume_url"])
    return {"asked": pd.context.test}
"""
WRONG_HANDLER = HANDLER.replace('"cancel"', '"give up"')


@pytest.fixture(scope="module")
def mypy_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Check a correct handler and a wrong one by mypy, in one run because each takes long."""
    folder = tmp_path_factory.mktemp("mypy")
    (folder / "correct.py").write_text(HANDLER)
    (folder / "wrong.py").write_text(WRONG_HANDLER)
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={CACHE}"]
    command += ["correct.py", "wrong.py"]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    return done.stdout


@pytest.mark.timeout(600)  # mypy's first run, without its cache, reads all that we import
def test_handler_type_checks(mypy_output: str) -> None:
    assert "correct.py" not in mypy_output
    assert "checked 2 source files" in mypy_output


@pytest.mark.timeout(600)
def test_types_find_a_wrong_argument(mypy_output: str) -> None:
    assert 'wrong.py:5: error: Argument "on_timeout" to "suspend"' in mypy_output


def test_pd_is_completed() -> None:
    code = "from jupyter_pdflow import Pd\ndef handler(pd: Pd):\n    pd.flow.sus"
    names = [found.name for found in jedi.Script(code).complete(3, len("    pd.flow.sus"))]
    assert names == ["suspend"]


@pytest.mark.parametrize("name", jupyter_pdflow.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(jupyter_pdflow, name)
    assert name in dir(jupyter_pdflow)


def test_constructors_send_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PDFLOW_URL", "http://127.0.0.1:9/")
    run, workflow = Run("01J"), Workflow("approval.ipynb")
    assert run.id == "01J"
    assert (repr(run), repr(workflow)) == ("Run('01J')", "Workflow('approval.ipynb')")
    with pytest.raises(ServerNotFoundError, match="No Jupyter server answers"):
        _ = run.status
    with pytest.raises(ServerNotFoundError, match="No Jupyter server answers"):
        _ = workflow.steps


def test_connect_by_url(server: JupyterServer) -> None:
    client = connect(server.url, server.token)
    deployed = server.deploy("a", ["%%step ask\ndef handler(pd): pd.flow.suspend()"])
    workflow = Workflow(deployed["id"], client)
    assert workflow.steps == ["ask"]
    run = workflow.run({"amount": 7})
    server.wait_run(run.id, "paused")
    assert Run(run.id, client).status == "paused"
    Run(run.id, client).resume("yes")
    assert (
        server.wait_run(run.id, "succeeded")["steps"][0]["exports"]["$resume_data"]["body"] == "yes"
    )
