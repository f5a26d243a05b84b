"""What ``jupyter_pdflow`` itself offers: names to import, with types, at no cost."""

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


def checked(tmp_path: Path, code: str) -> str:
    (tmp_path / "step.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={CACHE}", "step.py"]
    return subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False).stdout


def test_a_handler_type_checks(tmp_path: Path) -> None:
    assert "Success" in checked(tmp_path, HANDLER)


def test_a_wrong_call_is_found_by_the_types(tmp_path: Path) -> None:
    found = checked(tmp_path, HANDLER.replace('"cancel"', '"give up"'))
    assert 'step.py:5: error: Argument "on_timeout" to "suspend"' in found


def test_a_handler_completes() -> None:
    code = "from jupyter_pdflow import Pd\ndef handler(pd: Pd):\n    pd.flow.sus"
    names = [found.name for found in jedi.Script(code).complete(3, len("    pd.flow.sus"))]
    assert names == ["suspend"]


@pytest.mark.parametrize("name", jupyter_pdflow.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(jupyter_pdflow, name)
    assert name in dir(jupyter_pdflow)


def test_constructors_ask_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PDFLOW_URL", "http://127.0.0.1:9/")
    run, workflow = Run("01J"), Workflow("approval.ipynb")
    assert run.id == "01J"
    assert (repr(run), repr(workflow)) == ("Run('01J')", "Workflow('approval.ipynb')")
    with pytest.raises(ServerNotFoundError, match="No Jupyter server answers"):
        _ = run.status
    with pytest.raises(ServerNotFoundError, match="No Jupyter server answers"):
        _ = workflow.steps


def test_connect_to_a_server_by_its_address(server: JupyterServer) -> None:
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
